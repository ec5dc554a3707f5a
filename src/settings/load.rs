//! Settings in layers: default < user < trusted repository < environment < flag.
//!
//! Each room owns a `Section`; this file knows none of them. A section is read from every layer by
//! itself first, so that whatever is wrong is told with the file and line (or the variable, or the
//! flag) it comes from, and only then are the layers laid over each other: tables key by key,
//! anything else whole. Keys that a repository may not set are refused where they stand.
//!
//! The environment layer is `GRAFTER_<SECTION>_<KEY>`; so section names are single words and keys
//! are snake_case. Its value is read as TOML where that fits the key's type, else as plain text.

use std::{fs, io, path::PathBuf};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned},
};
use serde_json::Value;

use crate::settings::{
    spot::{Spot, quoted},
    toml::{self, TomlError},
    yaml,
};

/// Largest settings file.
const MAX_BYTES: u64 = 256 * 1024;
/// Every key of a section.
pub const ALL: &str = "*";

/// A room's part of the settings: a top-level table.
///
/// Derive `Deserialize` with `#[serde(default, deny_unknown_fields)]`: a layer sets some keys only.
pub trait Section: DeserializeOwned + Default {
    /// The table's name: one lower-case word.
    const NAME: &'static str;
    /// Keys that no repository may set; `ALL` for every key.
    const NO_REPO: &'static [&'static str];
}

/// Where the layers come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The user's `config.toml`; a missing file is an empty one.
    pub user: Option<PathBuf>,
    /// The repository's `.grafter/config.toml`, only if it is trusted.
    pub repo: Option<PathBuf>,
    /// Environment variables; those not of our form are left alone.
    pub env: Vec<(String, String)>,
    /// Flags as `section.key` and value.
    pub flags: Vec<(String, Value)>,
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file could not be read.
    #[error("cannot read settings file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file is too large to be settings.
    #[error("settings file {path} is larger than 256 KiB")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A file says something wrong.
    #[error(transparent)]
    File(#[from] TomlError),
    /// A repository sets what only the user may set.
    #[error(
        "{spot}: a repository may not set {key}; put it into your own config.toml{}",
        spot.excerpt()
    )]
    NotForRepository {
        /// Where it stands.
        spot: Spot,
        /// `section.key`.
        key: String,
    },
    /// A variable or a flag says something wrong.
    #[error("{name}: {message}")]
    Value {
        /// The variable, or the setting a flag stands for.
        name: String,
        /// What is wrong.
        message: String,
    },
}

/// All layers, read but not yet understood.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    files: Vec<File>,
    values: Vec<Single>,
}

#[derive(Clone, Debug)]
struct File {
    name: String,
    text: String,
    owner: Owner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    User,
    Repository,
}

/// One key set from outside a file; the first reading that fits the key's type counts.
#[derive(Clone, Debug)]
struct Single {
    name: String,
    section: String,
    key: String,
    readings: Vec<::toml::Value>,
}

impl Settings {
    /// Reads all layers; a missing file is an empty one.
    pub fn load(sources: Sources) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        let files = [(sources.user, Owner::User), (sources.repo, Owner::Repository)];
        for (path, owner) in files {
            if let Some(path) = path {
                settings.files.extend(read(path, owner)?);
            }
        }
        settings.values.extend(sources.env.into_iter().filter_map(variable));
        for (name, value) in sources.flags {
            settings.values.push(flag(name, value)?);
        }
        Ok(settings)
    }

    /// Returns the settings made of these two texts.
    #[cfg(test)]
    pub(crate) fn from_texts(user: &str, repo: &str) -> Self {
        let file = |name: &str, text: &str, owner| File {
            name: name.to_owned(),
            text: text.to_owned(),
            owner,
        };
        let user = file("config.toml", user, Owner::User);
        let repo = file(".grafter/config.toml", repo, Owner::Repository);
        Self { files: vec![user, repo], values: Vec::new() }
    }

    /// Refuses top-level keys of the files that are not among `known` sections.
    pub fn refuse_unknown(&self, known: &[&str]) -> Result<(), SettingsError> {
        for file in &self.files {
            for key in toml::keys(&file.name, &file.text, None)? {
                if !known.contains(&key.name.as_str()) {
                    let message = yaml::unknown("section", &key.name, known);
                    return Err(TomlError { spot: key.spot, message }.into());
                }
            }
        }
        Ok(())
    }

    /// Returns one section with all layers applied.
    pub fn section<T: Section>(&self) -> Result<T, SettingsError> {
        let mut merged = ::toml::Table::new();
        for file in &self.files {
            if file.owner == Owner::Repository {
                allowed_in_repository::<T>(file)?;
            }
            toml::section::<T>(&file.name, &file.text, T::NAME)?;
            let layer = toml::section::<::toml::Table>(&file.name, &file.text, T::NAME)?;
            merge(&mut merged, layer.unwrap_or_default());
        }
        for value in self.values.iter().filter(|value| value.section == T::NAME) {
            merge(&mut merged, fitting::<T>(value)?);
        }
        merged.try_into().map_err(|error: ::toml::de::Error| SettingsError::Value {
            name: format!("section [{}], all layers together", T::NAME),
            message: toml::reworded(error.message()),
        })
    }
}

