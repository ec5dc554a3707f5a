//! A user's repository: found once, then named by paths only.
//!
//! Repositories that grafter cannot serve are refused here with a hint. `Repo` holds paths, never
//! an open library handle, so it crosses threads freely; each question opens and closes one.

use std::{
    env, fs,
    io::ErrorKind,
    os::unix::{ffi::OsStrExt, fs::DirBuilderExt},
    path::{Path, PathBuf},
};

use git2::{Config, ConfigLevel, ErrorCode, Repository};
use thiserror::Error;

use crate::{
    git::{
        program::{Git, GitError, Site},
        worktrees,
    },
    protocol::ids::Oid,
};

/// Why a folder cannot be worked on.
#[derive(Debug, Error)]
pub enum RepoError {
    /// No repository at or above the folder.
    #[error("no git repository at or above {}", .0.display())]
    None(PathBuf),
    /// It has no checkout.
    #[error("{} is a bare repository", .0.display())]
    Bare(PathBuf),
    /// It has no commit that could be built on.
    #[error("the repository at {} has no commit yet", .0.display())]
    NoCommit(PathBuf),
    /// Its refs are kept in a format the library cannot read.
    #[error("the repository at {} keeps its refs in the reftable format", .0.display())]
    Reftable(PathBuf),
    /// Its objects are named in a way the library cannot read.
    #[error("the repository at {} uses sha256 object names", .0.display())]
    Sha256(PathBuf),
    /// Anything else the library refuses.
    #[error("cannot open the repository at {}: {}", path.display(), source.message())]
    Open {
        /// Where.
        path: PathBuf,
        /// The library's answer.
        #[source]
        source: git2::Error,
    },
    /// Grafter's own folder inside the git directory cannot be made.
    #[error("cannot make {}", path.display())]
    State {
        /// The folder.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
}

impl RepoError {
    /// Returns what the user can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::None(_) => "change into a repository, or make one with `git init` and a commit",
            Self::Bare(_) => "clone it, or run grafter in one of its worktrees",
            Self::NoCommit(_) => "make a first commit; an empty one will do",
            Self::Reftable(_) => "convert it with `git refs migrate --ref-format=files`",
            Self::Sha256(_) => "grafter works on sha1 repositories only",
            Self::Open { .. } => "check it with `git status` and `git fsck`",
            Self::State { .. } => "grafter keeps its records there and must be able to write",
        }
    }
}

/// Who a commit is by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name.
    pub name: String,
    /// The mail address.
    pub email: String,
    /// Whether the user has set none and this is grafter's own.
    pub fallback: bool,
}

/// What in the user's checkout is not part of HEAD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirtySummary {
    /// Tracked files that differ.
    pub tracked: usize,
    /// Untracked entries; a folder counts as one.
    pub untracked: usize,
}

impl DirtySummary {
    /// Returns whether anything differs.
    pub fn is_dirty(self) -> bool {
        self != Self::default()
    }
}

/// A repository with a checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repo {
    checkout: PathBuf,
    git_dir: PathBuf,
    common: PathBuf,
    attributes: Oid,
}

