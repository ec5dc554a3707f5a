//! A place: a tree, its files beneath one descriptor, and the sandbox its commands run in.
//!
//! Opening a place opens the tree's directory and nothing else; the sandbox starts with the first
//! command, so an agent that only reads pays nothing for it. Whoever drops a running command's
//! future ends the sandbox, and the next command starts a new one: no half-read answer is ever
//! taken for another's.

use std::{
    ffi::OsString,
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use thiserror::Error;
use tokio::{
    sync::{Mutex, mpsc::UnboundedSender},
    task::spawn_blocking,
};
use tokio_util::sync::CancellationToken;

use crate::sandbox::{
    beneath::Beneath,
    client::Client,
    disk,
    file_error::{FileError, broken},
    files::{Entry, Files, Meta},
    layout,
    lock::{Pass, Writing},
    options::Options,
    order::{self, Lock},
    pipes::{self, Pipes},
    port::{self, Port},
    probe::{self, Backend},
    proxy::Contact,
    run::{Cmd, Ran, RanEnd, RunError},
    toolchain::Host,
};

/// Less free space than this is none, in bytes: what needs any fails.
const FULL: u64 = 64 << 10;

/// Under which folder the repository's object folders are bound inside, where there is a view.
pub const OBJECTS: &str = "/run/grafter/objects";

/// What a place is made of. All paths are on the host.
#[derive(Clone, Debug)]
pub struct PlaceSpec {
    /// The working tree.
    pub tree: PathBuf,
    /// Where commands see it: the path of the user's checkout, which they do not see otherwise.
    pub seen_as: PathBuf,
    /// The agent's own git dir, seen in the place of the tree's `.git`.
    pub private_git: Option<PathBuf>,
    /// Object folders that the private git dir borrows from, read-only.
    pub objects: Vec<PathBuf>,
    /// The private home.
    pub home: PathBuf,
    /// Folders that nobody inside may see.
    pub hide: Vec<PathBuf>,
    /// Folders of the host and where they are seen, read-only.
    pub share: Vec<(PathBuf, PathBuf)>,
    /// Folders and files of the host that may be written, seen at their own paths.
    pub write: Vec<PathBuf>,
    /// PATH for commands.
    pub path_env: OsString,
    /// How commands are confined.
    pub backend: Backend,
    /// What commands may use and reach.
    pub options: Options,
    /// Where hosts are reported that commands reach through the proxy, or want to.
    pub contacts: Option<UnboundedSender<Contact>>,
    /// The `grafter` program, which confines itself and serves commands.
    pub helper: PathBuf,
}

impl PlaceSpec {
    /// Returns a place with this tree, seen at that path, with this process's PATH, the strongest
    /// backend of the machine and the running program as helper.
    pub fn new(tree: &Path, seen_as: &Path, home: &Path) -> Self {
        Self {
            tree: tree.to_owned(),
            seen_as: seen_as.to_owned(),
            private_git: None,
            objects: Vec::new(),
            home: home.to_owned(),
            hide: Vec::new(),
            share: Vec::new(),
            write: Vec::new(),
            path_env: std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()),
            backend: probe::probe().backend,
            options: Options::default(),
            contacts: None,
            helper: std::env::current_exe().unwrap_or_else(|_| "grafter".into()),
        }
    }
}

/// Why a place cannot be opened.
#[derive(Debug, Error)]
pub enum PlaceError {
    /// A folder is missing or cannot be entered.
    #[error("cannot use {} as the {what} of a place", path.display())]
    Folder {
        /// What it was to be.
        what: &'static str,
        /// The folder.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The checkout is the root directory or has no absolute path.
    #[error("a tree cannot be shown at {}", path.display())]
    SeenAs {
        /// The path.
        path: PathBuf,
    },
    /// The private git dir cannot be prepared.
    #[error("cannot prepare the private git dir {}", path.display())]
    Git {
        /// The folder.
        path: PathBuf,
        /// What failed in it.
        #[source]
        source: FileError,
    },
}

/// A tree with what confines its agent.
#[derive(Debug)]
pub struct Place {
    spec: PlaceSpec,
    files: Files,
    sandbox: Mutex<Option<Client>>,
    notes: std::sync::Mutex<Vec<String>>,
    no_space: OnceLock<String>,
    closed: CancellationToken,
    home_seen: OnceLock<PathBuf>,
    /// Its writer's; none where nobody's changes are kept.
    pass: OnceLock<Pass>,
    /// What its commands may listen on; leased with the first of them.
    port: OnceLock<Option<Port>>,
}

impl Place {
    /// Opens a place without starting anything.
    pub async fn open(spec: PlaceSpec) -> Result<Arc<Self>, PlaceError> {
        let spec = resolve(spec)?;
        let files = Files::new(Beneath::open(&spec.tree).map_err(folder("tree", &spec.tree))?);
        if let Some(git) = &spec.private_git {
            // The agent can write there, so not even grafter follows links in it.
            let inside = Beneath::open(git).map_err(folder("git dir", git))?;
            let (inside, lent) = (Files::new(inside), layout::alternates(&spec));
            let path = "objects/info/alternates";
            if inside.read(path).ok().as_ref() != Some(&lent) {
                let written = inside.write(path, &lent);
                written.map_err(|source| PlaceError::Git { path: git.clone(), source })?;
            }
        }
        Ok(Arc::new(Self {
            spec,
            files,
            sandbox: Mutex::new(None),
            notes: std::sync::Mutex::default(),
            no_space: OnceLock::new(),
            closed: CancellationToken::new(),
            home_seen: OnceLock::new(),
            pass: OnceLock::new(),
            port: OnceLock::new(),
        }))
    }

