//! What a run needs of the machine, and what its places have in common.

use std::{
    env, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::mpsc::UnboundedSender;

use crate::{
    coordinator::{control::Ask, options::Options},
    external::options::Hired,
    git::{include, repo::Repo},
    graph::lookup,
    guard::{self, tripwire::Tripwire},
    journal::sign::Key,
    protocol::ids::{Oid, RunId},
    provider::model::Model,
    sandbox::{
        self,
        probe::{Backend, probe},
    },
    subagent::{housing::Site, ladder, setup},
};

/// What a run needs of the machine, whether it begins or goes on.
pub struct Ground {
    /// The repository.
    pub repo: Repo,
    /// The model.
    pub model: Arc<dyn Model>,
    /// Where trees are made: `$XDG_STATE_HOME/grafter/<repository key>`.
    pub trees: PathBuf,
    /// Folder of control sockets.
    pub runtime: PathBuf,
    /// What confines commands.
    pub backend: Backend,
    /// What commands may use and reach.
    pub sandbox: sandbox::options::Options,
    /// The program that starts the sandbox: grafter itself.
    pub helper: PathBuf,
    /// Folders no agent may see, besides the repository's own.
    pub hide: Vec<PathBuf>,
    /// What trees need that commands make.
    pub setup: setup::Options,
    /// The user's rules on commands.
    pub guard: guard::options::Options,
    /// The model that the rules name as classifier.
    pub classifier: Option<Arc<dyn Model>>,
    /// The workers that this run may call.
    pub workers: Vec<Hired>,
    /// The workflows that an agent which leads the run may choose, as name and text.
    pub workflows: Vec<(String, String)>,
    /// Where questions for a person go; none when nobody is there.
    pub asks: Option<UnboundedSender<Ask>>,
    /// What signs the run's record, if its options say so.
    pub key: Option<Key>,
}

impl Ground {
    /// Returns the ground of a program that keeps its trees and sockets below `folder`, has nobody
    /// to ask, and is its own sandbox helper.
    ///
    /// For that its `main` must begin with [`crate::sandbox::child::dispatch`].
    pub fn beneath(folder: &Path, repo: Repo, model: Arc<dyn Model>) -> io::Result<Self> {
        Ok(Self {
            repo,
            model,
            trees: folder.join("trees"),
            runtime: folder.join("run"),
            backend: probe().backend,
            sandbox: sandbox::options::Options::default(),
            helper: env::current_exe()?,
            hide: vec![folder.to_owned()],
            setup: setup::Options::default(),
            guard: guard::options::Options::default(),
            classifier: None,
            workers: Vec::new(),
            workflows: lookup::shipped()
                .iter()
                .map(|(name, text)| ((*name).into(), (*text).into()))
                .collect(),
            asks: None,
            key: None,
        })
    }
}

impl Ground {
    /// Only attribute files of the commit that the run starts from count in its trees.
    pub(super) fn with_attributes(self, base: &Oid) -> Self {
        Self { repo: self.repo.with_attributes(base), ..self }
    }

    /// Returns what all places of a run have in common.
    pub(super) fn site(&self, run: &RunId, options: &Options) -> Site {
        Site {
            root: self.trees.join(run.as_str()),
            repo: self.repo.clone(),
            backend: self.backend,
            sandbox: self.sandbox.clone(),
            helper: self.helper.clone(),
            share: options.share.clone(),
            canary: options.tripwire.as_ref().map(Tripwire::file),
            hide: self.hide.clone(),
            shape: ladder::shape(&self.trees),
            include: include::find(&self.repo).unwrap_or_default().files,
            setup: self.setup.clone(),
            setups: setup::store(&self.trees),
        }
    }
}
