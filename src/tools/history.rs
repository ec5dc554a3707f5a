//! The tool `git`: read-only questions to the repository.

use serde::Deserialize;

use crate::{
    git::look::{Lines, Look},
    tools::answer::Done,
};

/// Commits that log lists.
const MAX_COMMITS: u32 = 50;
/// Lines that blame shows when it is not told how many.
const BLAMED: u32 = 100;

/// Arguments of `git`.
#[derive(Debug, Deserialize)]
pub(super) struct Git {
    action: String,
    rev: Option<String>,
    path: Option<String>,
    from: Option<u32>,
    to: Option<u32>,
}

/// Answers one question.
pub(super) fn git(look: &Look<'_>, args: &Git) -> Result<Done, String> {
    let (path, rev) = (args.path.as_deref(), args.rev.as_deref());
    let at = rev.unwrap_or("HEAD");
    let answer = match args.action.as_str() {
        "log" => look.log(at, path, MAX_COMMITS),
        // `rev:path` is how git itself names a file of a commit.
        "show" => match at.split_once(':') {
            Some((rev, path)) => look.file(rev, path),
            None => look.show(at, path),
        },
        "diff" => match at.split_once("..") {
            Some((from, to)) => look.diff(from, Some(to.trim_start_matches('.')), path),
            None => look.diff(at, None, path),
        },
        "blame" => {
            let path = path.ok_or("blame needs a `path`")?;
            let from = args.from.unwrap_or(1);
            let to = args.to.unwrap_or(from.saturating_add(BLAMED)).max(from);
            let lines = (args.from.is_some() || args.to.is_some()).then_some(Lines { from, to });
            look.blame(at, path, lines)
        }
        _ => look.status(),
    };
    let text = answer.map_err(|error| format!("{error}; look at the history with log"))?;
    if text.trim().is_empty() {
        return Ok(Done::said(format!("git {}: nothing to show", args.action), ""));
    }
    Ok(Done::said(text, "give a path or a narrower rev"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tools::testing::Bench;

    #[tokio::test]
    async fn history_is_shown() {
        let bench = Bench::new(&[]).await;
        let git = |action: &str| bench.says("git", json!({"action": action, "path": "a.txt"}));
        assert!(git("log").await.ends_with("Ann: first\n"));
        assert!(git("show").await.contains("+one"));
        assert!(git("blame").await.contains("one"));
        assert_eq!(git("diff").await, "git diff: nothing to show");
        let file = json!({"action": "show", "rev": "HEAD:a.txt"});
        assert_eq!(bench.says("git", file).await, "one\n");
    }

    #[tokio::test]
    async fn options_are_no_revisions() {
        let bench = Bench::new(&[]).await;
        for rev in ["--output=x", "-p", "HEAD x", "a\nb", "nope", "stash@{0}", "--x..HEAD", "-x:a"]
        {
            let said = bench.fails("git", json!({"action": "show", "rev": rev})).await;
            assert!(said.contains("look at the history"), "{said}");
        }
        let said = bench.fails("git", json!({"action": "blame"})).await;
        assert!(said.contains("needs a `path`"), "{said}");
    }
}
