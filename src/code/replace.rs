//! Replaces functions of a file by new ones.
//!
//! The new text may be what a small model writes: at another indentation, a method wrapped in its
//! class or standing alone, with or without decorators. What surrounds the function stays byte for
//! byte as it was.

use std::ops::Range;

use thiserror::Error;

use crate::code::{
    functions::{Function, functions},
    language::{Go, Language, language_of, parse, walk},
};

/// Why a function cannot be replaced.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReplaceError {
    /// The file has no such function.
    #[error("no function `{name}` in the file; it has: {known}")]
    NotFound {
        /// The name.
        name: String,
        /// The file's functions.
        known: String,
    },
    /// The file has more than one.
    #[error("{count} functions are called `{name}`, at lines {lines}; name one as `Outer.{name}`")]
    Ambiguous {
        /// The name.
        name: String,
        /// How many.
        count: usize,
        /// Where.
        lines: String,
    },
}

/// A function cut out of a model's text: its source, and how far it was indented there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFunction {
    /// Its name, qualified when it was wrapped.
    pub name: String,
    /// Its source from the first decorator or the definition on, indentation of the first line
    /// removed from all lines.
    pub source: String,
    decorated: bool,
}

/// Returns the outermost functions that a text defines; a lone JavaScript method counts.
pub fn new_functions(path: &str, text: &str) -> Vec<NewFunction> {
    let text = dedent(&text.replace("\r\n", "\n"));
    let found = outermost(path, &text);
    let script = matches!(
        language_of(path),
        Some(Language::JavaScript | Language::TypeScript | Language::Tsx)
    );
    if !found.is_empty() || !script {
        return found;
    }
    let mut lone = outermost(path, &format!("class Lone {{\n{text}\n}}\n"));
    for function in &mut lone {
        function.name = function.name.trim_start_matches("Lone.").to_owned();
    }
    lone
}

fn outermost(path: &str, text: &str) -> Vec<NewFunction> {
    let mut end = 0;
    let mut found = Vec::new();
    for function in functions(path, text) {
        if function.decorated.start < end {
            continue;
        }
        end = function.decorated.end;
        let range = function.decorated.clone();
        let (Some(source), Some(before)) = (text.get(range.clone()), text.get(..range.start))
        else {
            continue;
        };
        let indent = before.rsplit('\n').next().filter(|s| s.trim().is_empty()).unwrap_or_default();
        found.push(NewFunction {
            source: shift(path, source, indent, ""),
            decorated: function.decorated.start < function.bytes.start,
            name: function.name,
        });
    }
    found
}

/// Returns the text with the function of that name replaced by `new`.
pub fn replace_with(path: &str, text: &str, new: &NewFunction) -> Result<String, ReplaceError> {
    let known = functions(path, text);
    let old = find(&known, &new.name)?;
    let range = if new.decorated { &old.decorated } else { &old.bytes };
    let (before, after) = halves(text, range);
    let line = before.rsplit('\n').next().unwrap_or_default();
    let indent = &line[..line.len() - line.trim_start().len()];
    let mut source = shift(path, &new.source, "", indent);
    if text.contains("\r\n") {
        source = source.replace('\n', "\r\n");
    }
    Ok(format!("{before}{source}{after}"))
}

/// Returns the one function that `name` means: by qualified name, else by its own name.
fn find<'f>(known: &'f [Function], name: &str) -> Result<&'f Function, ReplaceError> {
    let own = name.rsplit(['.', ':']).next().unwrap_or(name);
    let mut hits: Vec<&Function> = known.iter().filter(|f| f.is_called(name)).collect();
    if hits.len() > 1
        && let Some(exact) = hits.iter().find(|f| f.name == name)
    {
        return Ok(exact);
    }
    // A class made up by the model must not hide the only function of that name.
    if hits.is_empty() {
        hits = known.iter().filter(|f| f.own_name() == own).collect();
    }
    match hits.as_slice() {
        [one] => Ok(one),
        [] => Err(ReplaceError::NotFound { name: name.to_owned(), known: names(known) }),
        many => {
            let lines: Vec<String> = many.iter().map(|f| f.from.to_string()).collect();
            let (name, count) = (name.to_owned(), many.len());
            Err(ReplaceError::Ambiguous { name, count, lines: lines.join(", ") })
        }
    }
}

fn names(known: &[Function]) -> String {
    let mut names: Vec<&str> = known.iter().take(40).map(|f| f.name.as_str()).collect();
    if names.is_empty() {
        names.push("none");
    }
    names.join(", ")
}

fn halves<'t>(text: &'t str, range: &Range<usize>) -> (&'t str, &'t str) {
    let before = text.get(..range.start).unwrap_or_default();
    (before, text.get(range.end..).unwrap_or_default())
}

/// Returns the text without the blanks that all its non-empty lines begin with.
fn dedent(text: &str) -> String {
    let mut common: Option<&str> = None;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let blank = &line[..line.len() - line.trim_start().len()];
        let shared = common.unwrap_or(blank).bytes().zip(blank.bytes());
        let length = shared.take_while(|(a, b)| a == b).count();
        common = blank.get(..length);
    }
    let common = common.unwrap_or_default();
    let strip = |line: &str| line.strip_prefix(common).unwrap_or(line.trim_start()).to_owned();
    text.lines().map(strip).collect::<Vec<_>>().join("\n")
}

