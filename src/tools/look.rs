//! The tools `tree` and `outline`.

use std::{collections::BTreeMap, ops::ControlFlow};

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::{
    code::{language::language_of, outline},
    sandbox::{files::Kind, place::Place},
    tools::{answer::Done, text::load, walk::walk},
};

/// Lines that tree shows.
const MAX_LINES: usize = 400;

/// Arguments of `tree`.
#[derive(Debug, Deserialize)]
pub(super) struct Tree {
    path: Option<String>,
    depth: Option<usize>,
}

/// Arguments of `outline`.
#[derive(Debug, Deserialize)]
pub(super) struct Outline {
    path: String,
}

/// Shows folders and files to a depth, and how many files stand below.
pub(super) fn tree(place: &Place, args: &Tree, cancel: &CancellationToken) -> Result<Done, String> {
    let start = args.path.as_deref().unwrap_or(".");
    let depth = args.depth.unwrap_or(3);
    let mut lines: Vec<(usize, String, Kind)> = Vec::new();
    let mut below: BTreeMap<usize, usize> = BTreeMap::new();
    walk(place, start, cancel, |entry| {
        if entry.depth <= depth {
            let name = entry.path.rsplit('/').next().unwrap_or_default();
            lines.push((entry.depth, name.escape_debug().to_string(), entry.kind));
        } else if entry.kind != Kind::Directory {
            // In a walk what stands below a folder comes right after it.
            *below.entry(lines.len() - 1).or_default() += 1;
        }
        ControlFlow::Continue(())
    })?;
    let mut text = String::new();
    for (index, (depth, name, kind)) in lines.iter().take(MAX_LINES).enumerate() {
        let indent = "  ".repeat(depth - 1);
        let slash = match kind {
            Kind::Directory => "/",
            Kind::Link => "@",
            _ => "",
        };
        let count = below.get(&index).map(|n| format!(" ({n} files)")).unwrap_or_default();
        text.push_str(&format!("{indent}{name}{slash}{count}\n"));
    }
    if lines.len() > MAX_LINES {
        let more = lines.len() - MAX_LINES;
        text.push_str(&format!("[{more} more; give a path or a smaller depth]\n"));
    }
    if text.is_empty() {
        "(the folder is empty)".clone_into(&mut text);
    }
    Ok(Done::said(text, "give a path or a smaller depth"))
}

/// Lists the definitions of a file.
pub(super) fn outline(place: &Place, args: &Outline) -> Result<Done, String> {
    let path = &args.path;
    let text = load(place, path)?;
    if language_of(path).is_none() {
        return Err(format!("`{path}` is in no language with an outline; use read or grep"));
    }
    let symbols = outline::outline(path, &text);
    if symbols.is_empty() {
        return Ok(Done::said(format!("`{path}` defines nothing; read it"), ""));
    }
    let line = |s: &outline::Symbol| {
        format!("{}-{}\t{}{} {}\n", s.from, s.to, "  ".repeat(s.depth), s.kind, s.name)
    };
    Ok(Done::said(symbols.iter().map(line).collect(), "read the file in windows"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tools::testing::Bench;

    #[tokio::test]
    async fn a_tree_counts_what_it_does_not_show() {
        let bench =
            Bench::new(&[("a/b/c/d.py", ""), ("a/b/e.py", ""), ("a/f.py", ""), ("g\nh", "")]).await;
        insta::assert_snapshot!(bench.says("tree", json!({"depth": 2})).await, @r"
        a/
          b/ (2 files)
          f.py
        g\nh
        ");
        insta::assert_snapshot!(bench.says("tree", json!({"path": bench.path("a/b")})).await, @"
        c/
          d.py
        e.py
        ");
    }

    #[tokio::test]
    async fn an_outline_shows_lines() {
        let text = "class A:\n    def b(self):\n        pass\n";
        let bench = Bench::new(&[("a.py", text), ("b.txt", "x")]).await;
        insta::assert_snapshot!(bench.says("outline", json!({"path": "a.py"})).await, @"
        1-3	class A
        2-3	  def A.b
        ");
        let none = bench.fails("outline", json!({"path": "b.txt"})).await;
        assert!(none.contains("use read or grep"), "{none}");
    }
}
