//! Which of the user's toolchains a sandbox shares, and which files in them it must not.
//!
//! A home is masked as a whole, so the compilers and interpreters in it have to be named. They are
//! found through PATH and through the folders that the usual version managers keep.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

use rustix::process::geteuid;

use crate::sandbox::{layout::SCRATCH, sockets};

/// Where the usual toolchains live: the variable that says so, and the place in the home.
const MANAGERS: [(&str, &str); 6] = [
    ("CARGO_HOME", ".cargo"),
    ("RUSTUP_HOME", ".rustup"),
    ("PYENV_ROOT", ".pyenv"),
    ("NVM_DIR", ".nvm"),
    ("GOPATH", "go"),
    ("UV_PYTHON_INSTALL_DIR", ".local/share/uv/python"),
];

/// Files beside toolchains that hold credentials.
const CREDENTIALS: [&str; 8] = [
    "credentials",
    "credentials.toml",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    "auth.json",
    ".env",
];

/// What of the user's surroundings matters for a sandbox.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// The home that HOME names.
    pub(super) home: Option<PathBuf>,
    /// The home that the account has, which HOME may hide.
    pub(super) account_home: Option<PathBuf>,
    /// The language setting.
    pub(super) lang: Option<OsString>,
    /// The variables of [`MANAGERS`] that are set.
    pub(super) vars: BTreeMap<&'static str, PathBuf>,
    /// The sockets in the machine's file system.
    pub(super) sockets: Vec<PathBuf>,
}

/// The toolchains to share.
#[derive(Debug, Default)]
pub(super) struct Toolchains {
    /// Folders, none within another.
    pub(super) roots: BTreeSet<PathBuf>,
    /// Variables that lead programs to them.
    pub(super) vars: Vec<(OsString, OsString)>,
    /// Files in them that must not be read.
    pub(super) secrets: Vec<PathBuf>,
}

impl Host {
    /// Reads the surroundings of this process.
    pub(super) fn from_env() -> Self {
        let path = |name: &str| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let vars = MANAGERS.iter().filter_map(|(name, _)| Some((*name, path(name)?)));
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        Self {
            home: path("HOME"),
            account_home: account_home(&users, geteuid().as_raw()),
            lang: env::var_os("LANG"),
            vars: vars.collect(),
            sockets: sockets::of_the_machine(),
        }
    }
}

fn account_home(users: &str, uid: u32) -> Option<PathBuf> {
    let uid = uid.to_string();
    let mut accounts = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let account = accounts.find(|fields| fields.get(2) == Some(&uid.as_str()))?;
    account.get(5).map(PathBuf::from).filter(|home| home.is_absolute())
}

/// Finds the toolchains of this user; folders of PATH in `checkout` are not among them.
pub(super) fn find(host: &Host, path_env: &OsStr, checkout: &Path) -> Toolchains {
    let mut found = Toolchains::default();
    let mut roots = BTreeSet::new();
    for (name, in_home) in MANAGERS {
        let default = || host.home.as_ref().map(|home| home.join(in_home));
        let root = host.vars.get(name).cloned().or_else(default).filter(|root| root.is_dir());
        if let Some(root) = root {
            found.vars.push((name.into(), root.clone().into()));
            roots.insert(root);
        }
    }
    let dirs = env::split_paths(path_env).filter(|dir| dir.is_absolute() && dir.is_dir());
    let dirs: Vec<PathBuf> = dirs.collect();
    let own = checkout.join(".venv/bin");
    let bases = dirs.iter().chain([&own]).filter_map(|bin| interpreter(bin));
    let home = host.home.as_deref();
    roots.extend(dirs.iter().cloned().chain(bases).map(|dir| root_of(&dir, home)));
    // A checkout that holds the whole home is no reason to do without toolchains.
    let holds_home = host.home.as_ref().is_some_and(|home| home.starts_with(checkout));
    roots.retain(|root| holds_home || !root.starts_with(checkout));
    for root in &roots {
        if !root.ancestors().skip(1).any(|above| roots.contains(above)) {
            found.roots.insert(root.clone());
        }
        let files = CREDENTIALS.map(|name| root.join(name));
        found.secrets.extend(files.iter().filter_map(|file| file.canonicalize().ok()));
    }
    found
}

