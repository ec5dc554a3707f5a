//! Names to models. Nothing is sent; a key command runs, a script or patch file is read.
//!
//! | name | what |
//! |---|---|
//! | `provider/model` | a shipped provider or one of the settings |
//! | `chat+URL#model`, `anthropic+URL#model`, `responses+URL#model` | any address; `?window=8192&max_output=1024` may follow |
//! | `scripted:FILE` | plays a session |
//! | `gold:PATCH` | plays a known solution |
//! | `none` | nobody: for runs in which workers do what agents would |
//!
//! An inline address gets the key of `GRAFTER_API_KEY`, if set, never another provider's.
//! The breaker belongs to the returned model: open one once per run and share it.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use thiserror::Error;
use tokio::sync::Semaphore;

use crate::{
    provider::{
        breaker::Breaker,
        gold::{Gold, GoldError},
        http::{self, Caps, Http, Waits},
        key::{self, Env, KeyError},
        known::{Options, Provider, Row},
        model::{Model, ModelInfo},
        nobody::{self, Nobody},
        price::Price,
        remote::Remote,
        retry::Retry,
        scripted::{ScriptError, Scripted},
        wire::{Protocol, Target},
    },
    settings::nearest,
};

/// The variable whose key goes to inline addresses.
pub const INLINE_KEY: &str = "GRAFTER_API_KEY";

/// Why a name gives no model.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The name has none of the known forms.
    #[error("`{name}` names no model: {why}")]
    Form {
        /// The name.
        name: String,
        /// What is missing.
        why: String,
    },
    /// No provider of that name.
    #[error("there is no provider `{provider}`{near} (known: {known})")]
    UnknownProvider {
        /// The name's first part.
        provider: String,
        /// The nearest name, as words.
        near: String,
        /// Those there are.
        known: String,
    },
    /// The address is none.
    #[error("`{url}` is no http or https address")]
    Address {
        /// The address.
        url: String,
    },
    /// A key would cross the network in the clear.
    #[error("the key from {variable} would go unencrypted to {url}")]
    KeyInClear {
        /// Where the key comes from.
        variable: String,
        /// The address.
        url: String,
    },
    /// No key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The session cannot be played.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// The patch cannot be played.
    #[error(transparent)]
    Gold(#[from] GoldError),
}

impl OpenError {
    /// Returns what the user can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Form { .. } => {
                "write `provider/model`, `chat+URL#model`, `scripted:FILE` or `gold:PATCH`; \
                 `grafter models` lists what is known"
            }
            Self::UnknownProvider { .. } => {
                "add it under [providers.custom] in your config.toml, or name a model by its \
                 address: `chat+URL#model`"
            }
            Self::Address { .. } => "write the address with http:// or https://",
            Self::KeyInClear { .. } => "use https, or a server that needs no key",
            Self::Key(_) => {
                "set the variable, or `api_key_cmd` of the provider in your config.toml"
            }
            Self::Script(_) | Self::Gold(_) => "check the file",
        }
    }
}

/// Opens the model of that name.
pub fn open(name: &str, options: &Options, env: Env<'_>) -> Result<Arc<dyn Model>, OpenError> {
    if let Some(file) = name.strip_prefix("scripted:") {
        return Ok(Arc::new(Scripted::load(name, Path::new(file))?));
    }
    if let Some(file) = name.strip_prefix("gold:") {
        return Ok(Arc::new(Gold::load(name, Path::new(file))?));
    }
    if name == nobody::NAME {
        return Ok(Arc::new(Nobody::default()));
    }
    let place = match inline(name)? {
        Some(place) => place,
        None => listed(name, options)?,
    };
    place.open(name, options, env)
}

/// A model's place before it is opened.
struct Place<'a> {
    provider_name: Option<&'a str>,
    provider: Provider,
    model: &'a str,
    window: Option<u64>,
    max_output: Option<u32>,
}

fn inline(name: &str) -> Result<Option<Place<'_>>, OpenError> {
    let Some((protocol, rest)) = name.split_once('+') else { return Ok(None) };
    let protocol = match protocol {
        "anthropic" => Protocol::Anthropic,
        "chat" => Protocol::Chat,
        "responses" => Protocol::Responses,
        _ => return Ok(None),
    };
    let form = |why: &str| OpenError::Form { name: name.to_owned(), why: why.to_owned() };
    let (url, rest) = rest.split_once('#').ok_or_else(|| form("`#model` is missing at its end"))?;
    let (model, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    if model.is_empty() {
        return Err(form("nothing stands after `#`"));
    }
    let (mut window, mut max_output) = (None, None);
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        let odd = || form("only `window=N` and `max_output=N` may follow the model");
        let (key, value) = parameter.split_once('=').ok_or_else(odd)?;
        match key {
            "window" => window = Some(value.parse().map_err(|_| odd())?),
            "max_output" => max_output = Some(value.parse().map_err(|_| odd())?),
            _ => return Err(odd()),
        }
    }
    let provider = Provider {
        protocol,
        base_url: url.to_owned(),
        api_key_env: None,
        api_key_cmd: None,
        concurrency: if http::is_local(url) { 4 } else { 8 },
    };
    Ok(Some(Place { provider_name: None, provider, model, window, max_output }))
}

