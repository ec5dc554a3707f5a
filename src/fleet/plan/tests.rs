//! Which task begins, and why another one does not.

use super::*;
use crate::protocol::{
    batch::{BatchStarted, BatchTask, Made, Step, Style, Trouble},
    event::{Event, Kept, What},
    ids::{Oid, RunId, TaskId},
    report::{DiffStat, RunEnd},
    usage::Usage,
};

fn batch(tasks: &[(&str, &[&str])], max_cost: Option<u64>) -> BatchState {
    let kept = || Kept::Inline(String::new());
    let started = BatchStarted {
        tasks: kept(),
        settings: kept(),
        target: "main".to_owned(),
        tip: Oid::new("0"),
        checks: Vec::new(),
        check_timeout_ms: 1,
        workers: 4,
        slots: 2,
        found: false,
        style: Style::Squash,
        message: None,
        lockfiles: BTreeMap::new(),
        protected: Vec::new(),
        max_cost: max_cost.map(Micros),
        task_cost: Some(Micros(10)),
        retries: 1,
        retry_on: Trouble::USUAL.to_vec(),
    };
    let one = |(id, needs): &(&str, &[&str])| BatchTask {
        id: (*id).to_owned(),
        title: "x".to_owned(),
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        ..BatchTask::default()
    };
    BatchState::new(started, tasks.iter().map(one).collect(), 0)
}

fn tell(state: &mut BatchState, step: Step) {
    let what = What::Batch(Box::new(step));
    state.apply(&Event { seq: 1, at: 1, run: RunId::new("b"), node: None, agent: None, what });
}

fn begin(state: &mut BatchState, task: &str) {
    let (task, run, base) = (TaskId::new(task), RunId::new(task), Oid::new("0"));
    tell(state, Step::TaskStarted { task, run, base, cap: Some(Micros(10)) });
}

fn end(state: &mut BatchState, task: &str, (end, cost): (RunEnd, u64)) {
    let (task, run, usage) = (TaskId::new(task), RunId::new(task), Usage::default());
    let cost = Micros(cost);
    tell(state, Step::TaskEnded { task, run, end, made: None, usage, cost, took_ms: 1 });
}

fn holds(state: &BatchState, foreseen: &[BTreeSet<String>]) -> Vec<String> {
    let plan = Plan::of(state, foreseen);
    let words = |at| plan.hold(at).map_or("begins".to_owned(), |hold| hold.words());
    plan.waiting().map(|at| format!("{}: {}", state.tasks[at].task.id, words(at))).collect()
}

#[test]
fn needs_are_waited_for_and_what_needs_a_failure_is_lost() {
    let mut state = batch(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &["a"])], None);
    assert_eq!(
        holds(&state, &[]),
        ["a: begins", "b: waits for a", "c: waits for b", "d: waits for a"]
    );
    begin(&mut state, "a");
    tell(
        &mut state,
        Step::Landed { tasks: vec![(TaskId::new("a"), Oid::new("1"))], to: Oid::new("1") },
    );
    begin(&mut state, "b");
    end(&mut state, "b", (RunEnd::NotResolved("no".to_owned()), 1));
    assert_eq!(holds(&state, &[]), ["c: needs b, which did not land", "d: begins"]);
    assert_eq!(Plan::of(&state, &[]).next().map(|next| next.task), Some(3));
}

#[test]
fn tasks_that_would_collide_are_not_worked_at_once() {
    let mut state = batch(&[("a", &[]), ("b", &[]), ("c", &[])], None);
    let files = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let foreseen = [files(&["x", "y"]), files(&["y"]), files(&[])];
    begin(&mut state, "a");
    assert_eq!(holds(&state, &foreseen), ["b: a is expected to change y as well", "c: begins"]);
    end(&mut state, "a", (RunEnd::NotResolved("no".to_owned()), 1));
    assert_eq!(holds(&state, &foreseen), ["b: begins", "c: begins"]);
}

#[test]
fn money_is_reserved_before_it_is_spent() {
    let mut state = batch(&[("a", &[]), ("b", &[]), ("c", &[]), ("d", &[])], Some(25));
    begin(&mut state, "a");
    begin(&mut state, "b");
    assert_eq!(holds(&state, &[])[0], "c: waits for money that others have reserved");
    end(&mut state, "a", (RunEnd::NotResolved("no".to_owned()), 4));
    assert_eq!(holds(&state, &[])[0], "c: begins");
    end(&mut state, "b", (RunEnd::NotResolved("no".to_owned()), 10));
    begin(&mut state, "c");
    end(&mut state, "c", (RunEnd::NotResolved("no".to_owned()), 8));
    // Nobody can give any back: it begins with what is left.
    assert_eq!(Plan::of(&state, &[]).next().expect("d").cap, Some(Micros(3)));
    begin(&mut state, "d");
    end(&mut state, "d", (RunEnd::Infrastructure("gone".to_owned()), 3));
    assert_eq!(holds(&state, &[]), ["d: the budget of the batch is spent"]);
    assert!(Plan::of(&state, &[]).hold(3).expect("a reason").is_final());
}

#[test]
fn what_was_made_counts_instead_of_what_was_foreseen() {
    let mut state = batch(&[("a", &[]), ("b", &[]), ("c", &[])], None);
    let files = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let foreseen: [BTreeSet<String>; 3] = [files(&["x"]), files(&["x"]), files(&["y"])];
    let stat = DiffStat { files: vec![("y".to_owned(), 1, 0)] };
    let (commit, base, branch) = (Oid::new("1"), Oid::new("0"), "a".to_owned());
    let made = Box::new(Made { commit, base, branch, stat, checked: Vec::new() });
    begin(&mut state, "a");
    insta::assert_debug_snapshot!(holds(&state, &foreseen), @r#"
    [
        "b: a is expected to change x as well",
        "c: begins",
    ]
    "#);
    tell(&mut state, Step::Offered { task: TaskId::new("a"), made });
    insta::assert_debug_snapshot!(holds(&state, &foreseen), @r#"
    [
        "b: begins",
        "c: a is expected to change y as well",
    ]
    "#);
}
