//! Where agents live: makes, finds again and closes the places of one run.
//!
//! A writer has a registered git worktree on its branch; readers share one tree at the base, which
//! nobody writes; a verifier gets a throw-away tree at the candidate. Making one is journaled
//! before and after, and is idempotent, so that a resume finds its trees as they were.
//!
//! Nobody reads a tree that another one writes: helpers and forks get no place but the readers' or a
//! verifier's, whoever asked for them, so what they see is a commit from their first turn to their
//! last. A writer's tree has one agent, which its lock keeps so.

mod outfit;
mod prepare;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::{
    sync::{
        OnceCell,
        mpsc::{self, UnboundedSender},
    },
    task,
};
use tokio_util::task::TaskTracker;

use crate::{
    git::{
        repo::Repo,
        snapshot::Tracker,
        tree::{self, Shape},
    },
    journal::writer::Journal,
    protocol::{
        cause::chain,
        event::What,
        ids::{AgentId, NodeId, Oid},
    },
    sandbox::{
        grants::Grants,
        lock::{TreeLock, WriteGuard},
        options::Options,
        order::{self, Lock},
        place::Place,
        probe::Backend,
        proxy::Contact,
    },
    subagent::{
        housing::prepare::{Room, prepare},
        setup::{self, SetupError},
        sweep::{self, Writer},
    },
};

/// How long a writer waits for its turn; what holds a tree that nobody works in ends within seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// What all places of a run have in common.
#[derive(Clone, Debug)]
pub struct Site {
    /// The repository.
    pub repo: Repo,
    /// Folder of this run's trees, homes and private git dirs; outside the repository.
    pub root: PathBuf,
    /// What confines commands.
    pub backend: Backend,
    /// What commands may use and reach.
    pub sandbox: Options,
    /// The program that starts the sandbox: grafter itself.
    pub helper: PathBuf,
    /// Ignored folders of the checkout that agents see read-only.
    pub share: Vec<String>,
    /// What the file with the canary string in each private home says, if there is one.
    pub canary: Option<String>,
    /// Folders no agent may see, besides the repository's own.
    pub hide: Vec<PathBuf>,
    /// What its trees are made of.
    pub shape: Shape,
    /// Ignored files of the checkout that lie in each tree, too.
    pub include: Vec<PathBuf>,
    /// What trees need that commands make.
    pub setup: setup::Options,
    /// Where that is kept.
    pub setups: PathBuf,
}

/// A place, and the tracker of its tree where an agent writes in it.
#[derive(Clone)]
pub struct Lodging {
    /// The place.
    pub place: Arc<Place>,
    /// What has changed in it; none for readers and verifiers, whose changes nobody keeps.
    pub tracker: Option<Arc<Mutex<Tracker>>>,
    /// Keeps other writers out, of this process and of others.
    _lock: Option<Arc<WriteGuard>>,
}

/// Why a place could not be made.
#[derive(Debug, Error)]
pub enum HousingError {
    /// The tree or its git dir.
    #[error("cannot make the tree {path}: {cause}")]
    Tree {
        /// Its folder.
        path: PathBuf,
        /// What went wrong.
        cause: String,
    },
    /// The sandbox.
    #[error("cannot open the place {path}: {cause}")]
    Place {
        /// Its folder.
        path: PathBuf,
        /// What went wrong.
        cause: String,
    },
    /// What a tree needs could not be made.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] crate::journal::writer::JournalError),
}

/// The places of one run.
pub struct Housing {
    site: Site,
    journal: Journal,
    shared: OnceCell<Arc<Place>>,
    /// Places that are being given up, which nobody waits for before the run's end.
    leaving: TaskTracker,
    /// Held while somebody waits for these; one who reopened the tracker meanwhile would leave the
    /// others waiting for ever.
    settling: tokio::sync::Mutex<()>,
    /// Throw-away trees that were given up, from which the next ones are made.
    spares: Arc<Mutex<Vec<PathBuf>>>,
    /// Trees by the agents that wait to write them.
    waits: Mutex<BTreeMap<AgentId, PathBuf>>,
}

