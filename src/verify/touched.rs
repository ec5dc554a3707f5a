//! Tells reviewers which tests a patch edits or deletes.
//!
//! A patch may make tests pass by weakening them. New tests are welcome and not told; lines taken
//! from a test, tests deleted, moved away or told to skip, and the runner's own configuration are.

use std::collections::BTreeSet;

use crate::code::test_file::is_test_file;

/// Files that decide which tests run and how.
const CONFIGURATION: [&str; 8] = [
    "conftest.py",
    "pytest.ini",
    "tox.ini",
    "nextest.toml",
    "jest.config.js",
    "jest.config.ts",
    "vitest.config.ts",
    ".mocharc.json",
];

/// Marks in an added line that keep a test from running or from failing.
const SILENCERS: [&str; 14] = [
    "#[ignore",
    "#[should_panic",
    "mark.skip",
    "mark.xfail",
    "pytest.skip",
    "unittest.skip",
    "expectedFailure",
    "SkipTest",
    "it.skip(",
    "test.skip(",
    "describe.skip(",
    "xit(",
    "xdescribe(",
    "collect_ignore",
];

/// Returns one line for each file of a unified diff in which the patch edits or deletes tests.
pub fn tests_touched(diff: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    for file in files(diff) {
        found.extend(file.judge());
    }
    found.into_iter().collect()
}

/// One file of a patch.
#[derive(Default)]
struct File<'a> {
    old: &'a str,
    new: &'a str,
    removed: usize,
    silenced: bool,
    /// A hunk touches a test that stands beside the code it tests.
    inside: bool,
    /// The lines of the current hunk have entered a test.
    in_test: bool,
    /// Old and new lines that the current hunk still has.
    left: (usize, usize),
}

fn files(diff: &str) -> Vec<File<'_>> {
    let mut files: Vec<File<'_>> = Vec::new();
    for line in diff.lines() {
        let in_hunk = files.last().is_some_and(|file| file.left != (0, 0));
        if !in_hunk && (line.starts_with("diff --git ") || is_plain_start(line, files.last())) {
            files.push(File::default());
        }
        let Some(file) = files.last_mut() else { continue };
        if in_hunk { file.hunk_line(line) } else { file.head_line(line) }
    }
    files
}

/// A diff without git's own heads begins a file with `---`.
fn is_plain_start(line: &str, last: Option<&File<'_>>) -> bool {
    line.starts_with("--- ") && last.is_none_or(|file| !file.new.is_empty())
}

impl<'a> File<'a> {
    fn head_line(&mut self, line: &'a str) {
        if let Some(path) = line.strip_prefix("--- ") {
            self.old = path_of(path);
        } else if let Some(path) = line.strip_prefix("+++ ") {
            self.new = path_of(path);
        } else if let Some(path) = line.strip_prefix("rename from ") {
            self.old = unquoted(path);
        } else if let Some(path) = line.strip_prefix("rename to ") {
            self.new = unquoted(path);
        } else if let Some(names) = line.strip_prefix("diff --git ") {
            // Only for binary and empty files, which have no other lines with names.
            let (old, new) = names.split_once(" b/").unwrap_or((names, names));
            (self.old, self.new) = (path_of(old), new);
        } else if line.starts_with("deleted file mode") {
            self.new = "";
        } else if line.starts_with("new file mode") {
            self.old = "";
        } else if let Some((left, heading)) = hunk(line) {
            self.left = left;
            self.in_test = is_test_head(heading);
        }
    }

    fn hunk_line(&mut self, line: &str) {
        let (mark, text) = line.split_at(line.len().min(1));
        match mark {
            "-" => self.left.0 = self.left.0.saturating_sub(1),
            "+" => self.left.1 = self.left.1.saturating_sub(1),
            "\\" => return,
            _ => self.left = (self.left.0.saturating_sub(1), self.left.1.saturating_sub(1)),
        }
        self.in_test |= mark != "+" && is_test_head(text);
        if mark == "-" && !text.trim().is_empty() {
            self.removed += 1;
            self.inside |= self.in_test;
        }
        if mark == "+" && silences(text) {
            self.silenced = true;
            self.inside |= self.in_test || text.trim_start().starts_with("#[ignore");
        }
    }

