//! The candidate: an agent's work as one commit on the target's tip, built without a checkout.
//!
//! What lands is this commit; checks run on exactly its tree.

use crate::{
    git::{
        commit::{self, CommitSpec},
        join::{self, Joined, Sides},
        program::GitError,
        repo::{Identity, Repo},
    },
    merge::replay::{self, Replayed},
    protocol::{batch::Style, ids::Oid},
};

/// Work proposed for a target.
#[derive(Clone, Debug)]
pub struct Proposal<'a> {
    /// The target's tip; none when the target is to be created on the base.
    pub tip: Option<&'a Oid>,
    /// The commit that holds the work, however many commits it took.
    pub commit: &'a Oid,
    /// The commit the work began at.
    pub base: &'a Oid,
    /// The candidate's whole message, trailers included.
    pub message: String,
    /// The candidate's author and committer.
    pub identity: Identity,
    /// What the history shows of it.
    pub style: Style,
}

/// What joining the work with the tip gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// One commit on the tip.
    Clean {
        /// The commit.
        commit: Oid,
        /// Its tree, on which the checks must run.
        tree: Oid,
    },
    /// The tip already has everything, or there is no work.
    Empty,
    /// The work contradicts what the target got meanwhile.
    Conflict {
        /// The files that conflict, sorted.
        paths: Vec<String>,
    },
}

/// Builds the candidate; no ref is moved.
pub fn build(repo: &Repo, proposal: &Proposal<'_>) -> Result<Candidate, GitError> {
    let tip = proposal.tip.unwrap_or(proposal.base);
    let joined = if tip == proposal.base {
        Joined::Clean(repo.tree_of(proposal.commit)?)
    } else {
        let sides = Sides { base: proposal.base, ours: tip, theirs: proposal.commit };
        join::join(repo, sides)?
    };
    let tree = match joined {
        Joined::Conflict { paths } => return Ok(Candidate::Conflict { paths }),
        Joined::Clean(tree) if tree == repo.tree_of(tip)? => return Ok(Candidate::Empty),
        Joined::Clean(tree) => tree,
    };
    of_tree(repo, proposal, tree)
}

/// Work that contradicts the tip in files only that a tool can make anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The joined tree; these files are as the tip has them.
    pub tree: Oid,
    /// The files, sorted.
    pub files: Vec<String>,
}

/// Returns the draft of a proposal that contradicts the tip only in files that `may` names.
pub fn draft(
    repo: &Repo,
    proposal: &Proposal<'_>,
    may: &dyn Fn(&str) -> bool,
) -> Result<Option<Draft>, GitError> {
    let Proposal { base, commit, .. } = *proposal;
    let Some(ours) = proposal.tip else { return Ok(None) };
    let joined = join::join_but_for(repo, Sides { base, ours, theirs: commit }, may)?;
    Ok(joined.map(|(tree, files)| Draft { tree, files }))
}

