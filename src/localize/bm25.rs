//! BM25: how much a document is about a query.
//!
//! Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with
//! k1 = 1.2, b = 0.75 and idf = ln(1 + (N - n + 0.5) / (n + 0.5)), which is never negative.

use std::collections::HashMap;

use crate::localize::terms::{each_term, terms};

const K1: f64 = 1.2;
const B: f64 = 0.75;

/// A document, as far as the query asks.
struct Counted {
    length: u32,
    /// How often each term of the query stands in it; those that do not are left out.
    hits: Vec<(u32, u32)>,
}

/// Returns one score per document, in order; all 0 where the query says nothing.
pub fn scores<'d>(query: &str, documents: impl Iterator<Item = &'d str>) -> Vec<f64> {
    let mut known: HashMap<String, u32> = HashMap::new();
    let mut weights: Vec<f64> = Vec::new();
    for term in terms(query) {
        let next = u32::try_from(weights.len()).unwrap_or(u32::MAX);
        let index = *known.entry(term).or_insert(next);
        match weights.get_mut(index as usize) {
            Some(weight) => *weight += 1.0,
            None => weights.push(1.0),
        }
    }
    let counted: Vec<Counted> = documents.map(|text| count(text, &known)).collect();
    let idf = idf(&counted, weights.len());
    let total: f64 = counted.iter().map(|document| f64::from(document.length)).sum();
    let average = (total / number(counted.len())).max(1.0);
    let score = |document: &Counted| {
        let hits = document.hits.iter();
        hits.map(|(term, hits)| {
            let (term, hits) = (*term as usize, f64::from(*hits));
            let long = 1.0 - B + B * f64::from(document.length) / average;
            weights[term] * idf[term] * hits * (K1 + 1.0) / (hits + K1 * long)
        })
        .sum()
    };
    counted.iter().map(score).collect()
}

fn count(text: &str, known: &HashMap<String, u32>) -> Counted {
    let mut length = 0;
    let mut hits: Vec<(u32, u32)> = Vec::new();
    each_term(text, |term| {
        length += 1;
        let Some(index) = known.get(term) else { return };
        match hits.iter_mut().find(|(term, _)| term == index) {
            Some((_, hits)) => *hits += 1,
            None => hits.push((*index, 1)),
        }
    });
    Counted { length, hits }
}

fn idf(documents: &[Counted], terms: usize) -> Vec<f64> {
    let mut holding = vec![0.0_f64; terms];
    for (term, _) in documents.iter().flat_map(|document| &document.hits) {
        holding[*term as usize] += 1.0;
    }
    let all = number(documents.len());
    holding.into_iter().map(|n| (1.0 + (all - n + 0.5) / (n + 0.5)).ln()).collect()
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worked_example_comes_out() {
        let documents = ["parse header value", "parse body", "render table header header"];
        let found = scores("header parse", documents.into_iter());
        for (found, expected) in found.iter().zip([0.940_007, 0.544_215, 0.590_862]) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }

    #[test]
    fn nothing_asked_or_nothing_there_scores_nothing() {
        assert_eq!(scores("", ["a b", "loop"].into_iter()), [0.0, 0.0]);
        assert_eq!(scores("loop", std::iter::empty()), Vec::<f64>::new());
        assert_eq!(scores("window", ["", "loop"].into_iter()), [0.0, 0.0]);
    }

    proptest::proptest! {
        #[test]
        fn scores_are_finite_and_not_negative(
            query in "[a-d ]{0,20}", documents in proptest::collection::vec("[a-d ]{0,30}", 0..8),
        ) {
            let found = scores(&query, documents.iter().map(String::as_str));
            assert_eq!(found.len(), documents.len());
            assert!(found.iter().all(|score| score.is_finite() && *score >= 0.0));
        }
    }
}
