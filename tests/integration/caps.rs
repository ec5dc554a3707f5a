//! Limits end a run with their own exit code, are never passed, and can be raised by a resume.

use grafter::protocol::event::What;

use crate::story::{Story, paid_once};

/// Returns model answers and tokens of the newest run.
fn used(story: &Story) -> (u64, u64) {
    let mut used = (0, 0);
    for event in story.events() {
        if let What::ModelResult { usage, .. } = event.what {
            used = (used.0 + 1, used.1 + usage.total());
        }
    }
    used
}

/// Runs into a limit, is told which one it is, and lands once it is raised.
#[track_caller]
fn ends_and_goes_on(limit: &str, low: &str, high: &str) -> (u64, u64) {
    let story = Story::new();
    let output = story.run_capped(&[limit, low]).code(4);
    assert!(output.text().contains(limit), "{}", output.text());
    let id = story.runs().swap_remove(0).id;
    assert!(output.text().contains(&format!("grafter resume {id}")), "{}", output.text());
    let used = used(&story);
    // Nothing has changed, so it ends again, and for the same reason.
    let again = story.grafter(&["resume"]).code(4);
    assert!(again.text().contains(limit), "{}", again.text());
    story.grafter(&["resume", limit, high]).ok();
    story.is_whole();
    paid_once(&story.events());
    used
}

#[test]
fn calls_are_counted_exactly_however_many_agents_ask_at_once() {
    for cap in [1, 2, 3, 4, 7, 12] {
        let (calls, _) = ends_and_goes_on("--max-turns", &cap.to_string(), "16");
        // One that was granted when another was refused is not sent any more.
        assert!((1..=cap).contains(&calls), "{calls} calls of {cap}");
    }
}

#[test]
fn tokens_are_reserved_before_they_are_spent() {
    // The script says 3010 tokens for each of 16 calls, and the worst case of one is far more.
    let (calls, tokens) = ends_and_goes_on("--max-tokens", "40000", "10000000");
    assert!((1..16).contains(&calls) && tokens <= 40_000, "{calls} calls, {tokens} tokens");
    assert_eq!(ends_and_goes_on("--max-tokens", "0", "10000000"), (0, 0));
}

#[test]
fn a_limit_that_was_raised_stays_so_when_the_resume_dies() {
    let story = Story::new();
    story.run_capped(&["--max-turns", "2"]).code(4);
    let died = story.grafter(&["resume", "--max-turns", "16"]);
    let died = died.env("GRAFTER_FAILPOINT", "after:9").start().finish();
    assert!(!died.status.success() && died.status.code().is_none(), "{}", died.text());
    story.grafter(&["resume"]).ok();
    story.is_whole();
}

#[test]
fn time_is_a_limit_too() {
    assert_eq!(ends_and_goes_on("--timeout", "0", "60"), (0, 0));
    let story = Story::new();
    // More minutes than any clock holds.
    story.run_capped(&["--timeout", "18446744073709551615"]).ok();
    story.is_whole();
}
