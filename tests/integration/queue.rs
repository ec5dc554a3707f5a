//! What goes wrong in the merge queue: contradictions of every kind, targets that others move, hooks
//! and checks that meddle. Each task ends in a state that says what became of it, and the others land.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    batch::{Backlog, branches, report, states, word},
    env::Env,
    solo::{GATE, open_gate},
};

/// Changes main, then makes the branches `one` and `two` of it by these orders to git and the shell,
/// and `other`, which has nothing to do with them.
fn rivals(base: &str, one: &str, two: &str) -> Backlog {
    let mut backlog = Backlog::new();
    shell(&backlog.env, base);
    for (branch, script) in [("one", one), ("two", two)] {
        backlog.env.git(["checkout", "-q", "-b", branch, "main"]);
        shell(&backlog.env, script);
        backlog.tasks.push(json!({ "id": branch, "branch": branch }));
    }
    backlog.env.git(["checkout", "-q", "main"]);
    branches(&mut backlog, &[("other", &["o"])]);
    backlog
}

/// Runs a script in the repository; `save` commits all there is.
fn shell(env: &Env, script: &str) {
    let save = "set -e; save() { git add -A; git commit -q -m \"$1\"; }";
    env.program("bash", ["-c", &format!("{save}\n{script}")]).ok();
}

/// Lands what can land; returns the states of `one`, `two` and `other`, and the second one's reason.
fn outcome(backlog: &Backlog, code: i32) -> ([String; 3], String) {
    let said = report(&backlog.run(&["--workers", "1"]).code(code).stdout);
    let states = states(&said);
    backlog.is_sound(&backlog.landings());
    let why = said["tasks"][1]["why"].as_str().unwrap_or_default().to_owned();
    (["one", "two", "other"].map(|id| word(&states, id).to_owned()), why)
}

/// Asserts that the second one is parked for these files, and the others land.
#[track_caller]
fn clashes(backlog: &Backlog, paths: &str) {
    let (states, why) = outcome(backlog, 1);
    assert_eq!(states, ["landed", "parked", "landed"], "{why}");
    assert_eq!(why, format!("conflicts with the target in {paths}"));
}

#[test]
fn two_commits_of_one_submodule_are_a_conflict() {
    let link = |digit: &str, save: &str| {
        let commit = digit.repeat(40);
        format!("git update-index --add --cacheinfo 160000,{commit},sub; git commit -q -m {save}")
    };
    clashes(&rivals(&link("1", "more"), &link("2", "one"), &link("3", "two")), "sub");
}

#[test]
fn two_versions_of_a_binary_file_are_a_conflict() {
    let bytes = |text: &str| format!("printf 'a\\0{text}\\0' > logo.png; save {text}");
    clashes(&rivals(&bytes("more"), &bytes("one"), &bytes("two")), "logo.png");
}

#[test]
fn a_file_renamed_in_two_ways_is_a_conflict() {
    let base = "seq 20 > old.txt; save more";
    let backlog = rivals(base, "git mv old.txt b.txt; save one", "git mv old.txt c.txt; save two");
    clashes(&backlog, "b.txt, c.txt, old.txt");
}

#[test]
fn a_name_that_changes_in_case_only_takes_the_change_of_others_along() {
    let backlog = rivals(
        "seq 20 > Readme.txt; save more",
        "git mv Readme.txt README.txt; save one",
        "sed -i s/20/twenty/ Readme.txt; save two",
    );
    let (states, _) = outcome(&backlog, 0);
    assert_eq!(states, ["landed"; 3]);
    assert!(backlog.env.git(["show", "target:README.txt"]).ends_with("twenty"));
    assert!(!backlog.files().contains("Readme.txt"));
}

#[test]
fn what_changes_nothing_is_there_already() {
    let nothing = "git commit -q --allow-empty -m nothing";
    let undone = "echo x > x.txt; save x; git rm -q x.txt; git commit -q -m 'no x'";
    for way in ["squash", "merge", "rebase", "ff"] {
        let backlog = rivals("", nothing, undone);
        let said = report(&backlog.run(&["--land", way]).ok().stdout);
        let states = states(&said);
        let states = ["one", "two", "other"].map(|id| word(&states, id));
        assert_eq!(states, ["contained", "contained", "landed"], "{way}: {said:#}");
    }
}

#[test]
fn another_history_is_taken_out_and_erases_nothing() {
    let other =
        "git checkout -q --orphan x; git rm -rqf .; echo x > x.txt; save x; git branch -f two";
    let backlog = rivals("", "echo 1 > one.txt; save one", other);
    let (states, _) = outcome(&backlog, 1);
    assert_eq!(states, ["landed", "dropped", "landed"]);
    assert!(backlog.files().contains("base.txt"));
}

