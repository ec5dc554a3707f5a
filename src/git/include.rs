//! Files of the checkout that git ignores and trees need all the same: what `.worktreeinclude` names.
//!
//! Its lines are patterns as in a `.gitignore`, a convention of the field. Only a file that they name
//! *and* that git ignores is copied, once, when a tree is made; no link is followed, nothing that lies
//! in the tree already is overwritten, and a copy never gets into a commit, whatever becomes of the
//! ignore rules in the tree.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, FileTimes},
    io::{self, ErrorKind},
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::{Path, PathBuf},
};

use crate::git::{
    program::{Git, GitError},
    repo::Repo,
};

/// The file that names them, at the top of the checkout.
pub const FILE: &str = ".worktreeinclude";
/// Files that are copied at most.
const MOST_FILES: usize = 10_000;
/// Bytes that are copied at most.
const MOST_BYTES: u64 = 1 << 30;

/// What `.worktreeinclude` comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Include {
    /// The files, below the checkout, sorted.
    pub files: Vec<PathBuf>,
    /// How many more it names, which are too many or too large.
    pub too_many: usize,
}

/// Returns the files of the checkout that shall lie in each tree.
pub fn find(repo: &Repo) -> Result<Include, GitError> {
    let mut found = Include::default();
    let file = repo.checkout().join(FILE);
    if !fs::symlink_metadata(&file).is_ok_and(|found| found.is_file()) {
        return Ok(found);
    }
    let mut from = OsString::from("--exclude-from=");
    from.push(&file);
    let named = Git::checkout(&repo.site(), "ls-files").args(["-z", "--others", "--ignored"]);
    let named = named.arg(from).ok()?;
    let paths = |text: &[u8]| -> Vec<PathBuf> {
        let paths = text.split(|byte| *byte == 0).filter(|path| !path.is_empty());
        paths.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect()
    };
    let mut named = paths(&named);
    found.too_many = named.len().saturating_sub(MOST_FILES);
    named.truncate(MOST_FILES);
    if named.is_empty() {
        return Ok(found);
    }
    // Those of them that git ignores by its own rules.
    let ignored = Git::checkout(&repo.site(), "ls-files");
    let ignored = ignored.args(["-z", "--others", "--ignored", "--exclude-standard", "--"]);
    let ignored = named.iter().fold(ignored, Git::arg).ok()?;
    let mut bytes = 0;
    for path in paths(&ignored) {
        let Some(size) = size(repo.checkout(), &path) else { continue };
        bytes += size;
        match bytes <= MOST_BYTES {
            true => found.files.push(path),
            false => found.too_many += 1,
        }
    }
    found.files.sort();
    Ok(found)
}

/// Returns the size of a plain file of the checkout; none where a link is on the way.
fn size(checkout: &Path, path: &Path) -> Option<u64> {
    let whole = checkout.join(path);
    let found = fs::symlink_metadata(&whole).ok().filter(fs::Metadata::is_file)?;
    let real = whole.canonicalize().ok()?;
    (real == checkout.canonicalize().ok()?.join(path)).then_some(found.len())
}

/// Copies files and whole folders to their paths in a tree that was just made and in which nobody
/// has worked.
pub fn copy(tree: &Path, sources: &[(PathBuf, PathBuf)]) -> Result<(), GitError> {
    let list = list(tree);
    if sources.is_empty() || list.exists() {
        return Ok(());
    }
    let mut copied = Vec::new();
    for (from, path) in sources {
        let to = tree.join(path);
        if fs::symlink_metadata(&to).is_ok() || !lies_in(tree, path) {
            continue;
        }
        let folder = to.parent().unwrap_or(tree);
        fs::create_dir_all(folder).map_err(GitError::file("make", folder))?;
        match replica(from, &to) {
            // It went since it was found.
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) => return Err(GitError::file("copy", from)(e)),
            Ok(()) => {}
        }
        copied.extend(path.as_os_str().as_bytes());
        copied.push(0);
    }
    fs::write(&list, copied).map_err(GitError::file("write", &list))
}

/// Makes the same file, link or folder once more, with its times: build tools compare them.
fn replica(from: &Path, to: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(from)?;
    if found.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    if found.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            replica(&from.join(&name), &to.join(&name))?;
        }
        return fs::set_permissions(to, found.permissions());
    }
    if !found.is_file() {
        return Ok(());
    }
    fs::copy(from, to)?;
    let (read, written) = (found.accessed()?, found.modified()?);
    let times = FileTimes::new().set_accessed(read).set_modified(written);
    // Who may not write a file may not open it to write, but its times are its owner's to set.
    File::open(to)?.set_times(times)
}

/// Returns whether no link of the commit's leads out of the tree on the way to a path.
fn lies_in(tree: &Path, path: &Path) -> bool {
    let mut at = tree.to_owned();
    let folders = path.parent().into_iter().flat_map(Path::components);
    folders.into_iter().all(|part| {
        at.push(part);
        fs::symlink_metadata(&at).map_or(true, |found| found.is_dir())
    })
}

