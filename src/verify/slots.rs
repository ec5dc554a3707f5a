//! How many checks run at once in this process.
//!
//! Test suites wait for processes, ports and clocks, and fail for no fault of the code where the
//! machine is overrun. So a check takes one of a few slots, and one that failed takes all of them
//! when it is run again: what fails alone fails for a reason of its own.

use std::{sync::OnceLock, thread};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

/// The slots of a machine.
#[derive(Debug)]
pub struct Slots {
    free: Semaphore,
    count: u32,
}

static SLOTS: OnceLock<Slots> = OnceLock::new();

/// Returns the slots of this process: one for two cores, for a suite rarely needs only one, unless
/// another number was set.
pub fn slots() -> &'static Slots {
    SLOTS.get_or_init(|| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Slots::new(u32::try_from(cores / 2).unwrap_or(u32::MAX).max(1))
    })
}

/// Sets the number of slots of this process; once they are used, the number stays.
pub fn set(count: usize) {
    let _ = SLOTS.set(Slots::new(u32::try_from(count).unwrap_or(u32::MAX)));
}

impl Slots {
    /// Returns this many free slots.
    pub fn new(count: u32) -> Self {
        let free = usize::try_from(count).expect("a usize holds 32 bits");
        Self { free: Semaphore::new(free), count }
    }

    /// Returns how many slots are taken, and how many there are.
    pub fn taken(&self) -> (u32, u32) {
        let free = u32::try_from(self.free.available_permits()).unwrap_or(u32::MAX);
        (self.count.saturating_sub(free), self.count)
    }

    /// Waits for a slot, which is free again when the permit is dropped; none when cancelled.
    pub async fn one(&self, cancel: &CancellationToken) -> Option<SemaphorePermit<'_>> {
        self.take(1, cancel).await
    }

    /// Waits until nothing else runs, and keeps it so; none when cancelled.
    pub async fn all(&self, cancel: &CancellationToken) -> Option<SemaphorePermit<'_>> {
        self.take(self.count, cancel).await
    }

    async fn take(&self, slots: u32, cancel: &CancellationToken) -> Option<SemaphorePermit<'_>> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => None,
            // Whoever came first is served first, so that a long row of single ones never keeps
            // one that waits for all from its turn.
            permit = self.free.acquire_many(slots) => {
                Some(permit.expect("the semaphore is never closed"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_rerun_waits_for_all_and_is_not_overtaken() {
        let (slots, cancel) = (Slots::new(2), CancellationToken::new());
        let first = slots.one(&cancel).await.expect("free");
        let mut alone = Box::pin(slots.all(&cancel));
        assert!(alone.as_mut().now_or_never().is_none(), "one is taken");
        let mut late = Box::pin(slots.one(&cancel));
        assert!(late.as_mut().now_or_never().is_none(), "the rerun came first");
        drop(first);
        let held = alone.await.expect("free now");
        assert!(late.as_mut().now_or_never().is_none(), "the rerun is alone");
        drop(held);
        assert!(late.await.is_some());
    }

    #[tokio::test]
    async fn waiting_ends_with_the_run() {
        let (slots, cancel) = (Slots::new(1), CancellationToken::new());
        let _held = slots.one(&cancel).await.expect("free");
        cancel.cancel();
        assert!(slots.one(&cancel).await.is_none());
        assert!(slots.all(&cancel).await.is_none());
    }
}
