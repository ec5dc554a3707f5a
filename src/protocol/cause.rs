//! An error as people read it.

use std::error::Error;

/// Returns an error with all its causes in one line; what it already quotes is not said twice.
pub fn chain(error: &dyn Error) -> String {
    let mut text = plain(&error.to_string()).to_owned();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(plain(&said)) {
            text.push_str(": ");
            text.push_str(plain(&said));
        }
        next = cause.source();
    }
    text
}

/// Returns what an error says without the numbers that the git library adds, which help nobody.
pub fn plain(said: &str) -> &str {
    said.split("; class=").next().unwrap_or_default().trim_end_matches([':', ' '])
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read it")]
    struct Outer(#[from] io::Error);

    #[test]
    fn all_causes_stand_in_one_line() {
        let error = Outer(io::Error::other("the disk is gone"));
        assert_eq!(chain(&error), "cannot read it: the disk is gone");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot move it: {0}")]
    struct Quoting(#[source] io::Error);

    #[test]
    fn a_locked_branch_was_told_twice_and_with_the_librarys_numbers() {
        let said = "failed to lock 'a.lock': ; class=Os (2); code=Locked (-14)";
        let error = Quoting(io::Error::other(said));
        assert_eq!(chain(&error), "cannot move it: failed to lock 'a.lock'");
    }
}
