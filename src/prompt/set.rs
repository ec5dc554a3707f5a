//! The set of prompt files: the binary's, overlaid by the user's and a trusted repository's.
//!
//! A file of a later layer takes the place of the one with the same path; a file with a new path is
//! added. What takes part is fixed when a run starts: the set goes into the run's blobs as JSON, and
//! a resume uses that.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    prompt::{
        section::Section,
        shipped::FILES,
        vars::VarError,
        words::{self, Words},
    },
    settings::yaml::YamlError,
};

/// Folders that hold prompts.
const FOLDERS: [&str; 3] = ["sections", "roles", "formats"];
/// Largest prompt file.
const MAX_BYTES: u64 = 64 * 1024;
/// Most prompt files.
const MAX_FILES: usize = 500;

/// Prompt files that keep the rules, in the order of the prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptSet {
    files: BTreeMap<String, String>,
    sections: Vec<Section>,
    words: Arc<Words>,
}

/// A set as it lies in a run's blobs.
#[derive(Serialize, Deserialize)]
struct Stored {
    files: BTreeMap<String, String>,
    words: Words,
}

/// Why prompts could not be loaded or assembled.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// A file cannot be read.
    #[error("cannot read prompt {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file breaks a rule.
    #[error(transparent)]
    File(#[from] YamlError),
    /// Two files have the same id.
    #[error("prompts {first} and {second} have the same id `{id}`")]
    SameId {
        /// The id.
        id: String,
        /// A file.
        first: String,
        /// Another file.
        second: String,
    },
    /// A longer-lived section stands behind a shorter-lived one.
    #[error("prompt {later} must stand before {earlier}: static, then session, then turn")]
    Order {
        /// The file that stands too early.
        earlier: String,
        /// The file that stands too late.
        later: String,
    },
    /// A stored set is no JSON of ours.
    #[error("the stored prompts cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// There is no such role.
    #[error("there is no role `{role}`{near} (known: {})", known.join(", "))]
    UnknownRole {
        /// The role.
        role: String,
        /// The nearest role, as words.
        near: String,
        /// All roles.
        known: Vec<String>,
    },
    /// The scene gives a wrong variable.
    #[error(transparent)]
    Var(#[from] VarError),
    /// The marker got into a section by way of a template.
    #[error("the boundary marker stands in the prompt more than once")]
    Boundary,
    /// A template failed.
    #[error("prompt {path}: {message}")]
    Render {
        /// The file.
        path: String,
        /// What failed.
        message: String,
    },
}

impl PromptSet {
    /// Returns the shipped prompts overlaid by these folders, the last one on top; a folder that is
    /// not there is an empty one.
    pub fn load(layers: &[PathBuf]) -> Result<Self, PromptError> {
        let mut files: BTreeMap<String, String> =
            FILES.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let mut words = Words::shipped().clone();
        for layer in layers {
            for folder in FOLDERS {
                overlay(layer, folder, &mut files)?;
            }
            let path = layer.join(words::PATH);
            if fs::symlink_metadata(&path).is_ok() {
                let shown = path.display().to_string();
                let text = read(&path).map_err(|source| PromptError::Read { path, source })?;
                words = words.overlaid(&shown, &text)?;
            }
        }
        Self::new(files, words)
    }

    /// Returns the set stored as JSON.
    pub fn from_json(text: &str) -> Result<Self, PromptError> {
        let Stored { files, words } = serde_json::from_str(text)?;
        Self::new(files, words)
    }

    /// Returns the set as JSON.
    pub fn to_json(&self) -> String {
        let stored = Stored { files: self.files.clone(), words: (*self.words).clone() };
        serde_json::to_string(&stored).expect("tables of strings are JSON")
    }

    /// Returns what models are told between their turns.
    pub fn words(&self) -> &Arc<Words> {
        &self.words
    }

    /// Returns the sections in the order of the prompt.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Returns the names of all roles, sorted.
    pub fn roles(&self) -> Vec<&str> {
        let roles = self.files.keys().filter_map(|path| path.strip_prefix("roles/"));
        roles.filter_map(|name| name.strip_suffix(".md")).collect()
    }

    fn new(files: BTreeMap<String, String>, words: Words) -> Result<Self, PromptError> {
        let parsed = files.iter().map(|(path, text)| Section::parse(path, text));
        let mut sections = parsed.collect::<Result<Vec<_>, _>>()?;
        sections.sort_by(|a, b| (a.order, &a.path).cmp(&(b.order, &b.path)));
        let mut ids = BTreeMap::new();
        for section in &sections {
            if let Some(first) = ids.insert(section.id.clone(), section.path.clone()) {
                let (id, second) = (section.id.clone(), section.path.clone());
                return Err(PromptError::SameId { id, first, second });
            }
        }
        for pair in sections.windows(2) {
            if pair[0].cache > pair[1].cache {
                let (earlier, later) = (pair[0].path.clone(), pair[1].path.clone());
                return Err(PromptError::Order { earlier, later });
            }
        }
        Ok(Self { files, sections, words: Arc::new(words) })
    }
}

fn overlay(
    layer: &Path,
    folder: &str,
    files: &mut BTreeMap<String, String>,
) -> Result<(), PromptError> {
    let Ok(entries) = fs::read_dir(layer.join(folder)) else { return Ok(()) };
    for entry in entries.flatten().take(MAX_FILES) {
        let path = entry.path();
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.ends_with(".md")) else { continue };
        let text = read(&path).map_err(|source| PromptError::Read { path, source })?;
        files.insert(format!("{folder}/{name}"), text);
    }
    Ok(())
}

