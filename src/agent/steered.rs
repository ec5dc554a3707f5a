//! An agent obeys its reins: it waits while it is paused, and hears what the user says to it.
//!
//! A message becomes a block at the end of the last user message, behind the results of the calls,
//! so that no call loses its result. It is recorded with the turn that shows it before the request
//! is made, and a resume shows it in the same turn again.

use crate::{
    agent::{
        assignment::Bench,
        reins::Doing,
        session::{Session, Stop},
    },
    prompt::words::fill,
    protocol::{
        event::{Kept, What},
        message::Block,
    },
};

impl Session {
    /// Waits while the agent is paused; must be passed before a model call or a tool call begins.
    pub(super) async fn gate(&self) -> Result<(), Stop> {
        let Bench { reins, stop, cancel, .. } = &self.bench;
        while reins.is_paused() {
            reins.note(Doing::Paused);
            tokio::select! {
                () = reins.go_on() => {}
                () = stop.cancelled() => return Err(Stop::cancelled()),
                () = cancel.cancelled() => return Err(Stop::cancelled()),
            }
        }
        Ok(())
    }

    /// Takes in what the user wrote: what the records say for this turn, and unless its answer is
    /// known already what has come since, as far as it takes no more than a quarter of the window.
    pub(super) async fn hear(&mut self, turn: u32, is_known: bool) -> Result<(), Stop> {
        for text in self.earlier.told(turn).to_vec() {
            self.tell(&text)?;
        }
        // A token has four bytes, more or less.
        let mut room = self.bench.model.info().window;
        while !is_known && room > 0 {
            let Some(letter) = self.bench.reins.next_letter() else { break };
            let (message, text) = (letter.message, letter.text);
            self.record(What::MessageDelivered { turn, message, text: text.clone() }).await?;
            room = room.saturating_sub(self.tell(&text)?);
        }
        Ok(())
    }

    /// Shows a message and returns its bytes.
    fn tell(&mut self, text: &Kept) -> Result<u64, Stop> {
        let text = self.bench.journal.fetch(text)?;
        let said = fill(&self.assignment.words.from_user, &[("text", &text)]);
        let block = Block::Text(said);
        self.told.push(block.clone());
        self.context.tell(block);
        self.bench.reins.heard();
        Ok(text.len() as u64)
    }
}
