//! Chooses the parsers for a check: by its command where that names a runner, else by the output.

use crate::{
    protocol::report::{Check, TestResult},
    verify::parse::{
        cargo, go, junit, nextest, pytest,
        results::{Results, plain},
        tap, unittest,
    },
};

type Parser = fn(&str) -> Vec<TestResult>;

/// Words of a command line that name a runner, and its parser.
///
/// `unittest` prints to the same stream as what it tests, so a named runner is trusted alone: a
/// failing test that shows another runner's output must not add that runner's ids.
const RUNNERS: [(&str, Parser); 8] = [
    ("cargo nextest", nextest::parse),
    ("cargo test", cargo::parse),
    ("pytest", pytest::parse),
    ("unittest", unittest::parse),
    ("go test", go::parse),
    ("node --test", tap::parse),
    ("prove ", tap::parse),
    ("junit", junit::parse),
];

/// Returns the test results found in a check's output, sorted by id.
pub fn parse(output: &str, check: &Check) -> Vec<TestResult> {
    let text = plain(output);
    let named: Vec<Parser> = RUNNERS
        .iter()
        .filter(|(word, _)| check.command.contains(word))
        .map(|(_, parser)| *parser)
        .collect();
    let found = union(&named, &text);
    // `make test` and the like name nobody, and a named runner may print a format of its own.
    if found.is_empty() { union(&RUNNERS.map(|(_, parser)| parser), &text) } else { found }
}

fn union(parsers: &[Parser], text: &str) -> Vec<TestResult> {
    let mut all = Results::default();
    for test in parsers.iter().flat_map(|parser| parser(text)) {
        all.add(&test.id, test.status);
    }
    all.into_vec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, proptest};

    use super::*;
    use crate::protocol::report::Origin;

    fn ids(command: &str, output: &str) -> Vec<String> {
        let check = Check { command: command.to_owned(), origin: Origin::Named };
        parse(output, &check).into_iter().map(|test| test.id).collect()
    }

    const CARGO: &str = "running 1 test\ntest a ... ok\n\ntest result: ok. 1 passed\n";
    const PYTEST: &str = "== short test summary info ==\nPASSED t.py::b\n1 passed in 0.1s\n";

    #[test]
    fn two_runners_behind_one_command_are_both_read() {
        assert_eq!(ids("make test", &format!("{CARGO}{PYTEST}")), ["a", "t.py::b"]);
    }

    #[test]
    fn a_named_runner_is_trusted_alone() {
        assert_eq!(ids("cargo test", &format!("{CARGO}{PYTEST}")), ["a"]);
        assert_eq!(ids("cargo test && pytest", &format!("{CARGO}{PYTEST}")), ["a", "t.py::b"]);
    }

    #[test]
    fn colours_do_not_hide_a_result() {
        let colour = CARGO.replace("ok\n\n", "\u{1b}[32mok\u{1b}[0m\n\n");
        assert_eq!(ids("cargo test", &colour), ["a"]);
    }

    #[test]
    fn prose_has_no_tests() {
        let prose = "everything is ok\n1 passed\nok, so be it\ntest the waters ... ok\nFAIL me\n";
        assert_eq!(ids("true", prose), Vec::<String>::new());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_make_a_parser_panic(bytes in any::<Vec<u8>>(), cut in any::<usize>()) {
            let seed = concat!(
                "running 2 tests\ntest a ... ok\nTAP version 13\n1..2\nok 1 - é # SKIP\n",
                "<testsuite><testcase name='&#x0;é'><failure/></testcase></testsuite>\n",
                "{\"Action\":\"pass\",\"Package\":\"p\",\"Test\":\"T\"}\n--- FAIL: é (0.0s)\nFAIL\tp\n",
                "= short test summary info =\nFAILED t.py::x[é - - a\nRan 1 test in 0s\n",
                "FAIL: é (m.T)\n Nextest run ID x\n  PASS [  é\n",
            );
            let mut text = seed.to_owned();
            text.truncate(text.floor_char_boundary(cut % seed.len()));
            text.push_str(&String::from_utf8_lossy(&bytes));
            text.push_str(seed);
            ids("true", &text);
        }
    }
}
