//! The write lock of a tree: two writers never hold one tree, in one process or in two.
//!
//! The lock is taken on the tree's directory itself, so it follows the directory through renames
//! and links, leaves no file behind, and ends with the process that holds it.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock, open},
    io::Errno,
};
use thiserror::Error;

/// The write lock of trees.
#[derive(Debug)]
pub struct TreeLock;

/// Proof that this holder is the tree's only writer; dropping it lets the next one in.
#[derive(Debug)]
pub struct WriteGuard {
    _directory: OwnedFd,
}

/// Why a tree cannot be locked.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another writer holds it.
    #[error("another writer holds the tree {}", tree.display())]
    Held {
        /// The tree.
        tree: PathBuf,
    },
    /// The tree cannot be opened or its file system has no locks.
    #[error("cannot lock the tree {}", tree.display())]
    Io {
        /// The tree.
        tree: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl TreeLock {
    /// Takes the tree's write lock, or says at once that another writer has it.
    pub fn acquire(tree: &Path) -> Result<WriteGuard, LockError> {
        let failed = |errno: Errno| LockError::Io { tree: tree.to_owned(), source: errno.into() };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = open(tree, flags, Mode::empty()).map_err(failed)?;
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(WriteGuard { _directory: directory }),
            Err(Errno::WOULDBLOCK) => Err(LockError::Held { tree: tree.to_owned() }),
            Err(errno) => Err(failed(errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LockError, TreeLock};

    #[test]
    fn the_second_writer_is_refused_until_the_first_lets_go() {
        let tree = tempfile::tempdir().expect("a folder");
        let link = tree.path().join("link");
        std::os::unix::fs::symlink(tree.path(), &link).expect("a link");
        let first = TreeLock::acquire(tree.path()).expect("free");
        assert!(matches!(TreeLock::acquire(&link), Err(LockError::Held { .. })));
        drop(first);
        TreeLock::acquire(&link).expect("free again");
    }

    #[test]
    fn a_tree_that_is_not_there_is_an_error() {
        let error = TreeLock::acquire("/nonexistent/tree".as_ref()).expect_err("not there");
        assert_eq!(error.to_string(), "cannot lock the tree /nonexistent/tree");
    }
}