impl Repo {
    /// Finds the repository of a folder, or says why it cannot be worked on.
    pub fn discover(dir: &Path) -> Result<Self, RepoError> {
        let found = Repository::discover_path(dir, std::iter::empty::<&Path>())
            .map_err(|_| RepoError::None(dir.to_owned()))?;
        // Without the slash that the library puts at the end.
        let found: PathBuf = found.components().collect();
        refuse_formats(&found)?;
        let open = |source| RepoError::Open { path: found.clone(), source };
        let library = Repository::open(&found).map_err(open)?;
        let Some(checkout) = library.workdir() else { return Err(RepoError::Bare(found)) };
        let real = |path: &Path| {
            path.canonicalize().map_err(|source| RepoError::State { path: path.to_owned(), source })
        };
        let checkout = real(checkout)?;
        let head = match library.head().and_then(|head| head.peel_to_commit()) {
            Ok(head) => named(head.id()),
            Err(e) if matches!(e.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => {
                return Err(RepoError::NoCommit(checkout));
            }
            Err(source) => return Err(open(source)),
        };
        let repo = Self {
            checkout,
            git_dir: real(library.path())?,
            common: real(library.commondir())?,
            attributes: head,
        };
        let state = repo.state_dir();
        make_private(&state).map_err(|source| RepoError::State { path: state, source })?;
        Ok(repo)
    }

    /// Returns the repository with a commit of the user's whose attribute files decide how the
    /// files of agents' trees are converted; without that it is HEAD.
    pub fn with_attributes(self, commit: &Oid) -> Self {
        Self { attributes: commit.clone(), ..self }
    }

    /// Returns the commit whose attribute files count in agents' trees: what agents write into
    /// theirs must not choose which of the user's filters runs on what.
    pub fn attributes(&self) -> &Oid {
        &self.attributes
    }

    /// Returns the top folder of the user's checkout.
    pub fn checkout(&self) -> &Path {
        &self.checkout
    }

    /// Returns the checkout's own git directory; the common one unless it is a linked worktree.
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// Returns the git directory that all worktrees share.
    pub fn common_dir(&self) -> &Path {
        &self.common
    }

    /// Returns grafter's folder in the git directory, readable by the user alone.
    pub fn state_dir(&self) -> PathBuf {
        self.common.join("grafter")
    }

    /// Returns the short name under which this repository's trees are kept.
    pub fn key(&self) -> String {
        let hash = blake3::hash(self.common.as_os_str().as_bytes());
        hash.to_hex()[..12].to_owned()
    }

    /// Returns where a call about the user's own checkout acts.
    pub fn site(&self) -> Site {
        Site {
            git_dir: self.git_dir.clone(),
            work_tree: self.checkout.clone(),
            index: self.git_dir.join("index"),
            attributes: None,
        }
    }

    /// Returns the commit that a revision names, as seen from the user's checkout.
    pub fn resolve(&self, rev: &str) -> Result<Oid, GitError> {
        let doing = format!("find the commit `{}`", rev.escape_debug());
        let library = Repository::open(&self.git_dir).map_err(GitError::library(&doing))?;
        let commit = library.revparse_single(rev).and_then(|object| object.peel_to_commit());
        Ok(named(commit.map_err(GitError::library(&doing))?.id()))
    }

    /// Returns the commit a branch points at, none when there is no such branch.
    pub fn tip(&self, branch: &str) -> Result<Option<Oid>, GitError> {
        let library = self.open()?;
        let doing = format!("read the branch `{}`", branch.escape_debug());
        match library.find_reference(&format!("refs/heads/{branch}")) {
            Ok(found) => {
                let commit = found.peel_to_commit().map_err(GitError::library(&doing))?;
                Ok(Some(named(commit.id())))
            }
            Err(e) if e.code() == ErrorCode::NotFound => Ok(None),
            Err(source) => Err(GitError::Library { doing, source }),
        }
    }

    /// Returns the branch that is checked out, none when HEAD is detached.
    pub fn head_branch(&self) -> Option<String> {
        worktrees::head_branch(&self.git_dir)
    }

    /// Returns what in the user's checkout differs from HEAD; a failing probe is an error.
    pub fn is_dirty(&self) -> Result<DirtySummary, GitError> {
        if self.is_surely_clean() {
            return Ok(DirtySummary::default());
        }
        let output = Git::checkout(&self.site(), "status")
            .args(["--porcelain=v1", "-z", "--untracked-files=normal", "--no-renames"])
            .ok()?;
        let mut dirty = DirtySummary::default();
        for entry in output.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
            match entry.starts_with(b"??") {
                true => dirty.untracked += 1,
                false => dirty.tracked += 1,
            }
        }
        Ok(dirty)
    }

    /// Returns whether the library sees nothing that differs, in a checkout small enough to ask it.
    ///
    /// What it does not understand looks changed to it or is an error; the program decides then.
    fn is_surely_clean(&self) -> bool {
        let small =
            fs::metadata(self.git_dir.join("index")).is_ok_and(|index| index.len() < 1 << 20);
        let look = || -> Result<bool, git2::Error> {
            let library = Repository::open(&self.git_dir)?;
            let mut options = git2::StatusOptions::new();
            options.include_untracked(true).exclude_submodules(true);
            Ok(library.statuses(Some(&mut options))?.is_empty())
        };
        small && !self.checkout.join(".gitmodules").exists() && look().unwrap_or(false)
    }

    /// Returns the user's name and address from the configuration, or grafter's own.
    pub fn identity(&self) -> Identity {
        let config = Repository::open(&self.git_dir).and_then(|library| library.config());
        let mut config = config.ok();
        // The library does not know that git takes the user's own file from there.
        if let (Some(config), Some(file)) = (&mut config, env::var_os("GIT_CONFIG_GLOBAL")) {
            let _ = config.add_file(Path::new(&file), ConfigLevel::Global, true);
        }
        identity_in(config.as_ref(), &|name| env::var(name).ok())
    }

