//! A stage for tests: a repository, a tree, a model that says what the test tells it, and a
//! dispatcher that grants what the test lets it grant.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{
        assignment::{Assignment, Bench, Contract, Limits},
        work::work,
    },
    git::{
        repo::Repo,
        snapshot::Tracker,
        tree::{self, TreeSpec},
    },
    guard::decide::Policy,
    journal::writer::Journal,
    protocol::{
        event::Event,
        ids::{AgentId, CallId, NodeId, RunId},
        message::{Block, CacheScope, Message, Reply, Segment, Speaker, StopReason, ToolCall},
        outcome::Outcome,
        request::{Approval, Request, Reservation},
        task::{EditFormat, Mode, Phase},
        usage::Usage,
    },
    provider::model::{Ask, Cue, Model, ModelError, ModelInfo, Sink},
    sandbox::{
        host::{HostCommand, run},
        place::{Place, PlaceSpec},
        probe::Backend,
    },
    tools::{desk::Desk, reads::ReadSet},
};

/// What the fake model does when it is asked for one turn: the first item at the first time.
pub type Lines = Vec<Result<Reply, ModelError>>;

/// Returns a reply that calls these tools.
pub fn calls(calls: &[(&str, Value)]) -> Reply {
    let blocks = calls.iter().enumerate().map(|(index, (name, input))| {
        let id = CallId::new(format!("call_{index}"));
        Block::Call(ToolCall { id, name: (*name).to_owned(), input: input.clone() })
    });
    reply(blocks.collect(), StopReason::ToolUse)
}

/// Returns a reply of words.
pub fn says(text: &str) -> Reply {
    reply(vec![Block::Text(text.to_owned())], StopReason::EndTurn)
}

/// Returns a reply of these blocks.
pub fn reply(blocks: Vec<Block>, stop: StopReason) -> Reply {
    let usage = Usage { input: 100, output: 10, ..Usage::default() };
    Reply { message: Message { speaker: Speaker::Assistant, blocks }, stop, usage }
}

/// Returns the arguments of a successful finish.
pub fn done() -> Value {
    json!({ "status": "succeeded", "summary": "all done" })
}

/// A model that follows a script by turn and keeps what it was asked.
pub struct Actor {
    info: ModelInfo,
    script: Vec<Lines>,
    asks: Mutex<Vec<Ask>>,
    hang_up: Option<(u32, CancellationToken)>,
}

/// How a run ends early.
#[derive(Clone, Copy, Debug)]
pub enum HangUp {
    /// Nothing new begins.
    Stop,
    /// Running calls are given up.
    Cancel,
}

impl Model for Actor {
    fn name(&self) -> &'static str {
        "actor"
    }

    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn ask<'a>(
        &'a self,
        ask: &'a Ask,
        _: Sink<'a>,
        _: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Reply, ModelError>> {
        let turn = ask.cue.turn;
        if let Some((_, token)) = self.hang_up.as_ref().filter(|(at, _)| *at == turn) {
            token.cancel();
        }
        let mut asks = self.asks.lock().unwrap();
        let before = asks.iter().filter(|ask| ask.cue.turn == turn).count();
        asks.push(ask.clone());
        let lines = &self.script[turn as usize];
        let line = lines[before.min(lines.len() - 1)].clone();
        Box::pin(async move { line })
    }
}

/// What an agent plays in.
pub struct Stage {
    dir: TempDir,
    repo: Repo,
    /// What the agent is given; a test changes it before `play`.
    pub assignment: Assignment,
    /// What the model says, by turn.
    pub script: Vec<Lines>,
    /// Its window in tokens.
    pub window: u64,
    /// How many reservations are granted.
    pub grants: u32,
    /// What the user says when asked.
    pub approval: Approval,
    /// How much is allowed without asking.
    pub mode: Mode,
    /// What happens while the model is asked for this turn.
    pub hang_up: Option<(u32, HangUp)>,
}

