//! Import lines: a new function that needs one brings it along.

use crate::code::language::{Go, Language, language_of, parse, walk};

/// Returns the text with those top-level import statements of `new` that it lacks.
pub fn with_imports_of(path: &str, text: &str, new: &str) -> String {
    let Some(language) = language_of(path) else {
        return text.to_owned();
    };
    let known = imports(language, text);
    let wanted = imports(language, new);
    let missing: Vec<&str> = wanted
        .iter()
        .map(|(_, import)| import.as_str())
        .filter(|import| !known.iter().any(|(_, other)| other == import))
        .collect();
    if missing.is_empty() {
        return text.to_owned();
    }
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let lines: String = missing.iter().map(|import| format!("{import}{end}")).collect();
    // Behind the last of the first run of imports, so that `from __future__` stays first.
    let at = known.last().map_or_else(|| head(language, text), |(at, _)| line_end(text, *at));
    format!("{}{lines}{}", &text[..at], &text[at..])
}

/// Returns the end and the text of each import among the first statements of a file, or of all of
/// a snippet.
fn imports(language: Language, text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    if let Some(tree) = parse(language, text) {
        walk(&tree, |node, ancestors| {
            let import = matches!(
                node.kind(),
                "import_statement"
                    | "import_from_statement"
                    | "future_import_statement"
                    | "use_declaration"
                    | "import_declaration"
            );
            if import && ancestors.len() == 1 {
                let own = text.get(node.byte_range()).unwrap_or_default();
                found.push((node.end_byte(), own.trim().to_owned()));
            }
            if ancestors.is_empty() { Go::In } else { Go::Past }
        });
    }
    found
}

/// Returns where imports go in a file that has none: behind a module's doc string, package clause
/// or leading comments.
fn head(language: Language, text: &str) -> usize {
    let mut at = 0;
    let mut over = false;
    if let Some(tree) = parse(language, text) {
        walk(&tree, |node, ancestors| {
            if ancestors.is_empty() {
                return Go::In;
            }
            let doc = language == Language::Python
                && node.kind() == "expression_statement"
                && node.child(0).is_some_and(|child| child.kind() == "string");
            over |= !(doc || node.kind().contains("comment") || node.kind() == "package_clause");
            if !over {
                at = line_end(text, node.end_byte());
            }
            Go::Past
        });
    }
    at
}

fn line_end(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    if text.get(..at).is_some_and(|before| before.ends_with('\n')) {
        return at;
    }
    rest.find('\n').map_or(text.len(), |line| at + line + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_imports_are_added_once() {
        let text = "\"\"\"Doc.\"\"\"\n\nimport os\n\ndef f():\n    pass\n";
        let new = "import math\nimport os\nfrom a import b\n\ndef f():\n    import inner\n    return math.pi\n";
        let mended = with_imports_of("a.py", text, new);
        assert_eq!(
            mended,
            "\"\"\"Doc.\"\"\"\n\nimport os\nimport math\nfrom a import b\n\ndef f():\n    pass\n"
        );
        assert_eq!(with_imports_of("a.py", &mended, new), mended);
    }

    #[test]
    fn a_file_without_imports_gets_them_at_its_head() {
        let new = "import math\n";
        assert_eq!(with_imports_of("a.py", "# c\nx = 1\n", new), "# c\nimport math\nx = 1\n");
        let doc = "\"\"\"Doc.\"\"\"\nx = 1\n";
        assert_eq!(with_imports_of("a.py", doc, new), "\"\"\"Doc.\"\"\"\nimport math\nx = 1\n");
        assert_eq!(
            with_imports_of("a.rs", "fn f() {}\n", "use std::fmt;\nfn f() {}"),
            "use std::fmt;\nfn f() {}\n"
        );
        assert_eq!(with_imports_of("a.txt", "x", "import math"), "x");
    }
}
