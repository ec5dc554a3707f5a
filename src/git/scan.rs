//! Walks a tree and says what lies in it, without trusting anything in it.
//!
//! Every folder is opened component by component without following links, so a link that an
//! agent swaps in cannot lead the walk outside. Paths are bytes throughout. Nested repositories
//! are walked like plain folders; whatever is named `.git` is left out.

use std::{
    ffi::CStr,
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat as OsStat, chmodat, fchmod, fstat, openat,
        readlinkat, statat,
    },
    io::Errno,
};

use crate::{
    git::rules::{Level, Rules, Verdict},
    sandbox::overlay,
};

/// Git's mode of a plain file.
pub const PLAIN: u32 = 0o100_644;
/// Git's mode of an executable file.
pub const EXECUTABLE: u32 = 0o100_755;
/// Git's mode of a symbolic link.
pub const LINK: u32 = 0o120_000;
/// Git's mode of a submodule's recorded commit.
pub const MODULE: u32 = 0o160_000;

/// How a file `CACHEDIR.TAG` begins, by which a program says of a folder that it is a cache.
const CACHE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// Longer paths are left out; git cannot hold them either.
const LONGEST: usize = 4000;

/// What tells a changed file from an unchanged one, in the form git's index keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// Seconds and nanoseconds of the last change of content or metadata.
    pub ctime: (u32, u32),
    /// Seconds and nanoseconds of the last change of content.
    pub mtime: (u32, u32),
    /// The inode's number, its lower half.
    pub ino: u32,
    /// The size, its lower half.
    pub size: u32,
}

impl Stat {
    fn of(stat: &OsStat) -> Self {
        Self {
            ctime: (stat.st_ctime as u32, stat.st_ctime_nsec as u32),
            mtime: (stat.st_mtime as u32, stat.st_mtime_nsec as u32),
            ino: stat.st_ino as u32,
            size: stat.st_size as u32,
        }
    }

    /// Returns whether the last change lies so long before `now` that a later one must show.
    ///
    /// Kernel time stamps advance in ticks of up to 10 ms, some file systems' in whole seconds;
    /// the change time is used because no program can set it back.
    pub fn is_settled(&self, now: Duration) -> bool {
        let slack = Duration::from_millis(if self.ctime.1 == 0 { 2000 } else { 20 });
        Duration::new(self.ctime.0.into(), self.ctime.1) + slack < now
    }
}

/// A file or link in the tree.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its path below the tree.
    pub path: Vec<u8>,
    /// Its fingerprint.
    pub stat: Stat,
    /// Git's mode for it.
    pub mode: u32,
}

/// What a walk has found.
#[derive(Debug, Default)]
pub struct Scan {
    /// Tracked and not ignored files and links.
    pub files: Vec<Found>,
    /// Submodule folders that are there.
    pub modules: Vec<Vec<u8>>,
    /// Files and folders that could not be read, or that git cannot name.
    pub unread: Vec<Vec<u8>>,
    /// Files and folders that running programs left behind; folders end in a slash.
    pub derived: Vec<Vec<u8>>,
    /// Paths of which an upper layer hides whatever lies there in lower ones.
    pub hidden: Vec<Vec<u8>>,
}

/// What a path was at the last look.
pub trait Tracked {
    /// Returns git's mode of the path if it is tracked.
    fn mode(&self, path: &[u8]) -> Option<u32>;
    /// Returns whether something tracked lies below the folder.
    fn has_below(&self, folder: &[u8]) -> bool;
    /// Returns the rules that a folder has in the layers below, where the walk is one of an overlay's
    /// upper layer; none where it is one of whole trees.
    fn below(&self) -> Option<&dyn Below> {
        None
    }
}

/// What lies below an upper layer.
pub trait Below {
    /// Returns the text of a folder's `.gitignore`.
    fn ignores(&self, folder: &[u8]) -> Option<Vec<u8>>;
}

/// Returns whether a path is another one or lies below it.
pub fn is_within(path: &[u8], other: &[u8]) -> bool {
    path.strip_prefix(other)
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/' || other.is_empty())
}

/// Opens a tree's top folder.
pub fn open_top(tree: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    match openat(CWD, tree, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            regain(CWD, tree.as_os_str().as_bytes())?;
            Ok(openat(CWD, tree, flags, Mode::empty())?)
        }
        opened => Ok(opened?),
    }
}

/// Opens a file or a folder of a tree; one that its agent took its own right to read from gets it
/// back, for what cannot be read is neither saved nor landed.
fn open_regained(at: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    match openat(at, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            pass_through(at)?;
            if name != b"." {
                regain(at, name)?;
            }
            openat(at, name, flags, Mode::empty())
        }
        opened => opened,
    }
}

