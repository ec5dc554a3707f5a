//! Gathers what the guard needs to know of a call, and puts the call's paths into normal form.
//!
//! Exactly the call that comes out of here is decided on and run, so no path means one thing to
//! the guard and another to a tool.

use serde_json::Value;

use crate::{
    guard::{
        decide::Facts,
        path::{is_protected, normalise},
    },
    tools::patch,
};

/// Fields that hold a path where they hold a text; `from` and `to` are lines in other tools.
const PATH_FIELDS: [&str; 5] = ["path", "paths", "cwd", "from", "to"];

/// Returns the facts of valid arguments, whose paths are put into normal form.
pub(super) fn gather(tool: &str, input: &mut Value, seen_as: &str) -> Facts {
    let mut facts = Facts::default();
    if let Value::Object(fields) = input {
        for (name, value) in fields.iter_mut() {
            match name.as_str() {
                name if PATH_FIELDS.contains(&name) => each_text(value, &mut |path| {
                    note(&mut facts, path, seen_as);
                }),
                "evidence" => {
                    for item in value.as_array_mut().into_iter().flatten() {
                        if let Some(path) = item.get_mut("path") {
                            each_text(path, &mut |path| note(&mut facts, path, seen_as));
                        }
                    }
                }
                _ => {}
            }
        }
    }
    if tool == "apply_patch" {
        for mut path in patch::paths(input["patch"].as_str().unwrap_or_default()) {
            note(&mut facts, &mut path, seen_as);
        }
    }
    facts
}

/// Returns a text as one line without anything that a terminal would act on.
pub(super) fn escaped(text: &str) -> String {
    text.escape_debug().to_string()
}

fn each_text(value: &mut Value, visit: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter_mut().for_each(|item| {
            if let Value::String(text) = item {
                visit(text);
            }
        }),
        _ => {}
    }
}

fn note(facts: &mut Facts, path: &mut String, seen_as: &str) {
    match normalise(seen_as, path) {
        None => facts.outside = facts.outside.take().or_else(|| Some(path.clone())),
        Some(normal) => {
            if is_protected(&normal) {
                facts.protected = facts.protected.take().or_else(|| Some(path.clone()));
            }
            facts.paths.push(normal.clone());
            *path = normal;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_found_wherever_they_stand() {
        let mut input = json!({"paths": ["/repo/a", "b/../c"], "limit": 3});
        let paths = vec!["a".to_owned(), "c".to_owned()];
        let wanted = Facts { paths, ..Facts::default() };
        assert_eq!(gather("read_many", &mut input, "/repo"), wanted);
        assert_eq!(input, json!({"paths": ["a", "c"], "limit": 3}));
        let mut input = json!({"from": "a", "to": ".git/x"});
        assert_eq!(gather("move", &mut input, "/repo").protected.as_deref(), Some(".git/x"));
        let mut input = json!({"claim": "c", "evidence": [{"path": "/etc/x", "from": 1, "to": 2}]});
        assert_eq!(
            gather("report_finding", &mut input, "/repo").outside.as_deref(),
            Some("/etc/x")
        );
        let mut input = json!({"patch": "--- a/x\n+++ b/../y\n@@ -1 +1 @@\n-a\n+b\n"});
        assert_eq!(gather("apply_patch", &mut input, "/repo").outside.as_deref(), Some("../y"));
    }
}
