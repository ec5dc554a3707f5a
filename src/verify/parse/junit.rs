//! JUnit XML in a check's output, whoever wrote it.
//!
//! The id is `classname::name`, below the names of nested suites where there is no class name.
//! Entities other than the five of XML are never resolved. A document that breaks off or is
//! malformed says nothing, since what is missing from it cannot be told from what was deleted.

use std::borrow::Cow;

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

use crate::{
    protocol::report::{TestResult, TestStatus},
    verify::parse::results::Results,
};

/// Deeper nesting is refused.
const MAX_DEPTH: usize = 64;

/// Returns the test results of the JUnit documents in a text.
pub fn parse(text: &str) -> Vec<TestResult> {
    let mut results = Results::default();
    let mut rest = text;
    while let Some(at) = rest.find("<testsuite") {
        let Some(used) = document(&rest[at..], &mut results) else { return Vec::new() };
        rest = &rest[at + used..];
    }
    results.into_vec()
}

/// A test case that is open: its id and what its children say.
struct Case {
    id: String,
    status: TestStatus,
}

/// Reads one document and returns its length; none when it does not end well.
fn document(text: &str, results: &mut Results) -> Option<usize> {
    let mut reader = Reader::from_str(text);
    let mut depth = 0_usize;
    let mut case: Option<Case> = None;
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) => {
                depth += 1;
                open(&tag, &mut case);
            }
            Event::Empty(tag) => {
                open(&tag, &mut case);
                close(tag.name().as_ref(), &mut case, results);
            }
            Event::End(tag) => {
                depth = depth.checked_sub(1)?;
                close(tag.name().as_ref(), &mut case, results);
                if depth == 0 {
                    return usize::try_from(reader.buffer_position()).ok();
                }
            }
            Event::Eof => return None,
            _ => {}
        }
        if depth > MAX_DEPTH {
            return None;
        }
    }
}

fn open(tag: &BytesStart<'_>, case: &mut Option<Case>) {
    let status = match tag.name().as_ref() {
        "testcase" => {
            let (class, name) = (attribute(tag, "classname"), attribute(tag, "name"));
            let id = if class.is_empty() { name } else { format!("{class}::{name}") };
            *case = Some(Case { id, status: TestStatus::Passed });
            return;
        }
        "failure" | "error" => TestStatus::Failed,
        "skipped" => TestStatus::Skipped,
        _ => return,
    };
    // A skip beside a failure is a failure that is expected.
    if let Some(case) = case
        && case.status != TestStatus::Skipped
    {
        case.status = status;
    }
}

fn close(name: &str, case: &mut Option<Case>, results: &mut Results) {
    if name == "testcase"
        && let Some(case) = case.take()
    {
        results.add(&case.id, case.status);
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> String {
    tag.try_get_attribute(name)
        .ok()
        .flatten()
        .and_then(|attribute| attribute.normalized_value(XmlVersion::Implicit1_0).ok())
        .map(Cow::into_owned)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use insta::assert_debug_snapshot;

    use super::*;

    fn shown(output: &str) -> Vec<String> {
        parse(output).into_iter().map(|t| format!("{:?} {}", t.status, t.id)).collect()
    }

    const DOCUMENT: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" errors="1" timestamp="2026-11-22T18:02:32">
<testcase classname="" name="tests.test_c" time="0.000"><error message="collection failure">x &lt;m&gt;</error></testcase>
<testcase classname="tests.test_a" name="test_ok" time="0.000" />
<testcase classname="tests.test_a" name="test_p[&lt;a&gt;]"><failure message="no"><![CDATA[<testcase name="forged"/>]]></failure></testcase>
<testcase classname="tests.test_a" name="test_s"><skipped type="pytest.skip"/></testcase>
<testcase classname="test" name="later"><skipped type="todo"/><failure/></testcase>
</testsuite></testsuites>
"#;

    #[test]
    fn cases_and_what_their_children_say() {
        assert_debug_snapshot!(shown(&format!("before\n{DOCUMENT}\nafter")), @r#"
        [
            "Skipped test::later",
            "Passed tests.test_a::test_ok",
            "Failed tests.test_a::test_p[<a>]",
            "Skipped tests.test_a::test_s",
            "Failed tests.test_c",
        ]
        "#);
    }

    #[test]
    fn a_document_that_breaks_off_says_nothing() {
        assert_eq!(parse(&DOCUMENT[..DOCUMENT.len() - 30]), []);
        assert_eq!(parse(&"<testsuite>".repeat(100_000)), []);
    }

    #[test]
    fn foreign_entities_are_not_resolved() {
        let bomb = r#"<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><testsuite><testcase name="&a;"/><testcase name="b"/></testsuite>"#;
        assert_eq!(shown(bomb), ["Passed b"]);
    }
}