/// Gives the owner the right to read a file, or to list a folder and pass through it.
fn regain(at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = openat(at, name, flags, Mode::empty())?;
    let mode = fstat(&fd)?.st_mode;
    let missing = match FileType::from_raw_mode(mode) {
        FileType::Directory => 0o700,
        FileType::RegularFile => 0o400,
        _ => return Err(Errno::ACCESS),
    };
    // By its descriptor, so that no link is followed.
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    chmodat(CWD, path, Mode::from_raw_mode((mode & 0o7777) | missing), AtFlags::empty())
}

/// Gives the owner the right to list an open folder and to pass through it.
fn pass_through(folder: BorrowedFd<'_>) -> Result<(), Errno> {
    let mode = fstat(folder)?.st_mode & 0o7777;
    fchmod(folder, Mode::from_raw_mode(mode | 0o500))
}

/// Walks the whole tree.
pub fn walk(top: &OwnedFd, tracked: &impl Tracked, rules: &mut Rules) -> io::Result<Scan> {
    let mut scan = Scan::default();
    let top_folder = Folder { path: Vec::new(), level: None, ignored: false, derived: false };
    let mut folders = vec![top_folder];
    while let Some(folder) = folders.pop() {
        match open_folder(top, &folder.path).and_then(Dir::new) {
            Ok(dir) => list(
                dir,
                folder,
                &mut Walk { scan: &mut scan, tracked, rules, folders: &mut folders },
            ),
            Err(e) if folder.path.is_empty() => return Err(e.into()),
            // Gone or no folder any more since its parent was listed: then it counts as deleted.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(_) => scan.unread.push(folder.path),
        }
    }
    Ok(scan)
}

struct Folder {
    path: Vec<u8>,
    level: Option<Arc<Level>>,
    ignored: bool,
    derived: bool,
}

struct Walk<'a, T> {
    scan: &'a mut Scan,
    tracked: &'a T,
    rules: &'a mut Rules,
    folders: &'a mut Vec<Folder>,
}

impl<T: Tracked> Walk<'_, T> {
    /// Returns whether something must be followed at a path or below it, whatever is beside that.
    fn is_held(&self, path: &[u8]) -> bool {
        self.tracked.has_below(path) || self.rules.is_meant(path)
    }
}

fn list<T: Tracked>(mut dir: Dir, folder: Folder, walk: &mut Walk<'_, T>) {
    let Folder { path, level, ignored, mut derived } = folder;
    if !ignored && !derived && !path.is_empty() && dir.fd().is_ok_and(is_cache) {
        if !walk.is_held(&path) {
            return walk.scan.derived.push([&path, &b"/"[..]].concat());
        }
        derived = true;
    }
    let hides = walk.tracked.below().is_some() && dir.fd().is_ok_and(overlay::is_opaque);
    if hides {
        walk.scan.hidden.push(path.clone());
    }
    let text = dir.fd().map_err(io::Error::from).and_then(|fd| read_at(fd, c".gitignore", 1 << 20));
    let text = match (text, walk.tracked.below()) {
        (Err(e), Some(below)) if e.kind() == io::ErrorKind::NotFound && !hides => {
            below.ignores(&path)
        }
        (text, _) => text.ok(),
    };
    let level = match text {
        Some(text) if !ignored => walk.rules.enter(&path, text, level),
        _ => level,
    };
    while let Some(entry) = dir.read() {
        let (Ok(entry), Ok(fd)) = (entry, dir.fd()) else {
            walk.scan.unread.push(path);
            return;
        };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b".." | b".git") {
            continue;
        }
        let mut full = path.clone();
        if !full.is_empty() {
            full.push(b'/');
        }
        full.extend(name.to_bytes());
        if full.len() > LONGEST || is_like_dot_git(name.to_bytes()) {
            walk.scan.unread.push(full);
            continue;
        }
        see(fd, name, Folder { path: full, level: level.clone(), ignored, derived }, walk);
    }
}

