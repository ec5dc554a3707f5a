//! Agents in panes of a real tmux, which each test starts for itself at a socket of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    env::Env,
    external::left,
    sandbox::skip,
    solo::{GATE, at_gate, newest, open_gate},
    story::{entry, finish},
};

/// One teammate that looks at the repository from a shell of its own.
const TEAM: &str = "name: team\nversion: 1\nnodes:\n\
    \x20 - { id: write, phase: implementation, role: implementer, kind: worktree }\n\
    \x20 - { id: watch, phase: verification, role: reviewer, kind: teammate, needs: [write], \
    tools: [read, bash, finish] }\n";

/// Its tree.
const TREE: &str = "review-watch-1";

/// A tmux, ended with all its panes when dropped.
struct Tmux<'a> {
    env: &'a Env,
    socket: PathBuf,
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        // It ends by itself with its last pane.
        drop(self.command(&["kill-server"]));
    }
}

/// Returns whether there is a tmux; where there is none, a test says so and shows nothing.
fn is_there() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join("tmux").is_file());
    if !found {
        skip("tmux is not installed");
    }
    found
}

impl<'a> Tmux<'a> {
    /// Starts a terminal in which this shell command runs.
    fn start(env: &'a Env, script: &str) -> Self {
        let tmux = Self { env, socket: env.root().join("tmux") };
        let file = env.root().join("in-tmux.sh");
        fs::write(
            &file,
            format!("{script}\necho exit $? > '{}/end'\nread stay\n", env.root().display()),
        )
        .expect("a file");
        let file = file.display().to_string();
        tmux.says(&["new-session", "-d", "-x", "200", "-y", "50", "bash", &file]);
        tmux
    }

    fn command(&self, args: &[&str]) -> crate::env::Output {
        let socket = self.socket.display().to_string();
        let head = ["-S", &socket, "-f", "/dev/null"];
        self.env.program("tmux", head.iter().chain(args)).start().finish()
    }

    fn says(&self, args: &[&str]) -> String {
        let output = self.command(args);
        assert!(output.status.success(), "{args:?}: {}", output.text());
        output.stdout
    }

    /// Returns the panes but the first, each with its title.
    fn panes(&self) -> Vec<(String, String)> {
        let list = self.command(&["list-panes", "-a", "-F", "#{pane_id} #{pane_title}"]).stdout;
        let pairs = list.lines().filter_map(|line| line.split_once(' '));
        pairs.map(|(id, title)| (id.to_owned(), title.to_owned())).skip(1).collect()
    }

