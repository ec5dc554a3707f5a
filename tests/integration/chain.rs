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
    let line = 1 + text.lines().zip(altered.lines()).position(|(a, b)| a != b).expect("a change");
    fs::write(&path, &altered).expect("an altered journal");
    for args in [&["resume"][..], &["journal", "verify"], &["logs"], &["status", "latest"]] {
        let said = story.grafter(args).code(6).stderr;
        let named = format!("line {line} of {} was altered", path.display());
        assert!(said.contains(&named), "{args:?}: {said}");
        assert!(said.contains("\n  cause: its bytes do not match its hash"), "{said}");
        assert!(said.contains("\n  hint: `grafter journal verify "), "{said}");
        assert!(said.contains("`grafter rescue "), "{said}");
        assert!(!said.contains("RUN"), "the hint of {args:?} has to be filled in: {said}");
    }
    assert_eq!(fs::read_to_string(&path).expect("a journal"), altered);
    story.is_untouched();
    // The other runs do not care.
    story.run().ok();
    assert_eq!(story.env.git(["show", "fixed:a.txt"]), "say right");
}

#[test]
fn status_names_the_altered_line_in_the_middle_of_a_finished_run_and_lists_the_others() {
    let story = Story::new();
    story.run().ok();
    let altered = story.runs().swap_remove(0);
    story.grafter(&["undo"]).ok();
    story.run().ok();
    let path = altered.path.join("journal.jsonl");
    let text = fs::read_to_string(&path).expect("a journal");
    fs::write(&path, text.replacen("succeeded", "succeeeed", 1)).expect("an altered journal");
    let line = 1 + text.lines().position(|line| line.contains("succeeded")).expect("a line");
    let output = story.grafter(&["status"]).ok();
    assert!(output.stdout.contains(&format!("altered: line {line} of its journal")));
    assert!(output.stdout.contains("landed (fixed)"), "{}", output.text());
    let id = &altered.id;
    let told = format!(
        "run {id}: error: line {line} of {} was altered\n  cause: its bytes do not match its hash\n  \
         hint: `grafter journal verify {id}`",
        path.display()
    );
    assert!(output.stderr.contains(&told), "{}", output.text());
    let json = story.grafter(&["status", "--json"]).ok().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let states: Vec<_> = json.as_array().expect("a list").iter().map(|run| &run["state"]).collect();
    assert_eq!(states, ["landed (fixed)", &format!("altered: line {line} of its journal")]);
}

#[test]
fn a_landed_run_with_a_torn_last_line_is_over_for_every_resume() {
    let story = Story::new();
    story.run().ok();
    let path = story.latest().join("journal.jsonl");
    let text = fs::read_to_string(&path).expect("a journal");
    fs::write(&path, format!("{text}{{\"v\":1,\"se")).expect("a torn journal");
    // The first one drops the line and notes that.
    for _ in 0..3 {
        let said = story.grafter(&["resume"]).code(2).stderr;
        assert!(said.contains("is over: "), "{said}");
    }
    story.is_whole();
}
