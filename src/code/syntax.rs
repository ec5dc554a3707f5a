//! Does a text parse?
//!
//! Used to turn away an edit that breaks a file that parsed before; an unknown language counts as
//! sound, because grafter must not refuse what it cannot judge.

use thiserror::Error;

use crate::code::language::{Go, language_of, parse, walk};

/// Where a text stops to parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("syntax error at line {line}, column {column}")]
pub struct Broken {
    /// The line, from 1.
    pub line: u32,
    /// The column in bytes, from 1.
    pub column: u32,
}

/// Returns where the text does not parse in the language of `path`; `Ok` when it does, or when the
/// language is unknown or the text too large.
pub fn syntax_ok(path: &str, text: &str) -> Result<(), Broken> {
    let Some(tree) = language_of(path).and_then(|language| parse(language, text)) else {
        return Ok(());
    };
    if !tree.root_node().has_error() {
        return Ok(());
    }
    let mut first = None;
    walk(&tree, |node, _| {
        if first.is_some() || !node.has_error() && !node.is_missing() {
            return Go::Past;
        }
        if node.is_error() || node.is_missing() {
            first = Some(node.start_position());
            return Go::Past;
        }
        Go::In
    });
    let at = first.unwrap_or_else(|| tree.root_node().start_position());
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1);
    Err(Broken { line: count(at.row), column: count(at.column) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_and_unknown_texts_pass() {
        for (path, text) in [
            ("a.py", "def f(x):\n    return x\n"),
            ("a.rs", "fn f() -> u8 { 1 }\n"),
            ("a.js", "const f = (x) => x;\n"),
            ("a.ts", "function f(x: number): number { return x; }\n"),
            ("a.tsx", "const a = <b>c</b>;\n"),
            ("a.go", "package a\nfunc f() int { return 1 }\n"),
            ("a.txt", "def f(:"),
            ("a.py", ""),
        ] {
            assert_eq!(syntax_ok(path, text), Ok(()), "{path}");
        }
    }

    #[test]
    fn broken_texts_are_placed() {
        for (path, text, line) in [
            ("a.py", "x = 1\ndef f(:\n    return x\n", 2),
            ("a.rs", "fn f() -> u8 {\n    (1\n}\n", 2),
            ("a.js", "let a = 1;\nlet b = {;\n", 2),
            ("a.go", "package a\n\nfunc f( int { return 1 }\n", 3),
        ] {
            let broken = syntax_ok(path, text).expect_err(path);
            assert!(broken.line.abs_diff(line) <= 1, "{path}: {broken}");
        }
    }
}
