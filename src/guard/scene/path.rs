//! Paths in a command: made absolute, symlinks that are known followed, compared by component.

use crate::guard::gate::ShellFacts;

/// Most symlinks followed for one path; more is a loop, also to the kernel.
pub(in crate::guard) const MAX_LINKS: usize = 40;

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
    let folder = folder.trim_end_matches('/');
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns the part of `path` beneath `folder`, without a leading slash.
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
