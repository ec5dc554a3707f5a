//! Work replayed: its commits made once more, one by one, on the target's tip, without a checkout.
//!
//! What comes out is the very tree that joining the work as a whole gives, or it is a conflict. So
//! nothing that only a merge commit of the work holds is lost, and no commit is put on the target
//! that undoes what others have landed.

use crate::{
    git::{
        commit::{self, Again},
        diff, history,
        join::{self, Joined, Sides},
        program::GitError,
        repo::Repo,
    },
    merge::candidate::Proposal,
    protocol::ids::Oid,
};

/// What replaying gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Replayed {
    /// The last commit.
    Done(Oid),
    /// A commit contradicts the target, or all of them together do not give what was wanted.
    Conflict {
        /// The files that conflict, sorted.
        paths: Vec<String>,
    },
}

/// Replays the commits of some work on a tip; `wanted` is the tree that must come out.
pub(super) fn replay(
    repo: &Repo,
    tip: &Oid,
    (proposal, wanted): (&Proposal<'_>, &Oid),
) -> Result<Replayed, GitError> {
    let (mut on, mut tree) = (tip.clone(), repo.tree_of(tip)?);
    for of in history::since(repo, proposal.base, proposal.commit)? {
        let [parent] = &repo.parents(&of)?[..] else {
            // The first commit of some other history is no change of anything.
            return Ok(Replayed::Conflict { paths: diff::changed_paths(repo, &on, &of)? });
        };
        if *parent == on {
            // It stands there already; made once more it would only lose its signature.
            (tree, on) = (repo.tree_of(&of)?, of);
            continue;
        }
        match join::join(repo, Sides { base: parent, ours: &on, theirs: &of })? {
            Joined::Conflict { paths } => return Ok(Replayed::Conflict { paths }),
            // The target has it already.
            Joined::Clean(same) if same == tree => {}
            Joined::Clean(next) => {
                let committer = &proposal.identity;
                on = commit::again(repo, &Again { of: &of, tree: &next, on: &on, committer })?;
                tree = next;
            }
        }
    }
    match tree == *wanted {
        true => Ok(Replayed::Done(on)),
        false => Ok(Replayed::Conflict { paths: diff::changed_paths(repo, wanted, &tree)? }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        git::fixture::Fixture,
        merge::candidate::{self, Candidate},
        protocol::batch::Style,
    };

    /// Proposes a branch for `main`, as commits on it.
    fn proposed(fixture: &Fixture, branch: &str) -> Candidate {
        let (repo, tip) = (fixture.repo(), fixture.oid("main"));
        let commit = fixture.oid(branch);
        let base = join::merge_base(&repo, &tip, &commit).unwrap().unwrap();
        let proposal = Proposal {
            tip: Some(&tip),
            commit: &commit,
            base: &base,
            message: String::new(),
            identity: repo.identity(),
            style: Style::Rebase,
        };
        candidate::build(&repo, &proposal).unwrap()
    }

    fn clean(fixture: &Fixture, branch: &str) -> Oid {
        match proposed(fixture, branch) {
            Candidate::Clean { commit, tree } => {
                assert_eq!(fixture.oid(&format!("{commit}^{{tree}}")), tree);
                commit
            }
            other => panic!("it must be clean: {other:?}"),
        }
    }

    fn change(fixture: &Fixture, name: &str, text: &str, message: &str) {
        fixture.write(name, text.as_bytes());
        fixture.commit(message);
    }

    #[test]
    fn each_commit_keeps_its_author_its_date_and_its_message() {
        let fixture = Fixture::small();
        fixture.git(&["checkout", "-q", "-b", "work"]);
        for (name, author) in [("b.txt", "Bea <b@b>"), ("c.txt", "Cid <c@c>")] {
            fixture.write(name, b"x\n");
            fixture.git(&["add", "-A"]);
            let author = format!("--author={author}");
            let message = format!("Add {name}\n\nSigned-off-by: X <x@x>");
            let date = "--date=1000000000 +0300";
            fixture.git(&["commit", "-q", &author, date, "-m", &message]);
        }
        fixture.git(&["checkout", "-q", "main"]);
        change(&fixture, "a.txt", "user\n", "user goes on");
        let (before, picture) = (fixture.oid("main"), fixture.picture());
        let last = clean(&fixture, "work");
        let format = "--format=%an|%ad|%cn|%s|%(trailers:only,unfold)";
        let log = |range: &str| fixture.git(&["log", "--date=raw", format, range]);
        assert_eq!(
            log(&format!("{before}..{last}")),
            "Cid|1000000000 +0300|Ann|Add c.txt|Signed-off-by: X <x@x>\n\n\
             Bea|1000000000 +0300|Ann|Add b.txt|Signed-off-by: X <x@x>\n\n"
        );
        assert_eq!(fixture.picture(), picture);
    }

    #[test]
    fn what_stands_on_the_tip_stays_as_it_is_and_what_is_there_already_is_left_out() {
        let fixture = Fixture::small();
        fixture.git(&["checkout", "-q", "-b", "work"]);
        change(&fixture, "b.txt", "b\n", "Add b");
        change(&fixture, "c.txt", "c\n", "Add c");
        assert_eq!(clean(&fixture, "work"), fixture.oid("work"));
        fixture.git(&["checkout", "-q", "main"]);
        change(&fixture, "b.txt", "b\n", "Add b, too");
        let last = clean(&fixture, "work");
        assert_eq!(fixture.oid(&format!("{last}^")), fixture.oid("main"));
        assert_eq!(fixture.git(&["show", "-s", "--format=%s", last.as_str()]), "Add c\n");
    }

    #[test]
    fn one_commit_that_contradicts_the_target_is_a_conflict_of_all() {
        let fixture = Fixture::small();
        fixture.git(&["checkout", "-q", "-b", "work"]);
        change(&fixture, "a.txt", "mine\n", "Change a");
        change(&fixture, "a.txt", "yours\n", "Change it to yours");
        fixture.git(&["checkout", "-q", "main"]);
        change(&fixture, "a.txt", "yours\n", "The user's");
        change(&fixture, "d.txt", "d\n", "More");
        fixture.git(&["checkout", "-q", "work"]);
        change(&fixture, "e.txt", "e\n", "Add e");
        // As a whole it goes together: both sides made the same of a.txt.
        let conflict = Candidate::Conflict { paths: vec!["a.txt".to_owned()] };
        assert_eq!(proposed(&fixture, "work"), conflict);
    }

    #[test]
    fn what_only_a_merge_commit_holds_is_not_lost() {
        let fixture = Fixture::small();
        fixture.git(&["checkout", "-q", "-b", "work"]);
        change(&fixture, "b.txt", "b\n", "Add b");
        fixture.git(&["checkout", "-q", "-b", "side", "main"]);
        change(&fixture, "c.txt", "c\n", "Add c");
        fixture.git(&["checkout", "-q", "work"]);
        fixture.git(&["merge", "-q", "--no-ff", "-m", "join", "side"]);
        // The same commits one by one: a merge without words of its own goes without loss.
        let log = |last: &Oid| fixture.git(&["log", "--format=%s", &format!("main..{last}")]);
        assert_eq!(log(&clean(&fixture, "work")).lines().count(), 2);
        fixture.write("d.txt", b"only here\n");
        fixture.git(&["add", "-A"]);
        fixture.git(&["commit", "-q", "--amend", "--no-edit"]);
        let conflict = Candidate::Conflict { paths: vec!["d.txt".to_owned()] };
        assert_eq!(proposed(&fixture, "work"), conflict);
    }

    #[test]
    fn another_history_is_no_change_of_this_one() {
        let fixture = Fixture::small();
        fixture.git(&["checkout", "-q", "--orphan", "other"]);
        change(&fixture, "z.txt", "z\n", "Another history");
        fixture.git(&["checkout", "-q", "-b", "work", "main"]);
        fixture.git(&["merge", "-q", "--allow-unrelated-histories", "-m", "join", "other"]);
        assert!(matches!(proposed(&fixture, "work"), Candidate::Conflict { .. }));
    }
}
