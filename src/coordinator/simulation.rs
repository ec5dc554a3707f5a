//! Runs without any effect, with all kinds of luck: how each of them ends.

pub(super) mod world;

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::{
    coordinator::{
        plan::{self, Effect},
        simulation::world::{Luck, World, branching, shipped},
        state::RunState,
    },
    graph::{
        grow::{self, Addition},
        lookup,
        ready::NodeState,
    },
    protocol::{
        asked::Asked,
        event::{Event, Kept, Level, What},
        ids::{AgentId, NodeId, Oid, RunId},
        outcome::Outcome,
        part::Parked,
        report::{CheckedTree, RunEnd},
        task::{AgentKind, EditFormat, Phase},
    },
    tools::catalogue::catalogue,
};

#[test]
fn a_writer_whose_model_answers_in_text_began_with_or_without_what_is_red_already() {
    for (model_format, begins) in [(EditFormat::Tools, true), (EditFormat::Blocks, false)] {
        let mut world = World::new("solo", Vec::new());
        world.options.model_format = model_format;
        let effects = plan::step(&world.graph, &world.options, &world.state, &world.busy);
        assert_eq!(effects.contains(&Effect::Start(NodeId::new("solve"))), begins);
    }
}

#[test]
fn with_luck_all_workflows_land() {
    for workflow in ["resolve", "solo", "small", "refactor"] {
        let mut world = World::new(workflow, Vec::new());
        assert!(matches!(world.play(0), RunEnd::Landed { .. }), "{workflow}");
    }
}

#[test]
fn a_repair_loop_is_bounded_and_gives_the_work_back() {
    let luck = vec![Luck::Good; 4].into_iter().chain(vec![Luck::Bad; 60]);
    let mut world = World::new("resolve", luck.collect());
    assert!(matches!(world.play(0), RunEnd::NotResolved(_)));
    let loops: BTreeMap<_, _> = world.state.loops.clone();
    assert!(loops.values().all(|count| *count <= 5), "{loops:?}");
}

/// Once landed without: the verdict over the new candidate was given on no report at all.
#[test]
fn after_a_missed_landing_everything_is_verified_again() {
    let mut luck = vec![Luck::Good; 2];
    luck.push(Luck::Bad);
    let mut world = World::new("solo", luck);
    assert!(matches!(world.play(0), RunEnd::Landed { .. }));
    let seen = world.events.iter().filter_map(|event| match &event.what {
        What::ChecksFinished { on: CheckedTree::Candidate, .. } => Some("checked"),
        What::CandidateMade { .. } => Some("made"),
        What::LandMissed { .. } => Some("missed"),
        What::Landed { .. } => Some("landed"),
        _ => None,
    });
    let wanted = ["made", "checked", "missed", "made", "checked", "landed"];
    assert_eq!(seen.collect::<Vec<_>>(), wanted);
}

#[test]
fn research_without_a_finding_ends_before_anything_is_written() {
    let mut world = World::new("resolve", vec![Luck::Bad; 4]);
    let RunEnd::NotResolved(why) = world.play(0) else { panic!("it must not be resolved") };
    assert!(why.contains("no finding"), "{why}");
}

#[test]
fn a_target_that_moves_for_ever_ends_the_run_as_a_conflict() {
    let mut world = World::new("resolve", Vec::new());
    world.bad = (1..=6).map(|landing| ("land", landing)).collect();
    let RunEnd::Conflict(why) = world.play(0) else { panic!("it must not land") };
    assert!(why.contains("moved 6 times"), "{why}");
}

#[test]
fn a_condition_is_looked_at_again_after_the_work_was_sent_back() {
    // What is risky is audited; either attempt may be, and the other one is not.
    for (risky, bad) in [([true, false], "audit"), ([false, true], "checks")] {
        let mut world = World::of(branching(), Vec::new());
        (world.risky, world.bad) = (risky.to_vec(), vec![(bad, 1)]);
        let end = world.play(0);
        assert!(matches!(end, RunEnd::Landed { .. }), "{bad}: {end:?}");
        assert_eq!(world.state.nodes[&NodeId::new("audit.0")].attempt, 1, "{bad}");
        let skipped = world.state.state_of(&NodeId::new("audit")) == NodeState::Skipped;
        assert_eq!(
            (skipped, world.state.reviews(&world.graph).len()),
            match bad {
                "audit" => (true, 0),
                _ => (false, 2),
            }
        );
    }
}

#[test]
fn a_helper_whose_process_died_holds_no_permit() {
    let mut world = World::new("resolve", Vec::new());
    world.options.max_agents = 1;
    let started = What::NodeStarted {
        attempt: 1,
        phase: Phase::Research,
        role: "delegate".into(),
        agent_kind: AgentKind::Teammate,
        feedback: None,
    };
    world.record(Some(&NodeId::new("research.0~1f3a9c00")), started);
    assert!(matches!(world.play(0), RunEnd::Landed { .. }));
}

