//! The form of a workflow file, with the position of every value.
//!
//! A workflow is one YAML document of at most 256 KiB. Keys that are not listed here are refused.
//!
//! ```yaml
//! name: resolve                 # letters, digits, hyphens; at most 40
//! version: 1
//! limits: { usd: 3.0, minutes: 60, turns: 250 }   # optional; the command line wins
//! nodes:                        # 1 to 64, in the order they are shown
//!   - id: research              # becomes part of branch names and paths
//!     phase: research           # research | synthesis | implementation | verification
//!     role: researcher          # prompts/roles/researcher.md
//!     kind: teammate            # fork | teammate | worktree
//!     tools: [read, grep, report_finding, finish]
//!     each: ["Where is it?", "Which tests?"]
//!     gives: { findings: findings }
//!     optional: true
//! ```
//!
//! | key | meaning |
//! |---|---|
//! | `id` | name of the node, unique |
//! | `phase` | which classes of tool it may use: only implementation writes |
//! | `work` | `agent` (default), or `checks`: the scaffold runs the check commands, no model |
//! | `role` | the prompt of an agent; required for one, refused for checks |
//! | `kind` | `worktree` for implementation (default there, and only there), else `teammate` (default) or `fork`: starts from the context of the one agent it needs, whose role, phase and tools it has |
//! | `tools` | tools it may call; default: all of its phase but those that must be named, which is also what `default` among them stands for. `finish` is always there |
//! | `needs` | nodes that must have ended before it starts |
//! | `each` | fan-out: a number of equal instances, a list with one instance per item, or `{ from: NODE, carry: NAME }` for a list that an earlier node gives; at most 8 instances. On an implementation node at most 30 writers, each with a part of the change, a tree and a branch of its own: the list holds parts |
//! | `ask` | what its one agent is asked, beside the task; with `each` that is the item |
//! | `gives` | carries it hands on: `name: text, number, bool, list, findings or parts`; with `each` only lists and findings, which are joined in order |
//! | `takes` | carries it reads, which a node before it must give, with the same type |
//! | `when` | runs only if `{ carry: NAME, equals / not_equals / exists / at_least: VALUE }` holds; a node that does not run counts as ended |
//! | `on_failure` | `{ to: NODE, max: 1..5 }`: a failure sends the work back to an earlier node |
//! | `optional` | its failure does not stop those that need it |
//! | `mode` | permission mode of its agents and their helpers, where that is stricter than the run's: `default`, `allow-edits`, `auto` or `bypass` |
//! | `max_turns` | most model answers of one agent |
//! | `limits` | `{ usd: 2.0, turns: 90 }`: what its agents and their helpers may use together; in a fan-out each has the same part, and one that has used it up fails alone |
//! | `temperature` | a number, or a list with one per attempt, the last for all later ones |
//! | `edit_format` | `tools`, `blocks`, `whole-file` or `whole-function`; implementation only |
//! | `worker` | a `[workers]` table of the user's settings: somebody else's agent does the work; implementation only |
//!
//! Several nodes may give a carry of the same name only if it is a list or findings (joined in the
//! order of the file). Two implementation nodes must be in order by `needs`: one writer at a time on
//! one tree.
//!
//! A part is a text, or a table of `id`, `text`, `title`, `scope` (globs of the files it may write)
//! and `after` (ids of parts before it in the list, on whose work it builds). What the writers of the
//! parts have made is joined in the order of the list. A part whose work does not merge is done once
//! more on what the others made; if that does not merge either, it fails and its branch stays.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, value::MapAccessDeserializer},
};
use serde_json::Value;

use crate::{
    graph::node::CarryType,
    protocol::task::{AgentKind, EditFormat, Mode, Phase},
    settings::yaml::{At, Entries},
};

