//! The repository.
//!
//! The only room that touches git2; working trees are made and asked through the git program.
pub mod attributes;
pub mod commit;
pub mod diff;
pub mod facts;
pub mod files;
#[cfg(test)]
pub mod fixture;
pub mod init;
pub mod join;
pub mod large;
pub mod lock;
pub mod look;
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
pub mod worktrees;