/// Returns what a folder of PATH belongs to: programs in `x/bin` need the rest of `x`.
fn root_of(dir: &Path, home: Option<&Path>) -> PathBuf {
    let parent = dir.parent().filter(|_| dir.file_name() == Some("bin".as_ref()));
    let Some(parent) = parent else { return dir.to_owned() };
    // Only where things are masked, and never so much that others than programs come along.
    let mut masked = SCRATCH.iter().map(Path::new).chain(home);
    let is_masked = masked.any(|folder| parent.starts_with(folder) && parent != folder);
    let too_much =
        home.is_some_and(|home| home.starts_with(parent) || parent == home.join(".local"));
    if is_masked && !too_much { parent.to_owned() } else { dir.to_owned() }
}

/// Returns the folder of the interpreter that a virtual environment's `bin` is made from.
fn interpreter(bin: &Path) -> Option<PathBuf> {
    let config = fs::read_to_string(bin.parent()?.join("pyvenv.cfg")).ok()?;
    let mut pairs = config.lines().filter_map(|line| line.split_once('='));
    let (_, base) = pairs.find(|(key, _)| key.trim() == "home")?;
    Some(PathBuf::from(base.trim())).filter(|base| base.is_absolute() && base.is_dir())
}

#[cfg(test)]
mod tests {
    use super::{Host, Path, PathBuf, account_home, find, root_of};

    #[test]
    fn a_bin_folder_brings_its_parent_but_never_the_home() {
        let home = Some(Path::new("/home/u"));
        let root = |dir: &str| root_of(dir.as_ref(), home).display().to_string();
        assert_eq!(root("/home/u/opt/node/bin"), "/home/u/opt/node");
        assert_eq!(root("/home/u/bin"), "/home/u/bin");
        assert_eq!(root("/home/u/.local/bin"), "/home/u/.local/bin");
        assert_eq!(root("/usr/bin"), "/usr/bin");
    }

    #[test]
    fn a_virtual_environment_among_temporary_files_comes_whole() {
        let root = |dir: &str| root_of(dir.as_ref(), None).display().to_string();
        assert_eq!(root("/tmp/x/venv/bin"), "/tmp/x/venv");
        assert_eq!(root("/tmp/bin"), "/tmp/bin");
    }

    #[test]
    fn a_virtual_environment_brings_the_interpreter_it_is_made_from() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().canonicalize().expect("it is there");
        for dir in ["own/python/bin", "repo/.venv/bin", "other/bin"] {
            std::fs::create_dir_all(home.join(dir)).expect("made");
        }
        let config = format!("home = {}\nversion = 3\n", home.join("own/python/bin").display());
        std::fs::write(home.join("repo/.venv/pyvenv.cfg"), config).expect("made");
        let host = Host { home: Some(home.clone()), ..Host::default() };
        let found = find(&host, "".as_ref(), &home.join("repo"));
        assert_eq!(found.roots.into_iter().collect::<Vec<_>>(), [home.join("own/python")]);
    }

    #[test]
    fn the_accounts_home_is_read_by_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nu:x:1000:1000::/home/u:/bin/sh\n";
        assert_eq!(account_home(users, 1000), Some(PathBuf::from("/home/u")));
        assert_eq!(account_home(users, 7), None);
    }

    #[test]
    fn managers_are_found_and_their_credentials_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().canonicalize().expect("it is there");
        std::fs::create_dir_all(home.join(".cargo/bin")).expect("made");
        std::fs::write(home.join(".cargo/credentials.toml"), "secret").expect("made");
        std::fs::create_dir_all(home.join("repo/bin")).expect("made");
        let path_env =
            std::env::join_paths([home.join(".cargo/bin"), home.join("repo/bin")]).expect("joins");
        let host = Host { home: Some(home.clone()), ..Host::default() };
        let found = find(&host, &path_env, &home.join("repo"));
        assert_eq!(found.roots.into_iter().collect::<Vec<_>>(), [home.join(".cargo")]);
        assert_eq!(found.secrets, [home.join(".cargo/credentials.toml")]);
        assert_eq!(found.vars, [("CARGO_HOME".into(), home.join(".cargo").into())]);
    }
}
