//! Newtypes for every name in a run, so that no two of them can be mixed up.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What follows an agent's name in that of its classifier.
const CLASSIFIER: &str = "/classifier";

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// Returns the id made of `text`, unchecked.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// Returns the id's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// One execution of a workflow, such as `1122-1741-9f3a` (month-day, hour-minute, random).
    RunId
);
id!(
    /// One instance of a workflow node: `implement`, or `research.2` for the third of a fan-out.
    NodeId
);
id!(
    /// One conversation with a model: the node's id and its attempt, such as `implement@1`.
    AgentId
);
id!(
    /// A provider's name for one tool call inside one turn.
    CallId
);
id!(
    /// One task of a batch, such as `fix-median`.
    TaskId
);
id!(
    /// A git object id in hexadecimal.
    Oid
);
id!(
    /// A blake3 content key in hexadecimal, naming a reusable result.
    Key
);

impl NodeId {
    /// Returns the workflow's node, and which instance of its fan-out this is; 0 without one.
    pub fn place(&self) -> (&str, u32) {
        let split = self.0.rsplit_once('.');
        let instance = split.and_then(|(node, index)| Some((node, index.parse().ok()?)));
        instance.unwrap_or((&self.0, 0))
    }
}

impl NodeId {
    /// Returns whether this is one instance of a fan-out.
    pub fn is_one_of_many(&self) -> bool {
        self.place().0 != self.0
    }
}

impl AgentId {
    /// Returns the agent that works for a node instance in its nth attempt.
    pub fn of(node: &NodeId, attempt: u32) -> Self {
        Self(format!("{node}@{attempt}"))
    }

    /// Returns the node instance that it works for.
    pub fn node(&self) -> NodeId {
        NodeId::new(self.0.split('@').next().unwrap_or_default())
    }

    /// Returns which attempt of its node it is, from 1; nothing for a name that grafter did not make.
    pub fn attempt(&self) -> Option<u32> {
        self.0.rsplit_once('@').and_then(|(_, attempt)| attempt.parse().ok())
    }

    /// Returns the instance whose share it spends: its own, or that of the agent it helps.
    pub fn spends_of(&self) -> NodeId {
        NodeId::new(self.0.split(['~', '@']).next().unwrap_or_default())
    }

    /// Returns the name under which the classifier's model is asked about this agent's calls.
    pub fn classifier(&self) -> Self {
        Self(format!("{}{CLASSIFIER}", self.0))
    }

    /// Returns whether this names a classifier and no agent.
    pub fn is_classifier(&self) -> bool {
        self.0.ends_with(CLASSIFIER)
    }
}

impl Oid {
    /// Returns the first ten digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..10).unwrap_or(&self.0)
    }
}
