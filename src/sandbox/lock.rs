//! The write lock of a tree: two writers never hold one tree, in one process or in two.
//!
//! In one process writers stand in a line, first come, first served. Between processes the lock is
//! taken on the tree's directory itself, so it follows the directory through renames and links and
//! leaves no file behind. The process that confines a writer's commands holds it as well: it is free
//! once the writer's task *and* all that it has started have ended, however they ended.
//!
//! Who waits in vain is told who holds the tree: within one process by the name that the holder gave,
//! of other processes the system knows the number.
//!
//! Each holder has a number. A write that comes late, from a task that was given up while it ran,
//! has an old number and is refused; one that is under way when its holder leaves is waited for.

use std::{
    collections::HashMap,
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak},
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock, fstat, major, minor, open, stat},
    io::Errno,
};
use thiserror::Error;
use tokio::{
    sync::OwnedMutexGuard,
    time::{Instant, sleep, timeout_at},
};

use crate::sandbox::order::{self, Lock};

/// How often a lock is tried that another process holds.
const AGAIN: Duration = Duration::from_millis(2);
/// Characters of a holder's name.
const NAME: usize = 200;

/// Trees that have been locked.
static TREES: LazyLock<Mutex<HashMap<Key, Weak<Turn>>>> = LazyLock::new(Mutex::default);

/// The device and file number of a tree.
type Key = (u64, u64);

/// The write lock of trees.
#[derive(Debug)]
pub struct TreeLock;

/// What the writers of one tree in this process have in common.
#[derive(Debug, Default)]
struct Turn {
    line: Arc<tokio::sync::Mutex<()>>,
    /// The number of the holder, or of the one that comes next. Who writes holds it for reading.
    number: RwLock<u64>,
    holder: Mutex<Option<String>>,
}

/// Proof that this holder is the tree's only writer; dropping it lets the next one in.
#[derive(Debug)]
pub struct WriteGuard {
    pass: Pass,
    /// Closed, never unlocked: whoever else holds it open keeps the lock.
    _directory: Arc<OwnedFd>,
    _line: OwnedMutexGuard<()>,
    _order: order::Held,
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
    #[error("E_BUSY: {holder} holds the tree {}, for longer than {waited:?}", tree.display())]
    Held {
        /// The tree.
        tree: PathBuf,
        /// Who that is.
        holder: String,
        /// How long was waited.
        waited: Duration,
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
    /// Takes the tree's write lock in the name of `who`, waiting for its turn no longer than
    /// `patience`.
    pub async fn acquire(
        tree: &Path,
        who: &str,
        patience: Duration,
    ) -> Result<WriteGuard, LockError> {
        let order = order::take(Lock::Tree);
        let failed = |errno: Errno| LockError::Io { tree: tree.to_owned(), source: errno.into() };
        let held = || LockError::Held {
            tree: tree.to_owned(),
            holder: Self::holder(tree).unwrap_or_else(|| "another writer".to_owned()),
            waited: patience,
        };
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
        *lock(&turn.holder) = Some(who.escape_debug().take(NAME).collect());
        let pass = Pass { turn, number, directory: Arc::downgrade(&directory) };
        Ok(WriteGuard { pass, _directory: directory, _line: line, _order: order })
    }

    /// Returns who holds a tree, as far as that is known.
    pub fn holder(tree: &Path) -> Option<String> {
        let stat = stat(tree).ok()?;
        let turn = lock(&TREES).get(&(stat.st_dev, stat.st_ino)).and_then(Weak::upgrade);
        if let Some(holder) = turn.and_then(|turn| lock(&turn.holder).clone()) {
            return Some(holder);
        }
        let locks = fs::read_to_string("/proc/locks").ok()?;
        let pid = holder_in(&locks, (stat.st_dev, stat.st_ino))?;
        Some(format!("process {pid}, or what it has started,"))
    }
}

/// Finds the process that holds a lock, in the system's list of locks.
fn holder_in(locks: &str, (device, file): Key) -> Option<u32> {
    let named = format!("{:02x}:{:02x}:{file}", major(device), minor(device));
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (kind, pid, place) = (words.next()?, words.nth(2)?, words.next()?);
        (kind == "FLOCK" && place == named).then(|| pid.parse().ok())?
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn turn(tree: Key) -> Arc<Turn> {
    let mut trees = lock(&TREES);
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
        *lock(&self.pass.turn.holder) = None;
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
mod tests;
