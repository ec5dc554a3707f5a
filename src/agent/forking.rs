//! Tests of forks: whatever the conversation, a fork's requests begin with its parent's last one, in
//! each dialect; what it may not do is refused and not taken away.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    agent::{
        actor::{calls, done, says},
        context::Context,
        play::{Played, Stage},
        prefix::Prefix,
    },
    protocol::{
        ids::{CallId, RunId},
        message::{Block, CacheScope, Message, Segment, Speaker, ToolCall, ToolResult},
        outcome::Failure,
        task::{EditFormat, Phase},
        tool::ToolSpec,
    },
    provider::{
        model::{Ask, Cue, ErrorKind, ModelError},
        wire::{Protocol, Target},
    },
    tools::catalogue::catalogue,
};

const DIALECTS: [Protocol; 3] = [Protocol::Anthropic, Protocol::Chat, Protocol::Responses];

/// Returns the blocks of a request in the order in which a provider's cache sees them, without cache
/// marks: tools, system prompt, messages.
fn blocks(protocol: Protocol, ask: &Ask) -> Vec<String> {
    let mut body = protocol.render(ask, &Target { model: "m".into(), quirks: Vec::new() });
    unmark(&mut body);
    let mut blocks = Vec::new();
    for key in ["tools", "instructions", "system", "messages", "input"] {
        let part = body[key].take();
        let items = match part {
            Value::Array(items) => items,
            Value::Null => Vec::new(),
            one => vec![one],
        };
        for item in items {
            match item["content"].as_array() {
                Some(inner) => {
                    blocks.extend(inner.iter().map(|it| format!("{} {it}", item["role"])));
                }
                None => blocks.push(item.to_string()),
            }
        }
    }
    blocks
}

fn unmark(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("cache_control");
            map.values_mut().for_each(unmark);
        }
        Value::Array(items) => items.iter_mut().for_each(unmark),
        _ => {}
    }
}

fn ask(context: &Context, system: &[Segment], tools: &Arc<Vec<ToolSpec>>) -> Ask {
    Ask {
        system: system.to_vec(),
        tools: tools.clone(),
        messages: context.messages(),
        max_tokens: 100,
        temperature: None,
        require_tool: false,
        inherited: context.inherited(),
        cue: Cue {
            run: RunId::new("r"),
            node: "n".into(),
            role: "r".into(),
            phase: Phase::Research,
            index: 0,
            sample: 0,
            attempt: 1,
            turn: 0,
        },
    }
}

/// What one random turn says and shows: numbers, for arguments may hold any, and texts.
type Drawn = (Vec<(f64, String)>, String);

