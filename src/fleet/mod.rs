//! Many runs: a backlog of tasks, each worked by a run of its own, and the queue that lands them.
//!
//! `tasks` reads a backlog. `engine` is the one owner of a live batch: it starts runs and checks,
//! and lands what is green; what it does next is decided by `plan` (which task begins) and by
//! `merge::queue` (what is checked and landed) on the `state`, which is a fold of the batch's
//! journal. `train` builds the queue's candidates and runs their checks. `scope` foresees which
//! files a task will change, so that tasks that would collide are not worked at once; `probe` sees from their
//! snapshots which of them collide all the same. `message` words
//! what lands. `start` begins a batch or goes on with one.

mod bench;
mod engine;
pub mod message;
pub mod plan;
pub mod probe;
pub mod scope;
pub mod start;
pub mod state;
pub mod tasks;
pub mod train;
pub mod work;
