//! Why a file operation of a place failed.

use std::io;

use rustix::io::Errno;
use thiserror::Error;

use crate::sandbox::beneath::Astray;

/// Why a file operation failed; every variant names the path as it was given.
#[derive(Debug, Error)]
pub enum FileError {
    /// The path leads out of the tree.
    #[error("`{path}` leads out of the tree")]
    Outside {
        /// The path.
        path: String,
    },
    /// The path goes round in links.
    #[error("`{path}` goes through too many symbolic links")]
    Loop {
        /// The path.
        path: String,
    },
    /// The path is in a git dir.
    #[error("`{path}` is git's own and cannot be changed by a tool")]
    Protected {
        /// The path.
        path: String,
    },
    /// Nothing is there.
    #[error("`{path}` does not exist")]
    NotFound {
        /// The path.
        path: String,
    },
    /// Something is there already.
    #[error("`{path}` exists already")]
    Exists {
        /// The path.
        path: String,
    },
    /// It is a directory and a file was wanted.
    #[error("`{path}` is a directory")]
    IsDirectory {
        /// The path.
        path: String,
    },
    /// It is a file and a directory was wanted.
    #[error("`{path}` is not a directory or leads through a file")]
    NotADirectory {
        /// The path.
        path: String,
    },
    /// It is a pipe, a socket or a device.
    #[error("`{path}` is not a plain file")]
    NotAFile {
        /// The path.
        path: String,
    },
    /// It is too large to be read whole.
    #[error("`{path}` has {len} bytes, more than the {cap} that are read at once")]
    TooLarge {
        /// The path.
        path: String,
        /// Its size.
        len: u64,
        /// The limit.
        cap: u64,
    },
    /// Anything else, such as a full disk.
    #[error("cannot {what} `{path}`: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The path.
        path: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl FileError {
    /// Returns whether the disk is full, or the user's share of it.
    pub(super) fn is_no_space(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, Self::Io { source, .. } if full.contains(&source.kind()))
    }
}

/// Turns a failed lookup into its error.
pub(super) fn astray<'a>(
    what: &'static str,
    path: &'a str,
) -> impl FnOnce(Astray) -> FileError + 'a {
    move |astray| match astray {
        Astray::Outside => FileError::Outside { path: path.to_owned() },
        Astray::Loop => FileError::Loop { path: path.to_owned() },
        Astray::Protected => FileError::Protected { path: path.to_owned() },
        Astray::Errno(errno) => failed(what, path)(errno),
    }
}

/// Turns the system's answer into its error.
pub(super) fn failed<'a>(
    what: &'static str,
    path: &'a str,
) -> impl FnOnce(Errno) -> FileError + 'a {
    move |errno| {
        let path = path.to_owned();
        match errno {
            Errno::NOENT => FileError::NotFound { path },
            Errno::EXIST => FileError::Exists { path },
            Errno::ISDIR => FileError::IsDirectory { path },
            Errno::NOTDIR => FileError::NotADirectory { path },
            Errno::NXIO | Errno::NODEV => FileError::NotAFile { path },
            errno => FileError::Io { what, path, source: errno.into() },
        }
    }
}

/// Turns a broken transfer into its error.
pub(super) fn broken<'a>(
    what: &'static str,
    path: &'a str,
) -> impl FnOnce(io::Error) -> FileError + 'a {
    move |source| FileError::Io { what, path: path.to_owned(), source }
}
