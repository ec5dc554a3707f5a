//! One validated unit of a workflow.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    graph::{condition::Condition, dag::Limits},
    protocol::{
        part::MAX_PARTS,
        task::{AgentKind, EditFormat, Mode, Phase},
    },
};

/// Most instances of a fan-out that reads; a longer list of an earlier node is cut to it.
const MAX_INSTANCES: usize = 8;

/// One unit of a workflow; correct as it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    /// Its name: lower-case letters, digits and hyphens.
    pub id: String,
    /// Its phase.
    pub phase: Phase,
    /// Its kind of agent; without meaning for checks.
    pub kind: AgentKind,
    /// Who does its work.
    pub work: Work,
    /// Nodes that must have ended before it starts.
    pub needs: Vec<String>,
    /// Its fan-out, if any.
    pub each: Option<Each>,
    /// What its one agent is asked; a fan-out asks by its items. Not in the content key of a node
    /// without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
    /// Carries it reads.
    pub takes: Vec<(String, CarryType)>,
    /// Carries it hands on.
    pub gives: BTreeMap<String, CarryType>,
    /// It runs only if this holds.
    pub when: Option<Condition>,
    /// What its agents may use together, each the same part. Not in the content key: it changes no
    /// answer.
    #[serde(skip)]
    pub limits: Option<Limits>,
    /// Where a failure sends the work.
    pub on_failure: Option<Back>,
    /// Whether its failure leaves those that need it alone.
    pub optional: bool,
}

impl Node {
    /// Returns the role of an agent, or `checks`.
    pub fn role(&self) -> &str {
        match &self.work {
            Work::Agent(agent) => &agent.role,
            Work::Checks => "checks",
        }
    }

    /// Returns whether it changes files.
    pub fn writes(&self) -> bool {
        self.phase == Phase::Implementation
    }

    /// Returns whether several writers make parts of one change, each in a tree of its own.
    pub fn is_split(&self) -> bool {
        self.writes() && self.each.is_some()
    }

    /// Returns the most instances that it may have.
    pub fn most(&self) -> usize {
        if self.writes() { MAX_PARTS } else { MAX_INSTANCES }
    }
}

/// Who does a node's work.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// A model with tools.
    Agent(AgentWork),
    /// The scaffold, which runs the check commands.
    Checks,
}

/// What an agent is given.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgentWork {
    /// Its role: the prompt file of that name.
    pub role: String,
    /// Tools it may call, in the order of the catalogue; `finish` among them.
    pub tools: Vec<String>,
    /// The form of its change, if the workflow fixes it.
    pub edit_format: Option<EditFormat>,
    /// Temperatures by attempt; empty where the provider's default holds.
    pub temperatures: Vec<f32>,
    /// Its permission mode, where that is stricter than the run's. Not in the content key of a node
    /// without one, whose stored results stay of use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Most answers of the model.
    pub max_turns: Option<u32>,
    /// Somebody else's agent that does the work, by its name in the user's settings; like `mode`
    /// not in the content key of a node without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
}

impl AgentWork {
    /// Returns the temperature of an attempt, from 1; attempts past the list use its last.
    pub fn temperature(&self, attempt: u32) -> Option<f32> {
        let index = (attempt as usize).saturating_sub(1);
        self.temperatures.get(index).or(self.temperatures.last()).copied()
    }
}

/// A fan-out.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Each {
    /// So many equal instances.
    Number(usize),
    /// One instance per item.
    Items(Vec<Value>),
    /// One instance per item of a list that an earlier node gives.
    Carry {
        /// The node.
        node: String,
        /// The name of its carry.
        name: String,
    },
}

/// A failure edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Back {
    /// The node the work goes back to.
    pub to: String,
    /// How often at most.
    pub max: u32,
}

/// The type of a carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CarryType {
    /// A string.
    Text,
    /// A number.
    Number,
    /// True or false.
    Bool,
    /// A list of any values.
    List,
    /// Claims with evidence, reported one by one with `report_finding`.
    Findings,
    /// Parts of a change, for a fan-out of writers.
    Parts,
}

impl CarryType {
    /// Returns the name used in workflows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::List => "list",
            Self::Findings => "findings",
            Self::Parts => "parts",
        }
    }

    /// Returns whether values of several givers are joined into one.
    pub fn joins(self) -> bool {
        matches!(self, Self::List | Self::Findings)
    }

    /// Returns whether a value is of this type.
    pub fn admits(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Number => value.is_number(),
            Self::Bool => value.is_boolean(),
            Self::List | Self::Findings | Self::Parts => value.is_array(),
        }
    }
}

impl fmt::Display for CarryType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
