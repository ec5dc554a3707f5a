//! The write lock of a tree: two writers never hold one tree, in one process or in two.
//!
//! In one process writers stand in a line, first come, first served. Between processes the lock is
//! taken on the tree's directory itself, so it follows the directory through renames and links and
//! leaves no file behind. The process that confines a writer's commands holds it as well: it is free
//! once the writer's task *and* all that it has started have ended, however they ended.
//!
//! Each holder has a number. A write that comes late, from a task that was given up while it ran,
//! has an old number and is refused; one that is under way when its holder leaves is waited for.

use std::{
    collections::HashMap,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak},
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock, fstat, open},
    io::Errno,
};
use thiserror::Error;
use tokio::{
    sync::OwnedMutexGuard,
    time::{Instant, sleep, timeout_at},
};

/// How often a lock is tried that another process holds.
const AGAIN: Duration = Duration::from_millis(2);

/// Trees that have been locked, by device and file number.
static TREES: LazyLock<Mutex<Trees>> = LazyLock::new(Mutex::default);

type Trees = HashMap<(u64, u64), Weak<Turn>>;

/// The write lock of trees.
#[derive(Debug)]
pub struct TreeLock;

/// What the writers of one tree in this process have in common.
#[derive(Debug, Default)]
struct Turn {
    line: Arc<tokio::sync::Mutex<()>>,
    /// The number of the holder, or of the one that comes next. Who writes holds it for reading.
    number: RwLock<u64>,
}

/// Proof that this holder is the tree's only writer; dropping it lets the next one in.
#[derive(Debug)]
pub struct WriteGuard {
    pass: Pass,
    /// Closed, never unlocked: whoever else holds it open keeps the lock.
    _directory: Arc<OwnedFd>,
    _line: OwnedMutexGuard<()>,
}

/// What lets a writer's tools write, as long as its guard is there.
#[derive(Clone, Debug)]
pub struct Pass {
    turn: Arc<Turn>,
    number: u64,
    directory: Weak<OwnedFd>,
}

/// A write that is under way.
#[derive(Debug)]
pub struct Writing<'a>(#[expect(dead_code, reason = "held")] RwLockReadGuard<'a, u64>);

/// A write came when its writer held the tree no more.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("E_FENCED: this writer's turn is over, another one may hold the tree")]
pub struct Fenced;

/// Why a tree cannot be locked.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another writer holds it.
    #[error("E_BUSY: another writer holds the tree {}", tree.display())]
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
    /// Takes the tree's write lock, waiting for its turn no longer than `patience`.
    pub async fn acquire(tree: &Path, patience: Duration) -> Result<WriteGuard, LockError> {
        let failed = |errno: Errno| LockError::Io { tree: tree.to_owned(), source: errno.into() };
        let held = || LockError::Held { tree: tree.to_owned() };
        let end = Instant::now() + patience;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = open(tree, flags, Mode::empty()).map_err(failed)?;
        let stat = fstat(&directory).map_err(failed)?;
        let turn = turn((stat.st_dev, stat.st_ino));
        let line = timeout_at(end, turn.line.clone().lock_owned()).await.map_err(|_| held())?;
        loop {
            match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) if Instant::now() < end => sleep(AGAIN).await,
                Err(Errno::WOULDBLOCK) => return Err(held()),
                Err(errno) => return Err(failed(errno)),
            }
        }
        let directory = Arc::new(directory);
        let number = *turn.number.read().unwrap_or_else(PoisonError::into_inner);
        let pass = Pass { turn, number, directory: Arc::downgrade(&directory) };
        Ok(WriteGuard { pass, _directory: directory, _line: line })
    }
}

fn turn(tree: (u64, u64)) -> Arc<Turn> {
    let mut trees: MutexGuard<'_, Trees> = TREES.lock().unwrap_or_else(PoisonError::into_inner);
    trees.retain(|_, turn| turn.strong_count() > 0);
    if let Some(turn) = trees.get(&tree).and_then(Weak::upgrade) {
        return turn;
    }
    let turn = Arc::<Turn>::default();
    trees.insert(tree, Arc::downgrade(&turn));
    turn
}

