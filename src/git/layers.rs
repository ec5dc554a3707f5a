//! Trees that cost what changes in them: an overlay over a template that trees of near commits share.
//!
//! A template holds the files of one commit, or what differs from another template's; it never
//! changes while it is there, and no agent sees it but through an overlay. What an agent changes lies
//! in its own upper folder, which *is* the list of its changes: a commit is made from that and the
//! commit below it, whatever the size of the repository, and also where the overlay is not laid, as
//! after a kill. Beside the tree `t` lies `t.over` with `upper`, the kernel's `work`, and `lower`,
//! which names what is below.

mod relief;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, DirBuilder, File},
    os::unix::{ffi::OsStrExt, fs::DirBuilderExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use git2::{ObjectType, Repository};

use crate::{
    git::{
        files::{Entry, Files},
        program::{Git, GitError, Site},
        repo::{Repo, raw},
        scan::{Below, MODULE, Scan, Stat, Tracked, is_within},
        tree,
    },
    protocol::ids::Oid,
    sandbox::overlay,
};

/// The most layers of differences over a whole template; then a whole one is made again.
const MOST_LAYERS: usize = 8;
/// More changed paths than this are not worth a layer.
const MOST_CHANGES: usize = if cfg!(test) { 50 } else { 5000 };
/// Templates that nobody uses and that are kept for whoever comes next.
const SPARE: usize = 3;

/// What the name of a folder begins with that holds a template which was changed.
const DAMAGED: &str = "damaged-";

/// What lies beside a tree that is an overlay.
#[derive(Debug)]
pub(super) struct Over {
    dir: PathBuf,
    /// The git tree whose files lie below.
    pub(super) base: Oid,
    lower: Vec<PathBuf>,
}

impl Over {
    /// Returns what lies beside a tree; none where it is no overlay.
    pub(super) fn of(tree: &Path) -> Option<Self> {
        let dir = beside(tree);
        let text = fs::read(dir.join("lower")).ok()?;
        let mut fields = text.split(|byte| *byte == 0).filter(|field| !field.is_empty());
        let base = Oid::new(std::str::from_utf8(fields.next()?).ok()?);
        let path = |field: &[u8]| PathBuf::from(std::ffi::OsStr::from_bytes(field));
        Some(Self { dir, base, lower: fields.map(path).collect() })
    }

    /// Returns the folder of what differs from the base.
    pub(super) fn upper(&self) -> PathBuf {
        self.dir.join("upper")
    }

    fn make(tree: &Path, template: &Template) -> Result<Self, GitError> {
        let dir = beside(tree);
        tree::erase(&dir)?;
        for folder in [dir.clone(), dir.join("upper"), dir.join("work")] {
            private(&folder)?;
        }
        let lower = template.layers.clone();
        let over = Self { dir, base: template.tree.clone(), lower };
        let mut text = [over.base.as_str().as_bytes(), b"\0"].concat();
        for path in &over.lower {
            text.extend(path.as_os_str().as_bytes());
            text.push(0);
        }
        let file = over.dir.join("lower");
        fs::write(&file, text).map_err(GitError::file("write", &file))?;
        Ok(over)
    }

    /// Lays the overlay over its tree, unless it is laid.
    pub(super) fn lay(&self, tree: &Path) -> Result<(), GitError> {
        if overlay::is_laid(tree) {
            return Ok(());
        }
        for layer in &self.lower {
            hold(layer.parent().unwrap_or(layer))?;
        }
        overlay::lay(&self.lower, &self.upper(), &self.dir.join("work"), tree)
            .map_err(GitError::file("lay an overlay over", tree))
    }
}

/// Returns where the folders of an overlay lie.
pub(super) fn beside(tree: &Path) -> PathBuf {
    let mut name = OsString::from(tree);
    name.push(".over");
    PathBuf::from(name)
}

/// The files of a commit, for any number of overlays.
struct Template {
    tree: Oid,
    /// Its folders, the uppermost first.
    layers: Vec<PathBuf>,
    index: PathBuf,
}

/// How near to its commit a tree's template is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Near {
    /// It is that commit's, for those that come to the same.
    Exact,
    /// It is any from which the commit differs little, for a tree that is alone with its commit.
    Close,
}

