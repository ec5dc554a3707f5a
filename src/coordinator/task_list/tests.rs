//! Tests of the shared list, by itself and against what a list must be whatever agents do.

use proptest::{
    collection::vec,
    prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest},
    sample::select,
};

use super::*;
use crate::protocol::{
    ids::{CallId, RunId},
    outcome::Outcome,
    task::{AgentKind, Phase},
};

/// A list, and the records that made it.
#[derive(Default)]
struct Desk {
    list: TaskList,
    events: Vec<Event>,
    calls: u32,
}

impl Desk {
    fn record(&mut self, agent: &AgentId, what: What) {
        let (seq, run) = (self.events.len() as u64, RunId::new("r"));
        let node = Some(agent.node());
        let event = Event { seq, at: 0, run, node, agent: Some(agent.clone()), what };
        self.list.apply(&event);
        self.events.push(event);
    }

    fn wish(&mut self, agent: &str, wish: &Wish) -> Result<String, String> {
        self.calls += 1;
        let call = CallId::new(format!("c{}", self.calls));
        let by = Sender { agent: AgentId::new(agent), call };
        if let Some(changed) = self.list.decide(&by, wish)? {
            self.record(&by.agent, What::TaskChanged(changed));
        }
        assert_eq!(self.list.decide(&by, wish), Ok(None), "the same call changes nothing");
        Ok(self.list.told(&by))
    }

    fn begin(&mut self, agent: &AgentId) {
        let attempt = agent.attempt().expect("an agent");
        let what = What::NodeStarted {
            attempt,
            phase: Phase::Research,
            role: "r".to_owned(),
            agent_kind: AgentKind::Teammate,
            feedback: None,
        };
        self.record(agent, what);
    }

    fn end(&mut self, agent: &AgentId) {
        let attempt = agent.attempt().expect("an agent");
        let outcome = Box::new(Outcome::succeeded("done"));
        self.record(agent, What::NodeFinished { attempt, outcome, reused: false });
    }
}

fn add(text: &str) -> Wish {
    Wish::Add { text: text.to_owned() }
}

fn done(id: u32, text: &str) -> Wish {
    Wish::Done { id, text: text.to_owned() }
}

