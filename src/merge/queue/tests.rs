//! The queue against a target of its own: whatever the marks, nothing red lands and all ends; and
//! what it costs beside a serial queue and batches of five.

use proptest::prelude::*;

use super::*;

/// A change: whether it is red, and which one it cannot stand beside.
#[derive(Clone, Debug)]
struct Change {
    red: bool,
    clashes_with: Option<usize>,
}

/// What it took, in units of one check.
#[derive(Debug, Default, PartialEq)]
struct Cost {
    wall: usize,
    runs: usize,
}

/// Returns whether a target with these changes is green.
fn green(changes: &[Change], on: &[usize]) -> bool {
    on.iter().all(|&one| {
        let other = changes[one].clashes_with.filter(|other| on.contains(other));
        !changes[one].red && other.is_none()
    })
}

/// Runs the queue with checks of equal length; returns what landed and what it took.
fn speculate(changes: &[Change], slots: usize) -> (Vec<usize>, Cost) {
    let (mut landed, mut cost, mut window) = (Vec::new(), Cost::default(), 8);
    let mut waiting: Vec<usize> = (0..changes.len()).collect();
    let mut marks: Vec<Mark> = Vec::new();
    while !waiting.is_empty() {
        marks.resize(waiting.len().min(window).max(marks.len()), Mark::Unknown);
        match advise(&marks, slots) {
            Advice::Land(count) => {
                if count == marks.len() {
                    window = grown(window);
                }
                landed.extend(waiting.drain(..count));
                marks.drain(..count);
                assert!(green(changes, &landed), "red after a landing: {landed:?}");
            }
            Advice::Suspect => {
                // Judged once more on itself, and its failing checks on the tip.
                (cost.runs, cost.wall) = (cost.runs + 2, cost.wall + 1);
                waiting.remove(0);
                marks.clear();
                window = shrunk(window);
            }
            Advice::Check(lengths) => {
                assert!(!lengths.is_empty() && lengths.len() <= slots, "{marks:?}");
                (cost.runs, cost.wall) = (cost.runs + lengths.len(), cost.wall + 1);
                for length in lengths {
                    let on: Vec<_> = landed.iter().chain(&waiting[..length]).copied().collect();
                    marks[length - 1] = if green(changes, &on) { Mark::Green } else { Mark::Red };
                }
            }
        }
    }
    (landed, cost)
}

/// Batches of five on one slot; a red one is halved until the culprit is alone.
fn batches(changes: &[Change]) -> Cost {
    fn batch(changes: &[Change], on: &mut Vec<usize>, row: &[usize], runs: &mut usize) {
        *runs += 1;
        let both: Vec<_> = on.iter().chain(row).copied().collect();
        match (green(changes, &both), row.len()) {
            (true, _) => *on = both,
            // Once more, because it may be a flake.
            (false, 1) => *runs += 1,
            (false, len) => {
                batch(changes, on, &row[..len / 2], runs);
                batch(changes, on, &row[len / 2..], runs);
            }
        }
    }
    let (all, mut runs): (Vec<_>, _) = ((0..changes.len()).collect(), 0);
    let mut on = Vec::new();
    all.chunks(5).for_each(|row| batch(changes, &mut on, row, &mut runs));
    Cost { wall: runs, runs }
}

fn serial(changes: &[Change]) -> Cost {
    let runs = changes.iter().map(|change| 1 + usize::from(change.red)).sum();
    Cost { wall: runs, runs }
}

fn backlog(count: usize) -> impl Strategy<Value = Vec<Change>> {
    let change = (0u32..100, 0u32..100, any::<prop::sample::Index>());
    prop::collection::vec(change, 0..count).prop_map(|drawn| {
        let one = |(at, (red, clash, other)): (usize, &(u32, u32, prop::sample::Index))| Change {
            red: *red < 15,
            clashes_with: (at > 0 && *clash < 10).then(|| other.index(at.max(1))),
        };
        drawn.iter().enumerate().map(one).collect()
    })
}

proptest! {
    #[test]
    fn nothing_red_lands_and_nothing_good_is_sent_away(
        changes in backlog(60), slots in 1usize..5,
    ) {
        let (landed, _) = speculate(&changes, slots);
        prop_assert!(green(&changes, &landed));
        // Whoever did not land is red, or cannot stand beside one that landed before it.
        for (at, change) in changes.iter().enumerate().filter(|(at, _)| !landed.contains(at)) {
            let beside = change.clashes_with.is_some_and(|other| landed.contains(&other));
            prop_assert!(change.red || beside, "{at} is innocent: {changes:?}");
        }
        prop_assert!(landed.is_sorted());
    }

    #[test]
    fn advice_is_always_within_the_train(
        marks in prop::collection::vec(0u8..4, 0..40), free in 0usize..6,
    ) {
        let all = [Mark::Unknown, Mark::Running, Mark::Green, Mark::Red];
        let marks: Vec<_> = marks.into_iter().map(|nth| all[usize::from(nth)]).collect();
        match advise(&marks, free) {
            Advice::Land(count) => prop_assert_eq!(marks[count - 1], Mark::Green),
            Advice::Suspect => prop_assert_eq!(marks[0], Mark::Red),
            Advice::Check(lengths) => {
                prop_assert!(lengths.len() <= free);
                let open = marks.contains(&Mark::Unknown);
                let red = marks.iter().position(|mark| *mark == Mark::Red);
                for length in &lengths {
                    prop_assert_eq!(marks[length - 1], Mark::Unknown);
                    prop_assert!(red.is_none_or(|red| *length <= red));
                }
                // With nothing running it never waits in vain.
                let idle = !marks.contains(&Mark::Running);
                prop_assert!(!(idle && open && free > 0 && lengths.is_empty()));
            }
        }
    }
}

/// Fifty branches, of which five do not merge and five are red: means over many orders.
#[test]
fn it_costs_less_than_a_serial_queue() {
    let mut seed = 7u64;
    let mut draw = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let rounds = 400;
    let (mut ours, mut fives, mut alone) = (Cost::default(), Cost::default(), Cost::default());
    for _ in 0..rounds {
        let mut changes = vec![Change { red: false, clashes_with: None }; 45];
        for _ in 0..5 {
            changes[draw(45)].red = true;
        }
        for (sum, cost) in [
            (&mut ours, speculate(&changes, 2).1),
            (&mut fives, batches(&changes)),
            (&mut alone, serial(&changes)),
        ] {
            (sum.wall, sum.runs) = (sum.wall + cost.wall, sum.runs + cost.runs);
        }
    }
    assert!(ours.wall * 100 <= alone.wall * 65, "{ours:?} against {alone:?}");
    assert!(ours.runs * 100 <= fives.runs * 120, "{ours:?} against {fives:?}");
}
