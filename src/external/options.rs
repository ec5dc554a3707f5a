//! The `[workers]` tables of the user's settings: which workers there are, what each is granted.
//!
//! No repository may set any of it: a worker is a command that runs with a user's login.
//!
//! ```toml
//! [workers.mini]
//! protocol = "command"               # or "acp": it is talked with over its standard streams
//! preset = "mini"                    # claude, codex, gemini, opencode, goose, aider, mini
//! command = ["mini", "-t", "{prompt}"]  # optional with a preset
//! model = "openai/gpt-5"             # fills {model}
//! base_url = "http://127.0.0.1:8080" # fills {base_url}
//! env = ["OPENAI_API_KEY"]           # names of variables it gets
//! read = ["~/.codex"]                # folders and files it may read
//! write = []                         # and write
//! hosts = ["api.openai.com"]         # hosts it may reach
//! timeout_minutes = 20
//! login = "gemini-api-key"           # how an agent that speaks acp is to log in, if it must be told
//! ```

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    external::preset::{Preset, Protocol},
    sandbox::{grants::Grants, hosts::HostRule},
    settings::{
        load::{ALL, Section},
        nearest,
    },
};

/// What a command may name.
const PLACES: [&str; 5] = ["{prompt}", "{prompt_file}", "{report_file}", "{model}", "{base_url}"];

/// All workers by name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Options(BTreeMap<String, Worker>);

impl Section for Options {
    const NAME: &'static str = "workers";
    const NO_REPO: &'static [&'static str] = &[ALL];
}

/// One worker as written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Worker {
    protocol: Protocol,
    preset: Option<Preset>,
    command: Vec<String>,
    model: Option<String>,
    base_url: Option<String>,
    env: Vec<String>,
    read: Vec<String>,
    write: Vec<String>,
    hosts: Vec<HostRule>,
    timeout_minutes: f64,
    login: Option<String>,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            protocol: Protocol::Command,
            preset: None,
            command: Vec::new(),
            model: None,
            base_url: None,
            env: Vec::new(),
            read: Vec::new(),
            write: Vec::new(),
            hosts: Vec::new(),
            timeout_minutes: 20.0,
            login: None,
        }
    }
}

/// A worker that can be called.
#[derive(Clone, Debug, PartialEq)]
pub struct Hired {
    /// Its name in the user's settings.
    pub name: String,
    /// How it is talked with.
    pub protocol: Protocol,
    /// The agent it is, if that is a known one: how its report is read.
    pub preset: Option<Preset>,
    /// Its command, with `{prompt}`, `{prompt_file}` and `{report_file}` still in it.
    pub command: Vec<String>,
    /// Names of variables it gets.
    pub env: Vec<String>,
    /// What its place shows and reaches beyond others.
    pub grants: Grants,
    /// How long it may take.
    pub deadline: Duration,
    /// The way to log in that it is told, by the id that it knows it by.
    pub login: Option<String>,
    /// All of it as written, for the key of its results.
    pub written: String,
}

/// The name of the worker that is part of grafter.
pub const EMBEDDED: &str = "repair";
/// How long it searches.
const SEARCH: Duration = Duration::from_secs(20 * 60);

