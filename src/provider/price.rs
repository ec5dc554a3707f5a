//! Money from tokens, in integers: one rounding at the end, no floats anywhere.

use serde::{Deserialize, Serialize};

use crate::protocol::usage::{Micros, Usage};

const MILLION: u128 = 1_000_000;

/// Prices in micro-dollars per million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Input that no cache served or stored.
    pub input: u64,
    /// Input written to the prompt cache.
    pub cache_write: u64,
    /// Input read from the prompt cache.
    pub cache_read: u64,
    /// Output.
    pub output: u64,
}

/// Returns what `usage` cost, rounded half up once.
pub fn cost(price: &Price, usage: &Usage) -> Micros {
    let parts = [
        (usage.input, price.input),
        (usage.cache_write, price.cache_write),
        (usage.cache_read, price.cache_read),
        (usage.output, price.output),
    ];
    micros(sum(&parts).saturating_add(MILLION / 2) / MILLION)
}

/// Returns the most one call can cost: nothing comes from a cache, the answer is as long as it
/// may be, rounded up.
pub fn worst_case(price: &Price, prompt_tokens: u64, max_tokens: u64) -> Micros {
    let dearest = price.input.max(price.cache_write).max(price.cache_read);
    micros(sum(&[(prompt_tokens, dearest), (max_tokens, price.output)]).div_ceil(MILLION))
}

fn sum(parts: &[(u64, u64)]) -> u128 {
    parts.iter().fold(0, |sum, (tokens, price)| {
        sum.saturating_add(u128::from(*tokens).saturating_mul(u128::from(*price)))
    })
}

fn micros(amount: u128) -> Micros {
    Micros(u64::try_from(amount).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPUS: Price =
        Price { input: 5_000_000, cache_write: 6_250_000, cache_read: 500_000, output: 25_000_000 };

    #[test]
    fn a_prefix_of_50k_tokens_costs_a_quarter_dollar_and_a_tenth_of_it_from_the_cache() {
        let fresh = Usage { input: 50_000, ..Usage::default() };
        let cached = Usage { cache_read: 50_000, ..Usage::default() };
        assert_eq!(cost(&OPUS, &fresh), Micros(250_000));
        assert_eq!(cost(&OPUS, &cached), Micros(25_000));
    }

    #[test]
    fn the_saving_follows_the_formula() {
        let prefix = 1_000_000;
        let saving = |n: u64| {
            let usage =
                Usage { cache_write: prefix, cache_read: prefix * (n - 1), ..Usage::default() };
            cost(&OPUS, &usage).0 * 10_000 / (OPUS.input * n)
        };
        assert_eq!([1, 2, 10, 25, 60].map(saving), [12_500, 6_750, 2_150, 1_460, 1_191]);
    }

    #[test]
    fn rounding_is_half_up_and_happens_once() {
        let price = Price { input: 1, cache_write: 1, cache_read: 1, output: 1 };
        let usage = |input, output| Usage { input, output, ..Usage::default() };
        assert_eq!(cost(&price, &usage(499_999, 0)), Micros(0));
        assert_eq!(cost(&price, &usage(250_000, 250_000)), Micros(1));
        assert_eq!(cost(&price, &usage(0, 0)), Micros(0));
    }

    #[test]
    fn sums_beyond_64_bits_saturate() {
        let price = Price { input: u64::MAX, ..OPUS };
        let usage = Usage { input: u64::MAX, output: u64::MAX, ..Usage::default() };
        assert_eq!(cost(&price, &usage), Micros(u64::MAX));
        assert_eq!(worst_case(&price, u64::MAX, u64::MAX), Micros(u64::MAX));
    }

    #[test]
    fn the_worst_case_is_never_below_the_cost() {
        let usage = Usage { input: 10, cache_write: 90, cache_read: 3, output: 7 };
        assert!(worst_case(&OPUS, usage.prompt(), usage.output) >= cost(&OPUS, &usage));
        assert_eq!(worst_case(&OPUS, 1, 0), Micros(7), "6.25 rounds up");
    }
}
