//! Which language a file is in, and its parse tree.
//!
//! Texts come from models and repositories: size and time of a parse are bounded, and trees are
//! walked with a cursor, never by recursion, so that deep nesting cannot overflow the stack.

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use tree_sitter::{Node, ParseOptions, ParseState, Parser, Tree};

/// Texts above this size are not parsed.
const MAX_BYTES: usize = 2 << 20;
/// A parse that takes longer is given up; only error recovery on garbage takes this long.
const MAX_TIME: Duration = Duration::from_secs(2);

/// A language that grafter parses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Python.
    Python,
    /// Rust.
    Rust,
    /// JavaScript, with JSX.
    JavaScript,
    /// TypeScript.
    TypeScript,
    /// TypeScript with JSX.
    Tsx,
    /// Go.
    Go,
}

/// Returns the language of a file by its name's ending.
pub fn language_of(path: &str) -> Option<Language> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let (_, ending) = name.rsplit_once('.')?;
    Some(match ending {
        "py" | "pyi" => Language::Python,
        "rs" => Language::Rust,
        "js" | "mjs" | "cjs" | "jsx" => Language::JavaScript,
        "ts" | "mts" | "cts" => Language::TypeScript,
        "tsx" => Language::Tsx,
        "go" => Language::Go,
        _ => return None,
    })
}

impl Language {
    /// Returns what stands between the parts of a qualified name.
    pub(super) fn separator(self) -> &'static str {
        if self == Self::Rust { "::" } else { "." }
    }

    fn grammar(self) -> tree_sitter::Language {
        match self {
            Self::Python => tree_sitter_python::LANGUAGE.into(),
            Self::Rust => tree_sitter_rust::LANGUAGE.into(),
            Self::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
            Self::TypeScript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
            Self::Tsx => tree_sitter_typescript::LANGUAGE_TSX.into(),
            Self::Go => tree_sitter_go::LANGUAGE.into(),
        }
    }
}

/// Returns the parse tree, or none when the text is too large or takes too long.
pub(super) fn parse(language: Language, text: &str) -> Option<Tree> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let mut parser = Parser::new();
    parser.set_language(&language.grammar()).ok()?;
    let end = Instant::now() + MAX_TIME;
    let mut on_time = |_: &ParseState| {
        if Instant::now() < end { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let options = ParseOptions::new().progress_callback(&mut on_time);
    let bytes = text.as_bytes();
    let mut rest = |at: usize, _| bytes.get(at..).unwrap_or_default();
    parser.parse_with_options(&mut rest, None, Some(options))
}

/// Whether a walk goes into the children of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Go {
    /// Into its children.
    In,
    /// On to its next sibling.
    Past,
}

/// Calls `visit` with each node and what it stands in, the root first, in preorder.
///
/// The ancestors are kept here because asking a node or a cursor for them costs a walk from the
/// root each time.
pub(super) fn walk<'t>(tree: &'t Tree, mut visit: impl FnMut(Node<'t>, &[Node<'t>]) -> Go) {
    let mut cursor = tree.walk();
    let mut around = Vec::new();
    loop {
        let node = cursor.node();
        if visit(node, &around) == Go::In && cursor.goto_first_child() {
            around.push(node);
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return;
            }
            around.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_tell_the_language() {
        assert_eq!(language_of("a/b.test.tsx"), Some(Language::Tsx));
        assert_eq!(language_of("a.py/README"), None);
        assert_eq!(language_of("Makefile"), None);
    }

    #[test]
    fn deep_nesting_is_walked_without_recursion() {
        let text = format!("x = {}{}\n", "(".repeat(50_000), ")".repeat(50_000));
        if let Some(tree) = parse(Language::Python, &text) {
            let mut nodes = 0_u32;
            walk(&tree, |_, _| {
                nodes += 1;
                Go::In
            });
            assert!(nodes > 1000);
        }
    }

    #[test]
    fn a_huge_text_is_not_parsed() {
        assert!(parse(Language::Go, &" ".repeat(MAX_BYTES + 1)).is_none());
    }
}
