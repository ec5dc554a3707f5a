//! What this machine allows: each backend is tried, not guessed.

use std::{
    fmt, fs,
    io::{BufRead, BufReader, Write},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    process::Stdio,
    sync::OnceLock,
    time::Duration,
};

use crate::sandbox::{
    landlock, launch,
    options::{Limits, Options},
    wire::{Access, Confine, Fill, Layer, Ready, Setup, Standing, View},
};

/// How long the trial may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Names, with commas between, what tests want to be missing.
const WITHOUT: &str = "GRAFTER_PRETEND_WITHOUT";

/// How commands are confined, the strongest first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Backend {
    /// Namespaces and mounts of their own.
    Namespaces,
    /// The same, made by bubblewrap, where the system grants them to that program only.
    Bubblewrap,
    /// Landlock rules alone: weaker.
    Landlock,
    /// A process group and a scrubbed environment: no confinement.
    None,
}

impl Backend {
    /// Returns the name that users see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Bubblewrap => "bubblewrap",
            Self::Landlock => "landlock",
            Self::None => "none",
        }
    }

    /// Returns whether commands see a file system and processes of their own.
    pub fn has_own_view(self) -> bool {
        matches!(self, Self::Namespaces | Self::Bubblewrap)
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}

/// What the machine allows.
#[derive(Clone, Debug)]
pub struct Caps {
    /// The strongest backend that works.
    pub backend: Backend,
    /// Whether namespaces work, or what stops them.
    pub userns: Result<(), String>,
    /// Whether bubblewrap works, or why it does not; not tried where namespaces work.
    pub bubblewrap: Option<Result<(), String>>,
    /// The version of Landlock, as far as grafter knows them (6).
    pub landlock_abi: Option<u32>,
    /// What the backend enforces, and how.
    pub held: Vec<String>,
    /// What the backend does not hold, for `doctor` and the run's head.
    pub notes: Vec<String>,
}

/// Returns what this machine allows, tried once per process with the running program as helper.
pub fn probe() -> Caps {
    static CAPS: OnceLock<Caps> = OnceLock::new();
    CAPS.get_or_init(|| match std::env::current_exe() {
        Ok(helper) => probe_with(&helper, &Options::default()),
        Err(error) => {
            let why = format!("the program does not know its own path: {error}");
            caps(Tried { namespaces: Err(why.clone()), bubblewrap: None, landlock: Err(why) })
        }
    })
    .clone()
}

/// Returns the strongest backend and what it does not hold, tried once per process; `memory` is
/// the file in which a full success is noted, so that the next process in the same surroundings need not try.
///
/// Without it a sandbox more would be started for each run.
pub fn backend(memory: &Path) -> (Backend, Vec<String>) {
    static FOUND: OnceLock<(Backend, Vec<String>)> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let _ = MEMORY.set(memory.to_owned());
        let here = surroundings();
        if here.is_some() && fs::read_to_string(memory).ok() == here {
            return (Backend::Namespaces, Vec::new());
        }
        let Caps { backend, notes, .. } = probe();
        if let (Backend::Namespaces, true, Some(here), Some(dir)) =
            (backend, notes.is_empty(), here, memory.parent())
        {
            // A note that cannot be written costs the next process a trial.
            let _ = fs::create_dir_all(dir).and_then(|()| {
                let mut file = tempfile::NamedTempFile::new_in(dir)?;
                file.write_all(here.as_bytes())?;
                file.persist(memory).map_err(|error| error.error)
            });
        }
        (backend, notes)
    });
    found.clone()
}

/// Forgets what was noted, because a sandbox did not start: the next process tries again.
pub(super) fn forget() {
    if let Some(memory) = MEMORY.get() {
        let _ = fs::remove_file(memory);
    }
}

/// Where [`backend`] notes its success.
static MEMORY: OnceLock<PathBuf> = OnceLock::new();

