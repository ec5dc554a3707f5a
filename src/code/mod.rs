//! What grafter knows of source text.
//!
//! Language, outline, functions, mutation points; the only room that touches tree-sitter.

pub mod compare;
pub mod functions;
pub mod imports;
pub mod language;
pub mod mutate;
pub mod outline;
pub mod replace;
pub mod syntax;
pub mod test_file;
