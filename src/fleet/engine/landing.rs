//! The queue's side of the loop: the train is built, checked and landed.

use std::slice;

use crate::{
    fleet::{
        bench::{Second, Stand},
        engine::{Done, Engine, id},
        message::{Facts, Template},
        scope,
        start::BatchError,
        state::{BatchState, Move},
        train::{Entry, Odd, Owner, Train, Words},
    },
    git::{history, repo::Repo},
    merge::{
        land::{self, Landed, Landing},
        queue::{self, Advice, LONGEST},
    },
    protocol::{
        batch::{Back, Made, Step},
        ids::{Oid, TaskId},
        report::{CheckReport, Verdict},
    },
};

impl Engine {
    /// Does the next thing that the queue asks for; returns whether the state may have changed.
    pub(super) async fn queue(&mut self, state: &BatchState) -> Result<bool, BatchError> {
        if state.paused || self.held.is_some() || self.judging {
            return Ok(false);
        }
        if let Some(begun) = &state.landing {
            return self.land(state, begun.clone()).await;
        }
        let waiting = state.queue();
        if waiting.is_empty() {
            self.train = None;
            self.give_up_checks(|_| false);
            return Ok(false);
        }
        if !self.couple(state, &waiting).await? {
            return Ok(true);
        }
        self.advance(state).await
    }

    /// Brings the train to where the target stands and adds what waits; returns whether it is ready.
    async fn couple(&mut self, state: &BatchState, waiting: &[usize]) -> Result<bool, BatchError> {
        let (repo, target) = (self.repo.clone(), state.started.target.clone());
        let tip = repo.tip(&target)?;
        if tip.is_none() && (state.started.found || state.landings > 0) {
            self.hold(format!("the branch `{target}` was deleted; make it again and resume"))
                .await?;
            return Ok(false);
        }
        let fits = |train: &Train| {
            train.tip == tip && train.cars.iter().all(|car| waiting.contains(&car.task))
        };
        let mut train = match self.train.take().filter(fits) {
            Some(train) => train,
            None => Train::empty(&repo, (&target, &state.started.tip), state.started.style)?,
        };
        let room = LONGEST.saturating_sub(train.cars.len());
        let mut entries = Vec::new();
        for &task in waiting.iter().filter(|&&task| !train.knows(task)).take(room) {
            let Some(made) = state.tasks[task].made.clone() else { continue };
            let paths = protected(state, &made);
            if !paths.is_empty() {
                let why = Back::Protected { paths };
                self.tell(Step::SentBack { task: id(state, task), why }).await?;
                self.train = Some(train);
                return Ok(false);
            }
            let message = words(&repo, state, (task, &made))?;
            let owner = match &state.tasks[task].task.branch {
                Some(_) => Owner::User,
                None => Owner::Batch,
            };
            entries.push(Entry { task, made, message, owner });
        }
        self.lockfiles.commands.clone_from(&state.started.lockfiles);
        let lockfiles = self.lockfiles.clone();
        let grown = tokio::task::spawn_blocking(move || {
            let odd = train.grow(&repo, &entries, &lockfiles);
            (train, odd)
        });
        let (train, odd) = grown.await.expect("building a train does not panic");
        self.train = Some(train);
        let odd = odd?;
        for odd in &odd {
            let step = match odd {
                Odd::Stale(task, draft) => {
                    self.renew(state, *task, draft.clone());
                    continue;
                }
                Odd::Contained(task) => Step::Contained { task: id(state, *task) },
                Odd::Behind(task) => Step::SentBack { task: id(state, *task), why: Back::Behind },
                Odd::Conflict(task, paths) => {
                    let why = Back::Conflict { paths: paths.clone() };
                    Step::SentBack { task: id(state, *task), why }
                }
            };
            self.tell(step).await?;
        }
        Ok(odd.is_empty())
    }

    async fn advance(&mut self, state: &BatchState) -> Result<bool, BatchError> {
        let Some(train) = self.train.clone().filter(|train| !train.cars.is_empty()) else {
            return Ok(false);
        };
        self.give_up_checks(|tree| {
            *tree == train.tree || train.cars.iter().any(|car| car.tree == *tree)
        });
        let mut free = state.started.slots.saturating_sub(self.checking.len());
        if !train.tip_known(state) && !self.checking.contains_key(&train.tree) && free > 0 {
            self.check(state, &train, 0);
            free -= 1;
        }
        let marks = train.marks(state, |tree| self.checking.contains_key(tree), self.window);
        match queue::advise(&marks, free) {
            Advice::Land(count) => {
                if count == marks.len() {
                    self.window = queue::grown(self.window);
                }
                let row = train.cars[..count].iter();
                let tasks: Vec<_> =
                    row.map(|car| (id(state, car.task), car.commit.clone())).collect();
                let to = train.cars[count - 1].commit.clone();
                let (from, again) = (train.tip.clone(), tasks.clone());
                self.tell(Step::LandIntent { tasks, from: from.clone(), to: to.clone() }).await?;
                self.land(state, Move { tasks: again, from, to }).await
            }
            Advice::Suspect => {
                self.judge(state, &train);
                Ok(false)
            }
            Advice::Check(lengths) => {
                lengths.into_iter().for_each(|length| self.check(state, &train, length));
                Ok(false)
            }
        }
    }