    fn judge(&self) -> Option<String> {
        let path = if self.new.is_empty() { self.old } else { self.new };
        let is_test = is_test_file(self.old) || is_configuration(self.old);
        if is_test && self.new.is_empty() {
            return Some(format!("{path}: deleted"));
        }
        if is_test && !is_test_file(self.new) && !is_configuration(self.new) {
            return Some(format!("{}: moved away, to {}", self.old, self.new));
        }
        if self.silenced && (is_test || is_test_file(self.new) || self.inside) {
            return Some(format!("{path}: tests are told to skip or to expect failure"));
        }
        let is_edit = (is_test && self.removed > 0) || self.inside || is_configuration(self.new);
        is_edit.then(|| format!("{path}: edited, {} lines removed or replaced", self.removed))
    }
}

/// Reads `@@ -10,7 +10,8 @@ mod tests {`.
fn hunk(line: &str) -> Option<((usize, usize), &str)> {
    let (ranges, heading) = line.strip_prefix("@@ -")?.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    let count = |range: &str| match range.split_once(',') {
        Some((_, count)) => count.parse().ok(),
        None => Some(1),
    };
    Some(((count(old)?, count(new)?), heading))
}

/// Returns whether a line of code begins a test or a module of tests.
fn is_test_head(line: &str) -> bool {
    let line = line.trim();
    let begins =
        ["#[test]", "#[cfg(test)]", "mod tests", "def test_", "async def test_", "fn test_"];
    begins.iter().any(|mark| line.starts_with(mark))
        || line.contains("::test]")
        || (line.starts_with("class Test") && line.ends_with(':'))
        || line.contains("(unittest.TestCase)")
}

fn silences(line: &str) -> bool {
    // Go's `t.Skip` is told from other things that end in a t by its place.
    SILENCERS.iter().any(|word| line.contains(word)) || line.trim_start().starts_with("t.Skip")
}

fn is_configuration(path: &str) -> bool {
    CONFIGURATION.contains(&path.rsplit('/').next().unwrap_or(path))
}

