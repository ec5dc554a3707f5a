//! One run.
//!
//! `start` begins a run on its `ground` or takes it up again. From then on `dispatch` is the single select loop that
//! owns the `state`, which is a fold of the journal: each happening goes to the pure `plan` (with
//! `groups`, `schedule` and `budget`), whose effects are journaled first and then carried out. A `unit` runs
//! one instance of a node, told by a `brief`; for an agent that is a `member` (its prompt from
//! `scene`, its files from `focus`), and what it wrote becomes a commit in `commits`,
//! after `redact` has looked for words that must not get out; a `worker` may do a member's work.
//! Where several writers make `parts` of one change, `joining` merges what each has made. `jobs` are the
//! scaffold's own: checks on the base, the candidate, the landing. `delegate` adds the helpers that
//! agents ask for, and `lead` the nodes that an agent adds which leads the run, who sees their work
//! through a `window`. `key` names results for later runs, and `control` is how others stop a run.
//! What users tell single agents is `told` in the state; `team` holds the agents at work to it, `roll`
//! knows which of them a name means, and `why` says what one waits for. `task_list` is what agents share.
//! `audit` says at the end what of the user's side of the repository changed.

mod again;
mod audit;
mod brief;
pub mod budget;
pub mod clock;
mod commits;
mod contexts;
pub mod control;
mod delegate;
mod dispatch;
mod focus;
pub mod ground;
mod groups;
mod jobs;
mod joining;
mod key;
mod lead;
mod member;
pub mod options;
mod parts;
pub mod plan;
mod redact;
pub mod roll;
mod scene;
pub mod schedule;
mod shared;
#[cfg(test)]
mod simulation;
pub mod start;
pub mod state;
pub mod task_list;
mod team;
pub mod told;
mod unit;
pub mod why;
mod window;
mod worker;
