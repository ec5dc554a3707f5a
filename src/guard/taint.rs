//! What an agent has read that gave it orders, and what follows: until the user has said yes once,
//! no call that reaches out runs unasked.
//!
//! Text decides nothing here but that somebody is asked: taint makes a run an ask and never moves
//! anything the other way, so who writes orders into a file or an issue gets less by it, not more.
//! Work inside the tree goes on as before.

use serde::{Deserialize, Serialize};

use crate::{
    guard::{
        gate::{Blast, Judgement},
        modes::Row,
        sanitise::markers::{self, Suspicion},
    },
    protocol::tool::Risk,
};

/// Stands among the ids of checks where taint made a decision stricter.
pub const ID: &str = "TAINT";
/// The check of what uses the network.
const NETWORK: &str = "K29";

/// What an agent has read that reads like orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taint {
    /// The markers, as their table names them.
    pub markers: Vec<String>,
    /// Which call showed it, or what else.
    pub from: String,
}

impl Taint {
    /// Returns what a text with these markers does to its reader, if it is enough.
    pub fn of(suspicion: &Suspicion, from: &str) -> Option<Self> {
        let markers = || suspicion.found.iter().map(|id| (*id).to_owned()).collect();
        (suspicion.score >= markers::TAINT)
            .then(|| Self { markers: markers(), from: from.to_owned() })
    }

    /// Returns the reason for a question.
    pub(super) fn why(&self) -> String {
        let markers = self.markers.join(", ");
        format!("{ID} the agent has read what reads like orders ({markers}) in: {}", self.from)
    }
}

/// Returns whether a call reaches what no snapshot of the tree covers, or other machines.
pub(super) fn reaches_out(row: Row, judgement: Option<&Judgement>) -> bool {
    let far = judgement.is_some_and(|judgement| {
        judgement.risk == Risk::High
            || judgement.blast == Blast::Remote
            || judgement.hits.iter().any(|hit| hit.id == NETWORK)
    });
    far || matches!(row, Row::Remote | Row::Denied)
}
