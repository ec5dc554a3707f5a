//! The settings of the `[batch]` table.

use serde::{Deserialize, Deserializer, de};

use crate::{fleet::message::Template, settings::load::Section};

/// The `[batch]` table of `config.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct BatchSettings {
    /// The message of what lands as one commit or as a merge, with placeholders.
    #[serde(deserialize_with = "template")]
    pub(super) message: Option<String>,
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
}
