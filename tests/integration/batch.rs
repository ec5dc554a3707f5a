//! Batches: what is worked side by side lands in order, on a target that is green after each
//! landing; whatever fails, whoever dies, no work is lost, landed twice or landed unverified.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use grafter::journal::runs::RunDir;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    crash,
    env::{Env, process::Run},
    solo::{GATE, Story, open_gate, trees, writes},
};

/// A backlog in a repository of its own.
pub(crate) struct Backlog {
    pub(crate) env: Env,
    pub(crate) tasks: Vec<Value>,
    /// The check that every landing must pass.
    pub(crate) check: String,
}

impl Backlog {
    pub(crate) fn new() -> Self {
        let env = Env::new();
        env.write("base.txt", "base\n");
        env.commit("base");
        Self { env, tasks: Vec::new(), check: "test -f base.txt".to_owned() }
    }

    /// Adds a task whose agent follows a script.
    fn task(&mut self, id: &str, script: &str) -> &mut Value {
        let file = self.env.root().join(format!("{id}.yaml"));
        fs::write(&file, script).expect("a new file");
        let model = format!("scripted:{}", file.display());
        self.tasks.push(json!({ "id": id, "title": format!("Do {id}"), "model": model }));
        self.tasks.last_mut().expect("it was added")
    }

    /// Adds a task that makes one file.
    pub(crate) fn file(&mut self, id: &str, name: &str, text: &str) -> &mut Value {
        self.task(id, &writes(name, text))
    }

    pub(crate) fn run(&self, more: &[&str]) -> Run<'_> {
        let file = self.env.root().join("tasks.json");
        fs::write(&file, Value::from(self.tasks.clone()).to_string()).expect("a file");
        let file = file.display().to_string();
        let mut args = vec!["batch", &file, "--workflow", "solo", "--mode", "bypass"];
        args.extend(["--into", "target", "--verify", &self.check]);
        if !more.contains(&"--output") {
            args.extend(["--output", "json"]);
        }
        args.extend(more);
        self.env.grafter(args)
    }

    pub(crate) fn resume(&self) -> Run<'_> {
        self.env.grafter(["batch", "--resume", "--output", "json"])
    }

    /// Returns the files of the target.
    pub(crate) fn files(&self) -> BTreeSet<String> {
        let list = self.env.git(["ls-tree", "-r", "--name-only", "target"]);
        list.lines().map(str::to_owned).collect()
    }

    /// Asserts what holds after every batch: each landing is green by the check itself, each task
    /// landed once at most, and the repository is whole.
    pub(crate) fn is_sound(&self, landings: &BTreeSet<String>) {
        let titles = self.env.git(["log", "--format=%s", "target"]);
        let mut seen = BTreeSet::new();
        assert!(titles.lines().all(|title| seen.insert(title)), "landed twice:\n{titles}");
        for commit in landings {
            let tree = self.env.root().join(format!("look-{commit}"));
            let path = tree.display().to_string();
            self.env.git(["worktree", "add", "-q", "--detach", &path, commit]);
            let script = format!("cd {path} && {}", self.check);
            self.env.program("bash", ["-c", &script]).ok();
            self.env.git(["worktree", "remove", "--force", &path]);
        }
        assert_eq!(self.env.git(["status", "--porcelain"]), "");
        self.env.git(["fsck", "--no-dangling"]);
    }

    /// Returns where the target stood after each of its moves, by its reflog.
    pub(crate) fn landings(&self) -> BTreeSet<String> {
        let log = self.env.git(["reflog", "show", "--format=%H", "target"]);
        log.lines().map(str::to_owned).collect()
    }
}

pub(crate) fn report(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

pub(crate) fn states(report: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tasks = report["tasks"].as_array().expect("a list").iter();
    tasks.map(|task| (text(&task["id"]), text(&task["state"]))).collect()
}

pub(crate) fn word<'a>(states: &'a BTreeMap<String, String>, id: &str) -> &'a str {
    states.get(id).map_or("", String::as_str)
}

