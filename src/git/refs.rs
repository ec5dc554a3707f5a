//! Refs move by compare-and-swap, never blindly.

use std::{fs, os::unix::fs::MetadataExt, path::Path, thread, time::Duration};

use git2::ErrorCode;

use crate::{
    git::{
        program::{Git, GitError},
        repo::{Repo, named, raw},
    },
    protocol::ids::Oid,
};

/// How a compare-and-swap ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cas {
    /// The ref now has the new value.
    Moved,
    /// Somebody else was faster; nothing was changed.
    Missed {
        /// What the ref points at instead, none when it is not there.
        found: Option<Oid>,
    },
}

/// One move of a ref.
#[derive(Clone, Copy, Debug)]
pub struct Move<'a> {
    /// The ref's full name.
    pub name: &'a str,
    /// What it must point at now; none means that it must not exist yet.
    pub from: Option<&'a Oid>,
    /// What it shall point at.
    pub to: &'a Oid,
    /// The reason, for the ref's log.
    pub why: &'a str,
}

/// Moves a ref if it still is where it is believed to be.
pub fn cas(repo: &Repo, step: Move<'_>) -> Result<Cas, GitError> {
    let found = value(repo, step.name)?;
    match step.from {
        from if from != found.as_ref() => Ok(Cas::Missed { found }),
        Some(from) => advance(repo, step, from),
        None => create(repo, step),
    }
}

/// Removes a ref that still has the given value.
pub fn delete(repo: &Repo, name: &str, from: &Oid) -> Result<Cas, GitError> {
    let found = value(repo, name)?;
    if found.as_ref() != Some(from) {
        return Ok(Cas::Missed { found });
    }
    update(repo, format!("delete {name}\0{from}\0"), "grafter: delete", name)
}

/// Returns what a ref points at.
pub fn value(repo: &Repo, name: &str) -> Result<Option<Oid>, GitError> {
    match repo.open()?.refname_to_id(name) {
        Ok(id) => Ok(Some(named(id))),
        Err(e) if e.code() == ErrorCode::NotFound => Ok(None),
        Err(source) => Err(GitError::Library { doing: format!("read the ref {name}"), source }),
    }
}

/// Returns all refs whose name begins with a prefix, sorted by name.
pub fn list(repo: &Repo, prefix: &str) -> Result<Vec<(String, Oid)>, GitError> {
    let library = repo.open()?;
    let doing = "list refs";
    let mut found = Vec::new();
    for reference in library.references().map_err(GitError::library(doing))? {
        let reference = reference.map_err(GitError::library(doing))?;
        let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
        if let (true, Some(id)) = (name.starts_with(prefix), reference.target()) {
            found.push((name, named(id)));
        }
    }
    found.sort();
    Ok(found)
}

/// Moves an existing ref in process; the library compares under the ref's lock.
fn advance(repo: &Repo, step: Move<'_>, from: &Oid) -> Result<Cas, GitError> {
    swap(repo, step, raw(from)?)
}

/// Creates a ref in process; what the library cannot do, such as a name in the way of this one,
/// is left to the git program and its words.
fn create(repo: &Repo, step: Move<'_>) -> Result<Cas, GitError> {
    match swap(repo, step, git2::Oid::ZERO_SHA1) {
        Err(GitError::Library { .. }) => {
            update(repo, format!("create {}\0{}\0", step.name, step.to), step.why, step.name)
        }
        done => done,
    }
}

/// Compares and moves under the ref's lock; to the library zeros say that there is no ref yet.
fn swap(repo: &Repo, step: Move<'_>, from: git2::Oid) -> Result<Cas, GitError> {
    let library = repo.open()?;
    let lock = repo.common_dir().join(format!("{}.lock", step.name));
    let mut held = (stamp(&lock), 0);
    loop {
        match library.reference_matching(step.name, raw(step.to)?, true, from, step.why) {
            Ok(_) => return Ok(Cas::Moved),
            Err(e) if e.code() == ErrorCode::Locked && held.1 < TRIES => {
                let now = stamp(&lock);
                held = if now == held.0 { (now, held.1 + 1) } else { (now, 0) };
                if held.1 == TRIES && is_own(step.name) {
                    // Whoever held it was killed; a write takes microseconds.
                    let _ = fs::remove_file(&lock);
                    held.1 = 0;
                }
                thread::sleep(Duration::from_millis(10));
            }
            Err(e) if matches!(e.code(), ErrorCode::Modified | ErrorCode::NotFound) => break,
            Err(source) => {
                return Err(GitError::Library { doing: format!("move {}", step.name), source });
            }
        }
    }
    Ok(Cas::Missed { found: value(repo, step.name)? })
}

/// How often a locked ref is tried again, 10 ms apart, while its lock stays the same.
const TRIES: u32 = 200;

/// Returns whether only grafter writes this ref, and only the one process that has the run.
fn is_own(name: &str) -> bool {
    name.starts_with("refs/grafter/") || name.starts_with("refs/heads/grafter/")
}

/// Tells one holder of a lock from the next.
fn stamp(lock: &Path) -> Option<(u64, i64, i64)> {
    let file = fs::symlink_metadata(lock).ok()?;
    Some((file.ino(), file.mtime(), file.mtime_nsec()))
}

