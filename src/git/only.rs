//! A repository that holds one commit and nothing before or after it, and patches laid into it.
//!
//! What is not there cannot be read by whoever works in it.

use std::path::Path;

use git2::{Repository, RepositoryInitOptions};

use crate::{
    git::program::{Git, GitError, Site},
    protocol::ids::Oid,
    sandbox::host::{self, HostCommand},
};

/// Lets a commit be asked for that no branch of the other side points at.
const ANY: &str = "git -c uploadpack.allowAnySHA1InWant=true upload-pack";

/// Makes a repository in `dir` of one commit of another repository, a folder or an address, on
/// `main`; no tag and no remote is taken over.
pub fn take(from: &str, commit: &Oid, dir: &Path) -> Result<(), GitError> {
    let mut options = RepositoryInitOptions::new();
    options.initial_head("main").external_template(false);
    Repository::init_opts(dir, &options).map_err(GitError::library("make a repository"))?;
    let call = |verb| Git::checkout(&site(dir), verb);
    call("fetch")
        .args(["--quiet", "--depth=1", "--no-tags", "--upload-pack", ANY, from, commit.as_str()])
        .ok()?;
    call("update-ref").args(["refs/heads/main", commit.as_str()]).ok()?;
    call("reset").args(["--hard", "--quiet", "main"]).ok()?;
    // It names where the commit came from.
    let _ = std::fs::remove_file(dir.join(".git/FETCH_HEAD"));
    Ok(())
}

/// Lays a patch into a tree as the official harness tries it: `git apply`, with `--3way`, with
/// `--reject`, then `patch`; the tree is cleaned between. Returns why none of them took it.
pub fn apply(dir: &Path, patch: &str) -> Result<Option<String>, GitError> {
    let mut why = String::new();
    for more in [&[][..], &["--3way"], &["--reject"]] {
        let call = Git::checkout(&site(dir), "apply").arg("--verbose");
        let output = call.args(more.iter().copied()).arg("-").stdin(patch.into()).run()?;
        if output.code == Some(0) {
            return Ok(None);
        }
        if why.is_empty() {
            why = crate::git::program::words(&output);
        }
        clean(dir)?;
    }
    let mut command = HostCommand::new("patch");
    command.args = ["--batch", "--forward", "--fuzz=5", "-p1"].map(Into::into).into();
    command.dir = Some(dir.to_owned());
    command.stdin = patch.into();
    match host::run(&command) {
        Ok(output) if output.code == Some(0) => Ok(None),
        // That the program is not there says nothing about the patch.
        Ok(_) | Err(_) => {
            clean(dir)?;
            Ok(Some(why))
        }
    }
}

/// Lays a patch into a tree as it is, or returns why it does not apply.
pub fn lay(dir: &Path, patch: &str) -> Result<Option<String>, GitError> {
    let call = Git::checkout(&site(dir), "apply").args(["--verbose", "-"]);
    let output = call.stdin(patch.into()).run()?;
    Ok((output.code != Some(0)).then(|| crate::git::program::words(&output)))
}

/// Puts files back as the commit has them; those that it does not have are taken away.
pub fn reset(dir: &Path, commit: &Oid, paths: &[String]) -> Result<(), GitError> {
    for path in paths {
        let call = Git::checkout(&site(dir), "checkout");
        let back = call.args(["--quiet", commit.as_str(), "--", path.as_str()]).run()?;
        if back.code != Some(0) {
            Git::checkout(&site(dir), "clean").args(["-fdxq", "--", path.as_str()]).run()?;
        }
    }
    Ok(())
}

fn clean(dir: &Path) -> Result<(), GitError> {
    Git::checkout(&site(dir), "reset").args(["--hard", "--quiet"]).ok()?;
    Git::checkout(&site(dir), "clean").args(["-fdq"]).ok()?;
    Ok(())
}

fn site(dir: &Path) -> Site {
    let git_dir = dir.join(".git");
    Site { index: git_dir.join("index"), git_dir, work_tree: dir.to_owned(), attributes: None }
}
