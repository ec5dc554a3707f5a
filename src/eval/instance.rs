//! Rows of a dataset: JSON, a list or one object a line, with the columns of SWE-bench.
//!
//! Columns that are not known are left alone. The lists of tests are lists or texts that hold one, as
//! both are published. Gold patches and hidden tests are in here and nowhere that an agent sees.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

/// One task of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// The repository, `owner/name`.
    pub repo: String,
    /// The commit that it begins at.
    pub base: String,
    /// What is wrong, in words.
    pub problem: String,
    /// The patch that mends it.
    pub gold: String,
    /// The patch that lays the tests in.
    pub test_patch: String,
    /// Tests that fail before and pass after.
    pub fail_to_pass: Vec<String>,
    /// Tests that pass before and after.
    pub pass_to_pass: Vec<String>,
    /// The command that runs the tests, if the row has one.
    pub test_command: Option<String>,
    /// The name of the parser of what it prints.
    pub log_parser: Option<String>,
    /// Whether only tests that fail are printed by name.
    pub fail_only: bool,
    /// The row as written.
    pub row: String,
}

/// Why a dataset cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DatasetError {
    /// A row is no object of the known columns.
    #[error("row {row}{id}: {why}")]
    Row {
        /// Which, from 1.
        row: usize,
        /// Its id in words, if it has one.
        id: String,
        /// What is wrong.
        why: String,
    },
    /// An id is there twice.
    #[error("row {row}: the instance {id} is there already")]
    Twice {
        /// Which, from 1.
        row: usize,
        /// The id.
        id: String,
    },
    /// There is no row.
    #[error("there is no instance in it")]
    Empty,
}

#[derive(Deserialize)]
struct Row {
    instance_id: String,
    repo: String,
    base_commit: String,
    problem_statement: String,
    #[serde(default)]
    patch: String,
    #[serde(default)]
    test_patch: String,
    #[serde(rename = "FAIL_TO_PASS")]
    fail_to_pass: Tests,
    #[serde(rename = "PASS_TO_PASS")]
    pass_to_pass: Tests,
    test_command: Option<String>,
    test_cmds: Option<Vec<String>>,
    eval_script: Option<String>,
    log_parser: Option<String>,
    eval_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Tests {
    List(Vec<String>),
    Text(String),
}

impl Tests {
    fn list(self) -> Result<Vec<String>, String> {
        match self {
            Self::List(list) => Ok(list),
            Self::Text(text) if text.trim().is_empty() => Ok(Vec::new()),
            Self::Text(text) => serde_json::from_str(&text)
                .map_err(|error| format!("its list of tests cannot be read: {error}")),
        }
    }
}

/// Returns the instances of a dataset's text, in order.
pub fn read(text: &str) -> Result<Vec<Instance>, DatasetError> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let rows = match text.starts_with('[') {
        true => serde_json::from_str::<Vec<Value>>(text)
            .map_err(|error| wrong(1, "", format!("no JSON list of objects: {error}")))?,
        false => {
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            let row = |(at, line)| {
                serde_json::from_str::<Value>(line)
                    .map_err(|error| wrong(at + 1, "", format!("no JSON object: {error}")))
            };
            lines.map(row).collect::<Result<_, _>>()?
        }
    };
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (at, row) in rows.into_iter().enumerate() {
        let instance = instance(at + 1, row)?;
        if !seen.insert(instance.id.clone()) {
            return Err(DatasetError::Twice { row: at + 1, id: instance.id });
        }
        found.push(instance);
    }
    if found.is_empty() { Err(DatasetError::Empty) } else { Ok(found) }
}

fn wrong(row: usize, id: &str, why: String) -> DatasetError {
    let id = if id.is_empty() { String::new() } else { format!(" ({id})") };
    DatasetError::Row { row, id, why }
}

fn instance(at: usize, value: Value) -> Result<Instance, DatasetError> {
    let id = value.get("instance_id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let text = value.to_string();
    let row: Row =
        serde_json::from_value(value).map_err(|error| wrong(at, &id, error.to_string()))?;
    let fault = |why: &str| Err(wrong(at, &id, why.to_owned()));
    // It becomes the name of a folder.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if row.instance_id.is_empty() || !row.instance_id.chars().all(plain) || id.starts_with('.') {
        return fault(
            "an instance_id has letters, digits and any of -_. and does not begin with .",
        );
    }
    if row.base_commit.len() != 40 || !row.base_commit.chars().all(|c| c.is_ascii_hexdigit()) {
        return fault("base_commit must be 40 hexadecimal digits");
    }
    let fail_to_pass = row.fail_to_pass.list().map_err(|why| wrong(at, &id, why))?;
    if fail_to_pass.is_empty() {
        return fault("FAIL_TO_PASS names no test, so nothing could show that it is resolved");
    }
    let script = || row.eval_script.as_deref().and_then(between);
    let several = || row.test_cmds.as_ref().map(|all| all.join(" && "));
    Ok(Instance {
        test_command: row.test_command.clone().or_else(script).or_else(several),
        id: row.instance_id,
        repo: row.repo,
        base: row.base_commit,
        problem: row.problem_statement,
        gold: row.patch,
        test_patch: row.test_patch,
        fail_to_pass,
        pass_to_pass: row.pass_to_pass.list().map_err(|why| wrong(at, &id, why))?,
        log_parser: row.log_parser,
        fail_only: row.eval_type.as_deref() == Some("fail_only"),
        row: text,
    })
}