    /// Returns where the repository's remotes are, for fetching and for pushing.
    pub fn remotes(&self) -> Result<Vec<String>, GitError> {
        let library = self.open()?;
        let doing = || GitError::library("read the remotes");
        let mut urls = Vec::new();
        for name in library.remotes().map_err(doing())?.iter_bytes() {
            // A remote whose name or place is no text is one that nobody can call private.
            let name = String::from_utf8_lossy(name);
            let remote = library.find_remote(&name).map_err(doing())?;
            urls.push(String::from_utf8_lossy(remote.url_bytes()).into_owned());
            let push = remote.pushurl_bytes().map(|url| String::from_utf8_lossy(url).into_owned());
            urls.extend(push);
        }
        Ok(urls)
    }

    /// Returns the tree of a commit; a tree is returned as it is.
    pub fn tree_of(&self, commit: &Oid) -> Result<Oid, GitError> {
        let library = self.open()?;
        Ok(named(tree_in(&library, commit)?.id()))
    }

    /// Returns the parents of a commit.
    pub fn parents(&self, commit: &Oid) -> Result<Vec<Oid>, GitError> {
        let library = self.open()?;
        let found =
            library.find_commit(raw(commit)?).map_err(GitError::library("read a commit"))?;
        Ok(found.parent_ids().map(named).collect())
    }

    /// Returns the worktree in which a branch is checked out.
    pub fn branch_checked_out(&self, branch: &str) -> Option<PathBuf> {
        worktrees::holding(self, branch).map(|site| site.work_tree)
    }

    /// Returns whether `ancestor` is `commit` itself or comes before it.
    pub fn contains(&self, commit: &Oid, ancestor: &Oid) -> Result<bool, GitError> {
        if commit == ancestor {
            return Ok(true);
        }
        let library = self.open()?;
        let known = library.graph_descendant_of(raw(commit)?, raw(ancestor)?);
        known.map_err(GitError::library("compare two commits"))
    }

    /// Opens the library on the shared git directory.
    pub(super) fn open(&self) -> Result<Repository, GitError> {
        Repository::open(&self.common).map_err(GitError::library("open the repository"))
    }
}

/// Returns the library's form of an id.
pub(super) fn raw(oid: &Oid) -> Result<git2::Oid, GitError> {
    git2::Oid::from_str(oid.as_str()).map_err(GitError::library("read an object id"))
}

/// Returns our form of an id.
pub(super) fn named(oid: git2::Oid) -> Oid {
    Oid::new(oid.to_string())
}

/// Returns the tree that a commit or tree id stands for.
pub(super) fn tree_in<'r>(library: &'r Repository, oid: &Oid) -> Result<git2::Tree<'r>, GitError> {
    let doing = format!("read the tree of {}", oid.short());
    let object = library.find_object(raw(oid)?, None).map_err(GitError::library(&doing))?;
    object.peel_to_tree().map_err(GitError::library(&doing))
}

/// Makes a folder that only the user can read; an existing one is kept.
pub(super) fn make_private(dir: &Path) -> std::io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        made => made,
    }
}

/// Returns the folder that a user knows a repository by.
fn shown(git_dir: &Path) -> PathBuf {
    git_dir.parent().filter(|_| git_dir.ends_with(".git")).unwrap_or(git_dir).to_owned()
}

/// Refuses what the library cannot read, before it fails with words of its own.
fn refuse_formats(git_dir: &Path) -> Result<(), RepoError> {
    let common = worktrees::common_of(git_dir);
    let Ok(config) = Config::open(&common.join("config")) else { return Ok(()) };
    let is = |key: &str, word: &str| {
        config.get_string(key).is_ok_and(|value| value.to_ascii_lowercase().starts_with(word))
    };
    if is("extensions.refstorage", "reftable") {
        return Err(RepoError::Reftable(shown(git_dir)));
    }
    if is("extensions.objectformat", "sha256") {
        return Err(RepoError::Sha256(shown(git_dir)));
    }
    Ok(())
}