#[test]
fn hooks_of_the_repository_never_run() {
    for way in ["squash", "merge", "rebase"] {
        let mut backlog = rivals("", "echo 1 > one.txt; save one", "echo 2 > two.txt; save two");
        backlog.file("made", "made.txt", "x\n");
        backlog.env.git(["checkout", "-q", "-b", "target"]);
        let ran = backlog.env.root().join("hook-ran");
        let hooks = backlog.env.path(".git/hooks");
        fs::create_dir_all(&hooks).expect("a folder");
        for hook in [
            "pre-commit",
            "prepare-commit-msg",
            "commit-msg",
            "post-commit",
            "pre-merge-commit",
            "post-merge",
            "post-checkout",
            "post-rewrite",
            "pre-rebase",
            "applypatch-msg",
            "reference-transaction",
            "post-index-change",
            "update",
        ] {
            let path = hooks.join(hook);
            fs::write(&path, format!("#!/bin/sh\necho {hook} >> {}\nexit 1\n", ran.display()))
                .expect("a file");
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a hook");
        }
        let said = report(&backlog.run(&["--land", way]).ok().stdout);
        assert_eq!(said["landed"], json!(4), "{said:#}");
        assert!(!ran.exists(), "{way}: {}", fs::read_to_string(&ran).unwrap_or_default());
        // It is checked out, and has moved with its files.
        assert!(backlog.env.path("one.txt").exists() && backlog.env.path("made.txt").exists());
    }
}

/// A batch on a target that is there, whose checks of candidates wait at a gate until `theirs.txt` is
/// on it.
fn waiting() -> Backlog {
    let mut backlog = Backlog::new();
    branches(&mut backlog, &[("one", &["a"]), ("two", &["b"])]);
    backlog.env.git(["branch", "target"]);
    backlog.check = format!("test ! -e a.part || test -e theirs.txt || {GATE}");
    backlog
}