impl Hired {
    /// Returns the worker that is part of grafter: no program, no grants.
    fn embedded() -> Self {
        Self {
            name: EMBEDDED.to_owned(),
            protocol: Protocol::Embedded,
            preset: None,
            command: Vec::new(),
            env: Vec::new(),
            grants: Grants::default(),
            deadline: SEARCH,
            login: None,
            // What it finds depends on how it searches.
            written: concat!("embedded ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Why a worker cannot be called.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum WorkerError {
    /// The settings have none of that name.
    #[error("there is no worker `{name}`{near} (known: {known})")]
    Unknown {
        /// The name.
        name: String,
        /// The nearest name, as words.
        near: String,
        /// All names, or `none`.
        known: String,
    },
    /// Its table says something that cannot be.
    #[error("worker `{name}`: {why}")]
    Wrong {
        /// The name.
        name: String,
        /// What is wrong.
        why: String,
    },
}

impl Options {
    /// Returns the names of all workers.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns a worker ready to be called; `~` in its folders stands for `home`.
    pub fn hire(&self, name: &str, home: &Path) -> Result<Hired, WorkerError> {
        if name == EMBEDDED && !self.0.contains_key(name) {
            return Ok(Hired::embedded());
        }
        let Some(worker) = self.0.get(name) else {
            let names: Vec<&str> = self.names().collect();
            let near = nearest::hint(name, names.iter().copied());
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(WorkerError::Unknown { name: name.to_owned(), near, known });
        };
        let wrong = |why: String| WorkerError::Wrong { name: name.to_owned(), why };
        let folders = |paths: &[String]| {
            paths.iter().map(|path| folder(path, home)).collect::<Result<Vec<_>, _>>()
        };
        Ok(Hired {
            name: name.to_owned(),
            protocol: worker.protocol,
            preset: worker.known(name),
            command: worker.line(name).map_err(wrong)?,
            env: worker.env.clone(),
            grants: Grants {
                read: folders(&worker.read).map_err(wrong)?,
                write: folders(&worker.write).map_err(wrong)?,
                hosts: worker.hosts.clone(),
            },
            deadline: worker.deadline().map_err(wrong)?,
            login: worker.login.clone(),
            written: serde_json::to_string(worker).unwrap_or_default(),
        })
    }
}

impl Worker {
    /// A table without command and preset, named like a preset, means that one.
    fn known(&self, name: &str) -> Option<Preset> {
        self.preset.or_else(|| self.command.is_empty().then(|| Preset::named(name)).flatten())
    }

    fn deadline(&self) -> Result<Duration, String> {
        let asked = Duration::try_from_secs_f64(self.timeout_minutes * 60.0);
        let asked = asked.ok().filter(|time| !time.is_zero());
        asked.ok_or_else(|| "`timeout_minutes` must be more than 0".to_owned())
    }

    /// Sees to it that the task reaches the worker, and by one way only.
    fn told(&self, names: &dyn Fn(&str) -> bool) -> Result<(), String> {
        let is_named = PLACES[..2].iter().any(|place| names(place));
        match self.protocol {
            Protocol::Command if !is_named => {
                Err("its command must name {prompt} or {prompt_file}, or it never sees the task"
                    .to_owned())
            }
            Protocol::Command if self.login.is_some() => {
                Err("`login` is for workers with protocol = \"acp\"".to_owned())
            }
            Protocol::Acp if PLACES[..3].iter().any(|place| names(place)) => {
                Err("with protocol = \"acp\" it is told the task when it runs: its command cannot \
                     name {prompt}, {prompt_file} or {report_file}"
                    .to_owned())
            }
            Protocol::Command | Protocol::Acp | Protocol::Embedded => Ok(()),
        }
    }

    fn line(&self, name: &str) -> Result<Vec<String>, String> {
        let values = [("{model}", &self.model), ("{base_url}", &self.base_url)];
        let unset: Vec<&str> =
            values.iter().filter(|(_, value)| value.is_none()).map(|(place, _)| *place).collect();
        let command = match (self.command.as_slice(), self.known(name)) {
            ([], None) => return Err("it needs a `command`, or a `preset`".to_owned()),
            ([], Some(preset)) => {
                let command = preset.command(self.protocol, &unset);
                let none = || format!("no command of {} that speaks acp is known", preset.name());
                command.ok_or_else(none)?
            }
            (own, _) => own.to_vec(),
        };
        let names = |place: &str| command.iter().any(|word| word.contains(place));
        if let Some(place) = unset.iter().find(|place| names(place)) {
            let key = place.trim_matches(['{', '}']);
            return Err(format!("its command names {place}, and `{key}` is not set"));
        }
        if let Some((place, _)) = values.iter().find(|(at, set)| set.is_some() && !names(at)) {
            let key = place.trim_matches(['{', '}']);
            return Err(format!("`{key}` has no effect: its command does not name {place}"));
        }
        self.told(&names)?;
        let fill = |word: String| {
            values.iter().fold(word, |word, (place, value)| match value {
                Some(value) => word.replace(place, value),
                None => word,
            })
        };
        Ok(command.into_iter().map(fill).collect())
    }
}

/// Returns where a granted path is seen, inside as on the host: a link keeps its own name.
fn folder(text: &str, home: &Path) -> Result<PathBuf, String> {
    let path = match text.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None => PathBuf::from(text),
    };
    if !path.is_absolute() {
        return Err(format!("`{text}` must be an absolute path, or begin with ~/"));
    }
    let real = path.canonicalize().map_err(|error| format!("cannot grant `{text}`: {error}"))?;
    let home = home.canonicalize().unwrap_or_else(|_| home.to_owned());
    if home.starts_with(&real) {
        return Err(format!("`{text}` holds your whole home; grant the one folder it needs"));
    }
    let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
    Ok(parent.zip(path.file_name()).map_or(real, |(parent, name)| parent.join(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::load::Settings;

    fn hire(text: &str, name: &str) -> Result<Hired, String> {
        let options: Options =
            Settings::from_texts(text, "").section().map_err(|error| error.to_string())?;
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".codex")).unwrap();
        options.hire(name, home.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_preset_needs_nothing_else_and_an_own_command_needs_no_preset() {
        let claude = hire("[workers.claude]\n", "claude").unwrap();
        assert_eq!((claude.preset, claude.deadline.as_secs()), (Some(Preset::Claude), 1200));
        assert!(!claude.command.contains(&"--model".to_owned()), "{:?}", claude.command);
        let fast = "[workers.fast]\npreset = 'codex'\nmodel = 'small'\nread = ['~/.codex']\n";
        let fast = hire(fast, "fast").unwrap();
        assert!(fast.command.windows(2).any(|pair| pair == ["--model", "small"]));
        assert!(fast.grants.read[0].ends_with(".codex"));
        let own = "[workers.own]\ncommand = ['x', '--url={base_url}', '{prompt_file}']\n\
                   base_url = 'http://127.0.0.1:1'\nhosts = ['127.0.0.1:1']\ntimeout_minutes = 3\n";
        let own = hire(own, "own").unwrap();
        assert_eq!(own.command, ["x", "--url=http://127.0.0.1:1", "{prompt_file}"]);
        assert_eq!((own.preset, own.deadline.as_secs(), own.grants.hosts.len()), (None, 180, 1));
    }

    #[test]
    fn what_cannot_be_is_said_with_its_worker() {
        let wrong = |table: &str| hire(&format!("[workers.w]\n{table}\n"), "w").unwrap_err();
        for (table, why) in [
            ("", "it needs a `command`, or a `preset`"),
            ("command = ['x']", "it never sees the task"),
            ("command = ['x', '{prompt}', '{model}']", "names {model}, and `model` is not set"),
            ("command = ['x', '{prompt}']\nmodel = 'm'", "`model` has no effect"),
            ("preset = 'claude'\nbase_url = 'http://x'", "`base_url` has no effect"),
            ("preset = 'aider'\nread = ['relative']", "must be an absolute path"),
            ("preset = 'aider'\nread = ['~/nowhere']", "cannot grant `~/nowhere`"),
            ("preset = 'aider'\nwrite = ['~/']", "holds your whole home"),
            ("preset = 'aider'\nread = ['/']", "holds your whole home"),
            ("preset = 'adier'", "did you mean `aider`?"),
            ("preset = 'aider'\ntimeout_minutes = 0", "must be more than 0"),
            ("preset = 'aider'\ntimeout_minutes = nan", "must be more than 0"),
            ("comand = ['x']", "did you mean `command`?"),
            ("hosts = ['http://x/']", "is no host"),
        ] {
            assert!(wrong(table).contains(why), "{table}: {}", wrong(table));
        }
        let unknown = hire("[workers.claude]\n[workers.mini]\n", "cluade").unwrap_err();
        let expected = "there is no worker `cluade`; did you mean `claude`? (known: claude, mini)";
        assert_eq!(unknown, expected);
        assert!(hire("", "mini").unwrap_err().ends_with("(known: none)"));
    }

    #[test]
    fn a_folder_that_is_a_link_was_shown_under_another_name() {
        let home = tempfile::tempdir().unwrap();
        let real = home.path().canonicalize().unwrap();
        std::fs::create_dir_all(home.path().join("dotfiles/codex")).unwrap();
        std::os::unix::fs::symlink("dotfiles/codex", home.path().join(".codex")).unwrap();
        assert_eq!(folder("~/.codex", home.path()), Ok(real.join(".codex")));
        std::os::unix::fs::symlink(".", home.path().join("all")).unwrap();
        assert!(folder("~/all", home.path()).unwrap_err().contains("your whole home"));
    }

    #[test]
    fn a_repository_sets_no_worker() {
        let repo = "[workers.evil]\ncommand = ['sh', '-c', '{prompt}']\n";
        let error = Settings::from_texts("", repo).section::<Options>().unwrap_err().to_string();
        assert!(error.contains("a repository may not set `workers.evil`"), "{error}");
    }
}
