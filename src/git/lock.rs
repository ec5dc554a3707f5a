//! One file lock per repository around the making and removing of trees.
//!
//! Concurrent `git worktree add` calls race on git's own lock files; grafters in any number of
//! processes take turns here instead.

use std::{
    fs::{File, OpenOptions, TryLockError},
    thread,
    time::{Duration, Instant},
};

use crate::{
    git::{program::GitError, repo::Repo},
    sandbox::order::{self, Lock},
};

/// How long a grafter waits for its turn; each turn takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// The lock; released when dropped, also by a killed process.
#[derive(Debug)]
pub struct RepoLock {
    _file: File,
    _order: order::Held,
}

/// Takes the lock, waiting a limited time.
pub fn acquire(repo: &Repo) -> Result<RepoLock, GitError> {
    let order = order::take(Lock::Repository);
    let path = repo.state_dir().join("trees.lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(GitError::file("open", &path))?;
    let end = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(RepoLock { _file: file, _order: order }),
            Err(TryLockError::Error(source)) => {
                return Err(GitError::File { doing: "lock", path, source });
            }
            Err(TryLockError::WouldBlock) if Instant::now() >= end => {
                let words = "another grafter has held the lock on this repository's trees too long";
                return Err(GitError::Odd(words.to_owned()));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(1)),
        }
    }
}
