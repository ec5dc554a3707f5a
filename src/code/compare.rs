//! Are two texts the same program?
//!
//! Equal but for comments and blank space. A model that returns the code it was shown, prettied or
//! with a new comment, has changed nothing, and this is how that is noticed.

use tree_sitter::{Node, Tree};

use crate::code::language::{Go, language_of, parse, walk};

/// Returns whether two versions of a file differ in nothing but comments and blank space.
pub fn same_syntax(path: &str, a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let trees = language_of(path).and_then(|l| Some((parse(l, a)?, parse(l, b)?)));
    match trees {
        // In a broken text the tree says little, so only its lines count.
        Some((one, two)) if !one.root_node().has_error() && !two.root_node().has_error() => {
            tokens(&one, a) == tokens(&two, b)
        }
        _ => plain(a).eq(plain(b)),
    }
}

/// Returns the lines without trailing blanks and without empty lines.
fn plain(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty())
}

/// Returns the structure of a tree: depth and kind of each node, and the text of its leaves.
fn tokens<'t>(tree: &'t Tree, text: &'t str) -> Vec<(usize, u16, &'t str)> {
    let mut tokens = Vec::new();
    walk(tree, |node, ancestors| {
        if node.kind().contains("comment") {
            return Go::Past;
        }
        let leaf = is_leaf(node);
        let own = if leaf { text.get(node.byte_range()).unwrap_or_default() } else { "" };
        // A blank leaf is a line break that the grammar wants; how many there are means nothing.
        if !leaf || !own.trim().is_empty() {
            tokens.push((ancestors.len(), node.kind_id(), own.trim_end_matches(['\r', '\n'])));
        }
        if leaf { Go::Past } else { Go::In }
    });
    tokens
}

/// Blank space inside a string matters, so a string counts as one leaf.
fn is_leaf(node: Node<'_>) -> bool {
    node.child_count() == 0 || node.kind().contains("string")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_blanks_do_not_count() {
        for (path, a, b) in [
            (
                "a.py",
                "def f(x):\n    return x+1\n",
                "# new\ndef f( x ):\n\n    return x + 1  # one\n",
            ),
            ("a.rs", "fn f() { g(1, 2) }", "/// Doc.\nfn f() {\n    g(1,\n 2)\n}\n"),
            ("a.js", "f(1)\n", "// so\nf( 1 )\n\n"),
            ("a.go", "package a\n\nfunc F() {}\n", "package a\n// F\nfunc F() {\n}\n"),
            ("a.txt", "a\nb", "a  \n\nb\n"),
        ] {
            assert!(same_syntax(path, a, b), "{path}");
        }
    }

    #[test]
    fn what_runs_counts() {
        for (path, a, b) in [
            ("a.py", "if a:\n    b()\nc()\n", "if a:\n    b()\n    c()\n"),
            ("a.py", "x = 'a b'\n", "x = 'a  b'\n"),
            ("a.py", "x = '\\n \\n'\n", "x = '\\n\\n'\n"),
            ("a.py", "x = a < b\n", "x = a > b\n"),
            ("a.rs", "fn f() { a; b }", "fn f() { b; a }"),
            ("a.js", "f(`a ${b}`)", "f(`a  ${b}`)"),
            ("a.txt", "a b", "ab"),
        ] {
            assert!(!same_syntax(path, a, b), "{path}: {a:?} {b:?}");
        }
    }
}
