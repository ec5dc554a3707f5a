//! The functions of a file, with the bytes they cover.

use std::ops::Range;

use crate::code::{
    language::language_of,
    outline::{Definition, definitions, last_row, line},
};

/// A function or method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its qualified name: `Stats.median`, `Stats::median`.
    pub name: String,
    /// First line, from 1, decorators included.
    pub from: u32,
    /// Last line, inclusive.
    pub to: u32,
    /// Its bytes, without decorators.
    pub bytes: Range<usize>,
    /// Its bytes, with decorators.
    pub decorated: Range<usize>,
    /// How many definitions it stands in.
    pub depth: usize,
}

impl Function {
    /// Returns the name without what it stands in.
    pub fn own_name(&self) -> &str {
        self.name.rsplit(['.', ':']).next().unwrap_or(&self.name)
    }

    /// Returns whether `name` means this function: its qualified name, or the end of it.
    pub fn is_called(&self, name: &str) -> bool {
        let end = self.name.strip_suffix(name);
        end.is_some_and(|rest| rest.is_empty() || rest.ends_with(['.', ':']))
    }
}

/// Returns the functions with a body in a text, in order; empty when the language is unknown.
pub fn functions(path: &str, text: &str) -> Vec<Function> {
    let mut found = Vec::new();
    if let Some(language) = language_of(path) {
        definitions(language, text, |definition| {
            if matches!(definition.kind, "fn" | "def" | "func" | "function" | "method")
                && definition.node.kind() != "function_signature_item"
            {
                found.push(function(definition));
            }
        });
    }
    found
}

fn function(definition: &Definition<'_>) -> Function {
    let node = definition.node;
    let outer = match definition.parent {
        Some(parent) if parent.kind() == "decorated_definition" => parent,
        // `const f = () => 1` is replaced as a whole statement, `const` included.
        Some(parent) if parent.kind().ends_with("_declaration") && is_declarator(node) => parent,
        _ => node,
    };
    let inner = if is_declarator(node) { outer } else { node };
    Function {
        name: definition.name.clone(),
        from: line(outer.start_position().row),
        to: line(last_row(outer)),
        bytes: inner.byte_range(),
        decorated: outer.byte_range(),
        depth: definition.depth,
    }
}

fn is_declarator(node: tree_sitter::Node<'_>) -> bool {
    node.kind() == "variable_declarator"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decorators_belong_to_the_function() {
        let text = "class A:\n    @property\n    @other(1)\n    def b(self):\n        return 1\n";
        let found = functions("a.py", text);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].from, found[0].to), ("A.b", 2, 5));
        assert!(text[found[0].bytes.clone()].starts_with("def b"));
        assert!(text[found[0].decorated.clone()].starts_with("@property"));
    }

    #[test]
    fn names_match_by_their_end_only() {
        let found = functions("a.rs", "impl S { fn median(&self) {} }\nfn an() {}");
        assert!(found[0].is_called("median") && found[0].is_called("S::median"));
        assert!(!found[0].is_called("an") && !found[0].is_called("dian"));
        assert_eq!(found[0].own_name(), "median");
    }

    #[test]
    fn an_arrow_function_covers_its_statement() {
        let text = "export const f = (x) => x;\n";
        let found = functions("a.js", text);
        assert_eq!(&text[found[0].bytes.clone()], "const f = (x) => x;");
    }
}
