//! Shell commands as data: a lexer and parser of our own for the part of the language we know.
//!
//! Why our own: other grammars are silent on what they do not know (a backtick in a here-document,
//! `a;; b`), and a silent difference to what bash does is a way past the gate. This one either
//! understands a text or returns an error with its position, and an error is a question to the user.

pub mod ast;
pub mod compound;
pub mod cursor;
pub mod direct;
pub mod parse;
pub mod word;
