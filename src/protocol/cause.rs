//! An error as people read it.

use std::error::Error;

/// Returns an error with all its causes in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
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
}
