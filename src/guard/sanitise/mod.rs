//! Takes out of a text what could play tricks on a model, on a terminal, or give a secret away.
//!
//! `clean` is the one door: `strip` takes control sequences out and counts what nobody sees,
//! `secrets` redacts. `markers` scores what reads like an order to the model. Rules are data. Never
//! used on content that edits are computed on. Running it twice changes nothing more.

pub mod clean;
pub mod markers;
pub mod secrets;
pub mod strip;
