//! An agent obeys its reins: it waits while it is paused, and hears what is said to it.
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
    guard::{sanitise::markers::suspicion, taint::Taint},
    prompt::words::fill,
    protocol::{
        event::What,
        mail::{Delivered, Letter},
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

    /// Takes in what was written to it: what the records say for this turn, and unless its answer is
    /// known already what has come since, as far as it takes no more than a quarter of the window.
    pub(super) async fn hear(&mut self, turn: u32, is_known: bool) -> Result<(), Stop> {
        for told in self.earlier.told(turn).to_vec() {
            self.tell(&told)?;
        }
        // A token has four bytes, more or less.
        let mut room = self.bench.model.info().window;
        while !is_known && room > 0 {
            let Some(letter) = self.bench.reins.next_letter() else { break };
            let Letter { message, text, from } = letter;
            let told = Delivered { turn, message, text, from };
            self.record(What::MessageDelivered(told.clone())).await?;
            room = room.saturating_sub(self.tell(&told)?);
        }
        Ok(())
    }

    /// Shows a message and returns its bytes.
    fn tell(&mut self, told: &Delivered) -> Result<u64, Stop> {
        let text = self.bench.journal.fetch(&told.text)?;
        let said = match &told.from {
            None => fill(&self.assignment.words.from_user, &[("text", &text)]),
            Some(from) => {
                // Whoever wrote it may only have passed on what a file told it.
                let taint = Taint::of(&suspicion(&text), &format!("a message of {from}"));
                self.bench.desk.taint = taint.or(self.bench.desk.taint.take());
                text.clone()
            }
        };
        let block = Block::Text(said);
        self.told.push(block.clone());
        self.context.tell(block);
        self.bench.reins.heard();
        Ok(text.len() as u64)
    }
}