/// What a play left behind.
#[derive(Debug)]
pub struct Played {
    /// What the agent returned.
    pub outcome: Outcome,
    /// What was recorded, in order.
    pub events: Vec<Event>,
    /// What the model was asked.
    pub asks: Vec<Ask>,
    /// The files of the agent's tree at the end.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// How many reservations were given back.
    pub released: usize,
}

impl Stage {
    /// Returns a stage whose repository has these files.
    pub fn new(phase: Phase, files: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().unwrap();
        let checkout = dir.path().join("checkout");
        for (path, text) in files {
            let path = checkout.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        git(&checkout, &["init", "-q", "-b", "main"]);
        git(&checkout, &["add", "-A"]);
        let who = ["-c", "user.name=t", "-c", "user.email=t@localhost"];
        git(&checkout, &[&who[..], &["commit", "-q", "-m", "base"]].concat());
        let repo = Repo::discover(&checkout).unwrap();
        let assignment = assignment(phase, &repo);
        Self {
            dir,
            repo,
            assignment,
            script: Vec::new(),
            window: 100_000,
            grants: u32::MAX,
            approval: Approval::Yes,
            mode: Mode::Bypass,
            hang_up: None,
        }
    }

    /// Adds a turn.
    pub fn turn(mut self, reply: Reply) -> Self {
        self.script.push(vec![Ok(reply)]);
        self
    }

    /// Returns what an agent makes of the script with one turn more.
    pub fn play_with(&mut self, reply: Reply) -> Played {
        self.script.push(vec![Ok(reply)]);
        let played = self.play();
        self.script.pop();
        played
    }

    /// Returns what an agent makes of the script on a new tree.
    pub fn play(&self) -> Played {
        self.resume(&[], &BTreeMap::new())
    }

    /// Returns what an agent with earlier records makes of the script on a tree in which these
    /// files were left.
    pub fn resume(&self, earlier: &[Event], left: &BTreeMap<PathBuf, Vec<u8>>) -> Played {
        let tree = tempfile::tempdir_in(self.dir.path()).unwrap().keep().join("tree");
        let commit = self.assignment.base.clone();
        tree::make(&self.repo, &TreeSpec { path: tree.clone(), commit, branch: None }).unwrap();
        for (path, bytes) in left {
            fs::create_dir_all(tree.join(path).parent().unwrap()).unwrap();
            fs::write(tree.join(path), bytes).unwrap();
        }
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(self.perform(&tree, earlier))
    }

    async fn perform(&self, tree: &Path, earlier: &[Event]) -> Played {
        let (sink, mut events) = mpsc::unbounded_channel();
        let folder = tempfile::tempdir_in(self.dir.path()).unwrap();
        let run_dir = self.dir.path().join("runs").join(folder.path().file_name().unwrap());
        let journal = Journal::create(&run_dir, RunId::new("r"), sink).unwrap();
        let (stop, cancel) = (CancellationToken::new(), CancellationToken::new());
        let hang_up = self.hang_up.map(|(turn, how)| match how {
            HangUp::Stop => (turn, stop.clone()),
            HangUp::Cancel => (turn, cancel.clone()),
        });
        let actor = Arc::new(Actor {
            info: info(self.window),
            script: self.script.clone(),
            asks: Mutex::default(),
            hang_up,
        });
        let (requests, inbox) = mpsc::unbounded_channel();
        let bench = Bench {
            model: actor.clone(),
            desk: self.desk(tree, requests.clone()).await,
            journal: journal.clone(),
            requests,
            stop,
            cancel,
        };
        let assignment = Assignment { earlier: earlier.to_vec(), ..self.assignment.clone() };
        let dispatcher = tokio::spawn(dispatch(inbox, self.grants, self.approval));
        let outcome = tokio::spawn(work(assignment, bench)).await.unwrap();
        journal.close().await.unwrap();
        let mut recorded = Vec::new();
        while let Some(event) = events.recv().await {
            recorded.push(event);
        }
        let asks = actor.asks.lock().unwrap().clone();
        let released = dispatcher.await.unwrap();
        Played { outcome, events: recorded, asks, files: files(tree), released }
    }

    async fn desk(&self, tree: &Path, requests: UnboundedSender<Request>) -> Desk {
        let home = self.dir.path().join("home");
        let spec = PlaceSpec::new(tree, self.repo.checkout(), &home);
        let spec = PlaceSpec { backend: Backend::None, ..spec };
        let base = self.assignment.base.clone();
        let phase = self.assignment.contract.phase;
        let tracker = (phase == Phase::Implementation)
            .then(|| Arc::new(Mutex::new(Tracker::new(&self.repo, tree, &base).unwrap())));
        Desk {
            place: Place::open(spec).await.unwrap(),
            repo: self.repo.clone(),
            base,
            tracker,
            checks: Vec::new(),
            reads: ReadSet::default(),
            policy: Policy { mode: self.mode, phase, interactive: true },
            requests,
            node: self.assignment.node.clone(),
            agent: self.assignment.agent.clone(),
            offered: Vec::new(),
        }
    }
}

impl Played {
    /// Returns the results that the model was shown in the last request, in order.
    pub fn shown(&self) -> Vec<String> {
        let blocks = self.asks.last().unwrap().messages.iter().flat_map(|m| m.blocks.clone());
        let texts = blocks.filter_map(|block| match block {
            Block::Result(result) => Some(result.content),
            _ => None,
        });
        texts.collect()
    }

