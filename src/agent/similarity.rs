//! How alike two texts are: Jaccard similarity of their 5-grams of words.
//!
//! Used against rubber-stamping: a synthesis that repeats one finding nearly word for word has
//! weighed nothing. Pure. Case and punctuation do not count, so that re-typing is not rewording.

use std::collections::BTreeSet;

/// Words per gram.
const GRAM: usize = 5;

/// Returns the similarity of two texts between 0 and 1.
///
/// Texts of fewer than five words have one gram, the whole text, so that two short texts are
/// alike only when they say the same; an empty text is like no other.
pub fn similarity(a: &str, b: &str) -> f64 {
    let (a, b) = (words(a), words(b));
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let (a, b) = (grams(&a), grams(&b));
    let shared = a.intersection(&b).count();
    let all = a.len() + b.len() - shared;
    ratio(shared, all)
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

fn grams(words: &[String]) -> BTreeSet<&[String]> {
    words.windows(GRAM.min(words.len())).collect()
}

fn ratio(part: usize, all: usize) -> f64 {
    // Far below 2^32 grams: texts that come here are capped.
    let exact = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    exact(part) / exact(all).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_copy_is_like_its_original_whatever_its_punctuation() {
        let original = "The median of an even list is the mean of its two middle values.";
        let copy = "the MEDIAN of an even list, is the mean of its two middle values";
        assert!((similarity(original, copy) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_copy_with_one_word_added_at_the_end_is_still_above_the_limit() {
        let original = "one two three four five six seven eight nine ten eleven twelve";
        assert!(similarity(original, &format!("{original} indeed")) > 0.8);
    }

    #[test]
    fn other_words_are_unlike() {
        let a = "the parser drops the last line of a file without a line break";
        let b = "integer division rounds towards zero in the mean of two values";
        assert!(similarity(a, b) < 0.01);
    }

    #[test]
    fn short_texts_are_alike_only_when_equal() {
        assert!(similarity("fix it", "Fix it!") > 0.99);
        assert!(similarity("fix it", "fix that") < 0.01);
        assert!(similarity("", "") < 0.01);
    }

    proptest! {
        #[test]
        fn it_is_symmetric_and_bounded(a in "[a-c ]{0,60}", b in "[a-c ]{0,60}") {
            let one = similarity(&a, &b);
            prop_assert!((0.0..=1.0).contains(&one));
            prop_assert!((one - similarity(&b, &a)).abs() < f64::EPSILON);
        }
    }
}
