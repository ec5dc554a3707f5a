//! The one select loop that owns the state of a run.
//!
//! Records come back from the journal in file order and are the only thing that changes
//! `RunState`; then `plan::step` says what to do, and it is done here. The loop awaits nothing but
//! what it selects on, journal appends excepted: these end within microseconds, and a decision
//! must be on disk before the next one is made.

mod leading;
mod stopwatch;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender},
        oneshot,
    },
    task::{Id, JoinSet},
    time::{Instant, sleep_until},
};

use crate::{
    agent::reins::Reins,
    coordinator::{
        again,
        audit::{self, Landings},
        brief::{self, Brief},
        budget::Reserved,
        control::{Ask, Call, Command, Reply},
        delegate::{self, Asked, Next},
        dispatch::stopwatch::Stopwatch,
        jobs,
        lead::Wait,
        plan::{self, Busy, Effect, Job},
        shared::{Ended, Shared, blocking},
        state::{RunState, is_terminal},
        team::{Stand, Team},
        unit,
    },
    graph::node::Work,
    journal::writer::JournalError,
    protocol::{
        event::{Event, Level, What},
        ids::{AgentId, NodeId, Oid},
        outcome::Outcome,
        report::RunEnd,
        request::{self, Approval, Request, Reservation},
        usage::Micros,
    },
};

/// What running calls get to end in after a stop was asked for.
const GRACE: Duration = Duration::from_secs(10);

/// The ends of the dispatcher's channels. All are unbounded: control messages are few, and the
/// records that pass here are bounded by the agents' own turns.
pub(super) struct Wires {
    pub(super) records: UnboundedReceiver<Event>,
    pub(super) events: UnboundedSender<Event>,
    pub(super) requests: UnboundedReceiver<Request>,
    pub(super) calls: UnboundedReceiver<Call>,
    pub(super) asks: Option<UnboundedSender<Ask>>,
}

/// What a finished task was.
#[derive(Clone, Debug)]
enum Task {
    Unit(NodeId),
    Job(Job),
}

/// Where a sub-agent's answer goes.
type Answer = oneshot::Sender<Result<Outcome, String>>;

pub(super) struct Dispatcher {
    shared: Arc<Shared>,
    state: RunState,
    busy: Busy,
    reserved: Reserved,
    wires: Wires,
    tasks: JoinSet<Ended>,
    names: HashMap<Id, Task>,
    /// Records by agent, which a unit of a resumed run replays.
    earlier: BTreeMap<AgentId, Vec<Event>>,
    watch: Stopwatch,
    stop_at: Option<Instant>,
    landings: Landings,
    team: Team,
    /// Who waits for agents that it has asked for.
    waits: Vec<Wait>,
}

impl Dispatcher {
    pub(super) fn new(shared: Arc<Shared>, past: Vec<Event>, wires: Wires) -> Self {
        let mut earlier: BTreeMap<AgentId, Vec<Event>> = BTreeMap::new();
        let state = RunState::fold(&past);
        for event in past {
            if let Some(agent) = event.agent.clone() {
                earlier.entry(agent).or_default().push(event);
            }
        }
        let (limit, now) = (Duration::from_millis(shared.options.timeout_ms), Instant::now());
        let mut watch = Stopwatch::new(Duration::from_millis(state.took_ms()), (limit, now));
        watch.hold(state.clock.stands(), now);
        Self {
            shared,
            state,
            watch,
            busy: Busy::default(),
            reserved: Reserved::default(),
            wires,
            tasks: JoinSet::new(),
            names: HashMap::new(),
            earlier,
            stop_at: None,
            landings: Landings::default(),
            team: Team::default(),
            waits: Vec::new(),
        }
    }