#[test]
fn a_backlog_lands_and_what_needs_another_comes_after_it() {
    let mut backlog = Backlog::new();
    backlog.env.git(["config", "core.logAllRefUpdates", "always"]);
    for n in 0..4 {
        backlog.file(&format!("t{n}"), &format!("t{n}.txt"), "x\n");
    }
    // Its own check fails unless t0 has landed before it begins.
    let last = backlog.task("last", &Story::new().bash("cat t0.txt > last.txt").finish());
    last["needs"] = json!(["t0"]);
    last["verify"] = json!("cmp last.txt t0.txt");
    let before = backlog.env.fingerprint();
    let output = backlog.run(&["--workers", "3"]).ok();
    let said = report(&output.stdout);
    assert_eq!((&said["landed"], &said["exit_code"]), (&json!(5), &json!(0)), "{said:#}");
    let files = backlog.files();
    assert!(["t0.txt", "t3.txt", "last.txt"].iter().all(|file| files.contains(*file)), "{files:?}");
    backlog.is_sound(&backlog.landings());
    assert_eq!(backlog.env.fingerprint(), before);
}

#[test]
fn one_failure_stops_nobody_but_those_that_need_it_and_a_resume_does_only_that() {
    let mut backlog = Backlog::new();
    backlog.file("good", "good.txt", "x\n");
    backlog.task("bad", &Story::new().end("failed"));
    backlog.file("after", "after.txt", "x\n")["needs"] = json!(["bad"]);
    backlog.file("wrong", "wrong.txt", "x\n")["verify"] = json!("no-such-check --all");
    let said = report(&backlog.run(&[]).code(1).stdout);
    let states = states(&said);
    assert_eq!(word(&states, "good"), "landed");
    assert_eq!(word(&states, "bad"), "failed");
    assert_eq!(word(&states, "after"), "waiting");
    assert_eq!(word(&states, "wrong"), "failed");
    assert!(said["tasks"][2]["why"].as_str().expect("a reason").contains("needs bad"), "{said:#}");
    // What was wrong is put right.
    let file = backlog.env.root().join("bad.yaml");
    fs::write(&file, writes("bad.txt", "x\n")).expect("a file");
    let runs = |said: &Value, at: usize| said["tasks"][at]["runs"].as_array().map(Vec::len);
    let said = report(&backlog.resume().code(1).stdout);
    assert_eq!([0, 1, 2, 3].map(|at| runs(&said, at)), [Some(1), Some(2), Some(1), Some(2)]);
    assert_eq!(said["landed"], json!(3), "{said:#}");
    assert!(backlog.files().contains("after.txt"));
}

#[test]
fn only_what_failed_for_a_named_reason_is_worked_anew() {
    let mut backlog = Backlog::new();
    backlog.task("bad", &Story::new().end("failed"));
    let other = backlog.file("away", "away.txt", "x\n");
    other["repo"] = json!("example.org/somebody/else");
    let said = report(&backlog.run(&["--retry-on", "failed"]).code(1).stdout);
    assert_eq!(said["tasks"].as_array().map(Vec::len), Some(1), "{said:#}");
    let runs = |said: &Value| said["tasks"][0]["runs"].as_array().map(Vec::len);
    assert_eq!(runs(&said), Some(2), "{said:#}");
    let resume = |reason| {
        let args = ["batch", "--resume", "--output", "json", "--retry-on", reason];
        report(&backlog.env.grafter(args).code(1).stdout)
    };
    assert_eq!(runs(&resume("broken")), Some(2));
    assert_eq!(runs(&resume("failed")), Some(3));
    let refused = backlog.run(&["--retry-on", "budget"]).code(2).stderr;
    assert!(refused.contains("ends so again"), "{refused}");
}

#[test]
fn what_conflicts_is_worked_anew_on_what_has_landed() {
    let mut backlog = Backlog::new();
    backlog.env.write("list.txt", "one\ntwo\nthree\n");
    backlog.env.commit("list");
    for id in ["a", "b"] {
        let change = format!("sed 's/two/& {id}/' list.txt > new && mv new list.txt");
        backlog.task(id, &Story::new().bash(&change).finish());
    }
    let output = backlog.run(&["--workers", "2"]).ok();
    let said = report(&output.stdout);
    assert_eq!(said["landed"], json!(2), "{said:#}");
    let list = backlog.env.git(["show", "target:list.txt"]);
    assert!(list.contains("two a b") || list.contains("two b a"), "{list}");
    backlog.is_sound(&backlog.landings());
}

