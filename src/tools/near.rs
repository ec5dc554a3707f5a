//! Where a text that does not occur in a file may have been meant.

use std::collections::HashSet;

use crate::tools::text::{numbered, show_line};

/// Lines of a wanted text that are compared; its first ones tell enough.
const MAX_WANTED: usize = 60;
/// Lines of a file that are compared.
const MAX_LINES: usize = 50_000;

/// Returns the lines of `text` nearest to `wanted`, with their numbers, and how they differ.
pub(super) fn nearest_lines(text: &str, wanted: &str) -> String {
    if let Some(hint) = numbers_left_in(wanted) {
        return hint;
    }
    let wanted: Vec<&str> = wanted.lines().take(MAX_WANTED).collect();
    let lines: Vec<&str> = text.lines().take(MAX_LINES).collect();
    let Some((at, score)) = best_window(&lines, &wanted) else {
        return "nothing like it is in the file; read it again".to_owned();
    };
    let (from, to) = ((at + 1).saturating_sub(2).max(1), (at + wanted.len() + 2).min(lines.len()));
    let how = if score == wanted.len() * FULL {
        "the same lines but for blank space are"
    } else {
        "the nearest lines are"
    };
    format!("{how} (copy them exactly, without the numbers):\n{}", numbered(text, from, to))
}

/// Worth of a line that is equal but for blank space around it.
const FULL: usize = 100;

/// Returns where the lines match best, and how well; none when no line is even similar.
fn best_window(lines: &[&str], wanted: &[&str]) -> Option<(usize, usize)> {
    let wanted: Vec<(&str, HashSet<(char, char)>)> =
        wanted.iter().map(|line| (line.trim(), pairs(line))).collect();
    // Equal lines first: cheap, and nearly always enough.
    let equal = |at: usize| -> usize {
        let window = lines.get(at..).unwrap_or_default().iter().zip(&wanted);
        window.filter(|(line, (trimmed, _))| line.trim() == *trimmed).count() * FULL
    };
    let solid = |(line, _): &(&str, _)| line.len() > 1;
    if let Some(best) = (0..lines.len())
        .map(|at| (at, equal(at)))
        .max_by_key(|(at, score)| (*score, usize::MAX - at))
        && best.1 >= FULL * wanted.iter().filter(|w| solid(w)).count().div_ceil(2).max(1)
    {
        return Some(best);
    }
    let (offset, (_, longest)) =
        wanted.iter().enumerate().max_by_key(|(_, (line, _))| line.len())?;
    let scored = lines.iter().enumerate().map(|(at, line)| (at, likeness(longest, &pairs(line))));
    let (at, score) = scored.max_by_key(|(at, score)| (*score, usize::MAX - at))?;
    (score >= FULL / 3).then(|| (at.saturating_sub(offset), score.min(FULL - 1)))
}

fn pairs(line: &str) -> HashSet<(char, char)> {
    let line: Vec<char> = line.trim().chars().take(200).collect();
    line.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

/// Returns the share of pairs of characters that two lines have in common, in per cent.
fn likeness(a: &HashSet<(char, char)>, b: &HashSet<(char, char)>) -> usize {
    let common = a.intersection(b).count() * 2 * FULL;
    common.checked_div(a.len() + b.len()).unwrap_or(0)
}

fn numbers_left_in(wanted: &str) -> Option<String> {
    let has_number = |line: &str| {
        let digits = line.trim_start().split('\t').next().unwrap_or_default();
        line.contains('\t') && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    };
    (!wanted.trim().is_empty() && wanted.lines().all(has_number)).then(|| {
        let first = show_line(wanted.lines().next().unwrap_or_default());
        format!("it begins with a line number (`{first}`); leave the numbers and tabs out")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "def mean(xs):\n    total = sum(xs)\n    return total / len(xs)\n\n\ndef median(xs):\n    xs = sorted(xs)\n    return xs[len(xs) // 2]\n";

    #[test]
    fn blank_space_and_near_misses_are_told() {
        insta::assert_snapshot!(nearest_lines(TEXT, "  xs = sorted(xs)\n  return xs[len(xs) // 2]"), @r"
        the same lines but for blank space are (copy them exactly, without the numbers):
        5	
        6	def median(xs):
        7	    xs = sorted(xs)
        8	    return xs[len(xs) // 2]
        ");
        insta::assert_snapshot!(nearest_lines(TEXT, "    return xs[len(xs) / 2]"), @r"
        the nearest lines are (copy them exactly, without the numbers):
        6	def median(xs):
        7	    xs = sorted(xs)
        8	    return xs[len(xs) // 2]
        ");
        insta::assert_snapshot!(nearest_lines(TEXT, "2\t    total = sum(xs)"), @"it begins with a line number (`2	    total = sum(xs)`); leave the numbers and tabs out");
        insta::assert_snapshot!(nearest_lines(TEXT, "qqqqq"), @"nothing like it is in the file; read it again");
        let _ = (nearest_lines("", "x"), nearest_lines("x", ""), nearest_lines("", ""));
    }
}
