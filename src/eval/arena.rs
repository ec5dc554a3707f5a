//! Where an instance is worked and tried: repositories that hold its base commit alone.
//!
//! The agent's repository has neither history after the base nor hidden tests; the patch is tried in
//! another one, where the test files are put back and the hidden tests laid on top before anything
//! runs. Tests run in a sandbox without a network.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::{
    eval::{grade, instance::Instance},
    git::{only, program::GitError},
    protocol::ids::Oid,
    sandbox::{
        options::Options,
        place::{Place, PlaceError, PlaceSpec},
        probe::Backend,
        run::{Cmd, Job, RanEnd, RunError},
    },
};

/// Bytes of a test log that are kept, the first and the last of them.
const MAX_LOG: usize = 32 << 20;

/// Where repositories come from and how tests are confined.
#[derive(Clone, Debug)]
pub struct Arena {
    /// A folder of repositories, or an address that their names are put behind.
    pub mirrors: String,
    /// How commands are confined.
    pub backend: Backend,
    /// What they may use.
    pub options: Options,
    /// The program that confines itself.
    pub helper: PathBuf,
    /// Folders that nobody inside may see.
    pub hide: Vec<PathBuf>,
    /// How long the tests of one instance may take.
    pub deadline: Duration,
    /// What runs the tests where a row does not say.
    pub test_command: Option<String>,
}

/// What became of a patch that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// The tests ran: their log, in the official form, and for how many milliseconds.
    Ran(String, u64),
    /// They did not end in time: what they had printed, in the same form.
    Late(String, u64),
    /// The patch does not apply.
    Refused(String),
}

/// What of the machine failed, which says nothing about a patch.
#[derive(Debug, Error)]
pub enum ArenaError {
    /// No repository of the instance was found.
    #[error("no repository of {repo} in {mirrors} (looked for {names})")]
    Missing {
        /// The repository.
        repo: String,
        /// Where.
        mirrors: String,
        /// The names.
        names: String,
    },
    /// The base commit could not be taken, or git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The hidden tests do not apply to the base.
    #[error("the test patch does not apply: {0}")]
    TestPatch(String),
    /// Nobody says how the tests are run.
    #[error("the row says neither test_command nor eval_script; give --test-command")]
    NoCommand,
    /// A folder.
    #[error("cannot use {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The sandbox.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The sandbox, while the tests ran.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The disk.
    #[error("{0}")]
    Disk(String),
}

impl ArenaError {
    /// Returns the kind of failure, for the report.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Missing { .. } | Self::Git(_) => "repository",
            Self::TestPatch(_) | Self::NoCommand => "dataset",
            Self::Folder { .. } | Self::Disk(_) => "disk",
            Self::Place(_) | Self::Run(_) => "sandbox",
        }
    }
}

impl Arena {
    /// Makes a new repository of an instance's base commit in a folder; what lay there is taken away.
    pub async fn prepare(&self, instance: &Instance, dir: &Path) -> Result<(), ArenaError> {
        let from = self.mirror(instance)?;
        let (base, dir) = (Oid::new(instance.base.clone()), dir.to_owned());
        let made = spawn_blocking(move || {
            let folder = |source| ArenaError::Folder { path: dir.clone(), source };
            match fs::remove_dir_all(&dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(folder(error)),
                _ => {}
            }
            fs::create_dir_all(&dir).map_err(folder)?;
            Ok(only::take(&from, &base, &dir)?)
        });
        joined(made).await
    }

