//! The front door: help, lists, output for programs, issues from anywhere, exit codes.

use std::collections::BTreeSet;

use grafter::protocol::event::{Event, What};
use serde_json::{Value, json};

use crate::{
    env::{Env, process::Run},
    server::{CHECK, Server, call, finish, mend, object, solo, world},
};

/// The place where events and members are documented.
const DOCUMENTED: &str = include_str!("../../src/protocol/event.rs");

/// Commands whose name says all.
const PLAIN: [&str; 8] =
    ["doctor", "init", "journal", "models", "prompt", "prompt lint", "workflow ls", "worktree ls"];

/// Returns the names in the list of commands of a help page.
fn commands(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let list = list.take_while(|line| !line.trim().is_empty());
    // Further lines of a description are indented deeper.
    let names = list.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn help_of(env: &Env, path: &[String], seen: &mut Vec<String>) {
    let words = path.iter().map(String::as_str).chain(["--help"]);
    let help = env.grafter(words).ok().stdout;
    assert!(help.contains("Usage: grafter"), "{path:?}\n{help}");
    let (name, below) = (path.join(" "), commands(&help));
    let group = ["eval", "queue", "workflow", "worktree"].contains(&name.as_str());
    assert!(
        PLAIN.contains(&name.as_str()) || group || help.contains("Example"),
        "no example: {name}\n{help}"
    );
    seen.push(name);
    for command in below {
        help_of(env, &[path, &[command]].concat(), seen);
    }
}

#[expect(clippy::too_many_lines, reason = "a list of all commands")]
#[test]
fn every_command_has_help_with_an_example_where_one_helps() {
    let (env, mut seen) = (Env::new(), Vec::new());
    help_of(&env, &[], &mut seen);
    insta::assert_snapshot!(seen.join("\n").trim_start(), @"
    run
    batch
    queue
    queue ls
    queue show
    queue retry
    queue drop
    queue pause
    queue unpause
    eval
    eval run
    eval ls
    eval show
    eval compare
    review
    resume
    status
    logs
    report
    cost
    cancel
    ps
    send
    attach
    pause
    unpause
    why
    undo
    rescue
    workflow
    workflow ls
    workflow check
    workflow show
    prompt
    prompt show
    prompt lint
    tools
    models
    workers
    worktree
    worktree ls
    worktree clean
    worktree gc
    worktree enter
    journal
    journal verify
    journal key
    trust
    init
    check
    localize
    policy
    policy explain
    policy test
    doctor
    completions
    demo
    ");
}

#[test]
fn completions_are_of_use_to_their_shells() {
    let env = Env::new();
    for (shell, sign) in
        [("bash", "complete -F"), ("zsh", "#compdef grafter"), ("fish", "complete -c grafter")]
    {
        let script = env.grafter(["completions", shell]).ok().stdout;
        assert!(script.contains(sign) && script.contains("stream-json"), "{shell}");
    }
    let script = env.grafter(["completions", "bash"]).ok().stdout;
    env.program("bash", ["-n"]).stdin(&script).ok();
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (env, server) = (world(), Server::new([mend(), finish()]));
    let run = format!("run x -w solo --verify '{CHECK}' --model '{}'", server.model());
    let more =
        ["models", "tools --json", "completions bash", "workflow show resolve", "doctor", &run];
    env.program("mkfifo", ["../gate"]).ok();
    for command in more {
        // It is written only after the reader is gone.
        let script = format!(
            "(read _ < ../gate; {} {command} 2> ../err; echo $? > ../code) | \
             (exec 0<&-; echo go > ../gate); cat ../err >&2; exit $(cat ../code)",
            env!("CARGO_BIN_EXE_grafter")
        );
        let said = env.program("bash", ["-c", &script]).ok();
        assert!(!said.stderr.contains("panicked"), "{command}: {}", said.stderr);
    }
}

/// Returns what stands between backticks in the first column of a table below a heading.
fn documented(heading: &str) -> BTreeSet<String> {
    let section = DOCUMENTED.split_once(&format!("//! # {heading}")).expect("the heading").1;
    let section = section.split("//! # ").next().expect("the section");
    let rows = section.lines().filter_map(|line| line.strip_prefix("//! | `"));
    let names = rows.filter_map(|row| row.split(" | ").next());
    names
        .flat_map(|names| names.split(',').map(|name| name.trim().trim_matches('`').to_owned()))
        .collect()
}

/// Returns all kinds that there are, from the words of the refusal of one that is not.
fn kinds() -> BTreeSet<String> {
    let refusal = serde_json::from_value::<What>(json!({ "kind": "none" })).expect_err("unknown");
    let refusal = refusal.to_string();
    let list = refusal.split_once("expected one of ").expect("a list").1;
    list.split(", ").map(|name| name.split('`').nth(1).expect("a name").to_owned()).collect()
}

#[test]
fn the_kinds_of_events_are_stable_and_documented() {
    let kinds = kinds();
    assert_eq!(documented("Kinds of events"), kinds);
    let list: Vec<_> = kinds.into_iter().collect();
    insta::assert_snapshot!(list.join(" "), @"agent_cancelled audited batch call_judged cancel_asked candidate_conflict candidate_made checks_finished commit_intent commit_made host_asked land_intent land_missed landed message_delivered message_sent model_failed model_intent model_result node_finished node_skipped node_started nodes_added nodes_reset note part_clashed part_joined part_parked paused place_intent place_ready run_finished run_resumed run_started task_changed tool_intent tool_result tripped unpaused verdict_given worker_intent worker_news worker_result");
}

#[test]
fn a_stream_is_one_event_a_line_with_the_documented_members() {
    let (env, server) = (world(), Server::new([mend(), finish()]));
    let stdout = solo(&env, &server.model(), &["--output", "stream-json"]).ok().stdout;
    let mut kinds = Vec::new();
    for (number, line) in stdout.lines().enumerate() {
        let event: Event =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(event.seq, number as u64);
        let value: Value = serde_json::from_str(line).expect("JSON");
        let kind = value["kind"].as_str().expect("a kind").to_owned();
        let row = DOCUMENTED.lines().find(|row| row.starts_with(&format!("//! | `{kind}` |")));
        for member in value["body"].as_object().into_iter().flat_map(serde_json::Map::keys) {
            assert!(row.is_some_and(|row| row.contains(&format!("`{member}`"))), "{kind}.{member}");
        }
        kinds.push(kind);
    }
    assert_eq!(kinds.first().map(String::as_str), Some("run_started"));
    assert_eq!(kinds.last().map(String::as_str), Some("run_finished"));
    let run = serde_json::from_str::<Event>(stdout.lines().next().expect("a line"))
        .expect("an event")
        .run;
    let logs = env.grafter(["logs", run.as_str(), "--json"]).ok().stdout;
    assert_eq!(logs, stdout, "the log tells the same");
}

#[test]
fn the_object_of_a_run_has_the_documented_members() {
    let (env, server) = (world(), Server::new([mend(), finish()]));
    let end = object(solo(&env, &server.model(), &["--output", "json"]), 0);
    let members: BTreeSet<_> = end.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(members, documented("The object of `--output json`"));
}

#[test]
fn issues_come_from_a_file_and_from_standard_input() {
    let env = world();
    env.program("sh", ["-c", "echo 'value.txt must be right' > ../issue.md"]).ok();
    let told = |run: Run<'_>, server: &Server| {
        run.ok();
        let body = server.received()[0].body.clone();
        assert!(body.contains("value.txt must be right"), "{body}");
    };
    let words = |issue: &[&str], server: &Server| {
        let rest = ["--fresh", "-w", "solo", "--verify", CHECK, "--model", &server.model()];
        let words = ["run"].iter().chain(issue).chain(&rest).map(|word| (*word).to_owned());
        words.collect::<Vec<_>>()
    };
    let server = Server::new([mend(), finish()]);
    told(env.grafter(words(&["--issue-file", "../issue.md"], &server)), &server);
    let server = Server::new([mend(), finish()]);
    told(env.grafter(words(&["-"], &server)).stdin("value.txt must be right\n"), &server);
}

#[test]
fn issues_that_are_none_are_refused() {
    let env = world();
    env.program("sh", ["-c", "head -c 2000000 /dev/zero | tr '\\0' a > ../big"]).ok();
    let refused =
        |words: &[&str]| env.clean(&env.grafter(["run"].iter().chain(words)).code(2).stderr);
    insta::assert_snapshot!(refused(&[" \n"]), @r#"
    error: the issue is empty
      hint: say what is wrong: grafter run "the median of an even list is wrong"
    "#);
    insta::assert_snapshot!(refused(&["-"]), @r#"
    error: the issue is empty
      hint: say what is wrong: grafter run "the median of an even list is wrong"
    "#);
    insta::assert_snapshot!(refused(&["--issue-file", "../big"]), @"
    error: cannot read the issue ../big
      cause: the issue is longer than 1 MiB; put what is long into a file of the repository and name that in the issue
    ");
    insta::assert_snapshot!(refused(&["--issue-file", "../none"]), @"
    error: cannot read the issue ../none
      cause: No such file or directory (os error 2)
    ");
    insta::assert_snapshot!(refused(&["x", "--issue-file", "../big"]), @"
    error: the argument '[ISSUE]' cannot be used with '--issue-file <FILE>'

    Usage: grafter run <ISSUE>

    For more information, try '--help'.
    ");
    assert!(env.grafter(["status"]).ok().stdout.starts_with("no runs yet"));
}

#[test]
fn wrong_names_and_missing_keys_say_what_would_be_right() {
    let env = world();
    let refused = |model: &str, workflow: &str| {
        let words = ["run", "x", "--model", model, "-w", workflow];
        env.grafter(words).env("OPENAI_API_KEY", "k").code(2).stderr
    };
    insta::assert_snapshot!(refused("ollama/m", "resolv"), @"
    error: there is no workflow `resolv`; did you mean `resolve`? (known: coordinator, refactor, repair, resolve, review, small, solo)
      hint: `grafter workflow ls` lists them; a file is named with a slash or its ending
    ");
    insta::assert_snapshot!(refused("antropic/m", "solo"), @"
    error: there is no provider `antropic`; did you mean `anthropic`? (known: anthropic, deepseek, llamacpp, ollama, openai, openrouter, qwen, vllm)
      hint: add it under [providers.custom] in your config.toml, or name a model by its address: `chat+URL#model`
    ");
    insta::assert_snapshot!(refused("claude-opus-5", "solo"), @"
    error: `claude-opus-5` names no model: its provider is missing; did you mean `anthropic/claude-opus-5`?
      hint: write `provider/model`, `chat+URL#model`, `scripted:FILE` or `gold:PATCH`; `grafter models` lists what is known
    ");
    insta::assert_snapshot!(refused("anthropic/claude-opus-5", "solo"), @"
    error: no key for `anthropic`: ANTHROPIC_API_KEY is not set; a key is set for `openai/…`; without a key there are a server on this machine (`chat+http://127.0.0.1:8080/v1#model`) and a recorded session (`scripted:FILE`)
      hint: set the variable, or `api_key_cmd` of the provider in your config.toml
    ");
    insta::assert_snapshot!(env.grafter(["run", "x", "-w", "solo"]).code(2).stderr, @"
    error: no model is set up
      hint: give one with --model (anthropic/NAME, openai/NAME, chat+URL#NAME, …) or set `model` in the [run] table of your config.toml; `grafter models` lists what is known
    ");
    insta::assert_snapshot!(env.grafter(["resume"]).code(2).stderr, @r#"
    error: there are no runs in this repository
      hint: grafter run "what is wrong"
    "#);
}

#[test]
fn an_early_error_is_one_object_on_standard_output_for_programs() {
    let env = world();
    let members = documented("The object of an error");
    let told = |words: &[&str], code: i32| {
        for form in ["json", "stream-json"] {
            let all = [words, &["--output", form]].concat();
            let said = env.grafter(all).dir("repo").code(code);
            let object: Value = serde_json::from_str(&said.stdout)
                .unwrap_or_else(|error| panic!("{words:?}: {error}\n{}", said.text()));
            let has: BTreeSet<_> = object.as_object().expect("an object").keys().cloned().collect();
            assert_eq!(has, members);
            assert_eq!(object["exit_code"], code);
            for name in ["error", "cause", "hint"] {
                let text = object[name].as_str().unwrap_or_default();
                assert!(said.stderr.contains(text), "people read it too: {}", said.text());
            }
            assert_ne!(object["error"], "");
        }
    };
    told(&["run", "x", "--model", "ollama/m", "-w", "resolv"], 2);
    told(&["run", "x", "--model", "anthropic/claude-opus-5"], 2);
    told(&["run", "x", "-C", ".."], 2);
    told(&["run", "--issue-file", "../none"], 2);
    told(&["resume"], 2);
    let said = env.grafter(["run", "x", "--output=json", "--no-such-flag"]).code(2);
    let object: Value = serde_json::from_str(&said.stdout).expect("an object");
    assert_eq!(object["error"], "unexpected argument '--no-such-flag' found");
    assert_eq!(env.grafter(["run", "x"]).code(2).stdout, "", "others read standard error");
}

#[test]
fn what_the_agent_gives_up_is_not_resolved() {
    let give_up = call("finish", &json!({ "status": "failed", "summary": "there is no fault" }));
    let (env, server) = (world(), Server::new([give_up]));
    let end = object(solo(&env, &server.model(), &["--output", "json"]), 1);
    assert_eq!(end["message"], "not resolved: solve: there is no fault");
}

#[test]
fn a_command_needs_an_approval_or_the_sandbox() {
    let bash = || call("bash", &json!({ "command": "echo right > value.txt && pwd" }));
    let give_up = call("finish", &json!({ "status": "failed", "summary": "I need bash" }));
    let (env, server) = (world(), Server::new([bash(), give_up]));
    let end = object(solo(&env, &server.model(), &["--output", "json"]), 3);
    assert_eq!(end["message"], "refused: solve: I need bash");
    insta::assert_snapshot!(server.received()[1].told(), @"E_NO_APPROVAL: `bash` needs the user's approval and nobody is there to give it; use run_tests to run the checks and the file tools for everything else, or say in your summary that the user has to rerun with --mode bypass");

    let (env, server) = (world(), Server::new([bash(), finish()]));
    let before = env.fingerprint();
    object(solo(&env, &server.model(), &["--mode", "bypass", "--output", "json"]), 0);
    let told = server.received()[1].told();
    let checkout = env.path("").canonicalize().expect("a folder");
    assert!(told.contains(&*checkout.to_string_lossy()), "it sees the checkout's path: {told}");
    assert_eq!(env.fingerprint(), before, "and the checkout is not touched");
}
