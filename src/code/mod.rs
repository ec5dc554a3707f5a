//! What grafter knows of source text.
//!
//! Language, outline, functions; the only room that touches tree-sitter.
