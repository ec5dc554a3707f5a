//! Repositories for tests: made by the git program, without the machine's configuration.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use crate::{
    git::repo::Repo,
    protocol::ids::Oid,
    sandbox::host::{HostCommand, run},
};

/// A repository in a folder of its own, with an identity and one commit.
pub struct Fixture {
    /// The folder that holds everything.
    pub dir: TempDir,
    /// The repository's checkout.
    pub root: PathBuf,
}

impl Fixture {
    /// Makes a repository with `a.txt` and `src/lib.rs`.
    pub fn small() -> Self {
        let fixture = Self::empty(&["--initial-branch=main"]);
        fixture.write("a.txt", b"one\n");
        fixture.write("src/lib.rs", b"fn main() {}\n");
        fixture.commit("first");
        fixture
    }

    /// Makes a repository without any commit.
    pub fn empty(init: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let root = base.join("repo");
        fs::create_dir(&root).unwrap();
        let fixture = Self { dir, root };
        fixture.git(&[&["init", "-q"], init].concat());
        fixture.git(&["config", "user.name", "Ann"]);
        fixture.git(&["config", "user.email", "ann@example.org"]);
        fixture
    }

    /// Opens it as grafter does.
    pub fn repo(&self) -> Repo {
        Repo::discover(&self.root).unwrap()
    }

    /// Returns a path beside the checkout.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.root.parent().unwrap().join(name)
    }

    /// Writes a file of the checkout.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Commits everything and returns the commit.
    pub fn commit(&self, message: &str) -> Oid {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.oid("HEAD")
    }

    /// Returns the object a revision names.
    pub fn oid(&self, rev: &str) -> Oid {
        Oid::new(self.git(&["rev-parse", "--verify", rev]).trim())
    }

    /// Runs git in the checkout and returns its output; it must succeed.
    pub fn git(&self, args: &[&str]) -> String {
        self.git_in(&self.root.clone(), args)
    }

    /// Runs git in some folder and returns its output; it must succeed.
    pub fn git_in(&self, dir: &std::path::Path, args: &[&str]) -> String {
        let mut command = HostCommand::new("git");
        command.args = args.iter().map(Into::into).collect();
        command.dir = Some(dir.to_owned());
        command.env = vec![
            ("GIT_CONFIG_GLOBAL".to_owned(), "/dev/null".into()),
            ("GIT_CONFIG_NOSYSTEM".to_owned(), "1".into()),
            ("GIT_ALLOW_PROTOCOL".to_owned(), "file".into()),
        ];
        let output = run(&command).unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.code, Some(0), "git {args:?}: {words}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Returns all that must never change by grafter: HEAD, refs, index, stash, config, status.
    pub fn picture(&self) -> String {
        let index = blake3::hash(&fs::read(self.root.join(".git/index")).unwrap());
        let config = fs::read_to_string(self.root.join(".git/config")).unwrap();
        let head = fs::read_to_string(self.root.join(".git/HEAD")).unwrap();
        let refs = self.git(&["for-each-ref", "refs/heads/main", "refs/stash", "refs/tags"]);
        let status = self.git(&["--no-optional-locks", "status", "--porcelain", "--ignored"]);
        format!("{head}{refs}{index}\n{config}{status}")
    }
}
