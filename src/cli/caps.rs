//! Amounts and numbers on the command line, and what is said of one that cannot be.

use std::str::FromStr;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use thiserror::Error;

use crate::cli::{
    exit::{Failure, Kind},
    settings,
};

/// Why a value is none.
#[derive(Debug, Error)]
#[error("{cause}")]
pub(super) struct BadValue {
    cause: &'static str,
    hint: &'static str,
}

/// Takes an amount of dollars, or `none`; it stays a text, as in the settings.
pub(super) fn amount(text: &str) -> Result<String, BadValue> {
    match text == "none" || settings::dollars(text).is_ok() {
        true => Ok(text.to_owned()),
        false => Err(BadValue {
            cause: if text.starts_with('-') {
                "it is negative"
            } else {
                "it is no amount of money"
            },
            hint: "give dollars such as 1.50, or none for no cap",
        }),
    }
}

/// Takes a whole number.
pub(super) fn whole<T: FromStr>(text: &str) -> Result<T, BadValue> {
    text.parse().map_err(|_| BadValue { cause: why(text), hint: "give a whole number, such as 60" })
}

/// Takes a whole number that is not 0.
pub(super) fn positive(text: &str) -> Result<u64, BadValue> {
    match whole(text)? {
        0 => Err(BadValue { cause: "nothing ends in no time", hint: "give a number from 1 on" }),
        number => Ok(number),
    }
}

/// Takes a number of things that is not 0.
pub(super) fn some(text: &str) -> Result<usize, BadValue> {
    match whole(text)? {
        0 => Err(BadValue { cause: "nothing would ever begin", hint: "give a number from 1 on" }),
        number => Ok(number),
    }
}

fn why(text: &str) -> &'static str {
    let digits = text.trim_start_matches(['-', '+']);
    match !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true if text.starts_with('-') => "it is negative",
        true => "it is too large",
        false => "it is no whole number",
    }
}

/// Returns what is wrong with a value, if that is what is wrong with a command line.
pub(super) fn failure(error: &clap::Error) -> Option<Failure> {
    let bad = std::error::Error::source(error)?.downcast_ref::<BadValue>()?;
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    debug_assert_eq!(error.kind(), ErrorKind::ValueValidation, "it comes from a value's reader");
    let flag = context(ContextKind::InvalidArg).split(' ').next().unwrap_or_default();
    let value = context(ContextKind::InvalidValue).escape_debug();
    let cause = anyhow::anyhow!(bad.cause).context(format!("{flag} cannot be `{value}`"));
    Some(Failure::new(Kind::Usage, cause).hint(bad.hint))
}