    /// Tries a patch: applied to the base, with the hidden tests on top, their command run.
    pub async fn attempt(
        &self,
        (instance, patch): (&Instance, &str),
        dir: &Path,
        cancel: &CancellationToken,
    ) -> Result<Tried, ArenaError> {
        let command = self.command(instance)?;
        let tree = dir.join("tree");
        self.prepare(instance, &tree).await?;
        if let Some(why) = self.laid(instance, patch, &tree).await? {
            return Ok(Tried::Refused(why));
        }
        let home = dir.join("home");
        fs::create_dir_all(&home)
            .map_err(|source| ArenaError::Folder { path: home.clone(), source })?;
        let spec = PlaceSpec {
            backend: self.backend,
            options: self.options.clone(),
            helper: self.helper.clone(),
            hide: self.hide.clone(),
            ..PlaceSpec::new(&tree, &tree, &home)
        };
        let place = Place::open(spec).await?;
        let cmd = Cmd {
            job: Job::Script(command),
            cwd: String::new(),
            env: vec![("NO_COLOR".to_owned(), "1".to_owned())],
            deadline: self.deadline,
            max_output: MAX_LOG,
        };
        let begun = Instant::now();
        let ran = place.run(cmd, cancel).await;
        place.close().await;
        if let Some(why) = place.no_space() {
            return Err(ArenaError::Disk(why.to_owned()));
        }
        let ran = ran?;
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let output = String::from_utf8_lossy(&ran.output);
        Ok(match ran.end {
            RanEnd::Exit(code) => Tried::Ran(grade::log(&output, code), took),
            RanEnd::Signal(signal) => Tried::Ran(grade::log(&output, 128 + signal), took),
            RanEnd::Deadline => {
                let late = format!("{output}\n>>>>> Tests Timed Out\n");
                Tried::Late(grade::log(&late, 124), took)
            }
        })
    }

    /// Returns what runs an instance's tests.
    pub fn command(&self, instance: &Instance) -> Result<String, ArenaError> {
        let own = self.test_command.clone().or_else(|| instance.test_command.clone());
        own.ok_or(ArenaError::NoCommand)
    }

    /// Lays the patch and the hidden tests into a tree; returns why the patch does not apply.
    async fn laid(
        &self,
        instance: &Instance,
        patch: &str,
        tree: &Path,
    ) -> Result<Option<String>, ArenaError> {
        let (patch, tests) = (patch.to_owned(), instance.test_patch.clone());
        let (base, tree) = (Oid::new(instance.base.clone()), tree.to_owned());
        let laid = spawn_blocking(move || {
            if !patch.trim().is_empty()
                && let Some(why) = only::apply(&tree, &patch)?
            {
                return Ok(Some(why));
            }
            only::reset(&tree, &base, &touched(&tests))?;
            match tests.trim().is_empty() {
                true => Ok(None),
                false => match only::lay(&tree, &tests)? {
                    Some(why) => Err(ArenaError::TestPatch(why)),
                    None => Ok(None),
                },
            }
        });
        joined(laid).await
    }

    /// Returns where an instance's repository is fetched from.
    fn mirror(&self, instance: &Instance) -> Result<String, ArenaError> {
        let name = instance.repo.rsplit('/').next().unwrap_or_default();
        if self.mirrors.contains("://") {
            return Ok(format!("{}/{}", self.mirrors.trim_end_matches('/'), instance.repo));
        }
        let names = [
            instance.id.clone(),
            instance.repo.replace('/', "__"),
            instance.repo.clone(),
            name.to_owned(),
        ];
        let names = names.into_iter().flat_map(|name| [format!("{name}.git"), name]);
        let names: Vec<String> = names.collect();
        let folder = Path::new(&self.mirrors);
        let found = names.iter().map(|name| folder.join(name)).find(|path| is_repository(path));
        let missing = || ArenaError::Missing {
            repo: instance.repo.clone(),
            mirrors: self.mirrors.clone(),
            names: names.join(", "),
        };
        let found = found.ok_or_else(missing)?;
        let real =
            found.canonicalize().map_err(|source| ArenaError::Folder { path: found, source });
        Ok(real?.to_string_lossy().into_owned())
    }
}

async fn joined<T>(work: tokio::task::JoinHandle<Result<T, ArenaError>>) -> Result<T, ArenaError> {
    work.await.unwrap_or_else(|error| Err(ArenaError::Disk(error.to_string())))
}

fn is_repository(path: &Path) -> bool {
    path.join(".git").exists() || path.join("objects").is_dir()
}

/// Returns the files that a patch touches, by their new names.
pub fn touched(patch: &str) -> Vec<String> {
    let heads = patch.lines().filter_map(|line| line.strip_prefix("diff --git a/"));
    heads.filter_map(|head| head.rsplit_once(" b/").map(|(_, path)| path.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::touched;

    #[test]
    fn the_files_of_a_patch_are_named() {
        let patch =
            "diff --git a/t/a b.py b/t/a b.py\nindex 1..2\n--- a/t/a b.py\ndiff --git a/x b/y\n";
        assert_eq!(touched(patch), ["t/a b.py", "y"]);
        assert!(touched("").is_empty());
    }
}