/// Returns the source with the indentation of all lines but the first changed.
///
/// Lines that begin inside a string are data and stay as they are; doc strings move along.
fn shift(path: &str, source: &str, from: &str, to: &str) -> String {
    if from == to {
        return source.to_owned();
    }
    let inside = lines_in_strings(path, source);
    let mut lines = Vec::new();
    for (row, line) in source.split('\n').enumerate() {
        let keep = row == 0 || line.trim().is_empty() || inside.iter().any(|r| r.contains(&row));
        lines.push(match line.strip_prefix(from) {
            Some(rest) if !keep => format!("{to}{rest}"),
            _ => line.to_owned(),
        });
    }
    lines.join("\n")
}

/// Returns the rows that begin inside a string which is no doc string.
fn lines_in_strings(path: &str, source: &str) -> Vec<Range<usize>> {
    let mut inside = Vec::new();
    if let Some(tree) = language_of(path).and_then(|language| parse(language, source)) {
        walk(&tree, |node, ancestors| {
            if !node.kind().contains("string") {
                return Go::In;
            }
            let (start, end) = (node.start_position().row, node.end_position().row);
            let doc = ancestors.last().is_some_and(|p| p.kind() == "expression_statement");
            if end > start && !doc {
                inside.push(start + 1..end + 1);
            }
            Go::Past
        });
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASS: &str = "class Stats:\n    @staticmethod\n    def mean(xs):\n        return 0\n\n    def other(self):\n        pass\n";

    /// Replaces the function called `name` by the one of that name in `new`.
    fn replace_function(
        path: &str,
        text: &str,
        name: &str,
        new: &str,
    ) -> Result<String, ReplaceError> {
        let own = |name: &str| name.rsplit(['.', ':']).next().map(str::to_owned);
        let found = new_functions(path, new);
        let same = found.iter().find(|f| f.name == name);
        let same = same.or_else(|| found.iter().find(|f| own(&f.name) == own(name)));
        let same = same.expect("the new text defines it").clone();
        replace_with(path, text, &NewFunction { name: name.to_owned(), ..same })
    }

    #[test]
    fn a_method_at_any_indentation_fits_in() {
        for new in [
            "def mean(xs):\n    \"\"\"Mean.\n\n    More.\n    \"\"\"\n    return sum(xs)",
            "    def mean(xs):\n        \"\"\"Mean.\n\n        More.\n        \"\"\"\n        return sum(xs)\n",
            "class Stats:\n    def mean(xs):\n        \"\"\"Mean.\n\n        More.\n        \"\"\"\n        return sum(xs)\n",
        ] {
            let text = replace_function("a.py", CLASS, "mean", new).expect(new);
            insta::allow_duplicates! {
                insta::assert_snapshot!(text, @r#"
                class Stats:
                    @staticmethod
                    def mean(xs):
                        """Mean.

                        More.
                        """
                        return sum(xs)

                    def other(self):
                        pass
                "#);
            }
        }
    }

    #[test]
    fn new_decorators_replace_the_old_ones() {
        let new = "@classmethod\ndef mean(cls, xs):\n    return 1\n";
        let text = replace_function("a.py", CLASS, "Stats.mean", new).expect("replaces");
        assert!(text.contains("    @classmethod\n    def mean(cls, xs):\n        return 1\n\n"));
        assert!(!text.contains("staticmethod"));
    }

    #[test]
    fn data_in_strings_is_not_indented() {
        let new = "def other(self):\n    x = '''a\nb'''\n    return x\n";
        let text = replace_function("a.py", CLASS, "other", new).expect("replaces");
        assert!(text.contains("        x = '''a\nb'''\n        return x"), "{text}");
    }

    #[test]
    fn other_languages_and_line_ends() {
        let text = "impl S {\r\n    /// Doc.\r\n    pub fn f(&self) -> u8 {\r\n        1\r\n    }\r\n}\r\n";
        let new = "pub fn f(&self) -> u8 {\n    2\n}";
        let text = replace_function("a.rs", text, "f", new).expect("replaces");
        assert_eq!(
            text,
            "impl S {\r\n    /// Doc.\r\n    pub fn f(&self) -> u8 {\r\n        2\r\n    }\r\n}\r\n"
        );
        let text = "class A {\n  f(x) {\n    return x;\n  }\n}\n";
        let text = replace_function("a.js", text, "f", "f(x) {\n  return -x;\n}").expect("lone");
        assert_eq!(text, "class A {\n  f(x) {\n    return -x;\n  }\n}\n");
        let text = "package a\n\nfunc (s *S) F() int { return 1 }\n";
        let new = "func (s *S) F() int {\n\treturn 2\n}\n";
        let text = replace_function("a.go", text, "F", new).expect("replaces");
        assert_eq!(text, "package a\n\nfunc (s *S) F() int {\n\treturn 2\n}\n");
    }

    #[test]
    fn what_cannot_be_told_apart_is_asked_again() {
        let two = "class A:\n    def f(self): pass\nclass B:\n    def f(self): pass\n";
        insta::assert_snapshot!(
            replace_function("a.py", two, "f", "def f(self): return 1").expect_err("ambiguous"),
            @"2 functions are called `f`, at lines 2, 4; name one as `Outer.f`"
        );
        assert_eq!(new_functions("a.py", "x = 1"), []);
        insta::assert_snapshot!(
            replace_function("a.py", two, "g", "def g(): pass").expect_err("missing"),
            @"no function `g` in the file; it has: A.f, B.f"
        );
        let wrapped = "class B:\n    def f(self): return 2\n";
        let text = replace_function("a.py", two, "B.f", wrapped).expect("named");
        assert_eq!(text, "class A:\n    def f(self): pass\nclass B:\n    def f(self): return 2\n");
    }
}