fn listed<'a>(name: &'a str, options: &Options) -> Result<Place<'a>, OpenError> {
    let form = |why| OpenError::Form { name: name.to_owned(), why };
    let Some((provider_name, model)) = name.split_once('/') else {
        let meant = options.row(name).provider.as_ref();
        let meant = meant.map(|provider| format!("; did you mean `{provider}/{name}`?"));
        return Err(form(format!("its provider is missing{}", meant.unwrap_or_default())));
    };
    if model.is_empty() {
        return Err(form("nothing stands after `/`".to_owned()));
    }
    let provider = options.provider(provider_name).ok_or_else(|| {
        let mut known: Vec<&str> = options.providers().map(|(name, _)| name).collect();
        known.sort_unstable();
        let near = nearest::hint(provider_name, known.iter().copied());
        let (provider, known) = (provider_name.to_owned(), known.join(", "));
        OpenError::UnknownProvider { provider, near, known }
    })?;
    let provider = provider.clone();
    Ok(Place {
        provider_name: Some(provider_name),
        provider,
        model,
        window: None,
        max_output: None,
    })
}

impl Place<'_> {
    fn open(
        self,
        name: &str,
        options: &Options,
        env: Env<'_>,
    ) -> Result<Arc<dyn Model>, OpenError> {
        let protocol = self.provider.protocol;
        let url = protocol.endpoint(&self.provider.base_url);
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            return Err(OpenError::Address { url: self.provider.base_url });
        }
        let key = match self.provider_name {
            Some(provider) => key::find(provider, &self.provider, options, env)?,
            None => key::set(env, INLINE_KEY),
        };
        if key.is_some() && url.starts_with("http://") && !http::is_local(&url) {
            let variable = self.provider.api_key_env.unwrap_or_else(|| INLINE_KEY.to_owned());
            return Err(OpenError::KeyInClear { variable, url });
        }
        let info = self.info(options, &url);
        let row = options.row(self.model);
        Ok(Arc::new(Remote {
            name: name.to_owned(),
            protocol,
            target: Target { model: self.model.to_owned(), quirks: row.quirks.clone() },
            retry: Retry::default(),
            key_advice: self.key_advice(key.is_some()),
            breaker: Mutex::new(Breaker::default()),
            places: Semaphore::new(info.concurrency),
            calm: Mutex::default(),
            info,
            http: Http::new(url, headers(protocol, key), waits(options), Caps::default()),
        }))
    }

    fn info(&self, options: &Options, url: &str) -> ModelInfo {
        let row = options.row(self.model);
        let window = self.window.unwrap_or(row.window);
        let half = u32::try_from(window / 2).unwrap_or(u32::MAX).max(1);
        let (protocol, model) = (self.provider.protocol.name(), self.model);
        ModelInfo {
            identity: format!("{protocol} {url} {model} {:?}", row.quirks),
            window,
            max_output: self.max_output.unwrap_or(row.max_output).min(half),
            price: self.price(row, url),
            edit_format: row.edit_format,
            scripted: false,
            counted: true,
            concurrency: self.provider.concurrency.clamp(1, 1024),
        }
    }

    /// A server on this machine costs nothing, unless it passes on to a model with a price.
    fn price(&self, row: &Row, url: &str) -> Option<Price> {
        if http::is_local(url) {
            return Some(row.price.unwrap_or_default());
        }
        let holds = row.provider.is_none() || row.provider.as_deref() == self.provider_name;
        row.price.filter(|_| holds)
    }

    fn key_advice(&self, had_key: bool) -> String {
        let source = self.provider.api_key_env.as_deref().unwrap_or(INLINE_KEY);
        match had_key {
            true => format!("check the key in {source}, then resume"),
            false => format!("the server wants a key: set {source}, then resume"),
        }
    }
}

fn headers(protocol: Protocol, key: Option<String>) -> Vec<(&'static str, String)> {
    let mut headers = Vec::new();
    if protocol == Protocol::Anthropic {
        headers.push(("anthropic-version", "2023-06-01".to_owned()));
    }
    match (protocol, key) {
        (Protocol::Anthropic, Some(key)) => headers.push(("x-api-key", key)),
        (_, Some(key)) => headers.push(("authorization", format!("Bearer {key}"))),
        (_, None) => {}
    }
    headers
}

