//! The gate of commands as a user meets it, and how often it asks where it should not.

use std::fmt::Write as _;

use grafter::guard::gate::{ShellFacts, Verdict, judge};

use crate::env::Env;

const BENIGN: &str = include_str!("data/benign.txt");

/// Most questions on a hundred ordinary commands.
const MAX_FALSE_ASKS: f64 = 2.0;

/// An agent's tree and home, as the gate is told of them.
pub(crate) fn facts() -> ShellFacts {
    ShellFacts {
        root: "/repo".to_owned(),
        cwd: "/repo".to_owned(),
        home: "/home/ada".to_owned(),
        scratch: vec!["/tmp".to_owned()],
        ..ShellFacts::default()
    }
}

#[test]
fn a_tree_in_shared_memory_is_no_device() {
    let root = "/dev/shm/repo".to_owned();
    let facts = ShellFacts { cwd: root.clone(), root, ..facts() };
    for (command, verdict) in [
        ("echo written > note.txt", Verdict::Pass),
        ("cat /dev/shm/repo/src/main.rs", Verdict::Pass),
        ("echo x > /dev/shm/other", Verdict::Deny),
        ("echo x > /dev/sda", Verdict::Deny),
        ("cat /dev/shm/repo/.env", Verdict::Deny),
    ] {
        assert_eq!(judge(command, &facts).verdict, verdict, "{command}");
    }
}

#[test]
fn ordinary_commands_pass() {
    let lines = BENIGN.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let commands: Vec<String> =
        lines.map(|line| serde_json::from_str(line).expect("a JSON string a line")).collect();
    assert!(commands.len() >= 2_000, "{} commands", commands.len());
    assert!(BENIGN.len() <= 200_000, "{} bytes", BENIGN.len());
    let mut distinct = commands.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), commands.len(), "a command stands there twice");
    let (facts, mut asked, mut report) = (facts(), 0_u32, String::new());
    for command in &commands {
        let judgement = judge(command, &facts);
        if judgement.verdict > Verdict::Pass {
            asked += 1;
            let ids: Vec<_> = judgement.hits.iter().map(|hit| (hit.id, &hit.why)).collect();
            let _ = writeln!(report, "{command:?} {ids:?}");
        }
    }
    let share = f64::from(asked) * 100.0 / f64::from(u32::try_from(commands.len()).expect("few"));
    assert!(share <= MAX_FALSE_ASKS, "{asked} of {} asked, {share:.2} %\n{report}", commands.len());
}

#[test]
fn check_says_verdict_ids_and_mode_without_running_anything() {
    let env = Env::new();
    let check = |words: &[&str]| env.grafter(["check", "--"].iter().chain(words).copied());
    insta::assert_snapshot!(check(&["git", "log", "--oneline", "-3"]).ok().stdout, @"
    pass
    direct: 1 step without a shell; risk medium, reaches file, a snapshot undoes it
    ");
    let denied = check(&["git -c core.fsmonitor=./x status; touch made"]).code(3).stdout;
    insta::assert_snapshot!(denied, @"
    deny
      DENY  K13 `git -c core.fsmonitor` may run a program
    not run; risk high, reaches tree, a snapshot undoes it
    ");
    let asked = check(&["echo $(ls"]).code(3).stdout;
    insta::assert_snapshot!(asked, @"
    ask
      ASK   K01 not understood: a parenthesis is not closed (byte 6)
    shell: bash would read it; risk medium, reaches file, a snapshot undoes it
    ");
    // Several words are one argv: nothing in them is an operator.
    check(&["echo", "a; rm -rf /", "$(id)"]).ok();
}

/// It once looked links up only once, and each shows the next.
#[test]
fn check_follows_links_of_the_tree_and_answers_in_json() {
    let env = Env::new();
    for (to, name) in [("/", "far"), ("far", "near"), ("near", "out")] {
        std::os::unix::fs::symlink(to, env.path(name)).expect("a link");
    }
    let words = ["check", "--output", "json", "--", "cat", "out/home/x"];
    let answer = env.grafter(words).code(3).stdout;
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!((&answer["verdict"], &answer["direct"]), (&"deny".into(), &().into()));
    let ids: Vec<_> = answer["hits"].as_array().expect("a list").iter().map(|h| &h["id"]).collect();
    assert!(ids.contains(&&"K32".into()), "{answer}");
}