/// Returns files of a checkout, with their paths, as [`copy`] takes them.
pub fn of_checkout(repo: &Repo, files: &[PathBuf]) -> Vec<(PathBuf, PathBuf)> {
    files.iter().map(|path| (repo.checkout().join(path), path.clone())).collect()
}

/// Returns the paths that were copied into a tree.
pub(super) fn copied(tree: &Path) -> Vec<Vec<u8>> {
    let text = fs::read(list(tree)).unwrap_or_default();
    text.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(<[u8]>::to_vec).collect()
}

/// Returns the file beside a tree that lists what was copied into it.
pub(super) fn list(tree: &Path) -> PathBuf {
    let mut name = OsString::from(tree);
    name.push(".included");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, time::Duration};

    use super::*;
    use crate::git::{
        fixture::Fixture,
        snapshot::Tracker,
        tree::{self, TreeSpec},
    };

    #[test]
    fn what_is_named_and_ignored_lies_in_each_tree_and_in_no_commit() {
        let fixture = Fixture::small();
        fixture.write(".gitignore", b".env\nconfig/*.local\nbuild/\nlinked\n");
        fixture.write(FILE, b".env\nconfig/\nnotes.txt\nlinked\n");
        let commit = fixture.commit("rules");
        fixture.write(".env", b"KEY=1\n");
        fixture.write("config/a.local", b"a");
        fixture.write("config/b.txt", b"not ignored");
        fixture.write("notes.txt", b"not ignored");
        fixture.write("build/x", b"not named");
        let outside = fixture.beside("outside");
        fs::write(&outside, b"x").unwrap();
        symlink(&outside, fixture.root.join("linked")).unwrap();
        let repo = fixture.repo();
        let found = find(&repo).unwrap();
        let files = [".env", "config/a.local"].map(PathBuf::from).to_vec();
        assert_eq!(found, Include { files, too_many: 0 });
        let path = fixture.beside("trees/t");
        tree::make(&repo, &TreeSpec { path: path.clone(), commit: commit.clone(), branch: None })
            .unwrap();
        copy(&path, &of_checkout(&repo, &found.files)).unwrap();
        assert_eq!(fs::read(path.join(".env")).unwrap(), b"KEY=1\n");
        // An agent that takes the rules away does not get them into a commit.
        fs::write(path.join(".gitignore"), b"!.env\n!config/*\n").unwrap();
        let mut tracker = Tracker::new(&repo, &path, &commit).unwrap();
        assert_eq!(tracker.snapshot().unwrap().unwrap().changed, [".gitignore"]);
        // Who goes on in the tree finds what was made of them.
        fs::write(path.join(".env"), b"mine").unwrap();
        copy(&path, &of_checkout(&repo, &found.files)).unwrap();
        assert_eq!(fs::read(path.join(".env")).unwrap(), b"mine");
        tree::discard(&repo, &path).unwrap();
        assert!(!list(&path).exists());
    }

    #[test]
    fn a_folder_is_copied_with_its_links_modes_and_times_and_gets_into_no_commit() {
        let fixture = Fixture::small();
        let made = fixture.beside("made/target");
        fs::create_dir_all(made.join("bin")).unwrap();
        fs::write(made.join("bin/tool"), b"x").unwrap();
        fs::set_permissions(made.join("bin/tool"), fs::Permissions::from_mode(0o555)).unwrap();
        symlink("tool", made.join("bin/link")).unwrap();
        let old = std::time::SystemTime::now() - Duration::from_secs(1_000_000);
        let times = FileTimes::new().set_modified(old);
        File::open(made.join("bin/tool")).unwrap().set_times(times).unwrap();
        let commit = fixture.oid("HEAD");
        let (repo, path) = (fixture.repo(), fixture.beside("trees/t"));
        tree::make(&repo, &TreeSpec { path: path.clone(), commit: commit.clone(), branch: None })
            .unwrap();
        copy(&path, &[(made, PathBuf::from("target"))]).unwrap();
        let tool = fs::metadata(path.join("target/bin/tool")).unwrap();
        assert_eq!((tool.modified().unwrap(), tool.permissions().mode() & 0o777), (old, 0o555));
        assert_eq!(fs::read_link(path.join("target/bin/link")).unwrap(), Path::new("tool"));
        let mut tracker = Tracker::new(&repo, &path, &commit).unwrap();
        assert!(tracker.snapshot().unwrap().is_none(), "no rule of the repository ignores it");
    }

    #[test]
    fn a_link_of_the_commit_leads_no_copy_out_of_the_tree() {
        let fixture = Fixture::small();
        let outside = fixture.beside("outside");
        fs::create_dir(&outside).unwrap();
        symlink(&outside, fixture.root.join("config")).unwrap();
        let commit = fixture.commit("a link");
        let (repo, path) = (fixture.repo(), fixture.beside("trees/t"));
        tree::make(&repo, &TreeSpec { path: path.clone(), commit, branch: None }).unwrap();
        copy(&path, &of_checkout(&repo, &[PathBuf::from("config/a.local")])).unwrap();
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }
}
