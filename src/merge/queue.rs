//! Which prefixes of a train are checked, which one lands, and who is suspect. Pure.
//!
//! A train is a row of candidates, each built on the one before it, the first on the target's tip.
//! A green prefix lands as a whole, in one move of the target. With k check slots k spaced prefixes
//! are checked, always the longest of all; between the tip and the first red prefix they bisect. So
//! one check lands many candidates while all goes well, and one culprit costs about log n checks.

/// The most candidates in a train.
pub const LONGEST: usize = 32;
/// Below it one check lands too little.
const SHORTEST: usize = 6;

/// What is known of one prefix of a train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Nothing yet.
    Unknown,
    /// It is being checked.
    Running,
    /// It may land.
    Green,
    /// Something in it must not land.
    Red,
}

/// What is to be done with a train.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// The first so many candidates land in one move.
    Land(usize),
    /// The first candidate is red on the tip itself: it is judged once more, then lands or leaves.
    Suspect,
    /// The prefixes of these lengths are to be checked; none when there is nothing to do but wait.
    Check(Vec<usize>),
}

/// Returns what is to be done; `marks[n]` tells of the prefix of `n + 1` candidates, `free` is the
/// number of free check slots.
pub fn advise(marks: &[Mark], free: usize) -> Advice {
    if let Some(last) = marks.iter().rposition(|mark| *mark == Mark::Green) {
        return Advice::Land(last + 1);
    }
    match marks.iter().position(|mark| *mark == Mark::Red) {
        Some(0) => Advice::Suspect,
        Some(red) => Advice::Check(between(&marks[..red], free)),
        None => Advice::Check(spaced(marks, free)),
    }
}

/// Returns how long the next train may be after one has landed whole.
pub fn grown(window: usize) -> usize {
    (window * 2).min(LONGEST)
}

/// Returns how long the next train may be after a candidate was sent away.
pub fn shrunk(window: usize) -> usize {
    (window / 2).max(SHORTEST)
}

/// Returns evenly spaced prefixes with the longest of all among them.
fn spaced(marks: &[Mark], free: usize) -> Vec<usize> {
    let points = free + count_running(marks);
    pick(marks, free, (1..=points).rev().map(|nth| (marks.len() * nth).div_ceil(points.max(1))))
}

/// Returns evenly spaced prefixes that are all shorter than the first red one.
fn between(marks: &[Mark], free: usize) -> Vec<usize> {
    let points = free + count_running(marks);
    pick(marks, free, (1..=points).map(|nth| ((marks.len() + 1) * nth).div_ceil(points + 1)))
}

fn count_running(marks: &[Mark]) -> usize {
    marks.iter().filter(|mark| **mark == Mark::Running).count()
}

fn pick(marks: &[Mark], free: usize, points: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut picked = Vec::new();
    for length in points {
        let open = length > 0 && marks.get(length - 1) == Some(&Mark::Unknown);
        if open && !picked.contains(&length) && picked.len() < free {
            picked.push(length);
        }
    }
    picked
}

#[cfg(test)]
mod tests;
