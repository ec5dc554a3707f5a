//! The time that a run may take: it stands while all agents are paused.

use std::{future, time::Duration};

use tokio::time::{Instant, sleep_until};

/// A user may set a time beyond any clock.
const LONG: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// What a run has taken, and what it may take.
#[derive(Debug)]
pub(super) struct Stopwatch {
    /// Up to when it was last started or stopped.
    took: Duration,
    /// Since when it runs; none while it stands.
    since: Option<Instant>,
    limit: Duration,
}

impl Stopwatch {
    /// Returns one that runs, with what earlier processes took on it.
    pub(super) fn new(took: Duration, (limit, now): (Duration, Instant)) -> Self {
        Self { took, since: Some(now), limit: limit.min(LONG) }
    }

    /// Stops it, or lets it go on.
    pub(super) fn hold(&mut self, stands: bool, now: Instant) {
        if stands == self.since.is_some() {
            self.took = self.took(now);
            self.since = (!stands).then_some(now);
        }
    }

    /// Returns what the run has taken.
    pub(super) fn took(&self, now: Instant) -> Duration {
        self.took + self.since.map_or(Duration::ZERO, |since| now - since)
    }

    /// Returns whether the time is up.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.took(now) >= self.limit
    }

    /// Returns when the time is up, if it runs.
    fn end(&self) -> Option<Instant> {
        self.since.map(|since| since + self.limit.saturating_sub(self.took))
    }

    /// Waits until the time is up; for ever while it stands.
    pub(super) fn over(&self) -> impl Future<Output = ()> + use<> {
        let end = self.end();
        async move {
            match end {
                Some(end) => sleep_until(end).await,
                None => future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_time_is_up_only_when_it_has_run_so_long() {
        let begun = Instant::now();
        let at = |minutes: u32| begun + MINUTE * minutes;
        let mut watch = Stopwatch::new(MINUTE, (3 * MINUTE, begun));
        watch.hold(true, at(1));
        watch.hold(true, at(30));
        assert_eq!((watch.took(at(60)), watch.end()), (2 * MINUTE, None));
        watch.hold(false, at(61));
        watch.hold(false, at(61));
        assert_eq!((watch.took(at(61)), watch.end()), (2 * MINUTE, Some(at(62))));
        assert!(watch.is_over(at(62)));
    }

    #[test]
    fn a_time_beyond_any_clock_is_no_error() {
        let begun = Instant::now();
        let watch = Stopwatch::new(Duration::ZERO, (Duration::MAX, begun));
        assert!(!watch.is_over(begun + 60 * MINUTE) && watch.end().is_some());
    }
}
