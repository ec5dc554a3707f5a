//! Workers that speak the Agent Client Protocol (ACP): asked over their standard streams.
//!
//! `call` runs one from its start to its end, `session` is the conversation, `wire` the lines below
//! it. What the agent asks of its client, files and terminals, passes the same guard as the calls of
//! grafter's own agents (`hands`, `terminals`, and `permission` for what it would do itself);
//! `log` puts all of it on record.

pub mod call;
pub mod hands;
mod log;
mod permission;
mod session;
mod terminals;
mod wire;
