//! Forgets the snapshots of runs that have landed long ago.
//!
//! A run without a landing keeps its own for ever: they may be all that is left of its work.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    git::{facts, program::GitError, refs, repo::Repo},
    journal::runs::{RunDir, RunState},
    protocol::{ids::Oid, report::RunEnd},
};

/// Where snapshots are kept: `refs/grafter/snap/<run>/<agent>`.
const SNAPSHOTS: &str = "refs/grafter/snap/";
/// How long they are kept after the landing, in seconds.
const KEPT: i64 = 30 * 24 * 60 * 60;

/// Returns the seconds of the epoch.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Removes the snapshots of runs that landed more than 30 days before `now`; returns how many runs
/// that were.
pub fn forget(repo: &Repo, now: i64) -> Result<usize, GitError> {
    let is_old = |commit: &Oid| {
        facts::made_at(repo, commit).is_ok_and(|made| now.saturating_sub(made) > KEPT)
    };
    let mut old: BTreeMap<String, Vec<(String, Oid)>> = BTreeMap::new();
    let mut young = BTreeSet::new();
    for (name, commit) in refs::list(repo, SNAPSHOTS)? {
        let Some((run, _)) = name[SNAPSHOTS.len()..].split_once('/') else { continue };
        // Nothing lands before its snapshots are made, so most journals need no look.
        match is_old(&commit) {
            true => old.entry(run.to_owned()).or_default().push((name, commit)),
            false => drop(young.insert(run.to_owned())),
        }
    }
    old.retain(|run, _| !young.contains(run));
    if old.is_empty() {
        return Ok(0);
    }
    let runs = RunDir::list(&repo.state_dir()).unwrap_or_default();
    let landed = |run: &RunDir| match run.state() {
        RunState::Finished(RunEnd::Landed { commit, .. }) => is_old(&commit),
        _ => false,
    };
    let mut forgotten = 0;
    for run in runs.iter().filter(|run| old.contains_key(run.id.as_str()) && landed(run)) {
        for (name, commit) in &old[run.id.as_str()] {
            refs::delete(repo, name, commit)?;
        }
        forgotten += 1;
    }
    Ok(forgotten)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::{
        git::fixture::Fixture,
        journal::{runs, writer::Journal},
        protocol::{
            event::What,
            ids::RunId,
            report::Grade,
            usage::{Micros, Usage},
        },
    };

    /// Makes a run that ended so, with one snapshot.
    async fn ended(fixture: &Fixture, run: &str, end: Option<RunEnd>, snapshot: &Oid) {
        let (sink, _events) = unbounded_channel();
        let folder = runs::folder(&fixture.repo().state_dir()).join(run);
        let journal = Journal::create(&folder, RunId::new(run), sink).unwrap();
        if let Some(end) = end {
            let (usage, cost) = (Usage::default(), Micros(0));
            let what = What::RunFinished { end, usage, cost, took_ms: 1 };
            journal.append(None, None, what).await.unwrap();
        }
        journal.close().await.unwrap();
        fixture.git(&["update-ref", &format!("{SNAPSHOTS}{run}/solve@1"), snapshot.as_str()]);
    }

    fn landed(commit: &Oid) -> Option<RunEnd> {
        let (commit, branch) = (commit.clone(), "main".to_owned());
        Some(RunEnd::Landed { commit, branch, grade: Grade::Fixed })
    }

    /// Makes a commit of that age.
    fn aged(fixture: &Fixture, days: i64) -> Oid {
        let tree = fixture.git(&["rev-parse", "HEAD^{tree}"]);
        let at = now() - days * 24 * 60 * 60;
        let by = format!("A <a@localhost> {at} +0000");
        let text = format!("tree {}\nauthor {by}\ncommitter {by}\n\n{days} days\n", tree.trim());
        fixture.write("commit.txt", text.as_bytes());
        Oid::new(fixture.git(&["hash-object", "-t", "commit", "-w", "commit.txt"]).trim())
    }

    #[tokio::test]
    async fn snapshots_go_thirty_days_after_their_landing_and_no_sooner() {
        let fixture = Fixture::small();
        let (old, young) = (aged(&fixture, 31), aged(&fixture, 29));
        ended(&fixture, "landed-long-ago", landed(&old), &old).await;
        ended(&fixture, "landed-lately", landed(&young), &young).await;
        // It was resumed after a long time.
        ended(&fixture, "begun-long-ago", landed(&young), &old).await;
        ended(&fixture, "never-landed", Some(RunEnd::Interrupted), &old).await;
        ended(&fixture, "killed", None, &old).await;
        fixture.git(&["update-ref", &format!("{SNAPSHOTS}unknown/solve@1"), old.as_str()]);
        let repo = fixture.repo();
        let left = || {
            let refs = refs::list(&repo, SNAPSHOTS).unwrap().into_iter();
            refs.map(|(name, _)| name[SNAPSHOTS.len()..].to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(forget(&repo, now()).unwrap(), 1);
        assert_eq!(
            left(),
            "begun-long-ago/solve@1 killed/solve@1 landed-lately/solve@1 never-landed/solve@1 \
             unknown/solve@1"
        );
        assert_eq!(forget(&repo, now() + 2 * 24 * 60 * 60).unwrap(), 2);
        assert_eq!(left(), "killed/solve@1 never-landed/solve@1 unknown/solve@1");
    }
}