/// Lays an overlay over a tree's folder; `draft` gets the index of what its files are then, which
/// are those of the tree that is returned.
pub(super) fn make(
    repo: &Repo,
    (store, near): (&Path, Near),
    (tree, draft, commit): (&Path, &Path, &Oid),
) -> Result<Oid, GitError> {
    let template = template(repo, (store, near), commit)?;
    Over::make(tree, &template)?.lay(tree)?;
    fs::copy(&template.index, draft).map_err(GitError::file("copy", &template.index))?;
    Ok(template.tree)
}

/// Returns a template for a commit, made if there is none; one at a time for all processes.
fn template(repo: &Repo, (store, near): (&Path, Near), commit: &Oid) -> Result<Template, GitError> {
    private(store)?;
    let lock = store.join("lock");
    let turn = File::create(&lock).map_err(GitError::file("make", &lock))?;
    turn.lock().map_err(GitError::file("lock", &lock))?;
    let wanted = repo.tree_of(commit)?;
    if let Some(found) = find(store, &wanted) {
        match found.is_sound(repo, store)? {
            true => return found.held(),
            false => found.forget(store)?,
        }
    }
    let mut found = nearest(repo, store, &wanted)?;
    while let Some(near) = found.take_if(|_| true) {
        if near.is_sound(repo, store)? {
            found = Some(near);
            break;
        }
        near.forget(store)?;
        found = nearest(repo, store, &wanted)?;
    }
    if let (Near::Close, Some(_)) = (near, &found) {
        return found.expect("it was just seen").held();
    }
    tidy(repo, store);
    let (home, half) = (store.join(wanted.as_str()), store.join("half"));
    let _ = overlay::lift(&half.join("files"));
    tree::erase(&half)?;
    private(&half)?;
    match found.filter(|near| near.layers.len() <= MOST_LAYERS) {
        Some(near) => layer(repo, (&half, &near), commit)?,
        None => {
            private(&half.join("files"))?;
            switch(repo, (&half.join("files"), &half.join("index")), commit)?;
        }
    }
    if home.exists() {
        set_aside(store, &home)?;
    }
    fs::rename(&half, &home).map_err(GitError::file("rename", &half))?;
    let made = find(store, &wanted).ok_or_else(|| {
        GitError::Odd(format!("the template of {} is gone as soon as it was made", commit.short()))
    })?;
    made.held()
}

/// Makes a template out of what differs from another one's files.
fn layer(repo: &Repo, (half, near): (&Path, &Template), commit: &Oid) -> Result<(), GitError> {
    let (files, work, at) = (half.join("files"), half.join("work"), half.join("at"));
    for folder in [&files, &work, &at] {
        private(folder)?;
    }
    let index = half.join("index");
    fs::copy(&near.index, &index).map_err(GitError::file("copy", &near.index))?;
    overlay::lay(&near.layers, &files, &work, &at).map_err(GitError::file("lay over", &at))?;
    let switched = switch(repo, (&at, &index), commit);
    overlay::lift(&at).map_err(GitError::file("lift", &at))?;
    switched?;
    tree::erase(&work)?;
    tree::erase(&at)?;
    let below = half.join("below");
    fs::write(&below, near.tree.as_str()).map_err(GitError::file("write", &below))
}

/// Puts a commit's files into a folder of which the index knows what it holds.
fn switch(repo: &Repo, (files, index): (&Path, &Path), commit: &Oid) -> Result<(), GitError> {
    let site = Site {
        git_dir: repo.git_dir().to_owned(),
        work_tree: files.to_owned(),
        index: index.to_owned(),
        attributes: Some(repo.attributes().clone()),
    };
    Git::tree(&site, "read-tree").args(["-u", "--reset", commit.as_str()]).ok().map(drop)
}

/// Returns the template of a tree, if all of it is there.
fn find(store: &Path, tree: &Oid) -> Option<Template> {
    let (mut layers, mut at) = (Vec::new(), tree.clone());
    loop {
        let home = store.join(at.as_str());
        layers.push(Some(home.join("files")).filter(|files| files.is_dir())?);
        match fs::read_to_string(home.join("below")) {
            Ok(below) if layers.len() <= MOST_LAYERS => at = Oid::new(below),
            Ok(_) => return None,
            Err(_) => break,
        }
    }
    let index = store.join(tree.as_str()).join("index");
    index.is_file().then(|| Template { tree: tree.clone(), layers, index })
}

