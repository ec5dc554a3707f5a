//! From an error to message, cause, hint and exit code; nothing else turns errors into text.
//!
//! Codes: 0 landed, 1 not resolved, 2 usage or configuration, 3 refused or approval needed,
//! 4 budget reached, 5 merge conflict, 6 infrastructure, 130 interrupted.

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use crate::{
    cli::run_args::Output,
    protocol::cause::plain,
    ui::json::{self, Trouble},
};

/// What kind of trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The command line, a file or a setting is wrong.
    Usage,
    /// A rule does not allow it.
    Refused,
    /// Work does not merge.
    Conflict,
    /// Provider, sandbox, git or disk.
    Infrastructure,
    /// Nobody reads the answer any more: an end, but no trouble.
    ReaderGone,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Conflict => 5,
            Self::Infrastructure => 6,
            Self::ReaderGone => 0,
        }
    }
}

/// An error that knows its kind and what the user can do.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    hint: Option<String>,
    cause: anyhow::Error,
}

impl Failure {
    /// Returns a failure without a hint.
    pub(super) fn new(kind: Kind, cause: impl Into<anyhow::Error>) -> Self {
        Self { kind, hint: None, cause: cause.into() }
    }

    /// Returns a usage failure made of a sentence.
    pub(super) fn usage(text: impl fmt::Display) -> Self {
        Self::new(Kind::Usage, anyhow::anyhow!("{text}"))
    }

    /// Returns what went wrong, in one line.
    pub(super) fn cause(&self) -> String {
        format!("{:#}", self.cause)
    }

    /// Returns the failure with what the user can do.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Failure {
    /// Returns what is behind it, the outermost first; what an error already quotes is not said
    /// twice.
    fn causes(&self) -> Vec<String> {
        let mut said = self.cause.to_string();
        let mut causes = Vec::new();
        for cause in self.cause.chain().skip(1).map(ToString::to_string) {
            let cause = plain(&cause).to_owned();
            if !said.contains(&cause) {
                said.clone_from(&cause);
                causes.push(cause);
            }
        }
        causes
    }

    /// Prints it to standard output as well, for the program that asked for JSON.
    #[must_use]
    pub(super) fn told(self, output: Output) -> Self {
        if output != Output::Text && self.kind != Kind::ReaderGone {
            let causes = self.causes();
            let trouble = Trouble {
                error: self.cause.to_string(),
                cause: (!causes.is_empty()).then(|| causes.join(": ")),
                hint: self.hint.clone(),
                exit_code: self.kind.code(),
            };
            // Whoever closed standard output does not want to know.
            let _ = say!("{}", json::trouble(&trouble));
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.cause)?;
        for cause in self.causes() {
            write!(f, "\n  cause: {cause}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// Adds a kind, and perhaps a hint, to other rooms' errors.
pub(super) trait OrFail<T> {
    /// Returns the value, or a failure of that kind.
    fn or_fail(self, kind: Kind) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrFail<T> for Result<T, E> {
    fn or_fail(self, kind: Kind) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(kind, error))
    }
}

/// Prints a failure and returns its exit code.
pub(super) fn report(failure: &Failure) -> ExitCode {
    if failure.kind != Kind::ReaderGone {
        // Whoever closed standard error does not want to know.
        let _ = writeln!(io::stderr(), "{failure}");
    }
    ExitCode::from(failure.kind.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_cause_and_hint_stand_on_lines_of_their_own() {
        let cause = anyhow::anyhow!("no such file").context("cannot read a.yaml");
        let failure = Failure::new(Kind::Usage, cause).hint("name another");
        insta::assert_snapshot!(failure, @r"
        error: cannot read a.yaml
          cause: no such file
          hint: name another
        ");
    }
}
