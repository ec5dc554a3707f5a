//! Takes an answer in an edit format: read, decided on by the guard, and carried out on the desk.

use serde_json::json;
use tokio::task::spawn_blocking;

use crate::{
    guard::decide::{Disposition, Facts, NO_APPROVAL, decide},
    protocol::{ids::CallId, message::ToolCall, task::EditFormat},
    tools::{
        catalogue::catalogue,
        change::commit,
        desk::Desk,
        formats::{
            apply::{FileEdit, plan},
            blocks, whole_file, whole_function,
        },
        perform::remember,
    },
};

/// Reads an answer in a format.
pub fn parse(format: EditFormat, text: &str) -> Result<Vec<FileEdit>, String> {
    match format {
        EditFormat::Blocks => blocks::parse(text),
        EditFormat::WholeFile => whole_file::parse(text),
        EditFormat::WholeFunction => whole_function::parse(text),
        EditFormat::Tools => Err("this format is handed in by tool calls".to_owned()),
    }
}

/// Applies an answer to the desk's tree, all or nothing, and returns the files that changed.
pub async fn take(desk: &Desk, format: EditFormat, text: &str) -> Result<Vec<String>, String> {
    let edits = parse(format, text)?;
    let desk = desk.clone();
    let work = spawn_blocking(move || {
        let changes = plan(&desk.place, &edits, &desk.offered)?;
        for change in &changes {
            permit(&desk, &change.path)?;
        }
        for mark in commit(&desk.place, &changes)? {
            remember(&desk.reads, mark);
        }
        Ok(changes.into_iter().map(|change| change.path).collect())
    });
    work.await.unwrap_or_else(|error| Err(format!("the answer could not be applied: {error}")))
}

/// A change in text is a write like any other, so the same rules hold.
fn permit(desk: &Desk, path: &str) -> Result<(), String> {
    let name = "write".to_owned();
    let spec = catalogue().get(&name).ok_or("there is no tool `write`")?;
    let call = ToolCall { id: CallId::new(""), name, input: json!({"path": path}) };
    let decision = decide(&call, spec, &Facts::default(), &desk.policy);
    match decision.disposition {
        Disposition::Run(_) => Ok(()),
        // There is one answer and many files; a user who wants to see each write has tools for it.
        Disposition::Ask(_) | Disposition::Unsure(_) => Err(format!(
            "{NO_APPROVAL}: in the mode `default` each write is asked for, which an answer in text \
             cannot be; the user has to rerun with --edit-format tools or --mode allow-edits"
        )),
        Disposition::Deny(code) => Err(format!("{code}: {}", decision.why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{protocol::task::Phase, tools::testing::Bench};

    #[tokio::test]
    async fn an_answer_is_applied_in_its_phase_only() {
        let mut bench = Bench::new(&[("a.py", "def f():\n    return 1\n")]).await;
        bench.desk.offered = vec!["a.py".to_owned()];
        let answer = "```python\ndef f():\n    return 2\n```";
        bench.desk.policy.phase = Phase::Research;
        let why = take(&bench.desk, EditFormat::WholeFunction, answer).await.expect_err("denied");
        assert!(why.starts_with("E_PHASE"), "{why}");
        bench.desk.policy.phase = Phase::Implementation;
        let changed = take(&bench.desk, EditFormat::WholeFunction, answer).await;
        assert_eq!(changed, Ok(vec!["a.py".to_owned()]));
        assert_eq!(bench.read("a.py").as_deref(), Some("def f():\n    return 2\n"));
        assert!(take(&bench.desk, EditFormat::Tools, answer).await.is_err());
    }
}
