//! What a command line would do, as far as its text tells: the calls it makes, the files they
//! touch, the directory each of them runs in. The checks are made on this.

pub mod access;
pub mod arg;
pub mod build;
pub mod call;
mod operands;
pub mod options;
pub mod peel;
