//! `--panes`: each agent of a run that is started inside tmux has a pane beside it while it works.
//!
//! A pane runs `grafter attach`, so all it can do any other terminal can do as well. What is open is
//! a fold of the run's events, made on a thread of its own: tmux can be slow, full or gone, and the
//! run neither waits for it nor fails with it. A pane is closed by its number, which tmux gives to no
//! other one; one that the user has closed stays closed.

use std::{collections::BTreeSet, env, ffi::OsString, path::PathBuf, time::Duration};

use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::{JoinHandle, spawn_blocking},
};

use crate::{
    cli::{
        context::Context,
        exit::{Failure, Kind, OrFail},
    },
    protocol::{
        event::{Event, What},
        ids::{AgentId, RunId},
    },
    sandbox::host::{self, HostCommand},
    ui::{
        show::Screen,
        view::{NodeView, View},
    },
};

/// Panes that are open at once; more would leave none of them a line to read.
const MOST: usize = 6;
/// How long tmux may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes that tmux may answer.
const LONGEST: usize = 64 << 10;
/// What decides where `attach` finds the run; tmux starts a pane with the variables of its server.
const HANDED: [&str; 6] = [
    "HOME",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR",
    "GIT_CONFIG_GLOBAL",
    "NO_COLOR",
];
/// What is said where there is no pane.
const HINT: &str =
    "`grafter attach AGENT` in any terminal shows an agent, and `grafter ps` names them";

/// Where panes are opened, and what for.
#[derive(Debug)]
pub(super) struct Panes {
    /// The server's socket and the pane that the run is in; none outside tmux.
    inside: Option<(OsString, String)>,
    program: PathBuf,
    checkout: PathBuf,
}

/// A pane for each agent at work.
struct Wall {
    panes: Panes,
    run: RunId,
    screen: Screen,
    /// Panes by agent, the oldest first.
    open: Vec<(AgentId, String)>,
    /// Who had one, also where its user has closed it.
    had: BTreeSet<AgentId>,
    has_warned: bool,
    /// Whether tmux has left a call without an answer: nothing waits for it twice.
    is_silent: bool,
}

impl Panes {
    /// Returns where this process can open panes, if the user wants them.
    pub(super) fn wanted(context: &Context, wanted: bool) -> Result<Option<Self>, Failure> {
        if !wanted {
            return Ok(None);
        }
        let socket = env::var_os("TMUX").and_then(|text| {
            let text = text.into_string().ok()?;
            // Path, process and session, of which only the path may hold commas.
            let path = text.rsplitn(3, ',').nth(2)?.to_owned();
            Some(OsString::from(path))
        });
        let own = env::var("TMUX_PANE").ok().filter(|pane| pane.starts_with('%'));
        let program = env::current_exe().or_fail(Kind::Infrastructure)?;
        let checkout = context.repo.checkout().to_owned();
        Ok(Some(Self { inside: socket.zip(own), program, checkout }))
    }

    /// Opens and closes panes as the events say; returns where these go on to, and the end of it.
    pub(super) fn follow(
        self,
        (run, screen): (RunId, Screen),
        past: View,
        mut events: UnboundedReceiver<Event>,
    ) -> (UnboundedReceiver<Event>, JoinHandle<()>) {
        let (on, shown) = unbounded_channel();
        let (open, wanted) = unbounded_channel();
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                // Nobody needs to look.
                let _ = open.send(event.clone());
                let _ = on.send(event);
            }
        });
        let (open, had) = (Vec::new(), BTreeSet::new());
        let (has_warned, is_silent) = (false, false);
        let wall = Wall { panes: self, run, screen, open, had, has_warned, is_silent };
        (shown, spawn_blocking(move || wall.stand(past, wanted)))
    }
}

impl Wall {
    fn stand(mut self, past: View, mut events: UnboundedReceiver<Event>) {
        let mut view = past;
        self.hang(&view);
        while let Some(event) = events.blocking_recv() {
            view.apply(&event);
            if changes_who_works(&event.what) {
                self.hang(&view);
            }
        }
        self.take_down(|_| false);
    }

    /// Opens panes for those at work, and closes those of all others.
    fn hang(&mut self, view: &View) {
        let working = working(view);
        self.take_down(|agent| working.iter().any(|(id, _)| id == agent));
        for (agent, title) in working {
            if self.open.len() < MOST && !self.had.contains(&agent) {
                self.had.insert(agent.clone());
                match self.open(&agent, &title) {
                    Ok(pane) => self.open.push((agent, pane)),
                    Err(why) => self.warn(&why),
                }
            }
        }
    }