fn update(repo: &Repo, order: String, why: &str, name: &str) -> Result<Cas, GitError> {
    let before = value(repo, name)?;
    let git = Git::objects(repo, "update-ref").args(["-m", why, "--stdin", "-z"]);
    match git.stdin(order.into_bytes()).ok() {
        Ok(_) => Ok(Cas::Moved),
        Err(error) => match value(repo, name)? {
            // A change between our look and git's means that we lost the race.
            found if found != before => Ok(Cas::Missed { found }),
            _ => Err(error),
        },
    }
}

/// Returns whether a branch can have that name. One that git reads as HEAD, or as the full name of a
/// ref, would be another branch than the user means.
pub fn is_branch_name(name: &str) -> bool {
    let misread = matches!(name, "HEAD" | "@") || name.starts_with("refs/");
    !misread && git2::Branch::name_is_valid(name).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    #[test]
    fn a_lock_that_a_killed_process_left_on_a_ref_of_a_run_is_taken_away() {
        let fixture = Fixture::small();
        let (repo, one) = (fixture.repo(), fixture.oid("HEAD"));
        for name in ["refs/heads/grafter/r/t", "refs/heads/users"] {
            let lock = repo.common_dir().join(format!("{name}.lock"));
            fs::create_dir_all(lock.parent().unwrap()).unwrap();
            fs::write(&lock, "").unwrap();
            let moved = cas(&repo, Move { name, from: None, to: &one, why: "test" });
            assert_eq!((moved.is_ok(), lock.exists()), (is_own(name), !is_own(name)), "{name}");
        }
    }

    #[test]
    fn a_ref_moves_only_from_where_it_is_believed_to_be() {
        let fixture = Fixture::small();
        let repo = fixture.repo();
        let one = fixture.oid("HEAD");
        fixture.write("a.txt", b"two\n");
        let two = fixture.commit("second");
        let name = "refs/grafter/snap/r/a";
        let step = |from, to| cas(&repo, Move { name, from, to, why: "test" }).unwrap();
        assert_eq!(step(Some(&two), &one), Cas::Missed { found: None });
        assert_eq!(step(None, &one), Cas::Moved);
        assert_eq!(step(None, &two), Cas::Missed { found: Some(one.clone()) });
        assert_eq!(step(Some(&one), &two), Cas::Moved);
        assert_eq!(step(Some(&one), &two), Cas::Missed { found: Some(two.clone()) });
        assert_eq!(list(&repo, "refs/grafter/").unwrap(), [(name.to_owned(), two.clone())]);
        fixture.git(&["pack-refs", "--all"]);
        assert_eq!(step(Some(&two), &one), Cas::Moved);
        assert_eq!(delete(&repo, name, &two).unwrap(), Cas::Missed { found: Some(one.clone()) });
        assert_eq!(delete(&repo, name, &one).unwrap(), Cas::Moved);
        assert_eq!(value(&repo, name).unwrap(), None);
    }

    #[test]
    fn one_of_many_wins() {
        let fixture = Fixture::small();
        let repo = fixture.repo();
        let base = fixture.oid("HEAD");
        let rivals: Vec<Oid> = (0..4).map(|n| fixture.commit(&format!("rival {n}"))).collect();
        let name = "refs/heads/target";
        fixture.git(&["update-ref", name, base.as_str()]);
        let race = |to: &Oid| cas(&repo, Move { name, from: Some(&base), to, why: "race" });
        let won: usize = thread::scope(|scope| {
            let runs: Vec<_> = rivals.iter().map(|to| scope.spawn(move || race(to))).collect();
            runs.into_iter()
                .filter(|_| true)
                .map(|run| run.join().unwrap().unwrap())
                .filter(|cas| *cas == Cas::Moved)
                .count()
        });
        assert_eq!(won, 1);
    }

    #[test]
    fn one_of_many_creators_wins() {
        let fixture = Fixture::small();
        let repo = fixture.repo();
        let rivals: Vec<Oid> = (0..4).map(|n| fixture.commit(&format!("rival {n}"))).collect();
        for round in 0..20 {
            let name = format!("refs/heads/new/{round}");
            let race = |to: &Oid| cas(&repo, Move { name: &name, from: None, to, why: "race" });
            let won: Vec<&Oid> = thread::scope(|scope| {
                let runs: Vec<_> =
                    rivals.iter().map(|to| (to, scope.spawn(move || race(to)))).collect();
                let ended = runs.into_iter().map(|(to, run)| (to, run.join().unwrap().unwrap()));
                ended.filter(|(_, cas)| *cas == Cas::Moved).map(|(to, _)| to).collect()
            });
            assert_eq!(won.len(), 1);
            assert_eq!(value(&repo, &name).unwrap().as_ref(), Some(won[0]));
        }
    }

    #[test]
    fn a_name_in_the_way_is_an_error_and_no_miss() {
        let fixture = Fixture::small();
        let repo = fixture.repo();
        let to = &fixture.oid("HEAD");
        fixture.git(&["branch", "grafter"]);
        fixture.git(&["pack-refs", "--all"]);
        let name = "refs/heads/grafter/r/landed";
        let error = cas(&repo, Move { name, from: None, to, why: "test" }).unwrap_err();
        assert!(error.to_string().contains("refs/heads/grafter"), "{error}");
    }
}
