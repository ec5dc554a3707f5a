//! `refactor.yaml` from end to end: a planner splits a rename over three modules into parts, whose
//! writers work side by side, and what they made is joined, seen to as a whole, and landed.

use grafter::{
    journal::{read, runs::RunDir},
    protocol::{
        event::{Event, What},
        part::{Clashed, Joined, Parked},
    },
};
use serde_json::{Value, json};

use crate::env::{Env, Output};

/// Nothing of the old name is left, and the new one is where it belongs.
const RENAMED: &str = "! grep -rq area_of pkg && grep -q 'def area' pkg/shapes.py";

fn package() -> Env {
    let env = Env::new();
    env.write("pkg/shapes.py", "def area_of(w, h):\n    return w * h\n");
    env.write("pkg/report.py", "from shapes import area_of\n\nprint(area_of(2, 3))\n");
    env.write("pkg/cli.py", "import shapes\n\nshapes.area_of(1, 1)\n");
    env.write("notes.txt", "start\n");
    env.commit("start");
    env
}

/// What an agent does: one call a turn.
fn plays(place: &Value, calls: &[(&str, Value)]) -> Vec<Value> {
    let turn = |(turn, (name, input)): (usize, &(&str, Value))| {
        let mut entry = place.clone();
        entry["turn"] = json!(turn);
        entry["reply"] = json!({ "calls": [{ "name": name, "input": input }] });
        entry
    };
    calls.iter().enumerate().map(turn).collect()
}

fn at(node: &str, index: u32, attempt: u32) -> Value {
    json!({ "node": node, "index": index, "attempt": attempt })
}

fn bash(command: &str) -> (&'static str, Value) {
    ("bash", json!({ "command": command }))
}

fn done(summary: &str) -> (&'static str, Value) {
    ("finish", json!({ "status": "succeeded", "summary": summary }))
}

/// Returns a session in which the planner hands these parts on and the reviewers pass.
fn session(parts: &Value, others: Vec<Value>) -> String {
    let plan = json!({ "status": "succeeded", "summary": "split", "carry": { "parts": parts } });
    let review = json!({
        "status": "succeeded", "summary": "all names are new", "verdict": "pass", "must_fix": [],
    });
    let mut entries = plays(&json!({ "node": "plan" }), &[("finish", plan)]);
    entries.extend(plays(
        &json!({ "node": "review" }),
        &[("run_tests", json!({})), ("finish", review)],
    ));
    entries.extend(others);
    entries.extend(plays(&json!({ "node": "join" }), &[done("nothing is left to do")]));
    json!({ "entries": entries }).to_string()
}

fn run(env: &Env, script: &str, check: &str) -> Output {
    run_as(env, script, &["-w", "refactor", "--verify", check])
}

fn run_as(env: &Env, script: &str, flags: &[&str]) -> Output {
    let args = ["run", "rename area_of to area", "--into", "main2", "--mode", "bypass"];
    env.grafter([&args[..], flags].concat()).script(script).start().finish()
}

fn events(env: &Env) -> Vec<Event> {
    let runs = RunDir::list(&env.path(".git/grafter")).expect("the runs");
    read::read(&runs[0].path).expect("a sound journal")
}

fn branches(env: &Env) -> Vec<String> {
    let names = env.git(["for-each-ref", "--format=%(refname:short)", "refs/heads/grafter"]);
    let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    names.lines().map(last).collect()
}

fn rename(path: &str) -> (&'static str, Value) {
    bash(&format!("sed -i s/area_of/area/g pkg/{path}"))
}

fn three() -> Value {
    json!([
        { "id": "shapes", "title": "Rename the function", "text": "shapes", "scope": ["pkg/shapes.py"] },
        { "id": "report", "text": "its caller", "scope": ["pkg/report.py"], "after": ["shapes"] },
        { "id": "cli", "text": "its other caller", "scope": ["pkg/cli.*"] },
    ])
}

/// What those do who write the three parts.
fn writers() -> Vec<Value> {
    let write = |(index, path)| plays(&at("write", index, 1), &[rename(path), done("renamed")]);
    (0..).zip(["shapes.py", "report.py", "cli.py"]).flat_map(write).collect()
}

