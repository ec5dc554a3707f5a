//! What an agent's commands leave behind in its tree, and what of that lands.

use serde_json::json;

use crate::{
    env::Env,
    solo::{Story, landed, report, solo, trees},
};

/// Says by the known signature that a folder is a cache.
const TAG: &str = "printf 'Signature: 8a477f597d28d172789f06886806bc55\\n' > target/CACHEDIR.TAG";

#[test]
fn what_programs_leave_behind_under_bash_does_not_land_and_is_said() {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.write("keep/.gitignore", "!*.o\n");
    env.commit("start");
    let before = env.fingerprint();
    let runs = format!(
        "mkdir -p lib/__pycache__ .pytest_cache target/debug && echo x > lib/__pycache__/a.pyc && \
         echo x > .pytest_cache/v && echo x > target/debug/app && {TAG} && echo x > a.o && \
         echo x > lib/new.py && echo x > keep/b.o"
    );
    let story = Story::new().bash(&runs).write("lib/data.pyc", "meant\n");
    let story = story.write("target/notes.md", "meant\n").finish();
    let output = solo(&env, &story, &["true"], &["--output", "json"]).ok();
    let tree = env.git(["ls-tree", "-r", "--name-only", &landed(&env)]);
    assert_eq!(
        tree.lines().collect::<Vec<_>>(),
        ["a.txt", "keep/.gitignore", "keep/b.o", "lib/data.pyc", "lib/new.py", "target/notes.md"]
    );
    let out = [".pytest_cache/", "a.o", "lib/__pycache__/", "target/CACHEDIR.TAG", "target/debug/"];
    assert_eq!(report(&output)["left_out"], json!(out));
    let page = env.grafter(["status", "latest"]).ok().stdout;
    let told = "left out, as programs leave it behind: .pytest_cache/, a.o, lib/__pycache__/ and 2";
    assert!(page.contains(told), "{page}");
    assert_eq!(env.fingerprint(), before);
}

#[test]
fn a_change_that_is_only_what_programs_leave_behind_is_no_work() {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.commit("start");
    let story = Story::new().bash("mkdir __pycache__; echo x > __pycache__/a.pyc").finish();
    let output = solo(&env, &story, &["true"], &[]).code(1);
    assert!(!output.stdout.contains("__pycache__"), "{}", output.text());
}

#[test]
fn what_the_repository_itself_holds_of_such_files_is_followed() {
    let env = Env::new();
    env.write("node_modules/own/index.js", "one\n");
    env.write("lib/a.o", "one\n");
    env.commit("start");
    let runs = "echo two > node_modules/own/index.js; echo new > node_modules/own/more.js; \
                echo two > lib/a.o";
    let output = solo(&env, &Story::new().bash(runs).finish(), &["true"], &[]).ok();
    assert!(output.stdout.contains("leave it behind: node_modules/own/more.js"));
    let changed = env.git(["diff", "--name-only", "main", &landed(&env)]);
    assert_eq!(changed, "lib/a.o\nnode_modules/own/index.js");
}

#[test]
fn what_git_cannot_name_is_told_and_its_tree_is_not_taken_for_clean() {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.commit("start");
    let script = Story::new().unread("mkdir .GIT; echo x > .GIT/config; echo two > a.txt").finish();
    let output = solo(&env, &script, &[], &["--allow-unverified", "--into", "made"]).ok();
    let why = "not in the commit, since it cannot be read, or has a name that git refuses: .GIT";
    assert!(output.text().contains(why), "{}", output.text());
    let tree = trees(&env, "writer").remove(0);
    let listed = env.grafter(["worktree", "ls"]).ok().stdout;
    assert!(listed.contains("changed"), "{listed}");
    let cleaned = env.grafter(["worktree", "clean", "--all"]).ok().stdout;
    assert!(cleaned.contains("holds what cannot be saved: .GIT"), "{cleaned}");
    assert!(tree.join(".GIT/config").exists());
}

#[test]
fn what_worktreeinclude_names_is_there_for_agents_and_checks_and_does_not_land() {
    let env = Env::new();
    env.write(".gitignore", ".env\n");
    env.write(".worktreeinclude", ".env\n");
    env.write("a.txt", "one\n");
    env.commit("start");
    env.write(".env", "KEY=1\n");
    let script = Story::new().unread("cat .env > a.txt; echo '!.env' > .gitignore").finish();
    let output = solo(&env, &script, &["grep -q KEY=1 .env"], &["--into", "made"]);
    let output = output.start().finish();
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    assert!(output.text().contains(".worktreeinclude puts into each tree: .env"), "{output:?}");
    assert_eq!(env.git(["show", "made:a.txt"]), "KEY=1");
    let landed = env.git(["ls-tree", "-r", "--name-only", "made"]);
    assert_eq!(landed, ".gitignore\n.worktreeinclude\na.txt");
}
