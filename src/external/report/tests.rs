//! Reports in the forms that agents print them.

use serde_json::json;

use super::{Preset, Report, objects, read};
use crate::protocol::usage::{Micros, Usage};

fn usage(input: u64, cache_write: u64, cache_read: u64, output: u64) -> Usage {
    Usage { input, cache_write, cache_read, output }
}

fn said(preset: Preset, output: &str) -> Report {
    read(Some(preset), output, "").expect("a report")
}

#[test]
fn claude_prints_one_result() {
    let result = json!({
        "type": "result", "subtype": "success", "is_error": false, "num_turns": 4,
        "result": "Done.", "total_cost_usd": 0.007_982_5, "session_id": "0e63",
        "usage": { "input_tokens": 3, "cache_creation_input_tokens": 5,
                   "cache_read_input_tokens": 15_635, "output_tokens": 6 },
    });
    let report = said(Preset::Claude, &format!("a warning\n{result}\n"));
    assert_eq!((report.summary.as_str(), report.error), ("Done.", None));
    assert_eq!((report.usage, report.cost), (usage(3, 5, 15_635, 6), Some(Micros(7_983))));
    let failed = json!({ "type": "result", "subtype": "error_max_turns", "is_error": true });
    let report = said(Preset::Claude, &failed.to_string());
    assert_eq!((report.error.as_deref(), report.cost), (Some("error_max_turns"), None));
}

#[test]
fn codex_prints_events() {
    let text = r#"{"type":"thread.started","thread_id":"0199"}
{"type":"turn.started"}
{"type":"error","message":"Reconnecting... 1/5"}
{"type":"item.completed","item":{"id":"item_1","type":"command_execution","command":"ls"}}
{"type":"item.completed","item":{"id":"item_3","type":"agent_message","text":"Fixed."}}
{"type":"turn.completed","usage":{"input_tokens":26549,"cached_input_tokens":22272,"output_tokens":1590}}
"#;
    let report = said(Preset::Codex, text);
    assert_eq!((report.summary.as_str(), report.error, report.cost), ("Fixed.", None, None));
    assert_eq!(report.usage, usage(4_277, 0, 22_272, 1_590));
    let failed = r#"{"type":"turn.failed","error":{"message":"stream disconnected"}}"#;
    assert_eq!(said(Preset::Codex, failed).error.as_deref(), Some("stream disconnected"));
    let refused = r#"{"type":"error","message":"no login"}"#;
    assert_eq!(said(Preset::Codex, refused).error.as_deref(), Some("no login"));
    let older = r#"{"id":"0","msg":{"type":"token_count","info":{"total_token_usage":{"input_tokens":9,"cached_input_tokens":4,"output_tokens":2}}}}
{"id":"0","msg":{"type":"agent_message","message":"Done"}}
{"id":"0","msg":{"type":"task_complete"}}"#;
    let report = said(Preset::Codex, older);
    assert_eq!((report.summary.as_str(), report.usage), ("Done", usage(5, 0, 4, 2)));
}

#[test]
fn gemini_prints_one_object_over_many_lines() {
    let tokens = json!({ "prompt": 24_939, "candidates": 20, "total": 25_113, "cached": 21_263,
                         "thoughts": 154, "tool": 0 });
    let stats = json!({ "models": { "gemini-2.5-pro": { "tokens": tokens },
                                    "gemini-2.5-flash": { "tokens": { "prompt": 7, "candidates": 1 } } } });
    let result = json!({ "response": "Fixed it.", "stats": stats });
    let text = format!("Loaded.\n{}\n", serde_json::to_string_pretty(&result).unwrap());
    let report = said(Preset::Gemini, &text);
    assert_eq!((report.summary.as_str(), report.error), ("Fixed it.", None));
    assert_eq!(report.usage, usage(3_683, 0, 21_263, 175));
    let failed = json!({ "error": { "type": "ApiError", "message": "quota", "code": 429 } });
    assert_eq!(said(Preset::Gemini, &failed.to_string()).error.as_deref(), Some("quota"));
}