#[test]
fn what_agents_are_told_of_their_tasks() {
    let mut desk = Desk::default();
    let mut said = Vec::new();
    let wishes = [
        ("a@1", Wish::List),
        ("a@1", Wish::Claim { id: None }),
        ("a@1", add("look at\nx.rs  [open]")),
        ("b@1", add("look at y.rs")),
        ("b@1", add(" ")),
        ("b@1", Wish::Claim { id: None }),
        ("a@1", Wish::Claim { id: Some(1) }),
        ("a@1", Wish::Claim { id: Some(3) }),
        ("a@1", done(1, "")),
        ("a@1", done(2, "")),
        ("a@1", Wish::Claim { id: None }),
        ("a@1", Wish::Drop { id: 2 }),
        ("a@1", Wish::Claim { id: Some(2) }),
        ("a@1", done(2, "it is\nsound")),
        ("b@1", done(1, "")),
        ("b@1", Wish::Drop { id: 2 }),
        ("b@1", Wish::List),
    ];
    for (agent, wish) in wishes {
        let told = desk.wish(agent, &wish);
        said.push(told.map_or_else(|why| format!("! {why}"), |told| told.replace('\n', "; ")));
    }
    insta::assert_snapshot!(said.join("\n"), @"
    the list is empty
    ! no task is open
    1 [open] look at x.rs [open]; open: 1
    2 [open] look at y.rs; open: 1, 2
    ! `text` is empty; a task is said in words
    1 [yours] look at x.rs [open]; open: 2
    ! b@1 works on task 1
    ! there is no task 3; the action `list` shows those that there are
    ! b@1 works on task 1, not you
    ! task 2 is not yours: claim it first
    2 [yours] look at y.rs; open: none
    2 [open] look at y.rs; open: 2
    2 [yours] look at y.rs; open: none
    2 [done by a@1] look at y.rs -> it is sound; open: none
    1 [done by b@1] look at x.rs [open]; open: none
    ! a@1 has done task 2
    1 [done by b@1] look at x.rs [open]; 2 [done by a@1] look at y.rs -> it is sound
    ");
}

#[test]
fn a_claim_ends_with_its_agent_and_not_with_another() {
    let mut desk = Desk::default();
    let agents = ["a.1@1", "a.1@2", "a.2@1"].map(AgentId::new);
    desk.wish("a.1@1", &add("one")).expect("it fits");
    let held = |desk: &Desk| desk.list.all().any(|task| task.state != TaskState::Open);
    desk.wish("a.1@1", &Wish::Claim { id: None }).expect("it is open");
    desk.begin(&agents[0]);
    desk.end(&agents[2]);
    assert!(held(&desk));
    desk.end(&agents[0]);
    assert!(!held(&desk));
    desk.wish("a.1@1", &Wish::Claim { id: None }).expect("it is open");
    desk.begin(&agents[1]);
    assert!(!held(&desk), "a later attempt knows nothing of what an earlier one began");
}

#[test]
fn the_list_has_an_end() {
    let mut desk = Desk::default();
    for n in 0..MAX_TASKS {
        desk.wish("a@1", &add(&n.to_string())).expect("it fits");
    }
    insta::assert_snapshot!(desk.wish("a@1", &add("more")).unwrap_err(), @"the list has 200 tasks: no more fit");
    let long = Desk::default().wish("a@1", &add(&"é".repeat(2_001))).unwrap_err();
    insta::assert_snapshot!(long, @"`text` has 2001 characters; a task has at most 2000");
}

/// What happens to a list.
#[derive(Clone, Debug)]
enum Act {
    Wish(Wish),
    Begin,
    End,
}

fn acts() -> impl Strategy<Value = Vec<(&'static str, Act)>> {
    let id = || 0..6u32;
    let act = prop_oneof![
        any::<bool>().prop_map(|_| Act::Wish(add("t"))),
        id().prop_map(|id| Act::Wish(Wish::Claim { id: (id > 0).then_some(id) })),
        id().prop_map(|id| Act::Wish(done(id, ""))),
        id().prop_map(|id| Act::Wish(Wish::Drop { id })),
        any::<bool>().prop_map(|begins| if begins { Act::Begin } else { Act::End }),
    ];
    vec((select(&["a@1", "a@2", "b.1@1", "b.2@1"][..]), act), 0..60)
}

proptest! {
    #[test]
    fn nobody_takes_a_task_from_another_and_none_is_lost(acts in acts()) {
        let mut desk = Desk::default();
        for (agent, act) in acts {
            let (me, before) = (AgentId::new(agent), desk.list.clone());
            match &act {
                Act::Begin => desk.begin(&me),
                Act::End => desk.end(&me),
                Act::Wish(wish) => drop(desk.wish(agent, wish)),
            }
            let ids: Vec<_> = desk.list.all().map(|task| task.id).collect();
            prop_assert_eq!(&ids, &(1..=u32::try_from(ids.len()).unwrap()).collect::<Vec<_>>());
            for (old, new) in before.all().zip(desk.list.all()) {
                let mine = |state: &TaskState| match state {
                    TaskState::Claimed { by } | TaskState::Done { by, .. } => *by == me,
                    TaskState::Open => true,
                };
                let ends = !matches!(act, Act::Wish(_)) && new.state == TaskState::Open;
                prop_assert!(old == new || (mine(&old.state) && mine(&new.state)) || ends);
                let was_done = matches!(old.state, TaskState::Done { .. });
                prop_assert!(!was_done || old == new, "what is done stays done");
            }
            let left = |task: &ListedTask| matches!(&task.state, TaskState::Claimed { by } if *by == me);
            prop_assert!(!matches!(act, Act::End) || !desk.list.all().any(left));
        }
        let mut again = TaskList::default();
        desk.events.iter().for_each(|event| again.apply(event));
        prop_assert_eq!(again, desk.list);
    }
}
