//! TAP, the Test Anything Protocol, with nested subtests.
//!
//! The id is the description, below the descriptions of the subtests it stands in; a test without
//! a description has its number.

use crate::{
    protocol::report::{TestResult, TestStatus},
    verify::parse::results::Results,
};

/// Returns the test results of a TAP stream.
pub fn parse(text: &str) -> Vec<TestResult> {
    let is_tap = |line: &str| line.starts_with("TAP version ") || is_plan(line);
    if !text.lines().any(is_tap) {
        return Vec::new();
    }
    let mut results = Results::default();
    // The subtests that are open, with their indentation.
    let mut open: Vec<(usize, &str)> = Vec::new();
    let mut detail = None;
    for line in text.lines() {
        let body = line.trim_start();
        let indent = line.len() - body.len();
        // A YAML block of details may quote anything, also other results.
        match detail {
            Some(at) if body == "..." && indent == at => detail = None,
            Some(_) => {}
            None if body == "---" => detail = Some(indent),
            None => {
                if let Some(name) = body.strip_prefix("# Subtest: ") {
                    open.retain(|(at, _)| *at < indent);
                    open.push((indent, name.trim()));
                } else if let Some((status, name)) = test_line(body) {
                    open.retain(|(at, _)| *at < indent);
                    let path = open.iter().map(|(_, name)| *name).chain([name]);
                    results.add(&path.collect::<Vec<_>>().join(" > "), status);
                }
            }
        }
    }
    results.into_vec()
}

fn is_plan(line: &str) -> bool {
    line.strip_prefix("1..").is_some_and(|rest| {
        rest.split(' ').next().is_some_and(|count| count.parse::<u32>().is_ok())
    })
}

/// Reads `not ok 2 - description # SKIP reason`.
fn test_line(line: &str) -> Option<(TestStatus, &str)> {
    let (failed, rest) = match line.strip_prefix("not ok") {
        Some(rest) => (true, rest),
        None => (false, line.strip_prefix("ok")?),
    };
    let rest = rest.strip_prefix(' ')?;
    let number = rest.split(' ').next().filter(|word| word.parse::<u32>().is_ok())?;
    let (name, directive) = match rest[number.len()..].rsplit_once(" # ") {
        Some((name, directive)) => (name, directive),
        None => (&rest[number.len()..], ""),
    };
    let name = name.trim().strip_prefix("- ").unwrap_or(name.trim());
    let directive = directive.to_ascii_lowercase();
    let status = if directive.starts_with("skip") || directive.starts_with("todo") {
        TestStatus::Skipped
    } else if failed {
        TestStatus::Failed
    } else {
        TestStatus::Passed
    };
    Some((status, if name.is_empty() { number } else { name }))
}

#[cfg(test)]
mod tests {
    use insta::assert_debug_snapshot;

    use super::*;

    #[test]
    fn nested_subtests_directives_and_details() {
        let output = "TAP version 13
# Subtest: top ok
ok 1 - top ok
  ---
  duration_ms: 0.90318
  ...
# Subtest: parent
    # Subtest: child ok
    ok 1 - child ok
    # Subtest: child bad
    not ok 2 - child bad
      ---
      stack: |-
        ok 1 - forged
      ...
    1..2
not ok 2 - parent
# Subtest: skipped
ok 3 - skipped # SKIP why
not ok 4 - later # todo
ok 5 - hash \\# in name
ok 6
okay 7 - not a result
1..6
";
        let ids: Vec<_> =
            parse(output).into_iter().map(|t| format!("{:?} {}", t.status, t.id)).collect();
        assert_debug_snapshot!(ids, @r#"
        [
            "Passed 6",
            "Passed hash \\# in name",
            "Skipped later",
            "Failed parent",
            "Failed parent > child bad",
            "Passed parent > child ok",
            "Skipped skipped",
            "Passed top ok",
        ]
        "#);
    }
}
