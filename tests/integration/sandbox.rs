//! What a place's commands can and cannot do, tried from inside.
//!
//! Every test here starts real sandboxes with the built program as helper. Namespace tests need a
//! machine that allows them; on another one they say so and check nothing, because the fallback
//! tests beside them are what counts there.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use grafter::sandbox::{
    place::{Place, PlaceSpec},
    probe::{Backend, probe_with},
    run::{Cmd, Ran, RanEnd, RunError},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const HELPER: &str = env!("CARGO_BIN_EXE_grafter");

/// A host with a checkout, a tree of it, and something secret beside them.
struct Host {
    dir: TempDir,
    place: Arc<Place>,
}

fn namespaces_work() -> bool {
    let caps = probe_with(Path::new(HELPER));
    if let Err(why) = &caps.userns {
        eprintln!("not tested here: {why}");
    }
    caps.backend == Backend::Namespaces
}

impl Host {
    async fn new(backend: Backend) -> Self {
        Self::with(backend, |_, _| {}).await
    }

    /// Opens a place in a fresh folder below the target directory, which no sandbox masks.
    async fn with(backend: Backend, change: impl FnOnce(&Path, &mut PlaceSpec)) -> Self {
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let root = dir.path();
        for folder in ["checkout/src", "tree/src", "state/home", "outside"] {
            fs::create_dir_all(root.join(folder)).expect("made");
        }
        fs::write(root.join("checkout/src/which.py"), "which = 'checkout'\n").expect("made");
        fs::write(root.join("tree/src/which.py"), "which = 'tree'\n").expect("made");
        fs::write(root.join("outside/file"), "untouched\n").expect("made");
        fs::write(root.join("state/secret"), "canary\n").expect("made");
        let home = root.join("state/home");
        let mut spec = PlaceSpec {
            private_git: None,
            objects: Vec::new(),
            hide: vec![root.join("state")],
            share: Vec::new(),
            path_env: std::env::var_os("PATH").expect("a PATH"),
            tree: root.join("tree"),
            seen_as: root.join("checkout"),
            home,
            backend,
            helper: HELPER.into(),
        };
        change(root, &mut spec);
        let place = Place::open(spec).await.expect("it opens");
        Self { dir, place }
    }

    fn path(&self, rel: &str) -> PathBuf {
        self.dir.path().join(rel)
    }

    async fn run(&self, script: &str) -> Ran {
        run(&self.place, script).await.expect("it runs")
    }

    /// Runs a script and returns what it printed, which must be text.
    async fn says(&self, script: &str) -> String {
        String::from_utf8(self.run(script).await.output).expect("text")
    }
}

async fn run(place: &Place, script: &str) -> Result<Ran, RunError> {
    place.run(Cmd::new(script), &CancellationToken::new()).await
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} never came true");
}

#[tokio::test]
async fn a_command_sees_the_tree_at_the_checkouts_path() {
    if !namespaces_work() {
        return;
    }
    let host = Host::new(Backend::Namespaces).await;
    let checkout = host.path("checkout");
    let says = host.says("pwd; cat src/which.py; echo new > made; id -u").await;
    let uid = rustix::process::getuid().as_raw();
    assert_eq!(says, format!("{}\nwhich = 'tree'\n{uid}\n", checkout.display()));
    assert_eq!(fs::read_to_string(host.path("tree/made")).expect("written"), "new\n");
    assert!(!host.path("checkout/made").exists());
    assert!(host.place.notes().is_empty(), "{:?}", host.place.notes());
}

#[tokio::test]
async fn nothing_outside_can_be_written_or_changed() {
    if !namespaces_work() {
        return;
    }
    let host = Host::new(Backend::Namespaces).await;
    let outside = host.path("outside/file");
    let outside = outside.display();
    for script in [
        format!("echo x > {outside}"),
        format!("chmod 777 {outside}"),
        format!("touch -d 2001-01-01 {outside}"),
        format!("rm {outside}"),
        format!("ln {outside} linked"),
        "touch /etc/grafter-was-here".to_owned(),
        "touch /usr/grafter-was-here".to_owned(),
        "echo x > /proc/sys/kernel/core_pattern".to_owned(),
        "echo h > /proc/sysrq-trigger".to_owned(),
        "mount -t tmpfs none /mnt".to_owned(),
        format!("mount -o remount,rw,bind {0} || mount -o remount,rw /", host.dir.path().display()),
        "umount /tmp".to_owned(),
        "echo x > /sys/kernel/uevent_helper".to_owned(),
        "mknod node b 254 0".to_owned(),
    ] {
        let ran = host.run(&script).await;
        assert_ne!(ran.end, RanEnd::Exit(0), "{script}");
    }
    assert_eq!(fs::read_to_string(host.path("outside/file")).expect("there"), "untouched\n");
    assert!(!host.path("tree/linked").exists());
}