fn push(context: &mut Context, number: u32, (drawn, text): &Drawn) -> Message {
    let id = |index: usize| CallId::new(format!("c{number}_{index}"));
    let call = |(index, (number, path)): (usize, &(f64, String))| {
        let input = json!({ "path": path, "n": number });
        Block::Call(ToolCall { id: id(index), name: "read".into(), input })
    };
    let mut said: Vec<Block> = vec![Block::Text(format!("I look. {text}"))];
    said.extend(drawn.iter().enumerate().map(call));
    let result = |(index, (_, path)): (usize, &(f64, String))| {
        let content = format!("{path} {text}").repeat(8);
        Block::Result(ToolResult { id: id(index), content, is_error: index == 1 })
    };
    let mut answered: Vec<Block> = drawn.iter().enumerate().map(result).collect();
    if answered.is_empty() {
        answered.push(Block::Text("go on".into()));
    }
    let said = Message { speaker: Speaker::Assistant, blocks: said };
    context.push(number, said.clone(), Message { speaker: Speaker::User, blocks: answered });
    said
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let number = any::<f64>().prop_filter("JSON has no other numbers", |n| n.is_finite());
    (prop::collection::vec((number, "\\PC{0,40}"), 0..4), "\\PC{0,60}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_forks_requests_begin_with_its_parents_last(
        before in prop::collection::vec(drawn(), 0..8),
        last in drawn(),
        own in prop::collection::vec(drawn(), 0..6),
        window in 100_u64..8_000,
    ) {
        let part = |id: &str, cache| Segment { id: id.into(), cache, text: format!("The {id}.") };
        let system = vec![part("a", CacheScope::Static), part("b", CacheScope::Session)];
        let tools = Arc::new(catalogue().0[..3].to_vec());
        let mut parent = Context::new("the task", 10, window);
        for (number, turn) in (0..).zip(&before) {
            push(&mut parent, number, turn);
            parent.make_room();
        }
        let request = ask(&parent, &system, &tools);
        let messages = parent.messages();
        let said = Arc::new(push(&mut parent, 99, &last));
        let kept = Prefix { system, tools, messages, said, taint: None };
        let json = serde_json::to_string(&kept).unwrap();
        let prefix: Arc<Prefix> = Arc::new(serde_json::from_str(&json).unwrap());
        let mut requests = Vec::new();
        for orders in ["one", "two"] {
            let opening = prefix.opening("not shown", orders);
            let mut fork = Context::forked(prefix.clone(), opening, 10, window * 2);
            let first = ask(&fork, &prefix.system, &prefix.tools);
            for (number, turn) in (0..).zip(&own) {
                push(&mut fork, number, turn);
                fork.make_room();
            }
            fork.overflowed();
            requests.push((first, ask(&fork, &prefix.system, &prefix.tools)));
        }
        for protocol in DIALECTS {
            let whole = blocks(protocol, &request);
            for (first, late) in &requests {
                prop_assert!(blocks(protocol, first).starts_with(&whole), "{protocol:?}");
                prop_assert!(blocks(protocol, late).starts_with(&whole), "{protocol:?}");
            }
            let [one, two] = [0, 1].map(|n| blocks(protocol, &requests[n].0));
            let differ = one.iter().zip(&two).position(|(a, b)| a != b);
            prop_assert_eq!(differ, Some(one.len() - 1), "siblings differ in their orders only");
        }
        let marks = |ask: &Ask| {
            let target = Target { model: "m".into(), quirks: Vec::new() };
            Protocol::Anthropic.render(ask, &target).to_string().matches("cache_control").count()
        };
        prop_assert_eq!(marks(&request), 4);
        prop_assert!(requests.iter().all(|(first, late)| marks(first) == 4 && marks(late) <= 4));
    }
}

fn parent() -> (Stage, Played) {
    let report = json!({ "claim": "one is wrong",
        "evidence": [{ "path": "a.txt", "from": 1, "to": 1 }] });
    let stage = Stage::new(Phase::Research, &[("a.txt", "one\n"), ("b.txt", "two\n")])
        .turn(calls(&[("read", json!({ "path": "a.txt" }))]))
        .turn(calls(&[("report_finding", report)]))
        .turn(calls(&[("finish", done())]));
    let played = stage.play();
    (stage, played)
}

fn fork(mut stage: Stage, parent: &Played) -> Stage {
    stage.assignment.fork = Some(Arc::new(stage.context(parent)));
    stage.assignment.tools = vec!["report_finding".into(), "finish".into()];
    stage.assignment.opening = "look at b.txt".into();
    let report = json!({ "claim": "two is right",
        "evidence": [{ "path": "b.txt", "from": 1, "to": 1 }] });
    stage.script.clear();
    stage
        .turn(calls(&[("read", json!({ "path": "b.txt" }))]))
        .turn(calls(&[("report_finding", report)]))
        .turn(calls(&[("finish", done())]))
}

