//! YAML behind one function.
//!
//! Budgets bound nodes, depth and aliases; duplicate keys are errors; booleans are only `true` and
//! `false`; a number with a leading zero stays text. `At` keeps the position of a value, so that
//! what is found wrong later can still be shown where it stands.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned},
};
use serde_yaml::{DeserializeError, MessageFormatter, UserMessageFormatter};

use crate::settings::{
    nearest,
    spot::{Spot, quoted},
};

/// Most nodes of a file, aliases expanded.
const MAX_NODES: usize = 20_000;
/// Deepest nesting.
const MAX_DEPTH: usize = 64;

/// What is wrong in a YAML file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{spot}: {message}{}", spot.excerpt())]
pub struct YamlError {
    /// Where.
    pub spot: Spot,
    /// What.
    pub message: String,
}

/// A value and where it stands in its file.
#[derive(Clone, Debug, PartialEq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Line and column, from 1.
    pub at: (u32, u32),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_yaml::Spanned::<T>::deserialize(deserializer)?;
        Ok(Self { value: spanned.value, at: line_column(spanned.referenced) })
    }
}

/// A mapping in the order of its file, with the positions of keys and values.
#[derive(Clone, Debug, PartialEq)]
pub struct Entries<T>(pub Vec<(At<String>, At<T>)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("names with values")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Visitor(PhantomData))
    }
}

/// Returns the value that a YAML text holds; `name` is the file's name in messages.
pub fn from_str<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, YamlError> {
    let options = serde_yaml::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        with_snippet: false,
        budget: serde_yaml::budget! { max_nodes: MAX_NODES, max_depth: MAX_DEPTH },
    };
    serde_yaml::from_str_with_options(text, options).map_err(|error| {
        let at = error.location().map_or((0, 0), line_column);
        YamlError { spot: Spot::new(name, text, at), message: message(&error) }
    })
}

fn line_column(location: serde_yaml::Location) -> (u32, u32) {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    (number(location.line()), number(location.column()))
}

fn message(error: &DeserializeError) -> String {
    match error {
        DeserializeError::AliasError { error, .. } => message(error),
        DeserializeError::SerdeUnknownField { field, expected, .. } => {
            unknown("key", field, expected)
        }
        DeserializeError::SerdeUnknownVariant { variant, expected, .. } => {
            unknown("value", variant, expected)
        }
        DeserializeError::SerdeMissingField { field, .. } => format!("key `{field}` is missing"),
        DeserializeError::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().map(quoted).unwrap_or_default();
            format!("key {key} stands here a second time")
        }
        DeserializeError::Budget { .. }
        | DeserializeError::AliasReplayLimitExceeded { .. }
        | DeserializeError::AliasReplayStackDepthExceeded { .. }
        | DeserializeError::AliasExpansionLimitExceeded { .. } => format!(
            "too much for one file: at most {MAX_NODES} values, {MAX_DEPTH} levels and few aliases"
        ),
        DeserializeError::MultipleDocuments { .. } => "a second document begins here".to_owned(),
        DeserializeError::Unexpected { expected, .. } => match *expected {
            "sequence start" => "a list is expected here".to_owned(),
            "mapping start" => "keys with values are expected here".to_owned(),
            "string scalar" => "text is expected here".to_owned(),
            other => format!("{other} is expected here"),
        },
        other => {
            let text = UserMessageFormatter.format_message(other);
            text.lines().next().unwrap_or_default().to_owned()
        }
    }
}

/// Returns the message about a word that is none of the `expected` ones.
pub fn unknown(what: &str, word: &str, expected: &[&str]) -> String {
    let near = nearest::hint(word, expected.iter().copied());
    format!("unknown {what} {}{near} (known: {})", quoted(word), expected.join(", "))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fmt::Write as _};

    use serde::Deserialize;
    use serde_json::Value;

    use crate::settings::yaml::{At, Entries, from_str};

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Node {
        id: At<String>,
        #[serde(default)]
        needs: Vec<At<String>>,
        when: Option<At<Mood>>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mood {
        Good,
        Bad,
    }

    fn error(text: &str) -> String {
        from_str::<Node>("w.yaml", text).expect_err("it is wrong").to_string()
    }

    #[test]
    fn keeps_positions() {
        let node: Node = from_str("w.yaml", "id: a\nneeds:\n  - b\n  - c\n").unwrap();
        assert_eq!(node.id, At { value: "a".to_owned(), at: (1, 5) });
        assert_eq!(node.needs[1].at, (4, 5));
        assert_eq!(node.when, None);
    }

    #[test]
    fn keeps_positions_of_entries() {
        let entries: Entries<u32> = from_str("w.yaml", "b: 1\na:  2\n").unwrap();
        let (key, value) = &entries.0[1];
        assert_eq!((key.value.as_str(), key.at, value.at), ("a", (2, 1), (2, 5)));
    }

    #[test]
    fn unknown_key() {
        insta::assert_snapshot!(error("id: a\nned: [b]\n"), @r"
        w.yaml:2:1: unknown key `ned`; did you mean `needs`? (known: id, needs, when)
        2 | ned: [b]
          | ^
        ");
    }

    #[test]
    fn unknown_value() {
        insta::assert_snapshot!(error("id: a\nwhen: god\n"), @r"
        w.yaml:2:7: unknown value `god`; did you mean `good`? (known: good, bad)
        2 | when: god
          |       ^
        ");
    }

    #[test]
    fn missing_key() {
        insta::assert_snapshot!(error("needs: [b]\n"), @r"
        w.yaml:1:1: key `id` is missing
        1 | needs: [b]
          | ^
        ");
    }

    #[test]
    fn duplicate_key() {
        insta::assert_snapshot!(error("id: a\nid: b\n"), @r"
        w.yaml:2:1: key `id` stands here a second time
        2 | id: b
          | ^
        ");
    }

    #[test]
    fn wrong_type() {
        insta::assert_snapshot!(error("id: a\nneeds: 7\n"), @r"
        w.yaml:2:8: a list is expected here
        2 | needs: 7
          |        ^
        ");
    }

    #[test]
    fn no_yaml() {
        insta::assert_snapshot!(error("id: [a\n"), @r"
        w.yaml:1:5: text is expected here
        1 | id: [a
          |     ^
        ");
    }

    #[test]
    fn empty_file() {
        insta::assert_snapshot!(error(""), @"w.yaml:1:1: unexpected end of file");
    }

    #[test]
    fn two_documents() {
        insta::assert_snapshot!(error("id: a\n---\nid: b\n"), @r"
        w.yaml:3:1: a second document begins here
        3 | id: b
          | ^
        ");
    }

    #[test]
    fn alias_bomb() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            let row = vec![format!("*a{}", n - 1); 10].join(", ");
            writeln!(text, "a{n}: &a{n} [{row}]").unwrap();
        }
        let error = from_str::<Value>("bomb.yaml", &text).unwrap_err();
        assert!(error.message.contains("too much for one file"), "{error}");
    }

    #[test]
    fn deep_nesting() {
        let error = from_str::<Value>("deep.yaml", &"[".repeat(100_000)).unwrap_err();
        assert!(!error.message.is_empty());
    }

    #[test]
    fn words_stay_words() {
        let text = "a: no\nb: 0777\nc: true\nd: 12:30\n";
        let values: BTreeMap<String, Value> = from_str("v.yaml", text).unwrap();
        assert_eq!(
            serde_json::to_string(&values).unwrap(),
            r#"{"a":"no","b":"0777","c":true,"d":"12:30"}"#
        );
    }
}
