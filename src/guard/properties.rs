//! What holds for the gate on every text.

use proptest::prelude::*;

use crate::guard::{
    gate::{ShellFacts, Verdict, judge, judge_following},
    shell::parse::parse,
};

fn facts() -> ShellFacts {
    ShellFacts {
        root: "/repo".to_owned(),
        cwd: "/repo".to_owned(),
        home: "/home/ada".to_owned(),
        scratch: vec!["/tmp".to_owned()],
        ..ShellFacts::default()
    }
}

/// Pieces that make commands more often than chance would.
const PIECES: [&str; 65] = [
    "ls",
    "rm -rf",
    "cat",
    "cd",
    "git",
    "-c",
    "sed -n",
    "awk",
    "find . -exec",
    "xargs",
    "sh -c",
    "echo",
    "env",
    "timeout 5",
    "$(",
    ")",
    "`",
    "'",
    "\"",
    "\\",
    "\n",
    ";",
    "&&",
    "||",
    "|",
    "&",
    ">",
    "<",
    "<<E\n",
    "E\n",
    "{",
    "}",
    "(",
    "$x",
    "${x",
    "..",
    "/",
    "~",
    "*",
    "[[",
    "]]",
    "if",
    "then",
    "fi",
    "for x in",
    "do",
    "done",
    "case",
    "esac",
    "#",
    " ",
    " ",
    " ",
    "é",
    "\u{200b}",
    "a=b",
    "1",
    "((",
    "))",
    "$'\\x",
    "s/a/b/e",
    "function f",
    "() {",
    "\0",
    "\r",
];

fn command() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&PIECES), 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn every_text_is_judged(text in any::<String>()) {
        let judgement = judge(&text, &facts());
        let worst = judgement.hits.iter().map(|hit| hit.verdict).max();
        prop_assert_eq!(judgement.verdict, worst.unwrap_or(Verdict::Pass));
    }

    #[test]
    fn every_command_is_judged(text in command()) {
        let judgement = judge(&text, &facts());
        prop_assert!(judgement.verdict < Verdict::Deny || judgement.direct.is_none());
        if parse(&text).is_err() {
            prop_assert!(judgement.verdict >= Verdict::Ask && judgement.direct.is_none());
        }
    }

    #[test]
    fn another_clause_never_makes_it_milder(text in command(), other in command()) {
        let alone = judge(&text, &facts()).verdict;
        for joined in [format!("true; {text}"), format!("{text}\n{other}")] {
            // A text that does not end where it did is another text.
            if parse(&text).is_ok() {
                prop_assert!(alone <= judge(&joined, &facts()).verdict, "{:?}", joined);
            }
        }
    }
}

#[test]
fn deep_and_long_texts_end_quickly_in_deny() {
    for text in [
        "$(".repeat(8_000),
        "(".repeat(16_000),
        "\"$(".repeat(5_000),
        "`".repeat(16_000),
        "if ".repeat(5_000),
        "{ ".repeat(8_000),
        "a ".repeat(50_000),
        "x;".repeat(8_000),
        "$((".repeat(5_000),
        "${".repeat(8_000),
    ] {
        let verdict = judge(&text, &facts()).verdict;
        assert!(verdict >= Verdict::Ask, "{text:.20}");
    }
    assert_eq!(judge(&"a ".repeat(50_000), &facts()).verdict, Verdict::Deny);
    assert_eq!(judge(&"$(".repeat(8_000), &facts()).verdict, Verdict::Deny);
}

#[test]
fn the_eighteen_zsh_builtins_are_stopped() {
    for line in [
        "eval x",
        "exec x",
        "source x",
        ". x",
        "trap x EXIT",
        "builtin x",
        "enable -f x y",
        "alias x=y",
        "autoload x",
        "zmodload x",
        "emulate x",
        "zcompile x",
        "sysopen x",
        "syswrite x",
        "ztcp x",
        "zsocket x",
        "zpty x",
        "sched x",
    ] {
        assert!(judge(line, &facts()).verdict > Verdict::Pass, "{line}");
    }
}

/// A sign without a name before it once took two letters from one.
#[test]
fn an_option_of_git_without_a_name_is_judged() {
    assert_eq!(judge("git log -=x", &facts()).verdict, Verdict::Pass);
}

/// Only the first four of a chain of links were once followed.
#[test]
fn a_long_chain_of_links_hides_no_way_out() {
    let link = |path: &str| match path.strip_prefix("/repo/l")?.parse::<u32>() {
        Ok(30) => Some("/home/other".to_owned()),
        Ok(n) => Some(format!("l{}", n + 1)),
        Err(_) => None,
    };
    for end in [1, 30] {
        let judgement = judge_following(&format!("cat l{end}/x"), &mut facts(), link);
        assert_eq!(judgement.verdict, Verdict::Deny, "l{end}");
    }
    assert_eq!(judge_following("cat x", &mut facts(), link).verdict, Verdict::Pass);
}