#[test]
fn a_fork_is_offered_what_its_parent_was_and_refused_what_it_may_not_use() {
    let (stage, parent) = parent();
    let played = fork(stage, &parent).play();
    let (last, first) = (parent.asks.last().unwrap(), &played.asks[0]);
    assert_eq!((&last.system, &last.tools), (&first.system, &first.tools));
    for protocol in DIALECTS {
        assert!(blocks(protocol, first).starts_with(&blocks(protocol, last)));
    }
    let own = &first.messages[first.messages.len() - 1].blocks;
    let placeholder = ToolResult {
        id: CallId::new("grafter_2_0"),
        content: "[not shown: here you were forked]".into(),
        is_error: false,
    };
    assert_eq!(own, &[Block::Result(placeholder), Block::Text("look at b.txt".into())]);
    let shown = played.shown();
    assert!(shown.iter().any(|text| text.starts_with("E_NOT_ALLOWED: `read`")), "{shown:?}");
    assert_eq!(played.outcome.failure, None, "{}", played.outcome.summary);
    assert_eq!(played.outcome.findings.len(), 1, "its parent's are not its own");
}

/// Returns the bytes of the last request of an agent, and how many of them who is asked about its
/// work sends again before anything of its own, in each dialect.
fn taken_over(stage: Stage, parent: &Played) -> Vec<(usize, usize)> {
    let woken = fork(stage, parent).play();
    let (last, first) = (parent.asks.last().unwrap(), &woken.asks[0]);
    let taken = DIALECTS.map(|protocol| {
        let (last, first) = (blocks(protocol, last), blocks(protocol, first));
        let same = last.iter().zip(&first).take_while(|(a, b)| a == b);
        (last.iter().map(String::len).sum(), same.map(|(block, _)| block.len()).sum())
    });
    taken.to_vec()
}

#[test]
fn whoever_goes_on_from_a_conversation_sends_all_of_its_last_request_again() {
    let read = |path: &str| calls(&[("read", json!({ "path": path }))]);
    let gives_up = ("finish", json!({ "status": "failed", "summary": "it is not there" }));
    let long = "a line of text\n".repeat(200);
    let stage = |phase| Stage::new(phase, &[("a.txt", &*long), ("b.txt", "two\n")]);
    let research = || stage(Phase::Research).turn(read("a.txt")).turn(read("b.txt"));
    let (mut idle, mut writer) = (research(), stage(Phase::Implementation));
    idle.assignment.limits.max_turns = 1;
    writer.assignment.edit_format = EditFormat::WholeFile;
    let writer = writer.turn(says("b.txt\n```\ntwo and more\n```\n"));
    // One that has done its work, one that gave up, one whose turns were used up, one that wrote
    // its answer as text.
    for stage in [parent().0, research().turn(calls(&[gives_up])), idle, writer] {
        let played = stage.play();
        for (all, taken) in taken_over(stage, &played) {
            assert!(all > 0 && taken == all, "{taken} of {all}: {}", played.outcome.summary);
        }
    }
}

#[test]
fn a_conversation_without_an_answer_is_not_kept() {
    let mut stage = Stage::new(Phase::Research, &[("a.txt", "one\n")]);
    stage.grants = 0;
    assert_eq!(stage.play().outcome.context, None);
}

#[test]
fn a_fork_without_room_for_its_orders_fails_alone() {
    let (stage, parent) = parent();
    let mut stage = fork(stage, &parent);
    let overflow = ErrorKind::ContextOverflow { used: None, window: None };
    let too_long = || Err(ModelError::new(overflow.clone(), "too long"));
    stage.script = vec![vec![too_long(), too_long()]];
    assert_eq!(stage.play().outcome.failure, Some(Failure::NotResolved));
}

#[test]
fn a_fork_that_is_resumed_keeps_its_prefix() {
    let (stage, parent) = parent();
    let stage = fork(stage, &parent);
    let whole = stage.play();
    for end in 0..whole.events.len() {
        let again = stage.resume(&whole.events[..end], &BTreeMap::new());
        assert_eq!(again.outcome, whole.outcome, "resumed after {end} records");
        let asked = whole.asks.len() - again.asks.len();
        for (then, now) in whole.asks[asked..].iter().zip(&again.asks) {
            assert_eq!(blocks(Protocol::Anthropic, then), blocks(Protocol::Anthropic, now));
        }
    }
}
