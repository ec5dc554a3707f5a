//! What the user is told about an agent's model calls, and why an agent ends.
//!
//! What models are told stands in `prompts/words.yaml`.

use std::time::Duration;

/// Why an agent ends when its provider refuses.
pub const REFUSED: &str = "the model's provider refused to answer";

/// Where an agent has text from that stood in its orders.
pub const GIVEN: &str = "what it was given to do";

/// Returns what the user is told while a failed model call waits for its next attempt.
pub fn again(wait: Duration, why: &str) -> String {
    format!("a model call failed ({why}); asked again in {:.1} s", wait.as_secs_f32())
}

/// Returns what the user is told about a request that was lost with its process.
pub fn lost(turn: u32) -> String {
    format!(
        "turn {} was sent when the run broke off and may have been paid; it is sent again, and what \
         was reserved for it stays counted against the budget",
        turn + 1
    )
}

/// Returns why a request is not sent a third time.
pub fn given_up(turn: u32, times: u32) -> String {
    format!(
        "turn {} was sent {times} times and the run broke off each time before an answer came; each \
         may have been paid, so it is not sent again by itself\nhint: resume once more to send it \
         all the same",
        turn + 1
    )
}
