//! The rules of the house, each a function from a source to the places that break it.

use std::collections::BTreeMap;

use super::source::{Source, words};

/// The floors, the top first; word for word the table of the architecture.
pub(crate) const FLOORS: &str = "
cli
daemon eval ui
fleet
coordinator
subagent
agent repair external
tools prompt merge
memory localize verify
graph journal provider guard git forge
sandbox code
protocol settings
";

/// What only some rooms may touch: the beginnings of its paths, and the rooms.
const OUTSIDE: [(&[&str], &[&str]); 9] = [
    (&["git2"], &["git"]),
    (&["reqwest"], &["provider", "forge"]),
    (
        &[
            "std::process::Command",
            "std::process::Child",
            "std::process::Stdio",
            "std::os::unix::process::CommandExt",
            "tokio::process",
        ],
        &["sandbox"],
    ),
    (&["petgraph"], &["graph"]),
    (&["serde_yaml"], &["settings"]),
    (&["toml"], &["settings"]),
    (
        &[
            "tree_sitter",
            "tree_sitter_bash",
            "tree_sitter_go",
            "tree_sitter_javascript",
            "tree_sitter_python",
            "tree_sitter_rust",
            "tree_sitter_typescript",
        ],
        &["code", "guard"],
    ),
    (&["axum"], &["daemon"]),
    (&["indicatif"], &["ui"]),
];

/// Macros that print, and the rooms that may.
const PRINTS: [&str; 4] = ["println", "eprintln", "print", "eprint"];
const PRINTERS: [&str; 2] = ["ui", "cli"];

/// Modules that decide and touch nothing; those below them too.
const PURE: [&str; 13] = [
    "coordinator::plan",
    "coordinator::schedule",
    "coordinator::budget",
    "coordinator::groups",
    "coordinator::state",
    "graph::validate",
    "graph::ready",
    "guard",
    "merge::queue",
    "verify::change",
    "verify::verdict",
    "memory::dream",
    "localize",
];

/// What a pure file may not name.
const EFFECTS: [&str; 10] = [
    "tokio",
    "std::fs",
    "std::process",
    "std::env",
    "std::net",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
];

/// Files that are tables and may be longer than others.
const TABLES: [&str; 0] = [];

/// Words that say that something is not done; put together here so that no search finds this list.
pub(crate) const UNDONE: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

const MAX_FILE: usize = 500;
const MAX_FUNCTION: usize = 60;

pub(crate) fn floors() -> BTreeMap<&'static str, usize> {
    let floors = FLOORS.trim().lines().enumerate();
    floors.flat_map(|(floor, rooms)| rooms.split(' ').map(move |room| (room, floor))).collect()
}

/// Every room stands on a floor.
pub(crate) fn unknown_room(source: &Source) -> Vec<String> {
    let room = source.room().filter(|room| !floors().contains_key(room));
    room.map(|room| format!("{}: the room {room} stands on no floor", source.at(0)))
        .into_iter()
        .collect()
}

/// A room imports from lower floors only.
pub(crate) fn imports(source: &Source) -> Vec<String> {
    let floors = floors();
    let Some((room, floor)) = source.room().and_then(|room| Some((room, *floors.get(room)?)))
    else {
        return Vec::new();
    };
    let mut faults = Vec::new();
    for (at, path) in source.paths() {
        let ["crate", other, ..] = path.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
            continue;
        };
        let Some(other_floor) = floors.get(other).filter(|_| other != room) else { continue };
        if *other_floor <= floor {
            let way = if *other_floor == floor { "sideways" } else { "upward" };
            faults.push(format!("{}: {room} imports {other}, {way}", source.at(at)));
        }
    }
    faults
}

/// Each outside thing is touched by its own rooms only.
pub(crate) fn outside(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, path) in source.paths() {
        let path = path.join("::");
        for (things, rooms) in OUTSIDE {
            let is_foreign = !source.room().is_some_and(|room| rooms.contains(&room));
            if is_foreign && things.iter().any(|thing| is_below(&path, thing)) {
                faults.push(format!("{}: {path} outside {}", source.at(at), rooms.join(", ")));
            }
        }
    }
    for (at, word) in words(&source.live) {
        let is_macro = source.live[at + word.len()..].starts_with('!');
        let may = source.room().is_some_and(|room| PRINTERS.contains(&room));
        if is_macro && PRINTS.contains(&word) && !may {
            faults.push(format!("{}: {word}! outside {}", source.at(at), PRINTERS.join(", ")));
        }
    }
    faults
}

/// A pure file names nothing that acts or asks the clock.
pub(crate) fn purity(source: &Source) -> Vec<String> {
    let module = source.module().join("::");
    if !PURE.iter().any(|pure| is_below(&module, pure)) {
        return Vec::new();
    }
    let paths = source.paths().into_iter().map(|(at, path)| (at, path.join("::")));
    let effects = paths.filter(|(_, path)| EFFECTS.iter().any(|effect| is_below(path, effect)));
    effects.map(|(at, path)| format!("{}: {path} in a pure file", source.at(at))).collect()
}

fn is_below(path: &str, head: &str) -> bool {
    path.strip_prefix(head).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Files and functions have a size that can be read.
pub(crate) fn sizes(source: &Source) -> Vec<String> {
    if TABLES.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let mut faults = Vec::new();
    let lines = source.text.lines().count();
    if lines > MAX_FILE {
        faults.push(format!("{}:{lines}: more than {MAX_FILE} lines", source.path));
    }
    for (name, at, lines) in source.functions() {
        if lines > MAX_FUNCTION {
            let place = source.at(at);
            faults.push(format!("{place}: {name} has {lines} lines, more than {MAX_FUNCTION}"));
        }
    }
    faults
}

/// A file begins by saying what it is for; nothing panics, is unsafe or is left undone.
pub(crate) fn habits(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    if !source.text.starts_with("//! ") {
        faults.push(format!("{}: no `//!` head", source.at(0)));
    }
    for (at, _) in source.live.match_indices(".unwrap()") {
        faults.push(format!("{}: unwrap() outside tests", source.at(at)));
    }
    for (at, _) in words(&source.live).filter(|(_, word)| *word == "unsafe") {
        faults.push(format!("{}: unsafe", source.at(at)));
    }
    for (at, word) in words(&source.text).filter(|(_, word)| UNDONE.contains(word)) {
        faults.push(format!("{}: {word}", source.at(at)));
    }
    faults
}
