//! Walks the examples of every row: what must be stopped, by which verdict, and what must pass.

use serde::{Deserialize, de::IgnoredAny};

use crate::{
    guard::{
        checks::table::ROWS,
        gate::{ShellFacts, Verdict, judge},
    },
    settings::yaml,
};

/// The data file of each row, in the order of the table.
const FILES: [&str; 40] = [
    include_str!("K01.yaml"),
    include_str!("K02.yaml"),
    include_str!("K03.yaml"),
    include_str!("K04.yaml"),
    include_str!("K05.yaml"),
    include_str!("K06.yaml"),
    include_str!("K07.yaml"),
    include_str!("K08.yaml"),
    include_str!("K09.yaml"),
    include_str!("K10.yaml"),
    include_str!("K11.yaml"),
    include_str!("K12.yaml"),
    include_str!("K13.yaml"),
    include_str!("K14.yaml"),
    include_str!("K15.yaml"),
    include_str!("K16.yaml"),
    include_str!("K17.yaml"),
    include_str!("K18.yaml"),
    include_str!("K19.yaml"),
    include_str!("K20.yaml"),
    include_str!("K21.yaml"),
    include_str!("K22.yaml"),
    include_str!("K23.yaml"),
    include_str!("K24.yaml"),
    include_str!("K25.yaml"),
    include_str!("K26.yaml"),
    include_str!("K27.yaml"),
    include_str!("K28.yaml"),
    include_str!("K29.yaml"),
    include_str!("K30.yaml"),
    include_str!("K31.yaml"),
    include_str!("K32.yaml"),
    include_str!("K33.yaml"),
    include_str!("K34.yaml"),
    include_str!("K35.yaml"),
    include_str!("K36.yaml"),
    include_str!("K37.yaml"),
    include_str!("K38.yaml"),
    include_str!("K39.yaml"),
    include_str!("K40.yaml"),
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Examples {
    deny: Vec<String>,
    ask: Vec<String>,
    pass: Vec<String>,
    /// What running them shows is for `tests/integration/sandbox/real.rs`.
    #[serde(rename = "real")]
    _real: IgnoredAny,
    #[serde(default, rename = "rest")]
    _rest: IgnoredAny,
}

/// A tree at `/repo` with a link that leaves it and one that does not.
fn facts() -> ShellFacts {
    let link = |name: &str, to: &str| (format!("/repo/{name}"), to.to_owned());
    ShellFacts {
        root: "/repo".to_owned(),
        cwd: "/repo".to_owned(),
        home: "/home/ada".to_owned(),
        scratch: vec!["/tmp".to_owned()],
        readable: Vec::new(),
        links: [link("out", "/home/other"), link("in", "src")].into(),
    }
}

fn examples() -> Vec<(&'static str, Examples)> {
    let load = |(row, text): (&crate::guard::checks::table::Row, &&str)| {
        let name = format!("{}.yaml", row.id);
        (row.id, yaml::from_str(&name, text).expect("examples are valid YAML"))
    };
    ROWS.iter().zip(&FILES).map(load).collect()
}

/// Returns the worst that a row says about a command, and what all of them say.
fn says(id: &str, command: &str) -> (Verdict, Verdict) {
    let judgement = judge(command, &facts());
    let own = judgement.hits.iter().filter(|hit| hit.id == id).map(|hit| hit.verdict).max();
    (own.unwrap_or(Verdict::Pass), judgement.verdict)
}

#[test]
fn every_example_is_judged_as_its_row_says() {
    let mut faults = Vec::new();
    for (id, examples) in examples() {
        let stop = examples.deny.iter().map(|command| (Verdict::Deny, command));
        let stop = stop.chain(examples.ask.iter().map(|command| (Verdict::Ask, command)));
        for (expected, command) in stop {
            let (own, all) = says(id, command);
            if own != expected || all < expected {
                faults.push(format!("{id} {command:?}: {own:?}, not {expected:?}"));
            }
        }
        for command in &examples.pass {
            let judgement = judge(command, &facts());
            if judgement.verdict != Verdict::Pass {
                faults.push(format!("{id} {command:?} does not pass: {:?}", judgement.hits));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_row_has_its_examples() {
    let mut rows = 0;
    for (n, (id, examples)) in examples().into_iter().enumerate() {
        assert_eq!(id, format!("K{:02}", n + 1));
        let stop = examples.deny.len() + examples.ask.len();
        assert!(stop >= 3 && examples.pass.len() >= 3, "{id}");
        assert!(FILES[n].starts_with(&format!("# {id}: ")), "{id}");
        rows += stop + examples.pass.len();
    }
    assert!(rows >= 240, "{rows} examples");
}

#[test]
fn a_tree_among_those_that_grafter_keeps_was_all_grafters_own() {
    let kept = "/home/ada/.local/state/grafter/k/1123";
    let facts = ShellFacts {
        root: format!("{kept}/writer"),
        cwd: format!("{kept}/writer"),
        scratch: vec![format!("{kept}/home/tmp")],
        ..facts()
    };
    let says = |command: &str| judge(command, &facts).verdict;
    assert_eq!(says("cat a.txt"), Verdict::Pass);
    assert_eq!(says(&format!("cat a.txt > {kept}/home/tmp/x")), Verdict::Pass);
    assert_eq!(says("cat ../other/a.txt"), Verdict::Deny);
    assert_eq!(says("cat .git/grafter/runs"), Verdict::Deny);
    assert_eq!(says("echo x > .grafter/config.toml"), Verdict::Deny);
}