#[test]
fn a_rename_over_three_modules_is_split_joined_checked_and_landed() {
    let env = package();
    let before = env.fingerprint();
    let output = run(&env, &session(&three(), writers()), RENAMED);
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    assert_eq!(
        env.git(["diff", "--name-only", "main", "main2"]),
        "pkg/cli.py\npkg/report.py\npkg/shapes.py"
    );
    assert_eq!(
        branches(&env),
        ["rename-area-of-to-area", "write.0-shapes", "write.1-report", "write.2-cli"]
    );
    let events = events(&env);
    let joined: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.what {
            What::PartJoined(Joined { commit, .. }) => {
                Some((event.node.clone()?.to_string(), commit.clone()))
            }
            _ => None,
        })
        .collect();
    let order: Vec<_> = joined.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(order, ["write.0", "write.1", "write.2"]);
    // What the second part builds on is in its tree, and nothing else.
    let begun = events.iter().find_map(|event| match &event.what {
        What::PlaceIntent { branch: Some(branch), commit, .. } if branch.ends_with("report") => {
            Some(commit.clone())
        }
        _ => None,
    });
    assert_eq!(begun.as_ref(), Some(&joined[0].1));
    assert_eq!(env.fingerprint(), before);
    for text in ["write.0", "write.1", "write.2", "join"] {
        assert!(output.text().contains(text), "{text} is not in {}", output.text());
    }
}

/// Says which part was joined, done again or given up, in order.
fn told(env: &Env) -> Vec<String> {
    let events = events(env);
    let lines = events.iter().filter_map(|event| {
        let id = event.node.as_ref().map_or("", |id| id.as_str());
        match &event.what {
            What::PartJoined(_) => Some(format!("{id} joined")),
            What::PartClashed(Clashed { paths, .. }) => {
                Some(format!("{id} clashed: {}", paths.join(" ")))
            }
            What::PartParked(Parked { why }) => {
                Some(format!("{id} parked: {}", why.split(';').next()?))
            }
            _ => None,
        }
    });
    lines.collect()
}

/// Two parts that write the same line of the notes.
fn rivals() -> Value {
    json!([{ "id": "ann", "text": "sign" }, { "id": "bob", "text": "sign as well" }])
}

fn signs(index: u32, attempt: u32, command: &str) -> Vec<Value> {
    plays(&at("write", index, attempt), &[bash(command), done("signed")])
}

#[test]
fn an_agent_that_leads_may_choose_to_split_the_task() {
    let env = package();
    let choose = ("plan_select", json!({ "workflow": "refactor" }));
    let lead = [choose, ("wait", json!({})), done("three parts, one rename")];
    let script = session(&three(), [plays(&json!({ "node": "lead" }), &lead), writers()].concat());
    let output = run_as(&env, &script, &["--coordinator", "--verify", RENAMED]);
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    assert_eq!(
        env.git(["diff", "--name-only", "main", "main2"]),
        "pkg/cli.py\npkg/report.py\npkg/shapes.py"
    );
}

#[test]
fn a_part_writes_only_the_files_of_its_scope() {
    let env = package();
    let parts = json!([{ "id": "cli", "text": "its caller", "scope": ["pkg/cli.py"] }]);
    let write = |path: &str| ("write", json!({ "path": path, "content": "mine\n" }));
    // What a program does inside, nobody sees before.
    env.write("tool.sh", "echo mine > stray.txt\nsed -i s/area_of/area/ pkg/cli.py\n");
    env.commit("a tool");
    let stray = "sh tool.sh";
    let calls =
        [write("pkg/other.py"), bash("echo mine > notes.txt"), bash(stray), done("renamed")];
    let output = run(&env, &session(&parts, plays(&at("write", 0, 1), &calls)), "true");
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    assert_eq!(env.git(["diff", "--name-only", "main", "main2"]), "pkg/cli.py");
    let events = events(&env);
    let refused = |event: &&Event| matches!(&event.what, What::CallJudged { code: Some(code), .. } if code == "E_SCOPE");
    assert_eq!(events.iter().filter(refused).count(), 2);
    let why = "not in the commit, since its part is pkg/cli.py: stray.txt";
    assert!(output.text().contains(why), "{}", output.text());
}

#[test]
fn a_part_that_does_not_merge_is_done_again_on_what_the_others_made() {
    let env = package();
    let writers = [
        signs(0, 1, "echo ann > notes.txt"),
        signs(1, 1, "echo bob > notes.txt"),
        // It sees what the other one made, and adds to it.
        signs(1, 2, "grep -q ann notes.txt && echo bob >> notes.txt"),
    ];
    let output = run(&env, &session(&rivals(), writers.concat()), "true");
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    assert_eq!(told(&env), ["write.0 joined", "write.1 clashed: notes.txt", "write.1 joined"]);
    assert_eq!(env.git(["show", "main2:notes.txt"]), "ann\nbob");
}