/// Returns the template from which a tree differs least, if that is worth a layer.
fn nearest(repo: &Repo, store: &Path, wanted: &Oid) -> Result<Option<Template>, GitError> {
    let library = repo.open()?;
    let find_tree =
        |oid: &Oid| library.find_tree(raw(oid)?).map_err(GitError::library("read a tree"));
    let new = find_tree(wanted)?;
    let mut best: Option<(usize, Template)> = None;
    for template in all(store) {
        let Ok(old) = find_tree(&template.tree) else { continue };
        let diff = library
            .diff_tree_to_tree(Some(&old), Some(&new), None)
            .map_err(GitError::library("compare two trees"))?;
        let changes = diff.deltas().len();
        let is_better = best.as_ref().is_none_or(|(least, _)| changes < *least);
        if is_better && changes <= MOST_CHANGES {
            best = Some((changes, template));
        }
    }
    Ok(best.map(|(_, template)| template))
}

fn all(store: &Path) -> Vec<Template> {
    let entries = fs::read_dir(store).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| find(store, &Oid::new(name))).collect()
}

/// Removes templates that nobody uses, but the last few; the caller has its turn.
fn tidy(repo: &Repo, store: &Path) {
    for aside in fs::read_dir(store).into_iter().flatten().flatten() {
        if aside.file_name().as_bytes().starts_with(DAMAGED.as_bytes()) {
            let _ = erase_unused(&aside.path(), &aside.path().join("template/index"));
        }
    }
    let mut used: Vec<PathBuf> = Vec::new();
    for record in tree::known(repo) {
        used.extend(Over::of(&record.path).into_iter().flat_map(|over| over.lower));
    }
    let made =
        |template: &Template| fs::metadata(&template.index).and_then(|found| found.modified()).ok();
    let mut all = all(store);
    all.sort_by_key(|template| std::cmp::Reverse(made(template)));
    let full = relief::is_full(store, relief::MARK);
    let spare = if full { 0 } else { SPARE };
    used.extend(all.iter().take(spare).flat_map(|template| template.layers.clone()));
    for template in all.iter().filter(|template| !used.contains(&template.layers[0])) {
        let home = store.join(template.tree.as_str());
        if let Err(error) = erase_unused(&home, &template.index) {
            tracing::warn!(%error, "a template stays behind");
        }
    }
    if full {
        relief::others(store, relief::MARK);
    }
}

fn erase_unused(home: &Path, index: &Path) -> Result<(), GitError> {
    match File::open(index).is_ok_and(|file| file.try_lock().is_ok()) {
        true => tree::erase(home),
        false => Ok(()),
    }
}

impl Template {
    /// Returns whether its files are as they were made, as far as their times and sizes tell; looked
    /// at once in a process.
    fn is_sound(&self, repo: &Repo, store: &Path) -> Result<bool, GitError> {
        if is_held(&self.index) {
            return Ok(true);
        }
        let at = store.join("look");
        let [upper, work, files] = ["upper", "work", "files"].map(|name| at.join(name));
        let _ = overlay::lift(&files);
        tree::erase(&at)?;
        [&upper, &work, &files].into_iter().try_for_each(|folder| private(folder))?;
        overlay::lay(&self.layers, &upper, &work, &files)
            .map_err(GitError::file("lay over", &files))?;
        let (git_dir, attributes) = (repo.git_dir().to_owned(), Some(repo.attributes().clone()));
        let site =
            Site { git_dir, work_tree: files.clone(), index: self.index.clone(), attributes };
        let same = Git::tree(&site, "diff-files").args(["--quiet"]).run();
        let more = Git::tree(&site, "ls-files").args(["--others", "--directory"]).ok();
        overlay::lift(&files).map_err(GitError::file("lift", &files))?;
        Ok(same?.code == Some(0) && more?.is_empty())
    }

    /// Lets nothing new be made of it.
    fn forget(&self, store: &Path) -> Result<(), GitError> {
        set_aside(store, &store.join(self.tree.as_str()))
    }

    /// Keeps it from being removed while this process lives.
    fn held(self) -> Result<Self, GitError> {
        self.layers.iter().try_for_each(|layer| hold(layer.parent().unwrap_or(layer)))?;
        Ok(self)
    }
}

/// Puts a template away that was changed; it goes once nobody uses it any more.
fn set_aside(store: &Path, home: &Path) -> Result<(), GitError> {
    tracing::warn!(template = %home.display(), "a template was changed, and is made again");
    let aside = tempfile::Builder::new().prefix(DAMAGED).tempdir_in(store);
    let aside = aside.map_err(GitError::file("make a folder in", store))?.keep();
    fs::rename(home, aside.join("template")).map_err(GitError::file("rename", home))
}

