//! Makes what a model said fit to be sent back to it.
//!
//! Pure. Whatever stays in the history is sent with every later request, so one answer of five
//! megabytes or one name that a provider refuses would end the agent.

use serde_json::json;

use crate::{agent::context::STUB, protocol::message::Block};

/// Replaces what would poison every later request: arguments and texts of more than `cap` bytes,
/// and names and arguments of a form that servers refuse to see again.
pub fn fit(block: &mut Block, cap: usize) {
    match block {
        Block::Text(text) => {
            if let Some(shorter) = cut(text, cap) {
                *text = shorter;
            }
        }
        Block::Call(call) => {
            call.name = name(&call.name);
            let text = call.input.to_string();
            if text.len() > cap || !call.input.is_object() {
                let head = &text[..text.floor_char_boundary(200)];
                call.input = json!({ "left_out": format!("{} bytes: {head}", text.len()) });
            }
        }
        Block::Result(_) | Block::Opaque(_) => {}
    }
}

/// Returns a tool's name with nothing in it but what every provider takes.
pub fn name(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let kept: String = name.chars().take(64).map(|c| if allowed(c) { c } else { '_' }).collect();
    if kept.is_empty() { "unnamed".to_owned() } else { kept }
}

/// Keeps the head and the tail of a text that is longer than `cap` bytes.
pub fn cut(text: &str, cap: usize) -> Option<String> {
    if text.len() <= cap.saturating_add(STUB.len()) {
        return None;
    }
    let head = text.floor_char_boundary(cap * 6 / 10);
    let tail = text.ceil_char_boundary(text.len() - cap * 4 / 10);
    Some(format!("{}\n{STUB}\n{}", &text[..head], &text[tail..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::protocol::{ids::CallId, message::ToolCall};

    fn fitted(name: &str, input: Value) -> ToolCall {
        let call = ToolCall { id: CallId::new("c"), name: name.into(), input };
        let mut block = Block::Call(call);
        fit(&mut block, 2000);
        let Block::Call(call) = block else { panic!("still a call") };
        call
    }

    #[test]
    fn arguments_that_no_request_could_hold_do_not_stay() {
        let long = fitted("write", json!({ "text": "x".repeat(5_000_000) }));
        assert!(long.input["left_out"].as_str().unwrap().starts_with("5000011 bytes: {"));
        let broken = fitted("write", json!("{\"path\": \"a"));
        assert_eq!(broken.input, json!({ "left_out": r#"16 bytes: "{\"path\": \"a""# }));
        assert_eq!(fitted("write", json!({ "a": 1 })).input, json!({ "a": 1 }));
    }

    #[test]
    fn names_are_of_a_form_that_providers_take() {
        assert_eq!(fitted("run_tests", json!({})).name, "run_tests");
        assert_eq!(fitted("wr\u{456}te it", json!({})).name, "wr_te_it");
        assert_eq!(fitted("", json!({})).name, "unnamed");
        assert_eq!(fitted(&"x".repeat(9999), json!({})).name.len(), 64);
    }

    proptest! {
        #[test]
        fn a_cut_text_keeps_its_ends_and_its_limit(text in "\\PC{0,300}", cap in 0_usize..200) {
            match cut(&text, cap) {
                None => prop_assert!(text.len() <= cap + STUB.len()),
                Some(short) => {
                    prop_assert!(short.len() <= cap + STUB.len() + 2);
                    let (head, tail) = short.split_once(STUB).unwrap();
                    prop_assert!(text.starts_with(head.trim_end_matches('\n')));
                    prop_assert!(text.ends_with(&tail[1..]));
                }
            }
        }
    }
}
