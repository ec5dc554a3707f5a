//! Which functions an issue is about.
//!
//! `terms` makes words of text and code, `bm25` compares words, `ochiai` compares which tests run
//! what, and `rank` joins both with what a trace quotes. All of it is pure: what ran which lines is
//! measured by others.

pub mod bm25;
pub mod ochiai;
pub mod rank;
pub mod terms;