fn read(path: PathBuf, owner: Owner) -> Result<Option<File>, SettingsError> {
    let size = match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(SettingsError::Read { path, source }),
        Ok(meta) => meta.len(),
    };
    if size > MAX_BYTES {
        return Err(SettingsError::TooLarge { path });
    }
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(File { name: path.display().to_string(), text, owner })),
        Err(source) => Err(SettingsError::Read { path, source }),
    }
}

fn variable((name, text): (String, String)) -> Option<Single> {
    let (section, key) = name.strip_prefix("GRAFTER_")?.split_once('_')?;
    let (section, key) = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
    let parsed = toml::from_str::<::toml::Table>(&name, &format!("v = {text}")).ok();
    let parsed = parsed.filter(|table| table.len() == 1).and_then(|mut table| table.remove("v"));
    let mut readings = Vec::from_iter(parsed);
    readings.push(::toml::Value::String(text));
    Some(Single { name, section, key, readings })
}

fn flag(name: String, value: Value) -> Result<Single, SettingsError> {
    let wrong = |message: String| SettingsError::Value { name: name.clone(), message };
    let Some((section, key)) = name.split_once('.') else {
        return Err(wrong("a setting is named section.key".to_owned()));
    };
    let (section, key) = (section.to_owned(), key.to_owned());
    let value = ::toml::Value::try_from(value).map_err(|error| wrong(error.to_string()))?;
    Ok(Single { name, section, key, readings: vec![value] })
}

/// Returns the first reading of a single value that the section accepts, as a layer.
fn fitting<T: Section>(value: &Single) -> Result<::toml::Table, SettingsError> {
    let mut refusal = String::new();
    for reading in &value.readings {
        let layer = ::toml::Table::from_iter([(value.key.clone(), reading.clone())]);
        match layer.clone().try_into::<T>() {
            Ok(_) => return Ok(layer),
            Err(error) => refusal = toml::reworded(error.message()),
        }
    }
    Err(SettingsError::Value { name: value.name.clone(), message: refusal })
}

fn allowed_in_repository<T: Section>(file: &File) -> Result<(), SettingsError> {
    for key in toml::keys(&file.name, &file.text, Some(T::NAME))? {
        if T::NO_REPO.contains(&ALL) || T::NO_REPO.contains(&key.name.as_str()) {
            let key_name = quoted(&format!("{}.{}", T::NAME, key.name));
            return Err(SettingsError::NotForRepository { spot: key.spot, key: key_name });
        }
    }
    Ok(())
}

