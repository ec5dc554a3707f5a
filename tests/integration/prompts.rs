//! What models are sent: how large, in what form, and always the same.

use std::fs;

use serde_json::{Value, json};

use crate::{
    env::Env,
    server::{Received, Server, finish, landed, mend, object, say, solo, world},
};

#[test]
fn every_role_and_format_has_a_prompt_of_known_size() {
    let env = world();
    let mut table = String::new();
    for role in ["researcher", "coordinator", "implementer", "reviewer", "solo", "delegate"] {
        for format in ["tools", "blocks", "whole-file", "whole-function"] {
            let words = ["prompt", "show", "--role", role, "--edit-format", format];
            let shown = env.grafter(words).ok().stdout;
            let tenths = (shown.len() + 50) / 100;
            table.push_str(&format!(
                "{role:<12} {format:<15} {}.{} KB\n",
                tenths / 10,
                tenths % 10
            ));
        }
    }
    insta::assert_snapshot!(table, @"
    researcher   tools           3.8 KB
    researcher   blocks          3.8 KB
    researcher   whole-file      3.8 KB
    researcher   whole-function  3.8 KB
    coordinator  tools           4.4 KB
    coordinator  blocks          4.4 KB
    coordinator  whole-file      4.4 KB
    coordinator  whole-function  4.4 KB
    implementer  tools           4.3 KB
    implementer  blocks          0.7 KB
    implementer  whole-file      0.5 KB
    implementer  whole-function  0.4 KB
    reviewer     tools           3.8 KB
    reviewer     blocks          3.8 KB
    reviewer     whole-file      3.8 KB
    reviewer     whole-function  3.8 KB
    solo         tools           4.3 KB
    solo         blocks          0.7 KB
    solo         whole-file      0.5 KB
    solo         whole-function  0.4 KB
    delegate     tools           3.3 KB
    delegate     blocks          3.3 KB
    delegate     whole-file      3.3 KB
    delegate     whole-function  3.3 KB
    ");
    let said = env.grafter(["prompt", "show", "--role", "implementor"]).code(2).stderr;
    insta::assert_snapshot!(said, @"error: there is no role `implementor`; did you mean `implementer`? (known: coordinator, critic, delegate, editor, implementer, joiner, lead, part, planner, researcher, reviewer, solo)");
    assert_eq!(env.grafter(["prompt", "lint"]).ok().stdout, "all prompts are sound\n");
}

/// Returns a value with its texts and numbers taken out.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), shape(value))).collect()
        }
        Value::Array(items) => items.iter().take(2).map(shape).collect(),
        Value::String(_) => json!("text"),
        other => other.clone(),
    }
}

