//! Two runs over the same instances, and what their difference is worth. Pure.

use std::{collections::BTreeMap, fmt::Write};

use serde::Serialize;

use crate::eval::{
    files::{Outcome, Record},
    stats::{detectable, mcnemar, wilson},
};

/// Above this share of failures of the machine a run is no evidence.
const MAX_INFRA: f64 = 0.01;
/// What counts as significant.
const LEVEL: f64 = 0.05;

/// One run's figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Arm {
    /// Its name.
    pub name: String,
    /// Instances with a result.
    pub all: u32,
    /// How many are resolved.
    pub resolved: u32,
    /// The 95 % interval of their share, 0 to 1.
    pub interval: (f64, f64),
    /// How often the machine failed.
    pub infra: u32,
    /// Micro-dollars.
    pub cost: u64,
    /// Tokens in and out.
    pub tokens: u64,
    /// Seconds of work, tests left out.
    pub seconds: f64,
    /// The middle of the seconds of an instance.
    pub median: f64,
    /// How many there are of each outcome.
    pub outcomes: BTreeMap<String, u32>,
}

impl Arm {
    /// Returns whether too much of the machine failed for the figures to count.
    pub fn is_invalid(&self) -> bool {
        f64::from(self.infra) > MAX_INFRA * f64::from(self.all)
    }
}

/// Returns the figures of these results.
pub fn arm<'r>(name: &str, records: impl Iterator<Item = &'r Record>) -> Arm {
    let mut arm = Arm {
        name: name.to_owned(),
        all: 0,
        resolved: 0,
        interval: (0.0, 1.0),
        infra: 0,
        cost: 0,
        tokens: 0,
        seconds: 0.0,
        median: 0.0,
        outcomes: BTreeMap::new(),
    };
    let mut times = Vec::new();
    for record in records {
        arm.all += 1;
        arm.resolved += u32::from(record.outcome == Outcome::Resolved);
        arm.infra += u32::from(matches!(record.outcome, Outcome::Infra(_)));
        arm.cost += record.cost;
        arm.tokens += record.tokens;
        let seconds = std::time::Duration::from_millis(record.solve_ms).as_secs_f64();
        arm.seconds += seconds;
        times.push(seconds);
        *arm.outcomes.entry(record.outcome.name()).or_default() += 1;
    }
    times.sort_by(f64::total_cmp);
    arm.median = times.get(times.len() / 2).copied().unwrap_or_default();
    arm.interval = wilson(arm.resolved, arm.all);
    arm
}

/// What two runs show beside each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The two runs, over the instances that both have.
    pub arms: [Arm; 2],
    /// Instances that only one of them has; they are left out.
    pub apart: usize,
    /// Instances that only the first resolved.
    pub only_a: Vec<String>,
    /// Instances that only the second resolved.
    pub only_b: Vec<String>,
    /// The p of the exact test of McNemar.
    pub p: f64,
    /// The least difference, 0 to 1, that would be significant with as many instances that differ.
    pub detectable: f64,
}

/// Compares two runs over the instances that both have.
pub fn compare(
    (name_a, a): (&str, &BTreeMap<String, Record>),
    (name_b, b): (&str, &BTreeMap<String, Record>),
) -> Comparison {
    let both: Vec<(&Record, &Record)> =
        a.iter().filter_map(|(id, one)| Some((one, b.get(id)?))).collect();
    let is_resolved = |record: &Record| record.outcome == Outcome::Resolved;
    let only = |wanted: (bool, bool)| -> Vec<String> {
        let fit = both.iter().filter(|(a, b)| (is_resolved(a), is_resolved(b)) == wanted);
        fit.map(|(a, _)| a.id.clone()).collect()
    };
    let (only_a, only_b) = (only((true, false)), only((false, true)));
    let count = |list: &Vec<String>| u32::try_from(list.len()).unwrap_or(u32::MAX);
    let (few, many) = (count(&only_a), count(&only_b));
    let all = u32::try_from(both.len()).unwrap_or(u32::MAX);
    let discordant = f64::from(few + many) / f64::from(all.max(1));
    Comparison {
        arms: [
            arm(name_a, both.iter().map(|pair| pair.0)),
            arm(name_b, both.iter().map(|pair| pair.1)),
        ],
        apart: a.len() + b.len() - 2 * both.len(),
        p: mcnemar(few, many),
        detectable: detectable(all, discordant),
        only_a,
        only_b,
    }
}

