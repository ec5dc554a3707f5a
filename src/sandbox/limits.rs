//! What the kernel is told to hold a sandbox to, from inside it.
//!
//! The number of processes is held by whatever this kernel offers without privileges: the user
//! namespace's own count, which root is exempt from, and the highest process number of the pid
//! namespace, which newer kernels have. Where neither works, and for memory, [`crate::sandbox::watch`]
//! counts. A limit on address space would stop programs that reserve much and use little, such as
//! Node.js, Go, Java and everything with an address sanitiser, so there is none.

use std::fs;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::{process::geteuid, system::uname};

use crate::sandbox::{kin::Reach, options::Limits};

/// Process numbers below this are used once only, so they come on top.
const RESERVED: u64 = 300;
/// From here on each user namespace counts its own processes.
const COUNTS_BY_NAMESPACE: (u32, u32) = (5, 14);
/// From here on each pid namespace has its own highest number; before, it is the whole machine's.
const NUMBERS_BY_NAMESPACE: (u32, u32) = (6, 14);
/// More open files than this nobody needs; some programs try to close every possible one.
const OPEN_FILES: u64 = 1 << 16;

/// Sets what holds for each process and what comes from it; returns what holds, for people.
pub(super) fn set(limits: &Limits, reach: Reach, numbered: Numbered) -> Vec<String> {
    let mut held = Vec::new();
    // Of two processes that could be ended for want of memory, it is the sandbox's.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    lower(Resource::RLIMIT_NOFILE, OPEN_FILES);
    if lower(Resource::RLIMIT_FSIZE, limits.file) {
        held.push(format!("files: at most {} each", size(limits.file)));
    }
    held.push(format!(
        "memory: at most {} together, looked at 4 times a second",
        size(limits.memory)
    ));
    let counted = reach == Reach::Namespace
        && !geteuid().is_root()
        && kernel() >= COUNTS_BY_NAMESPACE
        && lower(Resource::RLIMIT_NPROC, limits.processes);
    held.push(match (counted, numbered) {
        (true, _) => format!("processes: at most {}, counted by the kernel", limits.processes),
        (false, Numbered::Yes) => {
            format!("processes: at most {}, by their numbers", limits.processes + RESERVED)
        }
        (false, Numbered::No) => {
            format!("processes: at most {}, looked at 4 times a second", limits.processes)
        }
    });
    held
}

/// Whether the highest process number is the namespace's own and low.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Numbered {
    /// It is.
    Yes,
    /// It is the machine's.
    No,
}

/// Sets the highest process number of this process's pid namespace, where it has one.
pub(super) fn number(limits: &Limits) -> Numbered {
    // An older kernel would take this for the whole machine's number, from root.
    if kernel() < NUMBERS_BY_NAMESPACE {
        return Numbered::No;
    }
    let highest = (limits.processes + RESERVED).to_string();
    match fs::write("/proc/sys/kernel/pid_max", highest) {
        Ok(()) => Numbered::Yes,
        Err(_) => Numbered::No,
    }
}

fn lower(what: Resource, to: u64) -> bool {
    let Ok((soft, hard)) = getrlimit(what) else { return false };
    setrlimit(what, soft.min(to), hard.min(to)).is_ok()
}

fn kernel() -> (u32, u32) {
    version(&uname().release().to_string_lossy())
}

fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Returns a size as people write it.
pub(super) fn size(bytes: u64) -> String {
    match bytes >> 20 {
        mib if mib >= 1024 && mib % 1024 == 0 => format!("{} GiB", mib / 1024),
        mib => format!("{mib} MiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_compared_by_number() {
        assert_eq!(version("6.18.44-x"), (6, 18));
        assert_eq!(version("5.9-rc1"), (5, 9));
        assert!(version("5.9.1") < COUNTS_BY_NAMESPACE && version("odd") < COUNTS_BY_NAMESPACE);
        assert!(version("6.9.0") < NUMBERS_BY_NAMESPACE);
    }
}
