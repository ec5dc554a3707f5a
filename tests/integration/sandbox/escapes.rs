//! Ways out that were found in sandboxes before, tried in each backend that works here.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use grafter::sandbox::{options::Options, probe::Backend, run::RanEnd};

use super::{Host, backends, views};

/// Calls by number, with arguments that an unfiltered kernel answers with something else than
/// "not permitted".
const CALLS: &str = r"
import ctypes, errno, os, platform
libc = ctypes.CDLL(None, use_errno=True)
arm = platform.machine() == 'aarch64'
def call(x86, arm64, *args):
    ctypes.set_errno(0)
    if libc.syscall(arm64 if arm else x86, *args) == -1:
        return errno.errorcode[ctypes.get_errno()]
    return 'done'
CLONE_NEWUSER = 0x10000000
for name, answer in [
    ('ptrace', call(101, 117, 16, os.getppid(), 0, 0)),
    ('process_vm_readv', call(310, 270, os.getpid(), 0, 0, 0, 0, 0)),
    ('io_uring_setup', call(425, 425, 1, 0)),
    ('unshare', call(272, 97, CLONE_NEWUSER)),
    ('clone', call(56, 220, CLONE_NEWUSER | 17, 0, 0, 0, 0)),
    ('clone3', call(435, 435, 0, 0)),
    ('bpf', call(321, 280, 0, 0, 0)),
    ('perf_event_open', call(298, 241, 0, 0, -1, -1, 0)),
    ('keyctl', call(250, 219, 0, -3, 0)),
    ('add_key', call(248, 217, 0, 0, 0, 0, 0)),
    ('userfaultfd', call(323, 282, 1)),
    ('open_tree', call(428, 428, -100, b'/', 0)),
    ('mount_setattr', call(442, 442, -100, b'/', 0, 0, 0)),
    ('x32', 'ENOSYS' if arm else call(0x40000000 + 39, 0)),
]:
    print(name, answer)
";

#[tokio::test]
async fn calls_that_attack_the_kernel_are_refused() {
    for backend in backends() {
        if backend == Backend::None {
            continue;
        }
        let host = Host::new(backend).await;
        host.place.write("calls.py", CALLS.as_bytes()).expect("written");
        let said = host.says("python3 calls.py; grep -E '^Seccomp:' /proc/self/status").await;
        let (calls, status) = said.trim_end().rsplit_once('\n').expect("lines");
        for line in calls.lines() {
            let expected = if line.starts_with("clone3") || line.starts_with("x32") {
                "ENOSYS"
            } else {
                "EPERM"
            };
            assert!(line.ends_with(expected), "{backend}: {line}");
        }
        assert_eq!((calls.lines().count(), status), (14, "Seccomp:\t2"), "{said}");
    }
}

#[tokio::test]
async fn the_process_that_serves_cannot_be_read_or_stopped() {
    for backend in views() {
        let host = Host::new(backend).await;
        let script = "cat /proc/1/environ /proc/1/maps; ls -l /proc/1/fd /proc/1/root /proc/1/cwd; \
                      kill -9 1; echo alive";
        let said = host.says(script).await;
        let lines: Vec<_> = said.lines().filter(|line| !line.contains("denied")).collect();
        // Folders may be listed by name, without what they lead to.
        assert!(lines.iter().all(|line| *line == "alive" || !line.contains("->")), "{said}");
        assert!(said.ends_with("alive\n"), "{said}");
    }
}

#[tokio::test]
async fn canaries_of_the_home_and_of_every_environment_stay_unread() {
    for backend in backends() {
        if backend == Backend::None {
            continue;
        }
        let host = Host::new(backend).await;
        fs::create_dir(host.path("state/ssh")).expect("made");
        fs::write(host.path("state/ssh/id"), "canary-of-the-home").expect("made");
        // Cargo marks the environment of a test, and of everything that it starts.
        let script = format!(
            "cat {0}/state/ssh/id {0}/state/secret /proc/*/environ /proc/*/task/*/environ 2>/dev/null \
             | tr '\\0' '\\n' | grep -c -e canary -e CARGO_MANIFEST_DIR",
            host.dir.path().display()
        );
        assert_eq!(host.says(&script).await, "0\n", "{backend}");
    }
}

#[tokio::test]
async fn a_settings_file_that_is_not_there_yet_cannot_be_planted() {
    for backend in views() {
        let host = Host::new(backend).await;
        // Where grafter, git and shells would look for it out here, all absent.
        for path in ["state/config.toml", "checkout/.grafter/config.toml", "outside/.gitconfig"] {
            let at = host.path(path);
            let script = format!(
                "mkdir -p {0}; echo evil > {1}; ln -s /etc/passwd {1}",
                at.parent().expect("a folder").display(),
                at.display()
            );
            host.run(&script).await;
            assert!(!at.exists() && !at.is_symlink(), "{backend}: {path}");
        }
        for path in ["/etc/gitconfig.d/evil", "/etc/profile.d/evil.sh", "/etc/ld.so.preload"] {
            assert_ne!(host.run(&format!("echo evil > {path}")).await.end, RanEnd::Exit(0));
        }
    }
}

#[tokio::test]
async fn links_out_of_the_tree_lead_nowhere() {
    for backend in backends() {
        if backend == Backend::None {
            continue;
        }
        let host = Host::new(backend).await;
        let outside = host.path("outside/file");
        let script = format!(
            "ln -s {0} soft; echo x > soft; echo x >> soft; cp -f src/which.py soft; \
             ln {0} hard; ln -s {1} dir; echo x > dir/planted; mv src/which.py dir/moved; \
             truncate -s 0 {0}",
            outside.display(),
            outside.parent().expect("a folder").display()
        );
        host.run(&script).await;
        let left: Vec<_> = fs::read_dir(host.path("outside")).expect("there").flatten().collect();
        assert_eq!(left.len(), 1, "{backend}: {left:?}");
        assert_eq!(fs::read_to_string(&outside).expect("there"), "untouched\n", "{backend}");
        assert_eq!(fs::metadata(&outside).expect("there").nlink(), 1, "{backend}");
    }
}

#[tokio::test]
async fn modes_and_times_outside_stay() {
    for backend in views() {
        let host = Host::new(backend).await;
        let outside = host.path("outside/file");
        let before = fs::metadata(&outside).expect("there");
        let script = "chmod 777 F; touch -d 2001-01-01 F; chown 1:1 F; setfattr -n user.x -v y F; \
                      chattr +i F"
            .replace('F', &outside.display().to_string());
        host.run(&script).await;
        let after = fs::metadata(&outside).expect("there");
        let facts = |meta: &fs::Metadata| (meta.permissions().mode(), meta.mtime(), meta.uid());
        assert_eq!(facts(&before), facts(&after), "{backend}");
    }
}

#[tokio::test]
async fn writing_is_held_beneath_the_mounts_too() {
    for backend in views() {
        let host = Host::new(backend).await;
        // A folder that every user may write would show if only ownership protected the rest.
        let said = host.says("touch /proc/self/comm && echo x > /proc/self/comm; echo $?").await;
        let landlocked = host.place.backend().has_own_view()
            && grafter::sandbox::probe::probe_with(super::HELPER.as_ref(), &Options::default())
                .landlock_abi
                .is_some();
        assert_eq!(said.ends_with("0\n"), !landlocked, "{backend}: {said}");
    }
}
