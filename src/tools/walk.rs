//! Walks the files of a tree for glob, grep and tree.
//!
//! Ignore rules are honoured, unless the folder that is asked for is itself ignored; git's own
//! folder is left out; symlinks are never followed, so a loop or a link to outside does no harm.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use ignore::WalkBuilder;
use tokio_util::sync::CancellationToken;

use crate::sandbox::{files::Kind, place::Place};

/// Entries after which a walk ends.
const MAX_ENTRIES: usize = 500_000;

/// A file or folder on the way.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its path in the tree; invalid UTF-8 is replaced.
    pub path: String,
    /// How many folders below the start it stands, from 1.
    pub depth: usize,
    /// What it is; links are not followed.
    pub kind: Kind,
}

/// Calls `visit` with what stands below the folder `start`, sorted by name.
pub(super) fn walk(
    place: &Place,
    start: &str,
    cancel: &CancellationToken,
    mut visit: impl FnMut(&Entry) -> ControlFlow<()>,
) -> Result<(), String> {
    let start = if start == "." { "" } else { start };
    refuse_links(place.root(), start)?;
    let walk = Walk { root: place.root(), start, cancel };
    let mut any = false;
    walk.each(Rules::Honoured, &mut |entry| {
        any = true;
        visit(entry)
    })?;
    if !any && !start.is_empty() {
        walk.each(Rules::Off, &mut visit)?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Rules {
    Honoured,
    Off,
}

struct Walk<'a> {
    root: &'a Path,
    start: &'a str,
    cancel: &'a CancellationToken,
}

impl Walk<'_> {
    fn each(
        &self,
        rules: Rules,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) -> Result<(), String> {
        let wanted = self.root.join(self.start);
        // From the root on, so that the ignore files above the start count.
        let top = if rules == Rules::Honoured { self.root } else { &wanted };
        let above = Path::new(self.start).components().count();
        for entry in builder(top, &wanted, rules).build().take(MAX_ENTRIES) {
            if self.cancel.is_cancelled() {
                return Err("stopped: it took too long or was cancelled; look in a smaller folder"
                    .to_owned());
            }
            // What cannot be read is left out; the rest is still of use.
            let Ok(entry) = entry else { continue };
            let Ok(relative) = entry.path().strip_prefix(self.root) else { continue };
            let depth = relative.components().count().saturating_sub(above);
            if depth == 0 || relative.as_os_str().is_empty() {
                continue;
            }
            let path = relative.to_string_lossy().into_owned();
            let kind = entry.file_type().map_or(Kind::Other, kind);
            if visit(&Entry { path, depth, kind }).is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn kind(found: fs::FileType) -> Kind {
    match found {
        found if found.is_dir() => Kind::Directory,
        found if found.is_file() => Kind::File,
        found if found.is_symlink() => Kind::Link,
        _ => Kind::Other,
    }
}

fn builder(top: &Path, wanted: &Path, rules: Rules) -> WalkBuilder {
    let mut builder = WalkBuilder::new(top);
    let wanted: PathBuf = wanted.to_owned();
    builder.standard_filters(false).follow_links(false).sort_by_file_name(Ord::cmp).filter_entry(
        move |entry| {
            let path = entry.path();
            entry.file_name() != ".git" && (path.starts_with(&wanted) || wanted.starts_with(path))
        },
    );
    if rules == Rules::Honoured {
        builder.git_ignore(true).ignore(true).require_git(false).parents(false);
    }
    builder
}

fn refuse_links(root: &Path, start: &str) -> Result<(), String> {
    let mut path = root.to_owned();
    for part in Path::new(start).components() {
        path.push(part);
        let kind = match fs::symlink_metadata(&path) {
            Ok(data) => data.file_type(),
            Err(error) => {
                return Err(format!("`{start}`: {error}; look at what is there with tree"));
            }
        };
        if kind.is_symlink() {
            return Err(format!("`{start}` leads through a symlink; use the path it points to"));
        }
    }
    if !path.is_dir() {
        return Err(format!("`{start}` is a file, not a folder"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testing::Bench;

    fn names(bench: &Bench, start: &str) -> Result<String, String> {
        let mut names = Vec::new();
        walk(&bench.place, start, &CancellationToken::new(), |entry| {
            names.push(format!(
                "{}{}",
                entry.path,
                if entry.kind == Kind::Directory { "/" } else { "" }
            ));
            ControlFlow::Continue(())
        })?;
        Ok(names.join(" "))
    }

    #[tokio::test]
    async fn ignore_rules_count_but_an_ignored_folder_can_be_asked_for() {
        let bench = Bench::new(&[
            (".gitignore", "*.log\nout/\n"),
            (".git/config", ""),
            (".github/a.yml", ""),
            ("a/x.log", ""),
            ("a/x.py", ""),
            ("out/b/c.py", ""),
        ])
        .await;
        assert_eq!(
            names(&bench, ".").expect("walks"),
            ".github/ .github/a.yml .gitignore a/ a/x.py"
        );
        assert_eq!(names(&bench, "a").expect("walks"), "a/x.py");
        assert_eq!(names(&bench, "out/b").expect("walks"), "out/b/c.py");
        assert!(names(&bench, "nothing").expect_err("missing").contains("look at what is there"));
    }

    #[tokio::test]
    async fn links_are_not_followed() {
        let bench = Bench::new(&[("a/b.txt", "")]).await;
        std::os::unix::fs::symlink("..", bench.path("a/loop")).expect("links");
        std::os::unix::fs::symlink("/etc", bench.path("etc")).expect("links");
        assert_eq!(names(&bench, ".").expect("walks"), "a/ a/b.txt a/loop etc");
        assert!(names(&bench, "a/loop").expect_err("a link").contains("symlink"));
    }

    #[tokio::test]
    async fn a_cancelled_walk_ends() {
        let bench = Bench::new(&[("a", "")]).await;
        let cancel = CancellationToken::new();
        cancel.cancel();
        let walked = walk(&bench.place, ".", &cancel, |_| ControlFlow::Continue(()));
        assert!(walked.expect_err("cancelled").contains("stopped"));
    }
}
