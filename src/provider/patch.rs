//! Reads which lines a unified diff touches, on both sides.

/// One file of a diff.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchedFile {
    /// Its path before; none for a new file.
    pub old: Option<String>,
    /// Its path after; none for a deleted file.
    pub new: Option<String>,
    /// First and last line of each hunk, before.
    pub old_lines: Vec<(u32, u32)>,
    /// First and last line of each hunk, after.
    pub new_lines: Vec<(u32, u32)>,
}

/// Returns the files of a unified diff; what is none gives nothing.
pub fn files(diff: &str) -> Vec<PatchedFile> {
    let mut files: Vec<PatchedFile> = Vec::new();
    // Lines still to come in the hunk: a removed `-- a/x` must not be taken for a file header.
    let (mut removed, mut added) = (0, 0);
    let mut lines = diff.lines().peekable();
    while let Some(line) = lines.next() {
        if removed > 0 || added > 0 {
            match line.as_bytes().first() {
                Some(b'-') => removed -= 1,
                Some(b'+') => added -= 1,
                Some(b'\\') => {}
                _ => (removed, added) = (removed - 1, added - 1),
            }
            continue;
        }
        if let Some(old) = line.strip_prefix("--- ")
            && let Some(new) = lines.next_if(|next| next.starts_with("+++ "))
        {
            let (old, new) = (path(old, "a/"), path(&new[4..], "b/"));
            files.push(PatchedFile { old, new, ..PatchedFile::default() });
        } else if let Some((old, new)) = hunk(line)
            && let Some(file) = files.last_mut()
        {
            (removed, added) = (i64::from(old.1), i64::from(new.1));
            file.old_lines.extend(span(old));
            file.new_lines.extend(span(new));
        }
    }
    files
}

fn path(field: &str, prefix: &str) -> Option<String> {
    let field = field.split('\t').next().unwrap_or(field).trim_end();
    let bare = field.strip_prefix(prefix).unwrap_or(field);
    (field != "/dev/null" && !bare.is_empty()).then(|| bare.to_owned())
}

/// Reads `@@ -1,3 +1,4 @@`: start and count on both sides.
fn hunk(line: &str) -> Option<((u32, u32), (u32, u32))> {
    let (old, rest) = line.strip_prefix("@@ -")?.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    let side = |text: &str| {
        let (start, count) = text.split_once(',').unwrap_or((text, "1"));
        Some((start.parse().ok()?, count.parse().ok()?))
    };
    Some((side(old)?, side(new)?))
}

fn span((start, count): (u32, u32)) -> Option<(u32, u32)> {
    // A side without lines names the line before it; there is nothing to see.
    (count > 0).then(|| (start.max(1), start.saturating_add(count - 1).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_every_hunk_are_found() {
        let diff = "diff --git a/x.py b/x.py\nindex 1..2\n--- a/x.py\t2026\n+++ b/x.py\n\
                    @@ -3,2 +3,3 @@ def f():\n a\n--- b/trap\n+++ c/trap\n+d\n@@ -9 +10 @@\n-q\n+r\n\
                    --- /dev/null\n+++ b/new.py\n@@ -0,0 +1,2 @@\n+1\n+2\n\
                    --- a/gone.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n";
        let [changed, new, gone] = &files(diff)[..] else { panic!("three files") };
        assert_eq!(changed.old.as_deref(), Some("x.py"));
        assert_eq!(changed.old_lines, [(3, 4), (9, 9)]);
        assert_eq!(changed.new_lines, [(3, 5), (10, 10)]);
        assert_eq!((new.old.as_deref(), new.new.as_deref()), (None, Some("new.py")));
        assert_eq!((new.old_lines.len(), new.new_lines.as_slice()), (0, &[(1, 2)][..]));
        assert_eq!((gone.new.as_deref(), gone.new_lines.len()), (None, 0));
    }

    #[test]
    fn nonsense_gives_nothing() {
        for text in ["", "hello", "@@ -1 +1 @@", "--- a\n", "--- a\n+++ b\n@@ -x,9 +1 @@\n"] {
            assert!(files(text).iter().all(|file| file.old_lines.is_empty()), "{text}");
        }
        let odd = files("--- a\n+++ b\n@@ -4294967295,4294967295 +1 @@\n-x\n");
        assert_eq!(odd[0].old_lines, [(u32::MAX, u32::MAX)]);
    }
}
