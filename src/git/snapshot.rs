//! Saves a tree's files as git trees, again and again, at the cost of what changed.
//!
//! A [`Tracker`] remembers each file's fingerprint and object. A scan compares fingerprints; only
//! files whose fingerprint changed, or was taken so close to the last change that a second change
//! could hide behind it, are read again. Tracked files are followed whether or not a rule ignores
//! them; untracked ones honour the ignore rules, and what programs leave behind while they run stays
//! out. Bytes are kept as they are unless an attribute
//! of the user's own commit or a setting converts them; then the git program decides. Files over [`large::LIMIT`] are kept
//! beside the repository with a pointer text in the snapshot; [`Tracker::whole`] gives the tree
//! with their real content, for a commit. Submodules keep their recorded commit.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    io::{self, ErrorKind, Read},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use git2::{ObjectType, Repository};

use crate::{
    git::{
        attributes::{self, Conversion},
        diff,
        files::{Entry, Files, load},
        include, large,
        layers::{Above, Lower, Over},
        patch,
        program::{Git, GitError, Site},
        repo::{Repo, named, raw, tree_in},
        rules::Rules,
        scan::{self, Content, EXECUTABLE, Found, LINK, PLAIN, Scan, is_within},
        tree,
    },
    protocol::ids::Oid,
    sandbox::lock::{Pass, Writing},
};

/// A saved state of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its files.
    pub tree: Oid,
    /// What differs from the snapshot before, sorted; bytes that are no UTF-8 are replaced.
    pub changed: Vec<String>,
    /// Files for which the tree holds a pointer text only, because of their size.
    pub large: Vec<String>,
    /// What could not be read or named, and therefore is as it was in the snapshot before.
    pub skipped: Vec<String>,
}

/// Follows one tree.
#[derive(Debug)]
pub struct Tracker {
    repo: Repo,
    site: Site,
    top: OwnedFd,
    rules: Rules,
    conversion: Conversion,
    modes_count: bool,
    files: Files,
    /// Where it is an overlay, of which only the upper layer is looked at.
    over: Option<Over>,
    /// The tree of the last scan.
    tree: git2::Oid,
    /// The tree of the last snapshot that was handed out.
    told: git2::Oid,
    skipped: BTreeSet<Vec<u8>>,
    derived: Vec<Vec<u8>>,
    /// Its writer's.
    pass: Option<Pass>,
}

impl Tracker {
    /// Begins to follow a tree that grafter made; `base` is what its files are compared with
    /// first, a commit or a tree.
    pub fn new(repo: &Repo, tree: &Path, base: &Oid) -> Result<Self, GitError> {
        let site = tree::site(repo, tree);
        let library = repo.open()?;
        let config = library.config().map_err(GitError::library("read the configuration"))?;
        let base = tree_in(&library, base)?.id();
        let conversion = attributes::in_tree(&library, &tree_in(&library, repo.attributes())?)?;
        let over = Over::of(tree);
        let mut rules = Rules::new(repo);
        rules.leave(include::copied(tree));
        let top = over.as_ref().map_or_else(|| tree.to_owned(), Over::upper);
        let files = match &over {
            Some(_) => Files::new(),
            None => load(&library, base, &site.index)?,
        };
        Ok(Self {
            top: scan::open_top(&top).map_err(GitError::file("open", &top))?,
            rules,
            conversion: conversion.max(attributes::outside(repo)),
            modes_count: config.get_bool("core.fileMode").unwrap_or(true),
            files,
            over,
            tree: base,
            told: base,
            skipped: BTreeSet::new(),
            derived: Vec::new(),
            pass: None,
            repo: repo.clone(),
            site,
        })
    }

    /// Binds what is saved and restored to a writer's turn.
    pub fn bound(self, pass: Pass) -> Self {
        Self { pass: Some(pass), ..self }
    }

    /// Saves the tree's files; none when nothing changed since the last snapshot.
    pub fn snapshot(&mut self) -> Result<Option<Snapshot>, GitError> {
        let pass = self.pass.clone();
        let _writing = enter(pass.as_ref())?;
        let tree = self.current()?;
        if self.tree == self.told {
            return Ok(None);
        }
        let changed = diff::changed_paths(&self.repo, &named(self.told), &tree)?;
        self.told = self.tree;
        let text = |path: &Vec<u8>| String::from_utf8_lossy(path).into_owned();
        let large = self.files.iter().filter(|(_, entry)| entry.large).map(|(path, _)| text(path));
        let large = large.collect();
        Ok(Some(Snapshot { tree, changed, large, skipped: self.skipped() }))
    }