    /// Returns the tree's path on the host.
    pub fn root(&self) -> &Path {
        &self.spec.tree
    }

    /// Returns the path at which commands see the tree.
    pub fn seen_as(&self) -> &Path {
        match self.spec.backend.has_own_view() {
            true => &self.spec.seen_as,
            false => &self.spec.tree,
        }
    }

    /// Returns the home of commands as they see it.
    pub fn home_seen(&self) -> &Path {
        self.home_seen.get_or_init(|| match self.spec.backend.has_own_view() {
            true => layout::inside_home(&self.spec, &Host::from_env()),
            false => self.spec.home.clone(),
        })
    }

    /// Returns the folders for temporary files, as commands see them.
    pub fn scratch(&self) -> [PathBuf; 1] {
        match self.spec.backend.has_own_view() {
            true => ["/tmp".into()],
            false => [self.spec.home.join("tmp")],
        }
    }

    /// Returns how commands are confined.
    pub fn backend(&self) -> Backend {
        self.spec.backend
    }

    /// Returns what of the sandbox is weaker than asked for; empty before it has started.
    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().map(|notes| notes.clone()).unwrap_or_default()
    }

    /// Opens the same place once more: the same tree and home, with a sandbox of its own, for what
    /// runs beside a command that does not end.
    pub async fn beside(&self) -> Result<Arc<Self>, PlaceError> {
        let beside = Self::open(self.spec.clone()).await?;
        self.pass.get().iter().for_each(|pass| beside.bind((*pass).clone()));
        Ok(beside)
    }

    /// Binds everything that writes here to a writer's turn; only the first one counts.
    pub fn bind(&self, pass: Pass) {
        let _ = self.pass.set(pass);
    }

    /// Starts the sandbox, if it is not running.
    pub async fn warm(&self) -> Result<(), RunError> {
        let _order = order::take(Lock::Sandbox);
        let mut slot = self.sandbox.lock().await;
        if slot.is_none() {
            *slot = Some(self.start().await?);
        }
        Ok(())
    }

    /// Runs a command; a second one waits until the first has ended.
    pub async fn run(&self, cmd: Cmd, cancel: &CancellationToken) -> Result<Ran, RunError> {
        let way = Path::new(&cmd.cwd);
        if way.is_absolute() || way.components().any(|part| part.as_os_str() == "..") {
            let why = format!("`{}` is not a directory in the tree", cmd.cwd);
            return Err(RunError::Refused { why });
        }
        if let Some(Err(fenced)) = self.pass.get().map(|pass| pass.enter().map(drop)) {
            return Err(RunError::Refused { why: fenced.to_string() });
        }
        let ran = tokio::select! {
            biased;
            () = self.closed.cancelled() => Err(RunError::Closed),
            ran = self.run_in_turn(cmd, cancel) => ran,
        }?;
        // That the disk is full says nothing about the command.
        let folders = [self.spec.tree.clone(), self.spec.home.clone()];
        if ran.end != RanEnd::Exit(0)
            && let Some(full) = disk::scarce(&folders, FULL)
        {
            let _ = self.no_space.set(format!("a command failed: {full}"));
        }
        Ok(ran)
    }

    /// Ends the sandbox and everything in it; returns when it has ended.
    pub async fn close(&self) {
        self.closed.cancel();
        let _order = order::take(Lock::Sandbox);
        if let Some(client) = self.sandbox.lock().await.take() {
            client.close().await;
        }
    }

    async fn run_in_turn(&self, cmd: Cmd, cancel: &CancellationToken) -> Result<Ran, RunError> {
        let _order = order::take(Lock::Sandbox);
        let mut slot = tokio::select! {
            slot = self.sandbox.lock() => slot,
            () = cancel.cancelled() => return Err(RunError::Cancelled),
        };
        // It is out of its slot while a command runs: a dropped future drops it, too.
        let mut client = match slot.take() {
            Some(client) => client,
            None => self.start().await?,
        };
        let ran = client.run(cmd, cancel).await;
        if !matches!(ran, Err(RunError::Lost { .. })) {
            *slot = Some(client);
        }
        ran
    }

