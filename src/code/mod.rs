//! What grafter knows of source text.
//!
//! Language, outline, functions; the only room that touches tree-sitter.

pub mod compare;
pub mod functions;
pub mod imports;
pub mod language;
pub mod outline;
pub mod replace;
pub mod syntax;
