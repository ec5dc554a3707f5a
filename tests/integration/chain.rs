//! A journal that a crash has torn is mended; one that was altered is refused and left alone.

use std::fs;

use crate::story::Story;

/// Returns a story that died in the middle.
fn dead() -> Story {
    let story = Story::new();
    let output = story.run().env("GRAFTER_FAILPOINT", "after:50").start().finish();
    assert!(!output.status.success(), "{}", output.text());
    story
}

#[test]
fn a_torn_last_line_is_dropped_and_the_run_goes_on() {
    for keep in [1, 40] {
        let story = dead();
        let path = story.latest().join("journal.jsonl");
        let text = fs::read_to_string(&path).expect("a journal");
        let last = text.lines().last().expect("a record");
        fs::write(&path, &text[..text.len() - last.len() - 1 + keep]).expect("a torn journal");
        let said = story.grafter(&["journal", "verify"]).ok().stdout;
        assert!(said.contains(&format!("the last {keep} bytes are a torn line")), "{said}");
        let output = story.grafter(&["resume"]).ok();
        assert!(output.text().contains("was torn by a crash"), "{}", output.text());
        story.is_whole();
        let said = story.grafter(&["journal", "verify"]).ok().stdout;
        assert!(said.contains("the chain holds") && !said.contains("torn"), "{said}");
    }
}

#[test]
fn an_altered_line_is_named_and_nothing_is_changed() {
    let story = dead();
    let path = story.latest().join("journal.jsonl");
    let text = fs::read_to_string(&path).expect("a journal");
    let altered = text.replacen("succeeded", "succeeeed", 1);
    let record = text.lines().zip(altered.lines()).position(|(a, b)| a != b).expect("a change");
    fs::write(&path, &altered).expect("an altered journal");
    for args in [&["resume"][..], &["journal", "verify"], &["logs"], &["status", "latest"]] {
        let said = story.grafter(args).code(6).stderr;
        assert!(said.contains(&format!("record {record} of ")), "{args:?}: {said}");
        assert!(said.contains("is broken: its bytes do not match its hash"), "{said}");
        assert!(said.contains("grafter rescue"), "{said}");
    }
    assert_eq!(fs::read_to_string(&path).expect("a journal"), altered);
    story.is_untouched();
    // The other runs do not care.
    story.run().ok();
    assert_eq!(story.env.git(["show", "fixed:a.txt"]), "say right");
    let shown = story.grafter(&["status"]).ok().stdout;
    assert!(shown.contains("landed"), "{shown}");
}
