//! Whether a target has what a commit brings, in whichever form it came there.
//!
//! Work lands as itself, replayed, as one commit, or by somebody else's hand. Each form has a test
//! that can only say yes when the target has all of it; a test that fails is an error and never a yes.

use crate::{
    git::{
        commit::{self, CommitSpec},
        join::{self, adds_nothing},
        program::{Git, GitError},
        repo::Repo,
    },
    protocol::ids::Oid,
};

/// How a target has what a commit brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The commit itself is in its history.
    Ancestor,
    /// Its files are the same.
    SameTree,
    /// Merging the commit would change nothing.
    AddsNothing,
    /// It has each of the commits as another one with the same change.
    Replayed,
    /// It has one commit with the change of all.
    Squashed,
}

impl Way {
    /// Returns it in words that follow `target`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Ancestor => "has the commit itself",
            Self::SameTree => "has the same files",
            Self::AddsNothing => "has all that merging it would bring",
            Self::Replayed => "has each of its commits, replayed",
            Self::Squashed => "has it as one commit",
        }
    }
}

/// Returns how a target has what a commit brings; none when it has not, as far as can be told.
pub fn way(repo: &Repo, target: &Oid, commit: &Oid) -> Result<Option<Way>, GitError> {
    if repo.contains(target, commit)? {
        return Ok(Some(Way::Ancestor));
    }
    if repo.tree_of(target)? == repo.tree_of(commit)? {
        return Ok(Some(Way::SameTree));
    }
    let Some(base) = join::merge_base(repo, target, commit)? else { return Ok(None) };
    if adds_nothing(repo, target, commit)? {
        return Ok(Some(Way::AddsNothing));
    }
    if !has_merges(repo, &base, commit)? && all_known(repo, target, commit)? {
        return Ok(Some(Way::Replayed));
    }
    // The change of all, as a commit that nothing names.
    let whole = CommitSpec {
        tree: repo.tree_of(commit)?,
        parents: vec![base],
        message: "all of it\n".to_owned(),
        identity: repo.identity(),
    };
    let squashed = all_known(repo, target, &commit::write(repo, &whole)?)?;
    Ok(squashed.then_some(Way::Squashed))
}

/// What a merge commit holds of its own, no comparison of patches shows.
fn has_merges(repo: &Repo, base: &Oid, commit: &Oid) -> Result<bool, GitError> {
    let merges = Git::objects(repo, "rev-list")
        .args(["--merges", "--max-count=1", commit.as_str()])
        .arg(format!("^{base}"))
        .ok()?;
    Ok(!merges.is_empty())
}

/// Returns whether a target has the patch of each commit that it does not have itself.
fn all_known(repo: &Repo, target: &Oid, commit: &Oid) -> Result<bool, GitError> {
    let told = Git::objects(repo, "cherry").args([target.as_str(), commit.as_str()]).ok()?;
    let told = String::from_utf8_lossy(&told);
    Ok(!told.is_empty() && told.lines().all(|line| line.starts_with("- ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    fn change(fixture: &Fixture, name: &str, bytes: &[u8]) -> Oid {
        fixture.write(name, bytes);
        fixture.commit(name)
    }

    /// Makes `work` with two commits, one of them of a binary file, and goes back to `main`.
    fn worked() -> Fixture {
        let fixture = Fixture::small();
        fixture.git(&["checkout", "-q", "-b", "work"]);
        change(&fixture, "b.txt", b"b\n");
        change(&fixture, "c.bin", b"c\0\n");
        fixture.git(&["checkout", "-q", "main"]);
        fixture
    }

    fn told(fixture: &Fixture) -> Option<Way> {
        way(&fixture.repo(), &fixture.oid("main"), &fixture.oid("work")).unwrap()
    }

    #[test]
    fn what_the_target_lacks_is_not_integrated() {
        let fixture = worked();
        assert_eq!(told(&fixture), None);
        fixture.git(&["cherry-pick", "work~1"]);
        assert_eq!(told(&fixture), None, "one of two");
        change(&fixture, "c.bin", b"other\0\n");
        assert_eq!(told(&fixture), None, "another binary file");
        // Its own history, with files of the same names.
        fixture.git(&["checkout", "-q", "--orphan", "foreign"]);
        fixture.git(&["rm", "-qf", "a.txt"]);
        change(&fixture, "c.bin", b"c\0\n");
        fixture.git(&["branch", "-f", "main", "foreign"]);
        assert_eq!(told(&fixture), None);
    }

    #[test]
    fn every_form_of_landing_is_known() {
        let fixture = worked();
        fixture.git(&["merge", "-q", "--no-ff", "work"]);
        assert_eq!(told(&fixture), Some(Way::Ancestor));
        let fixture = worked();
        fixture.git(&["merge", "-q", "--squash", "work"]);
        fixture.commit("squashed");
        assert_eq!(told(&fixture), Some(Way::SameTree));
        change(&fixture, "d.txt", b"more\n");
        assert_eq!(told(&fixture), Some(Way::AddsNothing));
        // The lines that came are gone on, so that merging would bring a conflict.
        change(&fixture, "b.txt", b"gone on\n");
        assert_eq!(told(&fixture), Some(Way::Squashed));
        let fixture = worked();
        change(&fixture, "d.txt", b"more\n");
        fixture.git(&["cherry-pick", "main..work"]);
        change(&fixture, "b.txt", b"gone on\n");
        assert_eq!(told(&fixture), Some(Way::Replayed));
    }

    #[test]
    fn what_only_a_merge_commit_holds_is_looked_for() {
        let fixture = worked();
        fixture.git(&["checkout", "-q", "-b", "side", "main"]);
        change(&fixture, "e.txt", b"e\n");
        fixture.git(&["checkout", "-q", "work"]);
        fixture.git(&["merge", "-q", "--no-commit", "side"]);
        change(&fixture, "only.txt", b"here\n");
        fixture.git(&["checkout", "-q", "main"]);
        fixture.git(&["cherry-pick", "work~1", "work~2", "side"]);
        assert_eq!(told(&fixture), None);
    }

    #[test]
    fn an_object_that_is_missing_is_an_error_and_no_yes() {
        let fixture = worked();
        let (repo, target) = (fixture.repo(), fixture.oid("main"));
        let (work, blob) = (fixture.oid("work"), fixture.oid("work:b.txt"));
        let path = fixture.root.join(".git/objects").join(&blob.0[..2]).join(&blob.0[2..]);
        std::fs::remove_file(path).unwrap();
        // Changed on both sides, so that it is looked at.
        change(&fixture, "b.txt", b"main's\n");
        let main = fixture.oid("main");
        assert!(!matches!(way(&repo, &main, &work), Ok(Some(_))));
        assert!(way(&repo, &target, &Oid::new("1".repeat(40))).is_err());
    }
}
