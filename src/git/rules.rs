//! Which untracked files git would ignore.
//!
//! `.gitignore` files of the tree go before the repository's `info/exclude`, that before the
//! user's own file; a deeper `.gitignore` goes before one above it. Last come grafter's own rules
//! for what running programs leave behind: they hold only where no other rule speaks, and not for
//! what an agent has written on purpose.

use std::{
    collections::{BTreeSet, HashMap},
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::{Arc, LazyLock},
};

use git2::Repository;
use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder, gitconfig_excludes_path},
};

use crate::{
    git::{
        program::GitError,
        repo::{Repo, tree_in},
    },
    protocol::ids::Oid,
};

/// What running programs leave behind, where nobody else has a rule for it.
static DERIVED: LazyLock<Gitignore> =
    LazyLock::new(|| compile(include_bytes!("derived.gitignore")));

/// What becomes of an untracked path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is followed.
    Kept,
    /// A rule of the repository or of its user leaves it out.
    Ignored,
    /// A program left it behind.
    Derived,
}

/// The rules of one repository, with those of each folder compiled once.
#[derive(Debug)]
pub struct Rules {
    /// Outside the tree, the strongest first.
    fixed: Vec<Gitignore>,
    known: HashMap<Vec<u8>, (Vec<u8>, Arc<Gitignore>)>,
    /// What an agent has written on purpose.
    meant: BTreeSet<Vec<u8>>,
    /// What is never followed, whatever a rule says.
    never: BTreeSet<Vec<u8>>,
}

/// The rules in force in a folder.
#[derive(Debug)]
pub struct Level {
    folder: Vec<u8>,
    rules: Arc<Gitignore>,
    above: Option<Arc<Level>>,
}

impl Rules {
    /// Reads the rules that lie outside the tree.
    pub fn new(repo: &Repo) -> Self {
        let own = repo.open().and_then(|library| {
            let config = library.config().and_then(|mut config| config.snapshot());
            let path = config.and_then(|config| config.get_path("core.excludesFile"));
            path.map_err(GitError::library("read the configuration"))
        });
        let files = [
            Some(repo.common_dir().join("info/exclude")),
            own.ok().or_else(gitconfig_excludes_path),
        ];
        let read = |path| fs::read(path).ok();
        let fixed = files.into_iter().flatten().filter_map(read).map(|text| compile(&text));
        Self {
            fixed: fixed.collect(),
            known: HashMap::new(),
            meant: BTreeSet::new(),
            never: BTreeSet::new(),
        }
    }

    /// Returns the rules in force in a folder with this `.gitignore`.
    pub fn enter(
        &mut self,
        folder: &[u8],
        text: Vec<u8>,
        above: Option<Arc<Level>>,
    ) -> Option<Arc<Level>> {
        let rules = match self.known.get(folder) {
            Some((old, rules)) if *old == text => Arc::clone(rules),
            _ => {
                let rules = Arc::new(compile(&text));
                self.known.insert(folder.to_owned(), (text, Arc::clone(&rules)));
                rules
            }
        };
        Some(Arc::new(Level { folder: folder.to_owned(), rules, above }))
    }

    /// Notes that paths are never followed.
    pub fn leave(&mut self, paths: Vec<Vec<u8>>) {
        self.never.extend(paths);
    }

    /// Notes that a path was written on purpose, so that no program's name for it counts.
    pub fn mean(&mut self, path: &[u8]) {
        self.meant.insert(path.to_owned());
    }

    /// Returns whether a path, or something below it, was written on purpose.
    pub fn is_meant(&self, path: &[u8]) -> bool {
        let start = [path, b"/"].concat();
        let below = |found: &Vec<u8>| found.starts_with(&start);
        self.meant.contains(path) || self.meant.range(start.clone()..).next().is_some_and(below)
    }

    /// Judges an untracked path; its folder is known not to be ignored.
    pub fn judge(&self, level: Option<&Level>, path: &[u8], is_dir: bool) -> Verdict {
        if self.never.contains(path) {
            return Verdict::Ignored;
        }
        let mut at = level;
        while let Some(level) = at {
            let skip = if level.folder.is_empty() { 0 } else { level.folder.len() + 1 };
            match level.rules.matched(as_path(&path[skip..]), is_dir) {
                Match::Ignore(_) => return Verdict::Ignored,
                Match::Whitelist(_) => return Verdict::Kept,
                Match::None => at = level.above.as_deref(),
            }
        }
        let verdict = self.fixed.iter().map(|rules| rules.matched(as_path(path), is_dir));
        match verdict.into_iter().find(|verdict| !verdict.is_none()) {
            Some(found) if found.is_ignore() => Verdict::Ignored,
            None if DERIVED.matched(as_path(path), is_dir).is_ignore() => Verdict::Derived,
            _ => Verdict::Kept,
        }
    }
}

/// Returns those of the checkout's folders of which a commit holds nothing, and whose content git
/// ignores. A Python environment is not ignored itself: a rule file in it says so of what it holds.
pub fn free_folders<'n>(
    repo: &Repo,
    commit: &Oid,
    names: &[&'n String],
) -> Result<Vec<&'n String>, GitError> {
    let library =
        Repository::open(repo.git_dir()).map_err(GitError::library("open the repository"))?;
    let tree = tree_in(&library, commit)?;
    let is_free = |name: &Path| {
        let ignored = library.is_path_ignored(name.join("any")).unwrap_or(false);
        ignored && tree.get_path(name).is_err()
    };
    Ok(names.iter().copied().filter(|name| is_free(Path::new(name))).collect())
}

/// Compiles the rules of one file; lines that are no rules are left out, as git does.
fn compile(text: &[u8]) -> Gitignore {
    let mut builder = GitignoreBuilder::new(".");
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    for line in text.split(|byte| *byte == b'\n') {
        if let Ok(line) = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)) {
            let _ = builder.add_line(None, line);
        }
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