#[tokio::test]
async fn a_nested_user_namespace_cannot_lift_the_masks() {
    if !namespaces_work() {
        return;
    }
    let host = Host::new(Backend::Namespaces).await;
    let state = host.path("state");
    let outside = host.path("outside/file");
    let script = format!(
        "unshare -Urm sh -c 'umount {0}; umount -l /tmp; mount -o remount,bind,rw /; cat {0}/secret; echo x > {1}'",
        state.display(),
        outside.display()
    );
    assert!(!host.says(&script).await.contains("canary"));
    assert_eq!(fs::read_to_string(host.path("outside/file")).expect("there"), "untouched\n");
}

#[tokio::test]
async fn capabilities_are_gone() {
    if !namespaces_work() {
        return;
    }
    let host = Host::new(Backend::Namespaces).await;
    let status = host.says("grep -E '^(Cap|NoNewPrivs)' /proc/self/status").await;
    for line in status.lines().filter(|line| line.starts_with("Cap")) {
        assert!(line.ends_with("\t0000000000000000"), "{line}");
    }
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
}

#[tokio::test]
async fn homes_and_hidden_folders_are_empty() {
    if !namespaces_work() {
        return;
    }
    let host = Host::new(Backend::Namespaces).await;
    let home = PathBuf::from(std::env::var_os("HOME").expect("a home"));
    let canary = tempfile::NamedTempFile::with_prefix_in("grafter-canary", home).expect("made");
    fs::write(&canary, "canary").expect("written");
    let script = format!(
        "cat {} {}; ls -A {}; echo mine > ~/mine",
        canary.path().display(),
        host.path("state/secret").display(),
        host.path("state").display()
    );
    let ran = host.run(&script).await;
    let said = String::from_utf8_lossy(&ran.output);
    assert_eq!(ran.end, RanEnd::Exit(0), "{said}");
    assert_eq!(said.matches("No such file").count(), 2, "{said}");
    assert!(said.lines().all(|line| line.starts_with("cat: ")), "{said}");
    let mine = fs::read_to_string(host.path("state/home/mine")).expect("in the private home");
    assert_eq!(mine, "mine\n");
    let shadow = host.says("cat /etc/shadow 2>&1 | wc -c; cat /etc/shadow").await;
    assert!(!shadow.contains("root:"), "{shadow}");
}

#[tokio::test]
async fn toolchains_in_the_home_work_without_their_credentials() {
    if !namespaces_work() {
        return;
    }
    // The folder is a toolchain because PATH names it.
    let home = PathBuf::from(std::env::var_os("HOME").expect("a home"));
    let tools = TempDir::with_prefix_in("grafter-tools", &home).expect("in the home");
    let bin = tools.path().join("bin");
    fs::create_dir(&bin).expect("made");
    fs::write(bin.join("greet"), "#!/bin/sh\ncat \"$(dirname $0)/../lib\"\n").expect("made");
    fs::set_permissions(bin.join("greet"), fs::Permissions::from_mode(0o755)).expect("set");
    fs::write(tools.path().join("lib"), "hello from the library\n").expect("made");
    fs::write(tools.path().join("credentials.toml"), "canary").expect("made");
    let host = Host::with(Backend::Namespaces, |_, spec| {
        let path = spec.path_env.clone();
        let dirs = [bin.clone()].into_iter().chain(std::env::split_paths(&path));
        spec.path_env = std::env::join_paths(dirs).expect("joins");
    })
    .await;
    assert_eq!(host.says("greet").await, "hello from the library\n");
    let script = format!("cat {0}/credentials.toml; touch {0}/x", tools.path().display());
    let said = host.says(&script).await;
    assert!(!said.contains("canary") && said.contains("Read-only"), "{said}");
}