    fn open(&mut self, agent: &AgentId, title: &str) -> Result<String, String> {
        let Some((_, own)) = &self.panes.inside else {
            return Err("--panes needs a tmux around it".to_owned());
        };
        // The first one stands beside the run, the others below that one.
        let (side, target) = self.open.last().map_or(("-h", own), |(_, pane)| ("-v", pane));
        let mut args: Vec<OsString> =
            ["split-window", "-d", "-P", "-F", "#{pane_id}", side, "-t", target.as_str()]
                .map(OsString::from)
                .to_vec();
        for name in HANDED {
            let mut set = OsString::from(format!("{name}="));
            if let Some(value) = env::var_os(name) {
                set.push(value);
                args.extend(["-e".into(), set]);
            }
        }
        let (program, checkout) = (self.panes.program.clone(), self.panes.checkout.clone());
        args.extend([program.into(), "-C".into(), checkout.into(), "attach".into()]);
        args.extend([agent.as_str(), "--run", self.run.as_str()].map(OsString::from));
        let pane = self.tmux(args)?.trim().to_owned();
        // A pane without a title, or of another height, shows the same.
        let _ = self.tmux(["select-pane", "-t", &pane, "-T", title].map(OsString::from));
        let _ = self.tmux(["select-layout", "-E", "-t", &pane].map(OsString::from));
        Ok(pane)
    }

    fn take_down(&mut self, stays: impl Fn(&AgentId) -> bool) {
        let (open, gone) =
            std::mem::take(&mut self.open).into_iter().partition(|(id, _)| stays(id));
        self.open = open;
        for (_, pane) in gone {
            // It may have closed itself, or its user has.
            let _ = self.tmux(["kill-pane", "-t", &pane].map(OsString::from));
        }
    }

    fn tmux(&mut self, args: impl IntoIterator<Item = OsString>) -> Result<String, String> {
        if self.is_silent {
            return Err("tmux does not answer".to_owned());
        }
        let socket = self.panes.inside.as_ref().map(|(socket, _)| socket.clone());
        let head = [OsString::from("-S"), socket.unwrap_or_default()];
        let args = head.into_iter().chain(args.into_iter().map(whole)).collect();
        let command = HostCommand {
            args,
            deadline: PATIENCE,
            max_output: LONGEST,
            ..HostCommand::new("tmux")
        };
        let output = host::run(&command).map_err(|error| {
            self.is_silent = true;
            error.to_string()
        })?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        match output.code {
            Some(0) => Ok(text(&output.stdout)),
            _ => Err(format!("tmux says: {}", text(&output.stderr))),
        }
    }

    fn warn(&mut self, why: &str) {
        if !std::mem::replace(&mut self.has_warned, true) {
            self.screen.say(&format!("panes: {why}; {HINT}"));
        }
    }
}

/// Returns an argument that tmux does not take for the end of a command.
fn whole(arg: OsString) -> OsString {
    match arg.into_string() {
        Ok(text) => text.strip_suffix(';').map_or(text.clone(), |rest| format!("{rest}\\;")).into(),
        Err(arg) => arg,
    }
}

fn changes_who_works(what: &What) -> bool {
    matches!(
        what,
        What::NodeStarted { .. }
            | What::NodeFinished { .. }
            | What::NodeSkipped { .. }
            | What::NodesReset { .. }
            | What::RunFinished { .. }
    )
}

/// Returns the agents at work, each with its title.
fn working(view: &View) -> Vec<(AgentId, String)> {
    let agents = |node: &&NodeView| node.role != "checks" && view.end.is_none();
    let working = view.running().filter(agents);
    let named = working.filter_map(|node| {
        let agent = AgentId::of(node.id.as_ref()?, node.attempt);
        let title = format!("{agent} {}", node.role);
        // tmux reads a title as a format, which can run commands.
        let plain = |c: char| c.is_ascii_alphanumeric() || " .@~-_".contains(c);
        Some((agent, title.chars().filter(|c| plain(*c)).collect()))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{protocol::ids::NodeId, ui::view::NodeState};

    #[test]
    fn a_pane_is_for_an_agent_at_work_and_its_title_runs_nothing() {
        let node = |id: &str, role: &str, state: NodeState| {
            let mut node = NodeView::default();
            (node.id, node.attempt) = (Some(NodeId::new(id)), 2);
            (node.role, node.state) = (role.to_owned(), state);
            node
        };
        let mut view = View::default();
        view.nodes = vec![
            node("look.0", "#(touch x) #{pane_id};", NodeState::Running),
            node("checks", "checks", NodeState::Running),
            node("done", "reviewer", NodeState::Succeeded),
        ];
        let expected = (AgentId::new("look.0@2"), "look.0@2 touch x pane_id".to_owned());
        assert_eq!(working(&view), [expected]);
    }

    #[test]
    fn no_argument_ends_a_command() {
        assert_eq!(whole("a;".into()), "a\\;");
        assert_eq!(whole("a;b".into()), "a;b");
    }
}
