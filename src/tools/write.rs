//! The tools `write`, `move` and `delete`.

use serde::Deserialize;

use crate::{
    sandbox::{file_error::FileError, files::Kind, place::Place},
    tools::{
        answer::{Done, Effect, Mark},
        change::{Change, commit},
        edit::refuse_unread,
        reads::ReadSet,
        text::{load_if_there, no_file, with_ends_of, with_mark_of},
    },
};

/// Arguments of `write`.
#[derive(Debug, Deserialize)]
pub(super) struct Write {
    path: String,
    content: String,
}

/// Arguments of `move`.
#[derive(Debug, Deserialize)]
pub(super) struct Move {
    from: String,
    to: String,
}

/// Arguments of `delete`.
#[derive(Debug, Deserialize)]
pub(super) struct Delete {
    path: String,
}

/// Writes a whole file.
pub(super) fn write(place: &Place, args: &Write, reads: &ReadSet) -> Result<Done, String> {
    let path = &args.path;
    let before = load_if_there(place, path)?;
    let mut content = args.content.clone();
    if let Some(before) = &before {
        refuse_unread(reads, path, before)?;
        content = with_mark_of(before, with_ends_of(before, &content));
        if *before == content {
            return Err(format!("`{path}` holds exactly that already; nothing would change"));
        }
    }
    let verb = if before.is_some() { "replaced" } else { "created" };
    let lines = match content.lines().count() {
        1 => "1 line".to_owned(),
        many => format!("{many} lines"),
    };
    let words = format!("{verb} `{path}`: {lines}");
    let marks = commit(place, &[Change::new(path, before, content)])?;
    Ok(Done { content: words, rest: "", effect: Effect::Wrote(vec![path.clone()]), marks })
}

/// Renames a file; its bytes and mode stay, so it may be a binary one.
pub(super) fn rename(place: &Place, args: &Move) -> Result<Done, String> {
    let Move { from, to } = args;
    refuse_folder(place, from)?;
    if place.metadata(to).is_ok() {
        return Err(format!("`{to}` exists; delete it first, or choose another name"));
    }
    place.rename(from, to).map_err(|error| no_file(&error, from))?;
    Ok(Done {
        content: format!("moved `{from}` to `{to}`; mend what refers to it"),
        rest: "",
        effect: Effect::Wrote(vec![from.clone(), to.clone()]),
        marks: vec![Mark::Gone(from.clone()), Mark::Gone(to.clone())],
    })
}

/// Deletes a file.
pub(super) fn delete(place: &Place, args: &Delete) -> Result<Done, String> {
    let path = &args.path;
    refuse_folder(place, path)?;
    place.remove(path).map_err(|error| no_file(&error, path))?;
    Ok(Done {
        content: format!("deleted `{path}`"),
        rest: "",
        effect: Effect::Wrote(vec![path.clone()]),
        marks: vec![Mark::Gone(path.clone())],
    })
}

fn refuse_folder(place: &Place, path: &str) -> Result<(), String> {
    match place.metadata(path) {
        Ok(info) if info.kind == Kind::Directory => {
            Err(format!("`{path}` is a folder; name its files one by one"))
        }
        // A symlink to nowhere has no metadata, but it can be renamed and removed.
        Ok(_) | Err(FileError::NotFound { .. }) => Ok(()),
        Err(error) => Err(no_file(&error, path)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tools::testing::Bench;

    #[tokio::test]
    async fn a_new_file_is_written_an_old_one_only_when_read() {
        let bench = Bench::new(&[("a.txt", "a\r\nb\r\n")]).await;
        let new = json!({"path": "deep/new.txt", "content": "x\n"});
        assert_eq!(bench.says("write", new.clone()).await, "created `deep/new.txt`: 1 line");
        let same = bench.fails("write", new).await;
        assert!(same.contains("nothing would change"), "{same}");
        let old = json!({"path": "a.txt", "content": "c\nd\n"});
        assert!(bench.fails("write", old.clone()).await.contains("E_NOT_READ"));
        bench.says("read", json!({"path": "a.txt"})).await;
        bench.says("write", old).await;
        assert_eq!(bench.read("a.txt").as_deref(), Some("c\r\nd\r\n"));
        // What it wrote itself it knows.
        bench.says("edit", json!({"path": "deep/new.txt", "old": "x", "new": "y"})).await;
    }

    #[tokio::test]
    async fn a_file_that_was_written_anew_lost_its_byte_order_mark() {
        let bench = Bench::new(&[("a.cs", "\u{feff}one\r\n")]).await;
        bench.says("read", json!({"path": "a.cs"})).await;
        bench.says("write", json!({"path": "a.cs", "content": "two\n"})).await;
        assert_eq!(bench.read("a.cs").as_deref(), Some("\u{feff}two\r\n"));
    }

    #[tokio::test]
    async fn files_are_moved_and_deleted_but_not_folders() {
        let bench = Bench::new(&[("a/x", "1"), ("a/y", "2")]).await;
        bench.says("move", json!({"from": "a/x", "to": "b/c/x"})).await;
        assert_eq!((bench.read("a/x"), bench.read("b/c/x").as_deref()), (None, Some("1")));
        let over = bench.fails("move", json!({"from": "b/c/x", "to": "a/y"})).await;
        assert!(over.contains("`a/y` exists"), "{over}");
        bench.says("delete", json!({"path": "a/y"})).await;
        assert_eq!(bench.read("a/y"), None);
        assert!(bench.fails("delete", json!({"path": "b"})).await.contains("is a folder"));
        assert!(bench.fails("delete", json!({"path": "nope"})).await.contains("does not exist"));
        assert!(
            bench
                .fails("move", json!({"from": "b/c/x", "to": ".git/x"}))
                .await
                .contains("E_PROTECTED")
        );
    }
}
