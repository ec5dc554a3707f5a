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

    /// Lets everybody who may read a file execute it.
    pub(super) fn make_executable(&self, path: &str) -> Result<(), FileError> {
        let file =
            self.enter(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, "change")?;
        let stat = fstat(&file).map_err(failed("change", path))?;
        plain(path, &stat)?;
        let mode = stat.st_mode & 0o777;
        fchmod(&file, Mode::from_raw_mode(mode | (mode & 0o444) >> 2))
            .map_err(failed("change", path))
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
mod tests;