    /// Runs until the last record is written; returns how it ended.
    pub(super) async fn run(mut self) -> Result<RunEnd, JournalError> {
        loop {
            self.drain();
            self.answer();
            self.watch_clock();
            if let Some(end) = self.state.end.clone() {
                self.tasks.shutdown().await;
                self.shared.journal.sync().await?;
                return Ok(end);
            }
            let shared = self.shared.clone();
            let effects = plan::step(&shared.graph(), &shared.options, &self.state, &self.busy);
            if effects.is_empty() && self.busy.only_waits() && self.busy.stop.is_none() {
                self.refuse();
            }
            if effects.is_empty() {
                self.wait().await?;
            }
            for effect in effects {
                self.carry_out(effect).await?;
            }
        }
    }

    /// Takes in all records that are there; an append has handed its record over when it returns.
    fn drain(&mut self) {
        while let Ok(event) = self.wires.records.try_recv() {
            self.take(event);
        }
    }

    fn take(&mut self, event: Event) {
        self.state.apply(&event);
        // The same question asked once more, by a second attempt, goes on where its answer broke off.
        if let Some(agent) = event.agent.as_ref().filter(|agent| delegate::is_helper(&agent.node()))
        {
            self.earlier.entry(agent.clone()).or_default().push(event.clone());
        }
        self.watch.hold(self.state.clock.stands(), Instant::now());
        if let Some(sign) = self.tripped(&event) {
            self.stop(RunEnd::Refused(sign));
            self.shared.halt.cancel();
        }
        if matches!(event.what, What::Landed { .. }) {
            self.landings.note(&event.what, self.shared.repo.head_branch().as_deref());
        }
        let answered = matches!(
            event.what,
            What::ModelResult { .. } | What::ModelFailed { .. } | What::WorkerResult(_)
        );
        if let Some(agent) = event.agent.as_ref().filter(|_| answered) {
            self.reserved.release(agent);
        }
        // Nobody listens any more when the front is gone; the run goes on all the same.
        let _ = self.wires.events.send(event);
    }

    /// Returns what a record says of a tripwire that was set off.
    fn tripped(&self, event: &Event) -> Option<String> {
        let sign = match (&event.what, &self.shared.options.tripwire) {
            (What::Tripped { sign }, _) => sign.clone(),
            (What::HostAsked { host, .. }, Some(tripwire)) if tripwire.find(host).is_some() => {
                "asked for a host with the canary string in its name".to_owned()
            }
            _ => return None,
        };
        let who = event.agent.as_ref().map_or("nobody", AgentId::as_str);
        Some(format!("TRIPWIRE: agent {who} {sign}; the run was stopped, see event {}", event.seq))
    }

    async fn wait(&mut self) -> Result<(), JournalError> {
        let stop_at = self.stop_at;
        let grace = async move {
            match stop_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(event) = self.wires.records.recv() => self.take(event),
            Some(done) = self.tasks.join_next_with_id() => self.ended(done).await?,
            Some(request) = self.wires.requests.recv() => {
                // An agent asks after its last record is written; the books must hold that first.
                self.drain();
                match request {
                    Request::Lead { node, errand, reply } => {
                        self.lead(&node, errand, reply).await?;
                    }
                    request => self.request(request),
                }
            }
            Some(call) = self.wires.calls.recv() => self.call(call).await?,
            () = grace, if !self.shared.halt.is_cancelled() => self.shared.halt.cancel(),
            () = self.watch.over(), if self.busy.stop.is_none() => self.watch_clock(),
        }
        Ok(())
    }

    /// Nothing new begins once the time is up, whatever else has happened at that moment.
    fn watch_clock(&mut self) {
        if self.busy.stop.is_none() && self.watch.is_over(Instant::now()) {
            let minutes = self.shared.options.timeout_ms / 60_000;
            self.stop(RunEnd::Budget(format!("{minutes} min are over (--timeout)")));
        }
    }

    fn stop(&mut self, end: RunEnd) {
        self.busy.stop.get_or_insert(end);
        self.stop_at.get_or_insert(Instant::now() + GRACE);
        self.shared.stop.cancel();
    }

    async fn call(&mut self, Call { command, reply }: Call) -> Result<(), JournalError> {
        self.drain();
        let answer = match command {
            Command::Cancel | Command::Kill => {
                self.cancel(command == Command::Kill).await?;
                Reply { ok: true, ..Reply::default() }
            }
            command => {
                let stand = Stand { shared: &self.shared, state: &self.state };
                self.team.obey(stand, command).await?
            }
        };
        // A signal waits for no answer, and whoever has asked may be gone.
        let _ = reply.map(|reply| reply.send(Box::new(answer)));
        Ok(())
    }

