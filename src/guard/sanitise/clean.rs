//! The one door: a text as a model or a person may see it.

use crate::guard::sanitise::{secrets::Known, strip::strip};

/// Returns the text without control sequences, hidden characters and secrets.
pub fn clean(text: &str, known: &Known) -> String {
    known.redact(strip(text))
}
