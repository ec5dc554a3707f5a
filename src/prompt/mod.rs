//! Prompts as files.
//!
//! `prompts/` holds sections, roles and edit formats with front matter. `set` loads them (the
//! binary's, overlaid by the user's and a trusted repository's), `section` holds the rules for one
//! file (`vars` the table of what it may name), `template` the only two ways in which a value gets into a prompt, `assemble` puts a prompt
//! together as a pure function, `lint` looks at the whole. `words` are the texts between a model's turns. No prompt text stands in Rust code.

pub mod assemble;
pub mod classifier;
pub mod lint;
pub mod section;
pub mod set;
mod shipped;
pub mod template;
pub mod vars;
pub mod words;
