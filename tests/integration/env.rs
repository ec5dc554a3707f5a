//! The hermetic ground that integration tests stand on: a folder of their own with a home, a
//! configuration, a state and a repository; a clean environment; processes that end.
//!
//! ```ignore
//! let env = Env::new();
//! env.write("src/lib.rs", "pub fn f() {}\n");
//! env.commit("start");
//! let before = env.fingerprint();
//! let output = env.grafter(["run", "fix f"]).script(SCRIPT).ok();
//! assert_eq!(env.fingerprint(), before);
//! ```

pub(crate) mod process;
mod tests;

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

pub(crate) use process::{Output, Run};
use tempfile::TempDir;

/// How long a process may take; far more than any needs, so that only a hang meets it.
const DEADLINE: Duration = Duration::from_secs(120);
/// Where toolchains find themselves, with the folder of the real home they use by default.
const TOOLCHAINS: [(&str, &str); 3] =
    [("RUSTUP_HOME", ".rustup"), ("CARGO_HOME", ".cargo"), ("PYENV_ROOT", ".pyenv")];
/// The moment of every commit that the harness makes.
const DATE: &str = "2026-01-01T00:00:00Z";

/// A world of its own for one test; removed when dropped.
pub(crate) struct Env {
    root: TempDir,
    counter: AtomicU32,
}

impl Env {
    /// Makes the folders and a repository without commits on the branch `main`.
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// Makes the same in a folder, such as one of which sandboxes do not show an empty copy.
    #[track_caller]
    pub(crate) fn below(folder: &Path) -> Self {
        // The name is short because a Unix socket's path may have no more than 108 bytes.
        let mut root = tempfile::Builder::new();
        let root = root.prefix("g").tempdir_in(folder).expect("a temporary folder");
        let env = Self { root, counter: AtomicU32::new(0) };
        for folder in ["home", "config", "state", "cache", "run", "tmp", "repo"] {
            fs::create_dir(env.root().join(folder)).expect("a new folder");
        }
        fs::set_permissions(env.root().join("run"), fs::Permissions::from_mode(0o700))
            .expect("an own folder");
        fs::write(env.root().join("config/gitconfig"), "").expect("a new file");
        env.git(["init", "-q", "-b", "main", "--template="]);
        env.git(["config", "user.name", "Ada Example"]);
        env.git(["config", "user.email", "ada@example.com"]);
        env
    }

    /// Returns the folder that holds everything.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Returns a path in the repository.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root().join("repo").join(path)
    }

    /// Writes a file of the repository and the folders above it.
    #[track_caller]
    pub(crate) fn write(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a file below the root")).expect("its folder");
        fs::write(&path, text).expect("a file of the test");
    }

    /// Runs git in the repository and returns what it prints, without the last line end.
    #[track_caller]
    pub(crate) fn git(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
        let mut run = self.program("git", args);
        for who in ["AUTHOR", "COMMITTER"] {
            run = run
                .env(&format!("GIT_{who}_NAME"), "Ada Example")
                .env(&format!("GIT_{who}_EMAIL"), "ada@example.com")
                .env(&format!("GIT_{who}_DATE"), DATE);
        }
        run.ok().stdout.trim_end().to_owned()
    }

    /// Commits everything in the working tree and returns the commit.
    #[track_caller]
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(["add", "-A"]);
        self.git(["commit", "-q", "--no-verify", "-m", message]);
        self.git(["rev-parse", "HEAD"])
    }

    /// Returns the built grafter, to be run in the repository.
    pub(crate) fn grafter(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run<'_> {
        self.program(env!("CARGO_BIN_EXE_grafter"), args)
    }

    /// Returns any program, to be run in the repository in the same clean environment.
    pub(crate) fn program(
        &self,
        program: &str,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Run<'_> {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.path("")).env_clear().envs(self.variables());
        Run { env: self, command, stdin: Vec::new(), deadline: DEADLINE }
    }

    fn variables(&self) -> BTreeMap<&'static str, OsString> {
        let below = |name: &str| self.root().join(name).into_os_string();
        let mut variables = BTreeMap::from([
            ("HOME", below("home")),
            ("XDG_CONFIG_HOME", below("config")),
            ("XDG_STATE_HOME", below("state")),
            ("XDG_CACHE_HOME", below("cache")),
            ("XDG_RUNTIME_DIR", below("run")),
            ("TMPDIR", below("tmp")),
            ("GIT_CONFIG_GLOBAL", below("config/gitconfig")),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("GIT_TERMINAL_PROMPT", "0".into()),
            ("LANG", "C.UTF-8".into()),
            ("TZ", "UTC".into()),
            ("TERM", "dumb".into()),
            ("NO_COLOR", "1".into()),
            ("COLUMNS", "100".into()),
        ]);
        for name in ["PATH", "RUSTUP_TOOLCHAIN"] {
            variables.extend(std::env::var_os(name).map(|value| (name, value)));
        }
        // The home is another one, so what lies in the real one must be named.
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        for (name, folder) in TOOLCHAINS {
            let folder = std::env::var_os(name).map_or_else(|| home.join(folder), PathBuf::from);
            if folder.is_dir() {
                variables.insert(name, folder.into_os_string());
            }
        }
        variables
    }

    fn new_file(&self, name: &str) -> PathBuf {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        self.root().join(format!("{number}-{name}"))
    }

    /// Returns a text without what differs from test to test: the root is `<root>`.
    pub(crate) fn clean(&self, text: &str) -> String {
        text.replace(&*self.root().to_string_lossy(), "<root>")
    }

    /// Returns what a run must never touch: the user's working tree, index, HEAD, stash and
    /// configuration.
    #[track_caller]
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let mut parts = BTreeMap::new();
        print_tree(&self.path(""), Path::new(""), &mut parts);
        let git = PathBuf::from(self.git(["rev-parse", "--absolute-git-dir"]));
        let files =
            ["index", "HEAD", "config", "config.worktree", "info/exclude", "logs/refs/stash"];
        for file in files {
            let print = fs::read(git.join(file)).map_or("absent".to_owned(), |b| hash(&b));
            parts.insert(format!("git {file}"), print);
        }
        let stash = ["for-each-ref", "--format=%(objectname)", "refs/stash"];
        parts.insert("git refs/stash".to_owned(), self.git(stash));
        print_tree(&git.join("hooks"), Path::new("git hooks"), &mut parts);
        Fingerprint(parts)
    }
}

/// The state of a checkout, part by part, so that a difference says where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(BTreeMap<String, String>);

fn print_tree(folder: &Path, name: &Path, into: &mut BTreeMap<String, String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let entry = entry.expect("an entry of the working tree");
        if entry.file_name() == ".git" {
            continue;
        }
        let (path, name) = (entry.path(), name.join(entry.file_name()));
        let facts = fs::symlink_metadata(&path).expect("a file that stands still");
        let (mode, time) = (facts.mode(), (facts.mtime(), facts.mtime_nsec()));
        let content = if facts.is_dir() {
            print_tree(&path, &name, into);
            "folder".to_owned()
        } else if facts.is_symlink() {
            format!("-> {:?}", fs::read_link(&path).expect("a link"))
        } else if facts.is_file() {
            // A file that is written again with the same content is touched too.
            format!("{} {time:?}", hash(&fs::read(&path).expect("a readable file")))
        } else {
            "special".to_owned()
        };
        into.insert(format!("{name:?}"), format!("{mode:o} {content}"));
    }
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}
