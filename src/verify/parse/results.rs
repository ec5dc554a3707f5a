//! Where parsers put what they find, and the text they read it from.

use std::collections::BTreeMap;

use crate::protocol::report::{TestResult, TestStatus};

/// More ids than any suite has; beyond it the listing is noise and is not used.
const MAX_TESTS: usize = 100_000;
/// Longer ids are cut, because parametrised ids may hold whole documents.
const MAX_ID: usize = 512;

/// Test results by id; the worst result of an id wins, whatever the order.
#[derive(Debug, Default)]
pub struct Results {
    tests: BTreeMap<String, TestStatus>,
}

impl Results {
    /// Notes how a test ended.
    pub fn add(&mut self, id: &str, status: TestStatus) {
        let id = cut(id.trim());
        if id.is_empty() || self.tests.len() > MAX_TESTS {
            return;
        }
        let known = self.tests.entry(id.to_owned()).or_insert(status);
        if weight(status) > weight(*known) {
            *known = status;
        }
    }

    /// Notes tests that the runner counts as passed but does not name.
    ///
    /// They get numbers for ids, so that a test that disappears lowers the count.
    pub fn add_unnamed(&mut self, count: usize) {
        for number in 1..=count.min(MAX_TESTS) {
            self.add(&format!("{UNNAMED}{number}"), TestStatus::Passed);
        }
    }

    /// Returns how many different tests were noted.
    pub fn len(&self) -> usize {
        self.tests.len()
    }

    /// Returns whether no test was noted.
    pub fn is_empty(&self) -> bool {
        self.tests.is_empty()
    }

    /// Returns the results sorted by id, or none where there were too many to be a test listing.
    pub fn into_vec(self) -> Vec<TestResult> {
        if self.tests.len() > MAX_TESTS {
            return Vec::new();
        }
        self.tests.into_iter().map(|(id, status)| TestResult { id, status }).collect()
    }
}

/// What the ids of counted but unnamed tests begin with.
pub const UNNAMED: &str = "#";

fn weight(status: TestStatus) -> u8 {
    match status {
        TestStatus::Skipped | TestStatus::Flaky => 0,
        TestStatus::Passed => 1,
        TestStatus::Failed => 2,
    }
}

fn cut(id: &str) -> &str {
    id.get(..id.floor_char_boundary(MAX_ID)).unwrap_or(id)
}

/// Returns text without colour codes, other escape sequences and carriage returns.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\r' | '\u{7}' | '\0' => {}
            _ => out.push(c),
        }
    }
    out
}

fn skip_escape(chars: &mut std::str::Chars<'_>) {
    // `ESC [` is ended by a letter or similar, `ESC ]` by BEL; anything else is one character.
    let last = match chars.next() {
        Some('[') => |c: char| ('\u{40}'..='\u{7e}').contains(&c),
        Some(']') => |c: char| c == '\u{7}' || c == '\u{1b}',
        _ => return,
    };
    // A line end bounds the damage of a sequence that never ends.
    let mut ahead = chars.clone();
    while let Some(c) = ahead.next() {
        if c == '\n' {
            return;
        }
        *chars = ahead.clone();
        if last(c) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_result_of_an_id_wins_in_any_order() {
        let mut results = Results::default();
        for status in [TestStatus::Passed, TestStatus::Failed, TestStatus::Skipped] {
            results.add("a", status);
        }
        results.add("b", TestStatus::Skipped);
        results.add("b", TestStatus::Passed);
        let ids: Vec<_> = results.into_vec().into_iter().map(|t| (t.id, t.status)).collect();
        assert_eq!(
            ids,
            [("a".to_owned(), TestStatus::Failed), ("b".to_owned(), TestStatus::Passed)]
        );
    }

    #[test]
    fn a_flood_of_ids_is_no_listing() {
        let mut results = Results::default();
        results.add_unnamed(MAX_TESTS);
        results.add("one more", TestStatus::Passed);
        assert_eq!(results.into_vec(), []);
    }

    #[test]
    fn escapes_vanish_and_an_endless_one_costs_one_line() {
        assert_eq!(plain("\u{1b}[1m\u{1b}[31mFAILED\u{1b}[0m x\r\n"), "FAILED x\n");
        assert_eq!(plain("a\u{1b}]0;title\u{7}b\u{1b}[31\nc"), "ab\nc");
    }
}