#[test]
fn opencode_prints_events_with_their_own_cost() {
    let text = r#"{"type":"step_start","timestamp":1,"sessionID":"s","part":{"type":"step-start"}}
{"type":"step_finish","part":{"type":"step-finish","reason":"tool-calls","cost":0.1,"tokens":{"input":10,"output":2,"reasoning":1,"cache":{"read":5,"write":3}}}}
{"type":"text","part":{"type":"text","text":"All done"}}
{"type":"step_finish","part":{"type":"step-finish","reason":"stop","cost":0.2,"tokens":{"input":4,"output":1,"reasoning":0,"cache":{"read":0,"write":0}}}}
"#;
    let report = said(Preset::Opencode, text);
    assert_eq!((report.summary.as_str(), report.error), ("All done", None));
    assert_eq!((report.usage, report.cost), (usage(14, 3, 5, 4), Some(Micros(300_000))));
    let failed = r#"{"type":"error","error":{"name":"APIError","data":{"message":"no key"}}}"#;
    assert_eq!(said(Preset::Opencode, failed).error.as_deref(), Some("no key"));
}

#[test]
fn goose_tells_the_sum_of_its_tokens() {
    let text = json!({
        "messages": [
            { "role": "user", "content": [{ "type": "text", "text": "fix" }] },
            { "role": "assistant", "content": [{ "type": "text", "text": "Fixed." }] },
        ],
        "metadata": { "total_tokens": 812, "status": "completed" },
    });
    let report = said(Preset::Goose, &serde_json::to_string_pretty(&text).unwrap());
    assert_eq!((report.summary.as_str(), report.usage), ("Fixed.", usage(812, 0, 0, 0)));
}

#[test]
fn aider_prints_text_whose_lines_may_be_wrapped() {
    let text = "Aider v0.86\nApplied edit to a.py\nTokens: 2.1k sent, 120 received. Cost: $0.02 \
                message, $0.02 session.\nTokens: 1,000 sent, 1.5k received. Cost: $0.34 message, \
                $0.67\nsession.\nreceived what was sent\n";
    let report = said(Preset::Aider, text);
    assert_eq!((report.usage, report.cost), (usage(3_100, 0, 0, 1_620), Some(Micros(670_000))));
}

#[test]
fn mini_writes_a_trajectory() {
    let used = |cached: u64| {
        json!({ "prompt_tokens": 100, "completion_tokens": 7,
                "prompt_tokens_details": { "cached_tokens": cached } })
    };
    let turn =
        |cached| json!({ "role": "assistant", "extra": { "response": { "usage": used(cached) } } });
    let file = |status: &str, cost: f64| {
        json!({
            "info": { "model_stats": { "instance_cost": cost, "api_calls": 2 },
                      "exit_status": status, "submission": "fixed" },
            "messages": [{ "role": "user" }, turn(0), turn(90)],
        })
        .to_string()
    };
    let report = read(Some(Preset::Mini), "noise", &file("Submitted", 0.25)).unwrap();
    assert_eq!((report.summary.as_str(), report.error), ("fixed", None));
    assert_eq!((report.usage, report.cost), (usage(110, 0, 90, 14), Some(Micros(250_000))));
    let report = read(Some(Preset::Mini), "", &file("LimitsExceeded", 0.0)).unwrap();
    let error = report.error.as_deref();
    assert_eq!((error, report.cost), (Some("it ended as LimitsExceeded"), None));
}

#[test]
fn what_is_in_no_known_form_is_no_report() {
    let garbage =
        ["", "Segmentation fault\n", "{\"type\": \"resu", "[1, 2]\n", "{}\n", "\u{0}{{{\n"];
    let strict = ["claude", "codex", "gemini", "opencode", "goose", "mini"];
    for (name, text) in strict.iter().flat_map(|name| garbage.map(|text| (name, text))) {
        assert_eq!(read(Preset::named(name), text, text), None, "{name}: {text:?}");
    }
    assert_eq!(read(None, " as it is\n", "").unwrap().summary, "as it is");
    let long = "ä".repeat(3_000);
    assert_eq!(read(None, &long, "").unwrap().summary.chars().count(), 2_000);
}

#[test]
fn a_negative_or_absurd_cost_is_none() {
    let cost = |text: &str| {
        said(Preset::Claude, &format!("{{\"type\":\"result\",\"total_cost_usd\":{text}}}")).cost
    };
    assert_eq!(
        (cost("-1"), cost("\"1\""), cost("null"), cost("0")),
        (None, None, None, Some(Micros(0)))
    );
    // A cost of 2^64 micro-dollars made the summary panic.
    assert_eq!((cost("1e300"), cost("1e9")), (None, Some(Micros(1_000_000_000_000_000))));
}

proptest::proptest! {
    #[test]
    fn any_output_is_bearable(text in ".{0,300}", name in "claude|codex|gemini|opencode|goose|aider|mini") {
        let _ = objects(&text);
        let _ = read(Preset::named(&name), &text, &text);
    }
}
