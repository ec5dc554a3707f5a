//! Paths that stay beneath a directory, whatever links and `..` they go through.
//!
//! Reading asks the kernel (`openat2`) in one call. Changing walks component by component, each
//! opened without following it, because a change needs the folder it happens in and the name it
//! really has; the same walk serves reads where the kernel lacks the call. Every step is relative
//! to an open descriptor, so a tree that changes meanwhile can make a step fail but never lead out.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, open, openat, openat2, readlinkat},
    io::Errno,
};

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;
/// How often a lookup is repeated that the kernel gave up because the tree changed under it.
const TRIES: usize = 8;
/// Opens a name without entering or following it.
const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory that lookups do not leave.
#[derive(Debug)]
pub(super) struct Beneath {
    root: OwnedFd,
    pub(super) by: By,
}

/// Who looks paths up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum By {
    /// The kernel where it can.
    Kernel,
    /// The walk alone.
    Walk,
}

/// What to do with a link in the last place.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Last {
    /// Go where it leads.
    Follow,
    /// Take the link itself.
    Keep,
}

/// What to do with folders that are missing on the way.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Missing {
    /// Make them.
    Make,
    /// Give up.
    Fail,
}

/// Where a path leads: a name in an open folder. Nothing need be there yet.
#[derive(Debug)]
pub(super) struct Spot {
    /// The folder.
    pub(super) dir: OwnedFd,
    /// The name in it; `.` if the path leads to the folder itself.
    pub(super) name: OsString,
}

/// Why a path leads nowhere.
#[derive(Debug, PartialEq)]
pub(super) enum Astray {
    /// It leads out of the directory.
    Outside,
    /// It goes through too many links.
    Loop,
    /// It goes into a git dir, which only grafter changes.
    Protected,
    /// The system's answer.
    Errno(Errno),
}

impl From<Errno> for Astray {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::XDEV => Self::Outside,
            Errno::LOOP => Self::Loop,
            errno => Self::Errno(errno),
        }
    }
}

impl Beneath {
    /// Opens the directory.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: open(path, flags, Mode::empty())?, by: By::Kernel })
    }

    /// Opens what a path leads to, without making anything.
    pub(super) fn enter(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Astray> {
        let flags = flags | OFlags::CLOEXEC;
        let named = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..TRIES {
            if self.by == By::Walk {
                break;
            }
            match openat2(&self.root, named, flags, Mode::empty(), beneath) {
                // Old kernels lack the call, and some containers forbid it.
                Err(Errno::NOSYS | Errno::PERM) => break,
                Err(Errno::AGAIN) => {}
                answer => return Ok(answer?),
            }
        }
        let spot = self.locate(path, Last::Follow, Missing::Fail)?;
        Ok(openat(&spot.dir, &spot.name, flags | OFlags::NOFOLLOW, Mode::empty())?)
    }

    /// Walks to a spot for a change; a spot in a git dir is refused.
    pub(super) fn locate(&self, path: &Path, last: Last, missing: Missing) -> Result<Spot, Astray> {
        let mut walk = Walk { root: self.root.as_fd(), above: Vec::new(), ahead: Vec::new() };
        walk.queue(path)?;
        let mut links = 0;
        while let Some(name) = walk.ahead.pop() {
            if name == ".." {
                walk.above.pop().ok_or(Astray::Outside)?;
                continue;
            }
            let is_last = walk.ahead.is_empty();
            let next = match openat(walk.here(), &name, LOOK, Mode::empty()) {
                Ok(next) => next,
                Err(Errno::NOENT) if is_last => return walk.spot(name),
                Err(Errno::NOENT) if missing == Missing::Make => walk.make(&name)?,
                Err(errno) => return Err(errno.into()),
            };
            match FileType::from_raw_mode(fstat(&next)?.st_mode) {
                FileType::Symlink if is_last && last == Last::Keep => return walk.spot(name),
                FileType::Symlink => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Astray::Loop);
                    }
                    let target = readlinkat(&next, "", Vec::new())?.into_bytes();
                    walk.queue(&PathBuf::from(OsString::from_vec(target)))?;
                }
                _ if is_last => return walk.spot(name),
                FileType::Directory => walk.above.push((name, next)),
                _ => return Err(Astray::Errno(Errno::NOTDIR)),
            }
        }
        walk.spot(".".into())
    }
}

/// A walk on its way: the folders gone into and the names still ahead, the next one last.
struct Walk<'a> {
    root: BorrowedFd<'a>,
    above: Vec<(OsString, OwnedFd)>,
    ahead: Vec<OsString>,
}

impl Walk<'_> {
    fn here(&self) -> BorrowedFd<'_> {
        self.above.last().map_or(self.root, |(_, dir)| dir.as_fd())
    }

    fn queue(&mut self, path: &Path) -> Result<(), Astray> {
        for part in path.components().rev() {
            match part {
                Component::Normal(name) => self.ahead.push(name.to_owned()),
                Component::ParentDir => self.ahead.push("..".into()),
                Component::CurDir => {}
                Component::RootDir | Component::Prefix(_) => return Err(Astray::Outside),
            }
        }
        Ok(())
    }

    fn make(&self, name: &OsStr) -> Result<OwnedFd, Astray> {
        self.guard(name)?;
        match mkdirat(self.here(), name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => Ok(openat(self.here(), name, LOOK, Mode::empty())?),
            Err(errno) => Err(errno.into()),
        }
    }

    fn spot(&self, name: OsString) -> Result<Spot, Astray> {
        self.guard(&name)?;
        Ok(Spot { dir: self.here().try_clone_to_owned().map_err(|error| errno(&error))?, name })
    }

    /// Refuses every git dir, in whatever letters a file system may take for its name.
    fn guard(&self, name: &OsStr) -> Result<(), Astray> {
        let mut names = self.above.iter().map(|(name, _)| name.as_os_str()).chain([name]);
        let git = names.any(|name| name.eq_ignore_ascii_case(".git"));
        if git { Err(Astray::Protected) } else { Ok(()) }
    }
}

fn errno(error: &io::Error) -> Astray {
    Astray::Errno(Errno::from_io_error(error).unwrap_or(Errno::IO))
}