#[tokio::test]
async fn no_process_outside_and_no_environment_is_visible() {
    if !namespaces_work() {
        return;
    }
    let host = Host::new(Backend::Namespaces).await;
    let said = host.says("env -i cat /proc/[0-9]*/environ | tr '\\0' '\\n' | sort -u").await;
    // The test runs under cargo, which marks its own environment.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(!said.contains("CARGO_MANIFEST_DIR"), "{said}");
    // Process 1 and the shell itself.
    assert_eq!(
        host.says("set -- /proc/[0-9]*; echo $#").await,
        "2
"
    );
    let names = host.says("env | cut -d= -f1 | sort | tr '\\n' ' '").await;
    for name in ["PATH", "HOME", "LANG", "TERM", "TMPDIR", "CI", "GIT_TERMINAL_PROMPT"] {
        assert!(names.contains(name), "{name} in {names}");
    }
}

#[tokio::test]
async fn the_network_is_loopback_alone() {
    if !namespaces_work() {
        return;
    }
    let host = Host::new(Backend::Namespaces).await;
    let devices = host.says("tail -n +3 /proc/net/dev | cut -d: -f1").await;
    assert_eq!(devices.trim(), "lo");
    let outside = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = outside.local_addr().expect("an address").port();
    let script = format!(
        "python3 - <<'END'\n\
        import socket\n\
        listener = socket.create_server(('127.0.0.1', 0))\n\
        socket.create_connection(listener.getsockname(), 2).close()\n\
        print('loopback')\n\
        for address in (('127.0.0.1', {port}), ('192.0.2.1', 80)):\n\
        \x20   try:\n\
        \x20       socket.create_connection(address, 2)\n\
        \x20       print('connected')\n\
        \x20   except OSError as error:\n\
        \x20       print('refused')\n\
        END"
    );
    assert_eq!(host.says(&script).await, "loopback\nrefused\nrefused\n");
}