    /// Returns the kinds of the records, in order.
    pub fn kinds(&self) -> String {
        let kinds = self.events.iter().map(|event| {
            let json = serde_json::to_value(&event.what).unwrap();
            json["kind"].as_str().unwrap().to_owned()
        });
        kinds.collect::<Vec<_>>().join(" ")
    }
}

fn assignment(phase: Phase, repo: &Repo) -> Assignment {
    let text = "You work on a repository.".to_owned();
    Assignment {
        agent: AgentId::new("node@1"),
        node: NodeId::new("node"),
        cue: Cue {
            run: RunId::new("r"),
            node: "node".into(),
            role: "role".into(),
            phase,
            index: 0,
            sample: 0,
            attempt: 1,
            turn: 0,
        },
        system: vec![Segment { id: "base".into(), cache: CacheScope::Static, text }],
        opening: "the task".into(),
        tools: ["read", "write", "edit", "bash", "report_finding"].map(str::to_owned).to_vec(),
        contract: Contract { phase, gives: BTreeMap::new(), findings: Vec::new() },
        edit_format: EditFormat::Tools,
        limits: Limits { max_turns: 12, max_answers: 3 },
        temperature: None,
        base: repo.resolve("HEAD").unwrap(),
        branch: None,
        earlier: Vec::new(),
    }
}

fn info(window: u64) -> ModelInfo {
    ModelInfo {
        window,
        max_output: 4096,
        price: None,
        edit_format: EditFormat::Tools,
        scripted: true,
        counted: false,
        concurrency: 1,
    }
}

/// Answers an agent's questions; returns how many reservations were given back.
async fn dispatch(mut inbox: UnboundedReceiver<Request>, grants: u32, says: Approval) -> usize {
    let (mut asked, mut released) = (0, 0);
    while let Some(request) = inbox.recv().await {
        match request {
            Request::Reserve { reply, .. } => {
                asked += 1;
                let held = asked <= grants;
                let refused = Reservation::Refused("the budget is used up".into());
                let _ = reply.send(if held { Reservation::Granted } else { refused });
            }
            Request::Release { .. } => released += 1,
            Request::Approve { reply, .. } => drop(reply.send(says)),
            Request::Delegate { reply, .. } => drop(reply.send(Err("nobody is there".into()))),
        }
    }
    released
}

/// Returns the files of a tree, git's own left out.
fn files(tree: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry.file_name() != ".git" {
                let name = entry.path().strip_prefix(tree).unwrap().to_owned();
                files.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    files
}

fn git(dir: &Path, args: &[&str]) {
    let mut command = HostCommand::new("git");
    command.args = args.iter().map(Into::into).collect();
    command.dir = Some(dir.to_owned());
    let output = run(&command).unwrap();
    assert_eq!(output.code, Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
