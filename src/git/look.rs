//! What the read-only `git` tool of an agent shows.
//!
//! Everything is answered from objects, never from a working tree, so nothing an agent wrote is
//! run or followed. `HEAD` and `@` mean the agent's own commit; the user's stash, reflogs and
//! HEAD cannot be named.

use crate::{
    git::{
        program::{Git, GitError},
        repo::Repo,
    },
    protocol::ids::Oid,
};

/// An agent's view of the history.
#[derive(Clone, Debug)]
pub struct Look<'a> {
    /// The repository.
    pub repo: &'a Repo,
    /// The commit the agent's tree was made at.
    pub base: &'a Oid,
    /// The tree of its files as they are now; the base when it cannot write.
    pub now: &'a Oid,
}

/// The lines of a file, counted from 1, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    /// The first.
    pub from: u32,
    /// The last.
    pub to: u32,
}

impl Look<'_> {
    /// Lists the last `count` commits before and at a revision, of one path or all.
    pub fn log(&self, rev: &str, path: Option<&str>, count: u32) -> Result<String, GitError> {
        let git = self.git("log").args(["--no-ext-diff", "--no-textconv", "--date=short"]);
        let git = git.args(["--format=%h %ad %an: %s", &format!("--max-count={count}")]);
        self.answer(git, &[&self.commit(rev)?], path)
    }

    /// Shows a commit with its patch, of one path or all.
    pub fn show(&self, rev: &str, path: Option<&str>) -> Result<String, GitError> {
        let git = self.git("show").args(["--no-ext-diff", "--no-textconv", "--date=short"]);
        self.answer(git.args(["--stat", "--patch", "--format=medium"]), &[&self.commit(rev)?], path)
    }

    /// Shows a file as it was in a revision.
    pub fn file(&self, rev: &str, path: &str) -> Result<String, GitError> {
        let object = format!("{}:{path}", self.commit(rev)?);
        self.answer(self.git("cat-file").args(["blob"]), &[&object], None)
    }

    /// Shows what differs from one revision to another, or to the files as they are now.
    pub fn diff(
        &self,
        from: &str,
        to: Option<&str>,
        path: Option<&str>,
    ) -> Result<String, GitError> {
        let to = to.map_or(Ok(self.now.0.clone()), |rev| self.commit(rev))?;
        let git = self.git("diff").args(["--no-ext-diff", "--no-textconv"]);
        self.answer(git, &[&self.commit(from)?, &to], path)
    }

    /// Shows who last changed each line of a file in a revision.
    pub fn blame(&self, rev: &str, path: &str, lines: Option<Lines>) -> Result<String, GitError> {
        let mut git = self.git("blame").args(["--date=short", "--no-textconv"]);
        if let Some(lines) = lines {
            git = git.arg(format!("-L{},{}", lines.from, lines.to));
        }
        self.answer(git, &[&self.commit(rev)?], Some(path))
    }

    /// Lists which files differ from the base now: a letter and a path each.
    pub fn status(&self) -> Result<String, GitError> {
        let git = self.git("diff").args(["--no-ext-diff", "--name-status", "--no-renames"]);
        self.answer(git, &[self.base.as_str(), self.now.as_str()], None)
    }

    fn git(&self, verb: &str) -> Git {
        Git::objects(self.repo, verb)
    }

    fn answer(&self, git: Git, revs: &[&str], path: Option<&str>) -> Result<String, GitError> {
        // Revisions are full ids by now, so none can be taken for an option.
        let git = git.args(revs.iter().copied());
        let git = match path {
            Some(path) => git.arg("--").arg(path),
            None => git,
        };
        Ok(String::from_utf8_lossy(&git.ok()?).into_owned())
    }

    /// Returns the commit that an agent's revision names.
    fn commit(&self, rev: &str) -> Result<String, GitError> {
        let refused = |why: &str| {
            let rev: String = rev.escape_debug().take(80).collect();
            GitError::Odd(format!("`{rev}` {why}; name a commit as HEAD, HEAD~2 or by its id"))
        };
        let split = rev.find(['~', '^']).unwrap_or(rev.len());
        let (start, steps) = rev.split_at(split);
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        if !steps.chars().all(|c| matches!(c, '~' | '^' | '0'..='9')) || steps.len() > 32 {
            return Err(refused("is not a plain revision"));
        }
        let start = match start {
            "HEAD" | "@" => self.base.as_str(),
            start if start.contains("stash") || start.ends_with("HEAD") => {
                return Err(refused("belongs to the user"));
            }
            start if start.is_empty() || start.starts_with('-') || !start.chars().all(plain) => {
                return Err(refused("is not a plain revision"));
            }
            start => start,
        };
        match self.repo.resolve(&format!("{start}{steps}")) {
            Ok(oid) => Ok(oid.0),
            Err(_) => Err(refused("names no commit")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    #[test]
    fn history_is_shown_from_the_agents_own_commit() {
        let fixture = Fixture::small();
        let base = fixture.oid("HEAD");
        fixture.write("a.txt", b"one\ntwo\n");
        let now = fixture.commit("second, of the user");
        let repo = fixture.repo();
        let look = Look { repo: &repo, base: &base, now: &now };
        let log = look.log("HEAD", None, 5).unwrap();
        assert!(log.contains("Ann: first") && !log.contains("second"), "{log}");
        assert!(look.log("main", Some("a.txt"), 5).unwrap().contains("second"));
        assert_eq!(look.log("main", Some("src"), 5).unwrap().lines().count(), 1);
        assert!(look.show(now.short(), None).unwrap().contains("+two"));
        assert_eq!(look.file("main", "a.txt").unwrap(), "one\ntwo\n");
        assert!(look.diff("@", None, Some("a.txt")).unwrap().contains("+two"));
        assert_eq!(look.diff("@", Some("HEAD"), None).unwrap(), "");
        assert_eq!(look.status().unwrap(), "M\ta.txt\n");
        let lines = Some(Lines { from: 2, to: 2 });
        let blame = look.blame("main", "a.txt", lines).unwrap();
        assert!(blame.starts_with(&now.0[..7]) && blame.lines().count() == 1, "{blame}");
    }

    #[test]
    fn no_revision_reaches_options_stash_or_reflog() {
        let fixture = Fixture::small();
        fixture.write("a.txt", b"private\n");
        fixture.git(&["stash", "-q"]);
        let (repo, base) = (fixture.repo(), fixture.oid("HEAD"));
        let look = Look { repo: &repo, base: &base, now: &base };
        let hostile = [
            "--output=x",
            "-p",
            "stash",
            "refs/stash",
            "stash^2",
            "HEAD@{1}",
            "main@{0}",
            ":/first",
            "HEAD^{/x}",
            "ORIG_HEAD",
            "",
            "~1",
            "no-such",
            "a..b",
            "HEAD\n",
            "HEAD^\0",
        ];
        for rev in hostile {
            assert!(look.log(rev, None, 1).is_err(), "{rev:?}");
        }
        let path = Some("--output=x");
        assert_eq!(look.log("HEAD", path, 1).unwrap(), "");
        assert!(!repo.common_dir().join("x").exists());
    }

    #[test]
    fn nothing_configured_is_run() {
        let fixture = Fixture::small();
        let mark = fixture.beside("ran");
        let run = format!("touch {}; cat", mark.display());
        for key in
            ["diff.external", "diff.x.textconv", "diff.x.command", "core.pager", "core.fsmonitor"]
        {
            fixture.git(&["config", key, &run]);
        }
        fixture.write(".gitattributes", b"* diff=x\n");
        let base = fixture.oid("HEAD");
        let now = fixture.commit("second");
        fixture.write(".git/info/attributes", b"* diff=x\n");
        let _ = std::fs::remove_file(&mark);
        let repo = fixture.repo();
        let look = Look { repo: &repo, base: &base, now: &now };
        look.diff("HEAD", None, None).unwrap();
        look.show("main", None).unwrap();
        look.log("main", None, 3).unwrap();
        look.blame("main", "a.txt", None).unwrap();
        look.status().unwrap();
        assert!(!mark.exists());
    }
}
