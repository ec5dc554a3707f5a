//! How long it takes to rank 50,000 functions by an issue's words.
//!
//! `cargo run --release --example localize [FUNCTIONS]`; the functions are generated, 25 to a file.

use std::{fmt::Write, time::Instant};

use grafter::repair::search::{Known, suspects};

const WORDS: [&str; 24] = [
    "parse", "header", "value", "render", "table", "window", "median", "token", "stream", "chunk",
    "buffer", "socket", "query", "index", "cache", "merge", "branch", "commit", "schema", "field",
    "record", "cursor", "filter", "format",
];

#[expect(clippy::print_stdout, reason = "an example's result is what it prints")]
fn main() {
    let all = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(50_000_usize);
    let mut sources = Vec::new();
    for file in 0..all.div_ceil(25) {
        let mut text = String::new();
        for number in file * 25..((file + 1) * 25).min(all) {
            let word = |step: usize| WORDS[(number * step + number / 7) % WORDS.len()];
            let (a, b, c) = (word(1), word(5), word(11));
            writeln!(
                text,
                "def {a}_{b}_{number}(self, {a}, {b}):\n    \"\"\"Returns the {c} of a {b}.\"\"\"\n    \
                 result = []\n    for item in {a}:\n        if item.{c} > {b}:\n            \
                 result.append(self.{b}_{c}(item))\n    return result\n"
            )
            .expect("a string takes all");
        }
        sources.push((format!("src/module_{file}.py"), text));
    }
    let bytes: usize = sources.iter().map(|(_, text)| text.len()).sum();
    let words = "merging a branch loses the last commit of the index".to_owned();
    let known = Known { words, ..Known::default() };
    let begun = Instant::now();
    let (functions, ranked) = suspects(&sources, &known);
    let took = begun.elapsed();
    println!(
        "{} functions in {} files ({:.1} MB) ranked in {:.2} s; first: {}",
        functions.len(),
        sources.len(),
        bytes as f64 / 1e6,
        took.as_secs_f64(),
        functions[ranked[0].index].name
    );
}
