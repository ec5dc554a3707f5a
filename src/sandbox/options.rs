//! The `[sandbox]` table of the user's settings: limits, and hosts that commands may reach.
//!
//! No repository may set any of it. The defaults follow the machine, because a limit that fits a
//! laptop would stop builds on a server.

use std::thread;

use rustix::system::sysinfo;
use serde::{Deserialize, Serialize};

use crate::{
    sandbox::hosts::HostRule,
    settings::load::{ALL, Section, positive},
};

/// The least that the default allows, and what each core adds beyond it.
const PROCESSES: (u64, u64) = (512, 64);
const MIB: u64 = 1 << 20;

/// What a sandbox allows beyond its tree and home.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Hosts that commands may reach, through grafter's proxy.
    pub hosts: Vec<HostRule>,
    /// The most processes and threads at once.
    #[serde(deserialize_with = "positive")]
    pub processes: u64,
    /// The most memory of all processes together, in MiB.
    #[serde(deserialize_with = "positive")]
    pub memory_mb: u64,
    /// The largest file that may be written, in MiB.
    #[serde(deserialize_with = "positive")]
    pub file_mb: u64,
    /// The most that each private folder in memory, such as `/tmp`, may hold, in MiB.
    #[serde(deserialize_with = "positive")]
    pub tmp_mb: u64,
}

impl Default for Options {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from) as u64;
        let info = sysinfo();
        let memory = u64::from(info.mem_unit).saturating_mul(info.totalram);
        Self {
            hosts: Vec::new(),
            processes: PROCESSES.0.max(PROCESSES.1 * cores),
            memory_mb: memory / MIB / 4 * 3,
            file_mb: 2048,
            tmp_mb: 2048,
        }
    }
}

impl Section for Options {
    const NAME: &'static str = "sandbox";
    const NO_REPO: &'static [&'static str] = &[ALL];
}

/// What one sandbox may use, in bytes where it is a size.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Limits {
    /// Processes and threads at once.
    pub(super) processes: u64,
    /// Memory of all together.
    pub(super) memory: u64,
    /// One file.
    pub(super) file: u64,
    /// Each private folder in memory.
    pub(super) tmp: u64,
}

impl From<&Options> for Limits {
    fn from(options: &Options) -> Self {
        let bytes = |mb: u64| mb.saturating_mul(MIB);
        Self {
            processes: options.processes,
            memory: bytes(options.memory_mb),
            file: bytes(options.file_mb),
            tmp: bytes(options.tmp_mb),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::load::Settings;

    #[test]
    fn the_user_sets_limits_and_hosts_and_a_repository_none() {
        let user = "[sandbox]\nhosts = [\"pypi.org\", \"127.0.0.1:8080\"]\nprocesses = 64\n";
        let options: Options = Settings::from_texts(user, "").section().unwrap();
        assert_eq!((options.hosts.len(), options.processes), (2, 64));
        assert!(options.memory_mb >= 1, "{options:?}");
        for line in ["hosts = [\"evil.example\"]", "processes = 100000", "tmp_mb = 1"] {
            let repo = format!("[sandbox]\n{line}\n");
            let error = Settings::from_texts("", &repo).section::<Options>().unwrap_err();
            assert!(error.to_string().contains("a repository may not set"), "{error}");
        }
        let wrong = Settings::from_texts("[sandbox]\nhosts = [\"http://pypi.org/\"]\n", "");
        let error = wrong.section::<Options>().unwrap_err().to_string();
        assert!(error.contains("no host"), "{error}");
    }
}