/// Returns the path of `a/path`, `b/path` or `"a/quoted"`; empty for `/dev/null`.
fn path_of(text: &str) -> &str {
    let text = text.split_once('\t').map_or(text, |(path, _time)| path);
    let text = unquoted(text);
    if text == "/dev/null" {
        return "";
    }
    text.strip_prefix("a/").or_else(|| text.strip_prefix("b/")).unwrap_or(text)
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(diff: &str, expect: &[&str]) {
        assert_eq!(tests_touched(diff), expect, "{diff}");
    }

    fn file(old: &str, new: &str, hunk: &str) -> String {
        format!("diff --git a/{old} b/{new}\n--- a/{old}\n+++ b/{new}\n{hunk}")
    }

    #[test]
    fn an_edited_test_file_is_told_and_a_grown_one_is_not() {
        let edit = "@@ -1,2 +1,2 @@\n def test_a():\n-    assert f() == 1\n+    assert f()\n";
        let told = ["tests/test_a.py: edited, 1 lines removed or replaced"];
        check(&file("tests/test_a.py", "tests/test_a.py", edit), &told);
        let growth = "@@ -1,1 +1,2 @@\n def test_a():\n+    assert f()\n";
        check(&file("tests/test_a.py", "tests/test_a.py", growth), &[]);
        check(
            &file("src/a.py", "src/a.py", edit),
            &["src/a.py: edited, 1 lines removed or replaced"],
        );
    }

    #[test]
    fn code_that_is_no_test_is_not_told() {
        let hunk = "@@ -1,2 +1,1 @@ fn contest() {\n-    attest();\n latest();\n";
        check(&file("src/attest.rs", "src/attest.rs", hunk), &[]);
        check("", &[]);
        check("no diff at all\n-x\n+y\n", &[]);
    }

    #[test]
    fn deleted_and_moved_tests_are_told() {
        let deleted = "diff --git a/a_test.go b/a_test.go\ndeleted file mode 100644\n--- a/a_test.go\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-x\n";
        check(deleted, &["a_test.go: deleted"]);
        let empty = "diff --git a/tests/x.bin b/tests/x.bin\ndeleted file mode 100644\nindex 1..0\nBinary files a/tests/x.bin and /dev/null differ\n";
        check(empty, &["tests/x.bin: deleted"]);
        let moved = "diff --git a/tests/t.rs b/old/t.rs\nsimilarity index 100%\nrename from tests/t.rs\nrename to old/t.rs\n";
        check(moved, &["tests/t.rs: moved away, to old/t.rs"]);
        let within = "diff --git a/tests/t.rs b/tests/u.rs\nsimilarity index 100%\nrename from tests/t.rs\nrename to tests/u.rs\n";
        check(within, &[]);
    }

    #[test]
    fn tests_beside_the_code_are_seen() {
        let heading =
            "@@ -90,3 +90,2 @@ mod tests {\n     let x = 1;\n-    assert_eq!(x, 1);\n }\n";
        let told = ["src/a.rs: edited, 1 lines removed or replaced"];
        check(&file("src/a.rs", "src/a.rs", heading), &told);
        let context = "@@ -1,4 +1,2 @@\n #[test]\n-fn a() {\n-}\n }\n";
        let told = ["src/a.rs: edited, 2 lines removed or replaced"];
        check(&file("src/a.rs", "src/a.rs", context), &told);
    }

    #[test]
    fn silenced_tests_are_told() {
        let hunk = "@@ -1,1 +1,2 @@\n+#[ignore]\n #[test]\n";
        let told = ["tests/a.rs: tests are told to skip or to expect failure"];
        check(&file("tests/a.rs", "tests/a.rs", hunk), &told);
        let told = ["src/a.rs: tests are told to skip or to expect failure"];
        check(&file("src/a.rs", "src/a.rs", hunk), &told);
        let go = "@@ -1,1 +1,2 @@\n func TestA(t *testing.T) {\n+\tt.Skip()\n";
        let told = ["a_test.go: tests are told to skip or to expect failure"];
        check(&file("a_test.go", "a_test.go", go), &told);
        let other = "@@ -1,1 +1,2 @@\n x\n+    list.iter().skip(1);\n";
        check(&file("tests/a.rs", "tests/a.rs", other), &[]);
    }

    #[test]
    fn the_runners_configuration_counts_as_tests() {
        let hunk = "@@ -1,1 +1,2 @@\n [pytest]\n+addopts = --deselect tests/test_a.py::test_b\n";
        let told = ["sub/pytest.ini: edited, 0 lines removed or replaced"];
        check(&file("sub/pytest.ini", "sub/pytest.ini", hunk), &told);
    }

    #[test]
    fn a_line_that_looks_like_a_head_stays_in_its_hunk() {
        let hunk = "@@ -1,2 +1,1 @@\n--- a/tests/fake.py\n x\n";
        check(&file("notes.md", "notes.md", hunk), &[]);
    }

    #[test]
    fn plain_diffs_and_quoted_names() {
        let plain = "--- a/x.py\t2026-01-01\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n--- a/test_y.py\n+++ b/test_y.py\n@@ -1 +1 @@\n-a\n+b\n";
        check(plain, &["test_y.py: edited, 1 lines removed or replaced"]);
        let quoted =
            "--- \"a/tests/\\303\\251.py\"\n+++ \"b/tests/\\303\\251.py\"\n@@ -1 +1 @@\n-a\n+b\n";
        check(quoted, &["tests/\\303\\251.py: edited, 1 lines removed or replaced"]);
    }
}