    /// Ends checks on trees of which nobody needs to know any more.
    fn give_up_checks(&self, needed: impl Fn(&Oid) -> bool) {
        self.checking.iter().filter(|(tree, _)| !needed(tree)).for_each(|(_, halt)| halt.cancel());
    }

    /// Has the open checks of a prefix run; of the target as it stands with a length of 0.
    fn check(&mut self, state: &BatchState, train: &Train, length: usize) {
        let on = stand(train, length);
        let tasks = train.tasks(length);
        let (_, open) = state.known(&on.tree, &state.checks(&tasks));
        let halt = self.halt.child_token();
        let bench = self.bench(state, halt.clone());
        self.checking.insert(on.tree.clone(), halt);
        self.jobs.spawn(async move {
            let runs = bench.run(&on, &open, "train").await;
            Done::Checked { tree: on.tree, tasks, runs }
        });
    }

    /// Has the first candidate looked at once more.
    fn judge(&mut self, state: &BatchState, train: &Train) {
        let (car, tip) = (stand(train, 1), stand(train, 0));
        let task = train.cars[0].task;
        let checks = state.checks(&[task]);
        let (red, _) = state.known(&car.tree, &checks);
        let (before, _) = state.known(&tip.tree, &checks);
        let bench = self.bench(state, self.halt.clone());
        self.judging = true;
        self.jobs.spawn(async move {
            let second = bench.second_look((&car, red), (&tip, &before)).await;
            Done::Judged { task, tree: car.tree, second }
        });
    }

    /// Takes note of a second look: what is still red is sent back.
    pub(super) async fn judged(
        &mut self,
        state: &BatchState,
        (task, tree): (usize, Oid),
        second: Second,
    ) -> Result<(), BatchError> {
        let report = CheckReport { runs: second.runs.clone() };
        let name = id(state, task);
        let tasks = slice::from_ref(&name).to_vec();
        let Second { runs, ran, unclear } = second;
        self.tell(Step::Checked { tree, tasks, runs, ran }).await?;
        let Some(train) = &self.train else { return Ok(()) };
        let reasons = match train.verdict(state, &report) {
            Verdict::Green { .. } => return Ok(()),
            Verdict::Red { reasons } => reasons,
            Verdict::NoEvidence => vec!["no check passes on it".to_owned()],
        };
        let why = match unclear {
            true => Back::Unclear { reasons },
            false => Back::Red { reasons },
        };
        self.window = queue::shrunk(self.window);
        self.train = None;
        self.tell(Step::SentBack { task: name, why }).await
    }

    /// Moves the target; the intent is on record.
    async fn land(&mut self, state: &BatchState, step: Move) -> Result<bool, BatchError> {
        self.journal.sync().await?;
        let Move { tasks, from, to } = step;
        let branch = state.started.target.clone();
        let (repo, landing) = (self.repo.clone(), Landing { branch, from, to: to.clone() });
        let landed = tokio::task::spawn_blocking(move || land::land(&repo, &landing));
        match landed.await.expect("landing does not panic")? {
            Landed::Moved => {
                let count = tasks.len();
                if let Some(train) = self.train.as_mut().filter(|train| leads(train, &tasks)) {
                    train.landed(count);
                }
                self.tell(Step::Landed { tasks, to }).await?;
            }
            Landed::Missed { found } => {
                self.train = None;
                self.tell(Step::Missed { found }).await?;
            }
            Landed::Refused { why } => {
                let target = &state.started.target;
                let found = self.repo.tip(target)?;
                self.tell(Step::Missed { found }).await?;
                let why = format!("`{target}` is checked out and git cannot move it: {why}");
                self.hold(why).await?;
            }
        }
        Ok(true)
    }
}

/// Returns the message of a task's commit.
fn words(
    repo: &Repo,
    state: &BatchState,
    (task, made): (usize, &Made),
) -> Result<Words, BatchError> {
    let one = repo.parents(&made.commit)? == slice::from_ref(&made.base);
    let own = if one { history::message(repo, &made.commit)? } else { String::new() };
    let of = &state.tasks[task];
    // It was looked at before the batch began.
    let template = state.started.message.as_ref().and_then(|text| text.parse::<Template>().ok());
    Ok(match template {
        Some(template) => {
            let checks = state.checks(&[task]);
            Words::New(template.render(&Facts { task: of, made, checks: &checks, own: &own }))
        }
        None if one => Words::Own(own),
        // Many commits become one.
        None => Words::New(of.task.message()),
    })
}

/// Returns the files of a change that no batch may land.
fn protected(state: &BatchState, made: &Made) -> Vec<String> {
    let globs = scope::globs(&state.started.protected);
    let files = made.stat.files.iter().map(|file| &file.0);
    files.filter(|path| globs.is_match(path)).cloned().collect()
}

/// Returns whether a train begins with just these commits.
fn leads(train: &Train, tasks: &[(TaskId, Oid)]) -> bool {
    let commits = train.cars.iter().map(|car| &car.commit);
    train.cars.len() >= tasks.len()
        && commits.zip(tasks).all(|(commit, (_, other))| commit == other)
}

fn stand(train: &Train, length: usize) -> Stand {
    match length.checked_sub(1).and_then(|last| train.cars.get(last)) {
        Some(car) => Stand { commit: car.commit.clone(), tree: car.tree.clone() },
        None => Stand { commit: train.stand.clone(), tree: train.tree.clone() },
    }
}
