//! Whether the git program is new enough, which is better known before anything is paid for.

use thiserror::Error;

use crate::sandbox::host::{self, HostCommand, HostError};

/// The oldest git that does all that is asked of it, `git merge-tree --write-tree --merge-base`
/// among it.
pub const LEAST: &str = "2.41";
const LEAST_NUMBERS: (u32, u32) = (2, 41);

/// Why the git program does not do.
#[derive(Debug, Error)]
pub enum VersionError {
    /// It is not there.
    #[error("git is missing")]
    Missing(#[from] HostError),
    /// It lacks what newer ones have.
    #[error("git {0} is too old: {LEAST} or newer is needed")]
    TooOld(String),
    /// It says something else than its version.
    #[error("git says `{0}`, which is no version; {LEAST} or newer is needed")]
    Odd(String),
}

impl VersionError {
    /// Returns what the user can do.
    pub fn hint(&self) -> &'static str {
        "install a newer git, or put one first on PATH; `grafter doctor` looks again"
    }
}

/// Returns the version of the git program, if it does.
pub fn check() -> Result<String, VersionError> {
    let mut command = HostCommand::new("git");
    command.args = vec!["--version".into()];
    let output = host::run(&command)?;
    judge(&String::from_utf8_lossy(&output.stdout))
}

fn judge(answer: &str) -> Result<String, VersionError> {
    let version = answer.trim().trim_start_matches("git version ").to_owned();
    let mut numbers = version.split(['.', ' ', '-']).map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(first), Some(second)) if (first, second) >= LEAST_NUMBERS => Ok(version),
        (Some(_), Some(_)) => Err(VersionError::TooOld(version)),
        _ => Err(VersionError::Odd(version)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_is_new_enough_too_old_or_unknown() {
        assert_eq!(judge("git version 2.47.3\n").unwrap(), "2.47.3");
        assert!(judge("git version 2.41.1 (Apple Git-130)").is_ok());
        assert!(judge("git version 3.0").is_ok());
        let (major, minor) = LEAST_NUMBERS;
        assert_eq!(LEAST, format!("{major}.{minor}"));
        insta::assert_snapshot!(judge("git version 2.39.5").unwrap_err(), @"git 2.39.5 is too old: 2.41 or newer is needed");
        insta::assert_snapshot!(judge("hello").unwrap_err(), @"git says `hello`, which is no version; 2.41 or newer is needed");
    }
}
