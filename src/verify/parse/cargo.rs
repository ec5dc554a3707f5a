//! `cargo test`: libtest's own listing, one section per test binary.
//!
//! The id is `binary::test` for a library's unit tests and `binary(path)::test` for the rest,
//! since a library and a program of one package share a name. Doc tests lose their line numbers;
//! several of one item count as one test.

use crate::{
    protocol::report::{TestResult, TestStatus},
    verify::parse::results::Results,
};

#[derive(Default)]
struct Reader {
    results: Results,
    /// The section's part of the id.
    prefix: String,
    /// Between `running N tests` and the list of failures.
    listing: bool,
    /// A test whose result was pushed to a later line by what it printed.
    open: Option<String>,
}

/// Returns the test results in the output of `cargo test`.
pub fn parse(text: &str) -> Vec<TestResult> {
    let mut reader = Reader::default();
    for line in text.lines() {
        reader.line(line);
    }
    reader.results.into_vec()
}

impl Reader {
    fn line(&mut self, line: &str) {
        let trimmed = line.trim_start();
        if let Some(rest) = trimmed.strip_prefix("Running ")
            && let Some(prefix) = binary(rest)
        {
            *self = Self { prefix, results: std::mem::take(&mut self.results), ..Self::default() };
        } else if let Some(name) = trimmed.strip_prefix("Doc-tests ") {
            self.prefix = format!("{}(doc)::", name.trim());
            self.listing = false;
        } else if is_start(line) {
            self.listing = true;
            self.open = None;
        } else if line == "failures:" || line.starts_with("test result: ") {
            // What follows is what failing tests printed, which may look like a listing.
            self.listing = false;
        } else if self.listing {
            self.listed(line);
        }
    }

    fn listed(&mut self, line: &str) {
        if let Some((name, after)) =
            line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        {
            let id = self.id(name);
            match status(after).or_else(|| after.split_whitespace().last().and_then(status)) {
                Some(status) => self.results.add(&id, status),
                None => self.open = Some(id),
            }
        } else if let Some(status) = status(line)
            && let Some(id) = self.open.take()
        {
            self.results.add(&id, status);
        }
    }

    fn id(&self, name: &str) -> String {
        let mut name = name;
        for note in [" - should panic", " - compile fail", " - compile"] {
            name = name.strip_suffix(note).unwrap_or(name);
        }
        let name = match name.rsplit_once(" (line ") {
            Some((item, _)) => item,
            None => name,
        };
        format!("{}{name}", self.prefix)
    }
}

/// Returns whether a line opens a listing: `running 3 tests`.
fn is_start(line: &str) -> bool {
    let mut words = line.split(' ');
    words.next() == Some("running")
        && words.next().is_some_and(|count| count.parse::<u32>().is_ok())
        && matches!(words.next(), Some("test" | "tests"))
        && words.next().is_none()
}

/// Returns the id prefix from `unittests src/lib.rs (target/debug/deps/name-0123456789abcdef)`.
fn binary(rest: &str) -> Option<String> {
    let (source, path) = rest.trim_end().strip_suffix(')')?.split_once(" (")?;
    let file = path.rsplit(['/', '\\']).next()?;
    let name = file.rsplit_once('-').map_or(file, |(name, _hash)| name);
    let source = source.strip_prefix("unittests ").unwrap_or(source);
    let is_library = source == "src/lib.rs";
    Some(if is_library { format!("{name}::") } else { format!("{name}({source})::") })
}

fn status(word: &str) -> Option<TestStatus> {
    match word {
        "ok" => Some(TestStatus::Passed),
        "FAILED" => Some(TestStatus::Failed),
        _ if word == "ignored" || word.starts_with("ignored, ") => Some(TestStatus::Skipped),
        // `--report-time` adds `<0.003s>`.
        _ => word.split_once(" <").and_then(|(word, _)| status(word)),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_debug_snapshot;

    use super::*;

    const OUTPUT: &str = "   Compiling rs v0.1.0 (/x)
     Running unittests src/lib.rs (target/debug/deps/rs-a35a48c092d3f767)

running 5 tests
test tests::ign ... ignored, slow one
test tests::ign2 ... ignored
test tests::bad ... FAILED
test tests::pan - should panic ... ok
test tests::works ... ok

failures:

---- tests::bad stdout ----
test fake ... ok
left: 4

failures:
    tests::bad

test result: FAILED. 2 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.07s

error: test failed, to rerun pass `--lib`
     Running unittests src/main.rs (target/debug/deps/rs-e6a155d4dac9ea87)

running 1 test
test tests::works ... FAILED

test result: FAILED. 0 passed; 1 failed
     Running tests/it.rs (target/debug/deps/it-5d80ee75e3495a72)

running 3 tests
test noisy ... printed by the test
ok
test quick ... ok <0.003s>
test same_line ... a word ok

test result: ok. 3 passed
   Doc-tests rs

running 3 tests
test src/lib.rs - add (line 10) - compile ... ok
test src/lib.rs - add (line 3) ... ok
test src/lib.rs - sub (line 7) - should panic ... FAILED
";

    #[test]
    fn every_section_is_read() {
        let ids: Vec<_> =
            parse(OUTPUT).into_iter().map(|t| format!("{:?} {}", t.status, t.id)).collect();
        assert_debug_snapshot!(ids, @r#"
        [
            "Passed it(tests/it.rs)::noisy",
            "Passed it(tests/it.rs)::quick",
            "Passed it(tests/it.rs)::same_line",
            "Passed rs(doc)::src/lib.rs - add",
            "Failed rs(doc)::src/lib.rs - sub",
            "Failed rs(src/main.rs)::tests::works",
            "Failed rs::tests::bad",
            "Skipped rs::tests::ign",
            "Skipped rs::tests::ign2",
            "Passed rs::tests::pan",
            "Passed rs::tests::works",
        ]
        "#);
    }

    #[test]
    fn a_new_build_hash_and_a_shifted_line_keep_the_ids() {
        let shifted = OUTPUT
            .replace("a35a48c092d3f767", "0000000000000000")
            .replace("(line 3)", "(line 30)")
            .replace("finished in 0.07s", "finished in 9.99s");
        assert_eq!(parse(&shifted), parse(OUTPUT));
    }

    #[test]
    fn what_a_failing_test_prints_is_no_result() {
        assert!(parse(OUTPUT).iter().all(|test| !test.id.contains("fake")));
    }
}
