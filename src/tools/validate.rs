//! Checks the arguments of a tool call against the tool's schema.
//!
//! Arguments come from a model, so size and depth are bounded before anything looks at them. What
//! is plainly meant is accepted (`"3"` for a number, one text for a list of texts, `null` for an
//! absent field) and comes back in the form the schema asks for; everything else is refused with
//! words that say what to send instead. It knows the part of JSON Schema that the table uses.

use serde_json::{Map, Value};

use crate::{protocol::tool::ToolSpec, settings::nearest::nearest};

/// Cap of all texts of one call together.
const MAX_BYTES: usize = 1 << 20;
/// Cap of nesting.
const MAX_DEPTH: usize = 16;
/// Cap of values; an empty list costs memory but no text.
const MAX_VALUES: usize = 20_000;

/// Returns the arguments in the schema's form, or what is wrong with them.
pub fn validate(spec: &ToolSpec, input: &Value) -> Result<Value, String> {
    bounded(input)?;
    let empty = Value::Object(Map::new());
    let input = match input {
        Value::Null => &empty,
        Value::String(text) if text.trim().is_empty() => &empty,
        Value::String(text) => {
            let head: String = text.chars().take(200).collect();
            let usage = usage(spec);
            return Err(format!(
                "the arguments are no valid JSON object{usage}; they begin: {head}"
            ));
        }
        other => other,
    };
    check(input, &spec.parameters, "").map_err(|wrong| format!("{wrong}{}", usage(spec)))
}

fn usage(spec: &ToolSpec) -> String {
    let required: Vec<&str> = names(&spec.parameters["required"]).collect();
    let optional = fields(&spec.parameters).filter(|name| !required.contains(name));
    let optional: Vec<&str> = optional.collect();
    let list = |names: &[&str]| match names {
        [] => "none".to_owned(),
        _ => names.join(", "),
    };
    let (required, optional) = (list(&required), list(&optional));
    format!(" (`{}` takes required: {required}; optional: {optional})", spec.name)
}

/// Walks without recursion, because nothing is known of the depth yet.
fn bounded(value: &Value) -> Result<(), String> {
    let (mut bytes, mut count) = (0, 0);
    let mut open = vec![(value, 0)];
    while let Some((value, depth)) = open.pop() {
        count += 1;
        if depth > MAX_DEPTH || count > MAX_VALUES {
            return Err("the arguments are nested too deep or hold too many values".to_owned());
        }
        match value {
            Value::String(text) => {
                bytes += text.len();
                refuse_nul(text)?;
            }
            Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(fields) => {
                for (name, item) in fields {
                    bytes += name.len();
                    open.push((item, depth + 1));
                }
            }
            _ => {}
        }
    }
    if bytes > MAX_BYTES {
        return Err(format!(
            "the arguments hold {bytes} bytes of text, at most {MAX_BYTES} are taken; send less \
             at once, for example write the file's start and add the rest with edit"
        ));
    }
    Ok(())
}

fn refuse_nul(text: &str) -> Result<(), String> {
    match text.find('\0') {
        Some(at) => Err(format!("a NUL character stands in a text, at byte {at}; leave it out")),
        None => Ok(()),
    }
}

/// Recursion is bounded by the schema's own depth.
fn check(value: &Value, schema: &Value, at: &str) -> Result<Value, String> {
    let value = match schema["type"].as_str() {
        Some("object") => object(value, schema, at)?,
        Some("array") => array(value, schema, at)?,
        Some("string") => match value {
            Value::String(_) => value.clone(),
            Value::Number(number) => Value::String(number.to_string()),
            _ => return Err(wrong_type(value, "a text", at)),
        },
        Some("integer") => integer(value, schema, at)?,
        Some("boolean") => match value {
            Value::Bool(_) => value.clone(),
            Value::String(text) if text == "true" || text == "false" => Value::Bool(text == "true"),
            _ => return Err(wrong_type(value, "true or false", at)),
        },
        _ => value.clone(),
    };
    match schema["enum"].as_array() {
        Some(allowed) if !allowed.contains(&value) => {
            let words: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
            Err(format!("{} is {value}, it must be one of: {}", field(at), words.join(", ")))
        }
        _ => Ok(value),
    }
}

