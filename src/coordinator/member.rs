//! One agent of a run: its prompt, its place, its conversation.

use std::sync::Arc;

use crate::{
    agent::{
        assignment::{Assignment, Bench, Contract, Limits},
        prefix::Prefix,
        reins::Doing,
        work::work,
    },
    coordinator::{
        brief::Brief,
        commits, key,
        scene::{self, Staged},
        shared::{Shared, blocking, broken},
        unit,
        window::Window,
        worker::Call,
    },
    external::options::Hired,
    graph::node::{AgentWork, Node},
    guard::{decide::Policy, modes},
    prompt::assemble::Assembled,
    protocol::{
        event::{Event, Kept, What},
        ids::{Key, Oid},
        outcome::{Failure, Outcome, Review, Status},
        report::RunEnd,
        task::{AgentKind, EditFormat, Mode, Phase},
    },
    provider::model::Cue,
    sandbox::grants::Grants,
    subagent::housing::{HousingError, Lodging, Wish},
    tools::{desk::Desk, reads::ReadSet},
};

/// Who works, for whom, and as what.
pub(super) struct Member<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) brief: &'a Brief,
    pub(super) agent: &'a AgentWork,
}

impl Member<'_> {
    /// Returns what the agent comes to, and whether a stored result was used.
    pub(super) async fn outcome(&self) -> Result<(Outcome, bool), RunEnd> {
        let worker = self.worker()?;
        let fork = self.fork()?;
        let scene = self.staged(fork.as_deref()).await?;
        let key = self.key(&scene.sha);
        if let Some(outcome) = self.reuse(&key).await? {
            return Ok((outcome, true));
        }
        let lodging = self.lodge().await?;
        let (reins, window) = (&self.brief.reins, Window::default());
        let work = async {
            match worker {
                Some(worker) => {
                    let (shared, brief, start) = (self.shared, self.brief, self.start());
                    // Nobody answers for it, so what the guard would ask about does not pass.
                    let mut desk = self.desk(&lodging, Vec::new());
                    desk.policy.interactive = false;
                    Call { shared, brief, worker, desk, start }
                        .outcome(&scene.prompt, &lodging)
                        .await
                }
                None => {
                    let bench = self.bench(&lodging, scene.offered, &window);
                    work(self.assignment(scene.prompt, fork), bench).await
                }
            }
        };
        let mut outcome = tokio::select! {
            outcome = work => outcome,
            // It is dropped with what it runs, whatever that is.
            () = reins.overdue() => unit::cancelled(Outcome::succeeded(""), reins),
        };
        if reins.is_cancelled() {
            outcome = unit::cancelled(outcome, reins);
        }
        reins.note(Doing::Leaving);
        window.close(self.shared);
        let outcome = self.leave(lodging, judged(outcome)).await?;
        // What a user's words led to is no answer to the same orders without them.
        if outcome.status == Status::Succeeded && !reins.has_heard() {
            commits::keep(self.shared, &key, outcome.commit.as_ref()).await;
            key::store(self.shared, &key, &outcome);
        }
        Ok((outcome, false))
    }

    async fn staged(&self, fork: Option<&Prefix>) -> Result<Staged, RunEnd> {
        let (shared, brief, agent) = (self.shared, self.brief, self.agent);
        match (&brief.asked, fork) {
            (Some(asked), Some(prefix)) => scene::question(shared, asked, (agent, prefix)),
            _ => scene::scene(shared, brief, (agent, self.format())).await,
        }
    }

    fn writes(&self) -> bool {
        self.brief.node.writes()
    }

    /// Returns who works in the model's stead, if somebody does.
    fn worker(&self) -> Result<Option<&Hired>, RunEnd> {
        let named = self.shared.options.worker.as_ref().or(self.agent.worker.as_ref());
        let Some(name) = named.filter(|_| self.writes()) else { return Ok(None) };
        let unknown =
            || RunEnd::Refused(format!("there is no worker `{name}` in your config.toml"));
        self.shared.workers.get(name).map(Some).ok_or_else(unknown)
    }

    fn format(&self) -> EditFormat {
        if !self.writes() || matches!(self.worker(), Ok(Some(_))) {
            return EditFormat::Tools;
        }
        let own = self.shared.options.edit_format.or(self.agent.edit_format);
        own.unwrap_or(self.shared.options.model_format)
    }

    /// The commit the agent's tree stands at when it begins.
    ///
    /// A repair goes on from the work that failed; a model that answers in text begins where it
    /// began before, because a fresh sample beats mending what a weak one left. A part begins on
    /// what is joined of the others.
    fn start(&self) -> Oid {
        let brief = self.brief;
        if let Some(asked) = &brief.asked {
            return asked.at.clone();
        }
        if let Some(sees) = &brief.sees {
            return sees.clone();
        }
        let goes_on = self.format() == EditFormat::Tools && brief.part.is_none();
        match (brief.node.phase, &brief.candidate, &brief.commit) {
            (Phase::Verification, Some(made), _) => made.candidate.clone(),
            (Phase::Implementation, _, Some(commit)) if goes_on => commit.clone(),
            (Phase::Implementation, ..) => brief.begin.clone(),
            _ => self.shared.started.base.clone(),
        }
    }

    /// Names everything the answer depends on.
    fn key(&self, prompt: &str) -> Key {
        let brief = self.brief;
        let base = self.shared.started.base.as_str();
        // A candidate's commit is another one in every run; what a reviewer sees is its tree.
        let start = match (brief.node.phase, &brief.candidate) {
            (Phase::Verification, Some(made)) => made.tree.clone(),
            _ => self.start(),
        };
        let node = serde_json::to_string(&brief.node).unwrap_or_default();
        let sample = format!("{}/{}", brief.index, brief.attempt);
        let commands = self.shared.options.checks.iter().map(|check| check.command.as_str());
        let commands = commands.collect::<Vec<_>>().join("\n");
        let words = serde_json::to_string(&**self.shared.prompts.words()).unwrap_or_default();
        let context = serde_json::to_string(&brief.context).unwrap_or_default();
        let mut parts = vec![
            ("node", node.as_str()),
            ("prompt", prompt),
            ("words", &words),
            ("base", base),
            ("start", start.as_str()),
            ("sample", &sample),
            ("edit format", self.format().name()),
            ("checks", &commands),
            ("context", &context),
        ];
        if let Ok(Some(worker)) = self.worker() {
            parts.extend([("worker", &*worker.name), ("its settings", &*worker.written)]);
        }
        key::of_agent(self.shared, &parts)
    }

    async fn reuse(&self, key: &Key) -> Result<Option<Outcome>, RunEnd> {
        // A conversation that was begun is finished, not replaced.
        let began =
            |event: &Event| matches!(event.what, What::ModelIntent { .. } | What::WorkerIntent(_));
        if self.brief.earlier.iter().any(began) {
            return Ok(None);
        }
        let Some(outcome) = key::lookup::<Outcome>(self.shared, key) else { return Ok(None) };
        // Forks need its conversation, which it may have been stored without, or which is gone.
        let has_context = |kept: &Option<Kept>| {
            kept.as_ref().is_some_and(|kept| self.shared.journal.fetch(kept).is_ok())
        };
        if self.has_forks() && !has_context(&outcome.context) {
            return Ok(None);
        }
        let Some(commit) = outcome.commit.clone() else { return Ok(Some(outcome)) };
        // A commit that was pruned since is no result any more.
        let (repo, held) = (self.shared.repo.clone(), commit.clone());
        if blocking(move || repo.tree_of(&held)).await.is_err() {
            return Ok(None);
        }
        commits::record(self.shared, self.brief, (&commit, Vec::new())).await?;
        Ok(Some(outcome))
    }

    async fn lodge(&self) -> Result<Lodging, RunEnd> {
        let (shared, brief) = (self.shared, self.brief);
        let agent = brief.agent();
        let who = (&brief.id, &agent);
        let base = shared.started.base.clone();
        let lodging = match brief.node.phase {
            Phase::Research | Phase::Synthesis if self.start() == base => {
                shared.housing.reader(&base).await
            }
            Phase::Research | Phase::Synthesis => {
                self.visit(brief.id.as_str().replace('~', "-")).await
            }
            Phase::Implementation => {
                let branch = Some(brief.branch(shared));
                let grants = self.worker()?.map(|worker| worker.grants.clone());
                let grants = grants.unwrap_or_default();
                let name = match brief.part {
                    Some(_) => format!("writer-{}", brief.id),
                    None => "writer".to_owned(),
                };
                let wish = Wish { name, commit: brief.ground.clone(), branch, grants };
                shared.housing.writer(who, &wish).await
            }
            Phase::Verification => {
                self.visit(format!("review-{}", agent.as_str().replace('@', "-"))).await
            }
        };
        lodging.map_err(|error| broken(&error))
    }

    async fn visit(&self, name: String) -> Result<Lodging, HousingError> {
        let (commit, grants) = (self.start(), Grants::default());
        let wish = Wish { name, commit, branch: None, grants };
        self.shared.housing.visitor((&self.brief.id, &self.brief.agent()), &wish).await
    }

    fn mode(&self) -> Mode {
        modes::inherited(self.shared.options.mode, self.agent.mode)
    }

    /// Returns what a fork takes over.
    fn fork(&self) -> Result<Option<Arc<Prefix>>, RunEnd> {
        let kept = self.brief.context.as_ref();
        kept.map(|kept| self.shared.contexts.get(&self.shared.journal, kept)).transpose()
    }

    fn has_forks(&self) -> bool {
        let forks =
            |node: &Node| node.kind == AgentKind::Fork && node.needs.contains(&self.brief.node.id);
        self.shared.graph().nodes.iter().any(forks)
    }

    fn assignment(&self, scene: Assembled, fork: Option<Arc<Prefix>>) -> Assignment {
        let (shared, brief) = (self.shared, self.brief);
        let gives = brief.node.gives.iter().map(|(name, kind)| (name.clone(), kind.to_string()));
        Assignment {
            agent: brief.agent(),
            node: brief.id.clone(),
            cue: self.cue(),
            system: scene.system,
            opening: scene.opening,
            fork,
            words: shared.prompts.words().clone(),
            tools: self.agent.tools.clone(),
            tripwire: shared.options.tripwire.clone(),
            contract: Contract {
                phase: brief.node.phase,
                gives: gives.collect(),
                findings: brief.findings.clone(),
                continues: brief.part.is_none() && brief.begin != shared.started.base,
            },
            edit_format: self.format(),
            limits: Limits {
                max_turns: self.agent.max_turns.unwrap_or(shared.options.max_turns),
                max_answers: self.agent.max_turns.unwrap_or(Limits::default().max_answers),
                stuck: shared.options.stuck,
            },
            temperature: self.agent.temperature(brief.attempt),
            base: self.start(),
            branch: self.writes().then(|| brief.branch(shared)),
            earlier: brief.earlier.clone(),
        }
    }

    fn cue(&self) -> Cue {
        let brief = self.brief;
        Cue {
            run: self.shared.run.clone(),
            node: brief.node.id.clone(),
            role: self.agent.role.clone(),
            phase: brief.node.phase,
            index: brief.index,
            sample: 0,
            attempt: brief.attempt,
            turn: 0,
        }
    }

    fn desk(&self, lodging: &Lodging, offered: Vec<String>) -> Desk {
        let (shared, brief) = (self.shared, self.brief);
        let policy = Policy {
            mode: self.mode(),
            phase: brief.node.phase,
            interactive: shared.interactive,
            rules: shared.rules.clone(),
            scope: brief.part.as_ref().map(|part| part.scope.clone()).unwrap_or_default(),
        };
        Desk {
            place: lodging.place.clone(),
            repo: shared.repo.clone(),
            base: brief.root(shared).clone(),
            at: self.start(),
            tracker: lodging.tracker.clone(),
            checks: shared.options.checks.clone(),
            reads: ReadSet::default(),
            policy,
            standing: shared.standing.clone(),
            taint: None,
            requests: shared.requests.clone(),
            node: brief.id.clone(),
            agent: brief.agent(),
            offered,
        }
    }

    fn bench(&self, lodging: &Lodging, offered: Vec<String>, window: &Window) -> Bench {
        let (shared, brief) = (self.shared, self.brief);
        let hears = !self.writes() && self.agent.tools.iter().any(|tool| tool == "wait");
        Bench {
            model: shared.model.clone(),
            classifier: shared.classifier.clone(),
            desk: self.desk(lodging, offered),
            journal: shared.journal.clone(),
            requests: shared.requests.clone(),
            stop: brief.reins.stop_token(),
            cancel: brief.reins.cancel_token(),
            reins: brief.reins.clone(),
            window: hears.then(|| window.of(shared, (&brief.id, &brief.agent()))),
        }
    }

    /// Turns what a writer left into a commit, and gives the place back.
    async fn leave(&self, lodging: Lodging, outcome: Outcome) -> Result<Outcome, RunEnd> {
        let outcome = match self.writes() && outcome.status == Status::Succeeded {
            true => commits::commit(self.shared, self.brief, (&lodging, outcome)).await,
            false => Ok(outcome),
        };
        match self.brief.node.phase {
            Phase::Verification => self.shared.housing.discard(lodging.place),
            Phase::Implementation => self.shared.housing.retire(lodging),
            _ if self.start() != self.shared.started.base => {
                self.shared.housing.discard(lodging.place);
            }
            // The readers' place is shared and ends with the run.
            Phase::Research | Phase::Synthesis => {}
        }
        outcome
    }
}

/// A reviewer that does not let the candidate pass has done its work, and the node has failed: that
/// is what sends the work back. A review that does not count decides nothing either way.
fn judged(outcome: Outcome) -> Outcome {
    let rejects = |review: &Review| !review.pass && !review.is_weak();
    match outcome.review.as_ref().is_some_and(rejects) && outcome.status == Status::Succeeded {
        true => Outcome { status: Status::Failed, failure: Some(Failure::NotResolved), ..outcome },
        false => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::outcome::Evidence;

    fn review(pass: bool, ran: u32) -> Outcome {
        let cites = vec![Evidence { path: "a".into(), from: 1, to: 1 }];
        let review = Review { pass, must_fix: vec!["that".into()], cites, read: 0, ran };
        Outcome { review: Some(review), ..Outcome::succeeded("seen") }
    }

    #[test]
    fn a_rejecting_review_fails_its_node_unless_it_is_weak() {
        assert_eq!(judged(review(false, 1)).status, Status::Failed);
        assert_eq!(judged(review(false, 0)).status, Status::Succeeded);
        assert_eq!(judged(review(true, 1)).status, Status::Succeeded);
    }
}
