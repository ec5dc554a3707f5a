//! `grafter undo` and `grafter rescue`.

use super::{moves, small};
use crate::solo::{Story, landed, newest, solo, writes};

#[test]
fn undo_moves_the_branch_back() {
    let env = small();
    let main = env.git(["rev-parse", "main"]);
    solo(&env, &writes("new.txt", "new\n"), &["true"], &["--into", "target"]).ok();
    let before = env.fingerprint();
    let said = env.grafter(["undo", "latest"]).ok().stdout;
    assert!(said.starts_with("target is back where it was"), "{said}");
    assert_eq!(env.git(["rev-parse", "target"]), main);
    assert_eq!(env.fingerprint(), before);
    // Once more changes nothing.
    env.grafter(["undo", "latest"]).ok();
    assert_eq!(env.git(["rev-parse", "target"]), main);
}

#[test]
fn undo_takes_a_branch_away_that_the_landing_made() {
    let env = small();
    solo(&env, &writes("new.txt", "new\n"), &["true"], &[]).ok();
    let branch = landed(&env);
    for _ in ["once", "once more"] {
        env.grafter(["undo", "latest"]).ok();
        assert_eq!(env.git(["branch", "--list", &branch]), "");
    }
    // The work itself is not lost by that.
    let said = env.grafter(["rescue", "latest"]).ok().stdout;
    let rescued = format!("grafter/{}/rescued", newest(&env));
    assert!(said.contains(&rescued), "{said}");
    assert_eq!(env.git(["show", &format!("{rescued}:new.txt")]), "new");
}

#[test]
fn status_told_to_merge_the_branch_that_undo_had_taken_away() {
    let env = small();
    solo(&env, &writes("new.txt", "new\n"), &["true"], &[]).ok();
    let merge = format!("git merge {}", landed(&env));
    let status = || env.grafter(["status", "latest"]).ok().stdout;
    let page = status();
    assert!(page.contains(&merge) && page.contains("grafter undo"), "{page}");
    assert!(!page.contains("was taken back"), "{page}");
    env.grafter(["undo", "latest"]).ok();
    let page = status();
    assert!(page.contains("was taken back") && page.contains("git diff"), "{page}");
    assert!(!page.contains(&merge) && !page.contains("grafter undo"), "{page}");
}

#[test]
fn undo_in_the_checkout_keeps_the_users_work() {
    let env = small();
    let head = env.git(["rev-parse", "main"]);
    env.write("b.txt", "my own change\n");
    solo(&env, &writes("new.txt", "new\n"), &["true"], &["--into", "main"]).ok();
    env.grafter(["undo", "latest"]).ok();
    assert_eq!(env.git(["rev-parse", "main"]), head);
    assert_eq!(env.git(["status", "--porcelain"]), " M b.txt");
}

#[test]
fn undo_reverts_where_others_built_on_it() {
    let env = small();
    solo(&env, &writes("new.txt", "new\n"), &["true"], &["--into", "target"]).ok();
    moves(&env, "target", "later.txt", "later\n");
    let before = env.fingerprint();
    let said = env.grafter(["undo", "latest"]).ok().stdout;
    assert!(said.starts_with("target had moved on"), "{said}");
    assert_eq!(env.git(["ls-tree", "--name-only", "target"]), "a.txt\nb.txt\nlater.txt");
    assert_eq!(env.git(["rev-list", "--count", "target"]), "4");
    assert_eq!(env.fingerprint(), before);
}

#[test]
fn undo_that_contradicts_what_was_built_on_it_changes_nothing() {
    let env = small();
    solo(&env, &writes("new.txt", "new\n"), &["true"], &["--into", "target"]).ok();
    moves(&env, "target", "new.txt", "built on\n");
    let tip = env.git(["rev-parse", "target"]);
    let said = env.grafter(["undo", "latest"]).code(5).stderr;
    assert!(said.contains("conflicts in new.txt"), "{said}");
    assert_eq!(env.git(["rev-parse", "target"]), tip);
}

#[test]
fn undo_of_what_never_landed_points_at_rescue() {
    let env = small();
    let story = Story::new().write("new.txt", "half\n").end("failed");
    solo(&env, &story, &["true"], &[]).code(1);
    let said = env.grafter(["undo", "latest"]).code(2).stderr;
    let run = newest(&env);
    let wanted = format!(
        "error: run {run} landed nothing\n  hint: grafter rescue {run} brings its work to light\n"
    );
    assert_eq!(said, wanted);
}

#[test]
fn rescue_brings_the_newest_snapshot_of_a_failed_agent_to_light() {
    let env = small();
    let before = env.fingerprint();
    let story =
        Story::new().write("new.txt", "first\n").bash("echo second > new.txt").end("failed");
    let output = solo(&env, &story, &["true"], &[]).code(1);
    let run = newest(&env);
    assert!(output.stdout.contains(&format!("grafter rescue {run}")), "{}", output.text());
    let list = env.grafter(["rescue", "latest", "--list"]).ok().stdout;
    assert!(list.contains("solve@1"), "{list}");
    let rescued = format!("grafter/{run}/rescued");
    assert_eq!(env.git(["branch", "--list", &rescued]), "");
    env.grafter(["rescue", "latest"]).ok();
    assert_eq!(env.git(["show", &format!("{rescued}:new.txt")]), "second");
    // An older one by its id, which moves the branch.
    let first = env.git(["rev-parse", &format!("refs/grafter/snap/{run}/solve@1~1")]);
    env.grafter(["rescue", "latest", "--snapshot", &first]).ok();
    assert_eq!(env.git(["show", &format!("{rescued}:new.txt")]), "first");
    assert_eq!(env.fingerprint(), before);
}