/// Which tree is wanted.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The folder's name below the run's root.
    pub name: String,
    /// The commit it starts from.
    pub commit: Oid,
    /// Its branch; none for a throw-away tree.
    pub branch: Option<String>,
    /// What its place may show and reach beyond the others.
    pub grants: Grants,
}

impl Housing {
    /// Returns the housing of one run.
    pub fn new(site: Site, journal: Journal) -> Self {
        let (leaving, spares) = (TaskTracker::new(), Arc::default());
        let settling = tokio::sync::Mutex::default();
        let waits = Mutex::default();
        Self { site, journal, shared: OnceCell::new(), leaving, settling, spares, waits }
    }

    /// Returns the place that all readers share, at the base.
    pub async fn reader(&self, base: &Oid) -> Result<Lodging, HousingError> {
        let make = || async {
            let wish = Wish {
                name: "base".to_owned(),
                commit: base.clone(),
                branch: None,
                grants: Grants::default(),
            };
            self.open(None, &wish).await
        };
        let place = self.shared.get_or_try_init(make).await?.clone();
        Ok(Lodging { place, tracker: None, _lock: None })
    }

    /// Returns a throw-away place.
    pub async fn visitor(
        &self,
        who: (&NodeId, &AgentId),
        wish: &Wish,
    ) -> Result<Lodging, HousingError> {
        Ok(Lodging { place: self.open(Some(who), wish).await?, tracker: None, _lock: None })
    }

    /// Returns a throw-away place that holds nothing but the commit, whatever a killed process
    /// has left there.
    pub async fn pristine(
        &self,
        who: (&NodeId, &AgentId),
        wish: &Wish,
    ) -> Result<Lodging, HousingError> {
        let (repo, path) = (self.site.repo.clone(), self.site.root.join(&wish.name));
        if path.exists() {
            self.settle().await;
            self.lock_spares().retain(|spare| *spare != path);
        }
        let discarded = task::spawn_blocking(move || {
            sweep::discard(&repo, &path)
                .map_err(|error| HousingError::Tree { path, cause: chain(&error) })
        });
        discarded.await.expect("removing a tree does not panic")?;
        self.visitor(who, wish).await
    }

    /// Returns a writer's place.
    pub async fn writer(
        &self,
        who: (&NodeId, &AgentId),
        wish: &Wish,
    ) -> Result<Lodging, HousingError> {
        // What an earlier attempt left running ends before anybody goes on in its tree.
        self.settle().await;
        let place = self.open(Some(who), wish).await?;
        let lock = self.lock(who.1, &tree::lock_on(place.root())).await?;
        let pass = lock.pass();
        place.bind(pass.clone());
        let (repo, base) = (self.site.repo.clone(), wish.commit.clone());
        let path = place.root().to_path_buf();
        let tracker = task::spawn_blocking(move || {
            Tracker::new(&repo, &path, &base)
                .map(|tracker| tracker.bound(pass))
                .map_err(|error| HousingError::Tree { path, cause: chain(&error) })
        });
        let tracker = tracker.await.expect("the tracker does not panic")?;
        Ok(Lodging {
            place,
            tracker: Some(Arc::new(Mutex::new(tracker))),
            _lock: Some(Arc::new(lock)),
        })
    }

    /// Takes the write lock of a tree.
    async fn lock(&self, agent: &AgentId, tree: &Path) -> Result<WriteGuard, HousingError> {
        let name = format!("{agent} of run {}", self.journal.run());
        self.lock_waits().insert(agent.clone(), tree.to_path_buf());
        let taken = TreeLock::acquire(tree, &name, PATIENCE).await;
        self.lock_waits().remove(agent);
        taken
            .map_err(|error| HousingError::Place { path: tree.to_path_buf(), cause: chain(&error) })
    }

    /// Returns who holds the tree that an agent waits for to write it, if it does, and how long it
    /// waits at most.
    pub fn waits_for(&self, agent: &AgentId) -> Option<(String, Duration)> {
        let tree = self.lock_waits().get(agent).cloned()?;
        TreeLock::holder(&tree).map(|holder| (holder, PATIENCE))
    }

