//! Printing what a command answers.
//!
//! A reader that has seen enough (`grafter logs | head`) closes the pipe. That ends the command
//! without a word; `println!` would end it with a panic.

use std::{
    fmt,
    io::{self, ErrorKind, Write},
};

use crate::cli::exit::{Failure, Kind};

/// Prints a line to standard output, as `println!` does, and returns whether that was possible.
macro_rules! say {
    ($($text:tt)*) => { $crate::cli::out::write(format_args!("{}\n", format_args!($($text)*))) };
}

/// Prints a text to standard output as it is.
pub(super) fn write(text: fmt::Arguments<'_>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_fmt(text).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::new(Kind::ReaderGone, error),
        _ => Failure::new(Kind::Infrastructure, anyhow::Error::new(error).context("cannot print")),
    })
}
