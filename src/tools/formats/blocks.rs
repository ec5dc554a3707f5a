//! Search/replace blocks: a path line, then the old lines and the new ones between markers.

use crate::tools::formats::{
    apply::{Change, FileEdit},
    fence::{opening, path_line},
};

/// Reads the blocks of an answer; a block without a path is about the file of the one before it.
pub fn parse(text: &str) -> Result<Vec<FileEdit>, String> {
    let lines: Vec<&str> = text.lines().collect();
    let (mut edits, mut at) = (Vec::<FileEdit>::new(), 0);
    while at < lines.len() {
        if !is_mark(lines[at], '<') {
            at += 1;
            continue;
        }
        let path = above(&lines[..at])
            .or_else(|| {
                path_line(lines[at].trim_start_matches(['<', ' ']).trim_start_matches("SEARCH"))
            })
            .or_else(|| edits.last().and_then(|edit| edit.path.clone()));
        let (change, next) = block(&lines, at)?;
        edits.push(FileEdit { path, change });
        at = next;
    }
    if edits.is_empty() {
        return Err("no search/replace block in the answer; write the path on a line, then\n\
                    <<<<<<< SEARCH\nthe old lines\n=======\nthe new lines\n>>>>>>> REPLACE"
            .to_owned());
    }
    Ok(edits)
}

/// Reads one block, and returns the line behind it.
fn block(lines: &[&str], at: usize) -> Result<(Change, usize), String> {
    let rest = &lines[at + 1..];
    let number = at + 1;
    let end = rest.iter().position(|line| is_mark(line, '>'));
    let next = rest.iter().position(|line| is_mark(line, '<'));
    let Some(end) = end.filter(|end| next.is_none_or(|next| next > *end)) else {
        return Err(format!("the block at line {number} has no `>>>>>>> REPLACE` at its end"));
    };
    let inside = &rest[..end];
    let dividers: Vec<usize> = (0..inside.len()).filter(|&n| is_divider(inside[n])).collect();
    match dividers.as_slice() {
        [divider] => {
            let whole = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect();
            let change = Change::Replace {
                search: whole(&inside[..*divider]),
                replace: whole(&inside[divider + 1..]),
            };
            Ok((change, at + end + 2))
        }
        [] => Err(format!("the block at line {number} has no `=======` in it")),
        _ => Err(format!(
            "the block at line {number} has more than one `=======`; choose search lines without it"
        )),
    }
}

fn is_mark(line: &str, mark: char) -> bool {
    let line = line.trim_start();
    let length = line.chars().take_while(|c| *c == mark).count();
    let rest = line.get(length..).unwrap_or_default();
    (5..=9).contains(&length) && (rest.is_empty() || rest.starts_with(' '))
}

fn is_divider(line: &str) -> bool {
    let line = line.trim();
    (5..=9).contains(&line.len()) && line.chars().all(|c| c == '=')
}

/// The path stands on the line above, or above the fence's opening line.
fn above(lines: &[&str]) -> Option<String> {
    let mut full = lines.iter().rev().filter(|line| !line.trim().is_empty()).take(2);
    let line = full.next()?;
    match opening(line) {
        Some((_, info)) => {
            info.split([' ', ':']).find_map(path_line).or_else(|| path_line(full.next()?))
        }
        None => path_line(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE\n";

    #[test]
    fn blocks_are_found_with_their_paths() {
        let text =
            format!("I fix it.\n\nsrc/a.py\n```python\n{BLOCK}```\nand\n{BLOCK}\n`b.py`:\n{BLOCK}");
        let edits = parse(&text).expect("parses");
        let paths: Vec<_> = edits.iter().map(|edit| edit.path.as_deref()).collect();
        assert_eq!(paths, [Some("src/a.py"), Some("src/a.py"), Some("b.py")]);
        assert_eq!(
            edits[0].change,
            Change::Replace { search: "old\n".to_owned(), replace: "new\n".to_owned() }
        );
        assert_eq!(parse(BLOCK).expect("parses")[0].path, None);
    }

    #[test]
    fn broken_blocks_are_told() {
        for (text, word) in [
            ("prose", "no search/replace block"),
            ("<<<<<<< SEARCH\na\n=======\nb\n", "no `>>>>>>> REPLACE`"),
            ("<<<<<<< SEARCH\na\n>>>>>>> REPLACE\n", "no `=======`"),
            ("<<<<<<< SEARCH\na\n=======\nb\n=======\nc\n>>>>>>> REPLACE\n", "more than one"),
            (
                "<<<<<<< SEARCH\na\n=======\nb\n<<<<<<< SEARCH\n=======\n>>>>>>> REPLACE",
                "at line 1",
            ),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