/// Waits until a check of the queue waits at its gate, and returns its tree.
#[track_caller]
fn at_gate(env: &Env) -> PathBuf {
    let below = |folder: PathBuf| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let runs = below(env.root().join("state/grafter")).into_iter().flat_map(below);
        let mut trees = runs.flat_map(below);
        if let Some(tree) = trees.find(|tree| tree.join("waiting").exists()) {
            return tree;
        }
        assert!(Instant::now() < end, "no check ever waits");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a batch, has somebody else act while the first train is being checked, and returns what it
/// said.
fn meddled(backlog: &Backlog, code: i32, meddle: impl Fn(&Env)) -> Value {
    // The gate is closed where nothing of theirs is, so one slot has one check wait.
    let running = backlog.run(&["--check-slots", "1"]).start();
    let tree = at_gate(&backlog.env);
    meddle(&backlog.env);
    open(&tree);
    let output = running.finish();
    assert_eq!(output.status.code(), Some(code), "{}", output.text());
    report(&output.stdout)
}

/// The queue may have given the check up already, and taken its tree away.
fn open(tree: &Path) {
    if tree.exists() {
        open_gate(tree);
    }
}

/// Puts a commit of somebody else's on a branch, built on a revision.
fn theirs(env: &Env, on: &str) {
    shell(
        env,
        &format!(
            "export GIT_INDEX_FILE=$PWD/../theirs-index; git read-tree {on}
             blob=$(echo theirs | git hash-object -w --stdin)
             git update-index --add --cacheinfo 100644,$blob,theirs.txt
             commit=$(git commit-tree -p {on} -m theirs $(git write-tree))
             git update-ref refs/heads/target $commit"
        ),
    );
}

#[test]
fn what_others_push_meanwhile_stays_below_what_lands() {
    let backlog = waiting();
    let said = meddled(&backlog, 0, |env| theirs(env, "target"));
    assert_eq!(said["landed"], json!(2), "{said:#}");
    let titles = backlog.env.git(["log", "--format=%s", "target"]);
    assert!(titles.contains("theirs"), "{titles}");
    assert!(backlog.files().contains("a.part") && backlog.files().contains("b.part"));
}

#[test]
fn a_target_that_is_set_to_another_history_meanwhile_gets_everything_there() {
    let backlog = waiting();
    backlog.env.git(["checkout", "-q", "-b", "rewritten"]);
    backlog.env.git(["commit", "-q", "--amend", "-m", "base, reworded"]);
    backlog.env.git(["checkout", "-q", "main"]);
    let said = meddled(&backlog, 0, |env| theirs(env, "rewritten"));
    assert_eq!(said["landed"], json!(2), "{said:#}");
    let titles = backlog.env.git(["log", "--format=%s", "target"]);
    assert!(titles.ends_with("theirs\nbase, reworded"), "{titles}");
}

#[test]
fn a_target_that_is_deleted_meanwhile_is_not_made_again() {
    let backlog = waiting();
    let said = meddled(&backlog, 3, |env| drop(env.git(["branch", "-q", "-D", "target"])));
    assert!(said.to_string().contains("`target` was deleted"), "{said:#}");
    let found = states(&said);
    assert_eq!(["one", "two"].map(|id| word(&found, id)), ["queued"; 2], "{said:#}");
    assert_eq!(backlog.env.git(["branch", "--list", "target"]), "");
    theirs(&backlog.env, "main");
    let said = report(&backlog.resume().ok().stdout);
    assert_eq!(said["landed"], json!(2), "{said:#}");
}

#[test]
fn a_check_command_that_is_wrong_parks_its_task_alone() {
    let mut backlog = rivals("", "echo 1 > one.txt; save one", "echo 2 > two.txt; save two");
    backlog.tasks[1]["verify"] = json!(["no-such-check --all"]);
    let (states, why) = outcome(&backlog, 1);
    assert_eq!(states, ["landed", "parked", "landed"]);
    assert!(why.contains("no-such-check --all"), "{why}");
}

#[test]
fn what_checks_leave_behind_is_in_no_tree_of_others_and_does_not_land() {
    let mut backlog = rivals("", "echo 1 > one.txt; save one", "echo 2 > two.txt; save two");
    backlog.check = "test ! -e left.txt && test ! -e out/x && grep -qx base base.txt && \
         echo more >> base.txt && touch left.txt && mkdir -p out && touch out/x && rm -f one.txt"
        .to_owned();
    let said = report(&backlog.run(&["--check-slots", "1"]).ok().stdout);
    assert_eq!(said["landed"], json!(3), "{said:#}");
    let files = backlog.files();
    assert!(!files.contains("left.txt") && !files.contains("out/x"), "{files:?}");
    assert!(files.contains("one.txt"));
    assert_eq!(backlog.env.git(["show", "target:base.txt"]), "base");
}

/// Three branches that each add a dependency, whose lock file lists all in one line; the lock file is
/// made anew by this command.
fn dependent(command: &str) -> Backlog {
    let add = |name: &str| {
        format!("echo x > deps/{name}; ls deps | tr '\\n' ' ' > deps.lock; save 'add {name}'")
    };
    let base = format!("mkdir deps; {}", add("m"));
    let mut backlog = rivals(&base, &add("a"), &add("z"));
    backlog.check = "ls deps | tr '\\n' ' ' | cmp - deps.lock".to_owned();
    let config = backlog.env.root().join("config/grafter");
    fs::create_dir_all(&config).expect("a folder");
    let text = format!("[batch.lockfiles]\n\"deps.lock\" = '''{command}'''\n");
    fs::write(config.join("config.toml"), text).expect("a file");
    backlog
}

const LIST: &str = "ls deps | tr '\\n' ' ' > deps.lock; touch stray.txt";

#[test]
fn a_lock_file_is_made_anew_where_nothing_else_conflicts() {
    for way in ["squash", "merge"] {
        let backlog = dependent(LIST);
        let said = report(&backlog.run(&["--land", way]).ok().stdout);
        assert_eq!(said["landed"], json!(3), "{said:#}");
        assert_eq!(backlog.env.git(["show", "target:deps.lock"]), "a m z");
        assert!(!backlog.files().contains("stray.txt"), "only the lock file is taken");
    }
}

#[test]
fn a_lock_file_that_cannot_be_made_anew_is_a_conflict_like_any_other() {
    for command in ["exit 3", "rm deps.lock", "no-such-tool", "sleep 60"] {
        let backlog = dependent(command);
        let said = report(&backlog.run(&["--check-timeout", "2"]).code(1).stdout);
        let found = states(&said);
        let found = ["one", "two", "other"].map(|id| word(&found, id));
        assert_eq!(found, ["landed", "parked", "landed"], "{command}: {said:#}");
        assert_eq!(said["tasks"][1]["why"], "conflicts with the target in deps.lock");
    }
}

#[test]
fn a_conflict_elsewhere_and_commits_that_stay_as_they_are_need_no_lock_file() {
    let backlog = dependent(LIST);
    let said = report(&backlog.run(&["--land", "rebase"]).code(1).stdout);
    assert_eq!(word(&states(&said), "two"), "parked", "{said:#}");
    let backlog = dependent(LIST);
    for branch in ["one", "two"] {
        backlog.env.git(["checkout", "-q", branch]);
        shell(&backlog.env, &format!("echo {branch} > who.txt; save 'who is {branch}'"));
    }
    backlog.env.git(["checkout", "-q", "main"]);
    clashes(&backlog, "deps.lock, who.txt");
}

#[test]
fn a_batch_that_dies_around_a_lock_file_makes_it_again() {
    for n in 6..10 {
        let backlog = dependent(LIST);
        let point = format!("batch-before:{n}");
        let died = backlog.run(&[]).env("GRAFTER_FAILPOINT", &point).start().finish();
        assert!(died.status.code().is_none(), "{}", died.text());
        let said = report(&backlog.resume().ok().stdout);
        assert_eq!(said["landed"], json!(3), "{said:#}");
        backlog.is_sound(&backlog.landings());
    }
}
