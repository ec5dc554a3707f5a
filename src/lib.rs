//! grafter takes issues on a repository to verified, landed commits.
//!
//! Where things live, the highest floor first; a room imports only rooms on lower floors, which
//! `tests/integration/architecture.rs` checks:
//!
//! | floor | rooms |
//! |---|---|
//! | front | [`cli`] |
//! | views | [`ui`] |
//! | one run | [`coordinator`] |
//! | who works | [`subagent`] |
//! | work | [`agent`] |
//! | means | [`tools`], [`prompt`], [`merge`] |
//! | proof | [`verify`] |
//! | parts | [`graph`], [`journal`], [`provider`], [`guard`], [`git`] |
//! | ground | [`sandbox`], [`code`] |
//! | words | [`protocol`], [`settings`] |
//!
//! Calls go down; an outcome comes back as the return value. Only two things climb:
//! `protocol::event::Event` and `protocol::request::Request`.

pub mod agent;
pub mod cli;
pub mod code;
pub mod coordinator;
pub mod git;
pub mod graph;
pub mod guard;
pub mod journal;
pub mod merge;
pub mod prompt;
pub mod protocol;
pub mod provider;
pub mod sandbox;
pub mod settings;
pub mod subagent;
pub mod tools;
pub mod ui;
pub mod verify;
