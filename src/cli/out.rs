//! Printing where the reader may be gone: `grafter models | head -1` is no error, and a change that
//! was made is not undone because nobody reads about it.

use std::{
    fmt,
    io::{self, ErrorKind, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use crate::cli::exit::{Failure, Kind, OrFail};

/// Set once nobody reads standard output any more.
static CLOSED: AtomicBool = AtomicBool::new(false);
/// Set once standard output could not be written for another reason, such as a full disk.
static BROKEN: AtomicBool = AtomicBool::new(false);

/// Prints a line to standard output.
macro_rules! say {
    ($($arg:tt)*) => { $crate::cli::out::put(format_args!("{}\n", format_args!($($arg)*))) };
}

/// Prints to standard output.
macro_rules! put {
    ($($arg:tt)*) => { $crate::cli::out::put(format_args!($($arg)*)) };
}

/// Prints a line to standard error.
macro_rules! complain {
    ($($arg:tt)*) => { $crate::cli::out::complain(format_args!($($arg)*)) };
}

/// Writes to standard output.
pub(super) fn put(text: fmt::Arguments<'_>) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_fmt(text).and_then(|()| out.flush()) {
        let flag = if error.kind() == ErrorKind::BrokenPipe { &CLOSED } else { &BROKEN };
        flag.store(true, Ordering::Relaxed);
    }
}

/// Writes a line to standard error; where that is closed, nobody can be told.
pub(super) fn complain(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Returns whether nobody reads any more.
pub(super) fn is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// Returns an error if something was not written that somebody wanted to read.
pub(super) fn check() -> Result<(), Failure> {
    match BROKEN.load(Ordering::Relaxed) {
        true => {
            Err(io::Error::other("cannot write to standard output")).or_fail(Kind::Infrastructure)
        }
        false => Ok(()),
    }
}