/// As git has it, a variable goes before the configuration.
fn identity_in(config: Option<&Config>, var: &dyn Fn(&str) -> Option<String>) -> Identity {
    let get = |name: &str, key: &str| {
        let value = var(name).or_else(|| config?.get_string(key).ok())?;
        // Angle brackets and line ends would break the commit's header.
        let value: String = value.chars().filter(|c| !matches!(c, '<' | '>' | '\n')).collect();
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    match (get("GIT_AUTHOR_NAME", "user.name"), get("GIT_AUTHOR_EMAIL", "user.email")) {
        (Some(name), Some(email)) => Identity { name, email, fallback: false },
        _ => Identity {
            name: "grafter".to_owned(),
            email: "grafter@localhost".to_owned(),
            fallback: true,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::git::fixture::Fixture;

    #[test]
    fn it_is_found_from_below_and_in_a_linked_worktree() {
        let fixture = Fixture::small();
        let repo = fixture.repo();
        assert_eq!(Repo::discover(&fixture.root.join("src")).unwrap(), repo);
        let linked = fixture.beside("linked");
        fixture.git(&["worktree", "add", "-q", "-b", "side", linked.to_str().unwrap()]);
        let other = Repo::discover(&linked).unwrap();
        assert_eq!((other.checkout(), other.common_dir()), (&*linked, repo.common_dir()));
        assert_eq!(other.key(), repo.key());
        assert_eq!(other.head_branch().as_deref(), Some("side"));
        assert_eq!(repo.branch_checked_out("side"), Some(linked.clone()));
        assert_eq!(other.branch_checked_out("main"), Some(fixture.root.clone()));
        assert_eq!(repo.branch_checked_out("none"), None);
    }

    #[test]
    fn a_detached_head_and_a_shallow_clone_work() {
        let fixture = Fixture::small();
        let first = fixture.oid("HEAD");
        fixture.write("a.txt", b"two\n");
        let second = fixture.commit("second");
        fixture.git(&["checkout", "-q", "--detach", first.as_str()]);
        let repo = fixture.repo();
        assert_eq!(repo.head_branch(), None);
        assert_eq!(repo.resolve("HEAD").unwrap(), first);
        assert_eq!(repo.tip("main").unwrap(), Some(second.clone()));
        let url = format!("file://{}", fixture.root.display());
        fixture.git_in(fixture.dir.path(), &["clone", "-q", "--depth=1", "-b", "main", &url, "s"]);
        let shallow = Repo::discover(&fixture.beside("s")).unwrap();
        assert_eq!(shallow.resolve("HEAD").unwrap(), second);
        assert!(shallow.resolve("HEAD~1").is_err());
    }

    fn refusal(dir: &Path) -> String {
        let error = Repo::discover(dir).unwrap_err();
        assert!(!error.hint().is_empty());
        let variant = format!("{error:?}");
        variant.split(['(', ' ']).next().unwrap_or_default().to_owned()
    }

    #[test]
    fn what_grafter_cannot_serve_is_refused_by_name() {
        let dir = tempfile::TempDir::new().unwrap();
        assert_eq!(refusal(dir.path()), "None");
        assert_eq!(refusal(&dir.path().join("absent")), "None");
        assert_eq!(refusal(&Fixture::empty(&[]).root), "NoCommit");
        assert_eq!(refusal(&Fixture::empty(&["--bare"]).root), "Bare");
        assert_eq!(refusal(&Fixture::empty(&["--object-format=sha256"]).root), "Sha256");
        assert_eq!(refusal(&Fixture::empty(&["--ref-format=reftable"]).root), "Reftable");
    }

    #[test]
    fn the_state_folder_is_the_users_alone() {
        use std::os::unix::fs::PermissionsExt;
        let fixture = Fixture::small();
        let mode = fs::metadata(fixture.repo().state_dir()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn dirt_is_counted_and_the_index_left_alone() {
        let fixture = Fixture::small();
        let repo = fixture.repo();
        assert!(!repo.is_dirty().unwrap().is_dirty());
        fixture.write("a.txt", b"changed\n");
        fixture.write("new\nname", b"x");
        let before = fixture.picture();
        let dirty = repo.is_dirty().unwrap();
        assert_eq!(dirty, DirtySummary { tracked: 1, untracked: 1 });
        assert_eq!(fixture.picture(), before);
        fs::write(fixture.root.join(".git/index"), b"broken").unwrap();
        assert!(repo.is_dirty().is_err(), "a failing probe is never read as clean");
    }

    #[test]
    fn an_identity_is_the_users_or_stated_to_be_grafters() {
        let fixture = Fixture::small();
        let ann = fixture.repo().identity();
        assert_eq!((ann.name.as_str(), ann.email.as_str()), ("Ann", "ann@example.org"));
        let dir = tempfile::TempDir::new().unwrap();
        let file = dir.path().join("config");
        let of = |text: &str| {
            fs::write(&file, text).unwrap();
            let id = identity_in(Config::open(&file).ok().as_ref(), &|_| None);
            format!("{} <{}> {}", id.name, id.email, id.fallback)
        };
        assert_eq!(of(""), "grafter <grafter@localhost> true");
        assert_eq!(of("[user]\nname = Ann\n"), "grafter <grafter@localhost> true");
        assert_eq!(of("[user]\nname = A<n>n\nemail = a@b\n"), "Ann <a@b> false");
    }
}
