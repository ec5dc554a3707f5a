//! Setup that is paid once: commands that make what git ignores and checks need.
//!
//! Installing dependencies takes minutes and comes out the same for the same lock files. So the
//! commands of `[setup]` run once for each content of the files that they read, in a throw-away place
//! of their own, and what they made is kept outside the repository. Each place of a commit with these
//! files sees it: folders to share are shown to its commands read-only, the others are copied.
//!
//! Their names are the user's, or a trusted repository's; what lies there is whatever commands left,
//! so nothing is followed that is a link.

mod options;

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::{
    git::{facts, program::GitError, repo::Repo, tree},
    protocol::ids::{Oid, RunId},
    sandbox::probe::Backend,
    subagent::share,
};

pub use options::{Options, SetupError};

/// Files that say which dependencies there are, as the tools that read them name them.
const KNOWN: [&str; 20] = [
    "Cargo.lock",
    "Gemfile.lock",
    "Pipfile.lock",
    "bun.lock",
    "composer.lock",
    "go.mod",
    "go.sum",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "package.json",
    "pnpm-lock.yaml",
    "poetry.lock",
    "pyproject.toml",
    "requirements-dev.txt",
    "requirements.txt",
    "rust-toolchain.toml",
    "setup.cfg",
    "setup.py",
    "uv.lock",
    "yarn.lock",
];
/// Kept whatever their age.
const KEPT: usize = 3;
/// How long others are kept after they were last used.
const IDLE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The file in a setup's folder that says that it is whole.
const DONE: &str = ".grafter-done";

/// What one commit needs.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Where it is kept.
    pub(super) folder: PathBuf,
    /// What makes it.
    pub(super) options: Options,
}

/// Returns what a commit needs; none where nothing is set up.
pub(super) fn plan(
    repo: &Repo,
    commit: &Oid,
    (options, store): (&Options, &Path),
) -> Result<Option<Plan>, SetupError> {
    if options.run.is_empty() {
        return Ok(None);
    }
    let made: Vec<&str> = options.share.iter().chain(&options.copy).map(String::as_str).collect();
    if let Some(name) = made.iter().find(|name| !share::is_below(name)) {
        return Err(SetupError::Name { name: (*name).to_owned() });
    }
    if let Some((name, _)) = facts::entries(repo, commit, &made)?.into_iter().next() {
        return Err(SetupError::Tracked { name, commit: commit.clone() });
    }
    let folder = store.join(key(options, &read(repo, commit, &options.reads)?));
    Ok(Some(Plan { folder, options: options.clone() }))
}

/// Returns the objects of what the commands read.
fn read(repo: &Repo, commit: &Oid, reads: &[String]) -> Result<Vec<(String, Oid)>, GitError> {
    let named: Vec<&str> = reads.iter().map(String::as_str).collect();
    let found = match named.is_empty() {
        true => facts::entries(repo, commit, &KNOWN)?,
        false => return facts::entries(repo, commit, &named),
    };
    match found.is_empty() {
        true => Ok(vec![(String::new(), repo.tree_of(commit)?)]),
        false => Ok(found),
    }
}

/// Returns the name of what these commands make of these files, with the programs on PATH.
fn key(options: &Options, read: &[(String, Oid)]) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut feed = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    for list in [&options.run, &options.share, &options.copy] {
        feed(&list.len().to_string());
        list.iter().for_each(|text| feed(text));
    }
    for (path, oid) in read {
        feed(path);
        feed(oid.as_str());
    }
    feed(&env::var_os("PATH").unwrap_or_default().to_string_lossy());
    hasher.finalize().to_hex()[..16].to_owned()
}

/// Returns where the setups of a repository lie whose trees lie in this folder.
pub fn store(trees: &Path) -> PathBuf {
    let mut name = trees.as_os_str().to_owned();
    name.push(".setups");
    PathBuf::from(name)
}

/// Returns the file with the output of a run's teardown commands.
pub(super) fn log(store: &Path, run: &RunId) -> PathBuf {
    store.join(format!("teardown-{run}.txt"))
}

/// What was made, on the host, with its name below the checkout.
#[derive(Clone, Debug, Default)]
pub(super) struct Made {
    /// Folders to show.
    pub(super) share: Named,
    /// What is copied.
    pub(super) copy: Named,
}

