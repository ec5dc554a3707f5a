//! A desk on a folder of its own, for the tests of all tools.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;

use crate::{
    git::fixture::Fixture,
    guard::decide::Policy,
    protocol::{
        ids::{AgentId, CallId, NodeId},
        message::ToolCall,
        report::{Check, Origin},
        request::Request,
        task::{Mode, Phase},
    },
    sandbox::{
        place::{Place, PlaceSpec},
        probe::Backend,
    },
    tools::{
        answer::ToolAnswer,
        catalogue::catalogue,
        desk::{Desk, Ready},
        reads::ReadSet,
        standing::Standing,
    },
};

/// A desk, its tree and the repository behind it.
pub(crate) struct Bench {
    pub(crate) place: Arc<Place>,
    pub(crate) desk: Desk,
    asked: Option<UnboundedReceiver<Request>>,
    fixture: Fixture,
}

impl Bench {
    pub(crate) async fn new(files: &[(&str, &str)]) -> Self {
        let fixture = Fixture::small();
        let (tree, home) = (fixture.beside("tree"), fixture.beside("home"));
        fs::create_dir_all(&tree).expect("makes");
        // The helper is another program than a test; without confinement none is needed, and
        // the tree is seen where it is.
        let spec = PlaceSpec {
            backend: Backend::None,
            ..PlaceSpec::new(&tree, Path::new("/repo"), &home)
        };
        let place = Place::open(spec).await.expect("opens");
        let (requests, asked) = unbounded_channel();
        let desk = Desk {
            place: Arc::clone(&place),
            repo: fixture.repo(),
            base: fixture.oid("HEAD"),
            at: fixture.oid("HEAD"),
            tracker: None,
            checks: Vec::new(),
            reads: ReadSet::default(),
            policy: Policy {
                mode: Mode::Bypass,
                phase: Phase::Implementation,
                interactive: false,
                rules: Arc::default(),
                scope: Vec::new(),
            },
            standing: Standing::default(),
            taint: None,
            requests,
            node: NodeId::new("implement"),
            agent: AgentId::new("implement@1"),
            offered: Vec::new(),
        };
        let bench = Self { place, desk, asked: Some(asked), fixture };
        for (path, text) in files {
            let path = bench.path(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("makes");
            fs::write(path, text).expect("writes");
        }
        bench
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.fixture.beside("tree").join(path)
    }

    pub(crate) fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.path(path)).ok()
    }

    pub(crate) fn checks(&mut self, commands: &[&str]) {
        let check =
            |command: &&str| Check { command: (*command).to_owned(), origin: Origin::Named };
        self.desk.checks = commands.iter().map(check).collect();
    }

    pub(crate) fn requests(&mut self) -> UnboundedReceiver<Request> {
        self.asked.take().expect("taken once")
    }

    /// Makes a call in a phase that the tool is for.
    pub(crate) async fn call(&self, tool: &str, input: Value) -> ToolAnswer {
        let mut desk = self.desk.clone();
        let phases = &catalogue().get(tool).expect("a tool").phases;
        if !phases.contains(&desk.policy.phase) {
            desk.policy.phase = phases[0];
        }
        let call = ToolCall { id: CallId::new("1"), name: tool.to_owned(), input };
        match desk.prepare(&call, &all()).outcome {
            Ready::Ready(cleared) => desk.run(cleared, &CancellationToken::new()).await,
            Ready::Refused(answer) => answer,
            Ready::Ask { why, .. } => ToolAnswer::error(format!("asked: {why}")),
            Ready::Unsure(unsure) => ToolAnswer::error(unsure.query().text().to_owned()),
        }
    }

    pub(crate) async fn says(&self, tool: &str, input: Value) -> String {
        let answer = self.call(tool, input).await;
        assert!(!answer.is_error, "{}", answer.content);
        answer.content
    }

    pub(crate) async fn fails(&self, tool: &str, input: Value) -> String {
        let answer = self.call(tool, input).await;
        assert!(answer.is_error, "{}", answer.content);
        answer.content
    }
}

pub(crate) fn all() -> Vec<String> {
    catalogue().names().map(str::to_owned).collect()
}