fn object(value: &Value, schema: &Value, at: &str) -> Result<Value, String> {
    let parsed = reparsed(value)?;
    let Value::Object(given) = parsed.as_ref().unwrap_or(value) else {
        return Err(wrong_type(value, "an object", at));
    };
    let mut checked = Map::new();
    for (name, item) in given {
        match schema["properties"].get(name) {
            // Some providers make models send every field.
            Some(_) if item.is_null() && !names(&schema["required"]).any(|n| n == name) => {}
            Some(inner) => {
                checked.insert(name.clone(), check(item, inner, &join(at, name))?);
            }
            None if schema["properties"].is_null() => {
                checked.insert(name.clone(), item.clone());
            }
            None => return Err(unknown(name, schema, at)),
        }
    }
    for name in names(&schema["required"]) {
        if !checked.contains_key(name) {
            return Err(format!("{} is missing", field(&join(at, name))));
        }
    }
    Ok(Value::Object(checked))
}

fn unknown(name: &str, schema: &Value, at: &str) -> String {
    let name: String = name.chars().take(80).collect();
    let near = nearest(&name, fields(schema));
    let hint = near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
    format!("there is no {}{hint}", field(&join(at, &name)))
}

fn array(value: &Value, schema: &Value, at: &str) -> Result<Value, String> {
    let parsed = reparsed(value)?;
    let one;
    let items = match parsed.as_ref().unwrap_or(value) {
        Value::Array(items) => items,
        Value::String(text) if schema["items"]["type"] == "string" => {
            one = vec![Value::String(text.clone())];
            &one
        }
        Value::Object(_) if schema["items"]["type"] == "object" => {
            one = vec![value.clone()];
            &one
        }
        _ => return Err(wrong_type(value, "a list", at)),
    };
    match schema["maxItems"].as_u64() {
        Some(most) if items.len() as u64 > most => {
            return Err(format!("{} holds {}, at most {most}", field(at), items.len()));
        }
        _ => {}
    }
    let mut checked = Vec::new();
    for (index, item) in items.iter().enumerate() {
        checked.push(check(item, &schema["items"], &format!("{at}[{index}]"))?);
    }
    Ok(Value::Array(checked))
}

/// Returns the value inside a text that is itself a JSON object or list; models often send these.
fn reparsed(value: &Value) -> Result<Option<Value>, String> {
    let Value::String(text) = value else {
        return Ok(None);
    };
    if !text.trim_start().starts_with(['{', '[']) {
        return Ok(None);
    }
    let parsed = serde_json::from_str(text).ok();
    if let Some(parsed) = &parsed {
        bounded(parsed)?;
    }
    Ok(parsed)
}

fn integer(value: &Value, schema: &Value, at: &str) -> Result<Value, String> {
    let number = match value {
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64())),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let Some(number) = number else {
        return Err(wrong_type(value, "a whole number", at));
    };
    let least = schema["minimum"].as_i64().unwrap_or(i64::MIN);
    let most = schema["maximum"].as_i64().unwrap_or(i64::MAX);
    if number < least {
        return Err(format!("{} is {number}, at least {least} is needed", field(at)));
    }
    // Asking for more than there is to get is no reason to get nothing.
    Ok(Value::from(number.min(most)))
}

#[expect(clippy::cast_possible_truncation, reason = "only whole numbers within 2^53 are cast")]
fn whole(number: Option<f64>) -> Option<i64> {
    number.filter(|n| n.fract() == 0.0 && n.abs() < 9e15).map(|n| n as i64)
}

fn wrong_type(value: &Value, wanted: &str, at: &str) -> String {
    let got = match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    format!("{} is {got}, {wanted} is needed", field(at))
}

fn field(at: &str) -> String {
    if at.is_empty() { "the whole argument".to_owned() } else { format!("field `{at}`") }
}

