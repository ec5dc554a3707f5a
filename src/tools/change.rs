//! Changes to files, all or nothing.
//!
//! Every tool and edit format that writes comes through here. New contents are computed in memory
//! first, a file that parsed before and would not parse after is turned away before anything is
//! written, and when a write fails the earlier ones are taken back.

use crate::{
    code::syntax::{Broken, syntax_ok},
    guard::{path::is_protected, sanitise::secrets::masked},
    sandbox::{file_error::FileError, place::Place},
    tools::{
        answer::Mark,
        text::{no_file, numbered},
    },
};

/// What becomes of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// The file.
    pub path: String,
    /// Its name before, if it is renamed.
    pub from: Option<String>,
    /// Whether a new file is made a program; an old one keeps its mode.
    pub executable: bool,
    /// Its content before; none for a new file.
    pub before: Option<String>,
    /// Its content after; none when it is deleted.
    pub after: Option<String>,
}

impl Change {
    /// Returns a new content for a file.
    pub(super) fn new(path: &str, before: Option<String>, after: String) -> Self {
        Self { path: path.to_owned(), from: None, executable: false, before, after: Some(after) }
    }

    fn marks(&self) -> Vec<Mark> {
        let mut marks: Vec<Mark> = self.from.iter().cloned().map(Mark::Gone).collect();
        marks.push(match &self.after {
            None => Mark::Gone(self.path.clone()),
            Some(after) => Mark::Written {
                path: self.path.clone(),
                before: self.before.as_ref().map(|text| blake3::hash(text.as_bytes())),
                after: blake3::hash(after.as_bytes()),
            },
        });
        marks
    }
}

/// Carries out all changes or none, and returns what the model knows by them.
pub(super) fn commit(place: &Place, changes: &[Change]) -> Result<Vec<Mark>, String> {
    for change in changes {
        allowed(change)?;
        unmasked(change)?;
        sound(change)?;
    }
    for (done, change) in changes.iter().enumerate() {
        if let Err(error) = carry_out(place, change) {
            let lost: Vec<String> = changes[..=done]
                .iter()
                .rev()
                .filter_map(|change| take_back(place, change).err())
                .map(|error| error.to_string())
                .collect();
            let left = match lost.as_slice() {
                [] => "nothing is changed".to_owned(),
                _ => format!("and it could not all be taken back: {}", lost.join("; ")),
            };
            return Err(format!("{}; {left}", no_file(&error, &change.path)));
        }
    }
    Ok(changes.iter().flat_map(Change::marks).collect())
}

/// The guard has decided on a call's paths; edit formats have no call, so it is asked here again.
fn allowed(change: &Change) -> Result<(), String> {
    match [Some(&change.path), change.from.as_ref()].into_iter().flatten().find(|p| is_protected(p))
    {
        Some(path) => Err(format!(
            "E_PROTECTED: `{path}` belongs to git or grafter and is never written by tools"
        )),
        None => Ok(()),
    }
}

/// A model never sees the secrets of a file, only what stands in their place; written back, that
/// would destroy them. A file that holds such words already may be edited around them.
fn unmasked(change: &Change) -> Result<(), String> {
    let known = change.before.as_deref().unwrap_or_default();
    let after = change.after.as_deref().unwrap_or_default();
    match masked(after).find(|mark| !known.contains(mark)) {
        Some(mark) => Err(format!(
            "E_MASKED: `{}` would hold `{mark}`, which only stands for a secret that you are not \
             shown, so nothing is changed; leave the lines with secrets as they are (edit the \
             lines around them), or name an environment variable in the secret's place",
            change.path
        )),
        None => Ok(()),
    }
}

fn sound(change: &Change) -> Result<(), String> {
    let (Some(before), Some(after)) = (&change.before, &change.after) else {
        return Ok(());
    };
    match syntax_ok(&change.path, after) {
        Err(broken) if syntax_ok(&change.path, before).is_ok() => Err(says(change, after, broken)),
        _ => Ok(()),
    }
}

fn says(change: &Change, after: &str, broken: Broken) -> String {
    let line = broken.line as usize;
    format!(
        "`{}` would no longer parse, so nothing is changed: {broken}. It would read there:\n{}",
        change.path,
        numbered(after, line.saturating_sub(5).max(1), line + 5)
    )
}

fn carry_out(place: &Place, change: &Change) -> Result<(), FileError> {
    if let Some(from) = &change.from {
        place.rename(from, &change.path)?;
    }
    match &change.after {
        None => place.remove(&change.path),
        Some(after) if change.from.is_some() && change.before.as_ref() == Some(after) => Ok(()),
        Some(after) => {
            place.write(&change.path, after.as_bytes())?;
            if change.executable { place.make_executable(&change.path) } else { Ok(()) }
        }
    }
}

