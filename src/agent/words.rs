//! What the scaffold says to a model between its tool results, all in one table.

use std::time::Duration;

/// After an answer that called no tool.
pub const NO_CALL: &str = "Your answer called no tool, so nothing happened. Call a tool to go on, \
    or call `finish` when you are done.";

/// After an answer whose text could be read as a call in more than one way.
pub const AMBIGUOUS: &str = "Your answer can be read as more than one tool call, so none was run. \
    Answer with exactly one call and nothing that looks like another.";

/// After an answer that reached its token limit.
pub const CUT: &str = "Your answer was cut because it reached its token limit. What was cut did \
    not take effect. Go on in smaller steps.";

/// Before the last turn.
pub const LAST_TURN: &str = "Your turns are used up. This is the last one: call `finish` now and \
    say what is done and what is not.";

/// Added to the third identical result in a row.
pub const NUDGE: &str = "[You have made this very call several times and the result did not \
    change. Do something else.]";

/// For calls after a finish that was accepted.
pub const AFTER_FINISH: &str = "not run: `finish` was accepted before this call";

/// For calls beyond the number that one turn may have.
pub const TOO_MANY: &str = "not run: too many calls in one turn; repeat it in the next one";

/// For an answer in text that leaves the tree as it is.
pub const UNCHANGED: &str = "the answer changes nothing: it repeats the code as it already is";

/// Why an agent ends when its provider refuses.
pub const REFUSED: &str = "the model's provider refused to answer";

/// Stands for an answer without any content.
pub const EMPTY: &str = "(empty answer)";

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

/// Returns the reference that stands for a repeated result.
pub fn same_as(turn: u32) -> String {
    format!(
        "[the same call already gave this very result in your turn {}; nothing has changed since]",
        turn + 1
    )
}

/// Returns what a refused finish is told.
pub fn bounced(missing: &[String]) -> String {
    let list: Vec<_> = missing.iter().map(|text| format!("- {text}")).collect();
    format!("not finished yet; mend this and call `finish` again:\n{}", list.join("\n"))
}

/// Returns what is added to the task after an answer in text that was of no use.
pub fn wrong(why: &str) -> String {
    format!("\n\nAn earlier answer to this was refused: {why}\nAnswer anew, and differently.\n")
}