/// Names all that decides over namespaces: this boot, this process's own confinement, the
/// kernel's switches, this program.
fn surroundings() -> Option<String> {
    let mut hash = blake3::Hasher::new();
    hash.update(&fs::read("/proc/sys/kernel/random/boot_id").ok()?);
    for name in ["user", "mnt", "pid"] {
        let link = fs::read_link(Path::new("/proc/self/ns").join(name)).ok()?;
        hash.update(link.as_os_str().as_bytes());
    }
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let tells = ["Uid", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp"];
    for line in status.lines().filter(|line| tells.iter().any(|name| line.starts_with(name))) {
        hash.update(line.as_bytes());
    }
    for file in [
        "/proc/self/attr/current",
        "/proc/sys/user/max_user_namespaces",
        "/proc/sys/kernel/unprivileged_userns_clone",
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    ] {
        hash.update(b"\0").update(&fs::read(file).unwrap_or_default());
    }
    if cfg!(debug_assertions) {
        hash.update(std::env::var(WITHOUT).unwrap_or_default().as_bytes());
    }
    let program = fs::metadata("/proc/self/exe").ok()?;
    for number in [program.ino(), program.size(), program.mtime().cast_unsigned()] {
        hash.update(&number.to_le_bytes());
    }
    Some(hash.finalize().to_hex().to_string())
}

/// How each backend that was tried answered.
struct Tried {
    namespaces: Result<Standing, String>,
    bubblewrap: Option<Result<Standing, String>>,
    landlock: Result<Standing, String>,
}

/// Returns what this machine allows, tried with this `grafter` program as helper and these limits.
pub fn probe_with(helper: &Path, options: &Options) -> Caps {
    let attempt = |name: &str, confine: Confine| match is_without(name) {
        true => Err("switched off for a test".to_owned()),
        false => attempt(helper, confine, Limits::from(options)),
    };
    let untried = || Err("not needed".to_owned());
    let namespaces = attempt("namespaces", Confine::Namespaces(small_view()));
    let bubblewrap =
        namespaces.is_err().then(|| attempt("bubblewrap", Confine::Bubblewrap(small_view())));
    let landlock = match (&namespaces, &bubblewrap, landlock_version()) {
        (Err(_), Some(Err(_)), Some(landlock::LEAST..)) => {
            let access = Access { read: vec!["/".into()], write: Vec::new() };
            attempt("landlock", Confine::Landlock(access))
        }
        _ => untried(),
    };
    caps(Tried { namespaces, bubblewrap, landlock })
}

/// What tests pretend is missing, in builds for tests only.
fn is_without(what: &str) -> bool {
    cfg!(debug_assertions)
        && std::env::var(WITHOUT).is_ok_and(|all| all.split(',').any(|one| one == what))
}

fn landlock_version() -> Option<u32> {
    landlock::version().filter(|_| !is_without("landlock"))
}

fn caps(tried: Tried) -> Caps {
    let Tried { namespaces, bubblewrap, landlock } = tried;
    let mut notes = Vec::new();
    let userns = namespaces.as_ref().map(|_| ()).map_err(Clone::clone);
    let outcome = bubblewrap.as_ref().map(|tried| tried.as_ref().map(|_| ()).map_err(Clone::clone));
    if let Err(why) = &userns {
        notes.push(format!("no namespaces: {why}"));
    }
    if let Some(Err(why)) = &outcome {
        notes.push(format!("no bubblewrap: {why}"));
    }
    let all = [
        (Backend::Namespaces, Some(namespaces)),
        (Backend::Bubblewrap, bubblewrap),
        (Backend::Landlock, Some(landlock)),
    ];
    let works = |(backend, tried): (Backend, Option<Result<Standing, String>>)| {
        Some((backend, tried?.ok()?))
    };
    let nothing = || Standing {
        weaker: vec!["commands are not confined at all".to_owned()],
        held: Vec::new(),
    };
    let (backend, standing) =
        all.into_iter().find_map(works).unwrap_or_else(|| (Backend::None, nothing()));
    // Bubblewrap holds as much, so what it stands in for is no weakness.
    if backend == Backend::Bubblewrap {
        notes.clear();
    }
    notes.extend(standing.weaker);
    let (landlock_abi, held) = (landlock_version(), standing.held);
    Caps { backend, userns, bubblewrap: outcome, landlock_abi, held, notes }
}

fn small_view() -> View {
    let scratch = Layer { at: "/tmp".into(), fill: Fill::Scratch };
    View { secrets: Vec::new(), layers: vec![scratch] }
}

fn attempt(helper: &Path, confine: Confine, limits: Limits) -> Result<Standing, String> {
    let setup = Setup { confine, base: "/".into(), env: Vec::new(), limits, no_proxy: None };
    let helper = launch::start(helper, &setup, (Stdio::null(), Stdio::null()))
        .map_err(|error| error.to_string())?;
    let mut line = String::new();
    let answered = helper
        .socket
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| BufReader::new(&helper.socket).read_line(&mut line));
    answered.map_err(|error| format!("the trial did not answer: {error}"))?;
    match serde_json::from_str(&line) {
        Ok(Ready::Serving(standing)) => Ok(standing),
        Ok(Ready::Failed(why)) => Err(why),
        Err(_) => Err("the trial ended without an answer".to_owned()),
    }
}
