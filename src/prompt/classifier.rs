//! What the classifier's model is told: `prompts/classifier/`.
//!
//! No layer replaces these texts: they decide what runs, and a repository may bring prompts.

use crate::{
    guard::classify::{Query, Stage},
    protocol::message::{Block, CacheScope, Message, Segment, Speaker},
};

const RULES: &str = include_str!("../../prompts/classifier/rules.md");
const QUICK: &str = include_str!("../../prompts/classifier/quick.md");
const CAREFUL: &str = include_str!("../../prompts/classifier/careful.md");

/// Returns the system prompt and the one message of a stage.
pub fn conversation(stage: Stage, query: &Query) -> (Segment, Message) {
    let form = match stage {
        Stage::Quick => QUICK,
        Stage::Careful => CAREFUL,
    };
    let text = format!("{RULES}{form}");
    let system = Segment { id: "classifier".into(), cache: CacheScope::Static, text };
    let blocks = vec![Block::Text(query.text().to_owned())];
    (system, Message { speaker: Speaker::User, blocks })
}
