//! The order in which locks are taken, which is why no two tasks can wait for each other.
//!
//! | lock | what has one holder | waited for at most |
//! |---|---|---|
//! | [`Lock::Settling`] | waiting until places that were given up have ended | their end, seconds |
//! | [`Lock::Tree`] | writing a tree, as long as its agent works | 120 s, then `E_BUSY` |
//! | [`Lock::Setup`] | making what trees need once for all | `timeout_minutes` of `[setup]` |
//! | [`Lock::Sandbox`] | a command in a place | the command's deadline |
//! | [`Lock::Repository`] | making and removing trees of a repository | 60 s |
//! | [`Lock::Journal`] | appending to the record of a run | microseconds |
//!
//! Who holds one takes only locks further down. In debug builds a task, or a thread without one,
//! that takes a lock out of this order panics, before it waits. Code on a blocking thread counts by
//! itself: it takes no more than the last two.
//!
//! Beside these there are permits (a provider's places, check slots), whose holders wait for no tree;
//! locks around a few lines that wait for nothing; and the right to work on a run, for which nobody
//! waits.

#[cfg(debug_assertions)]
use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
};

/// The locks that somebody may wait for while holding another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lock {
    /// Waiting until places that were given up have ended.
    Settling,
    /// Writing a tree.
    Tree,
    /// Making what trees need once for all.
    Setup,
    /// A command in a place.
    Sandbox,
    /// Making and removing trees of a repository.
    Repository,
    /// Appending to the record of a run.
    Journal,
}

impl Lock {
    /// Calls of one turn run side by side in one task: each waits for the place that it needs, and
    /// holds nothing else when it does.
    #[cfg(debug_assertions)]
    fn may_follow(self, held: Self) -> bool {
        self > held || (self, held) == (Self::Sandbox, Self::Sandbox)
    }
}

/// That a lock is held, or waited for.
#[derive(Debug)]
pub struct Held {
    #[cfg(debug_assertions)]
    by: (Who, Lock),
}

/// Whoever holds locks.
#[cfg(debug_assertions)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Who {
    Task(tokio::task::Id),
    Thread(ThreadId),
}

#[cfg(debug_assertions)]
static HELD: LazyLock<Mutex<HashMap<Who, Vec<Lock>>>> = LazyLock::new(Mutex::default);

/// Notes that this task is about to wait for a lock; the answer lives as long as the lock is held.
#[cfg(not(debug_assertions))]
pub fn take(_: Lock) -> Held {
    Held {}
}

/// Notes that this task is about to wait for a lock; the answer lives as long as the lock is held.
#[cfg(debug_assertions)]
pub fn take(lock: Lock) -> Held {
    let who = tokio::task::try_id().map_or_else(|| Who::Thread(thread::current().id()), Who::Task);
    let mut table = table();
    let own = table.entry(who).or_default();
    let before = own.iter().copied().find(|held| !lock.may_follow(*held));
    if before.is_none() {
        own.push(lock);
    }
    drop(table);
    if let Some(held) = before {
        panic!("locks out of order: {who:?} holds {held:?} and takes {lock:?}");
    }
    Held { by: (who, lock) }
}

#[cfg(debug_assertions)]
impl Drop for Held {
    fn drop(&mut self) {
        let (who, lock) = self.by;
        let mut table = table();
        let Some(own) = table.get_mut(&who) else { return };
        if let Some(at) = own.iter().rposition(|held| *held == lock) {
            own.swap_remove(at);
        }
        if own.is_empty() {
            table.remove(&who);
        }
    }
}

#[cfg(debug_assertions)]
fn table() -> MutexGuard<'static, HashMap<Who, Vec<Lock>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "holds Repository and takes Tree")]
    fn whoever_takes_a_lock_out_of_order_fails_at_once() {
        let _repository = take(Lock::Repository);
        let _tree = take(Lock::Tree);
    }

    #[tokio::test]
    async fn a_task_that_holds_a_tree_may_not_wait_for_another_one() {
        let both = tokio::spawn(async {
            let _one = take(Lock::Tree);
            tokio::task::yield_now().await;
            let _other = take(Lock::Tree);
        });
        assert!(both.await.expect_err("it panics").is_panic());
    }

    #[tokio::test]
    async fn each_task_has_locks_of_its_own_and_gives_them_back_wherever_that_is() {
        let tree = tokio::spawn(async { take(Lock::Tree) }).await.expect("the first");
        let other = tokio::spawn(async { (take(Lock::Tree), take(Lock::Journal)) });
        let other = other.await.expect("another task");
        drop((tree, other));
        let all = [Lock::Settling, Lock::Tree, Lock::Sandbox, Lock::Sandbox, Lock::Repository];
        let held = all.map(take);
        drop(held);
        drop(take(Lock::Settling));
    }
}
