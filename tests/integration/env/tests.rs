//! The ground itself is tested, since every other test trusts it.

use std::{
    fs,
    panic::{AssertUnwindSafe, UnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::process::Signal;

use super::{Env, process::Run};

/// Returns the message of the panic that a closure must end in.
#[track_caller]
fn panic_of(run: impl FnOnce() + UnwindSafe) -> String {
    let payload = catch_unwind(run).expect_err("it panics");
    payload.downcast_ref::<String>().expect("a formatted message").clone()
}

fn sh<'a>(env: &'a Env, script: &str) -> Run<'a> {
    env.program("sh", ["-c", script, "sh"])
}

#[test]
fn the_environment_holds_only_what_is_named() {
    let env = Env::new();
    let names = sh(&env, "env").env("EXTRA", "1").ok().stdout;
    let allowed: Vec<_> =
        env.variables().into_keys().chain(["EXTRA", "PWD", "SHLVL", "_", "OLDPWD"]).collect();
    for line in names.lines() {
        let name = line.split('=').next().expect("a name");
        assert!(allowed.contains(&name), "{line}");
    }
    assert_eq!(env.clean(&sh(&env, "echo $HOME; pwd").ok().stdout), "<root>/home\n<root>/repo\n");
    assert_eq!(env.clean(&sh(&env, "pwd").dir("home").ok().stdout), "<root>/home\n");
}

#[test]
fn grafter_is_built_and_runs() {
    Env::new().grafter(["--version"]).ok();
}

#[test]
fn the_same_files_make_the_same_commit() {
    let commit = || {
        let env = Env::new();
        env.write("a/b.txt", "text\n");
        env.commit("one")
    };
    assert_eq!(commit(), commit());
}

#[test]
fn input_and_script_arrive() {
    let env = Env::new();
    let show = "cat; echo \"$1 ${2%%:*}\"; cat \"${2#*:}\"";
    let output = sh(&env, show).stdin("fed\n").script("- reply\n").ok();
    assert_eq!(output.stdout, "fed\n--model scripted\n- reply\n");
}

#[test]
fn a_wrong_exit_code_shows_everything() {
    let message = panic_of(|| {
        sh(&Env::new(), "echo told; echo cause >&2; exit 3").ok();
    });
    for part in ["exit status: 3, not with 0", "told", "cause", "\"sh\" \"-c\""] {
        assert!(message.contains(part), "{part} is missing in {message}");
    }
    let output = sh(&Env::new(), "echo told; exit 3").code(3);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("told\n", ""));
}

#[test]
fn a_process_that_hangs_meets_its_deadline() {
    let message = panic_of(|| {
        let env = Env::new();
        sh(&env, "exec sleep 600").deadline(Duration::from_millis(50)).ok();
    });
    assert!(message.contains("met its deadline"), "{message}");
}

#[test]
fn what_is_dropped_dies_with_its_whole_group() {
    let env = Env::new();
    sh(&env, "mkfifo gate").ok();
    let (gate, (send, ended)) = (env.path("gate"), mpsc::channel());
    // The pipe ends when nobody is left who could write to it.
    thread::spawn(move || send.send(fs::read(gate).expect("a pipe")));
    let mut running = sh(&env, "exec 3> gate; echo open >&3; sleep 600 & echo begun; wait").start();
    running.wait_for("begun");
    drop(running);
    let said = ended.recv_timeout(Duration::from_secs(60)).expect("the grandchild is dead too");
    assert_eq!(said, b"open\n");
}

#[test]
fn a_running_process_can_be_watched_and_signalled() {
    let env = Env::new();
    let mut running =
        sh(&env, "trap 'echo stopped; exit 9' TERM; echo ready; while :; do sleep 0.01; done")
            .start();
    running.wait_for("ready");
    running.signal(Signal::TERM);
    let output = running.finish();
    assert_eq!((output.status.code(), output.stdout.as_str()), (Some(9), "ready\nstopped\n"));
    let message = panic_of(AssertUnwindSafe(|| sh(&env, "exit 4").start().wait_for("never")));
    assert!(message.contains("exit status: 4"), "{message}");
}

#[test]
fn the_fingerprint_sees_what_a_run_must_not_touch_and_nothing_else() {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.write(".gitignore", "ignored\n");
    env.commit("one");
    env.write("a.txt", "two\n");
    let before = env.fingerprint();
    assert_eq!(env.fingerprint(), before);

    env.git(["branch", "other"]);
    env.git(["update-ref", "refs/grafter/snap/x", "HEAD"]);
    env.git(["worktree", "add", "-q", "--no-checkout", "../tree", "other"]);
    fs::create_dir(env.path(".git/grafter")).expect("a new folder");
    assert_eq!(env.fingerprint(), before);

    let touch: [(&str, &str); 8] = [
        ("echo two > a.txt", "echo back"),
        ("echo new > ignored", "rm ignored"),
        ("chmod +x a.txt", "chmod -x a.txt"),
        ("ln -s nowhere link", "rm link"),
        ("git add a.txt", "git reset -q"),
        ("git config x.y z", "git config --unset x.y; git config --remove-section x || :"),
        ("git symbolic-ref HEAD refs/heads/free", "git symbolic-ref HEAD refs/heads/main"),
        ("git stash -q", "git stash pop -q"),
    ];
    for (script, undo) in touch {
        let before = env.fingerprint();
        sh(&env, script).ok();
        assert_ne!(env.fingerprint(), before, "{script}");
        sh(&env, undo).ok();
    }
}