    /// Returns the tree of the files as they are now, without counting as a snapshot.
    pub fn current(&mut self) -> Result<Oid, GitError> {
        if let Some(base) = self.over.as_ref().map(|over| raw(&over.base)).transpose()? {
            return self.current_above(base);
        }
        let scan = scan::walk(&self.top, &self.files, &mut self.rules)
            .map_err(GitError::file("read", &self.site.work_tree))?;
        self.note(&scan);
        let gone = self.gone(&scan);
        let look: Vec<&Found> = scan.files.iter().filter(|found| self.is_new(found)).collect();
        if gone.is_empty() && look.is_empty() {
            return Ok(named(self.tree));
        }
        let library = self.repo.open()?;
        let mut changes = self.read(&library, look)?;
        for path in gone {
            self.files.remove(&path);
            changes.insert(path, None);
        }
        self.tree = patch::apply(&library, self.tree, &changes)?;
        Ok(named(self.tree))
    }

    /// Returns the tree of an overlay: what lies below it, changed by what its upper layer says.
    fn current_above(&mut self, base: git2::Oid) -> Result<Oid, GitError> {
        let library = self.repo.open()?;
        let lower = Lower::new(&library, base);
        let above = Above { files: &self.files, lower: &lower };
        let scan = scan::walk(&self.top, &above, &mut self.rules)
            .map_err(GitError::file("read", &self.site.work_tree))?;
        self.note(&scan);
        let there: BTreeSet<&[u8]> = scan.files.iter().map(|found| &*found.path).collect();
        self.files.retain(|path, _| there.contains(path.as_slice()) || is_unread(&scan, path));
        for found in scan.files.iter().filter(|found| !lower.is_hidden(&scan, &found.path)) {
            if let Some(entry) = lower.entry(&found.path) {
                self.files.entry(found.path.clone()).or_insert(entry);
            }
        }
        let look = scan.files.iter().filter(|found| self.is_new(found)).collect();
        self.read(&library, look)?;
        let hidden = scan.hidden.iter().filter(|path| !path.is_empty());
        let hidden = hidden.map(|path| (path.clone(), None));
        let own =
            self.files.iter().map(|(path, entry)| (path.clone(), Some((entry.mode, entry.oid))));
        self.tree = patch::apply(&library, base, &hidden.chain(own).collect())?;
        Ok(named(self.tree))
    }

    fn note(&mut self, scan: &Scan) {
        self.skipped = scan.unread.iter().cloned().collect();
        self.derived.clone_from(&scan.derived);
    }

