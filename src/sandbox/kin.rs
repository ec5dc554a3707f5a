//! The processes that came from this one, and their end.
//!
//! A command may leave its process group (`setsid`), so a group is not all that it started. Where
//! this process adopts orphans, as process 1 of a namespace or as a subreaper, whatever a command
//! started stays below it and is found by walking the children that the kernel lists.

use std::{collections::BTreeSet, fs, thread, time::Duration};

use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, wait, waitpid,
};

/// How far the server's word reaches when a command has to end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reach {
    /// The command's process group.
    Group,
    /// Everything below this process, which adopts orphans.
    Kin,
    /// Everything in this process's pid namespace, of which it is process 1.
    Namespace,
}

/// Rounds of killing before the last resort; a millisecond lies between two.
const ROUNDS: usize = 200;

/// Collects the exit status of orphans that have ended.
///
/// Only for a process whose children are all its own business: it would take them from others.
pub(super) fn reap_orphans() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

/// Collects ended children other than this one, by their ids: a wait for any child could take it.
pub(super) fn reap_all_but(command: &[Pid]) {
    for pid in children().into_iter().filter_map(Pid::from_raw).filter(|pid| !command.contains(pid))
    {
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

/// Returns the direct children of this process.
pub(super) fn children() -> BTreeSet<i32> {
    children_of(getpid().as_raw_nonzero().get())
}

/// Ends everything below this process except the children in `keep` and what is below them.
pub(super) fn end_all_but(keep: &BTreeSet<i32>, reach: Reach) {
    if reach == Reach::Group {
        return;
    }
    if reach == Reach::Namespace && keep.is_empty() {
        end_namespace();
    }
    for _ in 0..ROUNDS {
        reap_orphans();
        // Whatever loses its parent becomes a child of this process. These are listed at once,
        // while a walk through all that a fork bomb has made is slower than the bomb.
        kill(children().difference(keep));
        let kin = below(keep);
        if kin.is_empty() {
            return;
        }
        kill(&kin);
        thread::sleep(Duration::from_millis(1));
    }
    if reach == Reach::Namespace {
        end_namespace();
    }
}

/// Ends everything in this namespace but process 1 at once, so that not even a fork bomb outruns it.
fn end_namespace() {
    // "Group" 1 stands for kill(-1).
    let _ = kill_process_group(Pid::INIT, Signal::KILL);
}

fn kill<'p>(pids: impl IntoIterator<Item = &'p i32>) {
    for pid in pids.into_iter().copied().filter_map(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Returns everything that runs in this sandbox, this process aside.
pub(super) fn all(reach: Reach) -> BTreeSet<i32> {
    match reach {
        Reach::Group => BTreeSet::new(),
        Reach::Kin => below(&BTreeSet::new()),
        // `/proc` shows the namespace and nothing else.
        Reach::Namespace => {
            let names = fs::read_dir("/proc").into_iter().flatten().flatten();
            let pids = names.filter_map(|name| name.file_name().to_str()?.parse().ok());
            pids.filter(|pid| *pid != Pid::INIT.as_raw_nonzero().get()).collect()
        }
    }
}

fn below(keep: &BTreeSet<i32>) -> BTreeSet<i32> {
    let mut open: Vec<i32> = children().difference(keep).copied().collect();
    let mut found = BTreeSet::new();
    while let Some(pid) = open.pop() {
        if found.insert(pid) {
            open.extend(children_of(pid));
        }
    }
    found
}

fn children_of(pid: i32) -> BTreeSet<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return BTreeSet::new();
    };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<i32>>())
        .collect()
}
