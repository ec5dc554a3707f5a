//! What commands may use, and what becomes of those that want more.

use std::time::Duration;

use grafter::sandbox::{
    probe::Backend,
    run::{Cmd, RanEnd},
};
use tokio_util::sync::CancellationToken;

use super::{Host, backends, views};

/// Starts sleepers until that is refused; two thousand are nothing to the machine, should no limit
/// hold.
const BOMB: &str = "exec python3 -c '
import os, sys, time
try:
    for _ in range(2000):
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
except OSError:
    sys.exit(7)
time.sleep(60)
'";

#[tokio::test]
async fn a_fork_bomb_is_held_and_the_next_command_has_room() {
    for backend in views() {
        let host = Host::with(backend, |_, spec| spec.options.processes = 40).await;
        let ran = host.run(BOMB).await;
        let said = String::from_utf8_lossy(&ran.output);
        // The kernel refuses the next process, or the watch ends everything.
        let watched = said.contains("more than 40 processes and threads (`processes`)");
        let ended = ran.end == RanEnd::Exit(7) || ran.end == RanEnd::Signal(9) && watched;
        assert!(ended, "{backend}: {:?} {said}", ran.end);
        // What it has left fills the sandbox.
        assert_eq!(host.says("echo next").await, "next\n", "{backend}");
    }
}

#[tokio::test]
async fn a_ten_gigabyte_file_is_cut_off() {
    for backend in backends() {
        if backend == Backend::None {
            continue;
        }
        let host = Host::new(backend).await;
        let script = "trap '' XFSZ; head -c 1 /dev/zero | dd of=big bs=1 seek=10G 2>&1 | \
                      grep -o 'File too large' | sort -u; python3 -c \"open('far', 'w').truncate(10 << 30)\" \
                      2>&1 | grep -o 'File too large'; stat -c %s big far";
        let said = host.says(script).await;
        assert_eq!(said, "File too large\nFile too large\n0\n0\n", "{backend}");
    }
}

#[tokio::test]
async fn memory_folders_have_a_size() {
    for backend in views() {
        let host = Host::with(backend, |_, spec| spec.options.tmp_mb = 4).await;
        for folder in ["/tmp", "/var/tmp", "/dev/shm"] {
            // The devices' folder of bubblewrap has no size of its own.
            if backend == Backend::Bubblewrap && folder == "/dev/shm" {
                continue;
            }
            let said = host.says(&format!("head -c 8M /dev/zero > {folder}/x; echo $?")).await;
            assert!(said.contains("No space left") && said.ends_with("1\n"), "{folder} {said}");
        }
    }
}

#[tokio::test]
async fn a_command_that_takes_all_memory_is_ended_and_told() {
    for backend in backends() {
        if backend == Backend::None {
            continue;
        }
        let host = Host::with(backend, |_, spec| spec.options.memory_mb = 100).await;
        let mut cmd =
            Cmd::new("python3 -c 'x = bytearray(200 << 20); import time; time.sleep(60)'");
        cmd.deadline = Duration::from_secs(60);
        let ran = host.place.run(cmd, &CancellationToken::new()).await.expect("it runs");
        let said = String::from_utf8_lossy(&ran.output);
        assert_eq!(ran.end, RanEnd::Signal(9), "{backend} {said}");
        assert!(said.contains("more than 100 MiB of memory (`memory_mb`) of [sandbox]"), "{said}");
        // Address space is free.
        let script = "python3 -c 'import mmap; mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | \
                      0x4000 | mmap.MAP_ANONYMOUS); print(1)'; ulimit -c";
        assert_eq!(host.says(script).await, "1\n0\n", "{backend}");
    }
}