impl Comparison {
    /// Returns the verdict in words, which never says more than the figures do.
    pub fn verdict(&self) -> String {
        let [a, b] = &self.arms;
        if a.all == 0 {
            return "the runs have no instance in common, so nothing can be compared".to_owned();
        }
        let mut text = String::new();
        for arm in self.arms.iter().filter(|arm| arm.is_invalid()) {
            let _ = write!(
                text,
                "{} is no evidence: the machine failed in {} of {} instances, more than 1 %. ",
                arm.name, arm.infra, arm.all
            );
        }
        let points = 100.0 * (f64::from(b.resolved) - f64::from(a.resolved)) / f64::from(a.all);
        let better = if points > 0.0 { &b.name } else { &a.name };
        let _ = match (self.only_a.len() + self.only_b.len(), self.p < LEVEL) {
            (0, _) => write!(text, "Both resolve the same instances: no difference."),
            (_, true) => write!(
                text,
                "{better} resolves more: {:.1} points, significant (p = {:.3}).",
                points.abs(),
                self.p
            ),
            (_, false) => write!(
                text,
                "A difference of {:.1} points is not significant (p = {:.2}): with {} instances \
                 less than {:.1} points cannot be told from chance.",
                points.abs(),
                self.p,
                a.all,
                100.0 * self.detectable
            ),
        };
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(outcomes: &[(&str, Outcome)]) -> BTreeMap<String, Record> {
        let record = |(id, outcome): &(&str, Outcome)| Record {
            id: (*id).to_owned(),
            key: String::new(),
            outcome: outcome.clone(),
            why: String::new(),
            patch: String::new(),
            mended: (0, 1),
            kept: (0, 1),
            solve_ms: 2000,
            test_ms: 10,
            tokens: 5,
            cost: 7,
            turns: 1,
            run: String::new(),
            attempts: 1,
        };
        outcomes.iter().map(|one| (one.0.to_owned(), record(one))).collect()
    }

    #[test]
    fn a_small_difference_is_called_what_it_is() {
        use Outcome::{Failed, Resolved};
        let a = records(&[
            ("1", Resolved),
            ("2", Failed),
            ("3", Failed),
            ("4", Resolved),
            ("5", Failed),
        ]);
        let b = records(&[("1", Resolved), ("2", Resolved), ("3", Resolved), ("4", Failed)]);
        let found = compare(("a", &a), ("b", &b));
        assert_eq!((found.apart, found.only_a.len(), found.only_b.len()), (1, 1, 2));
        assert_eq!(found.arms[0].median, 2.0);
        insta::assert_snapshot!(found.verdict(), @"A difference of 25.0 points is not significant (p = 1.00): with 4 instances less than 84.9 points cannot be told from chance.");
        insta::assert_snapshot!(compare(("a", &a), ("a", &a)).verdict(), @"Both resolve the same instances: no difference.");
        insta::assert_snapshot!(compare(("a", &a), ("b", &BTreeMap::new())).verdict(), @"the runs have no instance in common, so nothing can be compared");
    }

    #[test]
    fn a_large_one_is_significant_and_a_broken_machine_no_evidence() {
        let ids: Vec<String> = (0..12).map(|n| format!("i{n}")).collect();
        let all = |outcome: &Outcome| -> BTreeMap<String, Record> {
            records(&ids.iter().map(|id| (id.as_str(), outcome.clone())).collect::<Vec<_>>())
        };
        let (good, bad) = (all(&Outcome::Resolved), all(&Outcome::Infra("disk".to_owned())));
        insta::assert_snapshot!(compare(("a", &bad), ("b", &good)).verdict(), @"a is no evidence: the machine failed in 12 of 12 instances, more than 1 %. b resolves more: 100.0 points, significant (p = 0.000).");
    }
}
