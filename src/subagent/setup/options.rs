//! The section `[setup]` of the settings, and what can go wrong with it.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use thiserror::Error;

use crate::{
    git::program::GitError,
    protocol::ids::Oid,
    sandbox::hosts::HostRule,
    settings::load::{Section, positive},
};

/// The section `[setup]` of the settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Commands, run one after the other at the top of a tree.
    pub run: Vec<String>,
    /// Ignored folders that they make, which every tree sees read-only.
    pub share: Vec<String>,
    /// Ignored files and folders that they make, of which every tree has a copy.
    pub copy: Vec<String>,
    /// Files and folders on whose content it depends whether they run again; none means the usual
    /// lock files at the top, and everything where there are none.
    pub reads: Vec<String>,
    /// Hosts that they may reach, besides those of `[sandbox]`.
    pub hosts: Vec<HostRule>,
    /// How long all of them may take together.
    #[serde(deserialize_with = "positive")]
    pub timeout_minutes: u64,
    /// Commands that run in each tree before it is given up.
    pub teardown: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        let none = Vec::new;
        Self {
            run: none(),
            share: none(),
            copy: none(),
            reads: none(),
            hosts: Vec::new(),
            timeout_minutes: 20,
            teardown: none(),
        }
    }
}

impl Section for Options {
    const NAME: &'static str = "setup";
    // What a sandbox reaches is not a repository's to say.
    const NO_REPO: &'static [&'static str] = &["hosts"];
}

/// Why what a tree needs is not there.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The commit cannot be read.
    #[error("cannot read the files that [setup] depends on")]
    Git(#[from] GitError),
    /// A name is no name of something below the checkout.
    #[error("`{name}` of [setup] is no path below the checkout")]
    Name {
        /// The name.
        name: String,
    },
    /// A name is that of something in the commit, which a copy or a view would cover.
    #[error(
        "`{name}` of [setup] is in commit {}: only what git ignores can be made once for all trees",
        commit.short()
    )]
    Tracked {
        /// The name.
        name: String,
        /// The commit.
        commit: Oid,
    },
    /// A command failed.
    #[error("the setup command `{command}` {end}; its output is in {}\n{tail}", log.display())]
    Failed {
        /// The command.
        command: String,
        /// How it ended.
        end: String,
        /// Where all of its output is.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// An earlier attempt, for which this one waited, failed.
    #[error("{0}")]
    Before(String),
    /// The commands ended well and did not make what they should.
    #[error("the commands of [setup] made no `{name}`; their output is in {}", log.display())]
    Missing {
        /// What is missing.
        name: String,
        /// Where their output is.
        log: PathBuf,
    },
    /// Another process has been at it for longer than it may take.
    #[error("another process has been running the same [setup] for {} minutes", waited.as_secs() / 60)]
    Busy {
        /// How long was waited.
        waited: Duration,
    },
    /// A file of grafter's own.
    #[error("cannot {what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl SetupError {
    pub(in crate::subagent) fn file(
        what: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { what, path: path.to_owned(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::load::Settings;

    #[test]
    fn a_repository_sets_commands_and_no_hosts() {
        let repo = "[setup]\nrun = [\"npm ci\"]\nshare = [\"node_modules\"]\n";
        let options: Options = Settings::from_texts("", repo).section().unwrap();
        assert_eq!((options.run.len(), options.timeout_minutes), (1, 20));
        let hosts = "[setup]\nhosts = [\"evil.example\"]\n";
        let error = Settings::from_texts("", hosts).section::<Options>().unwrap_err();
        assert!(error.to_string().contains("a repository may not set"), "{error}");
    }
}
