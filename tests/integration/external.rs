//! Workers that are somebody else's agent, played by scripts: what they may do, what becomes of it.

use std::{collections::BTreeMap, fs};

use grafter::{
    journal::{read, runs::RunDir},
    protocol::{
        event::{Event, What},
        usage::Micros,
    },
};
use rustix::process::Signal;
use serde_json::json;

use crate::{
    env::{Env, Run},
    server::saying,
    solo::{GATE, at_gate, newest, open_gate, report},
};

/// Returns a world with one file and a worker `fake` that runs this script; it finds the task's
/// file as its first argument.
fn world(script: &str, more: &str) -> Env {
    let command = format!("command = ['sh', '-c', '''{script}''', 'fake', '{{prompt_file}}']");
    bare(&format!("[workers.fake]\n{command}\n{more}\n"))
}

pub(crate) fn bare(config: &str) -> Env {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.commit("start");
    configure(&env, config);
    env
}

fn configure(env: &Env, config: &str) {
    fs::create_dir_all(env.root().join("config/grafter")).expect("a folder");
    fs::write(env.root().join("config/grafter/config.toml"), config).expect("a file");
}

/// Returns a run of `solo.yaml` by the worker, without any model.
pub(crate) fn run<'a>(env: &'a Env, check: &str, more: &[&str]) -> Run<'a> {
    let args = ["run", "do it", "--workflow", "solo", "--worker", "fake", "--verify", check];
    env.grafter(args.iter().chain(&["--into", "fixed"]).chain(more))
}

pub(crate) fn events(env: &Env) -> Vec<Event> {
    let latest = RunDir::list(&env.path(".git/grafter")).expect("runs").swap_remove(0);
    read::read(&latest.path).expect("a sound journal")
}

/// Returns how often the worker was called, and how often it ended.
pub(crate) fn calls(env: &Env) -> (usize, usize) {
    let events = events(env);
    let count = |is: fn(&What) -> bool| events.iter().filter(|event| is(&event.what)).count();
    (
        count(|what| matches!(what, What::WorkerIntent(_))),
        count(|what| matches!(what, What::WorkerResult(_))),
    )
}

/// Expects that the run fails for this reason, and that what the worker left can be rescued.
#[track_caller]
pub(crate) fn fails(env: &Env, why: &str) {
    let before = env.fingerprint();
    let output = run(env, "true", &[]).code(1);
    assert!(output.text().contains(why), "{}", output.text());
    env.grafter(["rescue"]).ok();
    let rescued = format!("grafter/{}/rescued", newest(env));
    assert_eq!(env.git(["show", &format!("{rescued}:half.txt")]), "half");
    assert_eq!(env.git(["rev-parse", "main"]), env.git(["rev-parse", "HEAD"]));
    assert_eq!(env.fingerprint(), before);
}

#[test]
fn what_a_worker_leaves_in_its_tree_lands_with_its_name_and_its_cost() {
    let result = json!({
        "type": "result", "subtype": "success", "is_error": false, "result": "All done.",
        "total_cost_usd": 0.25, "usage": { "input_tokens": 100, "output_tokens": 7 },
    });
    let printed = result.to_string().replace('"', "\\\"");
    let script = format!(
        "grep -q \"do it\" \"$1\" && test \"$PASSED\" = yes && test -z \"$KEPT_BACK\" && \
         echo two > a.txt && mkdir __pycache__ && echo x > __pycache__/a.pyc && \
         echo noise >&2 && printf \"%s\\n\" \"{printed}\""
    );
    let env = world(&script, "preset = \"claude\"\nenv = [\"PASSED\"]\n");
    let before = env.fingerprint();
    let run = run(&env, "grep -q two a.txt", &["--output", "json"]);
    let output = run.env("PASSED", "yes").env("KEPT_BACK", "yes").ok();
    assert_eq!(env.git(["show", "fixed:a.txt"]), "two");
    assert_eq!(env.git(["ls-tree", "-r", "--name-only", "fixed"]), "a.txt");
    let message = env.git(["log", "-1", "--format=%B", "fixed"]);
    assert!(message.lines().any(|line| line == "Assisted-by: fake"), "{message}");
    let report = report(&output);
    assert_eq!((&report["cost"], &report["model"]), (&json!(250_000), &json!("none")));
    assert_eq!(report["nodes"][0]["summary"], "All done.");
    let page = env.grafter(["status", "latest"]).ok().stdout;
    assert!(page.contains("$0.2500"), "{page}");
    let logs = env.grafter(["logs", "latest", "--agent", "solve@1"]).ok().stdout;
    assert!(logs.contains("noise") && !logs.contains("PASSED=yes"), "{logs}");
    assert_eq!(env.fingerprint(), before);
    // The same work is not bought twice.
    let again =
        self::run(&env, "grep -q two a.txt", &["--base", "main"]).env("PASSED", "yes").code(1);
    assert!(again.text().contains("already contains this change"), "{}", again.text());
    assert_eq!(calls(&env), (0, 0));
}

