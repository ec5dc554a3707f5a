//! Whole functions: one or more fenced blocks that hold complete functions.

use crate::tools::formats::{
    apply::{Change, FileEdit},
    fence::blocks,
};

/// Reads the functions of an answer; an answer without any fence is taken as code as it is.
pub fn parse(text: &str) -> Result<Vec<FileEdit>, String> {
    let found = blocks(text)?;
    if found.is_empty() {
        if text.trim().is_empty() {
            return Err(
                "the answer is empty; write the whole new function between ``` lines".to_owned()
            );
        }
        return Ok(vec![FileEdit { path: None, change: Change::Functions(text.to_owned()) }]);
    }
    Ok(found
        .into_iter()
        .map(|block| FileEdit { path: block.path, change: Change::Functions(block.content) })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_block_is_a_change() {
        let edits = parse("Here:\n```python\ndef f(): pass\n```\n```sh\nrun\n```").expect("parses");
        assert_eq!(edits.len(), 1);
        let bare = parse("def f(): pass\n").expect("parses");
        assert_eq!(bare[0].change, Change::Functions("def f(): pass\n".to_owned()));
        assert!(parse(" \n").is_err());
    }
}