/// Builds the candidate whose tree is known already.
pub fn of_tree(repo: &Repo, proposal: &Proposal<'_>, tree: Oid) -> Result<Candidate, GitError> {
    let tip = proposal.tip.unwrap_or(proposal.base);
    let beside = match proposal.style {
        Style::Squash => None,
        Style::Merge => Some(proposal.commit),
        Style::Rebase | Style::FastForward => {
            return match replay::replay(repo, tip, (proposal, &tree))? {
                Replayed::Done(commit) => Ok(Candidate::Clean { commit, tree }),
                Replayed::Conflict { paths } => Ok(Candidate::Conflict { paths }),
            };
        }
    };
    let spec = CommitSpec {
        tree: tree.clone(),
        parents: [tip].into_iter().chain(beside).cloned().collect(),
        message: proposal.message.clone(),
        identity: proposal.identity.clone(),
    };
    Ok(Candidate::Clean { commit: commit::write(repo, &spec)?, tree })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::{fixture::Fixture, patch};

    /// Commits the given file on the base, off every branch.
    fn work(fixture: &Fixture, base: &Oid, name: &str, bytes: &[u8]) -> Oid {
        fixture.git(&["checkout", "-q", "--detach", base.as_str()]);
        fixture.write(name, bytes);
        let commit = fixture.commit("agent's own words");
        fixture.git(&["checkout", "-q", "main"]);
        commit
    }

    fn candidate(fixture: &Fixture, tip: Option<&Oid>, commit: &Oid, base: &Oid) -> Candidate {
        let repo = fixture.repo();
        let message = "Fix it\n\nAssisted-by: grafter/0\n".to_owned();
        let identity = repo.identity();
        let style = Style::Squash;
        build(&repo, &Proposal { tip, commit, base, message, identity, style }).unwrap()
    }

    #[test]
    fn work_on_the_tip_becomes_one_commit_on_it() {
        let fixture = Fixture::small();
        let base = fixture.oid("HEAD");
        let one = work(&fixture, &base, "a.txt", b"changed\n");
        let two = work(&fixture, &one, "b.txt", b"new\n");
        let before = fixture.picture();
        for tip in [None, Some(&base)] {
            let Candidate::Clean { commit, tree } = candidate(&fixture, tip, &two, &base) else {
                panic!("it must be clean");
            };
            assert_eq!(fixture.oid(&format!("{commit}^")), base);
            assert_eq!(fixture.oid(&format!("{two}^{{tree}}")), tree);
            let shown = fixture.git(&["show", "-s", "--format=%an <%ae>|%cn|%B", commit.as_str()]);
            let wanted = "Ann <ann@example.org>|Ann|Fix it\n\nAssisted-by: grafter/0\n";
            assert_eq!(shown.trim_end(), wanted.trim_end());
        }
        assert_eq!(fixture.picture(), before);
    }

    #[test]
    fn a_tip_that_moved_on_gets_both_changes() {
        let fixture = Fixture::small();
        let base = fixture.oid("HEAD");
        let commit = work(&fixture, &base, "src/lib.rs", b"fn other() {}\n");
        fixture.git(&["mv", "a.txt", "renamed.txt"]);
        let tip = fixture.commit("user goes on");
        let Candidate::Clean { commit, tree } = candidate(&fixture, Some(&tip), &commit, &base)
        else {
            panic!("it must be clean");
        };
        let files = fixture.git(&["ls-tree", "-r", "--name-only", tree.as_str()]);
        assert_eq!(files, "renamed.txt\nsrc/lib.rs\n");
        assert_eq!(fixture.oid(&format!("{commit}^")), tip);
    }

    #[test]
    fn no_work_or_work_that_is_there_already_is_empty() {
        let fixture = Fixture::small();
        let base = fixture.oid("HEAD");
        assert_eq!(candidate(&fixture, None, &base, &base), Candidate::Empty);
        let commit = work(&fixture, &base, "a.txt", b"same\n");
        fixture.write("a.txt", b"same\n");
        let tip = fixture.commit("the user was faster");
        assert_eq!(candidate(&fixture, Some(&tip), &commit, &base), Candidate::Empty);
    }

    #[test]
    fn a_contradiction_names_its_files() {
        let fixture = Fixture::small();
        let base = fixture.oid("HEAD");
        let commit = work(&fixture, &base, "a.txt", b"agent\n");
        fixture.write("a.txt", b"user\n");
        let tip = fixture.commit("user");
        let conflict = Candidate::Conflict { paths: vec!["a.txt".to_owned()] };
        assert_eq!(candidate(&fixture, Some(&tip), &commit, &base), conflict);
    }

    #[test]
    fn a_draft_has_what_conflicts_as_the_tip_has_it_and_all_else_joined() {
        let fixture = Fixture::small();
        let base = fixture.oid("HEAD");
        let one = work(&fixture, &base, "a.txt", b"agent\n");
        let commit = work(&fixture, &one, "b.txt", b"new\n");
        fixture.write("a.txt", b"user\n");
        let tip = fixture.commit("user");
        let repo = fixture.repo();
        let proposal = Proposal {
            tip: Some(&tip),
            commit: &commit,
            base: &base,
            message: "Both\n".to_owned(),
            identity: repo.identity(),
            style: Style::Squash,
        };
        assert_eq!(draft(&repo, &proposal, &|path| path == "b.txt").unwrap(), None);
        let drafted = draft(&repo, &proposal, &|path| path == "a.txt").unwrap().unwrap();
        assert_eq!(drafted.files, ["a.txt"]);
        let show = |tree: &Oid, path: &str| fixture.git(&["show", &format!("{tree}:{path}")]);
        assert_eq!(show(&drafted.tree, "a.txt"), "user\n");
        assert_eq!(show(&drafted.tree, "b.txt"), "new\n");
        // What a tool makes of it is the candidate's tree.
        fixture.git(&["update-index", "--chmod=+x", "a.txt"]);
        let runs = Oid::new(fixture.git(&["write-tree"]).trim());
        let files = [("a.txt".to_owned(), b"both\n".to_vec()), ("c/d".to_owned(), Vec::new())];
        let tree = patch::with_files(&repo, &runs, &files).unwrap();
        let listed = fixture.git(&["ls-tree", "-r", "--format=%(objectmode) %(path)", &tree.0]);
        assert_eq!(listed, "100755 a.txt\n100644 c/d\n100644 src/lib.rs\n");
        let made = of_tree(&repo, &proposal, tree.clone()).unwrap();
        let Candidate::Clean { commit, tree: of } = made else { panic!("it must be clean") };
        assert_eq!((show(&commit, "a.txt").as_str(), of), ("both\n", tree));
    }
}
