//! What a command in namespaces sees and cannot reach.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use grafter::sandbox::{probe::Backend, run::RanEnd};
use tempfile::TempDir;

use super::{Host, any_backend, backends, views};

#[tokio::test]
async fn a_command_sees_the_tree_at_the_checkouts_path() {
    for backend in views() {
        let host = Host::new(backend).await;
        let checkout = host.path("checkout");
        let says = host.says("pwd; cat src/which.py; echo new > made; id -u").await;
        let uid = rustix::process::getuid().as_raw();
        assert_eq!(says, format!("{}\nwhich = 'tree'\n{uid}\n", checkout.display()));
        assert_eq!(fs::read_to_string(host.path("tree/made")).expect("written"), "new\n");
        assert!(!host.path("checkout/made").exists());
        assert!(host.place.notes().is_empty(), "{:?}", host.place.notes());
    }
}

#[tokio::test]
async fn nothing_outside_can_be_written_or_changed() {
    for backend in views() {
        let host = Host::new(backend).await;
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
            // Opened only: a failing test must not change the machine.
            ": >> /proc/sys/kernel/core_pattern".to_owned(),
            ": >> /proc/sysrq-trigger".to_owned(),
            "mount -t tmpfs none /mnt".to_owned(),
            format!(
                "mount -o remount,rw,bind {0} || mount -o remount,rw /",
                host.dir.path().display()
            ),
            "umount /tmp".to_owned(),
            ": >> /sys/kernel/uevent_helper".to_owned(),
            "mknod node b 254 0".to_owned(),
        ] {
            let ran = host.run(&script).await;
            assert_ne!(ran.end, RanEnd::Exit(0), "{script}");
        }
        assert_eq!(fs::read_to_string(host.path("outside/file")).expect("there"), "untouched\n");
        assert!(!host.path("tree/linked").exists());
    }
}

