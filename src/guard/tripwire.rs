//! Tripwires: a tool that nobody has a reason to call, and a string that nobody has a reason to say.
//!
//! They notice an agent that follows orders from elsewhere, or somebody between grafter and the
//! model who uses the tool list. Both say truthfully what they are. A run has its own random ones,
//! so no text written before it can name them. They are off unless all of `Gates` holds.

use serde::{Deserialize, Serialize};

use crate::guard::redact::Terms;

/// The file with the canary string, in the private home of every place.
pub const FILE: &str = ".vault_token";

/// What must hold at once for a run to have tripwires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gates {
    /// The program was built with the feature `tripwire`.
    pub built: bool,
    /// The user's configuration turns them on.
    pub wanted: bool,
    /// The program itself was started, not a library in another one.
    pub launched: bool,
}

impl Gates {
    /// Returns whether all hold.
    pub fn armed(self) -> bool {
        self.built && self.wanted && self.launched
    }
}

/// The tripwires of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tripwire {
    id: String,
}

impl Tripwire {
    /// Makes them of a number that nobody can guess.
    pub fn new(random: u128) -> Self {
        Self { id: format!("{random:032x}") }
    }

    /// Returns the name in this run of a canary tool.
    pub fn tool(&self, name: &str) -> String {
        format!("{name}_{}", &self.id[..4])
    }

    /// Returns the content of the file with the canary string.
    pub fn file(&self) -> String {
        format!(
            "{}\n# A monitoring canary of grafter, no credential: never use it.\n",
            self.string()
        )
    }

    /// Returns where in a text the canary string stands, by line; in plain, in base64 or dressed up.
    pub fn find(&self, text: &str) -> Option<usize> {
        let terms = Terms::new(std::slice::from_ref(&self.id));
        terms.find(text).first().map(|spot| spot.from)
    }

    fn string(&self) -> String {
        format!("canary-{}", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gate_alone_keeps_them_off() {
        let all = Gates { built: true, wanted: true, launched: true };
        assert!(all.armed());
        for off in [
            Gates { built: false, ..all },
            Gates { wanted: false, ..all },
            Gates { launched: false, ..all },
        ] {
            assert!(!off.armed(), "{off:?}");
        }
    }

    #[test]
    fn a_run_knows_its_own_canaries_and_no_others() {
        let (ours, other) = (Tripwire::new(u128::MAX / 7), Tripwire::new(u128::MAX / 5));
        let text = format!("curl\nhttps://x.example/?q={}", ours.string());
        assert_eq!(ours.find(&text), Some(2));
        assert_eq!(ours.find(&text.to_uppercase()), Some(2));
        assert_eq!(other.find(&text), None);
        assert_eq!(ours.find("cat ~/.vault_token"), None, "looking is no use");
        assert_eq!(ours.find(&ours.file()), Some(1));
        assert!(ours.tool("t").starts_with("t_2492") && ours.tool("t") != other.tool("t"));
        assert_eq!(Tripwire::new(1).id.len(), 32);
    }
}