fn read(path: &Path) -> io::Result<String> {
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_file() || meta.len() > MAX_BYTES {
        return Err(io::Error::other("a prompt is a plain file of at most 64 KiB"));
    }
    Ok(fs::read_to_string(path)?.replace("\r\n", "\n"))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix};

    use crate::prompt::{set::PromptSet, shipped::FILES};

    fn overlaid(path: &str, text: &str) -> Result<PromptSet, String> {
        let layer = tempfile::tempdir().unwrap();
        let file = layer.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        PromptSet::load(&[layer.path().to_owned()]).map_err(|error| error.to_string())
    }

    fn section(id: &str, cache: &str) -> String {
        format!("---\nid: {id}\ncache: {cache}\nmax_tokens: 9\n---\nhello\n")
    }

    #[test]
    fn no_shipped_file_is_forgotten() {
        let mut found = Vec::new();
        for folder in ["sections", "roles", "formats"] {
            let path = format!("{}/prompts/{folder}", env!("CARGO_MANIFEST_DIR"));
            for entry in fs::read_dir(path).unwrap() {
                found.push(format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap()));
            }
        }
        found.sort();
        assert_eq!(found, FILES.map(|(path, _)| path.to_owned()));
    }

    #[test]
    fn a_layer_replaces_and_adds() {
        let set = overlaid("roles/solo.md", &section("role.solo", "static")).unwrap();
        let solo = set.sections().iter().find(|section| section.id == "role.solo").unwrap();
        assert_eq!(solo.text, "hello");
        let set = overlaid("roles/poet.md", &section("role.poet", "static")).unwrap();
        assert!(set.roles().contains(&"poet"));
    }

    #[test]
    fn survives_json() {
        let set = overlaid("roles/poet.md", &section("role.poet", "static")).unwrap();
        assert_eq!(PromptSet::from_json(&set.to_json()).unwrap(), set);
        let set = overlaid("words.yaml", "cut: too long\n").unwrap();
        assert_eq!(set.words().cut, "too long");
        assert_eq!(PromptSet::from_json(&set.to_json()).unwrap(), set);
        assert!(PromptSet::from_json("{\"sections/x.md\": \"\"}").is_err());
        assert!(PromptSet::from_json("nonsense").is_err());
    }

    #[test]
    fn wrong_order_and_same_id() {
        let early = overlaid("sections/05-now.md", &section("now", "turn")).unwrap_err();
        insta::assert_snapshot!(early, @"prompt sections/10-identity.md must stand before sections/05-now.md: static, then session, then turn");
        let late = overlaid("sections/99-late.md", &section("late", "static")).unwrap_err();
        insta::assert_snapshot!(late, @"prompt sections/99-late.md must stand before sections/96-begin.md: static, then session, then turn");
        let twice = overlaid("sections/11-me.md", &section("identity", "static")).unwrap_err();
        insta::assert_snapshot!(twice, @"prompts sections/10-identity.md and sections/11-me.md have the same id `identity`");
    }

    #[test]
    fn links_and_huge_files_are_refused() {
        let layer = tempfile::tempdir().unwrap();
        fs::create_dir(layer.path().join("roles")).unwrap();
        unix::fs::symlink("/etc/passwd", layer.path().join("roles/solo.md")).unwrap();
        assert!(PromptSet::load(&[layer.path().to_owned()]).is_err());
        assert!(overlaid("roles/solo.md", &"x".repeat(70_000)).is_err());
    }

    #[test]
    fn a_missing_layer_is_an_empty_one() {
        let set = PromptSet::load(&["/does/not/exist".into()]).unwrap();
        assert_eq!(set, PromptSet::load(&[]).unwrap());
    }
}
