//! The table of modes as the user gets it, and what holds for every decision.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    guard::gate::{ShellFacts, judge},
    protocol::{ids::CallId, tool::Risk},
};

pub(super) const PHASES: [Phase; 4] =
    [Phase::Research, Phase::Synthesis, Phase::Implementation, Phase::Verification];

pub(super) fn spec(class: Class, risk: Risk, phases: Vec<Phase>) -> ToolSpec {
    ToolSpec {
        name: "tool".to_owned(),
        description: String::new(),
        class,
        risk,
        phases,
        parameters: json!({}),
        timeout_ms: 1,
        max_output: 1,
        named: false,
    }
}

pub(super) fn call(name: &str) -> ToolCall {
    ToolCall { id: CallId::new("1"), name: name.to_owned(), input: json!({}) }
}

pub(super) fn policy(mode: Mode, interactive: bool) -> Policy {
    let (rules, scope) = (Arc::default(), Vec::new());
    Policy { mode, phase: Phase::Implementation, interactive, rules, scope }
}

pub(super) fn command(text: &str) -> Facts {
    let at = |path: &str| path.to_owned();
    let shell = ShellFacts { root: at("/r"), cwd: at("/r"), home: at("/h"), ..Default::default() };
    Facts { judgement: Some(judge(text, &shell)), root: at("/r"), ..Facts::default() }
}

pub(super) fn rank(decision: &Decision) -> u8 {
    match decision.disposition {
        Disposition::Run(_) => 0,
        Disposition::Ask(_) | Disposition::Unsure(_) => 1,
        Disposition::Deny(_) => 2,
    }
}

pub(super) fn word(decision: &Decision) -> &'static str {
    match decision.disposition {
        Disposition::Deny(code) => code,
        Disposition::Run(_) => "run",
        Disposition::Ask(_) => "ask",
        Disposition::Unsure(_) => "unsure",
    }
}

/// Every action class with a command or a tool that is in it.
pub(super) const ACTIONS: [(&str, Class, Risk, &str); 13] = [
    ("read", Class::Read, Risk::Low, ""),
    ("control", Class::Control, Risk::Low, ""),
    ("checks", Class::Exec, Risk::Medium, ""),
    ("write in tree", Class::Write, Risk::Medium, ""),
    ("high without command", Class::Control, Risk::High, ""),
    ("direct: file work", Class::Exec, Risk::Medium, "mkdir a"),
    ("direct: ordinary", Class::Exec, Risk::Medium, "cargo test"),
    ("direct: another", Class::Exec, Risk::Medium, "./run.sh"),
    ("shell", Class::Exec, Risk::Medium, "for f in a; do ./x $f; done"),
    ("not understood", Class::Exec, Risk::Medium, "echo $(ls"),
    ("remote", Class::Exec, Risk::Medium, "git push --force"),
    ("denied", Class::Exec, Risk::Medium, "git -c core.fsmonitor=./x status"),
    ("floor", Class::Exec, Risk::Medium, "cat /h/.ssh/id_rsa"),
];