fn see<T: Tracked>(fd: BorrowedFd<'_>, name: &CStr, at: Folder, walk: &mut Walk<'_, T>) {
    let look = || statat(fd, name, AtFlags::SYMLINK_NOFOLLOW);
    let stat = match look() {
        // Its folder may be listed and not passed through.
        Err(Errno::ACCESS) if pass_through(fd).is_ok() => look(),
        looked => looked,
    };
    let stat = match stat {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return,
        Err(_) => return walk.scan.unread.push(at.path),
    };
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::CharacterDevice && stat.st_rdev == 0 && walk.tracked.below().is_some() {
        return walk.scan.hidden.push(at.path);
    }
    let was = walk.tracked.mode(&at.path);
    let is_dir = kind == FileType::Directory;
    if is_dir && was.is_some_and(|mode| mode != MODULE) && walk.tracked.below().is_some() {
        walk.scan.hidden.push(at.path.clone());
    }
    if is_dir && was == Some(MODULE) {
        return walk.scan.modules.push(at.path);
    }
    let mode = match kind {
        FileType::RegularFile if stat.st_mode & 0o100 != 0 => EXECUTABLE,
        FileType::RegularFile => PLAIN,
        FileType::Symlink => LINK,
        FileType::Directory => 0,
        // Sockets, pipes and devices are nothing that git can hold.
        _ => return,
    };
    if !is_dir && was.is_some() {
        return walk.scan.files.push(Found { path: at.path, stat: Stat::of(&stat), mode });
    }
    let verdict = match at.ignored {
        true => Verdict::Ignored,
        false => walk.rules.judge(at.level.as_deref(), &at.path, is_dir),
    };
    let ignored = verdict == Verdict::Ignored;
    let derived = !ignored && (at.derived || verdict == Verdict::Derived);
    if derived && !walk.is_held(&at.path) {
        let end: &[u8] = if is_dir { b"/" } else { b"" };
        walk.scan.derived.push([&at.path, end].concat());
    } else if is_dir && (!ignored || walk.tracked.has_below(&at.path)) {
        walk.folders.push(Folder { ignored, derived, ..at });
    } else if !is_dir && !ignored {
        walk.scan.files.push(Found { path: at.path, stat: Stat::of(&stat), mode });
    }
}

fn is_cache(folder: BorrowedFd<'_>) -> bool {
    read_at(folder, c"CACHEDIR.TAG", CACHE.len() as u64).is_ok_and(|text| text == CACHE)
}

/// Names that file systems elsewhere would take for `.git`; git refuses them everywhere.
fn is_like_dot_git(name: &[u8]) -> bool {
    let stem = name.split(|byte| *byte == b':').next().unwrap_or_default();
    let end = stem.iter().rposition(|byte| !matches!(byte, b' ' | b'.')).map_or(0, |at| at + 1);
    stem[..end].eq_ignore_ascii_case(b".git") || stem[..end].eq_ignore_ascii_case(b"git~1")
}

/// What a file holds, and how it looked while it was read.
pub enum Content {
    /// A plain file that is still to be read.
    File(File),
    /// A link's target.
    Link(Vec<u8>),
}

/// Opens a file or reads a link below the tree without following any link.
pub fn open_file(top: &OwnedFd, path: &[u8]) -> io::Result<Content> {
    let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&path[..0], path),
    };
    let folder = open_folder(top, parent)?;
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match open_regained(folder.as_fd(), name, flags) {
        Ok(fd) => Ok(Content::File(File::from(fd))),
        Err(Errno::LOOP) => Ok(Content::Link(readlinkat(&folder, name, Vec::new())?.into_bytes())),
        Err(e) => Err(e.into()),
    }
}

fn open_folder(top: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // The top is opened anew, for a listing moves on within what is open.
    let mut at = None;
    for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        at = Some(open_regained(at.as_ref().unwrap_or(top).as_fd(), part, flags)?);
    }
    at.map_or_else(|| open_regained(top.as_fd(), b".", flags), Ok)
}

fn read_at(folder: BorrowedFd<'_>, name: &CStr, cap: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(folder, name, flags, Mode::empty())?);
    let mut bytes = Vec::new();
    if file.metadata()?.is_file() {
        file.take(cap).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    /// Root may read everything, so the parts are tried one by one; as an ordinary user the last
    /// lines show them together.
    #[test]
    fn what_an_agent_made_unreadable_is_read_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("d")).unwrap();
        fs::write(tree.join("d/a"), "text").unwrap();
        let top = open_top(&tree).unwrap();
        let close =
            |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o0)).unwrap();
        for path in [tree.join("d/a"), tree.join("d"), tree.clone()] {
            close(&path);
        }
        pass_through(top.as_fd()).unwrap();
        regain(top.as_fd(), b"d").unwrap();
        regain(top.as_fd(), b"d/a").unwrap();
        assert_eq!(
            [mode(&tree), mode(&tree.join("d")), mode(&tree.join("d/a"))],
            [0o500, 0o700, 0o400]
        );
        // A link is not followed.
        fs::set_permissions(&tree, fs::Permissions::from_mode(0o700)).unwrap();
        let outside = dir.path().join("outside");
        fs::write(&outside, "x").unwrap();
        close(&outside);
        std::os::unix::fs::symlink(&outside, tree.join("link")).unwrap();
        assert_eq!(regain(top.as_fd(), b"link"), Err(Errno::ACCESS));
        assert_eq!(mode(&outside), 0);
        for path in [tree.join("d/a"), tree.join("d"), tree.clone()] {
            close(&path);
        }
        drop(open_top(&tree).unwrap());
        let Ok(Content::File(mut file)) = open_file(&top, b"d/a") else { panic!("a file") };
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
    }
}