    async fn cancel(&mut self, at_once: bool) -> Result<(), JournalError> {
        if self.stop_at.is_none() {
            self.shared.journal.append(None, None, What::CancelAsked).await?;
        }
        self.stop(RunEnd::Interrupted);
        if at_once {
            self.shared.halt.cancel();
        }
        Ok(())
    }

    fn reserve(&mut self, (agent, cost, tokens): (&AgentId, Micros, u64)) -> Reservation {
        if self.busy.stop.is_some() {
            return Reservation::Refused("the run is stopping".to_owned());
        }
        let share = self.state.share(&self.shared.graph(), agent);
        let within = |share| self.reserved.within(&share, &self.state, (agent, cost));
        if let Some(Err(why)) = share.map(within) {
            return Reservation::Spent(why);
        }
        let granted = self.reserved.take(&self.shared.options, &self.state, (agent, cost, tokens));
        granted.map_or_else(Reservation::Refused, |()| Reservation::Granted)
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Reserve { agent, cost, tokens, reply } => {
                let ask = (&agent, cost, tokens);
                let _ = reply.send(self.reserve(ask));
            }
            Request::Release { agent } => self.reserved.release(&agent),
            Request::Approve { question, reply } => match &self.wires.asks {
                Some(asks) => {
                    let _ = asks.send(Ask { question, reply });
                }
                None => {
                    let approval = Approval::NoTerminal;
                    let _ = reply.send(request::Answer { bound: question.bound, approval });
                }
            },
            Request::Delegate { node, at, question, reply } => {
                self.delegate((&node, at), question, reply);
            }
            Request::Lead { reply, .. } => drop(reply),
        }
    }

    fn delegate(&mut self, (node, at): (&NodeId, Oid), question: String, reply: Answer) {
        // What a writer has written since it began is in its newest snapshot.
        let written = self.agent_of(node).and_then(|agent| again::saved(&self.shared, &agent));
        let at = written.unwrap_or(at);
        let seen = (at != self.shared.started.base).then_some(&at);
        match delegate::next(&self.state, node, (&question, seen)) {
            Next::Done(outcome) => {
                let _ = reply.send(Ok(*outcome));
            }
            Next::Refused(why) => {
                let _ = reply.send(Err(why));
            }
            Next::Begin(id) if self.busy.units.contains(&id) => {
                let _ = reply.send(Err("a helper is at this very question already".to_owned()));
            }
            Next::Begin(id) => {
                let agent = delegate::agent(&id);
                let (earlier, reins) = (self.earlier_of(&agent), self.join(&agent));
                let asked = Asked { id: id.clone(), at, question, earlier, reins, reply };
                let shared = self.shared.clone();
                let task = self.tasks.spawn(async move {
                    delegate::run(shared, asked).await;
                    None
                });
                self.names.insert(task.id(), Task::Unit(id.clone()));
                self.busy.units.insert(id);
            }
        }
    }

    fn join(&mut self, agent: &AgentId) -> Reins {
        self.team.join(Stand { shared: &self.shared, state: &self.state }, agent)
    }

    /// Lets the agent of a node go, with all that it leaves behind.
    async fn leave(&mut self, node: &NodeId) -> Result<(), JournalError> {
        let Some(agent) = self.team.leave(node) else { return Ok(()) };
        self.reserved.release(&agent);
        self.reserved.release(&agent.classifier());
        let unseen = self.state.told.of_user(&agent);
        if unseen == 0 || !is_terminal(self.state.state_of(node)) {
            return Ok(());
        }
        let text = format!("{agent} ended before it saw {unseen} of your messages");
        let note = What::Note { level: Level::Warning, text };
        self.shared.journal.append(Some(node), Some(&agent), note).await.map(drop)
    }

    fn earlier_of(&self, agent: &AgentId) -> Vec<Event> {
        self.earlier.get(agent).cloned().unwrap_or_default()
    }

    async fn ended(
        &mut self,
        done: Result<(Id, Ended), tokio::task::JoinError>,
    ) -> Result<(), JournalError> {
        let (id, end) = match done {
            Ok((id, end)) => (id, end),
            Err(error) => {
                let text = format!("a part of grafter failed: {error}");
                (error.id(), Some(RunEnd::Infrastructure(text)))
            }
        };
        // The unit's last records are in the channel by now; its node is finished or unfinished.
        self.drain();
        match self.names.remove(&id) {
            Some(Task::Unit(node)) => {
                self.busy.units.remove(&node);
                self.leave(&node).await?;
                self.dismiss(&node).await?;
            }
            Some(Task::Job(job)) => {
                self.busy.jobs.remove(&job);
            }
            None => {}
        }
        if let Some(end) = end {
            self.stop(end);
        }
        Ok(())
    }

    async fn carry_out(&mut self, effect: Effect) -> Result<(), JournalError> {
        let journal = self.shared.journal.clone();
        match effect {
            Effect::Start(id) => {
                if let Some(what) = brief::started(&self.shared, &self.state, &id) {
                    journal.append(Some(&id), None, what).await?;
                }
            }
            Effect::Skip(id, why) => {
                journal.append(Some(&id), None, What::NodeSkipped { why }).await?;
            }
            Effect::Park(id, why) => {
                let what = brief::parked(&self.shared, &self.state, &id, &why);
                journal.append(Some(&id), None, what).await?;
            }
            Effect::Run(id) => self.run_unit(id),
            Effect::Begin(job) => self.begin(job),
            Effect::SendBack { nodes, failed } => {
                let feedback = brief::feedback(&self.shared, &self.state, &failed);
                let feedback = journal.keep(feedback)?;
                journal.append(None, None, What::NodesReset { nodes, feedback }).await?;
            }
            Effect::Judge(verdict) => {
                if let Some(candidate) = self.state.candidate.clone() {
                    let candidate = candidate.candidate;
                    let what = What::VerdictGiven { candidate, verdict };
                    journal.append(None, None, what).await?;
                }
            }
            Effect::Finish(end) => {
                self.audit().await?;
                let (usage, cost) = (self.state.usage, self.state.cost);
                // The last record may be long past, when a call was waited for in vain.
                let took_ms =
                    u64::try_from(self.watch.took(Instant::now()).as_millis()).unwrap_or(u64::MAX);
                let took_ms = took_ms.max(self.state.took_ms());
                journal.append(None, None, What::RunFinished { end, usage, cost, took_ms }).await?;
            }
        }
        Ok(())
    }

    /// Records what of the user's side of the repository is not as it was.
    async fn audit(&self) -> Result<(), JournalError> {
        let (shared, landings) = (self.shared.clone(), self.landings.clone());
        let compare = move || audit::compare(&shared.repo, &shared.before, &landings);
        let what = What::Audited(blocking(compare).await);
        self.shared.journal.append(None, None, what).await.map(drop)
    }

    fn run_unit(&mut self, id: NodeId) {
        let Some(mut brief) = Brief::of(&self.shared, &self.state, &id) else {
            self.stop(RunEnd::Infrastructure(format!("the journal names an unknown node `{id}`")));
            return;
        };
        brief.earlier = self.earlier_of(&brief.agent());
        brief.sees = brief::sees(&self.shared, &self.state, &brief);
        if let Work::Agent(_) = brief.node.work {
            brief.reins = self.join(&brief.agent());
        }
        let task = self.tasks.spawn(unit::run(self.shared.clone(), brief));
        self.names.insert(task.id(), Task::Unit(id.clone()));
        self.busy.units.insert(id);
    }

    fn begin(&mut self, job: Job) {
        let task = self.tasks.spawn(jobs::run(self.shared.clone(), self.state.clone(), job));
        self.names.insert(task.id(), Task::Job(job));
        self.busy.jobs.insert(job);
    }
}
