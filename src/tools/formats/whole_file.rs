//! Whole files: a path line, then the complete new content in a fenced block.

use crate::tools::formats::{
    apply::{Change, FileEdit},
    fence::blocks,
};

/// Reads the files of an answer.
pub fn parse(text: &str) -> Result<Vec<FileEdit>, String> {
    let mut found = blocks(text)?;
    // Beside named files, blocks without a name are examples.
    if found.iter().any(|block| block.path.is_some()) {
        found.retain(|block| block.path.is_some());
    }
    let nameless = found.iter().filter(|block| block.path.is_none()).count();
    match (found.len(), nameless) {
        (0, _) => Err("no code block in the answer; write the path on a line, then the whole new \
                       file between ``` lines"
            .to_owned()),
        (_, 2..) => Err(format!(
            "{nameless} code blocks and no path; write one block with the whole new file, its path \
             on the line before"
        )),
        _ => Ok(found
            .into_iter()
            .map(|block| FileEdit { path: block.path, change: Change::Whole(block.content) })
            .collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_with_or_without_names() {
        let edits = parse("a.py\n```python\nx\n```\nb.py\n```\ny\n```\nUse it:\n```\nz\n```")
            .expect("parses");
        assert_eq!(edits.len(), 2);
        assert_eq!(edits[1].change, Change::Whole("y\n".to_owned()));
        assert_eq!(parse("Sure!\n```python\nx\n```").expect("parses")[0].path, None);
    }

    #[test]
    fn what_could_mean_two_files_is_asked_again() {
        assert!(parse("```\nx\n```\n```\ny\n```").expect_err("two").contains("no path"));
        assert!(parse("x = 1").expect_err("none").contains("no code block"));
    }
}
