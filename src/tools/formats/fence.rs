//! Fenced code blocks in an answer, with the path that stands before or in each.

/// A fenced block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fenced {
    /// The path on the line before it, in its info string or in a comment on its first line.
    pub path: Option<String>,
    /// What it holds, each line with its end.
    pub content: String,
}

/// Blocks of these languages show commands or output, never a file.
const NO_FILES: [&str; 9] =
    ["bash", "sh", "shell", "console", "text", "output", "diff", "plaintext", "txt"];

/// Returns the blocks of an answer that can be files; an error when the last one is not closed.
pub(super) fn blocks(text: &str) -> Result<Vec<Fenced>, String> {
    let lines: Vec<&str> = text.lines().collect();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < lines.len() {
        let Some((fence, info)) = opening(lines[at]) else {
            at += 1;
            continue;
        };
        let start = at + 1;
        let close = (start..lines.len()).find(|&n| closes(lines[n], fence));
        let Some(close) = close else {
            return Err("the last code block is not closed; the answer may have been cut: answer \
                        again, shorter"
                .to_owned());
        };
        let language = info.split_whitespace().next().unwrap_or_default();
        let mut body = &lines[start..close];
        let mut path = before(&lines[..at]).or_else(|| info.split([' ', ':']).find_map(path_in));
        if path.is_none()
            && let Some(inner) = body.first().and_then(|line| commented(line))
        {
            path = Some(inner);
            body = &body[1..];
        }
        if path.is_some() || !NO_FILES.contains(&language.to_ascii_lowercase().as_str()) {
            let content = body.iter().map(|line| format!("{line}\n")).collect();
            found.push(Fenced { path, content });
        }
        at = close + 1;
    }
    Ok(found)
}

/// Returns the fence and what follows it on its line.
pub(super) fn opening(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let mark = line.chars().next().filter(|c| *c == '`' || *c == '~')?;
    let length = line.chars().take_while(|c| *c == mark).count();
    let (fence, info) = line.split_at_checked(length)?;
    (length >= 3 && !info.contains('`')).then_some((fence, info.trim()))
}

fn closes(line: &str, fence: &str) -> bool {
    let line = line.trim();
    line.starts_with(fence) && line.chars().all(|c| fence.starts_with(c))
}

/// Returns the path on the last line that is not empty.
pub(super) fn before(lines: &[&str]) -> Option<String> {
    let line = lines.iter().rev().take(3).find(|line| !line.trim().is_empty())?;
    path_line(line)
}

/// Returns the path that a line consists of, apart from decoration: `**File: src/a.py**`.
pub(super) fn path_line(line: &str) -> Option<String> {
    let mut bare = line.trim().trim_matches(['*', '#', '`', ':', ' ', '[', ']', '-', '"', '\'']);
    for word in ["File path:", "Filename:", "File:", "Path:", "file:", "path:", "filename:"] {
        bare = bare.strip_prefix(word).unwrap_or(bare).trim_matches(['*', '`', ' ', '"', '\'']);
    }
    path_in(bare)
}

/// `# src/a.py` as a block's first line names the file.
fn commented(line: &str) -> Option<String> {
    let line = line.trim();
    let bare = ["#", "//", "--"].iter().find_map(|mark| line.strip_prefix(mark))?;
    path_line(bare)
}

fn path_in(word: &str) -> Option<String> {
    let name = word.rsplit('/').next().unwrap_or_default();
    let (stem, ending) = name.rsplit_once('.')?;
    let plain = |text: &str| !text.contains([' ', '(', ')', '=', ',', ';', '<', '>', '`']);
    let fits = plain(word)
        && !stem.is_empty()
        && (1..=8).contains(&ending.len())
        && ending.chars().all(|c| c.is_ascii_alphanumeric())
        && word.len() < 300;
    fits.then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<Option<String>> {
        blocks(text).expect("parses").into_iter().map(|block| block.path).collect()
    }

    #[test]
    fn a_path_is_found_where_models_put_it() {
        for text in [
            "src/a.py\n```python\nx\n```",
            "**src/a.py**\n\n```\nx\n```\nDone.",
            "### File: `src/a.py`:\n~~~py\nx\n~~~",
            "```python src/a.py\nx\n```",
            "```python:src/a.py\nx\n```",
            "```src/a.py\nx\n```",
            "```python\n# src/a.py\nx\n```",
        ] {
            assert_eq!(paths(text), [Some("src/a.py".to_owned())], "{text}");
        }
        let text = "The fix, see above, is e.g. this:\n```python\nx = 1\n```";
        assert_eq!(paths(text), [None]);
    }

    #[test]
    fn commands_are_no_files_and_cut_answers_are_told() {
        let text = "```bash\npytest\n```\n```python\nx\n```\n";
        assert_eq!(blocks(text).expect("parses").len(), 1);
        assert!(blocks("```python\nx = 1\n").expect_err("open").contains("not closed"));
        assert_eq!(blocks("no code").expect("parses"), []);
        let nested = "a.md\n````\n```\nx\n```\n````\n";
        assert_eq!(blocks(nested).expect("parses")[0].content, "```\nx\n```\n");
    }
}