    async fn start(&self) -> Result<Client, RunError> {
        if self.closed.is_cancelled() {
            return Err(RunError::Closed);
        }
        let spec = self.spec.clone();
        let setup = spawn_blocking(move || layout::setup(&spec, &Host::from_env())).await;
        let mut setup = setup.map_err(|error| RunError::Start { why: error.to_string() })?;
        let port = self.port.get_or_init(|| Port::lease(self.spec.backend));
        setup
            .env
            .extend(port.as_ref().map(|port| (port::NAME.into(), port.number.to_string().into())));
        let (client, notes) = Client::start(&self.spec, setup, self.pass.get()).await?;
        if let Ok(mut known) = self.notes.lock() {
            *known = notes;
        }
        Ok(client)
    }
}

/// Files in the private home, for what commands shall find or leave there.
impl Place {
    /// Writes a file and returns where commands see it.
    pub fn write_home(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, FileError> {
        self.home_files(name)?.write(name, bytes)?;
        Ok(self.home_seen().join(name))
    }

    /// Returns the first bytes of a file.
    pub fn read_home(&self, name: &str, most: usize) -> Result<Vec<u8>, FileError> {
        self.home_files(name)?.read_range(name, 0, most)
    }

    /// Makes a pair of pipes for one program that is about to be started.
    pub fn pipes(&self, name: &str) -> Result<Pipes, FileError> {
        pipes::make(&self.spec.home, name).map_err(broken("make the pipes", name))
    }

    /// Commands write there, so not even grafter follows links in it.
    fn home_files(&self, name: &str) -> Result<Files, FileError> {
        let opened = Beneath::open(&self.spec.home).map(Files::new);
        opened.map_err(broken("open", name))
    }
}

/// The files of the tree, by paths relative to it.
impl Place {
    /// Returns a file's bytes.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        self.files.read(path)
    }

    /// Returns at most `len` bytes of a file from `offset` on; for files too large to read whole.
    pub fn read_range(&self, path: &str, offset: u64, len: usize) -> Result<Vec<u8>, FileError> {
        self.files.read_range(path, offset, len)
    }

    /// Replaces or makes a file, with the folders above it; an old file's mode is kept.
    pub fn write(&self, path: &str, bytes: &[u8]) -> Result<(), FileError> {
        let _writing = self.writing(path)?;
        let written = self.files.write(path, bytes);
        if let Err(error) = &written
            && error.is_no_space()
        {
            let _ = self.no_space.set(error.to_string());
        }
        written
    }

    /// Lets everybody who may read a file execute it.
    pub fn make_executable(&self, path: &str) -> Result<(), FileError> {
        let _writing = self.writing(path)?;
        self.files.make_executable(path)
    }

    /// Returns what failed because the disk is full, which no agent can help.
    pub fn no_space(&self) -> Option<&str> {
        self.no_space.get().map(String::as_str)
    }

    /// Removes a file, a link or an empty folder.
    pub fn remove(&self, path: &str) -> Result<(), FileError> {
        let _writing = self.writing(path)?;
        self.files.remove(path)
    }

    /// Moves a file or folder to where nothing is yet, and makes the folders above.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), FileError> {
        let _writing = self.writing(to)?;
        self.files.rename(from, to)
    }

    /// Begins a write, unless the writer's turn is over.
    fn writing(&self, path: &str) -> Result<Option<Writing<'_>>, FileError> {
        let writing = self.pass.get().map(Pass::enter).transpose();
        writing.map_err(|fenced| broken("write", path)(io::Error::other(fenced)))
    }

    /// Returns what is known about a path, following links that stay in the tree.
    pub fn metadata(&self, path: &str) -> Result<Meta, FileError> {
        self.files.metadata(path)
    }

    /// Returns where a link points to, if the path is one.
    pub fn link(&self, path: &str) -> Option<String> {
        self.files.link(path)
    }

    /// Returns what a folder holds, by name.
    pub fn list(&self, path: &str) -> Result<Vec<Entry>, FileError> {
        self.files.list(path)
    }
}

fn folder(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PlaceError {
    move |source| PlaceError::Folder { what, path: path.to_owned(), source }
}

/// Makes every path absolute and free of links, and the private home.
fn resolve(mut spec: PlaceSpec) -> Result<PlaceSpec, PlaceError> {
    let inner = match spec.backend.has_own_view() {
        true => spec.home.clone(),
        false => spec.home.join("tmp"),
    };
    let home = DirBuilder::new().recursive(true).mode(0o700).create(inner);
    home.map_err(folder("home", &spec.home))?;
    let real = |what, path: &Path| path.canonicalize().map_err(folder(what, path));
    spec.home = real("home", &spec.home)?;
    spec.tree = real("tree", &spec.tree)?;
    spec.private_git = spec.private_git.map(|path| real("git dir", &path)).transpose()?;
    for objects in &mut spec.objects {
        *objects = real("object folder", objects)?;
    }
    spec.hide = spec.hide.iter().filter_map(|path| path.canonicalize().ok()).collect();
    spec.seen_as = spec.seen_as.canonicalize().unwrap_or(spec.seen_as);
    if !spec.seen_as.is_absolute() || spec.seen_as.parent().is_none() {
        return Err(PlaceError::SeenAs { path: spec.seen_as });
    }
    Ok(spec)
}
