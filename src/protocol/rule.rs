//! A rule of the user on commands: program, subcommand and options, never a piece of text.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One rule; whether it allows or denies is said by the list it stands in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The program, as commands write it: `cargo`, `./gradlew`.
    pub program: String,
    /// The first words that are no options, such as `test` or `run build`; empty means any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subcommand: String,
    /// Options without their values: those a command may have to be allowed, or must have all of to
    /// be denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program)?;
        let subcommand = Some(&self.subcommand).filter(|words| !words.is_empty());
        for word in subcommand.into_iter().chain(&self.flags) {
            write!(f, " {word}")?;
        }
        Ok(())
    }
}
