//! TOML behind one function, with errors that show the line.

use serde::de::{DeserializeOwned, IntoDeserializer};

use crate::settings::{spot::Spot, yaml};

/// What is wrong in a TOML file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{spot}: {message}{}", spot.excerpt())]
pub struct TomlError {
    /// Where.
    pub spot: Spot,
    /// What.
    pub message: String,
}

/// Returns the value that a TOML text holds; `name` is the file's name in messages.
pub fn from_str<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, TomlError> {
    ::toml::from_str(text).map_err(|error| located(name, text, &error))
}

/// Returns the value of one top-level table of a TOML text, or nothing when it has none.
pub(crate) fn section<T: DeserializeOwned>(
    name: &str,
    text: &str,
    section: &str,
) -> Result<Option<T>, TomlError> {
    let table = ::toml::de::DeTable::parse(text).map_err(|error| located(name, text, &error))?;
    let Some(value) = table.into_inner().remove(section) else { return Ok(None) };
    T::deserialize(value.into_deserializer()).map(Some).map_err(|error| located(name, text, &error))
}

/// Returns the top-level keys of a TOML text, or those of one of its tables, and where they stand.
pub(crate) fn keys(name: &str, text: &str, of: Option<&str>) -> Result<Vec<Key>, TomlError> {
    let table = ::toml::de::DeTable::parse(text).map_err(|error| located(name, text, &error))?;
    let table = table.into_inner();
    let found = match of {
        None => Some(&table),
        Some(section) => table.get(section).and_then(|value| value.get_ref().as_table()),
    };
    let found = found.into_iter().flat_map(|table| table.iter());
    Ok(found
        .map(|(key, _)| Key {
            name: key.get_ref().to_string(),
            spot: Spot::at_byte(name, text, key.span().start),
        })
        .collect())
}

/// A key and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) spot: Spot,
}

/// Returns a message of the TOML library in our words: unknown keys with the nearest known one.
pub(crate) fn reworded(message: &str) -> String {
    let unknown = [("unknown field `", "key"), ("unknown variant `", "value")];
    for (start, what) in unknown {
        let Some(rest) = message.strip_prefix(start) else { continue };
        let Some((word, known)) = rest.split_once("`, ") else { continue };
        let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        return yaml::unknown(what, word, &known);
    }
    match message.strip_prefix("missing field `") {
        Some(key) => format!("key `{} is missing", key.lines().next().unwrap_or_default()),
        None => plain(message.lines().collect::<Vec<_>>().join(", ")),
    }
}

/// Returns the message without the names that the program's own language has for kinds of values.
fn plain(message: String) -> String {
    let Some((found, expected)) = message.rsplit_once(", expected ") else { return message };
    let expected = match expected {
        "u16" | "u32" | "u64" | "usize" => "a whole number",
        "a sequence" => "a list",
        word if word.starts_with("struct ") => "a table",
        other => other,
    };
    format!("{found}, expected {expected}")
}

fn located(name: &str, text: &str, error: &::toml::de::Error) -> TomlError {
    let spot = match error.span() {
        Some(span) => Spot::at_byte(name, text, span.start),
        None => Spot::new(name, text, (0, 0)),
    };
    TomlError { spot, message: reworded(error.message()) }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use crate::settings::toml::from_str;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Run {
        #[expect(dead_code, reason = "only its parsing is looked at")]
        model: String,
    }

    fn error(text: &str) -> String {
        from_str::<Run>("config.toml", text).expect_err("it is wrong").to_string()
    }

    #[test]
    fn unknown_key() {
        insta::assert_snapshot!(error("model = \"x\"\nmodle = 'y'\n"), @r"
        config.toml:2:1: unknown key `modle`; did you mean `model`? (known: model)
        2 | modle = 'y'
          | ^
        ");
    }

    #[test]
    fn missing_key() {
        insta::assert_snapshot!(error(""), @"config.toml:1:1: key `model` is missing");
    }

    #[test]
    fn wrong_type() {
        insta::assert_snapshot!(error("\nmodel = 7"), @r"
        config.toml:2:9: invalid type: integer `7`, expected a string
        2 | model = 7
          |         ^
        ");
    }

    #[test]
    fn a_wrong_type_was_told_in_the_words_of_a_compiler() {
        let told = |message: &str| super::reworded(message);
        assert_eq!(
            told("invalid type: string \"x\", expected u32"),
            "invalid type: string \"x\", expected a whole number"
        );
        assert!(
            told("invalid type: string \"x\", expected a sequence").ends_with("expected a list")
        );
        assert!(
            told("invalid type: string \"x\", expected struct Rule").ends_with("expected a table")
        );
    }

    #[test]
    fn no_toml() {
        insta::assert_snapshot!(error("model = \"x\"\nwhat is this"), @r"
        config.toml:2:6: key with no value, expected `=`
        2 | what is this
          |      ^
        ");
    }

    #[test]
    fn duplicate_key() {
        insta::assert_snapshot!(error("model = \"x\"\nmodel = \"x\""), @r#"
        config.toml:2:1: duplicate key
        2 | model = "x"
          | ^
        "#);
    }
}