#[test]
fn who_contradicts_another_hears_of_it_while_both_still_work() {
    let mut backlog = Backlog::new();
    backlog.env.write("list.txt", "one\ntwo\nthree\n");
    backlog.env.commit("list");
    for id in ["a", "b"] {
        let change = format!("sed 's/two/& {id}/' list.txt > new && mv new list.txt");
        // Whoever is worked anew on the other's change does not wait.
        let gate = format!("grep -q 'two . .' list.txt || {GATE}");
        backlog.task(id, &Story::new().bash(&change).bash(&gate).finish());
    }
    let mut running = backlog.run(&["--workers", "2", "--output", "text"]).start();
    running.wait_for("b: contradicts what a has made so far, in list.txt");
    let shown = backlog.env.grafter(["queue", "show", "b"]).ok().stdout;
    assert!(shown.contains("against   a"), "{shown}");
    trees(&backlog.env, "writer").iter().for_each(|tree| open_gate(tree));
    let output = running.finish();
    assert!(output.stdout.contains("2 of 2 tasks landed"), "{}", output.text());
    let runs = RunDir::list(&backlog.env.path(".git/grafter"));
    let told = |run: &RunDir| {
        let text = fs::read_to_string(run.path.join("journal.jsonl")).expect("a journal");
        text.contains("Another task is worked at the same time")
    };
    assert_eq!(runs.expect("the runs").iter().filter(|run| told(run)).count(), 1);
    backlog.is_sound(&backlog.landings());
}

#[test]
fn what_is_red_beside_others_is_parked_and_its_work_stays() {
    let mut backlog = Backlog::new();
    backlog.check = "test $(ls *.part 2>/dev/null | wc -l) -le 2".to_owned();
    for id in ["a", "b", "c"] {
        backlog.file(id, &format!("{id}.part"), "x\n");
    }
    let output = backlog.run(&["--workers", "3", "--retries", "0"]).code(1);
    let said = report(&output.stdout);
    assert_eq!(said["landed"], json!(2), "{said:#}");
    let tasks = said["tasks"].as_array().expect("a list");
    let parked = tasks.iter().find(|task| task["state"] == "parked").expect("one is parked");
    let branch = parked["branch"].as_str().expect("a branch");
    let name = parked["id"].as_str().expect("an id");
    assert!(backlog.env.git(["ls-tree", "-r", "--name-only", branch]).contains(name));
    backlog.is_sound(&backlog.landings());
    let shown = backlog.env.grafter(["queue", "show", name]).ok().stdout;
    assert!(shown.contains("parked") && shown.contains("its checks fail"), "{shown}");
}

#[test]
fn a_flaky_check_sends_no_innocent_away() {
    let mut backlog = Backlog::new();
    // It fails wherever the queue looks first, and nowhere when it looks again: the mounts of the
    // sandbox name the place.
    backlog.check = "test $(ls *.part 2>/dev/null | wc -l) -lt 2 || \
         ! grep -q /queue-train- /proc/self/mountinfo"
        .to_owned();
    for id in ["a", "b", "c", "d"] {
        backlog.file(id, &format!("{id}.part"), "x\n");
    }
    let said = report(&backlog.run(&["--workers", "4", "--retries", "0"]).ok().stdout);
    assert_eq!(said["landed"], json!(4), "{said:#}");
}