#[test]
fn a_failed_worker_fails_its_node_and_its_work_can_be_rescued() {
    fails(&world("echo half > half.txt; echo no luck >&2; exit 3", ""), "exit code 3: no luck");
    let killed = world("echo half > half.txt; kill -9 $$", "");
    fails(&killed, "signal 9 ended it");
    let garbage = world("echo half > half.txt; echo {oops", "preset = \"claude\"");
    fails(&garbage, "it did not report as claude does: {oops");
    let hang = world("echo half > half.txt; sleep 600", "timeout_minutes = 0.02");
    fails(&hang, "still at work when its timeout_minutes = 0.02 were over");
}

#[test]
fn a_program_that_is_absent_is_said_before_anything_is_spent() {
    let env = bare("[workers.fake]\ncommand = [\"no-such-agent\", \"{prompt}\"]\n");
    let output = run(&env, "true", &[]).code(2);
    let told = "worker `fake`: there is no program `no-such-agent` on PATH";
    assert!(output.stderr.contains(told), "{}", output.text());
    assert!(RunDir::list(&env.path(".git/grafter")).expect("no runs").is_empty());
    // It is there, but nothing shows it inside the sandbox.
    let own = env.root().join("home/agent");
    fs::write(&own, "#!/bin/sh\n").expect("a file");
    let command = format!("command = [\"{}\", \"{{prompt}}\"]", own.display());
    configure(&env, &format!("[workers.fake]\n{command}\n"));
    let output = run(&env, "true", &[]).code(1);
    assert!(output.text().contains("cannot be started inside the sandbox"), "{}", output.text());
}

/// Returns how many processes run with just these arguments.
pub(crate) fn left(arguments: &[&str]) -> usize {
    let line: String = arguments.iter().map(|argument| format!("{argument}\0")).collect();
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|own| own == line.as_bytes()).count()
}

#[test]
fn a_daemon_that_a_worker_leaves_ends_with_it() {
    let mark = format!("98{}", std::process::id());
    let env =
        world(&format!("setsid sleep {mark} & (sleep {mark} &); echo two > a.txt; echo done"), "");
    run(&env, "true", &[]).ok();
    assert_eq!(env.git(["show", "fixed:a.txt"]), "two");
    assert_eq!(left(&["sleep", &mark]), 0);
}

#[test]
fn a_worker_writes_nowhere_but_in_its_tree_and_what_it_was_granted() {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.commit("start");
    let granted = env.root().join("granted");
    let secret = env.root().join("home/.login");
    for folder in [&granted, &secret] {
        fs::create_dir(folder).expect("a folder");
    }
    fs::write(secret.join("token"), "let me in\n").expect("a file");
    let (outside, granted_shown) = (env.root().join("outside"), granted.display());
    let script = format!(
        "echo x > {0}; echo x > /etc/grafter-was-here; echo x > ~/.login/new; \
         grep -q \"let me in\" ~/.login/token && echo two > a.txt; echo kept > {granted_shown}/kept",
        outside.display()
    );
    let command = format!("command = ['sh', '-c', '''{script}''', 'fake', '{{prompt_file}}']");
    let grants = format!("read = [\"~/.login\"]\nwrite = [\"{granted_shown}\"]");
    configure(&env, &format!("[workers.fake]\n{command}\n{grants}\n"));
    let before = env.fingerprint();
    run(&env, &format!("! test -e {granted_shown}/kept"), &[]).ok();
    assert_eq!(env.git(["show", "fixed:a.txt"]), "two");
    assert_eq!(fs::read_to_string(granted.join("kept")).expect("granted"), "kept\n");
    for path in [outside.as_path(), "/etc/grafter-was-here".as_ref(), &secret.join("new")] {
        assert!(!path.exists(), "{}", path.display());
    }
    assert_eq!(env.fingerprint(), before);
}

