//! Stops asking a provider that keeps failing.
//!
//! Three failures in a row open it. While open, one probe is let through at the end of each wait;
//! success closes it, failure doubles the wait. Claiming the probe starts the next wait, so a probe
//! that is abandoned cannot leave the breaker stuck. The clock is an argument.

use std::time::{Duration, Instant};

const FAILURES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_secs(5 * 60);
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// The state of one provider.
#[derive(Debug, Default)]
pub struct Breaker {
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    until: Instant,
    wait: Duration,
}

impl Breaker {
    /// Says whether something may be sent now; if not, how long nothing may.
    pub fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        match &mut self.open {
            Some(open) if now < open.until => Err(open.until - now),
            Some(open) => {
                open.until = now + open.wait;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Notes that the provider answered.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Notes that the provider failed for good, after retries.
    pub fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if let Some(open) = &mut self.open {
            open.wait = (open.wait * 2).min(LONGEST_WAIT);
            open.until = now + open.wait;
        } else if self.failures >= FAILURES {
            self.open = Some(Open { until: now + FIRST_WAIT, wait: FIRST_WAIT });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fail_fail_ok_fail_fail_fail_opens_at_the_sixth() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for outcome in ["f", "f", "ok", "f", "f", "f"] {
            assert_eq!(breaker.admit(now), Ok(()), "before {outcome}");
            match outcome {
                "ok" => breaker.succeeded(),
                _ => breaker.failed(now),
            }
        }
        assert_eq!(breaker.admit(now), Err(FIRST_WAIT));
    }

    #[test]
    fn one_probe_per_wait_and_each_failed_probe_doubles_it() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        (0..3).for_each(|_| breaker.failed(start));
        let later = start + FIRST_WAIT;
        assert_eq!(breaker.admit(later), Ok(()));
        assert_eq!(breaker.admit(later), Err(FIRST_WAIT), "the probe is taken");
        breaker.failed(later);
        assert_eq!(breaker.admit(later), Err(FIRST_WAIT * 2));
        let much_later = later + FIRST_WAIT * 2;
        assert_eq!(breaker.admit(much_later), Ok(()));
        breaker.succeeded();
        assert_eq!(breaker.admit(much_later), Ok(()));
        assert_eq!(breaker.admit(much_later), Ok(()), "closed again");
    }

    #[test]
    fn an_abandoned_probe_does_not_block_for_ever() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        (0..3).for_each(|_| breaker.failed(start));
        assert_eq!(breaker.admit(start + FIRST_WAIT), Ok(()));
        assert_eq!(breaker.admit(start + FIRST_WAIT * 2), Ok(()));
    }

    #[test]
    fn ten_thousand_failures_make_few_calls() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        let mut calls = 0;
        for second in 0..10_000 {
            let now = start + Duration::from_secs(second);
            if breaker.admit(now).is_ok() {
                calls += 1;
                breaker.failed(now);
            }
        }
        assert_eq!(calls, 3 + 5, "probes after waits of 5, 10, 20, 40 and 60 minutes");
    }
}
