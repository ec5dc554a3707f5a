//! What the scaffold tells a model between its turns: `prompts/words.yaml`.
//!
//! The texts are fields, so that one that is missing or unknown is found when the file is read.
//! `{name}` in a text stands for a value; values are put in as they are, and not looked into again.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::{Deserialize, Serialize};

use crate::settings::{
    nearest,
    spot::{Spot, quoted},
    yaml::{self, Entries, YamlError},
};

/// The path of the texts in a set of prompts.
pub const PATH: &str = "words.yaml";
/// Most bytes of one text: it may be paid for in any turn.
const MAX_BYTES: usize = 1_000;

static SHIPPED: LazyLock<Words> = LazyLock::new(|| {
    let text = include_str!("../../prompts/words.yaml");
    yaml::from_str(PATH, text).expect("the embedded texts parse: a test reads them")
});

/// The texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// After an answer that called no tool.
    pub no_call: String,
    /// After an answer whose text could be read as a call in more than one way.
    pub ambiguous: String,
    /// After an answer that reached its token limit.
    pub cut: String,
    /// Before the last turn.
    pub last_turn: String,
    /// Added to the third identical result in a row.
    pub nudge: String,
    /// Added to the second edit in a row that gives a file a content that it had before.
    #[serde(default = "swing")]
    pub swing: String,
    /// Stands for a repeated result; `turn` gave it first.
    pub same_as: String,
    /// For calls after a finish that was accepted.
    pub after_finish: String,
    /// Around a message that the user sent while the agent worked; `text` is what they wrote.
    #[serde(default = "from_user")]
    pub from_user: String,
    /// Around a message of another agent; `agent` is who sent it, `text` what it says.
    #[serde(default = "from_agent")]
    pub from_agent: String,
    /// Before the result of a command that the user changed; `command` is what ran.
    #[serde(default)]
    pub edited: String,
    /// Stands for the results of the parent's last calls in the context of a fork.
    #[serde(default)]
    pub forked: String,
    /// The orders of one that answers for an agent that has ended: the `question`, and the `tools`
    /// that may be called.
    #[serde(default = "asked")]
    pub asked: String,
    /// The same, where the model is offered no tools.
    #[serde(default = "asked_text")]
    pub asked_text: String,
    /// For calls beyond the number that one turn may have.
    pub too_many: String,
    /// Stands for an answer without any content.
    pub empty: String,
    /// For an answer in text that leaves the tree as it is.
    pub unchanged: String,
    /// Added to the task after an answer in text that was of no use; `why` says so.
    pub wrong: String,
    /// For a refused finish; `missing` are the lines that say what it lacks.
    pub bounced: String,
    /// For a refused order to another agent; `missing` are the lines that say what it lacks.
    #[serde(default = "not_ordered")]
    pub not_ordered: String,
    /// A finish while `names` are at work.
    #[serde(default = "at_work")]
    pub at_work: String,
    /// Before the task of somebody else's agent.
    #[serde(default)]
    pub worker: String,
    /// A finish without a summary.
    pub no_summary: String,
    /// A research without a finding.
    pub no_finding: String,
    /// A synthesis that passes over the finding `id`.
    pub not_weighed: String,
    /// A finding `id` that is used or rejected without a reason.
    pub no_reason: String,
    /// A finding `id` that is used although its `lines` were not read.
    pub not_read: String,
    /// A synthesis that rejects all findings.
    pub all_rejected: String,
    /// A synthesis whose text `name` repeats the finding `id`.
    pub copied: String,
    /// A writer whose tree is as it was.
    pub no_change: String,
    /// A review without a verdict.
    pub no_verdict: String,
    /// A failing review that says not what to mend.
    pub no_must_fix: String,
    /// A passing review that says what to mend.
    pub must_fix_of_pass: String,
}

/// Runs that began before this was looked for have no text for it.
fn swing() -> String {
    Words::shipped().swing.clone()
}

/// Runs that began before there were messages have no text for them.
fn from_user() -> String {
    Words::shipped().from_user.clone()
}

/// As `from_user`.
fn from_agent() -> String {
    Words::shipped().from_agent.clone()
}

/// Runs that began before one that has ended could be asked have no text for it.
fn asked() -> String {
    Words::shipped().asked.clone()
}

/// As `asked`.
fn not_ordered() -> String {
    Words::shipped().not_ordered.clone()
}

/// As `asked`.
fn at_work() -> String {
    Words::shipped().at_work.clone()
}

/// As `asked`.
fn asked_text() -> String {
    Words::shipped().asked_text.clone()
}

/// Texts that must hold a value: without it they leave out what is said.
const OWED: [(&str, &str, &str); 4] = [
    ("from_user", "text", "what the user says"),
    ("from_agent", "text", "what the agent says"),
    ("asked", "question", "what is asked"),
    ("asked_text", "question", "what is asked"),
];

