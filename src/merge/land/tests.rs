//! Landings and their undoing, on branches that move and are checked out.

use super::*;
use crate::git::fixture::Fixture;

/// A repository with `main` checked out and a candidate on its tip.
fn scene() -> (Fixture, Oid, Oid) {
    let fixture = Fixture::small();
    let base = fixture.oid("HEAD");
    fixture.write("a.txt", b"fixed\n");
    let to = fixture.commit("candidate");
    fixture.git(&["reset", "-q", "--hard", base.as_str()]);
    (fixture, base, to)
}

fn landing(branch: &str, from: Option<&Oid>, to: &Oid) -> Landing {
    Landing { branch: branch.to_owned(), from: from.cloned(), to: to.clone() }
}

#[test]
fn a_branch_that_nobody_has_checked_out_moves_alone() {
    let (fixture, base, to) = scene();
    let repo = fixture.repo();
    fixture.write("a.txt", b"uncommitted\n");
    let before = fixture.picture();
    let fresh = landing("grafter/r/landed", None, &to);
    assert_eq!(land(&repo, &fresh).unwrap(), Landed::Moved);
    assert_eq!(land(&repo, &fresh).unwrap(), Landed::Moved, "a repetition changes nothing");
    assert_eq!(fixture.picture(), before);
    fixture.git(&["branch", "stable", base.as_str()]);
    assert_eq!(land(&repo, &landing("stable", Some(&base), &to)).unwrap(), Landed::Moved);
    assert_eq!(repo.tip("stable").unwrap(), Some(to));
}

#[test]
fn a_branch_that_moved_or_vanished_is_missed() {
    let (fixture, base, to) = scene();
    let repo = fixture.repo();
    fixture.git(&["branch", "stable", base.as_str()]);
    let plan = landing("stable", Some(&base), &to);
    let moved = fixture.commit("user goes on");
    fixture.git(&["branch", "-f", "stable", moved.as_str()]);
    assert_eq!(land(&repo, &plan).unwrap(), Landed::Missed { found: Some(moved.clone()) });
    fixture.git(&["branch", "-D", "stable"]);
    assert_eq!(land(&repo, &plan).unwrap(), Landed::Missed { found: None });
    fixture.git(&["branch", "grafter/r/landed", moved.as_str()]);
    let fresh = landing("grafter/r/landed", None, &to);
    assert_eq!(land(&repo, &fresh).unwrap(), Landed::Missed { found: Some(moved) });
}

/// Once a miss, and then "nothing is left to land": the landing was done, its record was not.
#[test]
fn a_landing_that_somebody_built_on_before_it_was_recorded_is_done() {
    let (fixture, base, to) = scene();
    let repo = fixture.repo();
    fixture.git(&["checkout", "-q", "--detach", to.as_str()]);
    fixture.write("b.txt", b"built on it\n");
    let next = fixture.commit("user goes on");
    fixture.git(&["checkout", "-q", "main"]);
    fixture.git(&["branch", "stable", next.as_str()]);
    assert_eq!(land(&repo, &landing("stable", Some(&base), &to)).unwrap(), Landed::Moved);
    assert_eq!(repo.tip("stable").unwrap(), Some(next));
}

#[test]
fn a_checked_out_branch_moves_with_its_files_and_keeps_other_changes() {
    let (fixture, base, to) = scene();
    let hook = fixture.root.join(".git/hooks/post-merge");
    fixture.write(".git/hooks/post-merge", b"#!/bin/sh\ntouch hooked\n");
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fixture.write("src/lib.rs", b"uncommitted\n");
    let repo = fixture.repo();
    assert_eq!(land(&repo, &landing("main", Some(&base), &to)).unwrap(), Landed::Moved);
    assert_eq!(std::fs::read(fixture.root.join("a.txt")).unwrap(), b"fixed\n");
    assert_eq!(fixture.git(&["status", "--porcelain"]), " M src/lib.rs\n");
    assert_eq!(fixture.git(&["stash", "list"]), "");
    assert_eq!(undo(&repo, &landing("main", Some(&base), &to)).unwrap(), Undone::Back);
    assert_eq!(std::fs::read(fixture.root.join("a.txt")).unwrap(), b"one\n");
    assert_eq!(fixture.git(&["status", "--porcelain"]), " M src/lib.rs\n");
}

#[test]
fn changes_in_the_way_are_refused_in_gits_words() {
    let (fixture, base, to) = scene();
    fixture.git(&["config", "merge.autostash", "true"]);
    fixture.write("a.txt", b"uncommitted\n");
    let (repo, before) = (fixture.repo(), fixture.picture());
    let Landed::Refused { why } = land(&repo, &landing("main", Some(&base), &to)).unwrap() else {
        panic!("it must be refused");
    };
    assert!(why.contains("a.txt"), "{why}");
    assert_eq!(fixture.picture(), before);
}

#[test]
fn a_branch_checked_out_in_another_worktree_moves_there() {
    let (fixture, base, to) = scene();
    let linked = fixture.beside("linked");
    fixture.git(&["worktree", "add", "-q", "-b", "side", linked.to_str().unwrap()]);
    let repo = fixture.repo();
    let before = fixture.picture();
    assert_eq!(land(&repo, &landing("side", Some(&base), &to)).unwrap(), Landed::Moved);
    assert_eq!(std::fs::read(linked.join("a.txt")).unwrap(), b"fixed\n");
    assert_eq!(fixture.git_in(&linked, &["status", "--porcelain"]), "");
    assert_eq!(fixture.picture(), before);
}

#[test]
fn undo_goes_back_while_the_tip_is_ours() {
    let (fixture, base, to) = scene();
    let repo = fixture.repo();
    for from in [None, Some(&base)] {
        if from.is_some() {
            fixture.git(&["branch", "target", base.as_str()]);
        }
        let plan = landing("target", from, &to);
        land(&repo, &plan).unwrap();
        assert_eq!(undo(&repo, &plan).unwrap(), Undone::Back);
        assert_eq!(repo.tip("target").unwrap().as_ref(), from);
        assert_eq!(undo(&repo, &plan).unwrap(), Undone::Back, "a second time");
    }
}

#[test]
fn undo_reverts_below_later_commits_or_says_why_not() {
    let (fixture, base, to) = scene();
    let repo = fixture.repo();
    let plan = landing("main", Some(&base), &to);
    land(&repo, &plan).unwrap();
    fixture.write("later.txt", b"later\n");
    let later = fixture.commit("user goes on");
    let Undone::Reverted { commit } = undo(&repo, &plan).unwrap() else {
        panic!("it must be reverted");
    };
    assert_eq!((repo.tip("main").unwrap(), fixture.oid("main^")), (Some(commit), later));
    assert!(
        matches!(undo(&repo, &plan).unwrap(), Undone::Refused { why } if why.contains("already"))
    );
    assert_eq!(std::fs::read(fixture.root.join("a.txt")).unwrap(), b"one\n");
    assert_eq!(fixture.git(&["status", "--porcelain"]), "");
    fixture.write("a.txt", b"something else\n");
    fixture.commit("user rewrites");
    assert_eq!(undo(&repo, &plan).unwrap(), Undone::Conflict { paths: vec!["a.txt".to_owned()] });
    fixture.git(&["reset", "-q", "--hard", base.as_str()]);
    fixture.commit("elsewhere");
    assert!(matches!(undo(&repo, &plan).unwrap(), Undone::Refused { .. }));
    let gone = landing("gone", Some(&base), &to);
    assert!(matches!(undo(&repo, &gone).unwrap(), Undone::Refused { .. }));
}
