//! What the user's side of a repository looks like, so that a run can prove what it left alone.
//!
//! A print is taken when a run begins and once more when it ends; two prints that agree say that
//! nothing which they hold was touched in between. They cannot say who touched what differs: the
//! user may work in the checkout meanwhile. A file counts as touched when its size, mode, inode or
//! one of its times differs; nobody but root sets the time of the last change of an inode, so a
//! write that puts everything back is seen as well.
//!
//! Looked at: the files of the checkout that git tracks or would offer to add, HEAD, the index, all
//! refs but grafter's own, the stash, the configuration, the hooks and `info`. Not looked at: files
//! that git ignores, submodules' own git directories, and everything beyond the repository.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

use git2::Repository;
use ignore::WalkBuilder;

use crate::git::{refs, repo::Repo};

/// The most files that are looked at; a larger checkout is reported as looked at in part.
const MAX_FILES: usize = 200_000;
/// What the git directories hold besides refs and the index, by the name it is reported under.
const FILES: [(&str, &str); 7] = [
    ("HEAD", "HEAD"),
    ("stash", "logs/refs/stash"),
    ("config", "config"),
    ("config", "config.worktree"),
    ("info", "info/attributes"),
    ("info", "info/exclude"),
    ("info", "info/sparse-checkout"),
];
/// Refs that are grafter's.
const OURS: [&str; 2] = ["refs/grafter/", "refs/heads/grafter/"];

/// How the user's side of a repository looks at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Print {
    seen: BTreeMap<String, blake3::Hash>,
    /// What could not be looked at, and why.
    pub unseen: Vec<String>,
    /// How many files of the checkout were looked at.
    pub files: u64,
    /// How many refs were looked at.
    pub refs: u64,
}

impl Print {
    /// Looks at a repository.
    pub fn of(repo: &Repo) -> Self {
        let mut print = Self::default();
        print.checkout(repo.checkout());
        print.index(repo);
        print.refs(repo);
        for dir in [repo.git_dir(), repo.common_dir()] {
            for (name, file) in FILES {
                print.bytes(name, &dir.join(file));
            }
            print.folder("hook", &dir.join("hooks"));
        }
        print
    }

    /// Returns whether it holds that name.
    pub fn has(&self, name: &str) -> bool {
        self.seen.contains_key(name)
    }

    /// Returns one hash over all that was seen.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (name, hash) in &self.seen {
            hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
            hasher.update(hash.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Returns the names of what is not the same in a later print, such as `file src/a.rs`.
    pub fn changed(&self, later: &Self) -> Vec<String> {
        let names =
            self.seen.keys().chain(later.seen.keys().filter(|k| !self.seen.contains_key(*k)));
        let mut names: Vec<String> =
            names.filter(|name| self.seen.get(*name) != later.seen.get(*name)).cloned().collect();
        names.sort();
        names
    }

    fn checkout(&mut self, root: &Path) {
        let walk = WalkBuilder::new(root)
            .hidden(false)
            .ignore(false)
            .filter_entry(|entry| entry.file_name() != ".git")
            .build();
        for entry in walk {
            match entry {
                Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_dir()) => {}
                Ok(entry) => self.stat(root, entry.path()),
                Err(error) => self.unseen.push(error.to_string()),
            }
            if self.files as usize >= MAX_FILES {
                self.unseen.push(format!("files after the first {MAX_FILES}"));
                return;
            }
        }
    }

