//! One part of a change that several writers make side by side.
//!
//! A planner hands parts on as data, and may be wrong about any of it: what is read here is
//! complete and consistent, or the reason why it is not goes back to whoever wrote it.

use std::collections::BTreeSet;

use globset::GlobBuilder;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::protocol::{ids::Oid, report::DiffStat};

/// Most parts of one change.
pub const MAX_PARTS: usize = 30;
/// Longest id; it becomes part of a branch name.
const MAX_ID: usize = 40;

/// A part of a change: what its one writer shall do, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its name, unique among the parts; empty for one that was not named.
    #[serde(default)]
    pub id: String,
    /// What it is, in a line.
    #[serde(default)]
    pub title: String,
    /// What is to be done.
    #[serde(default)]
    pub text: String,
    /// The files it may write, as globs; empty for all.
    #[serde(default)]
    pub scope: Vec<String>,
    /// Parts before this one whose work it builds on.
    #[serde(default)]
    pub after: Vec<String>,
}

/// Parts that have been merged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// All that is joined now.
    pub commit: Oid,
    /// The branch that holds it.
    pub branch: String,
    /// Lines changed against the base, by all parts so far.
    pub stat: DiffStat,
}

/// A part that does not merge with what is joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clashed {
    /// The paths in conflict.
    pub paths: Vec<String>,
}

/// A part that is given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// Why.
    pub why: String,
}

impl Part {
    /// Returns the line that names it; empty for one that says nothing.
    pub fn headline(&self) -> &str {
        let first = self.text.trim().lines().next().unwrap_or_default();
        [&*self.title, first].into_iter().find(|text| !text.trim().is_empty()).unwrap_or_default()
    }
}

/// Returns the parts that a list describes, or what is wrong with it.
///
/// An item is a text, or a table of `id`, `title`, `text`, `scope` and `after`. What a part comes
/// after stands before it, so no part ever waits for itself.
pub fn read(items: &[Value]) -> Result<Vec<Part>, String> {
    if items.is_empty() || items.len() > MAX_PARTS {
        return Err(format!("a change has 1 to {MAX_PARTS} parts, not {}", items.len()));
    }
    let mut parts = Vec::new();
    let mut ids = BTreeSet::new();
    for (at, item) in items.iter().enumerate() {
        let said = |why: String| format!("part {}: {why}", at + 1);
        let part = one(item).map_err(said)?;
        if let Some(unknown) = part.after.iter().find(|id| !ids.contains(*id)) {
            let hint = "`after` names ids of parts that stand before this one";
            return Err(said(format!("no part before it is called `{unknown}`; {hint}")));
        }
        if !part.id.is_empty() && !ids.insert(part.id.clone()) {
            return Err(said(format!("the id `{}` is used twice", part.id)));
        }
        parts.push(part);
    }
    Ok(parts)
}

fn one(item: &Value) -> Result<Part, String> {
    if let Value::String(text) = item {
        return filled(Part { text: text.clone(), ..Part::default() });
    }
    if !item.is_object() {
        return Err("it is neither a text nor a table".to_owned());
    }
    let part: Part = Part::deserialize(item).map_err(|error| error.to_string())?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends = part.id.starts_with('-') || part.id.ends_with('-');
    if part.id.is_empty() || part.id.len() > MAX_ID || ends || !part.id.chars().all(plain) {
        return Err(format!(
            "`id` must be 1 to {MAX_ID} lower-case letters, digits and inner hyphens"
        ));
    }
    for glob in &part.scope {
        let odd = glob.trim().is_empty() || glob.starts_with('/') || glob.contains("..");
        if odd || GlobBuilder::new(glob).build().is_err() {
            return Err(format!(
                "`{glob}` in `scope` is no glob relative to the repository's root"
            ));
        }
    }
    filled(part)
}

fn filled(part: Part) -> Result<Part, String> {
    match part.text.trim().is_empty() {
        true => Err("its `text` does not say what is to be done".to_owned()),
        false => Ok(part),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrong(items: &Value) -> String {
        read(items.as_array().expect("a list")).expect_err("it is wrong")
    }

    #[test]
    fn texts_and_tables_are_parts() {
        let items = json!(["do it", {
            "id": "core", "text": "rename", "scope": ["src/core"], "title": "Core"
        }, { "id": "docs", "text": "tell", "after": ["core"] }]);
        let parts = read(items.as_array().expect("a list")).expect("all is right");
        assert_eq!((parts[0].text.as_str(), parts[0].id.as_str()), ("do it", ""));
        assert_eq!(parts[1].scope, ["src/core"]);
        assert_eq!(parts[2].after, ["core"]);
    }

    #[test]
    fn a_planner_is_told_what_is_wrong() {
        let text = |id: &str| json!({ "id": id, "text": "x" });
        let said = [
            wrong(&json!([])),
            wrong(&json!(vec!["x"; 31])),
            wrong(&json!([text("A b")])),
            wrong(&json!([text("a"), text("a")])),
            wrong(&json!([{ "id": "a", "text": " " }])),
            wrong(&json!([{ "id": "a", "text": "x", "after": ["b"] }, text("b")])),
            wrong(&json!([{ "id": "a", "text": "x", "after": ["a"] }])),
            wrong(&json!([{ "id": "a", "text": "x", "scope": ["../x"] }])),
            wrong(&json!([{ "id": "a", "text": "x", "files": ["x"] }])),
            wrong(&json!([7])),
        ];
        insta::assert_snapshot!(said.join("\n"), @"
        a change has 1 to 30 parts, not 0
        a change has 1 to 30 parts, not 31
        part 1: `id` must be 1 to 40 lower-case letters, digits and inner hyphens
        part 2: the id `a` is used twice
        part 1: its `text` does not say what is to be done
        part 1: no part before it is called `b`; `after` names ids of parts that stand before this one
        part 1: no part before it is called `a`; `after` names ids of parts that stand before this one
        part 1: `../x` in `scope` is no glob relative to the repository's root
        part 1: unknown field `files`, expected one of `id`, `title`, `text`, `scope`, `after`
        part 1: it is neither a text nor a table
        ");
    }
}
