//! The git program, called so that nothing a repository or an agent wrote can steer it.
//!
//! Every call names the git directory, and where a tree is concerned also the working tree and
//! the index, so git never discovers a repository; hooks, the file-system monitor, pagers,
//! editors and prompts are off. The user's own configuration stays in force, because filters and
//! identities live there.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::{
    git::repo::Repo,
    protocol::ids::Oid,
    sandbox::{
        disk,
        host::{self, HostCommand, HostError, HostOutput},
    },
};

/// Less free space than this is told with a failure, in bytes.
const SCARCE: u64 = 16 << 20;
/// Lines of git's own words about a failure that are told.
const WORDS: usize = 6;

/// Settings for every call.
const QUIET: [&str; 10] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "color.ui=false",
    "core.quotePath=false",
    "core.safecrlf=false",
    "log.showSignature=false",
    "diff.ignoreSubmodules=dirty",
];

/// Settings for indexes that grafter owns: libgit2 reads them, so they stay in its dialect, and a
/// change must show however a file's times were set.
const OWN_INDEX: [&str; 6] = [
    "index.sparse=false",
    "index.skipHash=false",
    "core.splitIndex=false",
    "core.untrackedCache=false",
    "core.trustctime=true",
    "core.checkStat=default",
];

/// Why a question to git, or an order, came to nothing.
#[derive(Debug, Error)]
pub enum GitError {
    /// The program did not run to its end.
    #[error("git could not be run")]
    Run(#[from] HostError),
    /// The program refused.
    #[error("`git {verb}` failed: {words}")]
    Failed {
        /// The subcommand.
        verb: String,
        /// What git said.
        words: String,
    },
    /// The program lacks what newer ones have.
    #[error("this git is too old (`grafter doctor` says which is needed): `git {verb}`: {words}")]
    TooOld {
        /// The subcommand.
        verb: String,
        /// What git said.
        words: String,
    },
    /// The library refused.
    #[error("cannot {doing}: {}", source.message())]
    Library {
        /// What was tried.
        doing: String,
        /// The library's answer.
        #[source]
        source: git2::Error,
    },
    /// A file could not be read or written.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Something is not what it must be.
    #[error("{0}")]
    Odd(String),
}

impl GitError {
    /// Returns a function that wraps a file error.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { doing, path, source }
    }

    /// Returns a function that wraps a library error.
    pub(super) fn library(doing: &str) -> impl FnOnce(git2::Error) -> Self {
        let doing = doing.to_owned();
        move |source| Self::Library { doing, source }
    }

    /// Returns a function that wraps the error of storing something; the library does not always
    /// say that there is no space.
    pub(super) fn storing(
        doing: &str,
        library: &git2::Repository,
    ) -> impl FnOnce(git2::Error) -> Self {
        let (doing, dir) = (doing.to_owned(), library.path().to_owned());
        move |error| {
            let text = format!("{}{}", error.message(), scarce(&[dir]));
            Self::Library { doing, source: git2::Error::from_str(&text) }
        }
    }
}

/// Where a call about a working tree acts; nothing in it is discovered.
#[derive(Clone, Debug)]
pub struct Site {
    /// The git directory (of the repository, or a registered worktree's own).
    pub git_dir: PathBuf,
    /// The working tree.
    pub work_tree: PathBuf,
    /// The index file.
    pub index: PathBuf,
    /// The commit whose attribute files count in an agent's tree; none takes the tree's own.
    pub attributes: Option<Oid>,
}

/// One call of the git program, being built.
#[derive(Debug)]
pub struct Git {
    command: HostCommand,
    verb: String,
    /// Folders it may write in.
    disks: Vec<PathBuf>,
}

impl Git {
    /// Starts a call that concerns objects and refs only.
    pub fn objects(repo: &Repo, verb: &str) -> Self {
        let mut git = Self::new(&QUIET, repo.common_dir(), verb);
        git.command.dir = Some(repo.common_dir().to_owned());
        // A tree without files, so that no attribute or path of a checkout takes part.
        git.env("GIT_WORK_TREE", repo.common_dir())
    }