/// A workflow file as written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Its name.
    pub name: At<String>,
    /// Its format version.
    pub version: At<u32>,
    /// What a run may use, unless the command line says otherwise.
    #[serde(default)]
    pub limits: LimitsSpec,
    /// Its nodes.
    pub nodes: At<Vec<At<NodeSpec>>>,
}

/// What a run may use.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsSpec {
    /// Money in US dollars.
    pub usd: Option<At<f64>>,
    /// Wall time in minutes.
    pub minutes: Option<At<u64>>,
    /// Model answers, all agents together.
    pub turns: Option<At<u32>>,
}

/// One node as written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table in the module head documents each key")]
pub struct NodeSpec {
    pub id: At<String>,
    pub phase: At<Phase>,
    pub work: Option<At<WorkSpec>>,
    pub role: Option<At<String>>,
    pub kind: Option<At<AgentKind>>,
    pub tools: Option<At<Vec<At<String>>>>,
    #[serde(default)]
    pub needs: Vec<At<String>>,
    pub each: Option<At<EachSpec>>,
    pub ask: Option<At<String>>,
    #[serde(default)]
    pub gives: Entries<CarryType>,
    #[serde(default)]
    pub takes: Entries<CarryType>,
    pub when: Option<At<WhenSpec>>,
    pub on_failure: Option<At<BackSpec>>,
    #[serde(default)]
    pub optional: bool,
    pub mode: Option<At<Mode>>,
    pub max_turns: Option<At<u32>>,
    pub limits: Option<At<LimitsSpec>>,
    pub temperature: Option<At<Temperatures>>,
    pub edit_format: Option<At<EditFormat>>,
    pub worker: Option<At<String>>,
}

/// Who does a node's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkSpec {
    /// A model with tools.
    Agent,
    /// The scaffold, which runs the check commands.
    Checks,
}

/// A condition as written; exactly one of the tests must stand.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table in the module head documents each key")]
pub struct WhenSpec {
    pub carry: At<String>,
    pub equals: Option<At<Value>>,
    pub not_equals: Option<At<Value>>,
    pub exists: Option<At<bool>>,
    pub at_least: Option<At<f64>>,
}

/// A failure edge as written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackSpec {
    /// The node the work goes back to.
    pub to: At<String>,
    /// How often; without it the loop would not be bounded.
    pub max: Option<At<u32>>,
}

/// A fan-out as written.
#[derive(Clone, Debug, PartialEq)]
pub enum EachSpec {
    /// So many equal instances.
    Number(u64),
    /// One instance per item.
    Items(Vec<Value>),
    /// One instance per item of a list that an earlier node gives.
    Carry(EachCarry),
}

/// The list of an earlier node to fan out over.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EachCarry {
    /// The node.
    pub from: At<String>,
    /// The name of its carry.
    pub carry: At<String>,
}

impl<'de> Deserialize<'de> for EachSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = EachSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a list, or `{ from: NODE, carry: NAME }`")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<EachSpec, E> {
                Ok(EachSpec::Number(number))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<EachSpec, E> {
                Ok(EachSpec::Number(u64::try_from(number).unwrap_or(0)))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<EachSpec, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(EachSpec::Items(items))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<EachSpec, A::Error> {
                EachCarry::deserialize(MapAccessDeserializer::new(map)).map(EachSpec::Carry)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// Temperatures by attempt: a number in the file is a list of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Temperatures(pub Vec<f64>);

impl<'de> Deserialize<'de> for Temperatures {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Temperatures;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a list of numbers")
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Temperatures, E> {
                Ok(Temperatures(vec![number]))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Temperatures, E> {
                self.visit_f64(u32::try_from(number).unwrap_or(u32::MAX).into())
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Temperatures, E> {
                self.visit_f64(i32::try_from(number).unwrap_or(i32::MIN).into())
            }

            fn visit_seq<A: de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Temperatures, A::Error> {
                let mut numbers = Vec::new();
                while let Some(number) = seq.next_element()? {
                    numbers.push(number);
                }
                Ok(Temperatures(numbers))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
