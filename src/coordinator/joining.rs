//! Joins what the writer of a part has made with what is joined of the others, in memory.
//!
//! The run's branch holds the joined work; a part's own branch holds the part alone, and stays.

use crate::{
    coordinator::{
        commits::point,
        jobs,
        shared::{self, Shared, blocking, broken},
        state::RunState,
    },
    merge::candidate::{self, Candidate, Proposal},
    protocol::{
        batch::Style,
        cause::chain,
        event::What,
        ids::{NodeId, Oid},
        part::{Clashed, Joined},
        report::RunEnd,
    },
};

/// Joins the part whose turn it is.
pub(super) async fn join(shared: &Shared, state: &RunState) -> Result<(), RunEnd> {
    let Some(id) = state.next_part(&shared.graph()) else { return Ok(()) };
    let Some(sides) = Sides::of(shared, state, &id) else {
        return Err(RunEnd::Infrastructure(format!("the journal knows no commit of {id}")));
    };
    let (repo, base) = (shared.repo.clone(), shared.started.base.clone());
    let (branch, message) = (shared.branch(), jobs::part_message(shared, &sides.title));
    let what = blocking(move || -> Result<What, String> {
        let Sides { stock, begin, work, .. } = sides;
        let identity = repo.identity();
        let proposal = Proposal {
            tip: Some(&stock),
            commit: &work,
            base: &begin,
            message,
            identity,
            style: Style::Squash,
        };
        let commit = match candidate::build(&repo, &proposal).map_err(|error| chain(&error))? {
            Candidate::Clean { commit, .. } => commit,
            // Others have made all of it already.
            Candidate::Empty => stock,
            Candidate::Conflict { paths } => return Ok(What::PartClashed(Clashed { paths })),
        };
        point(&repo, &format!("refs/heads/{branch}"), &commit)?;
        let stat = shared::stat(&repo, (&base, &commit))?;
        Ok(What::PartJoined(Joined { commit, branch, stat }))
    });
    let what = what.await.map_err(RunEnd::Infrastructure)?;
    let written = shared.journal.append(Some(&id), None, what).await;
    written.map(drop).map_err(|error| broken(&error))
}

/// What is joined with what.
struct Sides {
    stock: Oid,
    begin: Oid,
    work: Oid,
    title: String,
}

impl Sides {
    fn of(shared: &Shared, state: &RunState, id: &NodeId) -> Option<Self> {
        let (graph, name) = (&shared.graph(), id.place().0);
        let stock = state.stock(name).cloned().or_else(|| state.floor(graph, name))?;
        let part = state.part(graph, id)?;
        Some(Self {
            stock,
            begin: state.begin(graph, id)?,
            work: state.nodes.get(id)?.commit.clone()?,
            title: part.headline().to_owned(),
        })
    }
}
