//! What the gate says of the command in a call, with the links of the agent's tree looked up.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    guard::gate::{Judgement, ShellFacts, judge_following},
    sandbox::place::Place,
};

/// Judges the command of a call whose paths are in normal form.
pub(super) fn look(place: &Place, input: &Value) -> Judgement {
    let command = input["command"].as_str().unwrap_or_default();
    let root = place.seen_as().to_string_lossy().into_owned();
    let cwd = match input["cwd"].as_str() {
        None | Some("" | ".") => root.clone(),
        Some(below) => format!("{}/{below}", root.trim_end_matches('/')),
    };
    let mut facts = ShellFacts {
        root,
        cwd,
        home: place.home_seen().to_string_lossy().into_owned(),
        scratch: place.scratch().iter().map(|path| path.to_string_lossy().into_owned()).collect(),
        readable: Vec::new(),
        links: BTreeMap::new(),
    };
    let root = facts.root.trim_end_matches('/').to_owned();
    judge_following(command, &mut facts, |path| {
        place.link(path.strip_prefix(&root)?.strip_prefix('/')?)
    })
}
