//! A run that dies at any of its records, by any death, ends as if nothing had happened.

use std::{
    collections::BTreeSet,
    iter,
    os::unix::process::ExitStatusExt,
    panic::{self, AssertUnwindSafe},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use grafter::protocol::event::What;
use rustix::process::Signal;

use crate::{env::process::Run, story::Story};

/// Runs at once; each waits most of its time for the disk or a child.
const AT_ONCE: usize = 3;
/// Records between one death of a run and its next.
const STRIDE: usize = 18;
/// How many of these tell something new, about; the others repeat how places were made.
const NEW: usize = 14;

/// Plays all cases, some of them side by side.
pub(crate) fn walk(cases: &[Vec<String>], play: impl Fn(&[String]) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let played = panic::catch_unwind(AssertUnwindSafe(|| play(case)));
                    assert!(played.is_ok(), "see above: it was {}", case.join(", then "));
                }
            });
        }
    });
}

/// Returns how many records a run writes that is left alone; no two of them tell the same.
fn records() -> usize {
    let story = Story::new();
    story.run().ok();
    story.is_whole();
    assert_eq!(progress(&story), story.events().len(), "{:#?}", story.kinds());
    story.events().len()
}

/// Returns how many records of an uninterrupted run are there; what a resume repeats counts once.
fn progress(story: &Story) -> usize {
    let events = story.events().into_iter();
    let told = events.filter(|event| !matches!(event.what, What::RunResumed { .. })).map(|event| {
        let what = serde_json::to_value(&event.what).expect("plain data");
        let names = ["attempt", "turn", "index", "path", "on", "candidate"];
        let which = names.map(|name| what["body"][name].to_string());
        (what["kind"].to_string(), event.node, event.agent, which)
    });
    told.collect::<BTreeSet<_>>().len()
}

/// Lets a process die at a point; returns whether it came that far.
pub(crate) fn dies(run: Run<'_>, point: &str) -> bool {
    let output = run.env("GRAFTER_FAILPOINT", point).start().finish();
    let aborted = output.status.signal() == Some(Signal::ABORT.as_raw());
    assert!(aborted || output.status.success(), "{}", output.text());
    aborted
}

/// Runs, dies at the first point, goes on, dies at the second, and so on; tells how far the run
/// was at each death.
fn dies_at(points: &[String], mut tell: impl FnMut(usize)) {
    let story = Story::new();
    let (first, more) = points.split_first().expect("at least one point");
    assert!(dies(story.run(), first));
    tell(progress(&story));
    story.is_untouched();
    if first == "before:0" {
        let said = story.grafter(&["resume"]).code(6).stderr;
        assert!(said.contains("was killed before it began"), "{said}");
        story.run().ok();
        return story.is_whole();
    }
    for point in more {
        if !dies(story.grafter(&["resume"]), point) {
            // The points before were so late that this one is never reached.
            return story.is_whole();
        }
        tell(progress(&story));
        if story.kinds().last().is_some_and(|kind| kind == "run_finished") {
            // It died of nothing but its last record, so it is over.
            return story.is_whole();
        }
    }
    story.grafter(&["resume"]).ok();
    story.is_whole();
}

/// Kills runs before and after each record. Many processes of one run die in turn, because that
/// needs fewer of them; a place that none of them has met gets a run of its own.
#[test]
fn a_run_that_dies_at_any_record_ends_as_if_nothing_had_happened() {
    let records = records();
    // How far a run can be when it dies: none but its last record ends it.
    let all: BTreeSet<usize> = (1..records).collect();
    for side in ["before", "after"] {
        let open = Mutex::new(all.clone());
        let tell = |far: usize| {
            open.lock().expect("no test fails with it").remove(&far);
        };
        let chain = |first: usize| {
            let more = (0..records / NEW).map(|_| STRIDE);
            iter::once(first).chain(more).map(|n| format!("{side}:{n}")).collect()
        };
        let chains: Vec<Vec<_>> = (0..NEW).map(chain).collect();
        walk(&chains, |points| dies_at(points, tell));
        let left = open.lock().expect("no test failed with it").clone();
        let exact = |far: &usize| vec![format!("{side}:{}", far - usize::from(side == "after"))];
        let single: Vec<_> = left.iter().map(exact).collect();
        walk(&single, |points| dies_at(points, tell));
        let left = open.lock().expect("no test failed with it").clone();
        assert!(left.is_empty(), "nothing died {side} {left:?}");
    }
}

/// The same walk with one death to a run. It takes minutes and meets no record that the walk above
/// does not, so CI leaves it out; run it by hand after a change to how a run is taken up again.
#[test]
#[ignore = "takes minutes: cargo test --test integration crash -- --ignored"]
fn a_run_that_dies_once_at_any_record_ends_as_if_nothing_had_happened() {
    let sides = |n: usize| ["before", "after"].map(|side| vec![format!("{side}:{n}")]);
    let mut cases: Vec<_> = (0..records()).flat_map(sides).collect();
    // After the very last one it is over.
    cases.pop();
    walk(&cases, |points| dies_at(points, |_| {}));
}

#[test]
fn a_run_that_dies_after_its_last_record_is_over() {
    let story = Story::new();
    let last = format!("after:{}", records() - 1);
    assert!(dies(story.run(), &last));
    story.is_whole();
    let said = story.grafter(&["resume"]).code(2).stderr;
    assert!(said.contains("landed on fixed"), "{said}");
    story.is_whole();
}

#[test]
fn a_run_that_is_killed_at_any_length_of_its_journal_is_resumed() {
    let records = records();
    let cases: Vec<_> = (1..records).step_by(17).map(|n| vec![n.to_string()]).collect();
    walk(&cases, |case| {
        let length: usize = case[0].parse().expect("a number");
        let story = Story::new();
        // The journal stands still, and all else goes on; else a slow test would meet a run that
        // has ended by itself.
        let run = story.run().env("GRAFTER_FAILPOINT", format!("hang:{length}"));
        let running = run.start();
        story.wait_until(|events| events.len() == length);
        running.signal(Signal::KILL);
        let output = running.finish();
        assert_eq!(output.status.signal(), Some(Signal::KILL.as_raw()), "{}", output.text());
        story.is_untouched();
        story.grafter(&["resume"]).ok();
        story.is_whole();
    });
}
