//! The `[guard]` table of the user's settings: rules on commands, who is asked and how long a
//! question waits, and terms that must not get out.
//!
//! No repository may set any of it.

use serde::{Deserialize, Serialize};

use crate::{
    protocol::rule::Rule,
    settings::load::{ALL, Section},
};

/// What the user says about commands.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Commands that run without being asked for.
    pub allow: Vec<Rule>,
    /// Commands that never run.
    pub deny: Vec<Rule>,
    /// How long a question waits for its answer before it counts as a no, in seconds.
    pub ask_seconds: u64,
    /// The model that is asked, in auto mode, about commands that are not plainly ordinary.
    pub classifier: Option<String>,
    /// How long it may take for an answer, in seconds.
    pub classifier_seconds: u64,
    /// Terms that must not get into a commit of a repository that may be public.
    pub redact: Vec<String>,
    /// Remotes that are not public, as `HOST` or `HOST/PATH`.
    pub private: Vec<String>,
    /// Whether runs have tripwires, in a program that was built with them.
    pub tripwire: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            deny: Vec::new(),
            ask_seconds: 300,
            classifier: None,
            classifier_seconds: 5,
            redact: Vec::new(),
            private: Vec::new(),
            tripwire: false,
        }
    }
}

impl Section for Options {
    const NAME: &'static str = "guard";
    const NO_REPO: &'static [&'static str] = &[ALL];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::load::Settings;

    #[test]
    fn rules_are_the_users_alone() {
        let text = "[[guard.allow]]\nprogram = \"cargo\"\nsubcommand = \"test\"\n";
        let options: Options = Settings::from_texts(text, "").section().unwrap();
        assert_eq!(options.allow[0].to_string(), "cargo test");
        assert_eq!((options.ask_seconds, options.deny.len()), (300, 0));
        let error = Settings::from_texts("", text).section::<Options>().unwrap_err();
        assert!(error.to_string().contains("a repository may not set"), "{error}");
        let text = "[guard]\nclassifier = \"a/b\"\n";
        let options: Options = Settings::from_texts(text, "").section().unwrap();
        assert_eq!((options.classifier.as_deref(), options.classifier_seconds), (Some("a/b"), 5));
        assert!(Settings::from_texts("", text).section::<Options>().is_err());
        let text = "[[guard.allow]]\nprogram = \"cargo\"\nprefix = \"cargo t\"\n";
        assert!(Settings::from_texts(text, "").section::<Options>().is_err());
    }
}
