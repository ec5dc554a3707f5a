//! How commands end, and what is left of them.

use std::{fs, path::PathBuf, time::Duration};

use grafter::sandbox::{
    place::{Place, PlaceSpec},
    probe::Backend,
    run::{Cmd, RanEnd, RunError},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{HELPER, Host, any_backend, backends, eventually, namespaces_work, run};

/// Where the stand-in for a killed grafter beats.
const BEAT_IN: &str = "GRAFTER_TEST_BEAT_IN";

#[tokio::test]
async fn a_deadline_ends_all_that_the_command_started() {
    for backend in backends() {
        let host = Host::new(backend).await;
        host.run("sleep 1000 > /dev/null 2>&1 &").await;
        // An ordinary user's copy of this test may run at the same time, in sight of this one.
        let escaped = format!("1002{}", std::process::id());
        let mut cmd = Cmd::new(&format!(
            "(trap '' TERM; exec sleep 1001) & \
             setsid sh -c 'echo $$ > escaped; exec sleep {escaped}' & \
             until [ -e escaped ]; do :; done; echo before; sleep 1003",
        ));
        cmd.deadline = Duration::from_secs(3);
        let ran = host.place.run(cmd, &CancellationToken::new()).await.expect("it runs");
        assert_eq!((ran.end, ran.output.as_slice()), (RanEnd::Deadline, &b"before\n"[..]));
        let left = host.says("ps ax -o args= | grep '^sleep 100' | sort").await;
        match backend {
            // What an earlier command left running is not this one's.
            Backend::Namespaces | Backend::Bubblewrap => assert_eq!(left, "sleep 1000\n"),
            // Other processes of the machine are in sight there.
            Backend::Landlock => assert!(!left.contains(&escaped), "{left}"),
            Backend::None => {
                let pid = fs::read_to_string(host.path("tree/escaped")).expect("written");
                host.run(&format!("kill {pid}")).await;
            }
        }
        host.place.close().await;
    }
}

#[tokio::test]
async fn a_gigabyte_of_output_is_cut_in_the_middle() {
    let host = Host::new(any_backend()).await;
    let mut cmd = Cmd::new("echo start; head -c 1000000000 /dev/zero; echo end");
    cmd.max_output = 1000;
    let ran = host.place.run(cmd, &CancellationToken::new()).await.expect("it runs");
    assert_eq!((ran.end, ran.output.len()), (RanEnd::Exit(0), 1000));
    assert!(ran.output.starts_with(b"start\n") && ran.output.ends_with(b"end\n"));
    assert_eq!(ran.dropped, 1_000_000_010 - 1000);
}

#[tokio::test]
async fn what_runs_in_the_background_ends_with_the_place() {
    if !namespaces_work() {
        return;
    }
    let host = Host::new(Backend::Namespaces).await;
    host.run("setsid sh -c 'while :; do date +%s%N > beat; sleep 0.01; done' &").await;
    eventually("the first beat", || host.path("tree/beat").exists()).await;
    // It outlives its command, but not its place.
    let ran = host
        .run("before=$(cat beat); until test \"$before\" != \"$(cat beat)\"; do sleep 0.01; done")
        .await;
    assert_eq!(ran.end, RanEnd::Exit(0));
    host.place.close().await;
    let last = fs::read(host.path("tree/beat")).expect("there");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(fs::read(host.path("tree/beat")).expect("there"), last);
    assert!(matches!(run(&host.place, "true").await, Err(RunError::Closed)));
}

#[tokio::test]
async fn a_dropped_command_ends_and_the_next_one_works() {
    let host = Host::new(any_backend()).await;
    let begun = host.path("tree/begun");
    tokio::select! {
        _ = host.run("touch begun; sleep 600") => panic!("it ended"),
        () = eventually("the start", || begun.exists()) => {}
    }
    assert_eq!(host.says("echo next").await, "next\n");
}

#[tokio::test]
async fn a_cancelled_command_says_so_and_leaves_nothing() {
    let host = Host::new(any_backend()).await;
    let cancel = CancellationToken::new();
    let begun = host.path("tree/begun");
    let run = host.place.run(Cmd::new("touch begun; sleep 600"), &cancel);
    let (ran, ()) = tokio::join!(run, async {
        eventually("the start", || begun.exists()).await;
        cancel.cancel();
    });
    assert!(matches!(ran, Err(RunError::Cancelled)), "{ran:?}");
    assert_eq!(host.says("ps ax -o args= | grep -c '^sleep 600$'").await, "0\n");
}

#[tokio::test]
async fn close_does_not_wait_for_a_running_command() {
    let host = Host::new(any_backend()).await;
    let begun = host.path("tree/begun");
    let (ran, ()) = tokio::join!(run(&host.place, "touch begun; sleep 600"), async {
        eventually("the start", || begun.exists()).await;
        host.place.close().await;
    });
    assert!(matches!(ran, Err(RunError::Closed)), "{ran:?}");
}

#[tokio::test]
async fn ends_and_working_directories_come_back() {
    for backend in backends() {
        let host = Host::new(backend).await;
        assert_eq!(host.run("exit 7").await.end, RanEnd::Exit(7));
        assert_eq!(host.run("kill -SEGV $$").await.end, RanEnd::Signal(11));
        let mut cmd = Cmd::new("cat which.py; echo \"$MINE\"; read line; echo \"[$line]\" >&2");
        (cmd.cwd, cmd.env) = ("src".to_owned(), vec![("MINE".to_owned(), "yes".to_owned())]);
        let ran = host.place.run(cmd.clone(), &CancellationToken::new()).await.expect("runs");
        assert_eq!(String::from_utf8_lossy(&ran.output), "which = 'tree'\nyes\n[]\n");
        for (cwd, why) in
            [("gone", "no directory `gone` in the tree"), ("..", "`..` is not a"), ("/", "`/` is")]
        {
            cmd.cwd = cwd.to_owned();
            let error = host.place.run(cmd.clone(), &CancellationToken::new()).await;
            let error = error.expect_err("refused").to_string();
            assert!(error.contains(why), "{error}");
        }
        host.place.close().await;
    }
}

#[tokio::test]
async fn a_sandbox_that_dies_is_an_error_and_the_next_command_has_a_new_one() {
    if !namespaces_work() {
        return;
    }
    let host = Host::new(Backend::Namespaces).await;
    // From inside, process 1 can be neither killed nor stopped.
    assert_eq!(host.says("kill -9 1; kill -STOP 1; kill -TERM 1; echo alive").await, "alive\n");
    let spec = |helper: &str| PlaceSpec {
        helper: helper.into(),
        backend: Backend::Namespaces,
        ..PlaceSpec::new(&host.path("tree"), &host.path("checkout"), &host.path("state/home"))
    };
    let broken = Place::open(spec("/bin/true")).await.expect("opens without starting");
    let error = run(&broken, "true").await.expect_err("no sandbox");
    assert!(matches!(error, RunError::Start { .. }), "{error}");
    let missing = Place::open(spec("/nonexistent")).await.expect("opens without starting");
    let error = run(&missing, "true").await.expect_err("no sandbox").to_string();
    assert!(error.starts_with("the sandbox cannot start: "), "{error}");
}

#[tokio::test]
async fn a_thousand_orphans_are_collected() {
    if !namespaces_work() {
        return;
    }
    let host = Host::new(Backend::Namespaces).await;
    host.run("for i in $(seq 1000); do (true &) ; done").await;
    host.run("true").await;
    let zombies = host.says("ps ax -o stat= | grep -c ^Z").await;
    assert_eq!(zombies, "0\n");
}

#[tokio::test]
async fn the_helper_by_hand_does_nothing() {
    for args in [&["__sandbox"][..], &["__sandbox", "namespaces"], &["__sandbox", "landlock"]] {
        let out = std::process::Command::new(HELPER)
            .args(args)
            .stdin(std::process::Stdio::null())
            .output()
            .expect("it starts");
        assert!(!out.status.success(), "{args:?}");
    }
}

#[tokio::test]
async fn everything_ends_when_grafter_is_killed() {
    if !namespaces_work() {
        return;
    }
    // A test cannot kill itself and look on, so another process of this program stands in.
    let dir = TempDir::new_in(super::folder()).expect("a folder");
    let mut grafter = std::process::Command::new(std::env::current_exe().expect("known"))
        .args(["--exact", "sandbox::commands::beats_until_it_is_killed", "--ignored"])
        .env(BEAT_IN, dir.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let beat = dir.path().join("beat");
    eventually("the first beat", || beat.exists()).await;
    grafter.kill().expect("killed");
    grafter.wait().expect("ended");
    let mut last = None;
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = fs::read(&beat).expect("there");
        if last.replace(now.clone()) == Some(now) {
            return;
        }
    }
    panic!("it still beats");
}

#[tokio::test]
#[ignore = "started by everything_ends_when_grafter_is_killed"]
async fn beats_until_it_is_killed() {
    let Some(dir) = std::env::var_os(BEAT_IN).map(PathBuf::from) else { return };
    let spec = PlaceSpec { helper: HELPER.into(), ..PlaceSpec::new(&dir, &dir, &dir.join("home")) };
    let spec = PlaceSpec { backend: Backend::Namespaces, ..spec };
    let place = Place::open(spec).await.expect("it opens");
    let mut cmd = Cmd::new("while :; do date +%s%N > beat; sleep 0.01; done");
    cmd.deadline = Duration::from_secs(60);
    let _ = place.run(cmd, &CancellationToken::new()).await;
}