/// Once all of them waited for as long as the user held the first one.
#[test]
fn a_fork_that_is_paused_before_its_first_answer_holds_up_no_other() {
    let mut world = World::new("resolve", Vec::new());
    let start = |world: &mut World, id: &str| {
        let (phase, role, agent_kind) = (Phase::Research, "researcher".into(), AgentKind::Fork);
        let what = What::NodeStarted { attempt: 1, phase, role, agent_kind, feedback: None };
        world.record(Some(&NodeId::new(id)), what);
        world.busy.units.insert(NodeId::new(id));
    };
    start(&mut world, "orient");
    let outcome = Outcome::succeeded("done");
    let done = What::NodeFinished { attempt: 1, outcome: Box::new(outcome), reused: false };
    world.record(Some(&NodeId::new("orient")), done);
    world.busy.units.clear();
    start(&mut world, "research.0");
    let begin = |told: &[(Option<&str>, What)]| {
        let mut state = world.state.clone();
        for (agent, what) in told {
            let agent = agent.map(AgentId::new);
            let (seq, at, run) = (world.events.len() as u64, 2000, RunId::new("r"));
            state.apply(&Event { seq, at, run, node: None, agent, what: what.clone() });
        }
        let effects = plan::step(&world.graph, &world.options, &state, &world.busy);
        let waits = NodeId::new("research.2");
        let of = world.graph.get("research").unwrap();
        let behind = plan::behind(&state, of, &waits).is_some();
        let is_start = |effect: &&Effect| matches!(effect, Effect::Start(_));
        (effects.iter().filter(is_start).count(), behind)
    };
    let first = Some("research.0@1");
    assert_eq!(begin(&[]), (0, true));
    assert_eq!(begin(&[(first, What::Paused)]), (2, false));
    assert_eq!(begin(&[(first, What::Paused), (first, What::Unpaused)]), (0, true));
    // They are all held alike, and go on in their order.
    assert_eq!(begin(&[(None, What::Paused)]), (0, true));
}

#[test]
fn what_ends_after_it_was_sent_back_says_nothing() {
    let mut world = World::new("solo", Vec::new());
    world.play(0);
    let (id, before) = (NodeId::new("solve"), world.state.clone());
    assert_eq!(before.state_of(&id), NodeState::Succeeded);
    let outcome = Outcome { commit: Some(Oid::new("late")), ..Outcome::succeeded("late") };
    let outcome = Box::new(outcome);
    world.record(Some(&id), What::NodeFinished { attempt: 1, outcome, reused: false });
    assert_eq!((&world.state.nodes, &world.state.commit), (&before.nodes, &before.commit));
}

#[test]
fn a_note_before_a_resume_does_not_count_the_pause_as_work() {
    let mut world = World::new("solo", Vec::new());
    let took = world.state.took_ms();
    let at = |seq: u64, at: i64, what: What| Event {
        seq,
        at,
        run: RunId::new("r"),
        node: None,
        agent: None,
        what,
    };
    let text = "the journal was torn".to_owned();
    let day = 24 * 60 * 60 * 1000;
    world.state.apply(&at(1, day, What::Note { level: Level::Warning, text }));
    world.state.apply(&at(2, day + 1, What::RunResumed { pid: 1, model: None, options: None }));
    world.state.apply(&at(3, day + 6, What::CancelAsked));
    assert_eq!(world.state.took_ms(), took + 5);
}

#[test]
fn the_clock_of_a_run_stands_while_all_its_agents_are_paused() {
    let agent = AgentId::new("a@1");
    let started = || What::NodeStarted {
        attempt: 1,
        phase: Phase::Research,
        role: "r".into(),
        agent_kind: AgentKind::Teammate,
        feedback: None,
    };
    let resumed = What::RunResumed { pid: 1, model: None, options: None };
    let record = |at: i64, node: Option<&str>, what: What| Event {
        seq: 0,
        at,
        run: RunId::new("r"),
        node: node.map(NodeId::new),
        agent: (matches!(what, What::Paused | What::Unpaused) && node.is_some())
            .then(|| agent.clone()),
        what,
    };
    let took = |records: &[Event]| RunState::fold(records).took_ms();
    let begun = record(1000, Some("a"), started());
    let one = |records: Vec<Event>| took(&[vec![begun.clone()], records].concat());
    let held =
        || vec![record(1010, Some("a"), What::Paused), record(1500, None, What::CancelAsked)];
    assert_eq!(one(held()), 10, "its only agent is paused");
    let on = || record(2000, Some("a"), What::Unpaused);
    let end = || record(2005, None, What::CancelAsked);
    assert_eq!(one([held(), vec![on(), end()]].concat()), 15);
    // A process that ends meanwhile changes nothing.
    let again = || record(9000, None, resumed.clone());
    let later = |at: i64, record: Event| Event { at, ..record };
    let resumed = [held(), vec![again(), later(9500, on()), later(9505, end())]].concat();
    assert_eq!(one(resumed), 15);
    // Somebody else is at work.
    let other = record(1005, Some("b"), started());
    assert_eq!(one([vec![other], held()].concat()), 500);
    // All are paused, whoever comes.
    let all = vec![record(1010, None, What::Paused), record(1400, Some("b"), started())];
    assert_eq!(one([all, vec![record(1500, None, What::Unpaused), end()]].concat()), 515);
}

