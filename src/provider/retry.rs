//! Whether and when a failed attempt is repeated.
//!
//! Only where a repetition can help: the provider was busy, broken or unreachable. An answer that
//! broke off was probably billed, so it is repeated once only. A wait the provider asks for is
//! honoured, but one beyond `longest` is not sat out: the error says how long it would be.

use std::time::Duration;

use crate::provider::model::ErrorKind;

/// How often and how long.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// The first wait, before jitter.
    pub base: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { base: Duration::from_millis(500), longest: Duration::from_secs(90) }
    }
}

impl Retry {
    /// Returns the wait before the next attempt, if there shall be one; `failed` attempts that
    /// count for this kind are behind us and `jitter` is between 0 and 1.
    pub fn wait(&self, kind: &ErrorKind, failed: u32, jitter: f64) -> Option<Duration> {
        if failed > repeats(kind) {
            return None;
        }
        let (ErrorKind::RateLimit { retry_after } | ErrorKind::Overloaded { retry_after }) = kind
        else {
            return Some(self.backoff(failed, jitter));
        };
        match retry_after {
            Some(asked) if *asked > self.longest => None,
            // A little jitter on top, or all agents come back in the same instant.
            Some(asked) => Some(*asked + self.base.mul_f64(jitter.clamp(0.0, 1.0))),
            None => Some(self.backoff(failed, jitter)),
        }
    }

    fn backoff(&self, failed: u32, jitter: f64) -> Duration {
        let doubled = self.base.saturating_mul(1 << failed.saturating_sub(1).min(16));
        doubled.min(self.longest).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    }
}

/// Returns whether a failed attempt of this kind was probably paid for.
pub fn is_billed(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Cut | ErrorKind::Stall | ErrorKind::ToolFormat)
}

fn repeats(kind: &ErrorKind) -> u32 {
    match kind {
        ErrorKind::RateLimit { .. }
        | ErrorKind::Overloaded { .. }
        | ErrorKind::Server
        | ErrorKind::Network => 3,
        kind if is_billed(kind) => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(kind: &ErrorKind, jitter: f64) -> Vec<u128> {
        let retry = Retry::default();
        (1..9).map_while(|failed| retry.wait(kind, failed, jitter)).map(|w| w.as_millis()).collect()
    }

    #[test]
    fn server_faults_are_repeated_three_times_with_growing_waits() {
        assert_eq!(waits(&ErrorKind::Server, 1.0), [500, 1000, 2000]);
        assert_eq!(waits(&ErrorKind::Network, 0.0), [250, 500, 1000]);
    }

    #[test]
    fn what_a_repetition_cannot_help_is_not_repeated() {
        for kind in [ErrorKind::Auth, ErrorKind::UnknownModel, ErrorKind::BadRequest] {
            assert!(waits(&kind, 0.5).is_empty(), "{kind:?}");
        }
        assert_eq!(waits(&ErrorKind::Cut, 0.5).len(), 1);
    }

    #[test]
    fn the_providers_wish_is_honoured_unless_it_is_beyond_reason() {
        let asked =
            |seconds| ErrorKind::RateLimit { retry_after: Some(Duration::from_secs(seconds)) };
        assert_eq!(waits(&asked(7), 0.0), [7000, 7000, 7000]);
        assert!(waits(&asked(3600), 0.0).is_empty());
    }
}
