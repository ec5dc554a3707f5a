//! Which files a task will change, foreseen before it begins. Pure.
//!
//! A declared scope is taken at its word. Else the files that the issue names count, and those that
//! used to change together with them. The forecast only delays tasks that would collide; how right
//! it was is said at the end, as precision and recall against what was changed.

use std::collections::{BTreeMap, BTreeSet};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::protocol::batch::BatchTask;

/// How often two files must have changed together.
const TOGETHER: usize = 3;
/// In how many of a file's changes, in percent, the other must have changed as well.
const SHARE: usize = 60;

/// What is known of a repository's files.
#[derive(Clone, Debug, Default)]
pub struct Files {
    all: Vec<String>,
    by_name: BTreeMap<String, Vec<usize>>,
    /// How often each file changed, and each pair of files together.
    changes: BTreeMap<String, usize>,
    pairs: BTreeMap<String, BTreeMap<String, usize>>,
}

impl Files {
    /// Returns what a list of files and of the changes of commits, each a list of files, tell.
    pub fn new(all: Vec<String>, commits: &[Vec<String>]) -> Self {
        let mut files = Self::default();
        for (at, path) in all.iter().enumerate() {
            files.by_name.entry(name_of(path).to_owned()).or_default().push(at);
        }
        // A commit that changes very much says nothing of what belongs together.
        for commit in commits.iter().filter(|commit| commit.len() <= 30) {
            for path in commit {
                *files.changes.entry(path.clone()).or_default() += 1;
                let others = commit.iter().filter(|other| *other != path);
                let pairs = files.pairs.entry(path.clone()).or_default();
                others.for_each(|other| *pairs.entry(other.clone()).or_default() += 1);
            }
        }
        Self { all, ..files }
    }

    /// Returns the files that a task is expected to change; none when nothing speaks for any.
    pub fn foresee(&self, task: &BatchTask) -> BTreeSet<String> {
        if !task.scope.is_empty() {
            return self.matching(&task.scope);
        }
        let named = self.named(&task.text());
        let mut foreseen = named.clone();
        for path in &named {
            let changes = self.changes.get(path).copied().unwrap_or_default();
            let near = self.pairs.get(path).into_iter().flatten();
            let near =
                near.filter(|(_, count)| **count >= TOGETHER && **count * 100 >= changes * SHARE);
            foreseen.extend(near.map(|(other, _)| other.clone()));
        }
        foreseen
    }

    /// Returns the files that match, and the globs themselves: they stand for files to be made.
    fn matching(&self, scope: &[String]) -> BTreeSet<String> {
        let globs = globs(scope);
        let hits = self.all.iter().filter(|path| globs.is_match(path));
        hits.cloned().chain(scope.iter().cloned()).collect()
    }

    /// Returns the files that a text names by path, or by a name that only one file has.
    fn named(&self, text: &str) -> BTreeSet<String> {
        let apart = |c: char| !(c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-'));
        let words = text.split(apart).map(|word| word.trim_matches('.').trim_start_matches("./"));
        let mut named = BTreeSet::new();
        for word in words.filter(|word| word.contains('.')) {
            let Some(same) = self.by_name.get(name_of(word)) else { continue };
            let path = |at: &&usize| {
                let path = &self.all[**at];
                path == word || path.ends_with(&format!("/{word}"))
            };
            let mut hits = same.iter().filter(path);
            if let (Some(&at), None) = (hits.next(), hits.next()) {
                named.insert(self.all[at].clone());
            }
        }
        named
    }
}

/// Returns whether a text is a glob relative to the repository's root.
pub fn is_glob(text: &str) -> bool {
    let inside = !text.trim().is_empty() && !text.starts_with('/') && !text.contains("..");
    inside && GlobBuilder::new(text).build().is_ok()
}

/// Returns what matches these globs; a folder stands for all below it.
pub fn globs(scope: &[String]) -> GlobSet {
    let mut globs = GlobSetBuilder::new();
    for glob in scope {
        for glob in [glob.clone(), format!("{}/**", glob.trim_end_matches('/'))] {
            if let Ok(glob) = GlobBuilder::new(&glob).literal_separator(true).build() {
                globs.add(glob);
            }
        }
    }
    globs.build().unwrap_or_default()
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// How right forecasts were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accuracy {
    /// Files that were foreseen and changed.
    pub hits: usize,
    /// Files that were foreseen.
    pub foreseen: usize,
    /// Files that were changed.
    pub changed: usize,
}

impl Accuracy {
    /// Counts one task in; globs that match no file do not count as foreseen.
    pub fn count(&mut self, foreseen: &BTreeSet<String>, changed: &[String]) {
        let files: Vec<_> = foreseen.iter().filter(|path| !path.contains('*')).collect();
        self.hits += files.iter().filter(|path| changed.contains(path)).count();
        self.foreseen += files.len();
        self.changed += changed.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        let all = ["src/lib.rs", "src/a.rs", "src/b.rs", "docs/a.md", "tests/a.rs", "README.md"];
        let both = vec!["src/b.rs".to_owned(), "docs/a.md".to_owned()];
        let mut commits = vec![both; 3];
        commits.push(vec!["src/b.rs".to_owned(), "README.md".to_owned()]);
        Files::new(all.map(str::to_owned).to_vec(), &commits)
    }

    fn foreseen(text: &str, scope: &[&str]) -> Vec<String> {
        let scope = scope.iter().map(|glob| (*glob).to_owned()).collect();
        let task = BatchTask { body: text.to_owned(), scope, ..BatchTask::default() };
        files().foresee(&task).into_iter().collect()
    }

    #[test]
    fn a_declared_scope_is_taken_at_its_word() {
        assert_eq!(foreseen("b.rs", &["src"]), ["src", "src/a.rs", "src/b.rs", "src/lib.rs"]);
        assert_eq!(foreseen("", &["*.md"]), ["*.md", "README.md"]);
        assert_eq!(foreseen("", &["new/*.py"]), ["new/*.py"]);
    }

    #[test]
    fn what_an_issue_names_counts_and_what_changes_with_it() {
        assert_eq!(foreseen("see `src/a.rs`, line 3.", &[]), ["src/a.rs"]);
        assert_eq!(foreseen("lib.rs is wrong", &[]), ["src/lib.rs"]);
        assert_eq!(foreseen("a.rs is two files", &[]), Vec::<String>::new());
        assert_eq!(foreseen("b.rs", &[]), ["docs/a.md", "src/b.rs"]);
        assert_eq!(foreseen("the median is wrong", &[]), Vec::<String>::new());
    }

    #[test]
    fn accuracy_counts_files() {
        let mut accuracy = Accuracy::default();
        let foreseen = ["a", "b", "x/*"].map(str::to_owned).into_iter().collect();
        accuracy.count(&foreseen, &["b".to_owned(), "c".to_owned()]);
        assert_eq!(accuracy, Accuracy { hits: 1, foreseen: 2, changed: 2 });
    }
}
