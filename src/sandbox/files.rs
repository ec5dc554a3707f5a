//! The file operations of a place, none of which leaves its tree.
//!
//! Files are replaced, never truncated: a write that fails leaves the old content. Nothing blocks
//! on what is not a plain file, and every error names the path and what is wrong with it.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::sandbox::{
    beneath::{Beneath, Last, Missing, Spot},
    file_error::{FileError, astray, broken, failed},
};
use rustix::{
    fs::{
        AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Stat, fchmod, fstat, openat, readlinkat,
        renameat, renameat_with, statat, unlinkat,
    },
    io::Errno,
};

/// The largest file that is read whole.
pub const READ_CAP: u64 = 32 << 20;

/// What a path leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A plain file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A pipe, a socket or a device.
    Other,
}

/// What is known about a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Meta {
    /// What it is; never a link, because links are followed.
    pub kind: Kind,
    /// Its size in bytes.
    pub len: u64,
    /// Its permission bits.
    pub mode: u32,
}

/// One name in a directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The name, which need not be text.
    pub name: OsString,
    /// What it is; links are not followed.
    pub kind: Kind,
}

/// The files beneath one directory.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) beneath: Beneath,
}

impl Files {
    /// Returns the files beneath this directory.
    pub(super) fn new(beneath: Beneath) -> Self {
        Self { beneath }
    }

    /// Returns a file's bytes.
    pub(super) fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        // Opening a pipe must not wait for its other end, nor a terminal become this process's.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.enter(path, flags, "read")?;
        let stat = fstat(&file).map_err(failed("read", path))?;
        plain(path, &stat)?;
        let len = u64::try_from(stat.st_size).unwrap_or(0);
        let mut bytes = Vec::new();
        if len <= READ_CAP {
            let read = File::from(file).take(READ_CAP + 1).read_to_end(&mut bytes);
            read.map_err(broken("read", path))?;
        }
        let len = len.max(bytes.len() as u64);
        if len > READ_CAP {
            return Err(FileError::TooLarge { path: path.to_owned(), len, cap: READ_CAP });
        }
        Ok(bytes)
    }

    /// Returns at most `len` bytes of a file from `offset` on; fewer at its end.
    pub(super) fn read_range(
        &self,
        path: &str,
        offset: u64,
        len: usize,
    ) -> Result<Vec<u8>, FileError> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.enter(path, flags, "read")?;
        plain(path, &fstat(&file).map_err(failed("read", path))?)?;
        let mut file = File::from(file);
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(offset)).map_err(broken("read", path))?;
        file.take(len as u64).read_to_end(&mut bytes).map_err(broken("read", path))?;
        Ok(bytes)
    }

    /// Replaces or makes a file.
    pub(super) fn write(&self, path: &str, bytes: &[u8]) -> Result<(), FileError> {
        let spot = self.locate(path, (Last::Follow, Missing::Make), "write")?;
        let mode = match stat_of(&spot) {
            Ok(stat) => {
                plain(path, &stat)?;
                Some(Mode::from_raw_mode(stat.st_mode & 0o777))
            }
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(failed("write", path)(errno)),
        };
        let new = beside();
        let written = fill(&spot, &new, bytes, mode).and_then(|()| {
            renameat(&spot.dir, &new, &spot.dir, &spot.name).map_err(io::Error::from)
        });
        written.map_err(|error| {
            let _ = unlinkat(&spot.dir, &new, AtFlags::empty());
            broken("write", path)(error)
        })
    }

    /// Removes a file, a link or an empty directory.
    pub(super) fn remove(&self, path: &str) -> Result<(), FileError> {
        let spot = self.locate(path, (Last::Keep, Missing::Fail), "remove")?;
        let stat = stat_of(&spot).map_err(failed("remove", path))?;
        let flags = match kind(&stat) {
            Kind::Directory => AtFlags::REMOVEDIR,
            _ => AtFlags::empty(),
        };
        unlinkat(&spot.dir, &spot.name, flags).map_err(failed("remove", path))
    }

    /// Moves a file or directory to where nothing is yet.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), FileError> {
        let old = self.locate(from, (Last::Keep, Missing::Fail), "move")?;
        // Looked at first, so that no folders are made for nothing.
        stat_of(&old).map_err(failed("move", from))?;
        let new = self.locate(to, (Last::Keep, Missing::Make), "move to")?;
        if stat_of(&new).is_ok() {
            return Err(FileError::Exists { path: to.to_owned() });
        }
        let keep = RenameFlags::NOREPLACE;
        match renameat_with(&old.dir, &old.name, &new.dir, &new.name, keep) {
            // Some file systems cannot promise it; that nothing was there is known from above.
            Err(Errno::INVAL) => renameat(&old.dir, &old.name, &new.dir, &new.name),
            moved => moved,
        }
        .map_err(failed("move to", to))
    }

    /// Returns what is known about a path.
    pub(super) fn metadata(&self, path: &str) -> Result<Meta, FileError> {
        let file = self.enter(path, OFlags::PATH, "look at")?;
        let stat = fstat(&file).map_err(failed("look at", path))?;
        let len = u64::try_from(stat.st_size).unwrap_or(0);
        Ok(Meta { kind: kind(&stat), len, mode: stat.st_mode & 0o7777 })
    }

    /// Returns what a directory holds, sorted by name.
    pub(super) fn list(&self, path: &str) -> Result<Vec<Entry>, FileError> {
        let dir = self.enter(path, OFlags::RDONLY | OFlags::DIRECTORY, "list")?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&dir).map_err(failed("list", path))? {
            let entry = entry.map_err(failed("list", path))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
            if name == "." || name == ".." {
                continue;
            }
            // One that has gone meanwhile is not listed; not all file systems tell kinds at once.
            let kind = match entry.file_type() {
                FileType::Unknown => match statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => kind(&stat),
                    Err(_) => continue,
                },
                known => kind_of(known),
            };
            entries.push(Entry { name, kind });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Returns where a link points to, if the path is one.
    pub(super) fn link(&self, path: &str) -> Option<String> {
        let spot = self.locate(path, (Last::Keep, Missing::Fail), "read").ok()?;
        let to = readlinkat(&spot.dir, &spot.name, Vec::new()).ok()?;
        Some(to.to_string_lossy().into_owned())
    }

    fn enter(&self, path: &str, flags: OFlags, what: &'static str) -> Result<OwnedFd, FileError> {
        self.beneath.enter(Path::new(path), flags).map_err(astray(what, path))
    }

    fn locate(
        &self,
        path: &str,
        (last, missing): (Last, Missing),
        what: &'static str,
    ) -> Result<Spot, FileError> {
        let spot = self.beneath.locate(Path::new(path), last, missing);
        let spot = spot.map_err(astray(what, path))?;
        if spot.name == "." {
            return Err(FileError::IsDirectory { path: path.to_owned() });
        }
        Ok(spot)
    }
}

