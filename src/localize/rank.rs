//! Functions in the order in which they are to be looked at.
//!
//! score = α · Ochiai + (1 - α) · BM25, both scaled to 0..1 over the functions of one question, and
//! 0.2 more for what a trace quotes. α is 0.5 with failing and passing tests, 0.3 with failing ones
//! only, 0 without any run. Equal scores are ordered by path, then line.

use crate::localize::{
    bm25,
    ochiai::{Spectrum, ochiai},
};

/// What a quoted function gets on top.
const QUOTED: f64 = 0.2;

/// A function that may be at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// Its file.
    pub path: String,
    /// Its qualified name.
    pub name: String,
    /// Its first line, from 1.
    pub from: u32,
    /// Its last line, inclusive.
    pub to: u32,
    /// Its text: signature, documentation, body.
    pub text: String,
}

/// Which tests ran a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// One per function, in order.
    pub spectra: Vec<Spectrum>,
    /// How many tests fail.
    pub failing: u32,
    /// How many tests pass.
    pub passing: u32,
}

/// What a question knows beside its words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Which tests ran which function; nothing was measured where it holds no test.
    pub runs: Runs,
    /// A trace or an error text, if there is one.
    pub trace: String,
}

/// A function with its score and what it is made of, each 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Which of the functions.
    pub index: usize,
    /// All of it.
    pub score: f64,
    /// By the tests that ran it, before scaling.
    pub ochiai: f64,
    /// By words, scaled.
    pub bm25: f64,
    /// Whether the trace quotes it.
    pub quoted: bool,
}

/// Returns all functions, the most suspicious first.
pub fn rank(query: &str, suspects: &[Suspect], evidence: &Evidence) -> Vec<Ranked> {
    let runs = &evidence.runs;
    let documents: Vec<String> = suspects
        .iter()
        .map(|suspect| format!("{} {} {}", suspect.path, suspect.name, suspect.text))
        .collect();
    let bm25 = scaled(bm25::scores(query, documents.iter().map(String::as_str)));
    let raw: Vec<f64> = (0..suspects.len())
        .map(|index| ochiai(runs.spectra.get(index).copied().unwrap_or_default(), runs.failing))
        .collect();
    let ochiai = scaled(raw.clone());
    let alpha = alpha(runs);
    let mut ranked: Vec<Ranked> = (0..suspects.len())
        .map(|index| {
            let quoted = quotes(&evidence.trace, &suspects[index]);
            let boost = if quoted { QUOTED } else { 0.0 };
            let score = alpha * ochiai[index] + (1.0 - alpha) * bm25[index] + boost;
            Ranked { index, score: score.min(1.0), ochiai: raw[index], bm25: bm25[index], quoted }
        })
        .collect();
    let place = |ranked: &Ranked| (&suspects[ranked.index].path, suspects[ranked.index].from);
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| place(a).cmp(&place(b))));
    ranked
}

fn alpha(runs: &Runs) -> f64 {
    match (runs.failing, runs.passing) {
        (0, _) => 0.0,
        (_, 0) => 0.3,
        _ => 0.5,
    }
}

/// Scales to 0..1; values that are all equal say nothing, and stay 0 unless they are above it.
fn scaled(values: Vec<f64>) -> Vec<f64> {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    let span = most - least;
    let scale = |value: f64| match span > 0.0 {
        true => (value - least) / span,
        false => f64::from(u8::from(most > 0.0)),
    };
    values.into_iter().map(scale).collect()
}

/// Returns whether a trace names a function, as a word or by a line in it.
fn quotes(trace: &str, suspect: &Suspect) -> bool {
    if trace.is_empty() {
        return false;
    }
    let own = suspect.name.rsplit(['.', ':']).next().unwrap_or(&suspect.name);
    let is_word = |at: usize| {
        let ends = |letter: Option<char>| letter.is_none_or(|c| !c.is_alphanumeric() && c != '_');
        ends(trace[..at].chars().next_back()) && ends(trace[at + own.len()..].chars().next())
    };
    let named = own.len() > 2 && trace.match_indices(own).any(|(at, _)| is_word(at));
    named || lines(trace, &suspect.path).any(|line| (suspect.from..=suspect.to).contains(&line))
}

/// Returns the lines of a file that a trace names: `path:12` or `"path", line 12`.
fn lines<'t>(trace: &'t str, path: &'t str) -> impl Iterator<Item = u32> + 't {
    trace.match_indices(path).filter_map(move |(at, _)| {
        let rest = &trace[at + path.len()..];
        let rest = rest.strip_prefix(':').or_else(|| rest.strip_prefix("\", line "))?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn suspect(path: &str, name: &str, from: u32, text: &str) -> Suspect {
        let (path, name) = (path.to_owned(), name.to_owned());
        Suspect { path, name, from, to: from + 2, text: text.to_owned() }
    }

    fn three() -> Vec<Suspect> {
        vec![
            suspect("b.py", "render", 1, "render table"),
            suspect("a.py", "parse_header", 9, "parse the header"),
            suspect("a.py", "parse_body", 1, "parse the body"),
        ]
    }

    fn order(query: &str, evidence: &Evidence) -> Vec<usize> {
        rank(query, &three(), evidence).iter().map(|ranked| ranked.index).collect()
    }

    #[test]
    fn without_a_word_or_a_run_the_order_is_by_path_and_line() {
        assert_eq!(order("", &Evidence::default()), [2, 1, 0]);
    }

    #[test]
    fn words_runs_and_traces_each_move_a_function_to_the_front() {
        assert_eq!(order("the header is wrong", &Evidence::default())[0], 1);
        let spectra =
            [(2, 0), (0, 3), (1, 3)].map(|(failing, passing)| Spectrum { failing, passing });
        let runs = Runs { spectra: spectra.to_vec(), failing: 2, passing: 3 };
        let measured = Evidence { runs, trace: String::new() };
        assert_eq!(order("", &measured)[0], 0);
        for trace in ["a.py:2: in x", "File \"/w/a.py\", line 3, in x", "in parse_body\n"] {
            let traced = Evidence { trace: trace.to_owned(), ..Evidence::default() };
            assert_eq!(order("", &traced)[0], 2, "{trace}");
        }
        let other = Evidence { trace: "my_parse_body_x a.py:77".to_owned(), ..Evidence::default() };
        assert!(rank("", &three(), &other).iter().all(|ranked| !ranked.quoted));
    }

    proptest! {
        #[test]
        fn every_function_is_there_once_with_a_score_between_0_and_1(
            query in "[a-z ]{0,30}",
            counts in proptest::collection::vec((0_u32..5, 0_u32..5), 0..6),
        ) {
            let suspects: Vec<Suspect> = counts.iter().enumerate()
                .map(|(n, _)| suspect("a.py", &format!("f{n}"), 1, "parse"))
                .collect();
            let spectra = counts.iter().map(|(failing, passing)| Spectrum { failing: *failing, passing: *passing });
            let runs = Runs { spectra: spectra.collect(), failing: 4, passing: 4 };
            let ranked = rank(&query, &suspects, &Evidence { runs, trace: String::new() });
            let mut seen: Vec<usize> = ranked.iter().map(|ranked| ranked.index).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..suspects.len()).collect::<Vec<_>>());
            prop_assert!(ranked.iter().all(|ranked| (0.0..=1.0).contains(&ranked.score)));
            prop_assert!(ranked.windows(2).all(|pair| pair[0].score >= pair[1].score));
        }
    }
}