#[test]
fn the_golden_table_of_modes_actions_and_terminals() {
    let mut table = String::new();
    for interactive in [true, false] {
        table.push_str(if interactive { "terminal\n" } else { "unattended\n" });
        for (name, class, risk, text) in ACTIONS {
            let facts = if text.is_empty() { Facts::default() } else { command(text) };
            let spec = spec(class, risk, PHASES.to_vec());
            let words = Mode::ALL.map(|mode| {
                let decision = decide(&call("tool"), &spec, &facts, &policy(mode, interactive));
                word(&decision).trim_start_matches("E_").to_lowercase()
            });
            table.push_str(&format!("  {name}: {}\n", words.join(" ")));
        }
    }
    insta::assert_snapshot!(table, @"
    terminal
      read: run run run run run
      control: run run run run run
      checks: run run run run run
      write in tree: ask run run run run
      high without command: ask ask ask ask run
      direct: file work: ask run run run run
      direct: ordinary: ask ask run run run
      direct: another: ask ask ask run run
      shell: ask ask ask run run
      not understood: ask ask ask ask ask
      remote: ask ask ask ask run
      denied: denied denied denied denied run
      floor: denied denied denied denied denied
    unattended
      read: run run run run run
      control: run run run run run
      checks: run run run run run
      write in tree: no_approval run run run run
      high without command: no_approval no_approval no_approval no_approval run
      direct: file work: no_approval run run run run
      direct: ordinary: no_approval no_approval run run run
      direct: another: no_approval no_approval no_approval run run
      shell: no_approval no_approval no_approval run run
      not understood: no_approval no_approval no_approval no_approval no_approval
      remote: no_approval no_approval no_approval no_approval run
      denied: denied denied denied denied run
      floor: denied denied denied denied denied
    ");
}

/// What the classifier's model says moves what auto mode is not sure of, and nothing else.
#[test]
fn an_opinion_never_loosens_what_a_table_decides() {
    let spec = spec(Class::Exec, Risk::Medium, PHASES.to_vec());
    let (program, subcommand) = ("git".to_owned(), "push".to_owned());
    let allow = vec![Rule { program, subcommand, flags: vec!["--force".to_owned()] }];
    let named = Options { classifier: Some("a/b".to_owned()), ..Options::default() };
    let options = [
        ("named", named.clone()),
        ("rule", Options { allow, ..named }),
        ("none", Options::default()),
    ];
    let mut table = String::new();
    for (name, _, _, text) in ACTIONS.iter().filter(|action| !action.3.is_empty()) {
        let call = ToolCall { input: json!({ "command": text }), ..call("tool") };
        let decided = |mode, opinion, rules: &Options| {
            let policy = Policy { rules: Arc::new(rules.clone()), ..policy(mode, true) };
            word(&decide(&call, &spec, &Facts { opinion, ..command(text) }, &policy))
        };
        for (which, rules) in &options {
            let said = [None, Some(Opinion::Allow), Some(Opinion::Ask), Some(Opinion::Deny)];
            let words = said.map(|opinion| decided(Mode::Auto, opinion, rules));
            if words.iter().any(|word| *word != words[0]) {
                table.push_str(&format!("{name}, {which}: {}\n", words.join(" ")));
            }
            for mode in Mode::ALL.into_iter().filter(|mode| *mode != Mode::Auto) {
                let words = said.map(|opinion| decided(mode, opinion, rules));
                assert_eq!(words, [words[0]; 4], "{name} {mode:?}");
            }
        }
    }
    insta::assert_snapshot!(table, @"
    direct: another, named: unsure run ask E_DENIED
    direct: another, rule: unsure run ask E_DENIED
    direct: another, none: ask run ask E_DENIED
    shell, named: unsure run ask E_DENIED
    shell, rule: unsure run ask E_DENIED
    shell, none: ask run ask E_DENIED
    remote, rule: unsure run ask E_DENIED
    ");
}

#[test]
fn writing_outside_its_phase_is_denied_even_if_listed_and_whatever_the_mode() {
    let spec = spec(Class::Write, Risk::Medium, PHASES.to_vec());
    for (phase, mode) in PHASES.iter().flat_map(|phase| Mode::ALL.map(|mode| (*phase, mode))) {
        let policy = Policy { phase, ..policy(mode, true) };
        let decision = decide(&call("tool"), &spec, &Facts::default(), &policy);
        let may = phase == Phase::Implementation;
        assert_eq!(word(&decision) != "E_PHASE", may, "{phase:?} {mode:?}");
    }
}

#[test]
fn paths_are_decided_before_the_mode() {
    let spec = spec(Class::Write, Risk::Medium, PHASES.to_vec());
    for mode in Mode::ALL {
        let says = |name: &str, facts: &Facts| {
            word(&decide(&call(name), &spec, facts, &policy(mode, true)))
        };
        let outside = Facts { outside: Some("../x".to_owned()), ..Facts::default() };
        assert_eq!(says("tool", &outside), "E_OUTSIDE");
        let protected = Facts { protected: Some(".git/config".to_owned()), ..Facts::default() };
        assert_eq!(says("tool", &protected), "E_PROTECTED");
        assert_eq!(says("t", &protected), "E_UNKNOWN_TOOL");
    }
}

#[test]
fn rules_turn_ask_into_run_and_never_deny() {
    let spec = spec(Class::Exec, Risk::Medium, PHASES.to_vec());
    let rule = |program: &str, subcommand: &str, flags: &[&str]| Rule {
        program: program.to_owned(),
        subcommand: subcommand.to_owned(),
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
    };
    let options = Options {
        allow: vec![
            rule("./run.sh", "", &[]),
            rule("cargo", "install", &[]),
            rule("git", "push", &["--force"]),
            rule("cat", "", &[]),
        ],
        deny: vec![rule("cargo", "publish", &[])],
        ..Options::default()
    };
    let says = |mode, text: &str| {
        let policy = Policy { rules: Arc::new(options.clone()), ..policy(mode, true) };
        word(&decide(&call("tool"), &spec, &command(text), &policy))
    };
    for mode in [Mode::Default, Mode::AllowEdits, Mode::Auto] {
        assert_eq!(says(mode, "./run.sh a"), "run");
        assert_eq!(says(mode, "cargo install x"), "run", "a rule outweighs a check that asks");
        assert_eq!(says(mode, "git push --force"), "ask");
        assert_eq!(says(mode, "cat /h/.ssh/id_rsa"), DENIED);
    }
    for mode in Mode::ALL {
        assert_eq!(says(mode, "true; cargo publish"), DENIED);
    }
}

#[test]
fn bypass_asks_once_for_each_kind_of_what_cannot_be_taken_back() {
    let spec = spec(Class::Exec, Risk::Medium, PHASES.to_vec());
    let mut facts = command("git push --force");
    let policy = policy(Mode::Bypass, false);
    assert_eq!(word(&decide(&call("tool"), &spec, &facts, &policy)), NO_APPROVAL);
    facts.granted = true;
    assert_eq!(word(&decide(&call("tool"), &spec, &facts, &policy)), "run");
    let kinds = ["git push --force", "git push -f origin", "./run.sh"]
        .map(|text| kind("tool", &command(text)));
    assert_eq!(kinds[0], kinds[1]);
    assert_ne!(kinds[0], kinds[2]);
}

fn asked(input: serde_json::Value) -> Pending {
    let spec = spec(Class::Exec, Risk::Medium, PHASES.to_vec());
    let call = ToolCall { input, ..call("tool") };
    match decide(&call, &spec, &command("./run.sh"), &policy(Mode::Default, true)).disposition {
        Disposition::Ask(pending) => pending,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_a_yes_clears_a_pending_call() {
    let pending = asked(json!({}));
    let clear = |approval| {
        let answer = Answer { bound: pending.bound("tree"), approval };
        pending.clone().clear(&answer, "tree")
    };
    assert!(clear(Approval::Yes).is_ok_and(|call| call.plan().is_some()));
    assert!(clear(Approval::Always).is_ok());
    for no in [Approval::No, Approval::Late, Approval::Edit("true".to_owned())] {
        assert!(clear(no).is_err_and(|why| why.starts_with(NOT_APPROVED)));
    }
    let why = clear(Approval::NoTerminal).expect_err("nobody said yes");
    assert!(why.contains("run_tests") && why.contains("--mode bypass"));
}

#[test]
fn an_approval_holds_for_its_call_directory_and_tree_alone() {
    let shown = asked(json!({"command": "./run.sh", "cwd": "a"}));
    let answer = Answer { bound: shown.bound("tree 1"), approval: Approval::Yes };
    for other in [
        json!({"command": "./run.sh", "cwd": "b"}),
        json!({"command": "./run.sh x", "cwd": "a"}),
        json!({"command": "./run.sh"}),
    ] {
        let void = asked(other).clear(&answer, "tree 1");
        assert!(void.is_err_and(|why| why.contains("void")));
    }
    let swapped = shown.clone().clear(&answer, "tree 2");
    assert!(swapped.is_err_and(|why| why.contains("changed while the user was asked")));
    assert!(shown.clear(&answer, "tree 1").is_ok());
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let mode = proptest::sample::select(Mode::ALL.to_vec());
    let phase = proptest::sample::select(PHASES.to_vec());
    (mode, phase, any::<bool>())
        .prop_map(|(mode, phase, interactive)| Policy { phase, ..policy(mode, interactive) })
}

fn any_class() -> impl Strategy<Value = Class> {
    let all = vec![Class::Read, Class::Write, Class::Exec, Class::Control];
    proptest::sample::select(all)
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let texts: Vec<_> = ACTIONS.iter().map(|(.., text)| *text).collect();
    let of = |text: &str| if text.is_empty() { Facts::default() } else { command(text) };
    (
        proptest::sample::select(texts),
        proptest::option::of("[a-z]{1,3}"),
        proptest::option::of("[a-z]{1,3}"),
        any::<bool>(),
    )
        .prop_map(move |(text, outside, protected, granted)| Facts {
            outside,
            protected,
            granted,
            ..of(text)
        })
}

proptest! {
    #[test]
    fn raising_the_risk_never_makes_it_milder(
        policy in any_policy(),
        class in any_class(),
        phases in proptest::sample::subsequence(PHASES.to_vec(), 0..=4),
        facts in any_facts(),
    ) {
        let ranks = [Risk::Low, Risk::Medium, Risk::High].map(|risk| {
            let spec = spec(class, risk, phases.clone());
            rank(&decide(&call("tool"), &spec, &facts, &policy))
        });
        prop_assert!(ranks[0] <= ranks[1] && ranks[1] <= ranks[2]);
        if !phases.contains(&policy.phase) {
            prop_assert_eq!(ranks[0], 2);
        }
    }

    #[test]
    fn a_stricter_mode_lets_nothing_run_that_a_looser_one_stops(
        policy in any_policy(),
        facts in any_facts(),
        class in any_class(),
    ) {
        let spec = spec(class, Risk::Medium, PHASES.to_vec());
        let runs = Mode::ALL.map(|mode| {
            let policy = Policy { mode, ..policy.clone() };
            rank(&decide(&call("tool"), &spec, &facts, &policy)) == 0
        });
        prop_assert!(runs.is_sorted(), "{:?}", runs);
    }
}