/// Templates that this process uses, with the locks that say so to others.
static HELD: Mutex<BTreeMap<PathBuf, File>> = Mutex::new(BTreeMap::new());

fn is_held(index: &Path) -> bool {
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    index.parent().is_some_and(|home| held.contains_key(home))
}

/// Keeps a template from being removed while this process lives.
fn hold(home: &Path) -> Result<(), GitError> {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if held.contains_key(home) {
        return Ok(());
    }
    let index = home.join("index");
    let file = File::open(&index).map_err(GitError::file("open", &index))?;
    file.lock_shared().map_err(GitError::file("lock", &index))?;
    held.insert(home.to_owned(), file);
    Ok(())
}

fn private(folder: &Path) -> Result<(), GitError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(GitError::file("make", folder))
}

/// Returns whether a commit's trees can be overlays: those with submodules cannot, whose files come
/// from elsewhere.
pub(super) fn is_fit(repo: &Repo, commit: &Oid) -> Result<bool, GitError> {
    let library = repo.open()?;
    let tree = library
        .find_tree(raw(&repo.tree_of(commit)?)?)
        .map_err(GitError::library("read a tree"))?;
    let sparse = library.config().and_then(|config| config.get_bool("core.sparseCheckout"));
    Ok(tree.get_name(".gitmodules").is_none() && !sparse.unwrap_or(false))
}

/// What is tracked in an overlay: what its tracker follows in the upper layer, and what lies below.
pub(super) struct Above<'a> {
    pub(super) files: &'a Files,
    pub(super) lower: &'a Lower<'a>,
}

impl Tracked for Above<'_> {
    fn mode(&self, path: &[u8]) -> Option<u32> {
        self.files.mode(path).or_else(|| self.lower.entry(path).map(|entry| entry.mode))
    }

    fn has_below(&self, folder: &[u8]) -> bool {
        self.files.has_below(folder) || self.lower.folder(folder).is_some()
    }

    fn below(&self) -> Option<&dyn Below> {
        Some(self.lower)
    }
}

/// The files below an upper layer: a git tree, looked up path by path.
pub(super) struct Lower<'r> {
    library: &'r Repository,
    base: git2::Oid,
    folders: RefCell<BTreeMap<Vec<u8>, Option<git2::Oid>>>,
}

impl<'r> Lower<'r> {
    pub(super) fn new(library: &'r Repository, base: git2::Oid) -> Self {
        Self { library, base, folders: RefCell::default() }
    }

    /// Returns whether an upper layer hides what lies here at a path.
    pub(super) fn is_hidden(&self, scan: &Scan, path: &[u8]) -> bool {
        scan.hidden.iter().any(|hidden| is_within(path, hidden))
    }

    /// Returns what the base holds at a path.
    pub(super) fn entry(&self, path: &[u8]) -> Option<Entry> {
        let (mode, oid) = self.look(path)?;
        (mode != 0o040_000).then(|| Entry {
            mode,
            oid,
            stat: Stat::default(),
            sure: false,
            left_out: false,
            large: false,
        })
    }

    fn look(&self, path: &[u8]) -> Option<(u32, git2::Oid)> {
        let (folder, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&path[..0], path),
        };
        let tree = self.library.find_tree(self.folder(folder)?).ok()?;
        let entry = tree.iter().find(|entry| entry.name_bytes() == name)?;
        Some((entry.filemode().cast_unsigned(), entry.id()))
    }

    fn folder(&self, path: &[u8]) -> Option<git2::Oid> {
        if path.is_empty() {
            return Some(self.base);
        }
        if let Some(known) = self.folders.borrow().get(path) {
            return *known;
        }
        let found = self.look(path).filter(|(mode, _)| *mode == 0o040_000).map(|(_, oid)| oid);
        self.folders.borrow_mut().insert(path.to_owned(), found);
        found
    }
}

impl Below for Lower<'_> {
    fn ignores(&self, folder: &[u8]) -> Option<Vec<u8>> {
        let path = match folder.is_empty() {
            true => b".gitignore".to_vec(),
            false => [folder, b"/.gitignore"].concat(),
        };
        let entry = self.entry(&path).filter(|entry| entry.mode != MODULE)?;
        let object = self.library.find_object(entry.oid, Some(ObjectType::Blob)).ok()?;
        object.as_blob().map(|blob| blob.content().to_vec())
    }
}

#[cfg(test)]
mod tests;
