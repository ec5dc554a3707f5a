//! "Did you mean": the candidate nearest to a mistyped word.
//!
//! The distance counts insertions, deletions, replacements and swaps of neighbours, without regard
//! to case. Words are cut before they are compared, so a hostile megabyte costs nothing.

/// Longest part of a word that is compared.
const LONGEST: usize = 64;

/// Returns the candidate nearest to `word`, unless all are too far to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = letters(word);
    let scored = candidates.into_iter().map(|candidate| {
        let other = letters(candidate);
        let far = distance(&word, &other);
        let related = far <= allowed(word.len().max(other.len())) || is_start(&word, &other);
        (far, related, candidate)
    });
    scored.filter(|(_, related, _)| *related).min_by_key(|(far, ..)| *far).map(|(.., word)| word)
}

/// Returns ` (did you mean `x`?)`, or nothing when no candidate is near.
pub fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

fn allowed(len: usize) -> usize {
    match len {
        0..=3 => 1,
        4..=6 => 2,
        _ => len / 3,
    }
}

fn is_start(word: &[char], other: &[char]) -> bool {
    word.len() >= 3 && other.len() >= 3 && (other.starts_with(word) || word.starts_with(other))
}

fn letters(word: &str) -> Vec<char> {
    word.chars().take(LONGEST).flat_map(char::to_lowercase).collect()
}

fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::settings::nearest::{hint, nearest};

    const KEYS: [&str; 5] = ["needs", "gives", "takes", "on_failure", "max_turns"];

    #[test]
    fn finds_slips_of_the_finger() {
        assert_eq!(nearest("need", KEYS), Some("needs"));
        assert_eq!(nearest("nedes", KEYS), Some("needs"));
        assert_eq!(nearest("Takes", KEYS), Some("takes"));
        assert_eq!(nearest("onfailure", KEYS), Some("on_failure"));
        assert_eq!(nearest("max", KEYS), Some("max_turns"));
    }

    #[test]
    fn stays_silent_when_nothing_is_near() {
        assert_eq!(nearest("colour", KEYS), None);
        assert_eq!(nearest("", KEYS), None);
        assert_eq!(hint("colour", KEYS), "");
    }

    proptest! {
        #[test]
        fn a_candidate_is_nearest_to_itself(at in 0..KEYS.len()) {
            prop_assert_eq!(nearest(KEYS[at], KEYS), Some(KEYS[at]));
        }

        #[test]
        fn any_word_is_bearable(word in ".{0,200}") {
            let _ = nearest(&word, KEYS);
        }
    }
}
