//! Evaluation as SWE-bench does it, on one machine.
//!
//! `instance` reads rows, `arena` makes a repository that holds the base commit alone and tries a
//! patch there, `grade` reads the log and decides, `files` writes what the official tools read,
//! `runner` leads many instances through it and goes on where it was stopped, `stats` and `compare`
//! say what the figures show and what they do not. Who solves an instance is handed in.

pub mod arena;
pub mod compare;
pub mod files;
pub mod grade;
pub mod instance;
pub mod runner;
pub mod stats;
