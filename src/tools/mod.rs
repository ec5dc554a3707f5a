//! What an agent can do.
//!
//! `catalogue` is the one table of tools, read from `prompts/tools.yaml`; a `desk` joins it to one
//! agent's place. A call is checked against its schema (`validate`), its facts are gathered
//! (`facts`, `command`, `standing`) for the guard's decision, a `question` is put to the user where
//! it says ask, and `perform` runs what the guard has cleared, which is the only list that joins
//! names to behaviour: `read`, `search`, `look` and `history` look, `edit`,
//! `write` and `patch` change (through `change`, all or nothing, and only what `reads` knows to be
//! read), `shell` runs commands, `control` talks to the scaffold. `formats` takes changes that a
//! model hands in as text. Every result is an `answer`, passed through `clean`, and every error in it says what to
//! do next.

pub mod answer;
pub mod catalogue;
pub mod change;
pub mod clean;
pub mod command;
pub mod control;
pub mod desk;
pub mod diff;
pub mod edit;
pub mod facts;
pub mod finish;
pub mod formats;
pub mod history;
pub mod hunks;
pub mod look;
pub mod near;
pub mod patch;
pub mod perform;
pub mod question;
pub mod read;
pub mod reads;
pub mod search;
pub mod shell;
pub mod standing;
#[cfg(test)]
pub mod testing;
pub mod text;
pub mod validate;
pub mod walk;
pub mod write;