#[test]
fn a_batch_that_dies_at_any_record_ends_as_if_nothing_had_happened() {
    let make = || {
        let mut backlog = Backlog::new();
        backlog.env.git(["config", "core.logAllRefUpdates", "always"]);
        backlog.check = "test $(ls *.part 2>/dev/null | wc -l) -le 2".to_owned();
        for id in ["a", "b", "c"] {
            backlog.file(id, &format!("{id}.part"), "x\n");
        }
        backlog
    };
    let play = |points: &[String]| {
        let backlog = make();
        let more = ["--workers", "2", "--retries", "0", "--check-slots", "2"];
        let mut begun = false;
        for point in points {
            let run = if begun { backlog.resume() } else { backlog.run(&more) };
            let output = run.env("GRAFTER_FAILPOINT", point).start().finish();
            assert!(output.status.code().is_none_or(|code| code == 1), "{}", output.text());
            begun = !point.ends_with("before:0");
        }
        let run = if begun { backlog.resume() } else { backlog.run(&more) };
        let said = report(&run.code(1).stdout);
        assert_eq!(said["landed"], json!(2), "{said:#}");
        backlog.is_sound(&backlog.landings());
        let parts = backlog.files().into_iter().filter(|file| file.ends_with(".part")).count();
        assert_eq!(parts, 2);
    };
    let mut cases: Vec<Vec<String>> = Vec::new();
    for side in ["before", "after"] {
        // A few deaths in one batch, beginning at each of its first records.
        cases.extend((0..24).step_by(2).map(|n| {
            vec![
                format!("batch-{side}:{n}"),
                format!("batch-{side}:{}", 3 + n % 7),
                format!("{side}:{}", 5 + n),
            ]
        }));
    }
    crash::walk(&cases, play);
}

#[test]
fn a_target_that_others_move_gets_everything_and_loses_nothing() {
    let mut backlog = Backlog::new();
    backlog.env.git(["branch", "target"]);
    backlog.file("a", "a.txt", "x\n");
    backlog.file("b", "b.txt", "x\n")["needs"] = json!(["a"]);
    let said = report(&backlog.run(&[]).ok().stdout);
    assert_eq!(said["landed"], json!(2));
    backlog.env.git(["checkout", "-q", "-B", "target", "HEAD"]);
    backlog.file("c", "c.txt", "x\n");
    let said = report(&backlog.run(&[]).ok().stdout);
    // The branch was moved back to the base and is checked out: all is landed on it once more.
    assert_eq!(said["landed"], json!(3), "{said:#}");
    assert!(backlog.env.path("c.txt").exists());
}

#[test]
pub(crate) fn branches_that_are_there_already_are_checked_and_landed() {
    let mut backlog = Backlog::new();
    backlog.check = "test $(ls *.part 2>/dev/null | wc -l) -le 2".to_owned();
    for (branch, files) in [("one", vec!["a"]), ("two", vec!["b", "c"]), ("three", vec!["d"])] {
        backlog.env.git(["checkout", "-q", "-b", branch, "main"]);
        for name in files {
            backlog.env.write(format!("{name}.part"), "x\n");
            backlog.env.commit(&format!("Add {name}"));
        }
        backlog.tasks.push(json!({ "id": branch, "branch": branch }));
    }
    backlog.env.git(["checkout", "-q", "main"]);
    backlog.tasks.push(json!({ "id": "main", "branch": "main" }));
    let said = report(&backlog.run(&[]).code(1).stdout);
    let states = states(&said);
    // The second has two files, so one of them does not fit beside it.
    assert_eq!((word(&states, "one"), word(&states, "three")), ("landed", "landed"), "{said:#}");
    assert_eq!((word(&states, "two"), word(&states, "main")), ("parked", "contained"));
    backlog.is_sound(&backlog.landings());
    backlog.tasks = vec![json!({ "id": "x", "branch": "no-such" })];
    let refused = backlog.run(&["--output", "text"]).code(2).stderr;
    assert!(refused.contains("there is no branch `no-such`"), "{refused}");
}