    /// Reads files into the object store; returns what differs from what they held before.
    fn read(
        &mut self,
        library: &Repository,
        look: Vec<&Found>,
    ) -> Result<BTreeMap<Vec<u8>, patch::Change>, GitError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut changes = BTreeMap::new();
        for found in look {
            let mut store = Store { tracker: self, library, now };
            match store.read(found) {
                Ok(entry) => {
                    let old = self.files.insert(found.path.clone(), entry.clone());
                    if old.is_none_or(|old| (old.mode, old.oid) != (entry.mode, entry.oid)) {
                        changes.insert(found.path.clone(), Some((entry.mode, entry.oid)));
                    }
                }
                // It vanished or changed its kind while we looked, or may not be read: it stays
                // as it was, and the next scan looks again.
                Err(GitError::File { doing: "read", .. }) => {
                    self.skipped.insert(found.path.clone());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(changes)
    }

    /// Returns the paths that the last scan could not read; they stand as they were before.
    pub fn skipped(&self) -> Vec<String> {
        self.skipped.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect()
    }

    /// Notes that a file was written on purpose: whatever it is called, it is followed.
    pub fn mean(&mut self, path: &str) {
        self.rules.mean(path.as_bytes());
    }

    /// Returns what the last scan left out because running programs left it behind, sorted.
    pub fn derived(&self) -> Vec<String> {
        let mut derived: Vec<String> =
            self.derived.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect();
        derived.sort();
        derived
    }

    /// Returns the tree of the last scan with the real content of large files in it.
    pub fn whole(&self) -> Result<Oid, GitError> {
        let _writing = enter(self.pass.as_ref())?;
        let library = self.repo.open()?;
        let mut changes: BTreeMap<Vec<u8>, patch::Change> = BTreeMap::new();
        for (path, entry) in self.files.iter().filter(|(_, entry)| entry.large) {
            let blob = library.find_blob(entry.oid).map_err(GitError::library("read a pointer"))?;
            let Some(kept) = large::behind(&self.repo, blob.content()) else { continue };
            let mut named_as = std::ffi::OsString::from("--path=");
            named_as.push(OsStr::from_bytes(path));
            let oid = Git::tree(&self.site, "hash-object").arg("-w").arg(named_as).arg(kept);
            changes.insert(path.clone(), Some((entry.mode, raw(&Oid::new(oid.line()?))?)));
        }
        Ok(named(patch::apply(&library, self.tree, &changes)?))
    }

    /// Makes the working tree equal to a snapshot's tree; files that its rules ignore are left
    /// alone. Nothing may run in the tree meanwhile.
    pub fn restore(&mut self, tree: &Oid) -> Result<(), GitError> {
        let pass = self.pass.clone();
        let _writing = enter(pass.as_ref())?;
        let wanted = self.repo.tree_of(tree)?;
        let mut current = self.current()?;
        // The second round takes what only the rules of the state left behind ignored.
        for _ in 0..2 {
            if current == wanted {
                break;
            }
            self.switch(&current, tree)?;
            current = self.current()?;
        }
        self.told = self.tree;
        Ok(())
    }

    fn switch(&mut self, current: &Oid, tree: &Oid) -> Result<(), GitError> {
        if let Some(over) = &self.over {
            over.lay(&self.site.work_tree)?;
        }
        let mut draft = self.site.clone();
        draft.index.as_mut_os_string().push(".half");
        match fs::copy(&self.site.index, &draft.index) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                return Err(GitError::file("copy", &self.site.index)(e));
            }
            _ => {}
        }
        Git::tree(&draft, "read-tree").args(["--reset", current.as_str()]).ok()?;
        // Says by its exit code that files differ, which is no failure.
        Git::tree(&draft, "update-index").args(["-q", "--refresh"]).run()?;
        Git::tree(&draft, "read-tree").args(["-u", "--reset", tree.as_str()]).ok()?;
        fs::rename(&draft.index, &self.site.index)
            .map_err(GitError::file("rename", &draft.index))?;
        let library = self.repo.open()?;
        let base = tree_in(&library, tree)?.id();
        match self.over {
            Some(_) => {
                self.files.clear();
                self.current()?;
            }
            None => self.files = load(&library, base, &self.site.index)?,
        }
        self.unfold_large(&library)?;
        (self.tree, self.told) = (base, base);
        Ok(())
    }

    /// Puts the real content of large files where a restored tree has their pointers.
    fn unfold_large(&self, library: &Repository) -> Result<(), GitError> {
        for (path, entry) in self.files.iter().filter(|(_, e)| matches!(e.mode, PLAIN | EXECUTABLE))
        {
            let size = library.odb().and_then(|odb| odb.read_header(entry.oid)).map(|head| head.0);
            if !matches!(size, Ok(90..=120)) {
                continue;
            }
            let blob = library.find_blob(entry.oid).map_err(GitError::library("read a pointer"))?;
            if let Some(kept) = large::behind(&self.repo, blob.content()) {
                let path = self.site.work_tree.join(as_path(path));
                fs::copy(&kept, &path).map(drop).map_err(GitError::file("write", &path))?;
            }
        }
        Ok(())
    }

    fn is_new(&self, found: &Found) -> bool {
        let mode = self.mode_of(found);
        !self
            .files
            .get(&found.path)
            .is_some_and(|entry| entry.sure && entry.stat == found.stat && entry.mode == mode)
    }

    /// Returns the tracked paths that are no longer there; what could not be read stays.
    fn gone(&self, scan: &Scan) -> Vec<Vec<u8>> {
        let mut there: BTreeSet<&[u8]> = scan.files.iter().map(|f| f.path.as_slice()).collect();
        there.extend(scan.modules.iter().map(Vec::as_slice));
        let gone = self.files.iter().filter(|(path, entry)| {
            !entry.left_out && !there.contains(path.as_slice()) && !is_unread(scan, path)
        });
        gone.map(|(path, _)| path.clone()).collect()
    }

