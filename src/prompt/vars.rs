//! The variables a prompt may use.
//!
//! A variable that a scene does not give is empty, so a template asks `{% if feedback %}` and never
//! fails over an attempt that has none. One that is not in this table is an error.

use serde_json::{Map, Value};

/// What a variable holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string, or a list of strings that is shown line by line.
    Text,
    /// A list.
    List,
    /// Names with values.
    Map,
    /// Any value.
    Any,
}

/// Every variable by name.
pub const VARS: [(&str, Kind); 17] = [
    ("again", Kind::Text),
    ("base_failures", Kind::Text),
    ("carries", Kind::Map),
    ("checks", Kind::List),
    ("diff", Kind::Text),
    ("feedback", Kind::Text),
    ("files", Kind::List),
    ("findings", Kind::List),
    ("fork_tools", Kind::List),
    ("gives", Kind::Map),
    ("index", Kind::Any),
    ("item", Kind::Any),
    ("parts", Kind::List),
    ("repo_facts", Kind::Text),
    ("task", Kind::Text),
    ("tests_touched", Kind::List),
    ("workflow", Kind::Text),
];

/// Returns all variables, those of `given` in place of the empty ones.
pub fn complete(given: &Map<String, Value>) -> Result<Map<String, Value>, VarError> {
    for name in given.keys() {
        if !VARS.iter().any(|(known, _)| known == name) {
            return Err(VarError::Unknown(name.clone()));
        }
    }
    let value = |(name, kind): &(&str, Kind)| {
        let value = given.get(*name).filter(|value| !value.is_null()).cloned();
        let value = value.unwrap_or_else(|| empty(*kind));
        if admits(*kind, &value) {
            Ok(((*name).to_owned(), value))
        } else {
            Err(VarError::Kind((*name).to_owned()))
        }
    };
    VARS.iter().map(value).collect()
}

/// Why variables were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VarError {
    /// There is no such variable.
    #[error("there is no prompt variable `{0}`")]
    Unknown(String),
    /// It holds something else than the table says.
    #[error("prompt variable `{0}` holds a value of the wrong type")]
    Kind(String),
}

fn empty(kind: Kind) -> Value {
    match kind {
        Kind::Text => Value::String(String::new()),
        Kind::List => Value::Array(Vec::new()),
        Kind::Map => Value::Object(Map::new()),
        Kind::Any => Value::Null,
    }
}

fn admits(kind: Kind, value: &Value) -> bool {
    match kind {
        Kind::Text => {
            let lines = value.as_array().is_some_and(|lines| lines.iter().all(Value::is_string));
            value.is_string() || lines
        }
        Kind::List => value.is_array(),
        Kind::Map => value.is_object(),
        Kind::Any => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use crate::prompt::vars::{VarError, complete};

    fn given(name: &str, value: Value) -> Result<Map<String, Value>, VarError> {
        complete(&Map::from_iter([(name.to_owned(), value)]))
    }

    #[test]
    fn what_is_not_given_is_empty() {
        let all = given("task", json!("t")).unwrap();
        assert_eq!(
            (&all["task"], &all["feedback"], &all["files"]),
            (&json!("t"), &json!(""), &json!([]))
        );
        assert_eq!(given("feedback", Value::Null).unwrap()["feedback"], json!(""));
    }

    #[test]
    fn wrong_names_and_types_are_refused() {
        assert_eq!(given("tsak", json!("t")), Err(VarError::Unknown("tsak".to_owned())));
        assert_eq!(given("files", json!("t")), Err(VarError::Kind("files".to_owned())));
        assert!(given("base_failures", json!(["a", "b"])).is_ok());
    }
}