#[tokio::test]
async fn a_nested_user_namespace_cannot_lift_the_masks() {
    for backend in views() {
        let host = Host::new(backend).await;
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
}

#[tokio::test]
async fn capabilities_are_gone() {
    for backend in views() {
        let host = Host::new(backend).await;
        let status = host.says("grep -E '^(Cap|NoNewPrivs)' /proc/self/status").await;
        for line in status.lines().filter(|line| line.starts_with("Cap")) {
            assert!(line.ends_with("\t0000000000000000"), "{line}");
        }
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    }
}

#[tokio::test]
async fn homes_and_hidden_folders_are_empty() {
    for backend in views() {
        let host = Host::new(backend).await;
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
        // The folder itself is there, and empty, unless it lies below one that is hidden whole.
        let secrets = said.lines().filter(|line| line.starts_with("cat: "));
        assert_eq!(secrets.filter(|line| line.ends_with("No such file or directory")).count(), 2);
        let rest = said.lines().filter(|line| !line.starts_with("cat: "));
        assert!(rest.into_iter().all(|line| line.starts_with("ls: cannot access")), "{said}");
        let mine = fs::read_to_string(host.path("state/home/mine")).expect("in the private home");
        assert_eq!(mine, "mine\n");
        let shadow = host.says("cat /etc/shadow 2>&1 | wc -c; cat /etc/shadow").await;
        assert!(!shadow.contains("root:"), "{shadow}");
    }
}

#[tokio::test]
async fn toolchains_in_the_home_work_without_their_credentials() {
    for backend in views() {
        // The folder is a toolchain because PATH names it.
        let home = PathBuf::from(std::env::var_os("HOME").expect("a home"));
        let tools = TempDir::with_prefix_in("grafter-tools", &home).expect("in the home");
        let bin = tools.path().join("bin");
        fs::create_dir(&bin).expect("made");
        fs::write(bin.join("greet"), "#!/bin/sh\ncat \"$(dirname $0)/../lib\"\n").expect("made");
        fs::set_permissions(bin.join("greet"), fs::Permissions::from_mode(0o755)).expect("set");
        fs::write(tools.path().join("lib"), "hello from the library\n").expect("made");
        fs::write(tools.path().join("credentials.toml"), "canary").expect("made");
        let host = Host::with(backend, |_, spec| {
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
}

#[tokio::test]
async fn no_process_outside_and_no_environment_is_visible() {
    for backend in views() {
        let host = Host::new(backend).await;
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
        for name in
            ["PATH", "HOME", "LANG", "TERM", "TMPDIR", "CI", "GIT_TERMINAL_PROMPT", "GRAFTER_PORT"]
        {
            assert!(names.contains(name), "{name} in {names}");
        }
    }
}

#[tokio::test]
async fn the_network_is_loopback_alone() {
    for backend in views() {
        let host = Host::new(backend).await;
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
}

#[tokio::test]
async fn a_checkout_below_the_home_or_tmp_or_holding_the_home_works() {
    for backend in views() {
        let home = PathBuf::from(std::env::var_os("HOME").expect("a home"));
        let in_home = TempDir::with_prefix_in("grafter-checkout", &home).expect("in the home");
        let in_tmp = TempDir::with_prefix_in("grafter-checkout", "/tmp").expect("in /tmp");
        let in_run = TempDir::with_prefix_in("grafter-checkout", "/var/tmp").expect("in /var/tmp");
        for checkout in [in_home.path(), in_tmp.path(), in_run.path(), &home] {
            let host = Host::with(backend, |_, spec| spec.seen_as = checkout.into()).await;
            let said = host
                .says("pwd; cat src/which.py; touch \"$HOME/x\" \"$TMPDIR/x\" && echo ok")
                .await;
            assert_eq!(said, format!("{}\nwhich = 'tree'\nok\n", checkout.display()));
        }
    }
}

#[tokio::test]
async fn an_editable_install_in_src_layout_uses_the_tree() {
    for backend in views() {
        let host = Host::with(backend, |root, spec| {
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
}

#[tokio::test]
async fn git_inside_is_the_agents_own() {
    for backend in views() {
        for registered in [false, true] {
            let host = Host::with(backend, |root, spec| {
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
                      touch /run/grafter/objects/0/x";
            let said = host.says(script).await;
            assert!(said.starts_with("x\n/run/grafter/objects/0\n"), "{said}");
            assert!(said.contains("Read-only"), "{said}");
            let config = fs::read_to_string(host.path("checkout/.git/config")).expect("there");
            assert_eq!(config, "canary");
            let own = fs::read_to_string(host.path("state/git/config")).expect("there");
            assert!(own.contains("[extra]"), "{own}");
            let dot_git = host.path("tree/.git");
            assert_eq!(dot_git.is_file(), registered);
        }
    }
}

#[tokio::test]
async fn two_places_run_side_by_side_and_do_not_see_each_other() {
    for backend in views() {
        let (a, b) = tokio::join!(Host::new(backend), Host::new(backend));
        let (one, two) = tokio::join!(
            a.says("echo a > /tmp/mine; sleep 1004 > /dev/null 2>&1 & cat src/which.py; touch a"),
            b.says("sleep 1004 > /dev/null 2>&1 & cat src/which.py; touch b"),
        );
        assert_eq!((one.as_str(), two.as_str()), ("which = 'tree'\n", "which = 'tree'\n"));
        // Both sleep on, and each sees its own alone.
        // A checkout that lies in /tmp itself is shown there.
        let look = "ls /tmp/mine 2> /dev/null; ls *; ps ax -o args= | grep -c '^sleep 1004$'";
        let (one, two) = tokio::join!(a.says(look), b.says(look));
        assert_eq!(one, "/tmp/mine\na\n\nsrc:\nwhich.py\n1\n");
        assert_eq!(two, "b\n\nsrc:\nwhich.py\n1\n");
    }
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

#[tokio::test]
async fn open_files_of_grafters_parent_are_not_inherited() {
    for backend in backends() {
        if backend == Backend::None {
            continue;
        }
        let host = Host::new(backend).await;
        let leak = fs::File::open(host.path("outside")).expect("opened");
        rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).expect("set");
        let open = host.says("for fd in /proc/$$/fd/*; do readlink $fd; done").await;
        assert!(open.contains("/dev/null") && !open.contains("outside"), "{open}");
    }
}
