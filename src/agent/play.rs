//! A stage for tests: a repository, a tree, a model that says what the test tells it, and a
//! dispatcher that grants what the test lets it grant.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tempfile::TempDir;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{
        actor::{Actor, Lines},
        assignment::{Assignment, Bench, Contract, Limits},
        prefix::Prefix,
        reins::Reins,
        work::work,
    },
    git::{
        repo::Repo,
        snapshot::Tracker,
        tree::{self, TreeSpec},
    },
    guard::{decide::Policy, options::Options},
    journal::{blobs::Blobs, writer::Journal},
    prompt::words::Words,
    protocol::{
        event::Event,
        ids::{AgentId, NodeId, Oid, RunId},
        message::{Block, CacheScope, Reply, Segment},
        outcome::Outcome,
        report::Check,
        request::{Answer, Approval, Request, Reservation},
        task::{EditFormat, Mode, Phase},
    },
    provider::model::{Ask, Cue, Model},
    sandbox::{
        host::{HostCommand, run},
        place::{Place, PlaceSpec},
        probe::Backend,
    },
    tools::{desk::Desk, reads::ReadSet, standing::Standing},
};

/// How a run ends early.
#[derive(Clone, Copy, Debug)]
pub enum HangUp {
    /// Nothing new begins.
    Stop,
    /// Running calls are given up.
    Cancel,
}