/// Files on the host, and their names below the checkout.
type Named = Vec<(PathBuf, PathBuf)>;

impl Made {
    /// Returns what is shown and what is copied; where commands have no view of their own, nothing
    /// can be shown.
    pub(super) fn split(&self, backend: Backend) -> (Named, Named) {
        match backend.has_own_view() {
            true => (self.share.clone(), self.copy.clone()),
            false => (Vec::new(), [self.share.as_slice(), &self.copy].concat()),
        }
    }
}

impl Plan {
    /// Returns what was made, if it was, and notes that it is used.
    pub(super) fn known(&self) -> Option<Made> {
        let mark = fs::File::options().append(true).open(self.folder.join(DONE)).ok()?;
        // Only its order among others depends on it.
        let _ = mark.set_modified(SystemTime::now());
        let whole = |name: &String| (self.folder.join(name), PathBuf::from(name));
        Some(Made {
            share: self.options.share.iter().map(whole).collect(),
            copy: self.options.copy.iter().map(whole).collect(),
        })
    }

    /// Returns a file beside the folder.
    pub(super) fn beside(&self, what: &str) -> PathBuf {
        self.folder.with_extension(what)
    }

    /// Moves what the commands made in a tree, in which nothing runs any more, to where it is kept.
    pub(super) fn keep(&self, tree: &Path) -> Result<Made, SetupError> {
        let Self { folder, options } = self;
        let _ = tree::erase(folder);
        fs::create_dir_all(folder).map_err(SetupError::file("make", folder))?;
        let missing =
            |name: &str| SetupError::Missing { name: name.to_owned(), log: self.beside("log") };
        for name in options.share.iter().chain(&options.copy) {
            let (from, to) = (tree.join(name), folder.join(name));
            let folder_wanted = options.share.contains(name);
            if !share::is_real(tree, name) || (folder_wanted && !from.is_dir()) {
                return Err(missing(name));
            }
            let above = to.parent().unwrap_or(folder);
            fs::create_dir_all(above).map_err(SetupError::file("make", above))?;
            fs::rename(&from, &to).map_err(SetupError::file("keep", &from))?;
        }
        let done = folder.join(DONE);
        fs::write(&done, b"").map_err(SetupError::file("write", &done))?;
        self.known().ok_or_else(|| missing(DONE))
    }
}

