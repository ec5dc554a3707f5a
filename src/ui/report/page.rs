//! The frame of a page, and the small parts that all of them are made of.

use std::fmt::Write as _;

/// How a page looks; colours follow the reader's own setting for light or dark.
const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1b1f24; --faint: #667; --line: #ccd3da; --soft: #f3f5f8;
  --good: #1a7f37; --bad: #c62828; --wait: #9a6700; --bar: #4a78c2; --add: #e2f6e6; --del: #fdeaea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7ec; --faint: #9aa4b0; --line: #3a424c;
  --soft: #1d2229; --good: #4ac26b; --bad: #ff7b72; --wait: #d4a72c; --bar: #6f9be0; --add: #12301b;
  --del: #3a1618; } body { background: #14181d; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 72rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p.meta { color: var(--faint); margin: .1rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .92em; }
th { text-align: left; color: var(--faint); font-weight: 500; }
th, td { padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
code, pre { font: .88em/1.45 ui-monospace, monospace; }
pre { background: var(--soft); padding: .6rem; overflow-x: auto; border-radius: 6px; margin: .4rem 0; }
.good { color: var(--good); } .bad { color: var(--bad); } .wait { color: var(--wait); }
.faint { color: var(--faint); } .tag { font-size: .85em; border: 1px solid var(--line);
  border-radius: 9px; padding: 0 .5em; margin-left: .4em; color: var(--faint); }
.add { background: var(--add); display: block; } .del { background: var(--del); display: block; }
.at { color: var(--faint); display: block; }
details { margin: .3rem 0; } summary { cursor: pointer; }
svg { max-width: 100%; height: auto; } svg text { fill: currentColor; font: 12px system-ui, sans-serif; }
.scroll { overflow-x: auto; }
";

/// Returns a whole page.
pub(super) fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>{}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        escape(title)
    )
}

/// Returns a text with nothing in it that HTML takes for its own; control characters are shown.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if crate::ui::text::is_unsafe(c) => {
                let _ = write!(out, "{}", c.escape_unicode());
            }
            c => out.push(c),
        }
    }
    out
}

/// A table: the names of its columns, of which those with a `#` before hold numbers, and its rows,
/// whose cells are HTML already.
pub(super) fn table(columns: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let class = |name: &str| if name.starts_with('#') { " class=\"n\"" } else { "" };
    let heads: String = columns
        .iter()
        .map(|name| format!("<th{}>{}</th>", class(name), escape(name.trim_start_matches('#'))))
        .collect();
    let mut out = format!("<div class=\"scroll\"><table>\n<tr>{heads}</tr>\n");
    for row in rows {
        let cells: String = row
            .iter()
            .zip(columns)
            .map(|(cell, name)| format!("<td{}>{cell}</td>", class(name)))
            .collect();
        let _ = writeln!(out, "<tr>{cells}</tr>");
    }
    out + "</table></div>\n"
}

/// A heading with what stands below it; nothing if that is nothing.
pub(super) fn section(title: &str, body: &str) -> String {
    match body.is_empty() {
        true => String::new(),
        false => format!("<h2>{}</h2>\n{body}", escape(title)),
    }
}

/// A part that is opened by a click.
pub(super) fn folded(summary: &str, body: &str) -> String {
    format!("<details><summary>{summary}</summary>\n{body}</details>\n")
}

/// A diff with its lines coloured.
pub(super) fn diff(text: &str) -> String {
    let mut out = "<pre>".to_owned();
    for line in text.lines() {
        let class = match line.as_bytes().first() {
            Some(b'+') if !line.starts_with("+++") => "add",
            Some(b'-') if !line.starts_with("---") => "del",
            Some(b'@') => "at",
            _ => "",
        };
        let line = escape(line);
        match class {
            "" => out.push_str(&(line + "\n")),
            class => {
                let _ = write!(out, "<span class=\"{class}\">{line}</span>");
            }
        }
    }
    out + "</pre>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let hostile = "<script>alert('x')</script>\u{1b}[2J\u{202e}\" onload=";
        assert_eq!(
            escape(hostile),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;\\u{1b}[2J\\u{202e}&quot; onload="
        );
        assert!(!diff(&format!("+{hostile}\n-{hostile}\n {hostile}")).contains("<script"));
        assert!(!page(hostile, "").contains("<script"));
    }
}