fn join(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

fn names(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn fields(schema: &Value) -> impl Iterator<Item = &str> {
    schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::tools::catalogue::catalogue;

    fn run(tool: &str, input: &Value) -> Result<Value, String> {
        validate(catalogue().get(tool).expect("a tool"), input)
    }

    #[test]
    fn what_is_plainly_meant_is_taken() {
        let read = run("read", &json!({"path": "a", "offset": "3", "limit": 2.0}));
        assert_eq!(read, Ok(json!({"path": "a", "offset": 3, "limit": 2})));
        let read = run("read", &json!({"path": "a", "offset": null, "limit": 1_000_000}));
        assert_eq!(read, Ok(json!({"path": "a", "limit": 2000})));
        assert_eq!(run("read_many", &json!({"paths": "a"})), Ok(json!({"paths": ["a"]})));
        let many = run("read_many", &json!({"paths": "[\"a\", \"b\"]"}));
        assert_eq!(many, Ok(json!({"paths": ["a", "b"]})));
        assert_eq!(run("tree", &Value::Null), Ok(json!({})));
        assert_eq!(run("run_tests", &json!("")), Ok(json!({})));
        let edit = json!({"path": "a", "old": "x", "new": "y", "replace_all": "true"});
        assert_eq!(run("edit", &edit).expect("valid")["replace_all"], true);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = |tool, input| run(tool, &input).expect_err("invalid");
        insta::assert_snapshot!(said("read", json!({"paht": "a"})), @"there is no field `paht`, did you mean `path`? (`read` takes required: path; optional: offset, limit)");
        insta::assert_snapshot!(said("read", json!({"offset": 1})), @"field `path` is missing (`read` takes required: path; optional: offset, limit)");
        insta::assert_snapshot!(said("read", json!({"path": null})), @"field `path` is null, a text is needed (`read` takes required: path; optional: offset, limit)");
        insta::assert_snapshot!(said("read", json!({"path": "a", "offset": 0})), @"field `offset` is 0, at least 1 is needed (`read` takes required: path; optional: offset, limit)");
        insta::assert_snapshot!(said("read", json!({"path": "a", "offset": 1.5})), @"field `offset` is a number, a whole number is needed (`read` takes required: path; optional: offset, limit)");
        insta::assert_snapshot!(said("git", json!({"action": "push"})), @r#"field `action` is "push", it must be one of: log, show, diff, blame, status (`git` takes required: action; optional: rev, path, from, to)"#);
        insta::assert_snapshot!(said("read", json!("{\"path\": NaN}")), @r#"the arguments are no valid JSON object (`read` takes required: path; optional: offset, limit); they begin: {"path": NaN}"#);
        insta::assert_snapshot!(said("finish", json!({"status": "succeeded", "summary": "s", "evidence": [{"path": "a", "from": 1}]})), @"field `evidence[0].to` is missing (`finish` takes required: status, summary; optional: carry, findings_used, verdict, must_fix, evidence)");
        insta::assert_snapshot!(said("bash", json!({"command": "ls", "dangerously_skip": true})), @"there is no field `dangerously_skip` (`bash` takes required: command; optional: cwd, timeout)");
        insta::assert_snapshot!(said("read", json!([1])), @"the whole argument is a list, an object is needed (`read` takes required: path; optional: offset, limit)");
    }

    #[test]
    fn hostile_sizes_are_refused() {
        let long = run("write", &json!({"path": "a", "content": "x".repeat(5 << 20)}));
        assert!(long.expect_err("too long").contains("at most 1048576 are taken"));
        let mut deep = json!(1);
        for _ in 0..1000 {
            deep = json!([deep]);
        }
        let deep =
            run("finish", &json!({"status": "succeeded", "summary": "s", "carry": {"a": deep}}));
        assert!(deep.expect_err("too deep").contains("nested too deep"));
        let many = run("read_many", &json!({"paths": vec!["a"; 21]}));
        assert!(many.expect_err("too many").contains("holds 21, at most 20"));
        let nul = run("read", &json!({"path": "a\0b"}));
        assert!(nul.expect_err("NUL").contains("NUL character"));
        let inner = "[".repeat(100) + &"]".repeat(100);
        assert!(run("read_many", &json!({"paths": inner})).is_err());
    }

    proptest! {
        #[test]
        fn a_valid_form_stays_as_it_is(offset in proptest::option::of(1_i64..5000), path in "[a-z/.]{1,9}") {
            let once = run("read", &json!({"path": path, "offset": offset})).expect("valid");
            prop_assert_eq!(run("read", &once), Ok(once.clone()));
        }
    }
}
