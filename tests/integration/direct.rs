//! Direct mode against the real thing: what we would start is what bash makes of the same words.
//!
//! Command lines come from a grammar, half of them broken afterwards; the seed is fixed. Each one
//! that has a direct plan of a single program goes to bash behind `printf '%s\0'`, many to a process.

use std::{io::Write as _, process::Stdio};

use grafter::{
    guard::{
        gate::{ShellFacts, judge},
        shell::{direct::plan, parse::parse},
    },
    protocol::plan::{Act, Plan},
};

/// Command lines tried unless the variable names another number, and how many of them one bash reads.
const TRIES: usize = 20_000;
const TRIES_VARIABLE: &str = "GRAFTER_DIRECT_LINES";
const BATCH: usize = 1_000;

/// A small generator of numbers that is the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % most
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const PIECES: [&str; 62] = [
    "a",
    "b",
    "-x",
    "--long=",
    "=",
    "~",
    "/",
    ".",
    "..",
    "é",
    "日本",
    "'",
    "\"",
    "\\",
    "$",
    "`",
    "{",
    "}",
    ",",
    "*",
    "?",
    "[",
    "]",
    "!",
    "#",
    "%",
    "^",
    ":",
    "@",
    "+",
    "''",
    "\"\"",
    "'a b'",
    "\"a b\"",
    "\\ ",
    "\\\\",
    "\\'",
    "\\\"",
    "\"\\$\"",
    "\"\\a\"",
    "'\\'",
    "\"'\"",
    "'\"'",
    "$'a'",
    "$\"a\"",
    "$x",
    "${x}",
    "$(echo a)",
    "\\\n",
    "a=b",
    "{a,b}",
    "{}",
    "HEAD~1",
    "HEAD@{1}",
    "a#b",
    "\t",
    "~a",
    "a:~",
    "=~",
    "[a]",
    "\u{a0}",
    "1",
];
const BETWEEN: [&str; 12] = [" ", " ", " ", " ", " ", "  ", "\t", " \\\n", " # ", "", "", " "];
const MUTANTS: [&str; 14] =
    ["'", "\"", "\\", "$", "`", "(", ")", "{", "}", "\n", " ", "#", "~", "*"];

/// Returns a command line of the program `x`.
fn line(dice: &mut Dice) -> String {
    let mut line = "x".to_owned();
    for _ in 0..dice.below(6) {
        line.push(' ');
        for _ in 0..=dice.below(4) {
            line.push_str(dice.one(&PIECES));
        }
        line.push_str(dice.one(&BETWEEN));
    }
    if dice.below(2) == 0 {
        let places: Vec<usize> = line.char_indices().map(|(at, _)| at).skip(1).collect();
        if let Some(at) = places.get(dice.below(places.len().max(1))) {
            line.insert_str(*at, dice.one(&MUTANTS));
        }
    }
    line
}

/// Returns the arguments if the whole plan is one start of `x` and nothing else.
fn arguments(plan: &Plan) -> Option<Vec<String>> {
    let [step] = plan.steps.as_slice() else { return None };
    let Act::Pipeline(starts) = &step.act else { return None };
    let [start] = starts.as_slice() else { return None };
    let alone = start.env.is_empty() && start.redirects.is_empty() && start.argv[0] == "x";
    alone.then(|| start.argv[1..].to_vec())
}

/// Returns what bash makes of each line, one list of arguments a line.
fn bash(lines: &[String]) -> Vec<Vec<String>> {
    let mut child = std::process::Command::new("bash")
        .args(["--noprofile", "--norc", "-s"])
        .env_clear()
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", "/nowhere")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("bash is there");
    // Two NULs end a list, since no argument here is followed by an empty one that is not marked.
    let mut script = "x() { printf '<%s\\0' \"$@\"; printf '\\0'; }\n".to_owned();
    for line in lines {
        script.push_str(line);
        script.push('\n');
    }
    let mut input = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || input.write_all(script.as_bytes()));
    let output = child.wait_with_output().expect("bash ends");
    writer.join().expect("no panic").expect("bash reads all of it");
    let text = String::from_utf8(output.stdout).expect("text");
    let lists = text.split_terminator("\0\0");
    lists
        .map(|list| {
            list.split('\0').filter_map(|arg| arg.strip_prefix('<')).map(str::to_owned).collect()
        })
        .collect()
}

#[test]
fn direct_mode_starts_what_bash_would() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut lines, mut ours) = (Vec::new(), Vec::new());
    let tries = std::env::var(TRIES_VARIABLE)
        .map_or(TRIES, |number| number.parse().expect("a number of lines"));
    for _ in 0..tries {
        let line = line(&mut dice);
        let found = parse(&line).ok().and_then(|script| plan(&script));
        if let Some(arguments) = found.as_ref().and_then(arguments) {
            // No argument at all makes `printf` print one empty one.
            let none = arguments.is_empty();
            ours.push(if none { vec![String::new()] } else { arguments });
            lines.push(line);
        }
    }
    assert!(lines.len() > tries / 20, "only {} lines were direct", lines.len());
    for (lines, ours) in lines.chunks(BATCH).zip(ours.chunks(BATCH)) {
        let theirs = bash(lines);
        assert_eq!(theirs.len(), lines.len(), "bash saw other commands than we did");
        for ((line, ours), theirs) in lines.iter().zip(ours).zip(&theirs) {
            assert_eq!(ours, theirs, "{line:?}");
        }
    }
}

#[test]
fn a_descriptor_in_a_variable_is_no_argument() {
    assert!(parse("{fd}>a ls").is_err());
    assert!(parse("ls {fd} > a").is_ok());
}

#[test]
fn what_needs_a_shell_has_no_plan() {
    let facts = ShellFacts { root: "/r".into(), cwd: "/r".into(), ..ShellFacts::default() };
    for command in [
        "ls *",
        "ls ~",
        "echo $x",
        "echo `a`",
        "a &",
        "! a",
        "(a)",
        "cd ..",
        "export A=1",
        "A=1",
        "ls {a,b}",
        "ls {a},b}",
        "echo a=~",
        "cat <<E\na\nE",
        "a |& b",
        "time ls",
        "[[ a ]]",
        "echo a 3>b",
    ] {
        assert_eq!(judge(command, &facts).direct, None, "{command}");
    }
    for command in
        ["ls", "ls -l | wc -l && echo 'a b' || true; cat < a > b 2>&1", "A=1 ls", "cd a && ls"]
    {
        assert!(judge(command, &facts).direct.is_some(), "{command}");
    }
}
