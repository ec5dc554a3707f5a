//! Models behind one streaming trait.
//!
//! Wire formats, retries, breaker and prices; the only room with an HTTP client. `open` turns a
//! name into a `model::Model`; `remote` drives one of the three wire formats (`anthropic`, `chat`,
//! `responses`: each a pure rendering and a pure decoder) through `http` with `retry` and
//! `breaker`; `tolerant` finds tool calls in what weak models write as text. `known` is the table
//! of providers and models (`models.yaml` and the user's own), `price` makes money of tokens, `key`
//! finds keys. `scripted` and `gold` answer without a network and say so in their `ModelInfo`; `nobody`
//! answers nothing, for runs whose agents are all workers.

pub mod anthropic;
pub mod breaker;
pub mod chat;
pub mod gold;
pub mod http;
pub mod key;
pub mod known;
pub mod model;
pub mod nobody;
pub mod open;
pub mod patch;
pub mod price;
pub mod record;
pub mod refusal;
pub mod remote;
pub mod responses;
pub mod retry;
pub mod scripted;
pub mod table;
pub mod tolerant;
pub mod wire;

#[cfg(test)]
mod faults;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod testing;