impl Words {
    /// Returns the texts in the binary.
    pub fn shipped() -> &'static Self {
        &SHIPPED
    }

    /// Returns these texts with those of a layer's file in their places.
    pub fn overlaid(&self, path: &str, file: &str) -> Result<Self, YamlError> {
        let wrong = |at, message| YamlError { spot: Spot::new(path, file, at), message };
        let Entries(own) = yaml::from_str::<Entries<String>>(path, file)?;
        let (mut all, shipped) = (self.by_name(), Self::shipped().by_name());
        for (name, text) in own {
            let Some(model) = shipped.get(&name.value) else {
                let near = nearest::hint(&name.value, shipped.keys().map(String::as_str));
                return Err(wrong(
                    name.at,
                    format!("there is no text {}{near}", quoted(&name.value)),
                ));
            };
            let known = values(model);
            if let Some(value) = values(&text.value).into_iter().find(|it| !known.contains(it)) {
                let message = format!("`{}` has no value {}", name.value, quoted(value));
                return Err(wrong(text.at, message));
            }
            let leaves_out = |(of, value, _): &&(&str, &str, &str)| {
                *of == name.value && !values(&text.value).contains(value)
            };
            if let Some((of, value, what)) = OWED.iter().find(leaves_out) {
                let message = format!("`{of}` leaves out `{{{value}}}`, and so {what}");
                return Err(wrong(text.at, message));
            }
            if text.value.trim().is_empty() || text.value.len() > MAX_BYTES {
                let message = format!("`{}` must have 1 to {MAX_BYTES} bytes", name.value);
                return Err(wrong(text.at, message));
            }
            all.insert(name.value, text.value);
        }
        let json = serde_json::to_value(all).expect("a map of strings is JSON");
        Ok(serde_json::from_value(json).expect("every text is there, and no other"))
    }

    /// Returns every text by its name.
    pub fn by_name(&self) -> BTreeMap<String, String> {
        let json = serde_json::to_value(self).expect("a table of strings is JSON");
        serde_json::from_value(json).expect("every text is a string")
    }
}

/// Returns a text with values in their places.
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    for (before, name) in places(text) {
        filled.push_str(before);
        match values.iter().find(|(known, _)| name == Some(known)) {
            Some((_, value)) => filled.push_str(value),
            None => filled.extend(name.map(|name| format!("{{{name}}}"))),
        }
    }
    filled
}

/// Returns the names of the values in a text.
fn values(text: &str) -> Vec<&str> {
    places(text).filter_map(|(_, name)| name).collect()
}

/// Cuts a text behind each `{name}`; a brace around anything else is text.
fn places(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let is_name = |name: &&str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        };
        for (at, _) in rest.match_indices('{') {
            let name = rest[at + 1..].split_once('}').map(|(name, _)| name).filter(is_name);
            if let Some(name) = name {
                let before = &rest[..at];
                rest = &rest[at + name.len() + 2..];
                return Some((before, Some(name)));
            }
        }
        Some((std::mem::take(&mut rest), None))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn overlaid(file: &str) -> Result<Words, String> {
        Words::shipped().overlaid("words.yaml", file).map_err(|error| error.to_string())
    }

    #[test]
    fn every_shipped_text_keeps_the_rules_of_a_layer() {
        let again = serde_json::to_string(Words::shipped()).unwrap();
        assert_eq!(overlaid(&again).unwrap(), *Words::shipped());
    }

    #[test]
    fn a_layer_changes_the_texts_it_names() {
        let words = overlaid("same_as: 'see turn {turn}'\n").unwrap();
        assert_eq!(fill(&words.same_as, &[("turn", "3")]), "see turn 3");
        assert_eq!(words.cut, Words::shipped().cut);
    }

    #[test]
    fn wrong_layers_say_what_is_wrong_and_where() {
        insta::assert_snapshot!(overlaid("cutt: x\n").unwrap_err(), @r"
        words.yaml:1:1: there is no text `cutt`; did you mean `cut`?
        1 | cutt: x
          | ^
        ");
        insta::assert_snapshot!(overlaid("cut: 'in {turn}'\n").unwrap_err(), @r"
        words.yaml:1:6: `cut` has no value `turn`
        1 | cut: 'in {turn}'
          |      ^
        ");
        insta::assert_snapshot!(overlaid("cut: ' '\n").unwrap_err(), @r"
        words.yaml:1:6: `cut` must have 1 to 1000 bytes
        1 | cut: ' '
          |      ^
        ");
        // A message of the user's would have been lost.
        insta::assert_snapshot!(overlaid("from_user: listen\n").unwrap_err(), @r"
        words.yaml:1:12: `from_user` leaves out `{text}`, and so what the user says
        1 | from_user: listen
          |            ^
        ");
        assert!(overlaid(&format!("cut: {}\n", "x".repeat(2000))).is_err());
        assert!(overlaid("- cut\n").is_err());
    }

    #[test]
    fn a_value_is_not_looked_into() {
        let text = "{id}: {lines} {x y} {";
        let filled = fill(text, &[("id", "{lines}"), ("lines", "a:1-2")]);
        assert_eq!(filled, "{lines}: a:1-2 {x y} {");
    }

    proptest! {
        #[test]
        fn a_text_without_values_stays_as_it_is(text in "[a-z{} _é]{0,40}") {
            prop_assert_eq!(fill(&text, &[]), text);
        }
    }
}