#[tokio::test]
async fn a_deadline_ends_all_that_the_command_started() {
    for backend in backends() {
        let host = Host::new(backend).await;
        host.run("sleep 1000 > /dev/null 2>&1 &").await;
        let mut cmd = Cmd::new(
            "(trap '' TERM; exec sleep 1001) & \
             setsid sh -c 'echo $$ > escaped; exec sleep 1002' & \
             echo before; sleep 1003",
        );
        cmd.deadline = Duration::from_millis(400);
        let ran = host.place.run(cmd, &CancellationToken::new()).await.expect("it runs");
        assert_eq!((ran.end, ran.output.as_slice()), (RanEnd::Deadline, &b"before\n"[..]));
        let left = host.says("ps ax -o args= | grep -E '^sleep 100[0-3]$' | sort").await;
        match backend {
            // What an earlier command left running is not this one's.
            Backend::Namespaces => assert_eq!(left, "sleep 1000\n"),
            // Other processes of the machine are in sight there.
            Backend::Landlock => assert!(!left.contains("sleep 1002"), "{left}"),
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
    let ran = host.run("before=$(cat beat); sleep 0.2; test \"$before\" != \"$(cat beat)\"").await;
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
async fn a_checkout_below_the_home_or_tmp_or_holding_the_home_works() {
    if !namespaces_work() {
        return;
    }
    let home = PathBuf::from(std::env::var_os("HOME").expect("a home"));
    let in_home = TempDir::with_prefix_in("grafter-checkout", &home).expect("in the home");
    let in_tmp = TempDir::with_prefix_in("grafter-checkout", "/tmp").expect("in /tmp");
    let in_run = TempDir::with_prefix_in("grafter-checkout", "/var/tmp").expect("in /var/tmp");
    for checkout in [in_home.path(), in_tmp.path(), in_run.path(), &home] {
        let host = Host::with(Backend::Namespaces, |_, spec| spec.seen_as = checkout.into()).await;
        let said =
            host.says("pwd; cat src/which.py; touch \"$HOME/x\" \"$TMPDIR/x\" && echo ok").await;
        assert_eq!(said, format!("{}\nwhich = 'tree'\nok\n", checkout.display()));
    }
}

#[tokio::test]
async fn an_editable_install_in_src_layout_uses_the_tree() {
    if !namespaces_work() {
        return;
    }
    let host = Host::with(Backend::Namespaces, |root, spec| {
        // What an editable install leaves behind: a path file that names the checkout's src.
        let venv = root.join("venv");
        fs::create_dir_all(&venv).expect("made");
        let src = root.join("checkout/src").display().to_string();
        fs::write(venv.join("editable.pth"), format!("{src}\n")).expect("made");
        spec.share.push((venv, root.join("checkout/.venv")));
    })
    .await;
    let script = "python3 -c \"import site, sys; site.addsitedir('.venv'); \
                  import which; print(which.which)\"";
    assert_eq!(host.says(script).await, "tree\n");
    assert!(host.says("touch .venv/x").await.contains("Read-only"));
}

#[tokio::test]
async fn git_inside_is_the_agents_own() {
    if !namespaces_work() {
        return;
    }
    for registered in [false, true] {
        let host = Host::with(Backend::Namespaces, |root, spec| {
            let objects = root.join("checkout/.git/objects");
            fs::create_dir_all(&objects).expect("made");
            fs::write(root.join("checkout/.git/config"), "canary").expect("made");
            let git = root.join("state/git");
            let made = std::process::Command::new("git")
                .args(["init", "-q", "--bare"])
                .arg(&git)
                .status()
                .expect("git runs");
            assert!(made.success());
            let set = ["config", "core.bare", "false"];
            let done = std::process::Command::new("git").args(set).current_dir(&git).status();
            assert!(done.expect("git runs").success());
            if registered {
                fs::write(root.join("tree/.git"), "gitdir: /elsewhere\n").expect("made");
            }
            spec.private_git = Some(git);
            spec.objects.push(objects);
        })
        .await;
        let script = "git add -A && git -c user.name=a -c user.email=a@b commit -qm x && \
                      git log --format=%s && git config extra.key value; \
                      cat \"$(git rev-parse --git-dir)/objects/info/alternates\"; \
                      touch \"$(git rev-parse --git-dir)/alternates/0/x\"";
        let said = host.says(script).await;
        assert!(said.starts_with("x\n../alternates/0\n"), "{said}");
        assert!(said.contains("Read-only"), "{said}");
        let config = fs::read_to_string(host.path("checkout/.git/config")).expect("there");
        assert_eq!(config, "canary");
        let own = fs::read_to_string(host.path("state/git/config")).expect("there");
        assert!(own.contains("[extra]"), "{own}");
        let dot_git = host.path("tree/.git");
        assert_eq!(dot_git.is_file(), registered);
    }
}

#[tokio::test]
async fn two_places_run_side_by_side_and_do_not_see_each_other() {
    if !namespaces_work() {
        return;
    }
    let (a, b) = tokio::join!(Host::new(Backend::Namespaces), Host::new(Backend::Namespaces));
    let script = "echo $$ > /tmp/mine; sleep 0.1; ls /tmp; ps ax -o args= | grep -c '^sleep 0.1$'";
    let (one, two) = tokio::join!(a.says(script), b.says(script));
    assert_eq!((one.as_str(), two.as_str()), ("mine\n0\n", "mine\n0\n"));
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
async fn the_files_of_a_running_sandbox_are_the_trees() {
    let host = Host::new(any_backend()).await;
    host.place.write("deep/er/file", b"from the tool\n").expect("written");
    assert_eq!(host.says("cat deep/er/file").await, "from the tool\n");
    host.run("ln -s /etc/passwd out; ln -s loop loop; mkfifo pipe; printf x > $'odd\\xff'").await;
    assert!(host.place.read("out").expect_err("outside").to_string().contains("leads out"));
    assert!(host.place.read("loop").expect_err("a loop").to_string().contains("links"));
    assert!(host.place.read("pipe").expect_err("a pipe").to_string().contains("plain file"));
    let names = host.place.list("").expect("listed");
    assert!(names.iter().any(|entry| entry.name.as_encoded_bytes() == b"odd\xff"));
}

#[tokio::test]
async fn landlock_alone_keeps_writes_and_secrets() {
    let caps = probe_with(Path::new(HELPER));
    if caps.landlock_abi.is_none_or(|abi| abi < 3) {
        eprintln!("not tested here: landlock {:?}", caps.landlock_abi);
        return;
    }
    let host = Host::new(Backend::Landlock).await;
    let said =
        host.says("pwd; cat src/which.py; echo x > made; echo ok > /dev/null; echo $?").await;
    let tree = host.path("tree").canonicalize().expect("there");
    assert_eq!(said, format!("{}\nwhich = 'tree'\n0\n", tree.display()));
    assert!(!host.place.notes().is_empty());
    let (outside, secret) = (host.path("outside/file"), host.path("state/secret"));
    let checkout = host.path("checkout/src/which.py");
    for script in [
        format!("echo x > {}", outside.display()),
        format!("rm {}", outside.display()),
        format!("ln {} linked", outside.display()),
        format!("cat {}", secret.display()),
        format!("cat {}", checkout.display()),
        "cat /etc/shadow".to_owned(),
        "touch /tmp/grafter-was-here".to_owned(),
        "echo x > /proc/sys/kernel/core_pattern".to_owned(),
        format!("cat /proc/{}/environ", std::process::id()),
        format!("kill -CONT {}", std::process::id()),
    ] {
        assert_ne!(host.run(&script).await.end, RanEnd::Exit(0), "{script}");
    }
    assert_eq!(fs::read_to_string(&outside).expect("there"), "untouched\n");
    host.run("setsid sh -c 'while :; do date +%s%N > beat; sleep 0.01; done' &").await;
    eventually("the first beat", || host.path("tree/beat").exists()).await;
    host.place.close().await;
    let last = fs::read(host.path("tree/beat")).expect("there");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(fs::read(host.path("tree/beat")).expect("there"), last);
}

#[tokio::test]
async fn without_confinement_the_environment_is_scrubbed_all_the_same() {
    let host = Host::new(Backend::None).await;
    let said = host.says("pwd; echo $HOME; env | grep -c CARGO_MANIFEST").await;
    let (tree, home) = (host.path("tree"), host.path("state/home"));
    let real = |path: PathBuf| path.canonicalize().expect("there").display().to_string();
    assert_eq!(said, format!("{}\n{}\n0\n", real(tree), real(home)));
    assert_eq!(host.place.notes(), ["commands are not confined at all"]);
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
    // A test cannot kill itself and look on, so the example stands for grafter.
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let beat = dir.path().join("beat");
    let program = Path::new(env!("CARGO_BIN_EXE_grafter")).with_file_name("examples/sandbox_cost");
    if !program.exists() {
        eprintln!("not tested here: the example is not built");
        return;
    }
    let mut child =
        std::process::Command::new(program).arg("beat").arg(dir.path()).spawn().expect("it starts");
    eventually("the first beat", || beat.exists()).await;
    child.kill().expect("killed");
    child.wait().expect("ended");
    let started = Instant::now();
    loop {
        let before = fs::read(&beat).expect("there");
        tokio::time::sleep(Duration::from_millis(300)).await;
        if fs::read(&beat).expect("there") == before {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "it still beats");
    }
}

/// The backends that work here.
fn backends() -> Vec<Backend> {
    let caps = probe_with(Path::new(HELPER));
    let mut all = vec![Backend::None];
    if caps.landlock_abi.is_some_and(|abi| abi >= 3) {
        all.push(Backend::Landlock);
    }
    if caps.userns.is_ok() {
        all.push(Backend::Namespaces);
    }
    all
}

/// The strongest backend that works here.
fn any_backend() -> Backend {
    probe_with(Path::new(HELPER)).backend
}

#[tokio::test]
async fn a_link_that_is_swapped_while_tools_write_never_leads_out() {
    let host = Host::new(any_backend()).await;
    let outside = host.path("outside");
    fs::create_dir(host.path("tree/real")).expect("made");
    let swap = host.path("tree/dir");
    let swapper = std::thread::spawn({
        let (swap, outside) = (swap.clone(), outside.clone());
        move || {
            for round in 0..2000 {
                let _ = fs::remove_file(&swap);
                let target = if round % 2 == 0 { Path::new("real") } else { outside.as_path() };
                let _ = symlink(target, &swap);
            }
        }
    });
    while !swapper.is_finished() {
        let _ = host.place.write("dir/planted", b"x");
    }
    swapper.join().expect("it ends");
    assert!(!outside.join("planted").exists());
}
