//! What the gate says of the command in a call, with the links of the agent's tree looked up.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    guard::gate::{Judgement, ShellFacts, judge},
    sandbox::place::Place,
};

/// Rounds of looking up links, each of which may show others.
const ROUNDS: usize = 4;

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
    let mut judgement = judge(command, &facts);
    for _ in 0..ROUNDS {
        let found = links(place, &facts.root, judgement.reads.iter().chain(&judgement.writes));
        let known = facts.links.len();
        facts.links.extend(found);
        if facts.links.len() == known {
            break;
        }
        judgement = judge(command, &facts);
    }
    judgement
}

/// Returns the links on the way to these paths, as far as they lie in the tree.
fn links<'p>(
    place: &Place,
    root: &str,
    paths: impl Iterator<Item = &'p String>,
) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let root = root.trim_end_matches('/');
    for path in paths {
        let Some(below) = path.strip_prefix(root).and_then(|rest| rest.strip_prefix('/')) else {
            continue;
        };
        let ends = below.match_indices('/').map(|(at, _)| at).chain([below.len()]);
        let link = ends.map(|end| &below[..end]).find_map(|way| Some((way, place.link(way)?)));
        if let Some((way, to)) = link {
            found.insert(format!("{root}/{way}"), to);
        }
    }
    found
}
