//! The tool `apply_patch`: a unified diff over one or more files, all or nothing.

use serde::Deserialize;

use crate::{
    guard::path::normalise,
    sandbox::place::Place,
    tools::{
        answer::{Done, Effect},
        change::{Change, commit},
        diff::{self, FileDiff},
        hunks,
        text::{load, load_if_there},
    },
};

/// Arguments of `apply_patch`.
#[derive(Debug, Deserialize)]
pub(super) struct Patch {
    patch: String,
}

/// Returns the paths a diff is about, for the guard; none if it cannot be read.
pub(super) fn paths(patch: &str) -> Vec<String> {
    let files = diff::parse(patch).unwrap_or_default();
    files.into_iter().flat_map(|file| [file.old, file.new]).flatten().collect()
}

/// Applies a diff.
pub(super) fn apply_patch(place: &Place, args: &Patch) -> Result<Done, String> {
    let files =
        diff::parse(&args.patch).map_err(|why| format!("the patch cannot be read: {why}"))?;
    let mut changes: Vec<Change> = Vec::new();
    for file in &files {
        let change = change(place, file)?;
        if changes
            .iter()
            .any(|other| other.path == change.path || other.from == Some(change.path.clone()))
        {
            return Err(format!(
                "`{}` comes twice in the patch; put its hunks together",
                change.path
            ));
        }
        changes.push(change);
    }
    let marks = commit(place, &changes)?;
    let mut wrote: Vec<String> = changes.iter().filter_map(|change| change.from.clone()).collect();
    wrote.extend(changes.iter().map(|change| change.path.clone()));
    let content: String = changes.iter().map(words).collect();
    Ok(Done { content, rest: "", effect: Effect::Wrote(wrote), marks })
}

fn words(change: &Change) -> String {
    let path = &change.path;
    match (&change.from, &change.before, &change.after) {
        (Some(from), ..) => format!("moved `{from}` to `{path}`\n"),
        (_, None, _) => format!("created `{path}`\n"),
        (_, _, None) => format!("deleted `{path}`\n"),
        _ => format!("changed `{path}`\n"),
    }
}

fn change(place: &Place, file: &FileDiff) -> Result<Change, String> {
    let seen_as = place.seen_as().to_string_lossy();
    let normal = |name: &Option<String>| normalise(&seen_as, name.as_deref()?);
    let (old, new) = (normal(&file.old), normal(&file.new));
    let misfit = |path: &str, why: String| format!("nothing is changed; in `{path}` {why}");
    match (old, new) {
        (None, Some(path)) => {
            if load_if_there(place, &path)?.is_some() {
                return Err(misfit(
                    &path,
                    "the patch creates a file that exists already".to_owned(),
                ));
            }
            let after = hunks::apply("", &file.hunks).map_err(|why| misfit(&path, why))?;
            let executable = file.executable;
            Ok(Change { executable, ..Change::new(&path, None, after) })
        }
        (Some(path), None) => {
            let before = load(place, &path)?;
            let left = hunks::apply(&before, &file.hunks).map_err(|why| misfit(&path, why))?;
            if !left.is_empty() && !file.hunks.is_empty() {
                let why = "the patch deletes the file but not all its lines; use delete".to_owned();
                return Err(misfit(&path, why));
            }
            Ok(Change { after: None, ..Change::new(&path, Some(before), String::new()) })
        }
        (Some(old), Some(path)) => {
            let before = load(place, &old)?;
            let after = hunks::apply(&before, &file.hunks).map_err(|why| misfit(&old, why))?;
            let from = (old != path).then_some(old);
            if from.is_some() && load_if_there(place, &path)?.is_some() {
                return Err(misfit(&path, "the patch moves a file over another one".to_owned()));
            }
            if from.is_none() && before == after {
                return Err(misfit(&path, "the patch changes nothing".to_owned()));
            }
            Ok(Change { from, ..Change::new(&path, Some(before), after) })
        }
        (None, None) => Err("a part of the patch names no file".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tools::testing::Bench;

    const PATCH: &str = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n def f():\n-    return 1\n+    return 2\n\
        diff --git a/b.txt b/c/d.txt\nrename from b.txt\nrename to c/d.txt\n--- a/b.txt\n+++ b/c/d.txt\n@@ -1 +1 @@\n-b\n+d\n\
        --- /dev/null\n+++ b/new.txt\n@@ -0,0 +1,2 @@\n+x\n+y\n\
        --- a/gone.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-z\n";

    #[tokio::test]
    async fn files_are_changed_moved_made_and_deleted() {
        let files = [("a.py", "def f():\n    return 1\n"), ("b.txt", "b\n"), ("gone.txt", "z\n")];
        let bench = Bench::new(&files).await;
        insta::assert_snapshot!(bench.says("apply_patch", json!({"patch": PATCH})).await, @"
        changed `a.py`
        moved `b.txt` to `c/d.txt`
        created `new.txt`
        deleted `gone.txt`
        ");
        assert_eq!(bench.read("a.py").as_deref(), Some("def f():\n    return 2\n"));
        assert_eq!((bench.read("b.txt"), bench.read("c/d.txt").as_deref()), (None, Some("d\n")));
        assert_eq!(bench.read("new.txt").as_deref(), Some("x\ny\n"));
        assert_eq!(bench.read("gone.txt"), None);
    }

    #[tokio::test]
    async fn a_program_that_a_patch_made_could_not_be_run() {
        let bench = Bench::new(&[]).await;
        let patch = "diff --git a/run b/run\nnew file mode 100755\n--- /dev/null\n+++ b/run\n@@ -0,0 +1 @@\n+x\n";
        bench.says("apply_patch", json!({"patch": patch})).await;
        assert_eq!(bench.place.metadata("run").expect("is there").mode & 0o111, 0o111);
    }

    #[tokio::test]
    async fn one_misfit_and_nothing_is_changed() {
        let files =
            [("a.py", "def f():\n    return 1\n"), ("b.txt", "b\n"), ("gone.txt", "other\n")];
        let bench = Bench::new(&files).await;
        let said = bench.fails("apply_patch", json!({"patch": PATCH})).await;
        assert!(said.contains("in `gone.txt` hunk 1 does not match"), "{said}");
        assert_eq!(bench.read("a.py").as_deref(), Some("def f():\n    return 1\n"));
        assert_eq!((bench.read("b.txt").as_deref(), bench.read("new.txt")), (Some("b\n"), None));
    }

    #[tokio::test]
    async fn a_patch_to_outside_or_to_git_is_refused() {
        let bench = Bench::new(&[]).await;
        for (path, code) in
            [("../x", "E_OUTSIDE"), (".git/hooks/x", "E_PROTECTED"), ("a/../../x", "E_OUTSIDE")]
        {
            let patch = format!("--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n");
            let said = bench.fails("apply_patch", json!({"patch": patch})).await;
            assert!(said.contains(code), "{path}: {said}");
        }
        let said = bench.fails("apply_patch", json!({"patch": "do it"})).await;
        assert!(said.contains("no unified diff"), "{said}");
    }
}