#[test]
fn a_landing_that_ended_while_the_run_was_stopping_is_its_end() {
    let mut world = World::new("solo", Vec::new());
    world.play(0);
    let landed = world.state.end.take();
    world.busy.stop = Some(RunEnd::Interrupted);
    let effects = plan::step(&world.graph, &world.options, &world.state, &world.busy);
    assert_eq!(effects, [Effect::Finish(landed.expect("it has landed"))]);
}

/// A question is part of the run: this does not end before it is answered, well or not, and nothing
/// else comes out otherwise.
#[test]
fn no_run_ends_before_who_was_asked_has_answered() {
    for (workflow, dies_every) in
        [("resolve", 0), ("solo", 3), ("small", 0), ("refactor", 4), ("review", 3)]
    {
        let alone = World::new(workflow, Vec::new()).play(0);
        for fails in [false, true] {
            let mut world = World::new(workflow, Vec::new());
            let node = serde_json::json!({ "id": "asked", "phase": "synthesis", "role": "r",
                "tools": ["read"], "optional": true });
            let text = lookup::find(workflow, &[]).expect("it is shipped").text;
            let added = [Addition { by: None, nodes: vec![node] }];
            world.graph = grow::grown((workflow, &text), &added, catalogue()).expect("valid");
            world.bad = if fails { vec![("asked", 1)] } else { Vec::new() };
            let kept = || Kept::Inline(String::new());
            let asked = Asked { of: AgentId::new("x@1"), question: kept(), at: Oid::new("base") };
            world.record(
                None,
                What::NodesAdded {
                    ids: vec!["asked".into()],
                    nodes: kept(),
                    context: Some(kept()),
                    asked: Some(Box::new(asked)),
                },
            );
            let end = world.play(dies_every);
            assert_eq!(
                std::mem::discriminant(&end),
                std::mem::discriminant(&alone),
                "{workflow}: {end:?}"
            );
            let stands = if fails { NodeState::Failed } else { NodeState::Succeeded };
            assert_eq!(world.state.state_of(&NodeId::new("asked")), stands, "{workflow}");
        }
    }
}

/// Returns who was joined, given up or sent back, in order.
fn parts(world: &World) -> Vec<String> {
    let told = world.events.iter().filter_map(|event| {
        let id = event.node.as_ref().map(NodeId::as_str).unwrap_or_default();
        match &event.what {
            What::PartJoined { .. } => Some(format!("{id} joined")),
            What::PartParked(Parked { why }) => Some(format!("{id} parked: {why}")),
            What::NodesReset { nodes, .. } => Some(format!("{} again", nodes[0])),
            _ => None,
        }
    });
    told.collect()
}

#[test]
fn parts_are_joined_in_the_order_of_their_list_and_begin_on_what_they_build_on() {
    let mut world = World::new("refactor", Vec::new());
    assert!(matches!(world.play(0), RunEnd::Landed { .. }));
    assert_eq!(parts(&world), ["write.0 joined", "write.1 joined", "write.2 joined"]);
    let id = |n: u32| NodeId::new(format!("write.{n}"));
    let ground = |n: u32| world.state.ground(&world.graph, &id(n)).expect("it begins somewhere");
    assert_eq!((ground(0), ground(1)), (Oid::new("base"), Oid::new("base")));
    assert_eq!(ground(2), world.state.joined[0].1, "on the first part, not on the second");
}

#[test]
fn a_part_that_does_not_merge_is_done_once_more_and_then_given_up() {
    // The planner and both first writers do well; joining the first part does not, twice.
    let mut world = World::new("refactor", Vec::new());
    world.options.max_agents = 1;
    world.clash = vec![("write.0", 2), ("write.1", 1)];
    assert!(matches!(world.play(0), RunEnd::Landed { .. }));
    assert_eq!(
        parts(&world),
        [
            "write.0 again",
            "write.0 parked: does not merge, twice: conflict in a",
            "write.2 parked: it builds on write.0, which failed",
            "write.1 again",
            "write.1 joined",
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_luck_ends_and_every_record_folds(
        luck in prop::collection::vec(prop::bool::weighted(0.7), 0..40),
        dies_every in 0usize..6,
        workflow in prop::sample::select(vec!["resolve", "solo", "small", "refactor", "review", "branching"]),
        risky in prop::collection::vec(any::<bool>(), 0..4),
    ) {
        let luck = luck.into_iter().map(|good| if good { Luck::Good } else { Luck::Bad });
        let graph = if workflow == "branching" { branching() } else { shipped(workflow) };
        let mut world = World::of(graph, luck.collect());
        world.risky = risky;
        let end = world.play(if dies_every < 2 { 0 } else { dies_every + 2 });
        let known = matches!(
            end,
            RunEnd::Landed { .. }
                | RunEnd::Reported
                | RunEnd::NotResolved(_)
                | RunEnd::Conflict(_)
        );
        prop_assert!(known, "ended otherwise");
    }
}