#[test]
fn a_merge_keeps_the_commits_and_what_is_protected_is_left_to_the_user() {
    let mut backlog = Backlog::new();
    backlog.file("plain", "plain.txt", "x\n");
    backlog.file("ci", "ci/run.sh", "x\n");
    let more = ["--land", "merge", "--protect", "ci", "--workers", "2"];
    let said = report(&backlog.run(&more).code(1).stdout);
    let states = states(&said);
    assert_eq!((word(&states, "plain"), word(&states, "ci")), ("landed", "parked"), "{said:#}");
    let why = said["tasks"][1]["why"].as_str().expect("a reason");
    assert!(why.contains("protected") && why.contains("ci/run.sh"), "{why}");
    let parents = backlog.env.git(["show", "-s", "--format=%P", "target"]);
    assert_eq!(parents.split(' ').count(), 2, "{parents}");
    let refused = backlog.run(&["--protect", "/etc", "--output", "text"]).code(2).stderr;
    assert!(refused.contains("--protect cannot be `/etc`"), "{refused}");
}

/// Makes branches off main, each with a commit for each of its files by an author of its own.
pub(crate) fn branches(backlog: &mut Backlog, branches: &[(&str, &[&str])]) {
    for (branch, files) in branches {
        backlog.env.git(["checkout", "-q", "-b", branch, "main"]);
        for name in *files {
            backlog.env.write(format!("{name}.part"), "x\n");
            backlog.env.git(["add", "-A"]);
            let author = format!("--author={name} <{name}@example.org>");
            backlog.env.git(["commit", "-q", &author, "-m", &format!("Add {name}")]);
        }
        backlog.tasks.push(json!({ "id": branch, "branch": branch }));
    }
    backlog.env.git(["checkout", "-q", "main"]);
}

#[test]
fn a_rebase_lands_each_commit_with_its_author_in_one_line() {
    let mut backlog = Backlog::new();
    backlog.check = "test $(ls *.part 2>/dev/null | wc -l) -le 3".to_owned();
    branches(&mut backlog, &[("one", &["a", "b"]), ("two", &["c"]), ("three", &["d", "e"])]);
    let said = report(&backlog.run(&["--land", "rebase"]).code(1).stdout);
    let states = states(&said);
    assert_eq!((word(&states, "one"), word(&states, "two")), ("landed", "landed"), "{said:#}");
    assert_eq!(word(&states, "three"), "parked");
    let log = backlog.env.git(["log", "--format=%an: %s (%P)", "main..target"]);
    let names: Vec<_> = log.lines().filter_map(|line| line.split_once(" (")).collect();
    assert_eq!(names.iter().map(|n| n.0).collect::<Vec<_>>(), ["c: Add c", "b: Add b", "a: Add a"]);
    assert!(names.iter().all(|(_, parents)| !parents.contains(' ')), "{log}");
    backlog.is_sound(&backlog.landings());
}

#[test]
fn a_template_words_what_lands_and_the_trailers_stay() {
    let mut backlog = Backlog::new();
    backlog.file("a", "a.txt", "x\n");
    branches(&mut backlog, &[("two", &["b", "c"])]);
    let template = "task {id}: {title}\n\n{body}\n\nChecked: {checks}";
    let said = report(&backlog.run(&["--message", template, "-j", "1"]).ok().stdout);
    assert_eq!(said["landed"], json!(2), "{said:#}");
    let words = backlog.env.git(["log", "--format=%B", "main..target"]);
    let run = said["tasks"][0]["runs"][0].as_str().expect("a run");
    for text in [
        format!("task a: Do a\n\nChecked: {}\nGrafter-Run: {run}\nAssisted-by: ", backlog.check),
        format!("task two: two\n\nChecked: {}\n", backlog.check),
    ] {
        assert!(words.contains(&text), "{words}");
    }
    backlog.is_sound(&backlog.landings());
    let refused =
        |more: &[&str]| backlog.run(&[more, &["--output", "text"]].concat()).code(2).stderr;
    let unknown = refused(&["--message", "{title} {issue}"]);
    assert!(unknown.contains("unknown placeholder `{issue}`"), "{unknown}");
    let vain = refused(&["--message", "{title}", "--land", "rebase"]);
    assert!(vain.contains("has no effect"), "{vain}");
}

