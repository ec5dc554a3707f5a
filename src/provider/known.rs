//! What is known of providers and models, from `models.yaml` and the user's settings.

use std::{collections::BTreeMap, sync::OnceLock};

use globset::GlobBuilder;
use serde::{Deserialize, Serialize};

use crate::{
    protocol::task::EditFormat,
    provider::{
        price::Price,
        wire::{Protocol, Quirk},
    },
    settings::{
        load::{ALL, Section, positive},
        yaml,
    },
};

/// The shipped table's text.
const SHIPPED: &str = include_str!("models.yaml");

/// The settings section `providers`; a repository may set nothing of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Seconds to wait for a connection.
    #[serde(deserialize_with = "positive")]
    pub connect_seconds: u64,
    /// Seconds to wait for the first byte of an answer.
    #[serde(deserialize_with = "positive")]
    pub first_byte_seconds: u64,
    /// Seconds to wait between two bytes of an answer.
    #[serde(deserialize_with = "positive")]
    pub stall_seconds: u64,
    /// Seconds to wait between two pieces of an answer, while the server only keeps the line open.
    #[serde(deserialize_with = "positive")]
    pub token_seconds: u64,
    /// Seconds to wait for a whole answer.
    #[serde(deserialize_with = "positive")]
    pub total_seconds: u64,
    /// The user's own providers, by name.
    pub custom: BTreeMap<String, Provider>,
    /// The user's own rows, looked at before the shipped ones.
    pub models: Vec<Row>,
}

impl Section for Options {
    const NAME: &'static str = "providers";
    // Where a request goes and with whose key is never a repository's to say.
    const NO_REPO: &'static [&'static str] = &[ALL];
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_seconds: 10,
            first_byte_seconds: 600,
            stall_seconds: 180,
            token_seconds: 600,
            total_seconds: 3600,
            custom: BTreeMap::new(),
            models: Vec::new(),
        }
    }
}

/// A provider: where it is and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its wire format.
    pub protocol: Protocol,
    /// Its base address.
    pub base_url: String,
    /// The environment variable that holds its key.
    #[serde(default)]
    pub api_key_env: Option<String>,
    /// A command that prints its key.
    #[serde(default)]
    pub api_key_cmd: Option<String>,
    /// How many questions it takes at once.
    #[serde(default = "default_concurrency")]
    pub concurrency: usize,
}

fn default_concurrency() -> usize {
    8
}

/// What is known of the models whose name matches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Globs over the model's name, without its provider.
    #[serde(rename = "match")]
    pub names: Vec<String>,
    /// The provider whose price this is; the price holds for no other.
    #[serde(default)]
    pub provider: Option<String>,
    /// Context window in tokens.
    pub window: u64,
    /// The most tokens of one answer.
    pub max_output: u32,
    /// Its price.
    #[serde(default)]
    pub price: Option<Price>,
    /// The edit format that suits it.
    #[serde(default)]
    pub edit_format: EditFormat,
    /// In what it differs from others.
    #[serde(default)]
    pub quirks: Vec<Quirk>,
}

/// The shipped table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Providers by name.
    pub providers: BTreeMap<String, Provider>,
    /// Rows; the first that matches holds.
    pub models: Vec<Row>,
    /// What is assumed of a model that no row knows.
    pub unknown: Row,
}

/// Returns the shipped table, read once.
pub fn shipped() -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| {
        yaml::from_str("models.yaml", SHIPPED).expect("the shipped table is tested to be readable")
    })
}

impl Options {
    /// Returns the provider of that name, the user's before the shipped one.
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.custom.get(name).or_else(|| shipped().providers.get(name))
    }

    /// Returns all providers with their names, the user's before the shipped ones.
    pub fn providers(&self) -> impl Iterator<Item = (&str, &Provider)> {
        let own = |name: &str| self.custom.contains_key(name);
        let shipped = shipped().providers.iter().filter(move |(name, _)| !own(name));
        self.custom.iter().chain(shipped).map(|(name, provider)| (name.as_str(), provider))
    }

    /// Returns what is known of a model.
    pub fn row(&self, model: &str) -> &Row {
        let rows = self.models.iter().chain(&shipped().models);
        let mut matching = rows.filter(|row| row.matches(model));
        matching.next().unwrap_or(&shipped().unknown)
    }
}

impl Row {
    fn matches(&self, model: &str) -> bool {
        // Routers put the maker before the name: `anthropic/claude-…`.
        let bare = model.rsplit('/').next().unwrap_or(model).to_lowercase();
        self.names.iter().any(|glob| {
            // Compiling a glob is dear; most are out by the text before their first wildcard.
            let literal =
                glob.split(['*', '?', '[', '{']).next().unwrap_or_default().to_lowercase();
            if !bare.starts_with(&literal) && !model.to_lowercase().starts_with(&literal) {
                return false;
            }
            let glob = GlobBuilder::new(glob).case_insensitive(true).build();
            glob.is_ok_and(|glob| {
                let matcher = glob.compile_matcher();
                matcher.is_match(&bare) || matcher.is_match(model)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(model: &str) -> Row {
        Options::default().row(model).clone()
    }

    #[test]
    fn the_shipped_table_reads_and_every_glob_compiles() {
        let known = shipped();
        for glob in known.models.iter().flat_map(|row| &row.names) {
            assert!(GlobBuilder::new(glob).build().is_ok(), "{glob}");
        }
        for row in &known.models {
            assert!(row.window >= u64::from(row.max_output), "{:?}", row.names);
            assert_eq!(row.price.is_some(), row.provider.is_some(), "{:?}", row.names);
        }
        assert_eq!(known.unknown.price, None, "unknown is not free");
    }

    #[test]
    fn prices_are_those_of_the_right_generation() {
        let input = |model| row(model).price.map(|price| price.input);
        assert_eq!(input("claude-opus-4-1-20250805"), Some(15_000_000));
        assert_eq!(input("claude-opus-4-20250514"), Some(15_000_000));
        assert_eq!(input("claude-opus-4-5-20251101"), Some(5_000_000));
        assert_eq!(input("claude-opus-5"), Some(5_000_000));
        assert_eq!(input("claude-opus-5-5"), Some(4_000_000));
        assert_eq!(input("claude-sonnet-4-6"), Some(3_000_000));
        assert_eq!(input("gpt-5"), Some(1_250_000));
        assert_eq!(input("gpt-5-mini-2025-08-07"), Some(250_000));
        assert_eq!(input("gpt-6-sol"), Some(2_000_000));
        assert_eq!(input("gpt-99-unheard-of"), None);
    }

    #[test]
    fn a_router_s_prefix_and_case_do_not_hide_a_model() {
        assert_eq!(row("Qwen/Qwen2.5-Coder-1.5B-Instruct").edit_format, EditFormat::WholeFunction);
        assert_eq!(row("qwen2.5-coder:1.5b").edit_format, EditFormat::WholeFunction);
        assert_eq!(row("anthropic/claude-opus-5").window, 1_000_000);
    }

    #[test]
    fn the_users_rows_win() {
        let own: Row = yaml::from_str("own", "{match: [claude-*], window: 9000, max_output: 1}")
            .expect("the row reads");
        let options = Options { models: vec![own], ..Options::default() };
        assert_eq!(options.row("claude-opus-5").window, 9000);
    }
}
