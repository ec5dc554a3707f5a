//! The settings of the `[batch]` table.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

use crate::{
    fleet::{message::Template, scope},
    settings::load::Section,
};

/// The `[batch]` table of `config.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct BatchSettings {
    /// The message of what lands as one commit or as a merge, with placeholders.
    #[serde(deserialize_with = "template")]
    pub(super) message: Option<String>,
    /// Commands that make files anew in which alone a merge conflicts, by path.
    #[serde(deserialize_with = "lockfiles")]
    pub(super) lockfiles: BTreeMap<String, String>,
}

impl Section for BatchSettings {
    const NAME: &'static str = "batch";
    const NO_REPO: &'static [&'static str] = &[];
}

fn template<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(from)?;
    text.parse::<Template>().map_err(de::Error::custom)?;
    Ok(Some(text))
}

fn lockfiles<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let commands = BTreeMap::<String, String>::deserialize(from)?;
    for (path, command) in &commands {
        if !scope::is_glob(path) || path.contains(['*', '?', '[', '{']) {
            let text = format!("`{path}` must be the path of one file, from the repository's root");
            return Err(de::Error::custom(text));
        }
        if command.trim().is_empty() {
            return Err(de::Error::custom(format!("the command that makes {path} is empty")));
        }
    }
    Ok(commands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::load::Settings;

    #[test]
    fn a_wrong_template_is_told_with_its_line() {
        let read = |text: &str| Settings::from_texts("", text).section::<BatchSettings>();
        let right = read("[batch]\nmessage = \"{id}: {title}\"\n").unwrap();
        assert_eq!(right.message.as_deref(), Some("{id}: {title}"));
        let wrong = read("[batch]\nmessage = \"{idd}\"\n").unwrap_err().to_string();
        assert!(wrong.contains("config.toml:2:11: unknown placeholder `{idd}`"), "{wrong}");
    }

    #[test]
    fn a_lock_file_is_one_file_with_a_command() {
        let read = |line: &str| {
            let text = format!("[batch.lockfiles]\n{line}\n");
            Settings::from_texts("", &text).section::<BatchSettings>().map_err(|e| e.to_string())
        };
        let right = read("\"web/yarn.lock\" = \"yarn install\"").unwrap();
        assert_eq!(right.lockfiles["web/yarn.lock"], "yarn install");
        for wrong in ["\"*.lock\" = \"x\"", "\"/etc/x\" = \"x\"", "\"../x\" = \"x\""] {
            assert!(read(wrong).unwrap_err().contains("must be the path of one file"), "{wrong}");
        }
        let empty = read("\"a.lock\" = \" \"").unwrap_err();
        assert!(empty.contains("the command that makes a.lock is empty"), "{empty}");
    }
}
