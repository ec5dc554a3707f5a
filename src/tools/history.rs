//! The tool `git`: read-only questions to the repository.

use serde::Deserialize;

use crate::{
    git::look::{Lines, Look},
    tools::answer::Done,
};

/// Commits that `log` names at most.
const MAX_LOG: u32 = 30;

/// Arguments of `git`.
#[derive(Debug, Deserialize)]
pub(super) struct Git {
    action: String,
    rev: Option<String>,
    path: Option<String>,
    from: Option<u32>,
    to: Option<u32>,
}

/// Answers one question about the repository and the files as they are now.
pub(super) fn git(args: &Git, look: &Look<'_>) -> Result<Done, String> {
    let (rev, path) = (args.rev.as_deref(), args.path.as_deref());
    refuse_options(rev)?;
    let base = look.base.as_str();
    let answer = match args.action.as_str() {
        "log" => look.log(rev.unwrap_or(base), path, MAX_LOG),
        "show" => look.show(rev.unwrap_or(base), path),
        "diff" => look.diff(rev.unwrap_or(base), None, path),
        "blame" => {
            let path = path.ok_or("blame needs a `path`")?;
            let from = args.from.unwrap_or(1);
            let to = args.to.unwrap_or(from.saturating_add(100));
            if from > to {
                return Err(format!("`from` {from} is behind `to` {to}"));
            }
            look.blame(rev.unwrap_or(base), path, Some(Lines { from, to }))
        }
        _ => look.status(),
    };
    let text = answer.map_err(|error| format!("{error}; check `rev` and `path` with log"))?;
    if text.trim().is_empty() {
        return Ok(Done::said(format!("git {}: nothing to show", args.action), ""));
    }
    Ok(Done::said(text, "give a path or a narrower rev"))
}

/// A revision is a name, never an option or a list of words.
fn refuse_options(rev: Option<&str>) -> Result<(), String> {
    match rev {
        Some(rev)
            if rev.starts_with('-') || rev.chars().any(|c| c.is_whitespace() || c.is_control()) =>
        {
            Err(format!(
                "`{}` is no revision; give a commit, a branch or HEAD~1",
                rev.escape_debug()
            ))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tools::desk::testing::Bench;

    #[tokio::test]
    async fn options_are_no_revisions() {
        let bench = Bench::new(&[]).await;
        for rev in ["--output=x", "-p", "HEAD x", "a\nb"] {
            let said = bench.fails("git", json!({"action": "show", "rev": rev})).await;
            assert!(said.contains("is no revision"), "{said}");
        }
        let said = bench.fails("git", json!({"action": "blame"})).await;
        assert!(said.contains("needs a `path`"), "{said}");
    }
}
