//! The rows of `grafter models`: what is known, what it costs, and whether a key is there.

use crate::{
    protocol::task::EditFormat,
    provider::{
        key::{self, Env},
        known::{Options, Provider, Row, shipped},
        price::Price,
    },
};

/// Whether a provider can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Its key is set.
    Set,
    /// Its key would be in this variable.
    Unset(String),
    /// A command prints its key.
    Command,
    /// It needs none.
    NotNeeded,
}

/// One provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedProvider {
    /// Its name.
    pub name: String,
    /// Its wire format.
    pub protocol: &'static str,
    /// Its base address.
    pub base_url: String,
    /// Its key.
    pub key: KeyState,
}

/// One row of known models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedModel {
    /// The names, as globs.
    pub names: String,
    /// The provider whose price it is.
    pub provider: Option<String>,
    /// Context window in tokens.
    pub window: u64,
    /// The most tokens of one answer.
    pub max_output: u32,
    /// Its price.
    pub price: Option<Price>,
    /// The edit format that suits it.
    pub edit_format: EditFormat,
}

/// Returns the providers, sorted by name.
pub fn providers(options: &Options, env: Env<'_>) -> Vec<ListedProvider> {
    let mut listed: Vec<ListedProvider> = options
        .providers()
        .map(|(name, provider)| ListedProvider {
            name: name.to_owned(),
            protocol: provider.protocol.name(),
            base_url: provider.base_url.clone(),
            key: key_state(provider, env),
        })
        .collect();
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    listed
}

fn key_state(provider: &Provider, env: Env<'_>) -> KeyState {
    match (&provider.api_key_env, &provider.api_key_cmd) {
        (Some(variable), _) if key::set(env, variable).is_some() => KeyState::Set,
        (_, Some(_)) => KeyState::Command,
        (Some(variable), None) => KeyState::Unset(variable.clone()),
        (None, None) => KeyState::NotNeeded,
    }
}

/// Returns the known models in the order in which they are looked up.
pub fn models(options: &Options) -> Vec<ListedModel> {
    let listed = |row: &Row| ListedModel {
        names: row.names.join(" "),
        provider: row.provider.clone(),
        window: row.window,
        max_output: row.max_output,
        price: row.price,
        edit_format: row.edit_format,
    };
    options.models.iter().chain(&shipped().models).map(listed).collect()
}

/// Returns a price in dollars per million tokens: `$5.00 in, $0.50 cached, $25.00 out`.
pub fn price_text(price: Option<Price>) -> String {
    let Some(price) = price else { return "unknown".to_owned() };
    if price == Price::default() {
        return "free".to_owned();
    }
    let dollars = |micros: u64| {
        let digits = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        // Two digits of cents at least, more where the price has them.
        let cut = digits.trim_end_matches('0').len().max(digits.len() - 4);
        format!("${}", &digits[..cut])
    };
    let (input, cached, output) =
        (dollars(price.input), dollars(price.cache_read), dollars(price.output));
    format!("{input} in, {cached} cached, {output} out")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_tell_what_their_key_is() {
        let env = |name: &str| (name == "OPENAI_API_KEY").then(|| "k".to_owned());
        let listed = providers(&Options::default(), &env);
        let state = |name: &str| &listed.iter().find(|p| p.name == name).expect("listed").key;
        assert_eq!(state("openai"), &KeyState::Set);
        assert_eq!(state("anthropic"), &KeyState::Unset("ANTHROPIC_API_KEY".to_owned()));
        assert_eq!(state("ollama"), &KeyState::NotNeeded);
    }

    #[test]
    fn prices_read_like_price_lists() {
        let row = models(&Options::default()).into_iter().find(|row| row.names.contains("v4-pro"));
        let price = row.expect("listed").price;
        assert_eq!(price_text(price), "$1.32 in, $0.044 cached, $3.96 out");
        assert_eq!(price_text(None), "unknown");
        assert_eq!(price_text(Some(Price::default())), "free");
    }
}