/// What an agent plays in.
pub struct Stage {
    dir: TempDir,
    repo: Repo,
    base: Oid,
    /// What the agent is given; a test changes it before `play`.
    pub assignment: Assignment,
    /// What the model says, by turn.
    pub script: Vec<Lines>,
    /// Who answers instead of the script.
    pub model: Option<Arc<dyn Model>>,
    /// Who is asked about commands.
    pub classifier: Option<Arc<dyn Model>>,
    /// The user's rules.
    pub rules: Options,
    /// Its window in tokens.
    pub window: u64,
    /// How many reservations are granted.
    pub grants: u32,
    /// Whether nobody answers any question.
    pub gone: bool,
    /// What the user says when asked.
    pub approval: Approval,
    /// How much is allowed without asking.
    pub mode: Mode,
    /// The checks.
    pub checks: Vec<Check>,
    /// Files whose content the task shows.
    pub offered: Vec<String>,
    /// What happens while the model is asked for this turn.
    pub hang_up: Option<(u32, HangUp)>,
    /// What the user says.
    pub reins: Option<Reins>,
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
            base: assignment.base.clone(),
            assignment,
            script: Vec::new(),
            model: None,
            classifier: None,
            rules: Options::default(),
            window: 100_000,
            grants: u32::MAX,
            gone: false,
            approval: Approval::Yes,
            mode: Mode::Bypass,
            checks: Vec::new(),
            offered: Vec::new(),
            hang_up: None,
            reins: None,
        }
    }

    /// Commits these files on top and returns the commit; the run's base stays where it was.
    pub fn candidate(&self, files: &[(&str, &str)]) -> Oid {
        let checkout = self.repo.checkout();
        for (path, text) in files {
            fs::write(checkout.join(path), text).unwrap();
        }
        let who = ["-c", "user.name=t", "-c", "user.email=t@localhost"];
        git(checkout, &[&who[..], &["commit", "-q", "-a", "-m", "candidate"]].concat());
        self.repo.resolve("HEAD").unwrap()
    }

    /// Returns what the agent's newest snapshot says of itself, if there is one.
    pub fn saved(&self) -> String {
        let mut command = HostCommand::new("git");
        let refs = "refs/grafter/snap/r/node@1";
        command.args = ["log", "-1", "--format=%B", refs].map(Into::into).to_vec();
        command.dir = Some(self.repo.checkout().to_owned());
        String::from_utf8_lossy(&run(&command).unwrap().stdout).into_owned()
    }

    /// Adds a link to the commit that the run starts from.
    pub fn link(&mut self, name: &str, target: &str) {
        let checkout = self.repo.checkout();
        symlink(target, checkout.join(name)).unwrap();
        git(checkout, &["add", "-A"]);
        self.base = self.candidate(&[]);
        self.assignment.base = self.base.clone();
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

    /// Returns the context that an agent left for its forks.
    pub fn context(&self, played: &Played) -> Prefix {
        let kept = played.outcome.context.as_ref().unwrap();
        let text = Blobs::of(self.dir.path()).fetch(kept).unwrap();
        serde_json::from_str(&text).unwrap()
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
        let token = CancellationToken::new();
        let reins = self.reins.clone().unwrap_or_else(|| Reins::new(&token, &token));
        let (stop, cancel) = (reins.stop_token(), reins.cancel_token());
        let hang_up = self.hang_up.map(|(turn, how)| match how {
            HangUp::Stop => (turn, stop.clone()),
            HangUp::Cancel => (turn, cancel.clone()),
        });
        let act = move |turn| {
            if let Some((_, token)) = hang_up.as_ref().filter(|(at, _)| *at == turn) {
                token.cancel();
            }
        };
        let actor = Actor::new(self.window, self.script.clone()).acting(Box::new(act));
        let actor = Arc::new(actor);
        let (requests, inbox) = mpsc::unbounded_channel();
        let bench = Bench {
            model: self.model.clone().unwrap_or_else(|| actor.clone()),
            classifier: self.classifier.clone(),
            desk: self.desk(tree, requests.clone()).await,
            journal: journal.clone(),
            requests,
            reins,
            stop,
            cancel,
            window: None,
        };
        let assignment = Assignment { earlier: earlier.to_vec(), ..self.assignment.clone() };
        let (gone, grants, says) = (self.gone, self.grants, self.approval.clone());
        let dispatcher =
            tokio::spawn(async move { if gone { 0 } else { dispatch(inbox, grants, says).await } });
        let outcome = tokio::spawn(work(assignment, bench)).await.unwrap();
        journal.close().await.unwrap();
        let mut recorded = Vec::new();
        while let Some(event) = events.recv().await {
            recorded.push(event);
        }
        let asks = actor.asked();
        let released = dispatcher.await.unwrap();
        Played { outcome, events: recorded, asks, files: files(tree), released }
    }

    async fn desk(&self, tree: &Path, requests: UnboundedSender<Request>) -> Desk {
        let home = self.dir.path().join("home");
        let spec = PlaceSpec::new(tree, self.repo.checkout(), &home);
        let spec = PlaceSpec { backend: Backend::None, ..spec };
        let base = self.assignment.base.clone();
        let phase = self.assignment.contract.phase;
        let interactive = self.approval != Approval::NoTerminal;
        let tracker = (phase == Phase::Implementation)
            .then(|| Arc::new(Mutex::new(Tracker::new(&self.repo, tree, &base).unwrap())));
        Desk {
            place: Place::open(spec).await.unwrap(),
            repo: self.repo.clone(),
            at: base,
            base: self.base.clone(),
            tracker,
            checks: self.checks.clone(),
            reads: ReadSet::default(),
            policy: Policy {
                mode: self.mode,
                phase,
                interactive,
                rules: Arc::new(self.rules.clone()),
                scope: Vec::new(),
            },
            standing: Standing::default(),
            taint: None,
            requests,
            node: self.assignment.node.clone(),
            agent: self.assignment.agent.clone(),
            offered: self.offered.clone(),
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
        fork: None,
        words: Arc::new(Words::shipped().clone()),
        tools: ["read", "write", "edit", "bash", "report_finding"].map(str::to_owned).to_vec(),
        tripwire: None,
        contract: Contract {
            phase,
            gives: BTreeMap::new(),
            findings: Vec::new(),
            continues: false,
        },
        edit_format: EditFormat::Tools,
        limits: Limits { max_turns: 12, max_answers: 3, ..Limits::default() },
        temperature: None,
        base: repo.resolve("HEAD").unwrap(),
        branch: None,
        earlier: Vec::new(),
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
            Request::Approve { question, reply } => {
                let answer = Answer { bound: question.bound, approval: says.clone() };
                drop(reply.send(answer));
            }
            Request::Lead { reply, .. } => drop(reply.send(Err("nobody is there".into()))),
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