    /// Starts a call on a tree and an index that grafter owns.
    pub fn tree(site: &Site, verb: &str) -> Self {
        let settings: Vec<&str> = QUIET.iter().chain(&OWN_INDEX).copied().collect();
        let mut git = Self::new(&settings, &site.git_dir, verb).on(site);
        if let Some(commit) = &site.attributes {
            // An option and not a variable, which a git too old for it would ignore.
            git.command.args.insert(0, format!("--attr-source={commit}").into());
        }
        git
    }

    /// Starts a call on a checkout of the user's, leaving the form of its index alone.
    pub fn checkout(site: &Site, verb: &str) -> Self {
        Self::new(&QUIET, &site.git_dir, verb).on(site)
    }

    fn new(settings: &[&str], git_dir: &Path, verb: &str) -> Self {
        let mut command = HostCommand::new("git");
        for setting in settings {
            command.args.extend(["-c".into(), OsString::from(setting)]);
        }
        command.args.extend(["--no-pager".into(), "--literal-pathspecs".into(), verb.into()]);
        let fixed = [
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_EDITOR", "true"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_ADVICE", "0"),
            ("LC_ALL", "C"),
        ];
        command.env = fixed.map(|(name, value)| (name.to_owned(), value.into())).into();
        command.env.push(("GIT_DIR".to_owned(), git_dir.into()));
        Self { command, verb: verb.to_owned(), disks: vec![git_dir.to_owned()] }
    }

    fn on(mut self, site: &Site) -> Self {
        self.disks.push(site.work_tree.clone());
        self.command.dir = Some(site.work_tree.clone());
        self.env("GIT_WORK_TREE", &site.work_tree).env("GIT_INDEX_FILE", &site.index)
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds several arguments.
    pub fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.command.args.extend(args.into_iter().map(OsString::from));
        self
    }

    /// Adds a variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the bytes for standard input.
    pub fn stdin(mut self, bytes: Vec<u8>) -> Self {
        self.command.stdin = bytes;
        self
    }

    /// Runs it and returns what it said, whatever its exit code.
    pub fn run(self) -> Result<HostOutput, GitError> {
        Ok(host::run(&self.command)?)
    }

    /// Runs it and returns its standard output; any exit code but 0 is an error.
    pub fn ok(self) -> Result<Vec<u8>, GitError> {
        let (verb, disks) = (self.verb.clone(), self.disks.clone());
        let output = self.run()?;
        if output.code == Some(0) {
            return Ok(output.stdout);
        }
        let words = words(&output);
        if words.contains("unknown option") {
            return Err(GitError::TooOld { verb, words });
        }
        Err(GitError::Failed { verb, words: words + &scarce(&disks) })
    }

    /// Runs it and returns the first line of its output as text.
    pub fn line(self) -> Result<String, GitError> {
        let output = self.ok()?;
        let text = String::from_utf8_lossy(&output);
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }
}

/// Git often says that it cannot write, and not why: a disk that is all but full is named.
fn scarce(disks: &[PathBuf]) -> String {
    disk::scarce(disks, SCARCE).map(|told| format!("; {told}")).unwrap_or_default()
}

/// Returns git's own words about a failure, or its exit code when it said nothing.
pub fn words(output: &HostOutput) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    match (text.trim(), output.code) {
        ("", Some(code)) => format!("exit code {code}"),
        ("", None) => "ended by a signal".to_owned(),
        (text, _) => {
            let more = text.lines().count().saturating_sub(WORDS);
            let more = if more > 0 { format!("\n(and {more} lines more)") } else { String::new() };
            text.lines().take(WORDS).collect::<Vec<_>>().join("\n") + &more
        }
    }
}
