//! Making what a commit's trees need, once for all of them, and taking leave of a tree.
//!
//! Who needs it while somebody makes it waits for that one, in this process or another, and takes
//! what comes of it, be it a failure: a backlog does not fail each task after an attempt of its own.

use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use tokio::{task, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    git::tree::Shape,
    journal::writer::JournalError,
    protocol::{
        cause::chain,
        event::{Level, What},
        ids::{AgentId, NodeId, Oid},
    },
    sandbox::{
        grants::Grants,
        order::{self, Lock},
        place::Place,
        run::{Cmd, Job, Ran, RanEnd, RunError},
    },
    subagent::{
        housing::{
            Housing, HousingError, Wish, millis,
            prepare::{Room, prepare},
        },
        setup::{self, Made, Plan, SetupError},
        sweep,
    },
};

/// How often is looked whether another process is through.
const AGAIN: Duration = Duration::from_millis(100);
/// Output of a command that is kept, in bytes.
const OUTPUT: usize = 1 << 20;
/// Lines of it that an error shows.
const TAIL: usize = 10;
/// How long a teardown command may take.
const LEAVE: Duration = Duration::from_secs(60);

/// On whose behalf something is made.
type Whose<'a> = (Option<&'a NodeId>, Option<&'a AgentId>);

impl Housing {
    /// Returns what the trees of a commit need, and makes it if it is not there.
    pub(super) async fn outfit(
        &self,
        whose: Whose<'_>,
        commit: &Oid,
    ) -> Result<Made, HousingError> {
        if self.site.setup.run.is_empty() {
            return Ok(Made::default());
        }
        let (site, commit) = (self.site.clone(), commit.clone());
        let of = commit.clone();
        let plan = task::spawn_blocking(move || {
            let plan = setup::plan(&site.repo, &of, (&site.setup, &site.setups))?;
            let made = plan.as_ref().and_then(Plan::known);
            Ok::<_, SetupError>((plan, made))
        });
        match plan.await.expect("looking for a setup does not panic")? {
            (_, Some(made)) => Ok(made),
            (None, None) => Ok(Made::default()),
            (Some(plan), None) => self.in_turn(whose, &commit, &plan).await,
        }
    }

    async fn in_turn(
        &self,
        whose: Whose<'_>,
        commit: &Oid,
        plan: &Plan,
    ) -> Result<Made, HousingError> {
        let since = SystemTime::now();
        let _order = order::take(Lock::Setup);
        let _turn = turn(plan).await?;
        if let Some(made) = plan.known() {
            return Ok(made);
        }
        let failed = plan.beside("failed");
        let later = fs::metadata(&failed).and_then(|found| found.modified());
        if later.is_ok_and(|at| at > since) {
            let text = fs::read_to_string(&failed).unwrap_or_default();
            return Err(SetupError::Before(text).into());
        }
        let begin = Instant::now();
        self.note(whose, format!("setup: {}", plan.options.run.join(" && "))).await?;
        let made = self.make(commit, plan).await;
        if let Err(error) = &made {
            // Who does not find it tries itself.
            let _ = fs::write(&failed, chain(error));
        }
        let made = made?;
        let text =
            format!("setup: done in {:.1} s", Duration::from_millis(millis(begin)).as_secs_f64());
        self.note(whose, text).await?;
        setup::forget(&self.site.setups, SystemTime::now());
        Ok(made)
    }

    /// Runs the commands in a place of its own and keeps what they have made.
    async fn make(&self, commit: &Oid, plan: &Plan) -> Result<Made, HousingError> {
        let key = plan.folder.file_name().unwrap_or_default().to_string_lossy();
        let path = self.site.root.join(format!("setup-{key}"));
        let grants = Grants { hosts: plan.options.hosts.clone(), ..Grants::default() };
        let name = format!("setup-{key}");
        let wish = Wish { name, commit: commit.clone(), branch: None, grants };
        // What is made in an overlay could not be moved out of it.
        let mut site = self.site.clone();
        site.shape = Shape::Plain;
        let room = Room { path: path.clone(), spare: None, made: Made::default() };
        let repo = site.repo.clone();
        let spec = task::spawn_blocking(move || {
            // A killed process may have left half of one.
            let gone = sweep::discard(&site.repo, &room.path);
            let cause =
                |error| HousingError::Tree { path: room.path.clone(), cause: chain(&error) };
            gone.map_err(cause)?;
            prepare(&site, &wish, &room)
        });
        let mut spec = spec.await.expect("making a tree does not panic")?;
        spec.contacts = (!spec.options.hosts.is_empty()).then(|| self.recorder(None));
        let place = Place::open(spec)
            .await
            .map_err(|error| HousingError::Place { path: path.clone(), cause: chain(&error) })?;
        let ran = commands(&place, plan).await;
        place.close().await;
        let (plan, tree) = (plan.clone(), path);
        let kept = task::spawn_blocking(move || {
            let kept = ran.and_then(|()| plan.keep(&tree));
            if let Err(error) = sweep::discard(&repo, &tree) {
                tracing::warn!(%error, "the tree of a setup stays behind");
            }
            kept
        });
        Ok(kept.await.expect("keeping a setup does not panic")?)
    }