fn take_back(place: &Place, change: &Change) -> Result<(), FileError> {
    // The failing change itself may have been carried out in part or not at all.
    if let Some(from) = &change.from
        && place.metadata(from).is_err()
    {
        place.rename(&change.path, from)?;
    }
    let path = change.from.as_ref().unwrap_or(&change.path);
    match &change.before {
        Some(before) => place.write(path, before.as_bytes()),
        None if place.metadata(path).is_ok() => place.remove(path),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tools::testing::Bench;

    #[tokio::test]
    async fn a_failing_write_takes_back_the_others() {
        let bench = Bench::new(&[("a.txt", "a"), ("dir/b.txt", "b")]).await;
        let changes = [
            Change::new("a.txt", Some("a".to_owned()), "A".to_owned()),
            Change::new("new.txt", None, "n".to_owned()),
            // A folder stands in the way.
            Change::new("dir", None, "x".to_owned()),
        ];
        let error = commit(&bench.place, &changes).expect_err("fails");
        assert!(error.contains("nothing is changed") || error.contains("dir"), "{error}");
        assert_eq!(bench.read("a.txt").as_deref(), Some("a"));
        assert_eq!(bench.read("new.txt"), None);
        assert_eq!(bench.read("dir/b.txt").as_deref(), Some("b"));
    }

    #[tokio::test]
    async fn what_no_longer_parses_is_not_written() {
        let bench = Bench::new(&[("a.py", "def f():\n    return 1\n")]).await;
        let before = bench.read("a.py");
        let change = Change::new("a.py", before.clone(), "def f(:\n    return 1\n".to_owned());
        insta::assert_snapshot!(commit(&bench.place, &[change]).expect_err("broken"), @r"
        `a.py` would no longer parse, so nothing is changed: syntax error at line 1, column 7. It would read there:
        1	def f(:
        2	    return 1
        ");
        assert_eq!(bench.read("a.py"), before);
        // A file that is broken already may be mended in steps.
        let change = Change::new("a.py", Some("def (".to_owned()), "def f(".to_owned());
        assert!(commit(&bench.place, &[change]).is_ok());
    }

    #[tokio::test]
    async fn git_files_are_never_written() {
        let bench = Bench::new(&[]).await;
        let change = Change::new(".git/hooks/pre-commit", None, "x".to_owned());
        assert!(commit(&bench.place, &[change]).expect_err("refused").contains("E_PROTECTED"));
    }

    #[tokio::test]
    async fn a_masked_secret_could_be_written_over_the_real_one() {
        let key = &format!("AKIA{}", "Q5ZT3K7VN2WXL4HB");
        let file = format!("# keys\nAWS_KEY = '{key}'\nREGION = 'eu'\n");
        let bench = Bench::new(&[("k.py", &file)]).await;
        let seen = bench.says("read", json!({"path": bench.path("k.py")})).await;
        let mark = masked(&seen).next().expect("the key is not shown").to_owned();
        let copied = file.replace(key, &mark);
        let writes = [
            ("write", json!({"path": bench.path("k.py"), "content": copied})),
            ("write", json!({"path": bench.path("new.py"), "content": copied})),
            ("edit", json!({"path": bench.path("k.py"), "old": "# keys", "new": mark})),
            (
                "apply_patch",
                json!({"patch": format!(
                "--- a/k.py\n+++ b/k.py\n@@ -1,1 +1,2 @@\n # keys\n+OTHER = '{mark}'\n")}),
            ),
        ];
        for (tool, input) in writes {
            let why = bench.fails(tool, input).await;
            assert!(why.contains("E_MASKED") && why.contains("leave the lines"), "{tool}: {why}");
            assert_eq!(bench.read("k.py").as_ref(), Some(&file));
        }
        assert_eq!(bench.read("new.py"), None);
        let over = json!({"path": bench.path("k.py"), "old": mark, "new": "'x'"});
        assert!(bench.fails("edit", over).await.contains("choose lines without it"));
        let around = json!({"path": bench.path("k.py"), "old": "'eu'", "new": "'us'"});
        bench.says("edit", around).await;
        assert_eq!(bench.read("k.py"), Some(file.replace("'eu'", "'us'")));
        // A text about such marks is no secret's place.
        let about = Change::new("a.md", Some(mark.clone()), format!("{mark} stands for a key"));
        assert!(commit(&bench.place, &[about]).is_ok());
    }
}
