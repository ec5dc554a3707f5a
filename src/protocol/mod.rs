//! The words all rooms share: ids, messages, tool calls, tasks, outcomes, records, questions.
//!
//! Plain serialisable data without behaviour that reaches outside. It knows nothing of any other
//! room; everything may import it. Where a type crosses a file or a socket its serde form is the
//! format, so a change here is a change of format (see `event::FORMAT`).

pub mod asked;
pub mod audit;
pub mod batch;
pub mod cause;
pub mod event;
pub mod ids;
pub mod mail;
pub mod message;
pub mod outcome;
pub mod part;
pub mod plan;
pub mod report;
pub mod request;
pub mod rule;
pub mod started;
pub mod task;
pub mod task_list;
pub mod tool;
pub mod usage;
pub mod worker;