    /// Returns what is done in a tree before it is given up.
    pub(super) fn leave(&self) -> Leave {
        let log = setup::log(&self.site.setups, self.journal.run());
        Leave { commands: self.site.setup.teardown.clone(), log }
    }

    async fn note(&self, (node, agent): Whose<'_>, text: String) -> Result<(), JournalError> {
        let note = What::Note { level: Level::Info, text };
        self.journal.append(node, agent, note).await.map(drop)
    }
}

/// Waits until nobody else makes the same; what is returned keeps others out.
async fn turn(plan: &Plan) -> Result<File, SetupError> {
    let path = plan.beside("lock");
    let store = path.parent().unwrap_or(&path);
    fs::create_dir_all(store).map_err(SetupError::file("make", store))?;
    let opened = File::options().create(true).append(true).open(&path);
    let file = opened.map_err(SetupError::file("open", &path))?;
    let patience = limit(plan) + Duration::from_secs(60);
    let end = Instant::now() + patience;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK) if Instant::now() < end => sleep(AGAIN).await,
            Err(Errno::WOULDBLOCK) => return Err(SetupError::Busy { waited: patience }),
            Err(errno) => return Err(SetupError::file("lock", &path)(errno.into())),
        }
    }
}

fn limit(plan: &Plan) -> Duration {
    Duration::from_secs(plan.options.timeout_minutes.saturating_mul(60))
}

/// Runs the commands one after the other until one fails; their output goes into the log.
async fn commands(place: &Place, plan: &Plan) -> Result<(), SetupError> {
    let path = plan.beside("log");
    let mut log = File::create(&path).map_err(SetupError::file("make", &path))?;
    let end = Instant::now() + limit(plan);
    for command in &plan.options.run {
        let left = end.saturating_duration_since(Instant::now());
        let ran = run(place, command, left).await;
        let text = text_of(&ran);
        writeln!(log, "$ {command}\n{text}").map_err(SetupError::file("write", &path))?;
        let end = match ran.map(|ran| ran.end) {
            Ok(RanEnd::Exit(0)) => continue,
            Ok(end) => end_in_words(&end, plan.options.timeout_minutes),
            Err(_) => "could not run".to_owned(),
        };
        let lines: Vec<&str> = text.trim_end().lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        return Err(SetupError::Failed { command: command.clone(), end, log: path, tail });
    }
    Ok(())
}

fn end_in_words(end: &RanEnd, minutes: u64) -> String {
    match end {
        RanEnd::Exit(code) => format!("exited with {code}"),
        RanEnd::Signal(signal) => format!("was ended by signal {signal}"),
        RanEnd::Deadline => {
            format!("took more than {minutes} minutes (`timeout_minutes` of [setup])")
        }
    }
}

/// Returns what a command has said, or why it has said nothing.
fn text_of(ran: &Result<Ran, RunError>) -> String {
    match ran {
        Ok(ran) => String::from_utf8_lossy(&ran.output).into_owned(),
        Err(error) => chain(error),
    }
}

async fn run(place: &Place, command: &str, deadline: Duration) -> Result<Ran, RunError> {
    let job = Job::Script(command.to_owned());
    let cmd = Cmd { job, deadline, max_output: OUTPUT, ..Cmd::new("") };
    place.run(cmd, &CancellationToken::new()).await
}

/// What is done in a tree before it is given up.
pub(super) struct Leave {
    commands: Vec<String>,
    log: PathBuf,
}

impl Leave {
    /// Runs the commands in a place, each whatever became of the others; a failure stops nobody.
    pub(super) async fn of(&self, place: &Place) {
        for command in &self.commands {
            let ran = run(place, command, LEAVE).await;
            let fine = matches!(ran, Ok(Ran { end: RanEnd::Exit(0), .. }));
            let text = format!("$ {command} # in {}\n{}\n", place.root().display(), text_of(&ran));
            let folder = fs::create_dir_all(self.log.parent().unwrap_or(&self.log));
            let opened =
                folder.and_then(|()| File::options().create(true).append(true).open(&self.log));
            let told = opened.and_then(|mut log| log.write_all(text.as_bytes()));
            if !fine || told.is_err() {
                tracing::warn!(command, log = %self.log.display(), "a teardown command failed");
            }
        }
    }
}
