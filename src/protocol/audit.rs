//! What a run can say of the files outside its trees.

use serde::{Deserialize, Serialize};

/// What was compared between the beginning of a run (of this process of it, after a resume) and
/// its end, on the user's side of the repository; what a landing did there is not counted.
///
/// It says what differs, not who did it: the user may work in the checkout meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// How many files of the checkout were looked at.
    pub files: u64,
    /// How many refs were looked at.
    pub refs: u64,
    /// The hash over all that was seen at the beginning.
    pub before: String,
    /// The same at the end.
    pub after: String,
    /// What differs, such as `file src/a.rs`, `index src/a.rs`, `ref refs/heads/main`, `HEAD`.
    pub changed: Vec<String>,
    /// What could not be looked at, and why.
    pub unseen: Vec<String>,
}
