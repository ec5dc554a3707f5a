//! Runs whose trees are overlays: the same commits, killed anywhere, and nothing left or lost.
//!
//! Where no overlay can be laid these tests say so and show nothing.

use std::fs;

use serde_json::json;

use crate::{
    crash::{dies, walk},
    env::{Env, process::Run},
    solo::{Story as Turns, newest, solo, trees},
    story::{Story, paid_once},
};

#[expect(clippy::print_stderr, reason = "a test that shows nothing says so")]
fn overlays_work() -> bool {
    let works = Env::new().grafter(["doctor"]).start().finish().stdout.contains("overlays   work");
    if !works {
        eprintln!("skipped: no overlay can be laid here");
    }
    works
}

/// Returns the run with trees of that shape.
fn with<'r>(run: Run<'r>, shape: &str) -> Run<'r> {
    run.env("GRAFTER_TREES_SHAPE", shape)
}

fn mounts() -> usize {
    let all = fs::read_to_string("/proc/self/mountinfo").expect("the mounts");
    all.lines().filter(|line| line.contains("/state/grafter/")).count()
}

#[test]
fn a_run_in_overlays_ends_as_one_in_plain_trees_does() {
    if !overlays_work() {
        return;
    }
    let (plain, story) = (Story::new(), Story::new());
    with(plain.run(), "plain").ok();
    with(story.run(), "overlay").ok();
    story.is_whole();
    let tree = |story: &Story| story.env.git(["rev-parse", "fixed^{tree}"]);
    assert_eq!(tree(&story), tree(&plain));
    let kinds =
        |story: &Story| story.kinds().into_iter().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(kinds(&story), kinds(&plain));
    assert_eq!(mounts(), 0, "nobody else has a mount of it");
    assert_eq!(story.env.git(["fsck"]), "");
}

#[test]
fn a_run_in_overlays_that_dies_anywhere_goes_on() {
    if !overlays_work() {
        return;
    }
    let story = Story::new();
    with(story.run(), "overlay").ok();
    let records = story.events().len();
    let cases: Vec<_> = (0..records - 1).step_by(6).map(|at| vec![format!("after:{at}")]).collect();
    walk(&cases, |case| {
        let story = Story::new();
        assert!(dies(with(story.run(), "overlay"), &case[0]), "it was over");
        story.is_untouched();
        // The first record is the run's; before it there is none to go on with.
        if story.runs().is_empty() {
            return;
        }
        with(story.grafter(&["resume"]), "overlay").ok();
        story.is_whole();
        paid_once(&story.events());
    });
}

#[test]
fn a_run_goes_on_in_plain_trees_with_what_was_written_in_overlays() {
    if !overlays_work() {
        return;
    }
    let story = Story::new();
    with(story.run(), "overlay").ok();
    let kinds = story.kinds();
    let wrote = |at: &usize| kinds[*at] == "tool_result";
    let cases: Vec<_> =
        (0..kinds.len()).filter(wrote).step_by(3).map(|at| vec![format!("after:{at}")]).collect();
    walk(&cases, |case| {
        let story = Story::new();
        assert!(dies(with(story.run(), "overlay"), &case[0]), "it was over");
        with(story.grafter(&["resume"]), "plain").ok();
        story.is_whole();
        paid_once(&story.events());
    });
}

#[test]
fn what_is_left_in_an_overlay_is_listed_entered_and_saved() {
    if !overlays_work() {
        return;
    }
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.commit("start");
    let script = Turns::new()
        .write("new.txt", "new\n")
        .call("bash", json!({ "command": "rm a.txt; mkdir target; echo x > target/x" }))
        .end("failed");
    with(solo(&env, &script, &["true"], &[]), "overlay").code(1);
    let tree = trees(&env, "writer").remove(0);
    assert_eq!(fs::read_dir(&tree).expect("a folder").count(), 0, "nobody sees its files here");
    let listed = env.grafter(["worktree", "ls"]).ok().stdout;
    assert!(listed.contains("changed") && listed.contains("writer (overlay)"), "{listed}");
    assert_eq!(env.git(["worktree", "list"]).lines().count(), 1, "git is not told of it");
    let run = newest(&env);
    let shell = env.root().join("look");
    fs::write(&shell, "#!/bin/sh\nls > ../seen; cat new.txt >> ../seen\n").expect("a new file");
    fs::set_permissions(&shell, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("mine");
    env.grafter(["worktree", "enter", &run]).env("SHELL", &shell).ok();
    let seen = fs::read_to_string(tree.with_file_name("seen")).expect("it looked");
    assert_eq!(seen, "new.txt\ntarget\nnew\n");
    let cleaned = env.grafter(["worktree", "clean", "--all"]).ok().stdout;
    assert!(cleaned.contains("saved"), "{cleaned}");
    let orphan = env.git(["for-each-ref", "--format=%(refname)", "refs/grafter/orphan"]);
    assert_eq!(env.git(["ls-tree", "-r", "--name-only", &orphan]), "new.txt\ntarget/x");
    assert!(!tree.exists() && trees(&env, "writer.over").is_empty());
}
