//! Which files a writer of a part may write: declared before it begins, held when a call is decided.
//!
//! A command is held to what is known of it here; what else it has changed outside is left out when
//! its tree becomes a commit.

use globset::GlobBuilder;

use crate::guard::path::within;

/// The code of a call that would write outside its agent's scope.
pub const OUT_OF_SCOPE: &str = "E_SCOPE";

/// Returns whether a path, relative to the tree, is in a scope: one of its globs means it or a
/// folder above it. An empty scope holds everything, and a glob that cannot be read nothing.
pub fn holds(scope: &[String], path: &str) -> bool {
    scope.is_empty() || scope.iter().any(|glob| means(glob, path))
}

fn means(glob: &str, path: &str) -> bool {
    let whole = glob.trim_end_matches('/').to_owned();
    let beneath = format!("{whole}/**");
    [whole, beneath].iter().any(|glob| {
        let glob = GlobBuilder::new(glob).literal_separator(true).build();
        glob.is_ok_and(|glob| glob.compile_matcher().is_match(path))
    })
}

/// Returns the first of these absolute paths that lies in the tree and outside the scope.
pub fn first_outside<'p>(
    scope: &[String],
    root: &str,
    paths: impl IntoIterator<Item = &'p String>,
) -> Option<&'p str> {
    let mut inside = paths.into_iter().filter_map(|path| within(root, path));
    inside.find(|path| !holds(scope, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_holds_files_folders_and_globs() {
        let scope = ["src/core", "docs/*.md", "tests/**/core_*.rs", "README.md"];
        let scope = scope.map(str::to_owned);
        for path in ["src/core/a/b.rs", "src/core", "docs/a.md", "tests/x/y/core_1.rs", "README.md"]
        {
            assert!(holds(&scope, path), "{path}");
        }
        for path in ["src/corea.rs", "src/lib.rs", "docs/a/b.md", "tests/x/core.rs", "x/README.md"]
        {
            assert!(!holds(&scope, path), "{path}");
        }
        assert!(holds(&[], "anything") && !holds(&["[".to_owned()], "["));
    }

    #[test]
    fn only_what_lies_in_the_tree_is_held_to_it() {
        let scope = ["a".to_owned()];
        let paths = ["/tmp/x", "/r/a/b", "/r/b"].map(str::to_owned);
        assert_eq!(first_outside(&scope, "/r", &paths), Some("b"));
        assert_eq!(first_outside(&scope, "/r", &paths[..2]), None);
    }
}
