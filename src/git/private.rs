//! The git directory an agent sees: its own HEAD, configuration, index and refs over the
//! repository's objects, which are only lent. It is built aside and gets its name when it is
//! complete, because from then on the agent can write there: nothing in it is ever followed,
//! overwritten or believed.
//!
//! It lies outside the tree and is bound in the sandbox where [`GITFILE`] says; `.git` of the
//! tree is a file with that one line. Where the repository's objects are found from there is the
//! sandbox's to say (`sandbox::place` writes `objects/info/alternates`), because it depends on what
//! confines the agent. The agent may commit and configure as it likes: grafter never reads any of it.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fmt::Write as _,
    fs,
    io::ErrorKind,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::{
    git::{
        program::GitError,
        repo::{Repo, make_private},
        tree,
    },
    protocol::ids::Oid,
};

/// The content of `.git` in an agent's tree, as seen inside the sandbox.
pub const GITFILE: &str = "gitdir: /run/grafter/git\n";

/// A private git directory to be made.
#[derive(Clone, Debug)]
pub struct PrivateSpec<'a> {
    /// The agent's tree.
    pub tree: &'a Path,
    /// Where the private git directory goes; its parent folder must exist.
    pub dir: PathBuf,
    /// The commit that its HEAD stands on.
    pub commit: &'a Oid,
    /// The name of its one branch.
    pub branch: &'a str,
}

/// A private git directory, and what must be bound to make it work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateGit {
    /// The directory; bound writable where [`GITFILE`] says.
    pub dir: PathBuf,
    /// The repository's object folders, alternates of alternates included, to be lent.
    pub objects: Vec<PathBuf>,
}

/// Makes an agent's private git directory; one that is there is kept (a resumed agent's own),
/// unless it is none any more.
pub fn make(repo: &Repo, spec: &PrivateSpec<'_>) -> Result<PrivateGit, GitError> {
    let dir = &spec.dir;
    let made = PrivateGit { dir: dir.clone(), objects: object_folders(repo) };
    if is_whole(dir) {
        return Ok(made);
    }
    let half = beside(dir, ".half");
    tree::erase(&half)?;
    tree::erase(dir)?;
    make_private(&half).map_err(GitError::file("make", &half))?;
    build(repo, spec, &half)?;
    fs::rename(&half, dir).map_err(GitError::file("rename", &half))?;
    Ok(made)
}

/// Its name says that it was completed; whether its agent left it a git directory is seen here,
/// without following any link.
fn is_whole(dir: &Path) -> bool {
    let is = |name: &str, folder: bool| {
        let found = fs::symlink_metadata(dir.join(name));
        found.is_ok_and(|found| if folder { found.is_dir() } else { found.is_file() })
    };
    let folders = ["", "objects", "objects/info", "refs"];
    folders.iter().all(|name| is(name, true)) && is("HEAD", false)
}

fn build(repo: &Repo, spec: &PrivateSpec<'_>, dir: &Path) -> Result<(), GitError> {
    for folder in ["refs", "objects/info"] {
        let folder = dir.join(folder);
        fs::create_dir_all(&folder).map_err(GitError::file("make", &folder))?;
    }
    let site = tree::site(repo, spec.tree);
    copy(&site.index, &dir.join("index"))?;
    copy(&repo.common_dir().join("shallow"), &dir.join("shallow"))?;
    copy_rules(&repo.common_dir().join("info/exclude"), dir)?;
    copy_rules(&repo.common_dir().join("info/attributes"), dir)?;
    copy_rules(&site.git_dir.join("info/sparse-checkout"), dir)?;
    write(dir, "config", &config(repo)?)?;
    write_branch(dir, spec)
}

fn beside(dir: &Path, ending: &str) -> PathBuf {
    let mut name = dir.to_path_buf().into_os_string();
    name.push(ending);
    name.into()
}

fn write_branch(dir: &Path, spec: &PrivateSpec<'_>) -> Result<(), GitError> {
    let name = format!("refs/heads/{}", spec.branch);
    if !git2::Reference::is_valid_name(&name) {
        return Err(GitError::Odd(format!("`{}` cannot be a branch", spec.branch.escape_debug())));
    }
    // One file instead of a folder for each part of the name.
    write(dir, "packed-refs", &format!("# pack-refs with: sorted\n{} {name}\n", spec.commit))?;
    write(dir, "HEAD", &format!("ref: {name}\n"))
}

/// Returns the private configuration: what changes the meaning of files, and nothing else.
fn config(repo: &Repo) -> Result<String, GitError> {
    let library = repo.open()?;
    let from = library.config().map_err(GitError::library("read the configuration"))?;
    let mut text = String::from("[core]\n\trepositoryformatversion = 0\n\tbare = false\n");
    let meaning =
        ["fileMode", "symlinks", "autocrlf", "eol", "sparseCheckout", "sparseCheckoutCone"];
    for key in meaning {
        if let Ok(value) = from.get_string(&format!("core.{key}")) {
            let _ = writeln!(text, "\t{key} = {}", quoted(&value));
        }
    }
    let identity = repo.identity();
    let _ = writeln!(text, "\tlogAllRefUpdates = true\n[gc]\n\tauto = 0");
    let _ = writeln!(text, "[user]\n\tname = {}", quoted(&identity.name));
    let _ = writeln!(text, "\temail = {}", quoted(&identity.email));
    Ok(text)
}

fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text + "\""
}

/// Returns the repository's object folders, following alternates as far as git does.
fn object_folders(repo: &Repo) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![(repo.common_dir().join("objects"), 0)];
    while let Some((folder, depth)) = open.pop() {
        let Ok(folder) = folder.canonicalize() else { continue };
        if depth > 5 || !seen.insert(folder.clone()) {
            continue;
        }
        let lines = fs::read(folder.join("info/alternates")).unwrap_or_default();
        for line in lines.split(|byte| *byte == b'\n') {
            if !line.is_empty() && !line.starts_with(b"#") {
                open.push((folder.join(OsStr::from_bytes(line)), depth + 1));
            }
        }
        found.push(folder);
    }
    found
}

/// Copies a file that may be missing; a copy, because the agent may change its own.
fn copy(from: &Path, to: &Path) -> Result<(), GitError> {
    match fs::copy(from, to) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(GitError::file("copy", from)(e)),
        _ => Ok(()),
    }
}

/// Copies a file of rules into the private `info` folder, unless it says nothing.
fn copy_rules(from: &Path, dir: &Path) -> Result<(), GitError> {
    let text = fs::read(from).unwrap_or_default();
    let lines = || text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let (info, name) = (dir.join("info"), from.file_name().unwrap_or_default());
    if lines().all(|line| line.is_empty() || line.starts_with(b"#")) {
        return Ok(());
    }
    fs::create_dir_all(&info).map_err(GitError::file("make", &info))?;
    copy(from, &info.join(name))
}

fn write(dir: &Path, name: &str, text: &str) -> Result<(), GitError> {
    let path = dir.join(name);
    fs::write(&path, text).map_err(GitError::file("write", &path))
}