#[test]
fn what_a_worker_does_to_git_is_its_own_and_its_tree_is_what_counts() {
    let script = "git config core.hooksPath /tmp; git checkout -q -b own; echo two > a.txt; \
                  git add -A; git -c user.name=x -c user.email=x@x commit -q -m own; \
                  git update-ref refs/heads/main HEAD; echo three > b.txt; git add b.txt; \
                  git stash -q; git stash apply -q; echo gitdir: /tmp > .git; rm -rf .git; true";
    let env = world(script, "");
    let before = env.fingerprint();
    run(&env, "true", &[]).ok();
    assert_eq!(env.git(["show", "fixed:a.txt"]), "two");
    assert_eq!(env.git(["show", "fixed:b.txt"]), "three");
    assert_eq!(env.git(["log", "--format=%s", "main"]), "start");
    assert_eq!(env.git(["for-each-ref", "refs/heads/own"]), "");
    assert_eq!(env.fingerprint(), before);
}

#[test]
fn a_worker_killed_with_grafter_begins_again_on_the_tree_as_it_was() {
    let env = world(&format!("echo half >> half.txt; {GATE}; echo two > a.txt"), "");
    let running = run(&env, "true", &[]).start();
    let tree = at_gate(&env, "writer");
    running.signal(Signal::KILL);
    running.finish();
    fs::remove_file(tree.join("waiting")).expect("it waited");
    assert_eq!(calls(&env), (1, 0));
    let resumed = env.grafter(["resume"]).start();
    open_gate(&at_gate(&env, "writer"));
    let output = resumed.finish();
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    assert_eq!(calls(&env), (2, 1));
    assert_eq!(env.git(["show", "fixed:a.txt"]), "two");
    // What the first one had left was taken out, and can be found.
    assert_eq!(env.git(["show", "fixed:half.txt"]), "half");
    let snapshots = format!("refs/grafter/snap/{}/solve@1", newest(&env));
    let titles = env.git(["log", "--format=%s", &snapshots]);
    let told = "snapshot: what worker fake had left when its process died";
    assert!(titles.lines().any(|title| title == told), "{titles}");
    let said = env.grafter(["logs", "latest"]).ok().stdout;
    assert!(said.contains("is called again"), "{said}");
}

#[test]
fn what_a_worker_had_done_when_its_run_was_stopped_is_saved() {
    let env = world(&format!("echo half > half.txt; {GATE}; echo two > a.txt"), "");
    let running = run(&env, "true", &[]).start();
    let tree = at_gate(&env, "writer");
    running.signal(Signal::INT);
    let output = running.finish();
    assert_eq!(output.status.code(), Some(130), "{}", output.text());
    env.grafter(["rescue"]).ok();
    let rescued = format!("grafter/{}/rescued", newest(&env));
    assert_eq!(env.git(["show", &format!("{rescued}:half.txt")]), "half");
    fs::remove_file(tree.join("waiting")).expect("it waited");
    let resumed = env.grafter(["resume"]).start();
    open_gate(&at_gate(&env, "writer"));
    assert_eq!(resumed.finish().status.code(), Some(0));
    assert_eq!((calls(&env), env.git(["show", "fixed:a.txt"])), ((2, 1), "two".to_owned()));
}

#[test]
fn a_worker_reaches_the_hosts_it_was_granted_and_checks_do_not() {
    let address = saying("two\n");
    let ask = format!(
        "python3 -c \"import urllib.request as u; \
         print(u.urlopen(\\\"http://{address}/\\\", timeout=20).read().decode().strip())\""
    );
    let env = world(&format!("{ask} > a.txt"), &format!("hosts = [\"{address}\"]"));
    run(&env, &format!("! {ask}"), &[]).ok();
    assert_eq!(env.git(["show", "fixed:a.txt"]), "two");
}

#[test]
fn a_worker_that_has_ended_is_never_called_again() {
    let script = "echo half >> half.txt; echo called >> CALLS/log";
    let mut told = BTreeMap::new();
    for point in 3..60 {
        let env = Env::new();
        env.write("a.txt", "one\n");
        env.commit("start");
        let calls_folder = env.root().join("calls");
        fs::create_dir(&calls_folder).expect("a folder");
        let script = script.replace("CALLS", &calls_folder.display().to_string());
        let command = format!("command = ['sh', '-c', '''{script}''', 'x', '{{prompt_file}}']");
        let write = format!("write = [\"{}\"]", calls_folder.display());
        configure(&env, &format!("[workers.fake]\n{command}\n{write}\n"));
        let failpoint = format!("after:{point}");
        let output = run(&env, "true", &[]).env("GRAFTER_FAILPOINT", failpoint).start().finish();
        if output.status.success() {
            break;
        }
        let (_, ended) = calls(&env);
        env.grafter(["resume"]).code(if over(&env) { 2 } else { 0 });
        assert_eq!(env.git(["show", "fixed:half.txt"]), "half", "after {point}");
        let log = fs::read_to_string(calls_folder.join("log")).expect("it was called");
        let times = log.lines().count();
        assert!(times == 1 || ended == 0, "after {point}: {times}");
        told.insert(ended, times);
    }
    // It was met before it had ended, and after.
    assert_eq!(told.into_keys().collect::<Vec<_>>(), [0, 1]);
}

