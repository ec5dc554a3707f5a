//! Where workflows come from: the user's folder, the trusted repository's, the binary.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{graph::load::MAX_BYTES, settings::nearest};

/// Workflows in the binary, by name.
const SHIPPED: [(&str, &str); 7] = [
    ("refactor", include_str!("../../workflows/refactor.yaml")),
    ("repair", include_str!("../../workflows/repair.yaml")),
    ("resolve", include_str!("../../workflows/resolve.yaml")),
    ("review", include_str!("../../workflows/review.yaml")),
    ("small", include_str!("../../workflows/small.yaml")),
    ("solo", include_str!("../../workflows/solo.yaml")),
    ("coordinator", include_str!("../../workflows/coordinator.yaml")),
];

/// A workflow's text and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its file, or `shipped/NAME.yaml`.
    pub origin: String,
    /// Its text.
    pub text: String,
}

/// Why a workflow was not found.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// There is none of that name.
    #[error("there is no workflow `{name}`{near} (known: {})", known.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// The nearest name, as words.
        near: String,
        /// All names.
        known: Vec<String>,
    },
    /// Its file cannot be read.
    #[error("cannot read workflow {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Returns the workflows in the binary as name and text.
pub fn shipped() -> &'static [(&'static str, &'static str)] {
    &SHIPPED
}

/// Returns a workflow by name, from the first of the folders that has it, else from the binary; a
/// name with a slash or an ending is a path.
pub fn find(name: &str, folders: &[PathBuf]) -> Result<Source, LookupError> {
    if name.contains('/') || name.ends_with(".yaml") || name.ends_with(".yml") {
        return read(Path::new(name));
    }
    let file = |folder: &PathBuf, end| folder.join(format!("{name}.{end}"));
    let files = folders.iter().flat_map(|folder| [file(folder, "yaml"), file(folder, "yml")]);
    if let Some(path) = files.into_iter().find(|path| path.is_file()) {
        return read(&path);
    }
    let all = list(folders)?;
    let names = || all.iter().map(|source| source.name.as_str());
    let (near, known) = (nearest::hint(name, names()), names().map(str::to_owned).collect());
    let found = all.iter().find(|source| source.name == name).cloned();
    found.ok_or_else(|| LookupError::Unknown { name: name.to_owned(), near, known })
}

/// Returns all workflows, sorted by name; a folder hides what later ones and the binary hold.
pub fn list(folders: &[PathBuf]) -> Result<Vec<Source>, LookupError> {
    let mut found: Vec<Source> = Vec::new();
    let mut add = |source: Source| {
        if !found.iter().any(|other| other.name == source.name) {
            found.push(source);
        }
    };
    for folder in folders {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|end| end == "yaml" || end == "yml"));
        paths.sort();
        for path in paths {
            add(read(&path)?);
        }
    }
    for (name, text) in SHIPPED {
        let origin = format!("shipped/{name}.yaml");
        add(Source { name: name.to_owned(), origin, text: text.to_owned() });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn read(path: &Path) -> Result<Source, LookupError> {
    let failed = |source| LookupError::Read { path: path.to_owned(), source };
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > MAX_BYTES as u64 {
        return Err(failed(io::Error::other("it is larger than 256 KiB")));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Source { name, origin: path.display().to_string(), text })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::graph::lookup::{find, list, shipped};

    #[test]
    fn a_folder_hides_the_binary() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("solo.yaml"), "mine").unwrap();
        fs::write(folder.path().join("notes.md"), "no workflow").unwrap();
        let folders = [folder.path().to_owned(), "/does/not/exist".into()];
        assert_eq!(find("solo", &folders).unwrap().text, "mine");
        assert_eq!(list(&folders).unwrap().len(), shipped().len());
        assert_eq!(find("solo", &[]).unwrap().origin, "shipped/solo.yaml");
    }

    #[test]
    fn unknown_names_and_paths() {
        insta::assert_snapshot!(find("resolv", &[]).unwrap_err(), @"there is no workflow `resolv`; did you mean `resolve`? (known: coordinator, refactor, repair, resolve, review, small, solo)");
        insta::assert_snapshot!(find("./no.yaml", &[]).unwrap_err(), @"cannot read workflow ./no.yaml: No such file or directory (os error 2)");
    }

    #[test]
    fn no_shipped_file_is_forgotten() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/workflows");
        let files = fs::read_dir(folder).unwrap().count();
        assert_eq!(files, shipped().len());
    }
}
