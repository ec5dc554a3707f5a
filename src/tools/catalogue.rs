//! The table of tools, from `prompts/tools.yaml`, and that of canaries, which are none.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};

use crate::{
    protocol::tool::{Catalogue, ToolSpec},
    settings::yaml,
};

const TABLE: &str = include_str!("../../prompts/tools.yaml");
const CANARY_TABLE: &str = include_str!("../../prompts/canaries.yaml");

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    let rows = yaml::from_str("prompts/tools.yaml", TABLE);
    Catalogue(rows.expect("the embedded table parses: a test reads it"))
});

static CANARIES: LazyLock<Vec<ToolSpec>> = LazyLock::new(|| {
    let rows = yaml::from_str("prompts/canaries.yaml", CANARY_TABLE);
    rows.expect("the embedded table parses: a test reads it")
});

/// Lists of tools that agents have just now, by the names in them.
static LISTS: LazyLock<Mutex<Lists>> = LazyLock::new(Mutex::default);

type Lists = BTreeMap<Vec<String>, Weak<Vec<ToolSpec>>>;

/// Returns the tools of these names, sorted by name: one list for all who have the same, which is
/// larger than all else that most agents keep.
pub fn some(names: &[String]) -> Arc<Vec<ToolSpec>> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(list) = lists.get(&names).and_then(Weak::upgrade) {
        return list;
    }
    lists.retain(|_, list| list.strong_count() > 0);
    let list = CATALOGUE.0.iter().filter(|spec| names.contains(&spec.name)).cloned();
    let list = Arc::new(list.collect());
    lists.insert(names, Arc::downgrade(&list));
    list
}

/// Returns all tools, sorted by name.
pub fn catalogue() -> &'static Catalogue {
    &CATALOGUE
}

/// Returns the canary tools, whose names get an ending for each run.
pub fn canaries() -> &'static [ToolSpec] {
    &CANARIES
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::protocol::{
        task::Phase,
        tool::{Class, Risk},
    };

    #[test]
    fn agents_with_the_same_tools_have_one_list_of_them() {
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let one = some(&names(&["read", "edit", "read", "nothing"]));
        assert_eq!(one.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>(), ["edit", "read"]);
        assert!(Arc::ptr_eq(&one, &some(&names(&["nothing", "edit", "read"]))));
        assert!(!Arc::ptr_eq(&one, &some(&names(&["edit"]))));
    }

    #[test]
    fn the_table_is_sorted_and_small_enough_for_a_first_request() {
        let names: Vec<&str> = catalogue().names().collect();
        assert!(names.is_sorted());
        insta::assert_snapshot!(names.join(" "), @"apply_patch bash delegate delete edit finish git glob grep merge_enqueue move outline plan_select read read_finding read_many receive report_finding run_tests send spawn tasks tree wait write");
        let rendered: Vec<Value> = catalogue()
            .0
            .iter()
            .filter(|spec| !spec.named)
            .map(|spec| {
                json!({"type": "function", "function": {"name": spec.name,
                    "description": spec.description, "parameters": spec.parameters}})
            })
            .collect();
        let bytes = Value::Array(rendered).to_string().len();
        assert!(bytes < 9 * 1024, "{bytes} bytes");
    }

    #[test]
    fn classes_decide_over_phases() {
        for spec in &catalogue().0 {
            let phases = &spec.phases;
            match spec.class {
                Class::Read => assert_eq!(phases.len(), 4, "{}", spec.name),
                Class::Write => assert_eq!(phases, &[Phase::Implementation], "{}", spec.name),
                Class::Exec => {
                    assert_eq!(phases, &[Phase::Implementation, Phase::Verification]);
                }
                Class::Control => assert!(!phases.is_empty()),
            }
            // What a command may break is judged with its text; a tool's own risk is the least.
            let least = if spec.class == Class::Read { Risk::Low } else { spec.risk };
            assert_eq!(spec.risk, least, "{}", spec.name);
        }
    }

    #[test]
    fn every_schema_is_closed_and_names_its_required_fields() {
        for spec in &catalogue().0 {
            let schema = &spec.parameters;
            assert_eq!(schema["type"], "object", "{}", spec.name);
            assert_eq!(schema["additionalProperties"], false, "{}", spec.name);
            for name in schema["required"].as_array().into_iter().flatten() {
                let name = name.as_str().expect("a name");
                assert!(schema["properties"].get(name).is_some(), "{}.{name}", spec.name);
            }
        }
    }
}