impl WriteGuard {
    /// Returns what lets others write for this holder.
    pub fn pass(&self) -> Pass {
        self.pass.clone()
    }
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        // It waits for a write that is under way; one that comes later has an old number.
        *self.pass.turn.number.write().unwrap_or_else(PoisonError::into_inner) += 1;
    }
}

impl Pass {
    /// Begins a write, which must end before the answer is dropped.
    pub fn enter(&self) -> Result<Writing<'_>, Fenced> {
        let number = self.turn.number.read().unwrap_or_else(PoisonError::into_inner);
        if *number == self.number { Ok(Writing(number)) } else { Err(Fenced) }
    }

    /// Returns what makes a child hold the lock as well, if this writer still does.
    pub(super) fn hold(&self) -> io::Result<Stdio> {
        let directory = self.directory.upgrade().ok_or_else(|| io::Error::other(Fenced))?;
        Ok(directory.try_clone()?.into())
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const NOW: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn the_second_writer_is_refused_until_the_first_lets_go() {
        let tree = tempfile::tempdir().expect("a folder");
        let link = tree.path().join("link");
        std::os::unix::fs::symlink(tree.path(), &link).expect("a link");
        let first = TreeLock::acquire(tree.path(), NOW).await.expect("free");
        assert!(matches!(TreeLock::acquire(&link, NOW).await, Err(LockError::Held { .. })));
        drop(first);
        TreeLock::acquire(&link, NOW).await.expect("free again");
    }

    #[tokio::test]
    async fn a_tree_that_is_not_there_is_an_error() {
        let error = TreeLock::acquire("/nonexistent/tree".as_ref(), NOW).await.expect_err("none");
        assert_eq!(error.to_string(), "cannot lock the tree /nonexistent/tree");
    }

    #[tokio::test]
    async fn a_write_that_comes_late_is_refused() {
        let tree = tempfile::tempdir().expect("a folder");
        let first = TreeLock::acquire(tree.path(), NOW).await.expect("free");
        let late = first.pass();
        assert!(late.enter().is_ok());
        drop(first);
        assert_eq!(late.enter().map(drop), Err(Fenced), "nobody holds it now");
        let second = TreeLock::acquire(tree.path(), NOW).await.expect("free");
        assert_eq!(late.enter().map(drop), Err(Fenced), "somebody else holds it");
        assert!(second.pass().enter().is_ok() && late.hold().is_err());
    }

    #[tokio::test]
    async fn what_a_writer_has_started_holds_the_lock_until_it_has_ended() {
        let tree = tempfile::tempdir().expect("a folder");
        let first = TreeLock::acquire(tree.path(), NOW).await.expect("free");
        let hold = first.pass().hold().expect("it holds the tree");
        let mut child = Command::new("sleep").arg("600").stderr(hold).spawn().expect("a child");
        drop(first);
        assert!(matches!(TreeLock::acquire(tree.path(), NOW).await, Err(LockError::Held { .. })));
        child.kill().expect("it runs");
        child.wait().expect("it has ended");
        TreeLock::acquire(tree.path(), NOW).await.expect("free with its last process");
    }

    /// Reads, changes and writes without any care of its own, as an agent's tools would.
    async fn adds_one(tree: &Path, served: &Mutex<Vec<usize>>, who: usize) {
        let guard = TreeLock::acquire(tree, LONG).await.expect("its turn comes");
        let pass = guard.pass();
        let _writing = pass.enter().expect("it holds the tree");
        let file = tree.join("count");
        let count: usize =
            std::fs::read_to_string(&file).expect("a file").parse().expect("a count");
        tokio::task::yield_now().await;
        std::fs::write(&file, (count + 1).to_string()).expect("a file");
        served.lock().expect("no panic").push(who);
    }

    #[tokio::test]
    async fn a_hundred_writers_of_one_tree_lose_no_update_and_come_in_their_order() {
        let tree = tempfile::tempdir().expect("a folder");
        std::fs::write(tree.path().join("count"), "0").expect("a file");
        let served = Mutex::default();
        let all = (0..100).map(|who| adds_one(tree.path(), &served, who));
        futures_util::future::join_all(all).await;
        let count = std::fs::read_to_string(tree.path().join("count")).expect("a file");
        assert_eq!(count, "100");
        assert_eq!(served.into_inner().expect("no panic"), (0..100).collect::<Vec<_>>());
    }
}
