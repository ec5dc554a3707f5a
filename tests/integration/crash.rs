//! A run that dies at any of its records, by any death, ends as if nothing had happened.

use std::{
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use rustix::process::Signal;

use crate::story::Story;

/// Runs at once; each waits most of its time for the disk or a child.
const AT_ONCE: usize = 3;

/// Names the case that a panic is about.
struct Named<'a>(&'a str);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the case was {}", self.0);
        }
    }
}

/// Plays all cases, some of them side by side.
fn walk(cases: &[Vec<String>], play: impl Fn(&[String]) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let name = case.join(", then ");
                    let _named = Named(&name);
                    play(case);
                }
            });
        }
    });
}

fn aborted(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::ABORT.as_raw())
}

/// Returns how many records a run writes that is left alone.
fn records() -> usize {
    let story = Story::new();
    story.run().ok();
    story.is_whole();
    story.events().len()
}

/// Runs, dies at each of the points in turn, and goes on after the last one.
fn dies_at(points: &[String]) {
    let story = Story::new();
    let (first, more) = points.split_first().expect("at least one point");
    let output = story.run().env("GRAFTER_FAILPOINT", first).start().finish();
    assert!(aborted(output.status), "{}", output.text());
    story.is_untouched();
    if first == "before:0" {
        let said = story.grafter(&["resume"]).code(6).stderr;
        assert!(said.contains("was killed before it began"), "{said}");
        story.run().ok();
        return story.is_whole();
    }
    for point in more {
        let output = story.grafter(&["resume"]).env("GRAFTER_FAILPOINT", point).start().finish();
        // The first point may have been so late that the second one is never reached.
        assert!(aborted(output.status) || output.status.success(), "{}", output.text());
        if output.status.success() {
            return story.is_whole();
        }
    }
    story.grafter(&["resume"]).ok();
    story.is_whole();
}

#[test]
fn a_run_that_dies_at_any_record_ends_as_if_nothing_had_happened() {
    let sides = |n: usize| ["before", "after"].map(|side| vec![format!("{side}:{n}")]);
    // The very last one is over when it dies.
    let mut cases: Vec<_> = (0..records()).flat_map(sides).collect();
    cases.pop();
    walk(&cases, dies_at);
}

#[test]
fn a_run_that_dies_after_its_last_record_is_over() {
    let story = Story::new();
    let last = format!("after:{}", records() - 1);
    let output = story.run().env("GRAFTER_FAILPOINT", last).start().finish();
    assert!(aborted(output.status), "{}", output.text());
    story.is_whole();
    let said = story.grafter(&["resume"]).code(2).stderr;
    assert!(said.contains("landed on fixed"), "{said}");
    story.is_whole();
}

#[test]
fn a_resume_that_dies_too_is_resumed() {
    let records = records();
    let seconds = ["after:0", "before:1", "before:4", "after:6", "before:9"];
    let firsts = (1..records).step_by(9);
    let cases = firsts.zip(seconds.iter().cycle());
    let cases: Vec<_> = cases
        .map(|(first, second)| {
            vec![format!("after:{first}"), (*second).to_owned(), "after:2".into()]
        })
        .collect();
    walk(&cases, dies_at);
}

#[test]
fn a_run_that_is_killed_at_any_length_of_its_journal_is_resumed() {
    let records = records();
    let cases: Vec<_> = (1..records).step_by(11).map(|n| vec![n.to_string()]).collect();
    walk(&cases, |case| {
        let length: usize = case[0].parse().expect("a number");
        let story = Story::new();
        let running = story.run().start();
        story.wait_until(|events| events.len() >= length);
        running.signal(Signal::KILL);
        let output = running.finish();
        assert_eq!(output.status.signal(), Some(Signal::KILL.as_raw()), "{}", output.text());
        story.is_untouched();
        story.grafter(&["resume"]).ok();
        story.is_whole();
    });
}
