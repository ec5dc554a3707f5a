//! One agent: ask, call tools, until done.
//!
//! Every step is journaled, and a resume replays the journal instead of paying again.
//!
//! `work` is the door. It loops over turns (`turn` asks, `answer` reads the reply, `calls` runs
//! the tools), keeps the conversation below the window (`context`), saves a writer's tree
//! (`chain`), and lets a node finish only when its contract is kept (`contract`). A model that
//! writes its change as text has a loop of its own (`textual`). `permit` asks the guard,
//! `classify` the classifier's model, whether a call may run. `reins` are how a user holds, stops and
//! talks to an agent, `steered` is what the agent makes of them.

pub mod answer;
pub mod assignment;
pub mod calls;
pub mod chain;
pub mod classify;
pub mod context;
pub mod contract;
pub mod fit;
mod lead;
pub mod memo;
pub mod permit;
pub mod prefix;
pub mod progress;
pub mod reading;
pub mod reins;
pub mod session;
pub mod similarity;
pub mod steered;
pub mod textual;
pub mod turn;
pub mod words;
pub mod work;

#[cfg(test)]
pub mod actor;
#[cfg(test)]
mod forking;
#[cfg(test)]
pub mod handing;
#[cfg(test)]
pub mod obeying;
#[cfg(test)]
pub mod opinions;
#[cfg(test)]
pub mod play;
#[cfg(test)]
pub mod replay;
#[cfg(test)]
pub mod rules;
#[cfg(test)]
pub mod samples;
#[cfg(test)]
mod tainted;
