//! The hunks of a diff, the riskiest first: what a reviewer should look at before the rest. Pure.
//!
//! The score is a rule of thumb, and its reasons are shown: lines that go, much at once, files that
//! decide over builds, rights or data, and tests that change with the code they judge.

/// A piece of a diff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hunk {
    /// The file.
    pub(super) path: String,
    /// Its lines, the line with `@@` first.
    pub(super) text: String,
    /// How much there is to look at.
    pub(super) score: usize,
    /// Why, in words.
    pub(super) why: Vec<&'static str>,
}

/// What in a path makes a change weigh more.
const WEIGHTY: [(&[&str], &str); 4] = [
    (&["auth", "crypt", "secret", "passw", "token", "permission", "sandbox"], "rights"),
    (&["migrat", "schema", ".sql"], "data"),
    (&[".github/", ".ci/", "dockerfile", "makefile", "build.rs", "setup.py", "conftest"], "build"),
    (&["cargo.toml", "package.json", "pyproject.toml", "requirements", ".lock"], "dependencies"),
];

/// Returns the hunks of a unified diff, the riskiest first.
pub(super) fn by_risk(diff: &str) -> Vec<Hunk> {
    let mut hunks: Vec<Hunk> = Vec::new();
    let mut path = String::new();
    for line in diff.lines() {
        if let Some(rest) = line.strip_prefix("diff --git ") {
            path = rest.rsplit_once(" b/").map_or(rest, |(_, path)| path).to_owned();
        } else if line.starts_with("@@") || line.starts_with("Binary files") {
            let text = format!("{line}\n");
            hunks.push(Hunk { path: path.clone(), text, score: 0, why: Vec::new() });
        } else if let Some(hunk) = hunks.last_mut().filter(|hunk| hunk.path == path) {
            hunk.text.push_str(line);
            hunk.text.push('\n');
        }
    }
    hunks.iter_mut().for_each(weigh);
    hunks.sort_by_key(|hunk| std::cmp::Reverse(hunk.score));
    hunks
}

fn weigh(hunk: &mut Hunk) {
    let count = |mark: char| hunk.text.lines().filter(|line| line.starts_with(mark)).count();
    let (added, removed) = (count('+'), count('-'));
    hunk.score = added + 2 * removed;
    if removed > added && removed > 2 {
        hunk.why.push("removes more than it adds");
    }
    if added + removed > 40 {
        hunk.why.push("large");
    }
    let path = hunk.path.to_lowercase();
    for (words, why) in WEIGHTY {
        if words.iter().any(|word| path.contains(word)) {
            hunk.score = hunk.score * 3 + 10;
            hunk.why.push(why);
        }
    }
    if path.contains("test") && removed > 0 {
        hunk.score += 20;
        hunk.why.push("changes a test");
    }
    if hunk.text.starts_with("Binary") {
        hunk.score += 50;
        hunk.why.push("cannot be read");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_weighs_more_comes_first_and_says_why() {
        let diff = "diff --git a/src/a.rs b/src/a.rs\n--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1 +1 @@\n-a\n+b\n\
                    @@ -9,4 +9 @@\n-a\n-b\n-c\n-d\n+e\n\
                    diff --git a/tests/t.rs b/tests/t.rs\n@@ -1 +0,0 @@\n-assert\n\
                    diff --git a/src/auth.rs b/src/auth.rs\n@@ -1 +1 @@\n-a\n+b\n\
                    diff --git a/x.png b/x.png\nBinary files a/x.png and b/x.png differ\n";
        let hunks = by_risk(diff);
        let shown: Vec<_> = hunks
            .iter()
            .map(|hunk| format!("{} {} {:?}", hunk.path, hunk.score, hunk.why))
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        x.png 50 ["cannot be read"]
        tests/t.rs 22 ["changes a test"]
        src/auth.rs 19 ["rights"]
        src/a.rs 9 ["removes more than it adds"]
        src/a.rs 3 []
        "#);
        assert_eq!(by_risk(""), []);
    }
}