    fn shows(&self, pane: &str) -> String {
        self.command(&["capture-pane", "-p", "-J", "-t", pane]).stdout
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !holds() {
            assert!(Instant::now() < end, "never: {what}\n{}", self.shows("%0"));
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the run has ended; returns what stands in its own pane.
    fn ended(&self) -> String {
        // The file is there before its line is.
        let read = || fs::read_to_string(self.env.root().join("end")).unwrap_or_default();
        self.until("the end", || read().ends_with('\n'));
        let end = read();
        let shown = self.shows("%0");
        assert_eq!(end, "exit 0\n", "{shown}");
        shown
    }
}

fn world() -> Env {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.write("team.yaml", TEAM);
    env.commit("start");
    env
}

fn bash(command: &str) -> Value {
    json!({ "name": "bash", "input": { "command": command } })
}

/// Returns the command line of the run whose teammate waits at two gates, and what it plays.
fn run(env: &Env, flags: &str) -> String {
    let write = json!({ "name": "write", "input": { "path": "b.txt", "content": "two\n" } });
    let lines = json!([{ "path": "b.txt", "from": 1, "to": 1 }]);
    let pass = json!({ "verdict": "pass", "evidence": lines });
    let read = json!({ "name": "read", "input": { "path": "b.txt" } });
    let mut heard = entry("watch", (None, 1, 1), &[bash(GATE)]);
    heard["reply"]["text"] = "I heard of the gap and mind it.".into();
    let entries = [
        entry("write", (None, 1, 0), &[write, finish("wrote it", &json!({}))]),
        entry("watch", (None, 1, 0), &[read, bash(GATE)]),
        heard,
        entry("watch", (None, 1, 2), &[finish("it is right", &pass)]),
    ];
    let script = env.root().join("session.json");
    fs::write(&script, json!({ "entries": entries }).to_string()).expect("a file");
    format!(
        "cd '{}' && '{}' run 'do it' -w team.yaml --mode bypass --verify true --into fixed \
         --model 'scripted:{}' {flags}",
        env.path("").display(),
        env!("CARGO_BIN_EXE_grafter"),
        script.display()
    )
}

/// Lets the command at a gate go on, and waits until it has.
fn pass(tree: &Path) {
    open_gate(tree);
    let end = Instant::now() + Duration::from_secs(60);
    while tree.join("go").exists() {
        assert!(Instant::now() < end, "it stays");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_teammate_has_a_pane_in_which_it_is_written_to_and_answers() {
    if !is_there() {
        return;
    }
    let env = world();
    let tmux = Tmux::start(&env, &run(&env, "--panes"));
    let tree = at_gate(&env, TREE);
    tmux.until("the teammate's pane", || tmux.panes().len() == 1);
    tmux.until("its title", || tmux.panes()[0].1 == "watch@1 reviewer");
    let pane = tmux.panes()[0].0.clone();
    tmux.until("its transcript", || tmux.shows(&pane).contains("→ bash"));
    tmux.says(&["resize-window", "-x", "120", "-y", "30"]);
    tmux.says(&["send-keys", "-t", &pane, "-l", "mind the gap"]);
    tmux.says(&["send-keys", "-t", &pane, "Enter"]);
    tmux.until("the message", || {
        env.grafter(["why", "watch"]).start().finish().stdout.contains("1 of your messages")
    });
    open_gate(&tree);
    tmux.until("the answer", || tmux.shows(&pane).contains("I heard of the gap and mind it."));
    assert!(tmux.shows(&pane).contains("» mind the gap"), "{}", tmux.shows(&pane));
    open_gate(&at_gate(&env, TREE));
    let shown = tmux.ended();
    assert!(shown.contains("landed"), "{shown}");
    assert_eq!(tmux.panes(), [], "it ends with its agent");
}

#[test]
fn a_pane_that_is_closed_by_hand_takes_nothing_with_it() {
    if !is_there() {
        return;
    }
    let env = world();
    let tmux = Tmux::start(&env, &run(&env, "--panes"));
    let tree = at_gate(&env, TREE);
    tmux.until("the teammate's pane", || tmux.panes().len() == 1);
    tmux.says(&["kill-pane", "-t", &tmux.panes()[0].0]);
    pass(&tree);
    pass(&at_gate(&env, TREE));
    tmux.ended();
    assert_eq!(env.git(["show", "fixed:b.txt"]), "two");
}

#[test]
fn a_run_that_is_killed_leaves_no_pane() {
    if !is_there() {
        return;
    }
    let env = world();
    let tmux = Tmux::start(&env, &run(&env, "--panes"));
    at_gate(&env, TREE);
    tmux.until("the teammate's pane", || tmux.panes().len() == 1);
    let run = newest(&env);
    let list = env.grafter(["status"]).ok().stdout;
    let (_, pid) = list.split_once("running (process ").expect("it runs");
    let (pid, _) = pid.split_once(')').expect("its process");
    env.program("kill", ["-KILL", pid]).ok();
    tmux.until("no pane", || tmux.panes().is_empty());
    let attach = ["attach", "watch@1", "--run", &run];
    assert_eq!(left(&attach), 0);
}

#[test]
fn without_tmux_the_run_says_so_and_goes_on() {
    for (socket, why) in [("", "needs a tmux around it"), ("/nowhere,1,0", "tmux")] {
        let env = world();
        let line = run(&env, "--panes");
        let running = env.program("bash", ["-c", &line]);
        let running = running.env("TMUX", socket).env("TMUX_PANE", "%0").start();
        for _ in 0..2 {
            pass(&at_gate(&env, TREE));
        }
        let output = running.finish();
        assert_eq!(output.status.code(), Some(0), "{}", output.text());
        let told: Vec<_> =
            output.stderr.lines().filter(|line| line.starts_with("panes: ")).collect();
        assert!(told.len() == 1 && told[0].contains(why), "{}", output.stderr);
        assert!(told[0].contains("`grafter attach AGENT` in any terminal"), "{}", told[0]);
    }
}