fn merge(below: &mut ::toml::Table, above: ::toml::Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(::toml::Value::Table(old)), ::toml::Value::Table(new)) => merge(old, new),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// Reads a limit, of which 0 would let nothing begin at all.
pub fn positive<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default + PartialEq,
{
    let limit = T::deserialize(from)?;
    match limit == T::default() {
        true => Err(de::Error::custom("0 would let nothing begin; give a number from 1 on")),
        false => Ok(limit),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;

    use crate::settings::load::{Section, Settings, Sources};

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Sample {
        model: String,
        turns: u32,
        mode: Option<String>,
        hosts: BTreeMap<String, String>,
    }

    impl Default for Sample {
        fn default() -> Self {
            Self { model: "none".to_owned(), turns: 250, mode: None, hosts: BTreeMap::new() }
        }
    }

    impl Section for Sample {
        const NAME: &'static str = "sample";
        const NO_REPO: &'static [&'static str] = &["mode"];
    }

    fn error(settings: &Settings) -> String {
        settings.section::<Sample>().expect_err("it is wrong").to_string()
    }

    fn with_env(name: &str, value: &str) -> Settings {
        let env = vec![(name.to_owned(), value.to_owned())];
        Settings::load(Sources { env, ..Sources::default() }).unwrap()
    }

    #[test]
    fn later_layers_win_key_by_key() {
        let folder = tempfile::tempdir().unwrap();
        let (user, repo) = (folder.path().join("u.toml"), folder.path().join("r.toml"));
        std::fs::write(&user, "[sample]\nmodel='u'\nturns=1\nhosts={a='u',b='u'}\n").unwrap();
        std::fs::write(&repo, "[sample]\nmodel='r'\nhosts={b='r'}\n").unwrap();
        let sources = Sources {
            user: Some(user),
            repo: Some(repo),
            env: vec![("GRAFTER_SAMPLE_TURNS".to_owned(), "3".to_owned())],
            flags: vec![("sample.mode".to_owned(), json!("bypass"))],
        };
        let sample: Sample = Settings::load(sources).unwrap().section().unwrap();
        let hosts = [("a", "u"), ("b", "r")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let mode = Some("bypass".to_owned());
        let expected = Sample { model: "r".to_owned(), turns: 3, mode, hosts: hosts.into() };
        assert_eq!(sample, expected);
    }

    #[test]
    fn nothing_set_is_the_default() {
        let missing = Some("/does/not/exist.toml".into());
        let sources = Sources { user: missing, ..Sources::default() };
        let settings = Settings::load(sources).unwrap();
        assert_eq!(settings.section::<Sample>().unwrap(), Sample::default());
    }

    #[test]
    fn unknown_key_of_a_file() {
        let settings = Settings::from_texts("[sample]\nmodel = 'x'\nturn = 7\n", "");
        insta::assert_snapshot!(error(&settings), @r"
        config.toml:3:1: unknown key `turn`; did you mean `turns`? (known: model, turns, mode, hosts)
        3 | turn = 7
          | ^
        ");
    }

    #[test]
    fn wrong_type_in_a_file() {
        let settings = Settings::from_texts("", "[sample]\nturns = 'many'\n");
        insta::assert_snapshot!(error(&settings), @r#"
        .grafter/config.toml:2:9: invalid type: string "many", expected a whole number
        2 | turns = 'many'
          |         ^
        "#);
    }

    #[test]
    fn key_that_no_repository_may_set() {
        let settings = Settings::from_texts("[sample]\nmode='x'", "# hi\n[sample]\nmode='bypass'");
        insta::assert_snapshot!(error(&settings), @r"
        .grafter/config.toml:3:1: a repository may not set `sample.mode`; put it into your own config.toml
        3 | mode='bypass'
          | ^
        ");
    }

    #[test]
    fn unknown_section() {
        let settings = Settings::from_texts("[sampel]\nturns = 7\n", "");
        let error = settings.refuse_unknown(&["sample", "providers"]).unwrap_err();
        insta::assert_snapshot!(error.to_string(), @r"
        config.toml:1:2: unknown section `sampel`; did you mean `sample`? (known: sample, providers)
        1 | [sampel]
          |  ^
        ");
    }

    #[test]
    fn a_variable_is_read_by_the_type_of_its_key() {
        let number: Sample = with_env("GRAFTER_SAMPLE_MODEL", "7").section().unwrap();
        assert_eq!(number.model, "7");
        let text: Sample = with_env("GRAFTER_SAMPLE_MODEL", "a = 'b'\nc = 1").section().unwrap();
        assert_eq!(text.model, "a = 'b'\nc = 1");
        assert_eq!(with_env("GRAFTER_FAILPOINT", "x").section::<Sample>().unwrap().turns, 250);
    }

    #[test]
    fn wrong_variable() {
        insta::assert_snapshot!(error(&with_env("GRAFTER_SAMPLE_TURNS", "many")), @r#"GRAFTER_SAMPLE_TURNS: invalid type: string "many", expected a whole number"#);
        insta::assert_snapshot!(error(&with_env("GRAFTER_SAMPLE_TURN", "1")), @"GRAFTER_SAMPLE_TURN: unknown key `turn`; did you mean `turns`? (known: model, turns, mode, hosts)");
    }

    #[test]
    fn a_folder_or_a_huge_file_is_no_settings_file() {
        let folder = tempfile::tempdir().unwrap();
        let user = Some(folder.path().to_owned());
        assert!(Settings::load(Sources { user, ..Sources::default() }).is_err());
        let huge = folder.path().join("huge.toml");
        std::fs::write(&huge, " ".repeat(300_000)).unwrap();
        let error = Settings::load(Sources { user: Some(huge), ..Sources::default() });
        assert!(error.unwrap_err().to_string().ends_with("is larger than 256 KiB"));
    }
}
