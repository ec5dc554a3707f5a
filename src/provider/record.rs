//! Turns a finished run's answers into a session that `scripted:` plays.

use serde::Serialize;

use crate::{
    protocol::{
        message::{Reply, ToolCall},
        task::EditFormat,
    },
    provider::scripted::{Entry, Line, LineCall, LineUsage},
};

/// Where in a run an answer was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The workflow node's id, without fan-out index.
    pub node: String,
    /// Position in the node's fan-out.
    pub index: u32,
    /// Attempt, from 1.
    pub attempt: u32,
    /// The agent's turn, from 0.
    pub turn: u32,
}

/// What the session says about itself.
#[derive(Clone, Debug)]
pub struct Title {
    /// Comment lines for its head: the model, the task.
    pub about: String,
    /// The edit format it was recorded with.
    pub edit_format: EditFormat,
}

/// Returns the session's text: one entry a line. A provider's own blocks are left out, for they
/// mean nothing to a player.
pub fn session(title: &Title, replies: &[(Spot, Reply)]) -> String {
    let mut text = String::new();
    for line in title.about.lines() {
        let line: String = line.chars().filter(|c| !c.is_control()).collect();
        text.push_str(&format!("# {line}\n"));
    }
    text.push_str(&format!("edit_format: {}\nentries:\n", title.edit_format.name()));
    for (spot, reply) in replies {
        text.push_str(&format!("- {}\n", line(&entry(spot, reply))));
    }
    text
}

fn entry(spot: &Spot, reply: &Reply) -> Entry {
    let call = |call: &ToolCall| LineCall {
        id: Some(call.id.0.clone()),
        name: call.name.clone(),
        input: call.input.clone(),
    };
    Entry {
        node: Some(spot.node.clone()),
        role: None,
        phase: None,
        index: Some(spot.index),
        // A turn is one sample.
        sample: None,
        attempt: Some(spot.attempt),
        turn: Some(spot.turn),
        reply: Line {
            text: reply.message.text(),
            calls: reply.message.calls().map(call).collect(),
            stop: Some(reply.stop),
        },
        usage: LineUsage {
            input: reply.usage.input,
            cache_write: reply.usage.cache_write,
            cache_read: reply.usage.cache_read,
            output: reply.usage.output,
        },
    }
}

/// JSON is YAML, but for characters that YAML forbids or takes for line breaks.
fn line(entry: &impl Serialize) -> String {
    let json = serde_json::to_string(entry).expect("an entry holds only JSON values");
    let mut line = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                line.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        protocol::{
            ids::{CallId, RunId},
            message::{Block, Message, Speaker, StopReason},
            task::Phase,
            usage::Usage,
        },
        provider::{
            model::{Cue, Model, silent},
            scripted::Scripted,
            testing,
        },
    };

    fn reply(text: &str) -> Reply {
        let input = serde_json::json!({ "path": text, text: [1, null, true, "no", "0777"] });
        let call = ToolCall { id: CallId::new("c1"), name: "read".to_owned(), input };
        let blocks = vec![Block::Text(text.to_owned()), Block::Call(call)];
        Reply {
            message: Message { speaker: Speaker::Assistant, blocks },
            stop: StopReason::ToolUse,
            usage: Usage { input: 5, cache_write: 0, cache_read: 7, output: 2 },
        }
    }

    fn played(text: &str) -> Reply {
        let spot = Spot { node: "fix".into(), index: 1, attempt: 2, turn: 3 };
        let about = "made by hand\nof nothing".to_owned();
        let title = Title { about, edit_format: EditFormat::WholeFunction };
        let session = session(&title, &[(spot, reply(text))]);
        let model = Scripted::parse("scripted:x", "x", &session).expect("the session reads");
        assert_eq!(model.info().edit_format, EditFormat::WholeFunction);
        let mut ask = testing::ask();
        ask.cue = Cue {
            run: RunId::new("r"),
            node: "fix".into(),
            role: "any".into(),
            phase: Phase::Implementation,
            index: 1,
            sample: 0,
            attempt: 2,
            turn: 3,
        };
        let cancel = Default::default();
        futures_util::FutureExt::now_or_never(model.ask(&ask, silent(), &cancel))
            .expect("a script answers at once")
            .expect("the entry plays")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_recorded_plays_back_unchanged(text in "\\PC+|[\\s\\S]{1,40}") {
            prop_assert_eq!(played(&text), reply(&text));
        }
    }

    #[test]
    fn awkward_text_plays_back_unchanged() {
        for text in
            ["a: [b]\n# c\n---\n", "\u{85}\u{2028}\u{feff}\u{7f}\u{0}\u{1b}[0m", "😀 'é\" \\u0041"]
        {
            assert_eq!(played(text), reply(text), "{text:?}");
        }
    }
}