#[test]
fn a_part_that_never_merges_is_given_up_its_branch_stays_and_the_joiner_is_told() {
    let env = package();
    let parts = json!([
        { "id": "ann", "text": "sign" },
        { "id": "bob", "text": "sign as well" },
        { "id": "eve", "text": "sign below bob", "after": ["bob"] },
    ]);
    let gives_up = ("finish", json!({ "status": "failed", "summary": "no pen" }));
    let writers = [
        signs(0, 1, "echo ann > notes.txt"),
        signs(1, 1, "echo bob > notes.txt"),
        plays(&at("write", 1, 2), &[gives_up]),
    ];
    let output = run(&env, &session(&parts, writers.concat()), "true");
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    let parked = "write.2 parked: it builds on write.1, which failed";
    assert_eq!(told(&env), ["write.0 joined", "write.1 clashed: notes.txt", parked]);
    assert_eq!(env.git(["show", "main2:notes.txt"]), "ann");
    let run = env.git(["for-each-ref", "--format=%(refname)", "refs/heads/grafter/*/write.1-bob"]);
    assert_eq!(env.git(["show", &format!("{run}:notes.txt")]), "bob");
    env.grafter(["worktree", "clean", "--all"]).ok();
    let kept = env.git(["for-each-ref", "--format=%(refname)", "refs/grafter/orphan"]);
    let notes: Vec<_> =
        kept.lines().map(|kept| env.git(["show", &format!("{kept}:notes.txt")])).collect();
    assert!(notes.contains(&"bob".to_owned()), "unmerged work is gone: {notes:?}");
    let page = env.grafter(["status", "latest"]).ok().stdout;
    for line in ["no pen", parked.split(": ").nth(1).expect("a reason")] {
        assert!(page.contains(line), "{line} is not in {page}");
    }
}

/// One that has used its part of the node's limits up fails alone.
#[test]
fn writers_share_the_limits_of_their_node() {
    let env = package();
    let flow = "name: w\nversion: 1\nnodes:\n\
        \x20 - { id: write, phase: implementation, role: part, optional: true, limits: { turns: 5 },\n\
        \x20     each: [{ id: ann, text: a, scope: [a.txt] }, { id: bob, text: b, scope: [b.txt] }] }\n";
    env.write("../w.yaml", flow);
    let touch = |path: &str| bash(&format!("touch {path}"));
    let entries = [
        plays(&at("write", 0, 1), &[touch("a.txt"), done("made a")]),
        plays(&at("write", 1, 1), &[touch("b.txt"), bash("true"), done("made b")]),
    ];
    let script = json!({ "entries": entries.concat() }).to_string();
    let args = ["run", "write", "-w", "../w.yaml", "--into", "main2", "--mode", "bypass"];
    let args = args.into_iter().chain(["--verify", "true"]);
    let output = env.grafter(args).script(&script).code(0);
    assert_eq!(env.git(["diff", "--name-only", "main", "main2"]), "a.txt");
    let told = "the 2 model calls that write.1 has of its node's `limits` are used up";
    assert!(output.text().contains(told), "{}", output.text());
}

/// Dies after ever more records, goes on, and dies again, and has joined each part once.
#[test]
fn parts_are_joined_once_however_often_the_run_dies() {
    for side in ["before", "after"] {
        let env = package();
        let writers = [
            signs(0, 1, "echo ann > notes.txt"),
            signs(1, 1, "echo bob > notes.txt"),
            signs(1, 2, "grep -q ann notes.txt && echo bob >> notes.txt"),
        ];
        let script = session(&rivals(), writers.concat());
        let mut deaths = 0;
        let args = ["run", "sign", "-w", "refactor", "--into", "main2", "--mode", "bypass"];
        let args = args.into_iter().chain(["--verify", "true"]);
        let mut run = env.grafter(args).script(&script);
        while !run.env("GRAFTER_FAILPOINT", format!("{side}:18")).start().finish().status.success()
        {
            deaths += 1;
            assert!(deaths < 40, "{:?}", told(&env));
            run = env.grafter(["resume"]);
        }
        assert!(deaths > 2, "it died {deaths} times only");
        assert_eq!(told(&env), ["write.0 joined", "write.1 clashed: notes.txt", "write.1 joined"]);
        assert_eq!(env.git(["show", "main2:notes.txt"]), "ann\nbob");
    }
}