#[test]
fn the_first_request_with_all_tools_is_small_and_canonical() {
    let (env, server) = (world(), Server::new([mend(), finish()]));
    solo(&env, &server.model(), &[]).ok();
    let requests = server.received();
    let first = requests[0].json();
    assert!(requests[0].body.len() <= 16 << 10, "{} bytes", requests[0].body.len());
    assert_eq!(first["tools"].as_array().map(Vec::len), Some(16));
    // The bytes are the keys in their order, with nothing between them.
    assert_eq!(requests[0].body, first.to_string());
    let mut short = first.clone();
    short["tools"] = json!([first["tools"][3]]);
    insta::assert_snapshot!(shape(&short).to_string(), @r#"{"model":"text","messages":[{"role":"text","content":"text"},{"role":"text","content":"text"}],"stream":true,"stream_options":{"include_usage":true},"max_tokens":4096,"tools":[{"type":"text","function":{"name":"text","description":"text","parameters":{"type":"text","properties":{"path":{"type":"text"}},"required":["text"],"additionalProperties":false}}}]}"#);
    // The next request begins with the same bytes up to the end of the first message list.
    let begin = first["messages"].to_string();
    let begin = begin.trim_end_matches(']');
    assert!(requests[1].json()["messages"].to_string().starts_with(begin));
    assert_eq!(requests[1].json()["tools"], first["tools"]);
    let secret = env.root().to_string_lossy().into_owned();
    assert!(!requests[0].body.contains(&*secret), "no path of this machine");
}

/// Answers an issue in text; the first answer changes nothing.
fn textual(format: &str, nothing: &str, change: &str) -> Vec<Value> {
    let env = Env::new();
    env.write(
        "mean.py",
        "def mean(xs):\n    return sum(xs) // len(xs)\n\n\ndef top(xs):\n    return max(xs)\n",
    );
    env.commit("start");
    let server = Server::new([say(nothing), say(change)]);
    let check = "grep -q 'sum(xs) / len' mean.py";
    let model = server.model();
    let words = ["run", "mean in mean.py rounds down", "-w", "solo", "--verify", check, "--model"];
    let more = [model.as_str(), "--edit-format", format, "--output", "json"];
    object(env.grafter(words.iter().chain(&more)), 0);
    let text = landed(&env, "mean.py");
    assert_eq!(
        text,
        "def mean(xs):\n    return sum(xs) / len(xs)\n\n\ndef top(xs):\n    return max(xs)"
    );
    let requests: Vec<_> = server.received().iter().map(Received::json).collect();
    assert_eq!(requests.len(), 2, "the answer that changes nothing is asked again");
    let told = requests[1]["messages"].as_array().and_then(|all| all.last()).expect("a message");
    let told = told["content"].as_str().expect("words");
    assert!(told.contains("An earlier answer to this was refused"), "{told}");
    assert!(requests.iter().all(|request| request["tools"].is_null()), "no tools are offered");
    requests
}

#[test]
fn a_change_comes_as_search_and_replace_blocks() {
    let block = |new: &str| {
        format!(
            "mean.py\n```\n<<<<<<< SEARCH\n    return sum(xs) // len(xs)\n=======\n    return {new}\n>>>>>>> REPLACE\n```\n"
        )
    };
    textual("blocks", &block("sum(xs) // len(xs)"), &block("sum(xs) / len(xs)"));
}

#[test]
fn a_change_comes_as_a_whole_file() {
    let file = |new: &str| {
        format!(
            "mean.py\n```python\ndef mean(xs):\n    return {new}\n\n\ndef top(xs):\n    return max(xs)\n```\n"
        )
    };
    textual("whole-file", &file("sum(xs) // len(xs)"), &file("sum(xs) / len(xs)"));
}

#[test]
fn a_change_comes_as_a_whole_function() {
    let function = |new: &str| format!("```python\ndef mean(xs):\n    return {new}\n```\n");
    let requests =
        textual("whole-function", &function("sum(xs) // len(xs)"), &function("sum(xs) / len(xs)"));
    let size = requests[0].to_string().len();
    assert!(size < 4 << 10, "small models get small prompts: {size} bytes");
}

#[test]
fn a_model_that_only_says_what_is_there_does_not_resolve() {
    let nothing = "```python\ndef mean(xs):\n    return sum(xs) // len(xs)\n```\n";
    let env = Env::new();
    env.write("mean.py", "def mean(xs):\n    return sum(xs) // len(xs)\n");
    env.commit("start");
    let server = Server::new([say(nothing)]);
    let model = server.model();
    let words = ["run", "mean in mean.py rounds down", "-w", "solo", "--verify", "false"];
    let more = ["--model", &model, "--edit-format", "whole-function", "--output", "json"];
    let end = object(env.grafter(words.iter().chain(&more)), 1);
    let message = end["message"].as_str().expect("words");
    assert!(message.contains("nothing changed: the code in the answer is the same"), "{message}");
    assert!(end["commit"].is_null());
}

#[test]
fn what_is_said_between_turns_is_the_users_to_change_and_a_resume_keeps_it() {
    let (env, server) = (world(), Server::new([say("hm"), mend(), finish()]));
    let folder = env.root().join("config/grafter/prompts");
    fs::create_dir_all(&folder).expect("a new folder");
    fs::write(folder.join("words.yaml"), "no_call: 'Use a tool, please.'\n").expect("a new file");
    let shown = env.grafter(["prompt", "show", "--words"]).ok().stdout;
    assert!(shown.contains("\nno_call: \"Use a tool, please.\"\n"), "{shown}");
    solo(&env, &server.model(), &["--max-turns", "1"]).code(4);
    fs::write(folder.join("words.yaml"), "no_cal: 'Never mind.'\n").expect("a file");
    let wrong = env.grafter(["prompt", "lint"]).code(2).stderr;
    assert!(wrong.contains("there is no text `no_cal`; did you mean `no_call`?"), "{wrong}");
    env.grafter(["resume", "--max-turns", "9"]).ok();
    let told = server.received()[1].json()["messages"].to_string();
    assert!(told.contains("Use a tool, please."), "{told}");
}