fn over(env: &Env) -> bool {
    matches!(events(env).last().map(|event| &event.what), Some(What::RunFinished { .. }))
}

#[test]
fn money_that_a_worker_reports_counts_against_the_cap() {
    let result = "{\\\"type\\\":\\\"result\\\",\\\"subtype\\\":\\\"success\\\",\
                  \\\"total_cost_usd\\\":3.5}";
    let env = world(&format!("echo x >> a.txt; echo \"{result}\""), "preset = \"claude\"");
    let output = run(&env, "false", &["--verify", "! grep -q x a.txt"]).code(4);
    assert!(output.text().contains("are left (--max-cost)"), "{}", output.text());
    assert_eq!(calls(&env), (1, 1));
    let spent = events(&env).iter().find_map(|event| match event.what {
        What::RunFinished { cost, .. } => Some(cost),
        _ => None,
    });
    assert_eq!(spent, Some(Micros(3_500_000)));
}

#[test]
fn a_workflow_names_a_worker_of_the_users_and_no_repository_makes_one() {
    let env = world("echo two > a.txt", "");
    let flow = |worker: &str, phase: &str| {
        format!(
            "name: mine\nversion: 1\nnodes:\n  - {{ id: solve, phase: {phase}, role: solo, \
             worker: {worker} }}\n"
        )
    };
    let file = env.root().join("mine.yaml");
    let path = file.display().to_string();
    let order = ["run", "do it", "--workflow", &path, "--verify", "true", "--into", "fixed"];
    fs::write(&file, flow("fake", "implementation")).expect("a file");
    env.grafter(order).ok();
    assert_eq!(env.git(["show", "fixed:a.txt"]), "two");
    fs::write(&file, flow("faek", "implementation")).expect("a file");
    let said = env.grafter(order).code(2).stderr;
    assert!(said.contains("there is no worker `faek`; did you mean `fake`?"), "{said}");
    fs::write(&file, flow("fake", "research")).expect("a file");
    let said = env.grafter(order).code(2).stderr;
    assert!(said.contains("`worker` is for implementation nodes"), "{said}");
    env.write(".grafter/config.toml", "[workers.evil]\ncommand = [\"sh\", \"{prompt}\"]\n");
    env.grafter(["trust"]).ok();
    let said = run(&env, "true", &[]).code(2).stderr;
    assert!(said.contains("a repository may not set `workers.evil`"), "{said}");
}

#[test]
fn a_worker_gets_no_more_than_its_user_may_give() {
    let env = world("true", "read = [\"REPO\"]");
    let config = env.root().join("config/grafter/config.toml");
    let text = fs::read_to_string(&config).expect("a file");
    fs::write(&config, text.replace("REPO", &env.path(".git").display().to_string())).expect("it");
    let said = run(&env, "true", &[]).code(3).stderr;
    assert!(said.contains("may not be granted"), "{said}");
    let env = world("true", "env = [\"NO_SUCH_KEY\"]");
    let said = run(&env, "true", &[]).code(2).stderr;
    assert!(said.contains("the variable NO_SUCH_KEY, which is not set"), "{said}");
    let said = env.grafter(["workers"]).ok().stdout;
    assert!(said.contains("fake") && said.contains("NO_SUCH_KEY (not set)"), "{said}");
    let env = world("true", "");
    let said = run(&env, "true", &["--mode", "default"]).code(3).stderr;
    assert!(said.contains("cannot be asked"), "{said}");
}

#[test]
fn a_worker_at_work_takes_no_messages_and_says_what_can_be_rescued_when_it_is_cancelled() {
    let env = world(&format!("echo half > half.txt; {GATE}"), "");
    let running = run(&env, "true", &[]).start();
    at_gate(&env, "writer");
    let said = env.grafter(["send", "solve@1", "hurry"]).start().finish();
    assert_ne!(said.status.code(), Some(0), "{}", said.text());
    assert!(said.text().contains("a command line, which hears nothing"), "{}", said.text());
    env.grafter(["cancel", "--agent", "solve@1"]).ok();
    let output = running.finish();
    assert_eq!(output.status.code(), Some(1), "{}", output.text());
    assert!(output.text().contains("cancelled by the user"), "{}", output.text());
    assert!(output.text().contains("had written by then is saved"), "{}", output.text());
    env.grafter(["rescue"]).ok();
    let rescued = format!("grafter/{}/rescued", newest(&env));
    assert_eq!(env.git(["show", &format!("{rescued}:half.txt")]), "half");
}
