//! What a file defines: the table of node kinds per language, and the outline made with it.

use tree_sitter::Node;

use crate::code::language::{Go, Language, language_of, parse, walk};

/// Definitions nested deeper are left out.
const MAX_DEPTH: usize = 64;

/// A definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// What it is, in the language's own word: `fn`, `class`, `struct`, …
    pub kind: &'static str,
    /// Its name, qualified by what it stands in: `Stats.median`, `Stats::median`.
    pub name: String,
    /// How many definitions it stands in.
    pub depth: usize,
    /// First line, from 1.
    pub from: u32,
    /// Last line, inclusive.
    pub to: u32,
}

/// Returns the definitions in a text, in order; empty when the language is unknown.
pub fn outline(path: &str, text: &str) -> Vec<Symbol> {
    let mut symbols = Vec::new();
    if let Some(language) = language_of(path) {
        definitions(language, text, |definition| {
            symbols.push(Symbol {
                kind: definition.kind,
                name: definition.name.clone(),
                depth: definition.depth,
                from: line(definition.node.start_position().row),
                to: line(last_row(definition.node)),
            });
        });
    }
    symbols
}

/// A definition with its node.
pub(super) struct Definition<'t> {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) depth: usize,
    pub(super) node: Node<'t>,
    pub(super) parent: Option<Node<'t>>,
}

/// Calls `visit` with each definition, in order.
pub(super) fn definitions(language: Language, text: &str, mut visit: impl FnMut(&Definition<'_>)) {
    let Some(tree) = parse(language, text) else {
        return;
    };
    // What the cursor stands in: end of the definition and its qualified name.
    let mut around: Vec<(usize, String)> = Vec::new();
    walk(&tree, |node, ancestors| {
        while around.last().is_some_and(|(end, _)| *end <= node.start_byte()) {
            around.pop();
        }
        // Names are qualified, so without a limit a hostile nest of modules fills the memory.
        if around.len() >= MAX_DEPTH {
            return Go::Past;
        }
        if let Some((kind, own)) = definition(language, node, text) {
            let name = match around.last() {
                Some((_, outer)) => format!("{outer}{}{own}", language.separator()),
                None => own,
            };
            let depth = around.len();
            let parent = ancestors.last().copied();
            visit(&Definition { kind, name: name.clone(), depth, node, parent });
            around.push((node.end_byte(), name));
        }
        Go::In
    });
}

/// Returns a line number counted from 1.
pub(super) fn line(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX).saturating_add(1)
}

/// Returns the row of a node's last byte; an end at column 0 belongs to the row before.
pub(super) fn last_row(node: Node<'_>) -> usize {
    let end = node.end_position();
    if end.column == 0 && end.row > node.start_position().row { end.row - 1 } else { end.row }
}

fn definition(language: Language, node: Node<'_>, text: &str) -> Option<(&'static str, String)> {
    let kind = match language {
        Language::Python => python(node),
        Language::Rust => rust(node),
        Language::Go => go(node),
        Language::JavaScript | Language::TypeScript | Language::Tsx => script(node),
    }?;
    let field = if node.kind() == "impl_item" { "type" } else { "name" };
    let name = node.child_by_field_name(field)?;
    // `impl<T> Stats<T>` is about `Stats`.
    let name = name.child_by_field_name("type").unwrap_or(name);
    let mut name = text.get(name.byte_range())?.to_owned();
    if node.kind() == "method_declaration" {
        name = format!("{}.{name}", receiver(node, text)?);
    }
    Some((kind, name))
}

fn python(node: Node<'_>) -> Option<&'static str> {
    Some(match node.kind() {
        "function_definition" => "def",
        "class_definition" => "class",
        _ => return None,
    })
}

fn rust(node: Node<'_>) -> Option<&'static str> {
    Some(match node.kind() {
        "function_item" | "function_signature_item" => "fn",
        "struct_item" => "struct",
        "enum_item" => "enum",
        "union_item" => "union",
        "trait_item" => "trait",
        "impl_item" => "impl",
        "mod_item" => "mod",
        "const_item" => "const",
        "static_item" => "static",
        "type_item" => "type",
        "macro_definition" => "macro",
        _ => return None,
    })
}

fn go(node: Node<'_>) -> Option<&'static str> {
    Some(match node.kind() {
        "function_declaration" | "method_declaration" => "func",
        "type_spec" | "type_alias" => "type",
        _ => return None,
    })
}

fn script(node: Node<'_>) -> Option<&'static str> {
    Some(match node.kind() {
        "function_declaration" | "generator_function_declaration" => "function",
        "class_declaration" | "abstract_class_declaration" => "class",
        "method_definition" => "method",
        "interface_declaration" => "interface",
        "type_alias_declaration" => "type",
        "enum_declaration" => "enum",
        "variable_declarator" => match node.child_by_field_name("value")?.kind() {
            "arrow_function" | "function_expression" | "generator_function" => "function",
            _ => return None,
        },
        _ => return None,
    })
}

/// Returns the type of a Go method's receiver, without pointer and type parameters.
fn receiver(node: Node<'_>, text: &str) -> Option<String> {
    let list = text.get(node.child_by_field_name("receiver")?.byte_range())?;
    let inner = list.trim_matches(['(', ')', ' ']);
    let kind = inner.rsplit(' ').next().unwrap_or(inner);
    Some(kind.trim_start_matches('*').split('[').next().unwrap_or(kind).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> String {
        let show = |s: &Symbol| format!("{} {} {}-{}", s.kind, s.name, s.from, s.to);
        outline(path, text).iter().map(show).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn python() {
        let text = "class A:\n    @property\n    def b(self):\n        return 1\n\n\nasync def c():\n    pass\n";
        insta::assert_snapshot!(lines("a.py", text), @r"
        class A 1-4
        def A.b 3-4
        def c 7-8
        ");
    }

    #[test]
    fn rust() {
        let text = "struct S<T>(T);\nimpl<T> Iterator for S<T> {\n    fn next(&mut self) {}\n}\nmod m {\n    const X: u8 = 1;\n}\n";
        insta::assert_snapshot!(lines("a.rs", text), @r"
        struct S 1-1
        impl S 2-4
        fn S::next 3-3
        mod m 5-7
        const m::X 6-6
        ");
    }

    #[test]
    fn go_and_typescript() {
        let text = "package a\n\ntype S struct{}\n\nfunc (s *S) F() {}\n\nfunc G() {}\n";
        insta::assert_snapshot!(lines("a.go", text), @r"
        type S 3-3
        func S.F 5-5
        func G 7-7
        ");
        let text = "export class A {\n  b(): void {}\n}\nconst c = () => 1;\ninterface D {}\n";
        insta::assert_snapshot!(lines("a.ts", text), @r"
        class A 1-3
        method A.b 2-2
        function c 4-4
        interface D 5-5
        ");
    }

    #[test]
    fn garbage_has_no_outline_and_does_no_harm() {
        assert_eq!(outline("a.bin", "\u{0}\u{1}"), []);
        let _ = outline("a.rs", "fn fn fn {{{{ \u{0} impl");
        let nest = format!("{}{}", "mod a{".repeat(10_000), "}".repeat(10_000));
        assert_eq!(outline("a.rs", &nest).len(), MAX_DEPTH);
    }
}
