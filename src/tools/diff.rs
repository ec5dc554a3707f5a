//! Reads unified diffs.
//!
//! Pure, and tolerant of what models do to them: wrong counts, bare `@@`, prose around. Applying
//! them is the business of `hunks`.

/// Changes to one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileDiff {
    /// The file before; none when it is created.
    pub old: Option<String>,
    /// The file after; none when it is deleted.
    pub new: Option<String>,
    /// Whether it is created as a program.
    pub executable: bool,
    /// The pieces, in order.
    pub hunks: Vec<Hunk>,
}

/// One piece of a diff.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hunk {
    /// First line in the old file, from 1; behind it when there is no old line; none when the diff
    /// does not say.
    pub start: Option<usize>,
    /// The lines with their marks.
    pub lines: Vec<Line>,
}

/// One line of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// What becomes of it.
    pub mark: Mark,
    /// Its text, a carriage return at the end included.
    pub text: String,
    /// Whether the diff says that no line end follows.
    pub open: bool,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It stays; it is there for context.
    Keep,
    /// It goes.
    Remove,
    /// It is new.
    Add,
}

/// Reads a diff of one or more files.
pub(super) fn parse(text: &str) -> Result<Vec<FileDiff>, String> {
    let lines: Vec<&str> = text.split('\n').collect();
    let (mut files, mut at) = (Vec::<FileDiff>::new(), 0);
    while at < lines.len() {
        let line = lines[at].trim_end_matches('\r');
        if let Some(rest) = line.strip_prefix("diff --git ") {
            files.push(git_header(rest));
            at += 1;
        } else if is_header(&lines, at) {
            header(&mut files, line, lines[at + 1].trim_end_matches('\r'))?;
            at += 2;
        } else if line.starts_with("@@") {
            let Some(file) = files.last_mut() else {
                return Err(format!(
                    "line {}: a hunk without `--- a/path` and `+++ b/path` before it",
                    at + 1
                ));
            };
            let (hunk, next) = hunk(&lines, at);
            if hunk.lines.is_empty() {
                return Err(format!("line {}: the hunk is empty", at + 1));
            }
            file.hunks.push(hunk);
            at = next;
        } else {
            extended(&mut files, line)?;
            at += 1;
        }
    }
    files.retain(|file| file.old.is_some() || file.new.is_some());
    if files.is_empty() {
        return Err(
            "no unified diff in it; a file's part begins with `--- a/path` and `+++ b/path`, \
                    then hunks that begin with `@@ -line,count +line,count @@`"
                .to_owned(),
        );
    }
    match files.iter().find(|file| file.hunks.is_empty() && file.old == file.new) {
        Some(file) => Err(format!("`{}` has no hunk", file.new.as_deref().unwrap_or_default())),
        None => Ok(files),
    }
}

fn is_header(lines: &[&str], at: usize) -> bool {
    let next = |n: usize| lines.get(at + n).copied().unwrap_or_default();
    lines[at].starts_with("--- ") && next(1).starts_with("+++ ")
}

/// `a/path b/path`: names for a file without hunks; `---` and `+++` lines are clearer and win.
fn git_header(rest: &str) -> FileDiff {
    let halves = rest.split_once(" b/").map(|(old, new)| (name(old), Some(new.to_owned())));
    let (old, new) = halves.unwrap_or_default();
    FileDiff { old, new, ..FileDiff::default() }
}

fn header(files: &mut Vec<FileDiff>, old: &str, new: &str) -> Result<(), String> {
    let (old, new) = (name(&old[4..]), name(&new[4..]));
    if old.is_none() && new.is_none() {
        return Err("a part of the diff is about /dev/null only".to_owned());
    }
    match files.last_mut() {
        // The part that `diff --git` began.
        Some(file)
            if file.hunks.is_empty() && (file.new == new || file.old == old || new.is_none()) =>
        {
            (file.old, file.new) = (old, new);
        }
        _ => files.push(FileDiff { old, new, ..FileDiff::default() }),
    }
    Ok(())
}

/// Git's own lines between `diff --git` and the hunks; anything else between files is prose.
fn extended(files: &mut [FileDiff], line: &str) -> Result<(), String> {
    let Some(file) = files.last_mut().filter(|file| file.hunks.is_empty()) else {
        return Ok(());
    };
    if line.starts_with("new file mode 120000") || line.starts_with("new mode ") {
        return Err(format!("`{line}`: links and modes cannot be patched; use bash"));
    }
    if line.starts_with("GIT binary patch") || line.starts_with("Binary files ") {
        return Err("binary files cannot be patched".to_owned());
    }
    if line.starts_with("new file mode ") {
        file.old = None;
        file.executable = line.ends_with("755");
    } else if line.starts_with("deleted file mode ") {
        file.new = None;
    } else if let Some(path) = line.strip_prefix("rename from ") {
        file.old = Some(unquoted(path));
    } else if let Some(path) = line.strip_prefix("rename to ") {
        file.new = Some(unquoted(path));
    }
    Ok(())
}

