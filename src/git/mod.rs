//! The repository.
//!
//! The only room that touches git2. The library reads and writes objects and refs; working trees are
//! made and asked through the git program (`program`), because the library is wrong or absent
//! where they are odd.
//!
//! | what | where |
//! |---|---|
//! | finding a repository, and one made from nothing | `repo`, `init` |
//! | refs, commits, diffs, merges without a working tree | `refs`, `commit`, `diff`, `join`, `patch` |
//! | trees of agents, and grafter's list of them | `tree`, `worktrees`, `records`, `submodules`, `lock` |
//! | the git directory an agent sees | `private` |
//! | snapshots of a tree | `snapshot` on `scan`, `files`, `rules`, `attributes`, `large` |
//! | what agents and prompts are shown | `look`, `facts` |
//! | what the history tells, and whether a target has some work | `history`, `integrated` |
//! | what a run left alone | `witness` |

pub mod attributes;
pub mod commit;
pub mod diff;
pub mod facts;
pub mod files;
#[cfg(test)]
pub mod fixture;
pub mod history;
pub mod include;
pub mod init;
pub mod integrated;
pub mod join;
pub mod large;
mod layers;
pub mod lock;
pub mod look;
pub mod narrow;
pub mod only;
pub mod patch;
pub mod private;
pub mod program;
pub mod records;
pub mod refs;
pub mod repo;
pub mod reuse;
pub mod rules;
pub mod scan;
pub mod snapshot;
pub mod submodules;
pub mod tree;
pub mod version;
pub mod witness;
pub mod worktrees;
