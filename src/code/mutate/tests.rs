//! What the edits of each sort come to.

use super::*;
use crate::code::{functions::functions, syntax::syntax_ok};

/// The whole texts that the edits of a file's first function come to.
fn all(path: &str, text: &str) -> Vec<String> {
    let function = &functions(path, text)[0];
    edits(path, text, &function.bytes).iter().map(|edit| edit.applied(text)).collect()
}

#[track_caller]
fn reaches(path: &str, text: &str, sound: &str) {
    let found = all(path, text);
    assert!(found.iter().any(|edited| edited == sound), "{path}: {sound}\nof {}", found.len());
}

#[test]
fn each_sort_of_bug_is_within_one_edit_in_python() {
    for (body, sound) in [
        ("return a < b", "return a <= b"),
        ("return a and b", "return a or b"),
        ("return a // b", "return a / b"),
        ("return a * b", "return a ** b"),
        ("return sum(x for x in range(a))", "return sum(x for x in range(a + 1))"),
        ("return a[1]", "return a[0]"),
        ("return a[b]", "return a[b - 1]"),
        ("return a[:b]", "return a[1:b]"),
        ("return a[b:]", "return a[b:-1]"),
        ("return f(a, b)", "return f(b, a)"),
        ("return not a", "return a"),
        ("return a * a", "return a * b"),
        ("return min(a, b)", "return max(a, b)"),
        ("return a", "return not (a)"),
        ("a = b\n    b = a\n    return a", "b = a\n    a = b\n    return a"),
        ("a = b\n    b = a\n    return a", "pass\n    b = a\n    return a"),
        ("return True", "return False"),
        ("return a + b", "return a"),
        ("return a.lower()", "return a.upper()"),
        ("return a / b", "if not b:\n        return 0\n    return a / b"),
        ("if a:\n        return b\n    return a", "if not (a):\n        return b\n    return a"),
        (
            "for x in a:\n        b += x\n        return b",
            "for x in a:\n        b += x\n    return b",
        ),
        ("for x in a:\n        b += x\n    b += 2", "for x in a:\n        b += x\n        b += 2"),
        ("return 'x' + 'y'", "return 'y' + 'y'"),
    ] {
        let file = |body: &str| format!("def g(a, b):\n    {body}\n");
        reaches("a.py", &file(body), &file(sound));
    }
}

#[test]
fn rust_and_javascript_have_the_same() {
    for (body, sound) in [
        ("a < b", "a <= b"),
        ("(0..a).sum()", "(0..=a).sum()"),
        ("v[a]", "v[a + 1]"),
        ("a.max(b)", "a.min(b)"),
        ("f(a, b)", "f(b, a)"),
        ("a / b", "if b == 0 { return 0; }\n    a / b"),
        ("if a > b { return b; }\n    a", "if !(a > b) { return b; }\n    a"),
        ("a.saturating_sub(b)", "a.saturating_sub(b - 1)"),
    ] {
        let file = |body: &str| format!("fn g(a: u64, b: u64) -> u64 {{\n    {body}\n}}\n");
        reaches("a.rs", &file(body), &file(sound));
    }
    for (body, sound) in [
        ("return a === b;", "return a !== b;"),
        ("return a && b;", "return a || b;"),
        ("if (a) { return b; }", "if (!((a))) { return b; }"),
        ("return Math.min(a, b);", "return Math.max(a, b);"),
        ("for (let i = 0; i < a; i++) { b += i; }", "for (let i = 0; i <= a; i++) { b += i; }"),
        ("return a[b];", "return a[b - 1];"),
    ] {
        let file = |body: &str| format!("function g(a, b) {{\n  {body}\n}}\n");
        reaches("a.js", &file(body), &file(sound));
    }
}

#[test]
fn only_the_function_is_touched_and_documentation_stays() {
    let text = "X = 1 < 2\ndef f(a):\n    \"\"\"1 < 2\"\"\"\n    return a < 1\nY = 3 < 4\n";
    let function = &functions("a.py", text)[0];
    for edit in edits("a.py", text, &function.bytes) {
        let edited = edit.applied(text);
        assert!(edited.starts_with("X = 1 < 2\ndef f") && edited.ends_with("Y = 3 < 4\n"));
        assert!(edited.contains("\"\"\"1 < 2\"\"\""), "{edited}");
        assert_ne!(edited, text);
    }
    assert!(edits("a.txt", "def f(a): return a", &(0..18)).is_empty());
}

#[test]
fn most_edits_parse() {
    let text = "def f(a, b):\n    c = []\n    for x in a:\n        if x > b:\n            c.append(x)\n    return c\n";
    let found = all("a.py", text);
    let sound = found.iter().filter(|edited| syntax_ok("a.py", edited).is_ok()).count();
    assert!(found.len() > 50 && sound * 10 > found.len() * 9, "{sound} of {}", found.len());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_fall(text in "\\PC{0,120}", path in "a\\.(py|rs|js|go|ts)") {
        for edit in edits(&path, &text, &(0..text.len())) {
            edit.applied(&text);
        }
    }
}

#[test]
fn of_equal_edits_the_likeliest_kind_counts() {
    let text = "def f():\n    return False\n";
    let found = edits("a.py", text, &functions("a.py", text)[0].bytes);
    let truth: Vec<_> = found.iter().filter(|edit| edit.with == "True").collect();
    assert_eq!((truth.len(), truth[0].kind), (1, Kind::Constant));
    assert!(!found.iter().any(|edit| edit.with.contains("not")));
}
