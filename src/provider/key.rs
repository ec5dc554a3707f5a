//! Where a provider's key comes from: an environment variable or a command, never a file of ours.

use std::time::Duration;

use thiserror::Error;

use crate::{
    provider::known::{Options, Provider},
    sandbox::host::{self, HostCommand, HostError},
};

/// Reads one variable of the environment.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The variable is not set.
    #[error("no key for `{provider}`: {variable} is not set; {alternatives}")]
    Missing {
        /// The provider.
        provider: String,
        /// The variable that would hold it.
        variable: String,
        /// What would work instead.
        alternatives: String,
    },
    /// The key cannot be sent in a header.
    #[error("the key for `{provider}` from {source_name} holds characters that no key has")]
    Malformed {
        /// The provider.
        provider: String,
        /// The variable or command.
        source_name: String,
    },
    /// The command could not be run.
    #[error("the key command of `{provider}` could not be run")]
    Command {
        /// The provider.
        provider: String,
        /// Why.
        #[source]
        source: HostError,
    },
    /// The command failed or printed nothing.
    #[error("the key command of `{provider}` ended with {code} and printed no key: {stderr}")]
    NoOutput {
        /// The provider.
        provider: String,
        /// Its exit code.
        code: i32,
        /// The start of what it complained.
        stderr: String,
    },
}

/// Returns the provider's key; none if it needs none. A key command runs now and may block.
pub fn find(
    name: &str,
    provider: &Provider,
    options: &Options,
    env: Env<'_>,
) -> Result<Option<String>, KeyError> {
    if let Some(variable) = &provider.api_key_env {
        if let Some(key) = set(env, variable) {
            return checked(name, variable, key).map(Some);
        }
        if provider.api_key_cmd.is_none() {
            return Err(KeyError::Missing {
                provider: name.to_owned(),
                variable: variable.clone(),
                alternatives: alternatives(options, env),
            });
        }
    }
    match &provider.api_key_cmd {
        Some(command) => checked(name, command, run(name, command)?).map(Some),
        None => Ok(None),
    }
}

/// Returns a variable's value unless it is empty.
pub fn set(env: Env<'_>, variable: &str) -> Option<String> {
    env(variable).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn checked(name: &str, source: &str, key: String) -> Result<String, KeyError> {
    if key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(key);
    }
    Err(KeyError::Malformed { provider: name.to_owned(), source_name: source.to_owned() })
}

fn alternatives(options: &Options, env: Env<'_>) -> String {
    let with_key: Vec<String> = options
        .providers()
        .filter(|(_, provider)| {
            provider.api_key_env.as_ref().is_some_and(|variable| set(env, variable).is_some())
        })
        .map(|(name, _)| format!("`{name}/…`"))
        .collect();
    let others = match with_key.is_empty() {
        true => String::new(),
        false => format!("a key is set for {}; ", with_key.join(", ")),
    };
    format!(
        "{others}without a key there are a server on this machine \
         (`chat+http://127.0.0.1:8080/v1#model`) and a recorded session (`scripted:FILE`)"
    )
}

fn run(name: &str, script: &str) -> Result<String, KeyError> {
    let mut command = HostCommand::new("sh");
    command.args = vec!["-c".into(), script.into()];
    command.deadline = Duration::from_secs(30);
    command.max_output = 64 << 10;
    let output = host::run(&command)
        .map_err(|source| KeyError::Command { provider: name.to_owned(), source })?;
    let key = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.code == Some(0) && !key.is_empty() {
        return Ok(key);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(KeyError::NoOutput {
        provider: name.to_owned(),
        code: output.code.unwrap_or(-1),
        stderr: complaint.trim().chars().take(300).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(api_key_cmd: Option<&str>) -> Provider {
        let mut provider = Options::default().provider("anthropic").expect("shipped").clone();
        provider.api_key_cmd = api_key_cmd.map(str::to_owned);
        provider
    }

    #[test]
    fn a_missing_key_names_the_variable_and_the_alternatives() {
        let env = |name: &str| (name == "OPENAI_API_KEY").then(|| "k".to_owned());
        let error = find("anthropic", &provider(None), &Options::default(), &env);
        insta::assert_snapshot!(error.expect_err("no key"), @"no key for `anthropic`: ANTHROPIC_API_KEY is not set; a key is set for `openai/…`; without a key there are a server on this machine (`chat+http://127.0.0.1:8080/v1#model`) and a recorded session (`scripted:FILE`)");
    }

    #[test]
    fn the_variable_goes_before_the_command() {
        let env = |_: &str| Some(" from-env\n".to_owned());
        let found = find("a", &provider(Some("echo from-cmd")), &Options::default(), &env);
        assert_eq!(found.expect("a key").as_deref(), Some("from-env"));
        let found = find("a", &provider(Some("echo from-cmd")), &Options::default(), &|_| None);
        assert_eq!(found.expect("a key").as_deref(), Some("from-cmd"));
    }

    #[test]
    fn a_failing_command_and_a_malformed_key_are_told() {
        let find = |script| find("a", &provider(Some(script)), &Options::default(), &|_| None);
        let error = find("echo locked >&2; exit 3").expect_err("fails").to_string();
        insta::assert_snapshot!(error, @"the key command of `a` ended with 3 and printed no key: locked");
        let error = find("printf 'a b'").expect_err("malformed").to_string();
        insta::assert_snapshot!(error, @"the key for `a` from printf 'a b' holds characters that no key has");
    }
}
