//! Two pictures: a graph in layers, and a time line. Drawn by hand, because a report needs no more
//! of either.

use std::{collections::BTreeMap, fmt::Write as _};

use super::page::escape;

/// A box of a graph.
#[derive(Clone, Debug, Default)]
pub(super) struct Box {
    pub(super) name: String,
    pub(super) below: String,
    /// `good`, `bad`, `wait` or `faint`.
    pub(super) class: &'static str,
    pub(super) needs: Vec<String>,
}

/// A bar of a time line, in milliseconds.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) class: &'static str,
}

/// More boxes than this are no picture any more.
const MOST: usize = 150;
const WIDTH: usize = 168;
const HEIGHT: usize = 44;

/// Draws a graph from left to right; nothing for one that is too large.
pub(super) fn graph(boxes: &[Box]) -> String {
    if boxes.is_empty() || boxes.len() > MOST {
        return String::new();
    }
    let layers = layers(boxes);
    let (mut next, mut places) = (BTreeMap::new(), BTreeMap::new());
    // Boxes that need nobody and that nobody needs fill a grid of six columns instead.
    let flat = layers.iter().all(|layer| *layer == 0);
    for (at, one) in boxes.iter().enumerate() {
        let (column, row) = match flat {
            true => (at % 6, at / 6),
            false => {
                let row: &mut usize = next.entry(layers[at]).or_default();
                *row += 1;
                (layers[at], *row - 1)
            }
        };
        places.insert(one.name.as_str(), (10 + column * (WIDTH + 46), 10 + row * (HEIGHT + 14)));
    }
    let right = places.values().map(|place| place.0).max().unwrap_or(0) + WIDTH + 10;
    let down = places.values().map(|place| place.1).max().unwrap_or(0) + HEIGHT + 10;
    let mut out = format!(
        "<svg viewBox=\"0 0 {right} {down}\" width=\"{right}\" height=\"{down}\" role=\"img\" \
         aria-label=\"graph\">\n"
    );
    for one in boxes {
        let Some(&(x, y)) = places.get(one.name.as_str()) else { continue };
        for (fx, fy) in one.needs.iter().filter_map(|need| places.get(need.as_str())) {
            let (ax, ay, by) = (fx + WIDTH, fy + HEIGHT / 2, y + HEIGHT / 2);
            let middle = usize::midpoint(ax, x);
            let _ = writeln!(
                out,
                "<path d=\"M{ax} {ay} C{middle} {ay} {middle} {by} {x} {by}\" fill=\"none\" \
                 stroke=\"var(--line)\" stroke-width=\"1.5\"/>"
            );
        }
    }
    for one in boxes {
        let Some((x, y)) = places.get(one.name.as_str()) else { continue };
        let (class, name, below) = (one.class, cut(&one.name, 22), cut(&one.below, 24));
        let _ = writeln!(
            out,
            "<g class=\"{class}\"><rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\" \
             fill=\"var(--soft)\" stroke=\"currentColor\"/><text x=\"{}\" y=\"{}\" \
             font-weight=\"600\">{}</text><text x=\"{}\" y=\"{}\" opacity=\".75\">{}</text></g>",
            x + 9,
            y + 18,
            escape(&name),
            x + 9,
            y + 35,
            escape(&below)
        );
    }
    out + "</svg>\n"
}

/// Returns for each box how many stand before it in a row; a ring, which no graph has, ends.
fn layers(boxes: &[Box]) -> Vec<usize> {
    let index: BTreeMap<&str, usize> =
        boxes.iter().enumerate().map(|(at, one)| (one.name.as_str(), at)).collect();
    let mut layers = vec![0; boxes.len()];
    for _ in 0..boxes.len() {
        let before = layers.clone();
        for (at, one) in boxes.iter().enumerate() {
            let needs = one.needs.iter().filter_map(|need| index.get(need.as_str()));
            layers[at] = needs.map(|&need| before[need] + 1).max().unwrap_or(0);
        }
        if layers == before {
            break;
        }
    }
    layers
}

/// Draws when what was worked on.
pub(super) fn time_line(bars: &[Bar], words: impl Fn(u64) -> String) -> String {
    let Some(end) = bars.iter().map(|bar| bar.to).max().filter(|end| *end > 0) else {
        return String::new();
    };
    let mut rows: Vec<&str> = Vec::new();
    for bar in bars {
        if !rows.contains(&bar.name.as_str()) {
            rows.push(&bar.name);
        }
    }
    let (left, wide) = (190_u64, 760_u64);
    let high = rows.len() * 22 + 30;
    let mut out = format!(
        "<svg viewBox=\"0 0 {0} {high}\" width=\"{0}\" height=\"{high}\" role=\"img\" \
         aria-label=\"time line\">\n",
        left + wide + 20
    );
    for quarter in 0..=4 {
        let x = left + wide * quarter / 4;
        let _ = writeln!(
            out,
            "<path d=\"M{x} 4V{}\" stroke=\"var(--line)\"/><text x=\"{x}\" y=\"{}\" \
             text-anchor=\"middle\" opacity=\".7\">{}</text>",
            high - 22,
            high - 6,
            escape(&words(end * quarter / 4))
        );
    }
    for (at, row) in rows.iter().enumerate() {
        let y = at * 22 + 6;
        let _ = writeln!(out, "<text x=\"0\" y=\"{}\">{}</text>", y + 12, escape(&cut(row, 26)));
        for bar in bars.iter().filter(|bar| bar.name == *row) {
            let x = left + wide * bar.from / end;
            let width = (wide * bar.to.saturating_sub(bar.from) / end).max(2);
            let _ = writeln!(
                out,
                "<g class=\"{}\"><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"15\" rx=\"3\" \
                 fill=\"currentColor\" opacity=\".75\"><title>{}</title></rect></g>",
                bar.class,
                escape(&format!("{}: {}", bar.name, words(bar.to.saturating_sub(bar.from))))
            );
        }
    }
    out + "</svg>\n"
}

fn cut(text: &str, room: usize) -> String {
    crate::ui::text::fit(text, room)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, needs: &[&str]) -> Box {
        let needs = needs.iter().map(|need| (*need).to_owned()).collect();
        Box { name: name.to_owned(), needs, class: "good", ..Box::default() }
    }

    #[test]
    fn who_needs_others_stands_to_their_right() {
        let boxes = [one("a", &[]), one("c", &["b"]), one("b", &["a"]), one("x", &["gone"])];
        assert_eq!(layers(&boxes), [0, 2, 1, 0]);
        let drawn = graph(&boxes);
        assert_eq!((drawn.matches("<rect").count(), drawn.matches("<path").count()), (4, 2));
        let ring = [one("a", &["b"]), one("b", &["a"])];
        assert_eq!(layers(&ring).len(), 2);
        assert_eq!(graph(&vec![one("a", &[]); MOST + 1]), "");
    }

    #[test]
    fn hostile_names_stay_text() {
        let drawn = graph(&[one("<script>", &[])]);
        assert!(!drawn.contains("<script>"), "{drawn}");
        let bar = Bar { name: "</svg><b>".to_owned(), from: 0, to: 9, class: "good" };
        let drawn = time_line(&[bar], |ms| ms.to_string());
        assert!(!drawn.contains("<b>"), "{drawn}");
        assert_eq!(time_line(&[], |ms| ms.to_string()), "");
    }
}