    fn stat(&mut self, root: &Path, path: &Path) {
        let name = path.strip_prefix(root).unwrap_or(path).as_os_str().as_bytes();
        let name = format!("file {}", text(name));
        if self.seen.contains_key(&name) {
            return;
        }
        // One that went away meanwhile is not there: what is not in a print was not seen.
        let Ok(meta) = fs::symlink_metadata(path) else { return };
        let facts = [
            meta.len().cast_signed(),
            i64::from(meta.mode()),
            meta.ino().cast_signed(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
        ];
        self.seen.insert(name, blake3::hash(&facts.map(i64::to_le_bytes).concat()));
        self.files += 1;
    }

    /// Takes in the entries of the index, not its bytes: `git status` of the user's rewrites those.
    fn index(&mut self, repo: &Repo) {
        let index = Repository::open(repo.git_dir()).and_then(|library| library.index());
        let index = match index {
            Ok(index) => index,
            Err(error) => return self.unseen.push(format!("the index: {}", error.message())),
        };
        for entry in index.iter() {
            let stage = (entry.flags >> 12) & 3;
            let name = format!("index {}", text(&entry.path));
            let facts = [entry.id.as_bytes(), &entry.mode.to_le_bytes(), &stage.to_le_bytes()];
            let known = self.seen.get(&name).map(|hash| hash.as_bytes().to_vec());
            let all = [known.unwrap_or_default(), facts.concat()].concat();
            self.seen.insert(name, blake3::hash(&all));
            // A tracked file that an ignore rule hides was not met in the walk.
            let path = std::ffi::OsStr::from_bytes(&entry.path);
            self.stat(repo.checkout(), &repo.checkout().join(path));
        }
    }

    fn refs(&mut self, repo: &Repo) {
        let all = match refs::list(repo, "refs/") {
            Ok(all) => all,
            Err(error) => return self.unseen.push(format!("the refs: {error}")),
        };
        for (name, id) in all {
            if !OURS.iter().any(|own| name.starts_with(own)) {
                self.seen.insert(format!("ref {name}"), blake3::hash(id.as_str().as_bytes()));
                self.refs += 1;
            }
        }
    }

    fn bytes(&mut self, name: &str, path: &Path) {
        if let Ok(bytes) = fs::read(path) {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let key = if name == file { name.to_owned() } else { format!("{name} {file}") };
            let before = self.seen.get(&key).map(|hash| hash.as_bytes().to_vec());
            let all = [before.unwrap_or_default(), bytes].concat();
            self.seen.insert(key, blake3::hash(&all));
        }
    }

    fn folder(&mut self, name: &str, dir: &Path) {
        let Ok(entries) = fs::read_dir(dir) else { return };
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        paths.iter().for_each(|path| self.bytes(name, path));
    }
}

/// Returns a name as text; bytes that are none are told apart by their escapes.
fn text(name: &[u8]) -> String {
    std::str::from_utf8(name).map_or_else(|_| name.escape_ascii().to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    /// Returns what a deed changes.
    fn after(fixture: &Fixture, deed: impl FnOnce()) -> Vec<String> {
        let before = Print::of(&fixture.repo());
        assert_eq!(before.unseen, Vec::<String>::new());
        deed();
        let after = Print::of(&fixture.repo());
        let changed = before.changed(&after);
        assert_eq!(changed.is_empty(), before.digest() == after.digest());
        changed
    }

    #[test]
    fn each_part_is_seen_to_change_and_nothing_else() {
        let fixture = Fixture::small();
        fixture.write(".gitignore", b"*.log\n");
        fixture.write("kept.log", b"1");
        fixture.git(&["add", "-f", "kept.log", ".gitignore"]);
        fixture.commit("second");
        let git = |args: &[&str]| drop(fixture.git(args));
        assert_eq!(after(&fixture, || git(&["status"])), Vec::<String>::new());
        let write = |name: &str, text: &str| fixture.write(name, text.as_bytes());
        assert_eq!(after(&fixture, || write("new.txt", "n")), ["file new.txt"]);
        assert_eq!(after(&fixture, || write("kept.log", "2")), ["file kept.log"]);
        assert_eq!(after(&fixture, || git(&["add", "new.txt"])), ["index new.txt"]);
        assert_eq!(after(&fixture, || git(&["tag", "t"])), ["ref refs/tags/t"]);
        assert_eq!(after(&fixture, || git(&["config", "a.b", "c"])), ["config"]);
        let hook = || write(".git/hooks/post-checkout", "x");
        assert_eq!(after(&fixture, hook), ["hook post-checkout"]);
        assert_eq!(after(&fixture, || write(".git/info/exclude", "x")), ["info exclude"]);
        let away = || git(&["checkout", "-q", "--detach"]);
        assert_eq!(after(&fixture, away), ["HEAD"]);
        let stash = after(&fixture, || git(&["stash"]));
        assert!(stash.contains(&"ref refs/stash".to_owned()), "{stash:?}");
        assert!(stash.contains(&"stash".to_owned()), "{stash:?}");
    }

    #[test]
    fn grafters_own_refs_and_ignored_files_are_not_the_users_side() {
        let fixture = Fixture::small();
        fixture.write(".gitignore", b"target\n");
        let changed = after(&fixture, || {
            fixture.git(&["branch", "grafter/r/t"]);
            fixture.git(&["update-ref", "refs/grafter/snap/r/a", "HEAD"]);
            fixture.write("target/x", b"x");
        });
        assert_eq!(changed, Vec::<String>::new());
    }

    #[test]
    fn a_write_that_puts_the_old_bytes_and_times_back_is_seen() {
        let fixture = Fixture::small();
        let path = fixture.root.join("a.txt");
        let changed = after(&fixture, || {
            let times = fs::metadata(&path).unwrap().modified().unwrap();
            // The clock of a file system may tick slowly.
            let ctime = || fs::metadata(&path).map(|m| (m.ctime(), m.ctime_nsec())).unwrap();
            let then = ctime();
            while ctime() == then {
                fs::write(&path, b"one\n").unwrap();
                fs::File::options().write(true).open(&path).unwrap().set_modified(times).unwrap();
            }
        });
        assert_eq!(changed, ["file a.txt"]);
    }
}
