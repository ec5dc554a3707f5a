//! What a path means, decided on its text alone.
//!
//! Those that a model gives to a tool get the one normal form on which all decisions are made; the
//! place resolves beneath its descriptor afterwards, so a symlink cannot lead out either. Those in
//! a command are made absolute, known symlinks followed, and compared by component.

use crate::guard::gate::ShellFacts;

/// Most symlinks followed for one path; more is a loop, also to the kernel.
pub(super) const MAX_LINKS: usize = 40;

/// Returns the path relative to the tree in normal form, `.` for the tree itself; none when it
/// leads out of the tree or cannot be a path.
///
/// An absolute path is taken as inside when it lies beneath `seen_as`, the path that the agent
/// sees its tree at.
pub fn normalise(seen_as: &str, path: &str) -> Option<String> {
    if path.contains('\0') {
        return None;
    }
    let relative = if path.starts_with('/') { within(seen_as, path)? } else { path };
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
/// On some file systems `.GIT` is `.git`.
pub fn is_protected(path: &str) -> bool {
    path.split('/').any(|part| [".git", ".grafter"].contains(&plain(part).as_str()))
}

/// Returns a component of a path as file systems may take it that know no case, and no dots and
/// blanks at an end.
pub fn plain(part: &str) -> String {
    part.trim_end_matches(['.', ' ']).to_lowercase()
}

/// Returns the absolute path that `path` means in the directory `cwd`.
pub fn absolute(facts: &ShellFacts, cwd: &str, path: &str) -> String {
    let mut found: Vec<String> = Vec::new();
    let mut rest: Vec<String> = parts(path);
    if !path.starts_with('/') {
        rest.extend(parts(cwd));
    }
    let mut links = 0;
    while let Some(part) = rest.pop() {
        match part.as_str() {
            "." => {}
            ".." => {
                found.pop();
            }
            _ => {
                found.push(part);
                let here = format!("/{}", found.join("/"));
                if let Some(to) = facts.links.get(&here)
                    && links < MAX_LINKS
                {
                    links += 1;
                    found.pop();
                    if to.starts_with('/') {
                        found.clear();
                    }
                    rest.extend(parts(to));
                }
            }
        }
    }
    format!("/{}", found.join("/"))
}

/// Returns the components of a path, the last one first.
fn parts(path: &str) -> Vec<String> {
    path.split('/').rev().filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Returns whether `path` is `folder` or lies beneath it, component by component.
pub fn beneath(folder: &str, path: &str) -> bool {
    within(folder, path).is_some()
}

/// Returns the part of `path` beneath `folder`, without a leading slash; `/repo-other` is no part
/// of `/repo`.
pub fn within<'p>(folder: &str, path: &'p str) -> Option<&'p str> {
    let rest = path.strip_prefix(folder.trim_end_matches('/'))?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

/// Returns the text with characters that only look like dots and slashes replaced by what they
/// look like, percent signs decoded, and whether that changed anything.
///
/// Compatibility normalisation turns some of these into ASCII; the division slashes it does not.
pub fn folded(text: &str) -> (String, bool) {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{ff01}'..='\u{ff5e}' => {
                folded.extend(char::from_u32(u32::from(c) - 0xfee0));
            }
            '\u{2024}' | '\u{fe52}' | '\u{a4f8}' | '\u{0701}' | '\u{0702}' => folded.push('.'),
            '\u{2025}' | '\u{fe30}' => folded.push_str(".."),
            '\u{2026}' | '\u{fe19}' => folded.push_str("..."),
            '\u{2044}' | '\u{2215}' | '\u{29f8}' | '\u{2571}' | '\u{1735}' => folded.push('/'),
            c => folded.push(c),
        }
    }
    for (code, plain) in [("%2e", "."), ("%2E", "."), ("%2f", "/"), ("%2F", "/")] {
        if folded.contains(code) {
            folded = folded.replace(code, plain);
        }
    }
    let changed = folded != text;
    (folded, changed)
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
