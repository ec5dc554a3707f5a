//! What a path given by a model means, decided on its text alone.
//!
//! The place resolves beneath its descriptor afterwards, so a symlink cannot lead out either; this
//! file gives the clear answer and the normal form that all other decisions are made on.

/// Returns the path relative to the tree in normal form, `.` for the tree itself; none when it
/// leads out of the tree or cannot be a path.
///
/// An absolute path is taken as inside when it lies beneath `seen_as`, the path that the agent
/// sees its tree at.
pub fn normalise(seen_as: &str, path: &str) -> Option<String> {
    if path.contains('\0') {
        return None;
    }
    let relative = match path.strip_prefix('/') {
        Some(_) => {
            let rest = path.strip_prefix(seen_as.trim_end_matches('/'))?;
            // `/repo-other` is no part of `/repo`.
            if !rest.is_empty() && !rest.starts_with('/') {
                return None;
            }
            rest
        }
        None => path,
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
}

/// Returns whether no tool may write there: git's own files, and grafter's, anywhere in the tree.
///
/// Case does not count, because on some file systems `.GIT` is `.git`.
pub fn is_protected(path: &str) -> bool {
    path.split('/').any(|part| {
        [".git", ".grafter"]
            .iter()
            .any(|name| part.trim_end_matches(['.', ' ']).eq_ignore_ascii_case(name))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_inside_get_their_normal_form() {
        for (path, normal) in [
            ("a/./b//c", "a/b/c"),
            ("./a/../b", "b"),
            ("/repo/a", "a"),
            ("/repo", "."),
            ("", "."),
            ("a..b/c", "a..b/c"),
            (" a\nb", " a\nb"),
        ] {
            assert_eq!(normalise("/repo/", path).as_deref(), Some(normal), "{path:?}");
        }
    }

    #[test]
    fn paths_outside_are_refused() {
        for path in ["..", "a/../..", "/", "/etc/passwd", "/repo-other/a", "/repo/../x", "a\0b"] {
            assert_eq!(normalise("/repo", path), None, "{path:?}");
        }
    }

    #[test]
    fn git_and_grafter_files_are_protected() {
        for path in [".git", ".git/config", "sub/.git/hooks/x", ".GIT/a", ".grafter/a", ".git./a"] {
            assert!(is_protected(path), "{path}");
        }
        for path in [".gitignore", "a/git", ".github/workflows/a.yml", "grafter"] {
            assert!(!is_protected(path), "{path}");
        }
    }

    proptest! {
        #[test]
        fn the_normal_form_is_inside_and_stable(path in "[a./\u{0}~ -]{0,24}") {
            if let Some(normal) = normalise("/repo", &path) {
                prop_assert!(!normal.starts_with('/') && !normal.split('/').any(|p| p == ".."));
                prop_assert_eq!(normalise("/repo", &normal), Some(normal.clone()));
            }
        }
    }
}
