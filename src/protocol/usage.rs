//! Tokens and money, in integers.

use std::{fmt, ops};

use serde::{Deserialize, Serialize};

/// An amount of money in micro-dollars (a millionth of a US dollar).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub u64);

impl Micros {
    /// Returns the difference, never below zero.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl ops::Add for Micros {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl ops::AddAssign for Micros {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = self.0.div_ceil(100);
        write!(f, "${}.{:04}", cents / 10_000, cents % 10_000)
    }
}

/// Tokens of one or many model calls; the total input is `input + cache_write + cache_read`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Input tokens that no cache served or stored.
    pub input: u64,
    /// Input tokens written to the prompt cache.
    pub cache_write: u64,
    /// Input tokens read from the prompt cache.
    pub cache_read: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
}

impl Usage {
    /// Returns all tokens, in and out.
    pub fn total(self) -> u64 {
        self.prompt().saturating_add(self.output)
    }

    /// Returns all input tokens, cached or not.
    pub fn prompt(self) -> u64 {
        self.input.saturating_add(self.cache_write).saturating_add(self.cache_read)
    }
}

impl ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.output = self.output.saturating_add(other.output);
    }
}
