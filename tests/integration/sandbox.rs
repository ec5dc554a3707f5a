//! What a place's commands can and cannot do, tried from inside.
//!
//! Every test here starts real sandboxes with the built program as helper. Namespace tests need a
//! machine that allows them; on another one they say so and check nothing, because the fallback
//! tests are what counts there.

mod commands;
mod confinement;
mod direct;
mod escapes;
mod fallback;
mod limits;
mod network;
mod ordinary;
mod real;
mod told;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use grafter::sandbox::{
    options::Options,
    place::{Place, PlaceSpec},
    probe::{Backend, probe_with},
    run::{Cmd, Ran, RunError},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const HELPER: &str = env!("CARGO_BIN_EXE_grafter");

/// A host with a checkout, a tree of it, and something secret beside them.
struct Host {
    dir: TempDir,
    place: Arc<Place>,
}

/// Returns a folder that no sandbox masks.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os(ordinary::FOLDER).unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into()).into()
}

/// Returns whether a sandbox shows an empty copy of the place where tests work: what is tried there
/// then comes through, and means nothing.
pub(crate) fn is_masked() -> bool {
    let folder = folder();
    let masked = ["/tmp", "/var/tmp", "/run", "/dev/shm"].iter().any(|at| folder.starts_with(at));
    if masked {
        skip(&format!("sandboxes show an empty copy of where {} lies", folder.display()));
    }
    masked
}

fn namespaces_work() -> bool {
    let caps = probe_with(Path::new(HELPER), &Options::default());
    if let Err(why) = &caps.userns {
        skip(why);
    }
    caps.backend == Backend::Namespaces
}

impl Host {
    async fn new(backend: Backend) -> Self {
        Self::with(backend, |_, _| {}).await
    }

    /// Opens a place in a fresh folder below the target directory, which no sandbox masks.
    async fn with(backend: Backend, change: impl FnOnce(&Path, &mut PlaceSpec)) -> Self {
        let dir = TempDir::new_in(folder()).expect("a folder");
        let root = dir.path();
        for folder in ["checkout/src", "tree/src", "state/home", "outside"] {
            fs::create_dir_all(root.join(folder)).expect("made");
        }
        fs::write(root.join("checkout/src/which.py"), "which = 'checkout'\n").expect("made");
        fs::write(root.join("tree/src/which.py"), "which = 'tree'\n").expect("made");
        fs::write(root.join("outside/file"), "untouched\n").expect("made");
        fs::write(root.join("state/secret"), "canary\n").expect("made");
        let home = root.join("state/home");
        let mut spec = PlaceSpec {
            private_git: None,
            objects: Vec::new(),
            hide: vec![root.join("state")],
            share: Vec::new(),
            write: Vec::new(),
            path_env: std::env::var_os("PATH").expect("a PATH"),
            tree: root.join("tree"),
            seen_as: root.join("checkout"),
            home,
            backend,
            options: Options::default(),
            contacts: None,
            helper: HELPER.into(),
        };
        change(root, &mut spec);
        let place = Place::open(spec).await.expect("it opens");
        Self { dir, place }
    }

    fn path(&self, rel: &str) -> PathBuf {
        self.dir.path().join(rel)
    }

    async fn run(&self, script: &str) -> Ran {
        run(&self.place, script).await.expect("it runs")
    }

    /// Runs a script and returns what it printed, which must be text.
    async fn says(&self, script: &str) -> String {
        String::from_utf8(self.run(script).await.output).expect("text")
    }
}

async fn run(place: &Place, script: &str) -> Result<Ran, RunError> {
    place.run(Cmd::new(script), &CancellationToken::new()).await
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} never came true");
}

/// The backends with a file system and processes of their own that work here.
fn views() -> Vec<Backend> {
    let all = [("namespaces", Backend::Namespaces), ("bubblewrap", Backend::Bubblewrap)];
    all.into_iter().filter(|(name, backend)| works(name, *backend)).map(|(_, own)| own).collect()
}

/// Tries one backend, with those before it out of the way.
fn works(name: &str, backend: Backend) -> bool {
    static TRIED: Mutex<BTreeMap<String, Result<(), String>>> = Mutex::new(BTreeMap::new());
    let mut tried = TRIED.lock().expect("no test panics in here");
    let answer = tried.entry(name.to_owned()).or_insert_with(|| {
        let dir = TempDir::new_in(folder()).expect("a folder");
        let spec = PlaceSpec {
            helper: HELPER.into(),
            backend,
            ..PlaceSpec::new(dir.path(), dir.path(), &dir.path().join("home"))
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        std::thread::scope(|scope| {
            let trial = scope.spawn(|| {
                runtime.expect("a runtime").block_on(async {
                    let place = Place::open(spec).await.map_err(|error| error.to_string())?;
                    let warm = place.warm().await.map_err(|error| error.to_string());
                    place.close().await;
                    warm
                })
            });
            trial.join().expect("the trial does not panic")
        })
    });
    if let Err(why) = answer {
        skip(&format!("{name}: {why}"));
    }
    answer.is_ok()
}

/// The backends that work here.
fn backends() -> Vec<Backend> {
    let caps = probe_with(Path::new(HELPER), &Options::default());
    let mut all = vec![Backend::None];
    if caps.landlock_abi.is_some_and(|abi| abi >= 3) {
        all.push(Backend::Landlock);
    }
    all.extend(views());
    all
}

/// The strongest backend that works here.
fn any_backend() -> Backend {
    probe_with(Path::new(HELPER), &Options::default()).backend
}

pub(crate) fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "not tested here: {why}");
}
