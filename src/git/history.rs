//! What the history of a repository tells: messages, files, and what changed together.

use crate::{
    git::{
        program::{Git, GitError},
        repo::Repo,
    },
    protocol::ids::Oid,
};

/// Returns the whole message of a commit.
pub fn message(repo: &Repo, commit: &Oid) -> Result<String, GitError> {
    let text = Git::objects(repo, "show").args(["-s", "--format=%B", commit.as_str()]).ok()?;
    Ok(String::from_utf8_lossy(&text).trim_end().to_owned() + "\n")
}

/// Returns the commits that a commit has beyond a base, the oldest first, merges left out.
pub fn since(repo: &Repo, base: &Oid, commit: &Oid) -> Result<Vec<Oid>, GitError> {
    let listed = Git::objects(repo, "rev-list")
        .args(["--reverse", "--topo-order", "--no-merges", commit.as_str()])
        .arg(format!("^{base}"))
        .ok()?;
    Ok(String::from_utf8_lossy(&listed).lines().map(Oid::new).collect())
}

/// Returns the paths of all files of a commit.
pub fn files(repo: &Repo, commit: &Oid) -> Result<Vec<String>, GitError> {
    let listed =
        Git::objects(repo, "ls-tree").args(["-r", "-z", "--name-only", commit.as_str()]).ok()?;
    Ok(paths(&listed))
}

/// Returns the paths that each of the newest `count` commits up to `commit` changed, merges left
/// out.
pub fn changes(repo: &Repo, commit: &Oid, count: usize) -> Result<Vec<Vec<String>>, GitError> {
    let log = Git::objects(repo, "log")
        .args(["--no-merges", "--no-renames", "--name-only", "-z", "--format=%x01"])
        .arg(format!("--max-count={count}"))
        .arg(commit.as_str())
        .ok()?;
    let commits = log.split(|byte| *byte == 1).skip(1);
    Ok(commits.map(paths).collect())
}

fn paths(listed: &[u8]) -> Vec<String> {
    let names = listed.split(|byte| *byte == 0);
    let text = |name: &[u8]| String::from_utf8_lossy(name).trim_start_matches('\n').to_owned();
    names.map(text).filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    #[test]
    fn it_tells_messages_files_and_changes() {
        let fixture = Fixture::small();
        fixture.write("a.txt", b"new\n");
        fixture.write("b c.txt", b"new\n");
        let tip = fixture.commit("Second\n\nwith a body");
        let repo = fixture.repo();
        assert_eq!(message(&repo, &tip).unwrap(), "Second\n\nwith a body\n");
        assert!(files(&repo, &tip).unwrap().contains(&"b c.txt".to_owned()));
        let told = changes(&repo, &tip, 10).unwrap();
        assert_eq!(told[0], ["a.txt", "b c.txt"]);
        assert_eq!(told.len(), 2);
        assert_eq!(changes(&repo, &tip, 1).unwrap().len(), 1);
    }
}