/// Returns what an eval script runs between its markers.
fn between(script: &str) -> Option<String> {
    let is_mark = |line: &&str, word: &str| line.starts_with(':') && line.contains(word);
    let lines = script.lines().skip_while(|line| !is_mark(line, ">>>>> Start Test Output")).skip(1);
    let lines: Vec<&str> =
        lines.take_while(|line| !is_mark(line, ">>>>> End Test Output")).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Which of a dataset's instances are worked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Only ids in which this stands.
    pub filter: Option<String>,
    /// They are put in another order first, by this seed.
    pub shuffle: Option<u64>,
    /// Only those from this place, from 0, up to that one, which is left out.
    pub slice: Option<(usize, usize)>,
}

/// Returns the chosen ones, in the order in which they are worked.
pub fn chosen(all: Vec<Instance>, choice: &Choice) -> Vec<Instance> {
    let fits = |instance: &Instance| {
        choice.filter.as_ref().is_none_or(|text| instance.id.contains(text.as_str()))
    };
    let mut kept: Vec<Instance> = all.into_iter().filter(fits).collect();
    if let Some(seed) = choice.shuffle {
        // By a hash of seed and id, so that the order does not depend on what else is there.
        kept.sort_by_cached_key(|instance| {
            blake3::hash(format!("{seed}/{}", instance.id).as_bytes()).to_hex().to_string()
        });
    }
    match choice.slice {
        Some((from, to)) => kept.into_iter().take(to).skip(from).collect(),
        None => kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, more: &str) -> String {
        format!(
            r#"{{"instance_id":"{id}","repo":"a/b","base_commit":"{}","problem_statement":"p","patch":"","test_patch":"","FAIL_TO_PASS":"[\"t\"]","PASS_TO_PASS":["u"]{more}}}"#,
            "0a".repeat(20)
        )
    }

    #[test]
    fn lines_and_lists_of_both_generations_are_read() {
        let lines =
            format!("{}\n\n{}\n", row("a-1", ""), row("a-2", r#","eval_type":"fail_only""#));
        let found = read(&lines).unwrap();
        assert_eq!((found.len(), found[1].fail_only), (2, true));
        assert_eq!(
            (&found[0].fail_to_pass[..], &found[0].pass_to_pass[..]),
            (&["t".to_owned()][..], &["u".to_owned()][..])
        );
        let list = format!("[{},{}]", row("a-1", ""), row("a-2", ""));
        assert_eq!(read(&list).unwrap()[0], found[0]);
        let script = r#","eval_script":"cd x\n: '>>>>> Start Test Output'\npytest -rA\n: '>>>>> End Test Output'\n""#;
        assert_eq!(read(&row("a", script)).unwrap()[0].test_command.as_deref(), Some("pytest -rA"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_row() {
        let said = |text: &str| read(text).unwrap_err().to_string();
        assert_eq!(said(""), "there is no instance in it");
        assert!(said("{").starts_with("row 1: no JSON object"));
        assert!(said(r#"{"instance_id":"x"}"#).starts_with("row 1 (x): missing field `repo`"));
        let twice = format!("{}\n{}", row("a", ""), row("a", ""));
        assert_eq!(said(&twice), "row 2: the instance a is there already");
        assert!(said(&row("../a", "")).contains("an instance_id has"));
        assert!(said(&row("a", "").replace("0a0a", "zz")).contains("40 hexadecimal"));
        assert!(said(&row("a", "").replace(r#"[\"t\"]"#, "[")).contains("list of tests"));
        assert!(said(&row("a", "").replace(r#"[\"t\"]"#, "[]")).contains("names no test"));
    }

    #[test]
    fn a_choice_filters_shuffles_and_cuts() {
        let all = || {
            read(&format!("{}\n{}\n{}", row("a-1", ""), row("b-2", ""), row("a-3", ""))).unwrap()
        };
        let ids = |choice: Choice| -> Vec<String> {
            chosen(all(), &choice).into_iter().map(|instance| instance.id).collect()
        };
        assert_eq!(
            ids(Choice { filter: Some("a-".to_owned()), ..Choice::default() }),
            ["a-1", "a-3"]
        );
        assert_eq!(ids(Choice { slice: Some((1, 2)), ..Choice::default() }), ["b-2"]);
        let shuffled = ids(Choice { shuffle: Some(7), ..Choice::default() });
        assert_eq!(shuffled, ids(Choice { shuffle: Some(7), ..Choice::default() }));
        assert_eq!(shuffled.len(), 3);
    }
}