    async fn open(
        &self,
        who: Option<(&NodeId, &AgentId)>,
        wish: &Wish,
    ) -> Result<Arc<Place>, HousingError> {
        let begin = Instant::now();
        let path = self.site.root.join(&wish.name);
        let (node, agent) = (who.map(|(node, _)| node), who.map(|(_, agent)| agent));
        let shown = path.display().to_string();
        let intent = What::PlaceIntent {
            branch: wish.branch.clone(),
            commit: wish.commit.clone(),
            path: shown.clone(),
        };
        self.journal.append(node, agent, intent).await?;
        let made = self.outfit((node, agent), &wish.commit).await?;
        let spare = if wish.branch.is_none() { self.lock_spares().pop() } else { None };
        let (site, wish) = (self.site.clone(), wish.clone());
        let room = Room { path: path.clone(), spare, made };
        let spec = task::spawn_blocking(move || prepare(&site, &wish, &room));
        let mut spec = spec.await.expect("making a tree does not panic")?;
        spec.contacts = (!spec.options.hosts.is_empty()).then(|| self.recorder(who));
        let place = Place::open(spec)
            .await
            .map_err(|error| HousingError::Place { path: path.clone(), cause: chain(&error) })?;
        let ready = What::PlaceReady {
            path: shown,
            sandbox: place.backend().name().to_owned(),
            took_ms: millis(begin),
        };
        self.journal.append(node, agent, ready).await?;
        Ok(place)
    }

    /// Returns where a place reports the hosts that its commands ask for; each goes on record.
    fn recorder(&self, who: Option<(&NodeId, &AgentId)>) -> UnboundedSender<Contact> {
        let (reports, mut reported) = mpsc::unbounded_channel();
        let (journal, who) = (self.journal.clone(), who.map(|(a, b)| (a.clone(), b.clone())));
        // It ends with the place, or with the journal.
        tokio::spawn(async move {
            while let Some(Contact { host, port, refused }) = reported.recv().await {
                let (node, agent) =
                    (who.as_ref().map(|who| &who.0), who.as_ref().map(|who| &who.1));
                let asked = What::HostAsked { host, port, refused };
                if journal.append(node, agent, asked).await.is_err() {
                    break;
                }
            }
        });
        reports
    }

    /// Ends what is still running in the readers' place and takes away the trees of the run, its
    /// writer's only if that is said.
    pub async fn close(&self, writer: Writer) {
        if let Some(place) = self.shared.get() {
            place.close().await;
        }
        self.settle().await;
        let (repo, root) = (self.site.repo.clone(), self.site.root.clone());
        // A panic in there is told by the runtime; the trees are swept by the next run then.
        let _ = task::spawn_blocking(move || sweep::run(&repo, &root, writer)).await;
    }

    /// Gives a throw-away place up, with its tree, its home and its git dir; beside what comes next.
    ///
    /// A tree in which nothing can run any more is cleaned and kept for the next place.
    pub fn discard(&self, place: Arc<Place>) {
        let (repo, spares) = (self.site.repo.clone(), self.spares.clone());
        let leave = self.leave();
        self.leaving.spawn(async move {
            leave.of(&place).await;
            place.close().await;
            let confined = place.backend().has_own_view();
            let given_up = task::spawn_blocking(move || {
                let path = place.root();
                if !(confined && tree::tidy(&repo, path)) {
                    return sweep::discard(&repo, path);
                }
                spares.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_owned());
                sweep::beside(path)
            });
            if let Ok(Err(error)) = given_up.await {
                tracing::warn!(%error, "a throw-away tree stays behind");
            }
        });
    }

    /// Ends what still runs in a writer's place, whose tree stays; beside what comes next.
    pub fn retire(&self, lodging: Lodging) {
        let leave = self.leave();
        self.leaving.spawn(async move {
            leave.of(&lodging.place).await;
            lodging.place.close().await;
        });
    }

    fn lock_waits(&self) -> MutexGuard<'_, BTreeMap<AgentId, PathBuf>> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_spares(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn settle(&self) {
        let _order = order::take(Lock::Settling);
        let _turn = self.settling.lock().await;
        self.leaving.close();
        self.leaving.wait().await;
        self.leaving.reopen();
    }
}

fn millis(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)
}