/// Returns a name for a file that is still being written.
fn beside() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(".grafter-{}-{count}.tmp", std::process::id())
}

fn fill(spot: &Spot, name: &str, bytes: &[u8], mode: Option<Mode>) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(&spot.dir, name, flags, Mode::from_raw_mode(0o666))?;
    if let Some(mode) = mode {
        fchmod(&file, mode)?;
    }
    File::from(file).write_all(bytes)
}

fn stat_of(spot: &Spot) -> rustix::io::Result<Stat> {
    statat(&spot.dir, &spot.name, AtFlags::SYMLINK_NOFOLLOW)
}

fn plain(path: &str, stat: &Stat) -> Result<(), FileError> {
    match kind(stat) {
        Kind::File => Ok(()),
        Kind::Directory => Err(FileError::IsDirectory { path: path.to_owned() }),
        Kind::Link | Kind::Other => Err(FileError::NotAFile { path: path.to_owned() }),
    }
}

fn kind(stat: &Stat) -> Kind {
    kind_of(FileType::from_raw_mode(stat.st_mode))
}

fn kind_of(kind: FileType) -> Kind {
    match kind {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        ffi::OsStr,
        fs,
        os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    };

    use insta::assert_snapshot;
    use tempfile::TempDir;

    use super::{FileError, Files, Kind, Path, READ_CAP};
    use crate::sandbox::beneath::{Beneath, By};

    /// A tree with links of all kinds, and something outside that they want to reach.
    fn tree() -> TempDir {
        let dir = TempDir::new().expect("a folder");
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(target, dir.path().join("tree").join(name)).expect("a link");
        };
        fs::create_dir_all(dir.path().join("tree/src/deep")).expect("made");
        fs::create_dir_all(dir.path().join("tree/sub/.git/hooks")).expect("made");
        fs::write(dir.path().join("tree/src/a"), "in a").expect("made");
        fs::write(dir.path().join("secret"), "outside").expect("made");
        link("src/a", "inside");
        link("src", "dir");
        link("../a", "src/deep/up");
        link("../secret", "out");
        link("..", "parent");
        link("/etc/hostname", "absolute");
        link("/proc/self/root", "magic");
        link("loop-b", "loop-a");
        link("loop-a", "loop-b");
        link("nowhere", "dangling");
        link("sub/.git", "sneaky");
        dir
    }

    fn files(dir: &TempDir, by: By) -> Files {
        let mut beneath = Beneath::open(&dir.path().join("tree")).expect("it opens");
        beneath.by = by;
        Files::new(beneath)
    }

    #[test]
    fn the_kernel_and_the_walk_read_alike() {
        let dir = tree();
        let said = [By::Kernel, By::Walk].map(|by| {
            let files = files(&dir, by);
            let paths = [
                "src/a",
                "inside",
                "dir/a",
                "src/deep/up",
                "src/../src/a",
                "./src//a",
                "src",
                "gone",
                "src/a/b",
                "../secret",
                "src/../../secret",
                "/etc/hostname",
                "out",
                "parent/secret",
                "absolute",
                "magic/etc/hostname",
                "loop-a",
                "dangling",
                "",
                "nul\0byte",
            ];
            let read = |path: &&str| match files.read(path) {
                Ok(bytes) => format!("{path}: {}", String::from_utf8_lossy(&bytes)),
                Err(error) => error.to_string(),
            };
            paths.iter().map(read).collect::<Vec<_>>().join("\n")
        });
        assert_eq!(said[0], said[1]);
        assert_snapshot!(said[0].replace('\0', "^@"), @r#"
        src/a: in a
        inside: in a
        dir/a: in a
        src/deep/up: in a
        src/../src/a: in a
        ./src//a: in a
        `src` is a directory
        `gone` does not exist
        `src/a/b` is not a directory or leads through a file
        `../secret` leads out of the tree
        `src/../../secret` leads out of the tree
        `/etc/hostname` leads out of the tree
        `out` leads out of the tree
        `parent/secret` leads out of the tree
        `absolute` leads out of the tree
        `magic/etc/hostname` leads out of the tree
        `loop-a` goes through too many symbolic links
        `dangling` does not exist
        `` is a directory
        cannot read `nul^@byte`: Invalid argument (os error 22)
        "#);
    }

    #[test]
    fn nothing_outside_is_changed_whatever_the_path() {
        let dir = tree();
        let files = files(&dir, By::Kernel);
        for path in ["../x", "/tmp/x", "out", "parent/x", "absolute", "src/../../x", "magic/tmp/x"]
        {
            let error = files.write(path, b"x").expect_err(path);
            assert!(matches!(error, FileError::Outside { .. }), "{error}");
        }
        for path in ["parent/secret", "../secret", "magic/tmp"] {
            assert!(matches!(files.remove(path), Err(FileError::Outside { .. })), "{path}");
            assert!(
                matches!(files.rename("src/a", path), Err(FileError::Outside { .. })),
                "{path}"
            );
            assert!(
                matches!(files.rename(path, "src/b"), Err(FileError::Outside { .. })),
                "{path}"
            );
        }
        assert!(matches!(files.write("loop-a", b"x"), Err(FileError::Loop { .. })));
        assert_eq!(fs::read(dir.path().join("secret")).expect("there"), b"outside");
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 2);
    }

    #[test]
    fn git_dirs_are_not_changed_by_any_name() {
        let dir = tree();
        let files = files(&dir, By::Kernel);
        for path in
            [".git", ".git/config", "sub/.git/hooks/x", "sneaky/hooks/x", ".GIT/x", "new/.git/x"]
        {
            let error = files.write(path, b"x").expect_err(path);
            assert!(matches!(error, FileError::Protected { .. }), "{error}");
            let error = files.rename("src/a", path).expect_err(path);
            assert!(matches!(error, FileError::Protected { .. }), "{error}");
        }
        assert!(matches!(files.remove("sneaky/hooks"), Err(FileError::Protected { .. })));
        files.remove("sneaky").expect("the link itself is nobody's");
        files.write(".gitignore", b"x").expect("not a git dir");
    }

    #[test]
    fn a_write_makes_folders_keeps_the_mode_and_goes_through_links() {
        let dir = tree();
        let files = files(&dir, By::Kernel);
        let at = |path: &str| dir.path().join("tree").join(path);
        files.write("x/y/z", b"new").expect("written");
        assert_eq!(fs::read(at("x/y/z")).expect("there"), b"new");
        fs::set_permissions(at("src/a"), fs::Permissions::from_mode(0o755)).expect("set");
        files.write("inside", b"changed").expect("written");
        assert_eq!(fs::read(at("src/a")).expect("there"), b"changed");
        assert_eq!(files.metadata("src/a").expect("there").mode, 0o755);
        assert!(fs::symlink_metadata(at("inside")).expect("there").is_symlink());
        files.write("dangling", b"made").expect("written");
        assert_eq!(fs::read(at("nowhere")).expect("there"), b"made");
        assert!(matches!(files.write("src", b"x"), Err(FileError::IsDirectory { .. })));
        assert!(matches!(files.write("src/a/x", b"x"), Err(FileError::NotADirectory { .. })));
        assert!(
            fs::read_dir(at(""))
                .expect("listed")
                .flatten()
                .all(|entry| { !entry.file_name().to_string_lossy().ends_with(".tmp") })
        );
    }

    #[test]
    fn moves_and_removals_take_the_link_not_its_target() {
        let dir = tree();
        let files = files(&dir, By::Kernel);
        files.rename("inside", "moved/link").expect("moved");
        let moved = dir.path().join("tree/moved/link");
        assert!(fs::symlink_metadata(&moved).expect("there").is_symlink());
        files.remove("moved/link").expect("removed");
        assert!(matches!(files.rename("src/a", "src/deep"), Err(FileError::Exists { .. })));
        assert!(matches!(files.rename("gone", "new/x"), Err(FileError::NotFound { .. })));
        assert!(!dir.path().join("tree/new").exists());
        assert!(matches!(
            files.remove("src"),
            Err(FileError::Exists { .. } | FileError::Io { .. })
        ));
        files.remove("moved").expect("an empty folder");
        files.read("src/a").expect("still there");
        for path in ["", ".", "src/.."] {
            assert!(files.remove(path).is_err(), "{path}");
        }
    }

    #[test]
    fn odd_things_are_errors_not_waits() {
        let dir = tree();
        let files = files(&dir, By::Kernel);
        let pipe = dir.path().join("tree/pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .expect("a pipe");
        assert!(matches!(files.read("pipe"), Err(FileError::NotAFile { .. })));
        assert!(matches!(files.write("pipe", b"x"), Err(FileError::NotAFile { .. })));
        let large = fs::File::create(dir.path().join("tree/large")).expect("made");
        large.set_len(200 << 20).expect("set");
        let error = files.read("large").expect_err("too large").to_string();
        assert_snapshot!(error, @r#"
        `large` has 209715200 bytes, more than the 33554432 that are read at once
        "#);
        large.set_len(READ_CAP).expect("set");
        assert_eq!(files.read("large").expect("just small enough").len() as u64, READ_CAP);
    }

    #[test]
    fn names_that_are_no_text_are_listed() {
        let dir = tree();
        let odd = OsStr::from_bytes(b"odd\xff\n");
        fs::write(dir.path().join("tree").join(Path::new(odd)), "x").expect("made");
        let files = files(&dir, By::Kernel);
        let names = files.list(".").expect("listed");
        let odd = names.iter().find(|entry| entry.name == odd).expect("listed");
        assert_eq!(odd.kind, Kind::File);
        assert!(names.is_sorted_by(|a, b| a.name < b.name));
        let kind = |name: &str| names.iter().find(|entry| entry.name == name).map(|e| e.kind);
        assert_eq!((kind("src"), kind("out")), (Some(Kind::Directory), Some(Kind::Link)));
        assert!(matches!(files.list("src/a"), Err(FileError::NotADirectory { .. })));
        assert!(matches!(files.list("parent"), Err(FileError::Outside { .. })));
    }
}