/// Returns the path of a header without prefix and time stamp; none for `/dev/null`.
fn name(text: &str) -> Option<String> {
    let path = unquoted(text.split('\t').next().unwrap_or_default().trim());
    if path == "/dev/null" {
        return None;
    }
    let bare = path.strip_prefix("a/").or_else(|| path.strip_prefix("b/"));
    Some(bare.unwrap_or(&path).to_owned())
}

/// Git quotes odd names like C does: `"caf\303\251"`.
fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return text.to_owned();
    };
    let (mut bytes, mut rest) = (Vec::new(), inner.as_bytes());
    while let [first, tail @ ..] = rest {
        rest = tail;
        let [escaped, tail @ ..] = rest else {
            bytes.push(*first);
            break;
        };
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        rest = tail;
        let octal = [Some(escaped), tail.first(), tail.get(1)].map(|d| d.copied().unwrap_or(b'x'));
        if octal.iter().all(|d| (b'0'..=b'7').contains(d)) {
            let value = octal.iter().fold(0_u32, |sum, d| sum * 8 + u32::from(d - b'0'));
            bytes.push(u8::try_from(value & 0xff).unwrap_or_default());
            rest = &tail[2..];
        } else {
            bytes.push(match escaped {
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                other => *other,
            });
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads the hunk that begins at a line, and returns the line behind it.
fn hunk(lines: &[&str], at: usize) -> (Hunk, usize) {
    let (start, mut old, mut new) = numbers(lines[at]);
    let mut hunk = Hunk { start, lines: Vec::new() };
    let mut next = at + 1;
    while let Some(line) = lines.get(next) {
        let last = next + 1 == lines.len();
        let counted = old > 0 || new > 0;
        let ends = line.starts_with("@@")
            || line.starts_with("diff --git ")
            || is_header(lines, next)
                && (!counted || lines.get(next + 2).is_some_and(|l| l.starts_with("@@")));
        if ends || last && line.is_empty() {
            break;
        }
        let (mark, text) = match line.chars().next() {
            Some('+') => (Mark::Add, &line[1..]),
            Some('-') => (Mark::Remove, &line[1..]),
            Some(' ') => (Mark::Keep, &line[1..]),
            Some('\\') => {
                if let Some(line) = hunk.lines.last_mut() {
                    line.open = true;
                }
                next += 1;
                continue;
            }
            // Editors and models strip the blank of an empty context line.
            None | Some('\r') if counted => (Mark::Keep, *line),
            _ => break,
        };
        old = if mark == Mark::Add { old } else { old.saturating_sub(1) };
        new = if mark == Mark::Remove { new } else { new.saturating_sub(1) };
        hunk.lines.push(Line { mark, text: text.to_owned(), open: false });
        next += 1;
    }
    (hunk, next)
}

/// Returns the start and both counts of `@@ -start,count +start,count @@`.
fn numbers(line: &str) -> (Option<usize>, usize, usize) {
    let part = |sign: char| -> Option<(usize, usize)> {
        let part = line.split_whitespace().find_map(|word| word.strip_prefix(sign))?;
        let (start, count) = part.split_once(',').unwrap_or((part, "1"));
        Some((start.parse().ok()?, count.parse().ok()?))
    };
    let (old, new) = (part('-'), part('+'));
    let count = |part: Option<(usize, usize)>| part.map_or(0, |(_, count)| count);
    (old.map(|(start, _)| start), count(old), count(new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        let text = "diff --git a/old b/new\nsimilarity index 100%\nrename from old\nrename to new\n\
            diff --git \"a/caf\\303\\251\" \"b/caf\\303\\251\"\n--- \"a/caf\\303\\251\"\t2020\n+++ \"b/caf\\303\\251\"\n@@ -1 +1 @@\n-a\n+b\n\
            diff --git a/gone b/gone\ndeleted file mode 100644\nindex 1..0\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n\
            diff --git a/empty b/empty\nnew file mode 100644\nindex 0..e\n";
        let files = parse(text).expect("parses");
        let names: Vec<_> =
            files.iter().map(|f| (f.old.as_deref(), f.new.as_deref(), f.hunks.len())).collect();
        assert_eq!(
            names,
            [
                (Some("old"), Some("new"), 0),
                (Some("café"), Some("café"), 1),
                (Some("gone"), None, 1),
                (None, Some("empty"), 0)
            ]
        );
    }

    #[test]
    fn garbage_is_told() {
        for (text, word) in [
            ("", "no unified diff"),
            ("hello\n", "no unified diff"),
            ("@@ -1 +1 @@\n-a\n+b\n", "without `--- a/path`"),
            ("--- a/x\n+++ b/x\n", "has no hunk"),
            ("--- a/x\n+++ b/x\n@@ -1 +1 @@\nnonsense\n", "hunk is empty"),
            ("diff --git a/x b/x\nGIT binary patch\n", "binary"),
            ("diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", "modes cannot"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(word), "{text:?}: {error}");
        }
    }
}
