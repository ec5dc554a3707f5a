//! What of a run's time counts: the clock stands between two processes, and while all agents are
//! paused. A fold of records, pure.

use crate::protocol::event::{Event, What};

/// The clock of a run, in milliseconds of the epoch and between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// What counts of earlier processes.
    earlier: i64,
    /// When this process's first and newest record were written.
    span: (i64, i64),
    /// What of that does not count.
    held: i64,
    /// Since when it stands.
    since: Option<i64>,
}

impl Clock {
    /// Takes in the time of a record.
    pub fn tick(&mut self, event: &Event) {
        // A note may stand before the record of a resume, and tell of hours without any work.
        if matches!(event.what, What::Note { .. }) {
            return;
        }
        if matches!(event.what, What::RunResumed { .. }) {
            let stands = self.since.is_some();
            let earlier = self.counted();
            let since = stands.then_some(event.at);
            *self = Self { earlier, span: (event.at, event.at), held: 0, since };
        } else if self.span.0 == 0 {
            self.span = (event.at, event.at);
        } else {
            self.span.1 = event.at.max(self.span.1);
        }
    }

    /// Stops the clock at its newest record, or lets it go on from there.
    pub fn hold(&mut self, stands: bool) {
        match (self.since, stands) {
            (None, true) => self.since = Some(self.span.1),
            (Some(since), false) => {
                self.held += self.span.1 - since;
                self.since = None;
            }
            _ => {}
        }
    }

    /// Returns whether it stands.
    pub fn stands(&self) -> bool {
        self.since.is_some()
    }

    /// Returns the milliseconds that count, of all processes together.
    pub fn took_ms(&self) -> u64 {
        u64::try_from(self.counted()).unwrap_or(0)
    }

    fn counted(&self) -> i64 {
        let end = self.since.unwrap_or(self.span.1);
        self.earlier + end - self.span.0 - self.held
    }
}
