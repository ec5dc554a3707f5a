//! The numbered checks: `table` lists them, each beside the others of its kind.
//!
//! One row is one id. Its examples stand in a data file of its own, `KNN.yaml`, which the tests
//! walk: commands that must be stopped, and ones that only look like them and must pass.

#[cfg(test)]
mod examples;

pub mod destroy;
pub mod elsewhere;
pub mod environment;
pub mod expand;
pub mod git;
pub mod inline;
pub mod interpret;
pub mod paths;
pub mod programs;
pub mod raw;
pub mod scripts;
pub mod structure;
pub mod table;
pub mod toolchain;