/// Takes setups away that nobody has used for long.
pub(super) fn forget(store: &Path, now: SystemTime) {
    let entries = fs::read_dir(store).into_iter().flatten().flatten();
    let used = |path: &Path| fs::metadata(path.join(DONE)).and_then(|found| found.modified()).ok();
    let mut known: Vec<(SystemTime, PathBuf)> =
        entries.filter_map(|entry| Some((used(&entry.path())?, entry.path()))).collect();
    known.sort_unstable();
    known.truncate(known.len().saturating_sub(KEPT));
    known.retain(|(used, _)| now.duration_since(*used).is_ok_and(|idle| idle > IDLE));
    let logs = fs::read_dir(store).into_iter().flatten().flatten().filter(|entry| {
        let is_log = entry.file_name().to_string_lossy().starts_with("teardown-");
        let written = entry.metadata().and_then(|found| found.modified()).ok();
        is_log && written.and_then(|at| now.duration_since(at).ok()).is_some_and(|age| age > IDLE)
    });
    logs.for_each(|entry| drop(fs::remove_file(entry.path())));
    for (_, path) in known {
        if let Err(error) = tree::erase(&path) {
            tracing::warn!(%error, "an old setup stays behind");
        }
        for what in ["log", "lock", "failed"] {
            let _ = fs::remove_file(path.with_extension(what));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::git::fixture::Fixture;

    fn options() -> Options {
        Options {
            run: vec!["make deps".to_owned()],
            share: vec!["deps".to_owned()],
            ..Options::default()
        }
    }

    fn folder(fixture: &Fixture, commit: &Oid, options: &Options) -> PathBuf {
        let store = fixture.beside("store");
        plan(&fixture.repo(), commit, (options, &store)).unwrap().unwrap().folder
    }

    #[test]
    fn a_setup_is_made_again_only_when_what_it_reads_has_changed() {
        let fixture = Fixture::small();
        let plain = fixture.oid("HEAD");
        fixture.write("package-lock.json", b"{}");
        let locked = fixture.commit("lock");
        fixture.write("src/other.txt", b"x");
        let other = fixture.commit("other");
        let options = options();
        let of = |commit| folder(&fixture, commit, &options);
        assert_eq!(of(&locked), of(&other), "no lock file has changed");
        assert_ne!(of(&plain), of(&locked));
        let reads = Options { reads: vec!["src".to_owned()], ..options.clone() };
        let of = |commit| folder(&fixture, commit, &reads);
        assert_ne!(of(&locked), of(&other), "it reads what has changed");
        let longer = Options { run: vec!["make all".to_owned()], ..options.clone() };
        assert_ne!(folder(&fixture, &other, &options), folder(&fixture, &other, &longer));
        let none = Options { run: Vec::new(), ..options };
        let store = fixture.beside("store");
        assert!(plan(&fixture.repo(), &other, (&none, &store)).unwrap().is_none());
    }

    #[test]
    fn without_lock_files_it_depends_on_the_whole_tree() {
        let fixture = Fixture::small();
        let first = fixture.oid("HEAD");
        fixture.write("src/other.txt", b"x");
        let second = fixture.commit("other");
        assert_ne!(folder(&fixture, &first, &options()), folder(&fixture, &second, &options()));
    }

    #[test]
    fn names_of_tracked_or_foreign_things_are_refused() {
        let fixture = Fixture::small();
        fixture.write("deps/vendored.txt", b"x");
        let commit = fixture.commit("vendored");
        let refusal = |name: &str| {
            let options = Options { share: vec![name.to_owned()], ..options() };
            let store = fixture.beside("store");
            plan(&fixture.repo(), &commit, (&options, &store)).unwrap_err().to_string()
        };
        assert!(refusal("deps").contains("is in commit"), "{}", refusal("deps"));
        for name in ["", ".", "..", "../x", "/etc", "a/../../b", ".git", ".git/hooks"] {
            assert!(refusal(name).contains("no path below the checkout"), "{name}");
        }
    }

    #[test]
    fn a_link_in_the_stead_of_what_should_be_made_is_nothing_made() {
        let fixture = Fixture::small();
        let (tree, outside) = (fixture.beside("tree"), fixture.beside("outside"));
        fs::create_dir_all(outside.join("deps")).unwrap();
        fs::create_dir_all(tree.join("real/deps")).unwrap();
        symlink(&outside, tree.join("linked")).unwrap();
        let plan = |name: &str| Plan {
            folder: fixture.beside("store/key"),
            options: Options { share: vec![name.to_owned()], ..options() },
        };
        let error = plan("linked/deps").keep(&tree).unwrap_err().to_string();
        assert!(error.contains("made no `linked/deps`"), "{error}");
        assert!(outside.join("deps").is_dir());
        assert!(plan("linked/deps").known().is_none(), "a failure is no result");
        let made = plan("real/deps").keep(&tree).unwrap();
        assert!(made.share[0].0.is_dir());
        assert!(plan("real/deps").known().is_some());
    }

    #[test]
    fn the_last_three_setups_and_those_of_the_last_week_are_kept() {
        let fixture = Fixture::small();
        let store = fixture.beside("store");
        let (now, day) = (SystemTime::now(), Duration::from_secs(24 * 60 * 60));
        for (name, days) in [("a", 30), ("b", 20), ("c", 10), ("d", 9), ("e", 1)] {
            fs::create_dir_all(store.join(name)).unwrap();
            fs::write(store.join(name).with_extension("log"), b"").unwrap();
            let mark = fs::File::create(store.join(name).join(DONE)).unwrap();
            mark.set_modified(now - day * days).unwrap();
        }
        forget(&store, now);
        let mut left: Vec<String> = fs::read_dir(&store)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["c", "c.log", "d", "d.log", "e", "e.log"]);
        forget(&store, now + day * 300);
        assert_eq!(fs::read_dir(&store).unwrap().count(), 6, "three are kept whatever their age");
    }
}
