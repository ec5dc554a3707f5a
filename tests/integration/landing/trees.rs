//! Trees come and go with their runs: none piles up, and none with work in it is lost.

use std::{fs, path::PathBuf};

use rustix::process::Signal;

use super::{gate, small};
use crate::{
    env::Env,
    solo::{GATE, Story, at_gate, newest, open_gate, solo, trees, writes},
};

fn worktrees(env: &Env) -> usize {
    env.git(["worktree", "list", "--porcelain"]).matches("worktree ").count() - 1
}

/// Everything below the state folder of the repository.
fn left(env: &Env) -> Vec<PathBuf> {
    let keys = fs::read_dir(env.root().join("state/grafter")).into_iter().flatten().flatten();
    let runs = keys.flat_map(|key| fs::read_dir(key.path()).into_iter().flatten().flatten());
    runs.flat_map(|run| fs::read_dir(run.path()).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .collect()
}

#[test]
fn after_a_landing_no_tree_is_left() {
    let env = small();
    // The checks leave their tree dirty, which is nobody's work.
    let story = Story::new().write("new.txt", "new\n").finish();
    solo(&env, &story, &["echo x > dirt"], &[]).ok();
    assert_eq!((worktrees(&env), left(&env)), (0, Vec::new()));
    assert_eq!(env.git(["for-each-ref", "refs/grafter/orphan"]), "");
    assert_eq!(fs::read_dir(env.path(".git/grafter/trees")).expect("its list").count(), 0);
    let said = env.grafter(["worktree", "ls"]).ok().stdout;
    assert_eq!(said, "grafter has no trees of this repository\n");
    let said = env.grafter(["worktree", "enter", "latest", "--print"]).code(2).stderr;
    assert!(said.contains("has no writer's tree"), "{said}");
}

#[test]
fn what_did_not_land_keeps_its_tree_until_it_is_cleaned_and_then_a_ref() {
    let env = small();
    let story = Story::new().write("new.txt", "new\n").end("failed");
    solo(&env, &story, &["true"], &[]).code(1);
    let tree = trees(&env, "writer").remove(0);
    let printed = env.grafter(["worktree", "enter", "latest", "--print"]).ok().stdout;
    assert_eq!(printed.trim_end(), tree.to_str().expect("text"));
    let listed = env.grafter(["worktree", "ls"]).ok().stdout;
    let row = listed.lines().nth(1).expect("one tree");
    assert!(row.starts_with(&format!("grafter/{}/do-it", newest(&env))), "{listed}");
    assert!(row.contains("changed"), "{listed}");

    let said = env.grafter(["worktree", "clean"]).ok().stdout;
    assert!(said.starts_with("removed 0, kept 1\n") && tree.is_dir(), "{said}");
    let said = env.grafter(["worktree", "clean", "--all"]).ok().stdout;
    assert!(said.contains("removed 1, kept 0") && !tree.exists(), "{said}");
    let orphan = env.git(["for-each-ref", "--format=%(refname)", "refs/grafter/orphan"]);
    assert_eq!(env.git(["show", &format!("{orphan}:new.txt")]), "new");
    assert_eq!((worktrees(&env), left(&env).len()), (0, 0));
}

#[test]
fn a_run_that_is_live_keeps_its_trees() {
    let env = small();
    let story = Story::new().bash(GATE).write("new.txt", "new\n").finish();
    let run = solo(&env, &story, &["true"], &[]).start();
    let tree = at_gate(&env, "writer");
    // Neither cleaning nor another run takes them away.
    let said = env.grafter(["worktree", "clean", "--all"]).ok().stdout;
    assert!(said.starts_with("removed 0"), "{said}");
    solo(&env, &writes("other.txt", "x\n"), &["true"], &[]).ok();
    assert!(tree.is_dir());
    open_gate(&tree);
    let output = run.finish();
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    assert_eq!((worktrees(&env), left(&env)), (0, Vec::new()));
}

#[test]
fn throw_away_trees_of_a_killed_run_are_swept_by_the_next_and_its_work_is_not() {
    let env = small();
    let run = solo(&env, &writes("new.txt", "new\n"), &[&gate()], &[]).start();
    at_gate(&env, "checks-checks-1");
    run.signal(Signal::KILL);
    drop(run);
    let killed = newest(&env);
    assert_eq!((trees(&env, "checks-checks-1").len(), trees(&env, "writer").len()), (1, 1));

    solo(&env, &writes("other.txt", "x\n"), &["true"], &[]).ok();
    assert_eq!((trees(&env, "checks-checks-1").len(), trees(&env, "writer").len()), (0, 1));

    // The killed run goes on all the same, and then nothing is left of it either.
    let resume = env.grafter(["resume", &killed]).start();
    let tree = at_gate(&env, "checks-checks-1");
    open_gate(&tree);
    let output = resume.finish();
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    assert_eq!((worktrees(&env), left(&env)), (0, Vec::new()));
}

#[test]
fn a_tree_whose_folder_was_removed_by_hand_is_no_trouble() {
    let env = small();
    let story = Story::new().write("new.txt", "new\n").end("failed");
    solo(&env, &story, &["true"], &[]).code(1);
    fs::remove_dir_all(env.root().join("state/grafter")).expect("by hand");
    let listed = env.grafter(["worktree", "ls"]).ok().stdout;
    assert!(listed.contains("missing"), "{listed}");
    let said = env.grafter(["worktree", "clean"]).ok().stdout;
    assert!(said.starts_with("removed 1, kept 0"), "{said}");
    assert_eq!(worktrees(&env), 0);
}

/// Returns the branches that grafter made, without the names of their runs.
fn branches(env: &Env) -> String {
    let names = env.git(["for-each-ref", "--format=%(refname:lstrip=4)", "refs/heads/grafter"]);
    let mut names: Vec<_> = names.lines().collect();
    names.sort_unstable();
    names.join(" ")
}

#[test]
fn clean_takes_task_branches_that_are_integrated_and_all_saves_the_others() {
    let env = small();
    solo(&env, &writes("new.txt", "new\n"), &["true"], &[]).ok();
    // A commit was made of it, and no check lets it land.
    let check = "test ! -e other.txt";
    solo(&env, &writes("other.txt", "x\n"), &[check], &["--max-turns", "2"]).start().finish();
    assert_eq!(branches(&env), "do-it do-it landed");
    let snapshots = env.git(["for-each-ref", "refs/grafter/snap"]);
    env.grafter(["worktree", "clean"]).ok();
    assert_eq!(branches(&env), "do-it landed", "the tree of the second is there");
    let said = env.grafter(["worktree", "clean", "--all"]).ok().stdout;
    assert!(said.ends_with("removed 1 task branches\n"), "{said}");
    assert_eq!(branches(&env), "landed");
    let orphans = env.git(["for-each-ref", "--format=%(refname)", "refs/grafter/orphan"]);
    let saved = |name: &str| env.git(["ls-tree", "--name-only", name]).contains("other.txt");
    assert!(orphans.lines().any(saved), "{orphans}");
    assert_eq!(env.git(["for-each-ref", "refs/grafter/snap"]), snapshots, "nothing is old");
}
