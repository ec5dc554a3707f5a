//! `go test`: plain, `-v` and `-json`.
//!
//! The id is `package Test/sub`; a package is a test of its own name, because without `-v` it is
//! all that is shown and because a package that does not build has no tests.

use serde::Deserialize;

use crate::{
    protocol::report::{TestResult, TestStatus},
    verify::parse::results::Results,
};

/// Returns the test results in the output of `go test`.
pub fn parse(text: &str) -> Vec<TestResult> {
    let mut results = Results::default();
    let mut waiting = Vec::new();
    for line in text.lines() {
        if line.starts_with('{') {
            json_line(line, &mut results);
        } else if let Some(test) = test_line(line) {
            waiting.push(test);
        } else if let Some((status, package)) = package_line(line) {
            results.add(package, status);
            // A package's line comes after its tests' lines.
            for (status, name) in waiting.drain(..) {
                results.add(&format!("{package} {name}"), status);
            }
        }
    }
    results.into_vec()
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "Action")]
    action: &'a str,
    #[serde(rename = "Package")]
    package: String,
    #[serde(rename = "Test", default)]
    test: String,
}

fn json_line(line: &str, results: &mut Results) {
    let Ok(line) = serde_json::from_str::<Line<'_>>(line) else { return };
    let status = match line.action {
        "pass" => TestStatus::Passed,
        "fail" => TestStatus::Failed,
        "skip" => TestStatus::Skipped,
        _ => return,
    };
    results.add(&format!("{} {}", line.package, line.test), status);
}

/// Reads `    --- FAIL: TestX/sub (0.00s)`.
fn test_line(line: &str) -> Option<(TestStatus, &str)> {
    let rest = line.trim_start().strip_prefix("--- ")?;
    let (word, rest) = rest.split_once(": ")?;
    let name = rest.rsplit_once(" (").map_or(rest, |(name, _time)| name);
    let status = match word {
        "PASS" => TestStatus::Passed,
        "FAIL" => TestStatus::Failed,
        "SKIP" => TestStatus::Skipped,
        _ => return None,
    };
    Some((status, name))
}

/// Reads `ok  \tpackage\t0.1s`, `FAIL\tpackage [build failed]` and `?   \tpackage\t[no test files]`.
fn package_line(line: &str) -> Option<(TestStatus, &str)> {
    let (word, rest) = line.split_once('\t')?;
    let status = match word {
        "ok  " => TestStatus::Passed,
        "FAIL" => TestStatus::Failed,
        "?   " => TestStatus::Skipped,
        _ => return None,
    };
    let package = rest.split(['\t', ' ']).next()?;
    (!package.is_empty()).then_some((status, package))
}

#[cfg(test)]
mod tests {
    use insta::assert_debug_snapshot;

    use super::*;

    fn shown(output: &str) -> Vec<String> {
        parse(output).into_iter().map(|t| format!("{:?} {}", t.status, t.id)).collect()
    }

    #[test]
    fn plain_and_verbose() {
        let output = "=== RUN   TestA
--- PASS: TestA (0.00s)
=== RUN   TestB
=== RUN   TestB/sub_(1)
    b_test.go:7: no
--- FAIL: TestB (0.01s)
    --- FAIL: TestB/sub_(1) (0.01s)
--- SKIP: TestC (0.00s)
FAIL
FAIL\texample.com/m/a\t0.004s
=== RUN   TestA
--- PASS: TestA (0.00s)
PASS
ok  \texample.com/m/b\t(cached)
?   \texample.com/m/c\t[no test files]
# example.com/m/d
d/d.go:3:1: syntax error
FAIL\texample.com/m/d [build failed]
FAIL
";
        assert_debug_snapshot!(shown(output), @r#"
        [
            "Failed example.com/m/a",
            "Passed example.com/m/a TestA",
            "Failed example.com/m/a TestB",
            "Failed example.com/m/a TestB/sub_(1)",
            "Skipped example.com/m/a TestC",
            "Passed example.com/m/b",
            "Passed example.com/m/b TestA",
            "Skipped example.com/m/c",
            "Failed example.com/m/d",
        ]
        "#);
    }

    #[test]
    fn json_lines() {
        let output = r#"{"Time":"2026-01-01T00:00:00Z","Action":"run","Package":"m/a","Test":"TestA"}
{"Action":"output","Package":"m/a","Test":"TestA","Output":"--- PASS: TestA (0.00s)\n"}
{"Action":"pass","Package":"m/a","Test":"TestA","Elapsed":0.01}
{"Action":"fail","Package":"m/a","Test":"TestB/s","Elapsed":0.01}
{"Action":"fail","Package":"m/a","Elapsed":0.01}
{"Action": 7}
"#;
        assert_eq!(shown(output), ["Failed m/a", "Passed m/a TestA", "Failed m/a TestB/s"]);
    }
}
