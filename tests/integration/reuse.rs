//! What one run found out, the next one knows.

use std::collections::BTreeMap;

use grafter::protocol::event::What;

use crate::story::Story;

/// Returns for each conversation of the newest run whether its result was a stored one.
fn reused(story: &Story) -> BTreeMap<String, bool> {
    let ended = story.events().into_iter().filter_map(|event| match event.what {
        What::NodeFinished { reused, .. } => Some((event.agent?.to_string(), reused)),
        _ => None,
    });
    ended.collect()
}

fn calls(story: &Story) -> usize {
    story.kinds().iter().filter(|kind| *kind == "model_intent").count()
}

#[test]
fn a_second_run_of_the_same_issue_asks_nothing_again_unless_it_is_told_to() {
    let story = Story::new();
    let script = crate::story::script();
    let run = |flags: &[&str]| story.run_from(flags, &script).ok();
    run(&["--into", "one"]);
    assert!(reused(&story).values().all(|reused| !reused), "{:?}", reused(&story));
    assert_eq!(calls(&story), 16, "each attempt and each sample is asked for itself");
    let output = run(&["--into", "two"]);
    let second = reused(&story);
    assert_eq!(calls(&story), 0, "{second:?}");
    // Checks that were red are run again; all else is known.
    let again: Vec<_> = second.iter().filter(|(_, reused)| !**reused).map(|(id, _)| id).collect();
    assert_eq!(again, ["checks@1"]);
    assert!(output.text().contains("reused"), "{}", output.text());
    run(&["--into", "three", "--fresh"]);
    assert!(reused(&story).values().all(|reused| !reused));
    assert_eq!(calls(&story), 16);
    for branch in ["one", "two", "three"] {
        assert_eq!(story.env.git(["show", &format!("{branch}:a.txt")]), "say right");
        assert_eq!(story.env.git(["rev-list", &format!("main..{branch}")]).lines().count(), 1);
    }
    story.is_untouched();
}

#[test]
fn another_issue_or_another_base_is_no_known_one() {
    let story = Story::new();
    let script = crate::story::script();
    story.run_from(&["--into", "one"], &script).ok();
    story.env.write("b.txt", "another\n");
    story.env.commit("another base");
    story.run_from(&["--into", "two"], &script).ok();
    assert_eq!(calls(&story), 16);
}
