//! Agents, repositories and machines that are not to be trusted: what they must not reach.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use crate::{
    env::{Env, Run},
    sandbox,
    solo::{Story, solo, trees},
};

fn small() -> Env {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.commit("start");
    env
}

fn git<'a>(env: &'a Env, dir: &Path, args: &[&str]) -> Run<'a> {
    let who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-C"];
    let dir = [dir.to_str().expect("text")];
    env.program("git", [&who[..], &dir, args].concat())
}

#[test]
fn a_linked_worktree_does_not_show_the_repository_or_other_worktrees() {
    let env = small();
    if !env.grafter(["doctor"]).ok().stdout.contains("namespaces\n") {
        return;
    }
    // Not below /tmp or the home, of which nothing is seen anyway.
    let place = tempfile::tempdir_in(sandbox::folder()).expect("a folder");
    let place = place.path().canonicalize().expect("there");
    let (main, other) = (place.join("main"), place.join("other"));
    let linked = main.join("trees/linked");
    fs::create_dir(&main).expect("a folder");
    git(&env, &main, &["init", "-q", "-b", "main", "--template="]).ok();
    fs::write(main.join("a.txt"), "one\n").expect("a file");
    git(&env, &main, &["add", "-A"]).ok();
    git(&env, &main, &["commit", "-q", "-m", "start"]).ok();
    git(&env, &main, &["config", "remote.origin.url", "https://me:TOKEN@example.org/x"]).ok();
    for tree in [&linked, &other] {
        let tree = tree.to_str().expect("text");
        git(&env, &main, &["worktree", "add", "-q", "--detach", tree]).ok();
    }
    fs::write(main.join("draft"), "MINE\n").expect("a file");
    fs::write(other.join("draft"), "MINE\n").expect("a file");
    let script = format!(
        "cat {m}/.git/config {m}/draft {o}/draft > leak; ls {m}/.git {m} {o} >> leak; \
         pwd > pwd; git log -1 --format=%s > log",
        m = main.display(),
        o = other.display()
    );
    let story = Story::new().unread(&script).finish();
    solo(&env, &story, &["test -f leak"], &["--into", "fixed"]).dir(&linked).ok();
    let said = |name: &str| git(&env, &main, &["show", &format!("fixed:{name}")]).ok().stdout;
    // Of the main checkout only the way to the place itself is there.
    let leak = said("leak");
    assert!(!leak.contains("TOKEN") && !leak.contains("MINE"), "{leak}");
    assert!(!leak.contains("HEAD") && !leak.contains("a.txt"), "{leak}");
    let pwd = format!("{}\n", linked.display());
    assert_eq!((said("pwd"), said("log")), (pwd, "start\n".to_owned()));
}

#[test]
fn what_a_run_keeps_is_the_users_alone_and_no_more_than_its_writers() {
    let env = small();
    let story = Story::new().write("new.txt", "new\n").end("failed");
    solo(&env, &story, &["true"], &[]).code(1);
    let root = trees(&env, "writer").remove(0).parent().expect("a folder").to_owned();
    let names = fs::read_dir(&root).expect("a folder").flatten();
    let mut names: Vec<_> =
        names.map(|entry| entry.file_name().into_string().expect("text")).collect();
    names.sort();
    assert_eq!(names, [".writer.git", ".writer.home", "writer"]);
    for path in [root.clone(), root.join(".writer.home"), root.join(".writer.git")] {
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", path.display());
    }
}

#[test]
fn a_weaker_sandbox_is_said_at_the_start() {
    let env = small();
    let without = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let inside = ["-Ur", "sh", "-c", without, "sh", env!("CARGO_BIN_EXE_grafter")];
    let doctor = env.program("unshare", [&inside[..], &["doctor"]].concat());
    let doctor = doctor.start().finish();
    if !doctor.stdout.contains("sandbox      landlock") {
        return;
    }
    let story = Story::new().write("new.txt", "new\n").finish();
    let words = ["run", "do it", "--workflow", "solo", "--verify", "true"];
    let output = env.program("unshare", [&inside[..], &words].concat()).script(&story).ok();
    let said = output.text();
    assert!(said.contains("the sandbox is weaker here (landlock)"), "{said}");
    assert!(said.contains("no namespaces"), "{said}");
}

#[test]
fn an_untrusted_folder_with_a_link_is_said_and_stops_nothing() {
    let env = small();
    env.write(".grafter/config.toml", "[run]\n");
    std::os::unix::fs::symlink("/etc", env.path(".grafter/prompts")).expect("a link");
    env.grafter(["status"]).ok();
    let story = Story::new().write("new.txt", "new\n").finish();
    let said = solo(&env, &story, &["true"], &[]).ok().text();
    assert!(said.contains("cannot be trusted and has no effect"), "{said}");
    let said = env.grafter(["trust"]).code(2).stderr;
    assert!(said.contains("no plain file or folder"), "{said}");
}

#[test]
fn what_an_agent_made_unreadable_lands_all_the_same() {
    let env = small();
    let first = "echo two > a.txt; mkdir d; echo d > d/d; chmod 000 a.txt d";
    let then = "echo b > b.txt; mkdir e; echo e > e/e; chmod 444 e; chmod 000 .";
    let story = Story::new().bash(first).bash(then).bash("ls").finish();
    solo(&env, &story, &[], &["--allow-unverified", "--into", "made"]).ok();
    let landed = env.git(["ls-tree", "-r", "--name-only", "made"]);
    assert_eq!(landed, "a.txt\nb.txt\nd/d\ne/e");
    assert_eq!(env.git(["show", "made:a.txt"]), "two");
}
