//! Adding to the user's settings file, which the user writes otherwise.
//!
//! What is there stays byte for byte; new tables come at the end. The file is replaced, never
//! truncated, and only by a text that can still be read.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::settings::toml;

/// Why nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file could not be read or written.
    #[error("cannot store in {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file would not be readable with it.
    #[error("cannot add to {}: {why}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
}

/// Adds tables at the end of a TOML file, with a comment above them.
pub fn append<T: Serialize>(path: &Path, comment: &str, tables: &T) -> Result<(), StoreError> {
    let failed = |source| StoreError::Io { path: path.to_owned(), source };
    let unfit = |why: String| StoreError::Unfit { path: path.to_owned(), why };
    let mut text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    let new = ::toml::to_string(tables).map_err(|error| unfit(error.to_string()))?;
    if !text.is_empty() {
        text.push_str(if text.ends_with('\n') { "\n" } else { "\n\n" });
    }
    text.push_str(&format!("# {comment}\n{new}"));
    let name = path.to_string_lossy();
    toml::from_str::<::toml::Table>(&name, &text)
        .map_err(|error| unfit(error.spot.to_string() + ": " + &error.message))?;
    replace(path, &text).map_err(failed)
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    // A settings file is often a link into somebody's collection; the link stays.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(text.as_bytes())?;
    if let Ok(old) = fs::metadata(&path) {
        new.as_file().set_permissions(old.permissions())?;
    }
    new.as_file().sync_all()?;
    new.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_there_stays_and_what_cannot_be_read_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/config.toml");
        let tables = json!({"guard": {"allow": [{"program": "ls"}]}});
        append(&path, "a", &tables).unwrap();
        append(&path, "b", &tables).unwrap();
        let table = "[[guard.allow]]\nprogram = \"ls\"\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("# a\n{table}\n# b\n{table}"));
        let inline = "[guard]\nallow = [] # mine";
        fs::write(&path, inline).unwrap();
        assert!(matches!(append(&path, "c", &tables), Err(StoreError::Unfit { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), inline);
    }
}
