//! What this machine allows: each backend is tried, not guessed.

use std::{
    fmt,
    io::{BufRead, BufReader},
    path::Path,
    sync::OnceLock,
    time::Duration,
};

use crate::sandbox::{
    child, landlock, launch,
    wire::{Confine, Fill, Layer, Ready, Setup, View},
};

/// How long the trial may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How commands are confined, the strongest first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Backend {
    /// Namespaces and mounts of their own.
    Namespaces,
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
            Self::Landlock => "landlock",
            Self::None => "none",
        }
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
    /// The version of Landlock, as far as grafter knows them (6).
    pub landlock_abi: Option<u32>,
    /// What the backend does not hold, for `doctor` and the run's head.
    pub notes: Vec<String>,
}

/// Returns what this machine allows, tried once per process with the running program as helper.
pub fn probe() -> Caps {
    static CAPS: OnceLock<Caps> = OnceLock::new();
    CAPS.get_or_init(|| match std::env::current_exe() {
        Ok(helper) => probe_with(&helper),
        Err(error) => caps(Err(format!("the program does not know its own path: {error}"))),
    })
    .clone()
}

/// Returns what this machine allows, tried with this `grafter` program as helper.
pub fn probe_with(helper: &Path) -> Caps {
    caps(try_namespaces(helper))
}

fn caps(namespaces: Result<Vec<String>, String>) -> Caps {
    let landlock_abi = landlock::version();
    let (userns, mut notes) = match namespaces {
        Ok(notes) => (Ok(()), notes),
        Err(why) => (Err(why), Vec::new()),
    };
    let backend = match (&userns, landlock_abi) {
        (Ok(()), _) => Backend::Namespaces,
        (Err(_), Some(landlock::LEAST..)) => Backend::Landlock,
        (Err(_), _) => Backend::None,
    };
    if let Err(why) = &userns {
        notes.push(format!("no namespaces: {why}"));
    }
    if backend == Backend::None {
        notes.push("commands are not confined at all".to_owned());
    }
    Caps { backend, userns, landlock_abi, notes }
}

fn try_namespaces(helper: &Path) -> Result<Vec<String>, String> {
    let scratch = Layer { at: "/tmp".into(), fill: Fill::Scratch };
    let view = View { secrets: Vec::new(), layers: vec![scratch] };
    let setup = Setup { confine: Confine::Namespaces(view), base: "/".into(), env: Vec::new() };
    let helper = launch::start(helper, child::NAMESPACES, &setup).map_err(|e| e.to_string())?;
    let mut line = String::new();
    let answered = helper
        .socket
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| BufReader::new(&helper.socket).read_line(&mut line));
    answered.map_err(|error| format!("the trial did not answer: {error}"))?;
    match serde_json::from_str(&line) {
        Ok(Ready::Serving(notes)) => Ok(notes),
        Ok(Ready::Failed(why)) => Err(why),
        Err(_) => Err("the trial ended without an answer".to_owned()),
    }
}
