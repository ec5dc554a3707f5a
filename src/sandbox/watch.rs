//! What no kernel limit holds without privileges: the memory of a sandbox as a whole.
//!
//! Looked at a few times a second while a command runs, and never in between. Pages that processes
//! share count once before anything is ended: first a cheap sum that is too high, and the exact one
//! only where that is beyond the limit.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use crate::sandbox::{
    kin::{self, Reach},
    limits::size,
    options::Limits,
};

/// Between two looks.
pub(super) const EVERY: Duration = Duration::from_millis(250);

/// Looks at what runs in a sandbox.
pub(super) struct Watch {
    limits: Limits,
    reach: Reach,
    looked: Instant,
}

impl Watch {
    /// Returns a watch that looks for the first time after [`EVERY`].
    pub(super) fn new(limits: Limits, reach: Reach) -> Self {
        Self { limits, reach, looked: Instant::now() }
    }

    /// Returns what is beyond its limit, if it is time to look.
    pub(super) fn beyond(&mut self) -> Option<String> {
        if self.reach == Reach::Group || self.looked.elapsed() < EVERY {
            return None;
        }
        self.looked = Instant::now();
        let pids = kin::all(self.reach);
        let most = self.limits.processes;
        if tasks(&pids) > most {
            return Some(format!("more than {most} processes and threads (`processes`)"));
        }
        let most = self.limits.memory;
        let page = rustix::param::page_size() as u64;
        let roughly: u64 = pids.iter().filter_map(|pid| private_pages(*pid)).sum();
        if roughly.saturating_mul(page) <= most {
            return None;
        }
        let exactly: u64 = pids.iter().filter_map(|pid| proportional(*pid)).sum();
        (exactly > most).then(|| format!("more than {} of memory (`memory_mb`)", size(most)))
    }
}

fn tasks(pids: &BTreeSet<i32>) -> u64 {
    let threads = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before the last parenthesis can hold anything.
        stat.rsplit_once(')')?.1.split_whitespace().nth(17)?.parse::<u64>().ok()
    };
    pids.iter().filter_map(threads).sum()
}

fn private_pages(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut numbers = text.split_whitespace().skip(1).map_while(|part| part.parse::<u64>().ok());
    let (resident, shared) = (numbers.next()?, numbers.next()?);
    Some(resident.saturating_sub(shared))
}

fn proportional(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find(|line| line.starts_with("Pss:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_threads_and_memory() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(tasks(&[own].into()) >= 1);
        assert!(private_pages(own).unwrap() > 0);
        assert!(proportional(own).unwrap() > 0);
    }
}
