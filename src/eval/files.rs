//! Files of a run in the form of the official tools.
//!
//! Source: `swebench` 5.0.2, `harness/reporting.py` and `harness/grading.py`, report schema 2.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::eval::{grade::Graded, instance::Instance};

/// What became of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All tests of both lists pass.
    Resolved,
    /// Some do not.
    Failed,
    /// There is no patch.
    NoPatch,
    /// The patch does not apply.
    ApplyError,
    /// The machine failed, by kind; it says nothing about the patch.
    Infra(String),
}

impl Outcome {
    /// Returns its name in a table.
    pub fn name(&self) -> String {
        match self {
            Self::Resolved => "resolved".to_owned(),
            Self::Failed => "failed".to_owned(),
            Self::NoPatch => "no patch".to_owned(),
            Self::ApplyError => "apply error".to_owned(),
            Self::Infra(kind) => format!("infra ({kind})"),
        }
    }
}

/// What is known of one instance of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The instance.
    pub id: String,
    /// What its result depends on: row, solver, sample.
    pub key: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, in words, where it was not resolved.
    pub why: String,
    /// The blake3 of its patch.
    pub patch: String,
    /// Tests to mend that pass, and all of them.
    pub mended: (usize, usize),
    /// Tests not to break that pass, and all of them.
    pub kept: (usize, usize),
    /// How long the agents worked, in milliseconds.
    pub solve_ms: u64,
    /// How long the tests ran, in milliseconds.
    pub test_ms: u64,
    /// Tokens in and out.
    pub tokens: u64,
    /// Micro-dollars.
    pub cost: u64,
    /// Model answers.
    pub turns: u32,
    /// The run's id in its own repository, if there was one.
    pub run: String,
    /// How often it was tried, the machine's failures included.
    pub attempts: u32,
}

/// Returns one line of `predictions.jsonl`.
pub fn prediction(id: &str, model: &str, patch: &str) -> String {
    let object = json!({"instance_id": id, "model_name_or_path": model, "model_patch": patch});
    format!("{object}\n")
}

/// Returns the `report.json` of one instance.
pub fn report(instance: &Instance, record: &Record, graded: Option<&Graded>) -> Value {
    let is_none = record.outcome == Outcome::NoPatch;
    let mut report = json!({
        "patch_is_None": is_none,
        "patch_exists": !is_none,
        "patch_successfully_applied":
            graded.is_some() && !matches!(record.outcome, Outcome::ApplyError | Outcome::NoPatch),
        "resolved": record.outcome == Outcome::Resolved,
        "infra_failure": matches!(record.outcome, Outcome::Infra(_)),
    });
    if let (Outcome::Infra(_), Some(object)) = (&record.outcome, report.as_object_mut()) {
        object.insert("infra_failure_reason".to_owned(), json!(record.why));
    }
    if let (Some(graded), Some(object)) = (graded, report.as_object_mut()) {
        let none = json!({"success": [], "failure": []});
        object.insert(
            "tests_status".to_owned(),
            json!({
                "FAIL_TO_PASS": graded.fail_to_pass,
                "PASS_TO_PASS": graded.pass_to_pass,
                "FAIL_TO_FAIL": none,
                "PASS_TO_FAIL": none,
            }),
        );
    }
    json!({ instance.id.as_str(): report })
}

/// Returns the report of a whole run over these instances.
pub fn run_report(all: &[String], records: &BTreeMap<String, Record>) -> Value {
    let ids = |wanted: &dyn Fn(&Outcome) -> bool| -> Vec<&str> {
        let fit = records.values().filter(|record| wanted(&record.outcome));
        fit.map(|record| record.id.as_str()).collect()
    };
    let resolved = ids(&|outcome| *outcome == Outcome::Resolved);
    let unresolved = ids(&|outcome| *outcome == Outcome::Failed);
    let empty = ids(&|outcome| *outcome == Outcome::NoPatch);
    let infra = ids(&|outcome| matches!(outcome, Outcome::Infra(_)));
    let errors = ids(&|outcome| matches!(outcome, Outcome::ApplyError | Outcome::Infra(_)));
    let completed = ids(&|outcome| matches!(outcome, Outcome::Resolved | Outcome::Failed));
    let mut incomplete: Vec<&str> =
        all.iter().map(String::as_str).filter(|id| !records.contains_key(*id)).collect();
    incomplete.sort_unstable();
    let submitted: Vec<&str> = records.keys().map(String::as_str).collect();
    json!({
        "total_instances": all.len(),
        "submitted_instances": submitted.len(),
        "completed_instances": completed.len(),
        "resolved_instances": resolved.len(),
        "unresolved_instances": unresolved.len(),
        "empty_patch_instances": empty.len(),
        "error_instances": errors.len(),
        "infra_failure_instances": infra.len(),
        "completed_ids": completed,
        "incomplete_ids": incomplete,
        "empty_patch_ids": empty,
        "submitted_ids": submitted,
        "resolved_ids": resolved,
        "unresolved_ids": unresolved,
        "error_ids": errors,
        "infra_failure_ids": infra,
        "schema_version": 2,
    })
}