fn waits(options: &Options) -> Waits {
    Waits {
        connect: Duration::from_secs(options.connect_seconds),
        first_byte: Duration::from_secs(options.first_byte_seconds),
        stall: Duration::from_secs(options.stall_seconds),
        token: Duration::from_secs(options.token_seconds),
        total: Duration::from_secs(options.total_seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::task::EditFormat;

    fn refused(name: &str) -> String {
        let error = open(name, &Options::default(), &|_| None).err().expect("refused");
        format!("{error}\nhint: {}", error.hint())
    }

    fn info(name: &str) -> ModelInfo {
        let key = |variable: &str| variable.ends_with("_API_KEY").then(|| "k".to_owned());
        open(name, &Options::default(), &key).expect("opens").info().clone()
    }

    #[test]
    fn a_listed_model_has_its_window_and_price() {
        let found = info("anthropic/claude-opus-5");
        assert_eq!((found.window, found.max_output), (1_000_000, 128_000));
        assert_eq!(found.price.map(|price| price.output), Some(25_000_000));
        assert!(found.counted && !found.scripted);
    }

    #[test]
    fn two_servers_behind_one_name_shared_their_stored_results() {
        let identity = |url: &str, protocol| {
            let provider = Provider {
                protocol,
                base_url: url.to_owned(),
                api_key_env: None,
                api_key_cmd: None,
                concurrency: 1,
            };
            let mut options = Options::default();
            options.custom.insert("mine".to_owned(), provider);
            open("mine/m", &options, &|_| None).expect("opens").info().identity.clone()
        };
        let one = identity("http://127.0.0.1:1/v1", Protocol::Chat);
        assert_eq!(one, identity("http://127.0.0.1:1/v1", Protocol::Chat));
        assert_ne!(one, identity("http://127.0.0.1:2/v1", Protocol::Chat));
        assert_ne!(one, identity("http://127.0.0.1:1/v1", Protocol::Responses));
    }

    #[test]
    fn a_price_holds_for_its_own_provider_only_and_a_local_server_is_free() {
        assert_eq!(info("openrouter/anthropic/claude-opus-5").price, None);
        assert_eq!(info("openai/unheard-of").price, None);
        let local = info("chat+http://127.0.0.1:8091/v1#qwen2.5-coder-1.5b?window=4096");
        assert_eq!(
            (local.window, local.max_output, local.price),
            (4096, 2048, Some(Price::default()))
        );
        assert_eq!(local.edit_format, EditFormat::WholeFunction);
        assert!(info("chat+http://127.0.0.1:4000#gpt-5").price != Some(Price::default()));
    }

    #[test]
    fn names_that_name_nothing_are_explained() {
        insta::assert_snapshot!(refused("claude-opus-5"), @"
        `claude-opus-5` names no model: its provider is missing; did you mean `anthropic/claude-opus-5`?
        hint: write `provider/model`, `chat+URL#model`, `scripted:FILE` or `gold:PATCH`; `grafter models` lists what is known
        ");
        insta::assert_snapshot!(refused("antropic/claude"), @"
        there is no provider `antropic`; did you mean `anthropic`? (known: anthropic, deepseek, llamacpp, ollama, openai, openrouter, qwen, vllm)
        hint: add it under [providers.custom] in your config.toml, or name a model by its address: `chat+URL#model`
        ");
        insta::assert_snapshot!(refused("chat+http://h/v1"), @"
        `chat+http://h/v1` names no model: `#model` is missing at its end
        hint: write `provider/model`, `chat+URL#model`, `scripted:FILE` or `gold:PATCH`; `grafter models` lists what is known
        ");
        insta::assert_snapshot!(refused("chat+ftp://h#m"), @"
        `ftp://h` is no http or https address
        hint: write the address with http:// or https://
        ");
        assert!(refused("chat+http://h#m?windows=3").contains("only `window=N`"));
        assert!(refused("openai/gpt-5").contains("OPENAI_API_KEY is not set"));
        assert!(refused("scripted:no-such-file").contains("no-such-file"));
        assert!(refused("gold:no-such-file").contains("no-such-file"));
    }

    #[test]
    fn a_key_never_goes_unencrypted_over_a_network() {
        let key = |_: &str| Some("k".to_owned());
        let opened = open("chat+http://192.168.1.5/v1#m", &Options::default(), &key);
        assert!(matches!(opened.err(), Some(OpenError::KeyInClear { .. })));
        assert!(open("chat+http://localhost/v1#m", &Options::default(), &key).is_ok());
    }
}