    fn mode_of(&self, found: &Found) -> u32 {
        if self.modes_count || found.mode == LINK {
            return found.mode;
        }
        match self.files.get(&found.path) {
            Some(entry) if entry.mode == EXECUTABLE => EXECUTABLE,
            _ => PLAIN,
        }
    }
}

/// Reads changed files into the object store.
struct Store<'a> {
    tracker: &'a Tracker,
    library: &'a Repository,
    now: Duration,
}

impl Store<'_> {
    fn read(&mut self, found: &Found) -> Result<Entry, GitError> {
        let path = self.tracker.site.work_tree.join(as_path(&found.path));
        let failed = |source| GitError::File { doing: "read", path: path.clone(), source };
        let odd = || failed(io::Error::other("it changed its kind meanwhile"));
        let mode = self.tracker.mode_of(found);
        let content = scan::open_file(&self.tracker.top, &found.path).map_err(failed)?;
        let mut large = false;
        let oid = match (content, mode) {
            (Content::Link(target), LINK) => self.put(&found.path, &target)?,
            (Content::File(mut file), PLAIN | EXECUTABLE) => {
                let meta = file.metadata().map_err(failed)?;
                if !meta.is_file() {
                    return Err(odd());
                }
                if meta.len() > large::LIMIT {
                    match self.unchanged(found, &file)? {
                        Some(oid) => oid,
                        None => {
                            large = true;
                            let pointer = large::keep(&self.tracker.repo, file)?;
                            self.put(&found.path, &pointer)?
                        }
                    }
                } else {
                    let mut bytes = Vec::new();
                    file.by_ref().take(large::LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
                    self.file(&found.path, bytes)?
                }
            }
            _ => return Err(odd()),
        };
        let sure = found.stat.is_settled(self.now);
        Ok(Entry { mode, oid, stat: found.stat, sure, left_out: false, large })
    }

    fn file(&self, path: &[u8], bytes: Vec<u8>) -> Result<git2::Oid, GitError> {
        if !self.tracker.conversion.touches(&bytes) {
            return self.put(path, &bytes);
        }
        let git = Git::tree(&self.tracker.site, "hash-object").args(["-w", "--stdin"]);
        let mut named_as = std::ffi::OsString::from("--path=");
        named_as.push(OsStr::from_bytes(path));
        raw(&Oid::new(git.arg(named_as).stdin(bytes).line()?))
    }

    /// Stores bytes unless they are what the path held before.
    fn put(&self, path: &[u8], bytes: &[u8]) -> Result<git2::Oid, GitError> {
        let oid = git2::Oid::hash_object(ObjectType::Blob, bytes)
            .map_err(GitError::library("name a file's content"))?;
        if self.tracker.files.get(path).is_some_and(|entry| entry.oid == oid) {
            return Ok(oid);
        }
        self.library.blob(bytes).map_err(GitError::storing("store a file's content", self.library))
    }

    /// Returns the object a large tracked file held before if it still holds it.
    fn unchanged(&self, found: &Found, file: &fs::File) -> Result<Option<git2::Oid>, GitError> {
        let Some(entry) = self.tracker.files.get(&found.path) else { return Ok(None) };
        let oid = if self.tracker.conversion == Conversion::Any {
            let git = Git::tree(&self.tracker.site, "hash-object").arg("--");
            raw(&Oid::new(git.arg(as_path(&found.path)).line()?))?
        } else {
            let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
            git2::Oid::hash_file(ObjectType::Blob, path)
                .map_err(GitError::library("name a file's content"))?
        };
        Ok(Some(oid).filter(|oid| *oid == entry.oid))
    }
}

/// Returns whether a path, or a folder above it, could not be read.
fn is_unread(scan: &Scan, path: &[u8]) -> bool {
    scan.unread.iter().any(|prefix| is_within(path, prefix))
}

fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

/// Refuses a writer whose turn is over.
fn enter(pass: Option<&Pass>) -> Result<Option<Writing<'_>>, GitError> {
    pass.map(Pass::enter).transpose().map_err(|fenced| GitError::Odd(fenced.to_string()))
}

#[cfg(test)]
mod kinds;
#[cfg(test)]
mod tests;