#[test]
fn a_fast_forward_lands_commits_as_they_are_or_not_at_all() {
    let mut backlog = Backlog::new();
    branches(&mut backlog, &[("one", &["a", "b"]), ("beside", &["c"])]);
    backlog.env.git(["checkout", "-q", "-b", "above", "one"]);
    backlog.env.write("d.part", "x\n");
    backlog.env.commit("Add d");
    backlog.env.git(["checkout", "-q", "main"]);
    backlog.tasks.push(json!({ "id": "above", "branch": "above" }));
    backlog.file("made", "made.txt", "x\n")["needs"] = json!(["above"]);
    let said = report(&backlog.run(&["--land", "ff"]).code(1).stdout);
    let states = states(&said);
    let landed = ["one", "above", "made"].map(|id| word(&states, id));
    assert_eq!(landed, ["landed"; 3], "{said:#}");
    assert_eq!(word(&states, "beside"), "parked");
    let why = said["tasks"][1]["why"].as_str().expect("a reason");
    assert!(why.contains("does not stand on the target"), "{why}");
    // The very commits: the branch is an ancestor of what the agent's work was put on.
    let tip = |rev: &str| backlog.env.git(["rev-parse", rev]);
    assert_eq!(tip("target^"), tip("above"));
    backlog.is_sound(&backlog.landings());
}

#[test]
fn a_queue_is_paused_and_a_task_dropped_while_it_runs() {
    let mut backlog = Backlog::new();
    backlog.file("a", "a.txt", "x\n");
    backlog.task(
        "slow",
        &Story::new()
            .bash("while ! test -e base.go; do sleep 0.02; test -e stop && exit; done")
            .finish(),
    );
    let mut running = backlog.run(&["--workers", "1", "--output", "text"]).start();
    running.wait_for("landed a at");
    backlog.env.grafter(["queue", "pause"]).ok();
    running.wait_for("queue: paused");
    let refused = backlog.env.grafter(["queue", "drop", "slow"]).code(2).stderr;
    assert!(refused.contains("slow is being worked"), "{refused}");
    let refused = backlog.env.grafter(["queue", "retry", "nobody"]).code(2).stderr;
    assert!(refused.contains("no task `nobody`"), "{refused}");
    backlog.env.grafter(["queue", "unpause"]).ok();
    running.wait_for("queue: goes on");
    running.signal(Signal::TERM);
    let output = running.finish();
    assert_eq!(output.status.code(), Some(130), "{}", output.text());
    let listed = backlog.env.grafter(["queue", "ls"]).ok().stdout;
    assert!(listed.contains("interrupted: grafter batch --resume"), "{listed}");
}

#[test]
fn a_wrong_backlog_is_refused_before_anything_begins() {
    let mut backlog = Backlog::new();
    backlog.file("a", "a.txt", "x\n")["needs"] = json!(["b"]);
    backlog.file("b", "b.txt", "x\n")["needs"] = json!(["a"]);
    let said = backlog.run(&["--output", "text"]).code(2).stderr;
    assert!(said.contains("tasks need each other in a ring: a → b → a"), "{said}");
    let mut backlog = Backlog::new();
    backlog.file("a", "a.txt", "x\n")["workflow"] = json!("no-such");
    let said = backlog.run(&["--output", "text"]).code(2).stderr;
    assert!(said.contains("task `a` cannot begin"), "{said}");
    assert_eq!(backlog.env.git(["for-each-ref", "refs/grafter"]), "");
    let said = backlog.env.grafter(["batch", "--resume"]).code(2).stderr;
    assert!(said.contains("there are no batches"), "{said}");
}

#[test]
fn a_dry_run_shows_the_order_and_the_price_and_begins_nothing() {
    let mut backlog = Backlog::new();
    backlog.file("a", "a.txt", "x\n");
    backlog.file("b", "b.txt", "x\n")["needs"] = json!(["a"]);
    let before = backlog.env.fingerprint();
    let said = backlog.run(&["--dry-run", "--output", "text", "--task-cost", "2"]).ok().stdout;
    assert!(said.contains("2 tasks in 2 waves, 4 at once"), "{said}");
    assert!(said.contains("nothing: no model is asked"), "{said}");
    assert_eq!(backlog.env.fingerprint(), before);
}
