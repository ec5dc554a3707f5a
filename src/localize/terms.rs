//! Text as terms: names are split where their case or an underscore does, ends are cut lightly.

/// Words that say nothing about a function; those of code stand in every function.
const STOP: [&str; 52] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "can", "do", "does", "for", "from",
    "has", "have", "i", "if", "in", "into", "is", "it", "its", "not", "of", "on", "or", "should",
    "so", "that", "the", "then", "there", "this", "to", "was", "we", "when", "which", "with",
    "you", "def", "return", "self", "fn", "let", "pub", "function", "const", "var", "func", "else",
];
/// Longer terms are no words.
const MAX_TERM: usize = 40;

/// Calls `each` with every term of a text, in order.
pub fn each_term(text: &str, mut each: impl FnMut(&str)) {
    let mut word = String::new();
    let mut last_lower = false;
    let mut flush = |word: &mut String| {
        let term = stem(word);
        if !term.is_empty() && term.len() <= MAX_TERM && !STOP.contains(&word.as_str()) {
            each(term);
        }
        word.clear();
    };
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if !letter.is_alphanumeric() {
            flush(&mut word);
            last_lower = false;
            continue;
        }
        let upper = letter.is_uppercase();
        // `parseHeader` and the last capital of `HTTPServer` begin a word.
        let next_lower = letters.peek().is_some_and(|next| next.is_lowercase());
        if upper && (last_lower || next_lower) {
            flush(&mut word);
        }
        word.extend(letter.to_lowercase());
        last_lower = !upper;
    }
    flush(&mut word);
}

/// Returns the terms of a text, in order.
pub fn terms(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    each_term(text, |term| found.push(term.to_owned()));
    found
}

/// Returns a word without its commonest endings; short words stay.
fn stem(word: &str) -> &str {
    for ending in ["ing", "ed", "es", "s"] {
        if let Some(rest) = word.strip_suffix(ending)
            && rest.len() >= 3
            && (ending == "es" || !rest.ends_with('s'))
        {
            return rest;
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_and_ends_are_cut() {
        assert_eq!(
            terms("parseHeaderValue(raw_bytes)"),
            ["parse", "header", "value", "raw", "byt"]
        );
        assert_eq!(terms("HTTPServer2 of the IDs"), ["http", "server2", "ds"]);
        assert_eq!(terms("is it in the loop"), ["loop"]);
        assert_eq!(terms("passes pass windows"), ["pass", "pass", "window"]);
        assert!(terms("").is_empty() && terms("((**))").is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_terms_that_are_no_longer_than_allowed(text in "\\PC{0,200}") {
            for term in terms(&text) {
                assert!(!term.is_empty() && term.len() <= MAX_TERM);
            }
        }
    }
}
