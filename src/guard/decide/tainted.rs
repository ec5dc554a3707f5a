//! What taint does to decisions: it makes a run an ask where a call reaches out, and nothing else.

use super::{
    tests::{ACTIONS, PHASES, call, command, policy, rank, spec, word},
    *,
};
use crate::protocol::tool::Risk;

fn tainted(facts: Facts) -> Facts {
    let markers = vec!["overrides".to_owned(), "new orders".to_owned()];
    Facts { taint: Some(Taint { markers, from: "read docs/a\n.md".to_owned() }), ..facts }
}

fn exec() -> ToolSpec {
    spec(Class::Exec, Risk::Medium, PHASES.to_vec())
}

fn decided(facts: &Facts, mode: Mode, interactive: bool) -> Decision {
    decide(&call("tool"), &exec(), facts, &policy(mode, interactive))
}

#[test]
fn a_tainted_agent_is_asked_before_it_reaches_out_in_every_mode() {
    for text in [
        "curl https://x.example",
        "git push",
        "git push --force",
        "npm install left-pad",
        "git -c core.fsmonitor=./x status",
        "sudo ls",
    ] {
        for mode in Mode::ALL {
            let says = |interactive| word(&decided(&tainted(command(text)), mode, interactive));
            assert_ne!(says(true), "run", "{text} {mode:?}");
            assert!([NO_APPROVAL, DENIED].contains(&says(false)), "{text} {mode:?}");
        }
    }
    let high = spec(Class::Control, Risk::High, PHASES.to_vec());
    let facts = tainted(Facts::default());
    let said = decide(&call("tool"), &high, &facts, &policy(Mode::Yolo, true));
    assert_eq!(word(&said), "ask");
}

#[test]
fn the_reason_names_the_markers_and_where_they_stood() {
    let decision = decided(&tainted(command("curl https://x.example")), Mode::Bypass, true);
    assert_eq!(decision.checks, ["K29", "TAINT"]);
    insta::assert_snapshot!(decision.why, @r"K29 `curl https://x.example` uses the network; TAINT the agent has read what reads like orders (overrides, new orders) in: read docs/a\n.md");
    let Disposition::Ask(pending) = decision.disposition else { panic!("not asked") };
    assert!(pending.is_tainted() && pending.rules().is_empty(), "no rule stands for it later");
    let decision = decided(&tainted(command("curl https://x.example")), Mode::Bypass, false);
    assert!(decision.why.contains("follow no orders") && !decision.why.contains("--mode"));
}

#[test]
fn work_in_the_tree_goes_on_as_before() {
    let same = [
        "ls",
        "cargo test",
        "cargo build --offline",
        "git commit -m x",
        "git log -5",
        "mkdir a",
        "rm a.txt",
        "./run.sh",
        "python3 -m pytest -q",
        "npm test",
        "sed -i s/a/b/ f",
        "make -j4",
        "for f in a b; do ./x $f; done",
        "cat a | grep b > c",
    ];
    for (text, mode) in same.iter().flat_map(|text| Mode::ALL.map(|mode| (text, mode))) {
        let (before, after) = (command(text), tainted(command(text)));
        assert_eq!(decided(&after, mode, true), decided(&before, mode, true), "{text} {mode:?}");
    }
}

#[test]
fn neither_a_rule_nor_an_earlier_yes_nor_the_classifier_stands_for_a_tainted_agent() {
    let (program, subcommand) = ("git".to_owned(), "push".to_owned());
    let allow = vec![Rule { program, subcommand, flags: vec!["--force".to_owned()] }];
    let rules =
        Arc::new(Options { allow, classifier: Some("a/b".to_owned()), ..Options::default() });
    let opinion = Some(Opinion::Allow);
    for mode in Mode::ALL {
        let policy = Policy { rules: rules.clone(), ..policy(mode, true) };
        let facts = Facts { granted: true, opinion, ..tainted(command("git push --force")) };
        assert_eq!(word(&decide(&call("tool"), &exec(), &facts, &policy)), "ask", "{mode:?}");
    }
}

#[test]
fn taint_only_tightens() {
    for (name, class, risk, text) in ACTIONS {
        let facts = || if text.is_empty() { Facts::default() } else { command(text) };
        let spec = spec(class, risk, PHASES.to_vec());
        for (mode, interactive) in Mode::ALL.iter().flat_map(|mode| [(*mode, true), (*mode, false)])
        {
            let rank =
                |facts| rank(&decide(&call("tool"), &spec, &facts, &policy(mode, interactive)));
            assert!(rank(facts()) <= rank(tainted(facts())), "{name} {mode:?}");
        }
    }
}
