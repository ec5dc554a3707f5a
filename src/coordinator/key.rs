//! Content keys: what a result depends on, so that a known one is not computed again.
//!
//! Only successes are stored. A key names everything that could change the result; whatever is not
//! in it must not be able to.

use std::{env, fs, os::unix::fs::MetadataExt};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    coordinator::{options::Reuse, shared::Shared},
    protocol::{
        event::FORMAT,
        ids::{Key, Oid},
        report::Check,
    },
    tools::catalogue::catalogue,
};

/// Returns the key of a check report.
pub(super) fn of_checks(checks: &[Check], tree: &Oid) -> Key {
    let commands = checks.iter().map(|check| check.command.as_str()).collect::<Vec<_>>();
    let commands = commands.join("\n");
    let toolchain = toolchain(&commands);
    let format = FORMAT.to_string();
    Key::of(&[
        ("what", b"checks".as_slice()),
        ("format", format.as_bytes()),
        ("commands", commands.as_bytes()),
        ("toolchain", toolchain.as_bytes()),
        ("tree", tree.as_str().as_bytes()),
    ])
}

/// Returns the key of an agent's outcome: the model, the tools, and the `parts` of its node.
pub(super) fn of_agent(shared: &Shared, parts: &[(&str, &str)]) -> Key {
    let format = FORMAT.to_string();
    let tools = serde_json::to_vec(&catalogue().0).unwrap_or_default();
    let info = shared.model.info();
    let limits = format!("{} {} {:?}", info.window, info.max_output, shared.options.mode);
    let mut all: Vec<(&str, &[u8])> = vec![
        ("what", b"agent"),
        ("format", format.as_bytes()),
        ("model", shared.started.model.as_bytes()),
        ("identity", info.identity.as_bytes()),
        ("limits", limits.as_bytes()),
        ("tools", &tools),
    ];
    all.extend(parts.iter().map(|(name, value)| (*name, value.as_bytes())));
    Key::of(&all)
}

/// Identifies the programs a command names by path, size and time of change.
fn toolchain(commands: &str) -> String {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut id = String::new();
    for word in commands.split_whitespace() {
        let found = env::split_paths(&path).find_map(|dir| {
            let file = dir.join(word);
            fs::metadata(&file).ok().filter(fs::Metadata::is_file).map(|meta| (file, meta))
        });
        if let Some((file, meta)) = found {
            id.push_str(&format!("{}:{}:{}\n", file.display(), meta.size(), meta.mtime()));
        }
    }
    id
}

/// Returns a stored result, unless the run wants everything fresh.
pub(super) fn lookup<T: DeserializeOwned>(shared: &Shared, key: &Key) -> Option<T> {
    if shared.options.reuse == Reuse::Fresh {
        return None;
    }
    serde_json::from_value(shared.store.get(key)?).ok()
}

/// Stores a result; a store that cannot be written only costs time later.
pub(super) fn store<T: Serialize>(shared: &Shared, key: &Key, value: &T) {
    let stored = serde_json::to_value(value)
        .map_err(|error| error.to_string())
        .and_then(|value| shared.store.put(key, &value).map_err(|error| error.to_string()));
    if let Err(error) = stored {
        tracing::warn!(error, "a result could not be stored for later runs");
    }
}
