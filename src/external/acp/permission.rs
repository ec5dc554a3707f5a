//! What an agent asks leave for, put as calls that the guard can judge, and the answer in its words.
//!
//! Pure. Leave is never given for more than once, and what cannot be judged gets none: the agent
//! then does without, or says why it could not.

use agent_client_protocol::v1::schema::{
    PermissionOption, PermissionOptionKind, RequestPermissionOutcome, SelectedPermissionOutcome,
    ToolCallContent, ToolCallUpdateFields, ToolKind,
};
use serde_json::{Value, json};

/// Members of an agent's own arguments that name a file.
const PATHS: [&str; 6] =
    ["path", "file_path", "filePath", "abs_path", "notebook_path", "target_file"];

/// Shells whose texts bash runs as well.
const SHELLS: [&str; 4] = ["bash", "sh", "/bin/bash", "/bin/sh"];

/// What is to be judged.
#[derive(Debug, PartialEq)]
pub(super) enum Asked {
    /// Nothing: what it does touches no more than its own conversation, or what only the sandbox
    /// can judge.
    Nothing,
    /// All of these calls, each with its tool.
    Calls(Vec<(&'static str, Value)>),
    /// It cannot be told what it would do.
    Unclear(&'static str),
}

/// Returns what a call of the agent's own tool would do.
pub(super) fn asked(call: &ToolCallUpdateFields) -> Asked {
    let command = command(call);
    match (call.kind.unwrap_or_default(), command) {
        // The hosts that it reaches, the sandbox's proxy judges.
        (ToolKind::Think | ToolKind::SwitchMode | ToolKind::Fetch, _) => Asked::Nothing,
        (ToolKind::Read | ToolKind::Search, _) => match paths(call) {
            paths if paths.is_empty() => Asked::Nothing,
            paths => Asked::Calls(each(&paths, "read", |path| json!({ "path": path }))),
        },
        (ToolKind::Execute, command) => {
            let command = command.or_else(|| call.title.clone());
            let judged = |command| Asked::Calls(vec![("bash", json!({ "command": command }))]);
            command.map_or(Asked::Unclear("it does not say what it would run"), judged)
        }
        (ToolKind::Other, Some(command)) => {
            Asked::Calls(vec![("bash", json!({ "command": command }))])
        }
        (kind, _) => match paths(call) {
            paths if paths.is_empty() && kind == ToolKind::Other => {
                Asked::Unclear("it does not say what it would do")
            }
            paths if paths.is_empty() => Asked::Unclear("it does not say to which file"),
            paths => {
                let write = |path: &str| json!({ "path": path, "content": "" });
                Asked::Calls(each(&paths, "write", write))
            }
        },
    }
}

/// Returns the answer; nothing of what is offered is ever taken for always, unless that is a no.
pub(super) fn answer(options: &[PermissionOption], is_allowed: bool) -> RequestPermissionOutcome {
    use PermissionOptionKind::{AllowOnce, RejectAlways, RejectOnce};
    let wanted: &[PermissionOptionKind] =
        if is_allowed { &[AllowOnce] } else { &[RejectOnce, RejectAlways] };
    let fits = |kind: &PermissionOptionKind| options.iter().find(|option| option.kind == *kind);
    match wanted.iter().chain(&[RejectOnce, RejectAlways]).find_map(fits) {
        Some(option) => RequestPermissionOutcome::Selected(SelectedPermissionOutcome::new(
            option.option_id.clone(),
        )),
        None => RequestPermissionOutcome::Cancelled,
    }
}

/// Returns the line that these words are: what a shell among them is to run, else all of them.
pub(super) fn line(words: &[&str]) -> String {
    match words {
        // Our own shell runs the same text, and the guard reads it without its wrapping.
        [shell, "-c" | "-lc", text] if SHELLS.contains(shell) => (*text).to_owned(),
        words => joined(words.iter().copied()),
    }
}

/// Puts words together so that a shell takes them apart again as they are.
pub(super) fn joined<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:,@%+".contains(&byte);
    match !word.is_empty() && word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn each(
    paths: &[String],
    tool: &'static str,
    input: impl Fn(&str) -> Value,
) -> Vec<(&'static str, Value)> {
    paths.iter().map(|path| (tool, input(path))).collect()
}

/// Returns the command of the agent's own arguments, as text or as words.
fn command(call: &ToolCallUpdateFields) -> Option<String> {
    let input = call.raw_input.as_ref()?;
    match input.get("command").or_else(|| input.get("cmd"))? {
        Value::String(text) => Some(text.clone()),
        Value::Array(words) => {
            Some(line(&words.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?))
        }
        _ => None,
    }
}

/// Returns the files that a call is about.
fn paths(call: &ToolCallUpdateFields) -> Vec<String> {
    let places = call.locations.iter().flatten().map(|place| &place.path);
    let diffs = call.content.iter().flatten().filter_map(|content| match content {
        ToolCallContent::Diff(diff) => Some(&diff.path),
        _ => None,
    });
    let named = PATHS.iter().filter_map(|name| call.raw_input.as_ref()?.get(name)?.as_str());
    let mut paths: Vec<String> = places
        .chain(diffs)
        .map(|path| path.to_string_lossy().into_owned())
        .chain(named.map(str::to_owned))
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(fields: Value) -> ToolCallUpdateFields {
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn what_an_agent_would_do_is_put_as_calls() {
        let calls = |fields| match asked(&call(fields)) {
            Asked::Calls(calls) => {
                calls.iter().map(|(tool, input)| format!("{tool} {input}")).collect::<Vec<_>>()
            }
            other => vec![format!("{other:?}")],
        };
        let text = json!({ "kind": "execute", "rawInput": { "command": "rm -rf x" } });
        assert_eq!(calls(text), [r#"bash {"command":"rm -rf x"}"#]);
        let words = json!({ "rawInput": { "command": ["grep", "it's", "a b"] } });
        assert_eq!(calls(words), [r#"bash {"command":"grep 'it'\\''s' 'a b'"}"#]);
        let shell = json!({ "rawInput": { "command": ["/bin/bash", "-lc", "ls | wc"] } });
        assert_eq!(calls(shell), [r#"bash {"command":"ls | wc"}"#]);
        let title = json!({ "kind": "execute", "title": "make test" });
        assert_eq!(calls(title), [r#"bash {"command":"make test"}"#]);
        let edit = json!({
            "kind": "edit",
            "locations": [{ "path": "/r/a" }],
            "content": [{ "type": "diff", "path": "/r/b", "newText": "" }],
            "rawInput": { "file_path": "/r/a" },
        });
        assert_eq!(
            calls(edit),
            [r#"write {"path":"/r/a","content":""}"#, r#"write {"path":"/r/b","content":""}"#]
        );
        let read = json!({ "kind": "read", "locations": [{ "path": "/etc/x" }] });
        assert_eq!(calls(read), [r#"read {"path":"/etc/x"}"#]);
        for clear in ["think", "switch_mode", "fetch", "search"] {
            assert_eq!(asked(&call(json!({ "kind": clear }))), Asked::Nothing, "{clear}");
        }
        for unclear in ["edit", "delete", "move", "execute", "other", "something new"] {
            let asked = asked(&call(json!({ "kind": unclear })));
            assert!(matches!(asked, Asked::Unclear(_)), "{unclear}");
        }
    }

    #[test]
    fn leave_is_given_once_or_not_at_all() {
        let options = |kinds: &[&str]| -> Vec<PermissionOption> {
            let one = |kind| json!({ "optionId": kind, "name": "x", "kind": kind });
            serde_json::from_value(kinds.iter().map(one).collect()).unwrap()
        };
        let said = |kinds: &[&str], is_allowed| match answer(&options(kinds), is_allowed) {
            RequestPermissionOutcome::Selected(chosen) => chosen.option_id.0.to_string(),
            _ => "cancelled".to_owned(),
        };
        let all = ["allow_always", "allow_once", "reject_always", "reject_once"];
        assert_eq!((&*said(&all, true), &*said(&all, false)), ("allow_once", "reject_once"));
        let always = ["allow_always", "reject_always"];
        assert_eq!(
            (&*said(&always, true), &*said(&always, false)),
            ("reject_always", "reject_always")
        );
        assert_eq!(said(&["allow_always"], true), "cancelled");
    }
}
