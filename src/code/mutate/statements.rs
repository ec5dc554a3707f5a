//! Edits of statements: left out, twice, moved, and an early return at the head of a function.

use tree_sitter::Node;

use crate::code::{
    language::Language,
    mutate::{Edits, Kind, Spot},
};

/// Blocks of statements.
const BLOCKS: [&str; 2] = ["block", "statement_block"];
/// More parameters get no guard.
const MAX_GUARDED: usize = 4;

/// Puts the edits of one node.
pub(super) fn of(spot: &Spot<'_, '_>, edits: &mut Edits<'_>) {
    if !BLOCKS.contains(&spot.node.kind()) {
        return;
    }
    let all = spot.named();
    for statement in &all {
        delete(spot, *statement, edits);
    }
    for pair in all.windows(2) {
        swap(spot, (pair[0], pair[1]), edits);
        into(spot, (pair[0], pair[1]), edits);
    }
    outward(spot, &all, edits);
    guards(spot, &all, edits);
}

fn is_documentation(spot: &Spot<'_, '_>, statement: Node<'_>) -> bool {
    let own = spot.of(statement);
    statement.kind() == "expression_statement" && own.starts_with(['"', '\''])
        || own.starts_with("r\"")
}

fn delete(spot: &Spot<'_, '_>, statement: Node<'_>, edits: &mut Edits<'_>) {
    if is_documentation(spot, statement) || statement.kind().contains("definition") {
        return;
    }
    let python = spot.language == Language::Python;
    edits.put(Kind::Delete, statement.byte_range(), if python { "pass" } else { "" });
    if is_line(statement) && statement.kind() != "return_statement" {
        let own = spot.of(statement);
        let twice = format!("{own}\n{}{own}", indent(statement));
        edits.put(Kind::Duplicate, statement.byte_range(), twice);
    }
}

fn swap(spot: &Spot<'_, '_>, (one, two): (Node<'_>, Node<'_>), edits: &mut Edits<'_>) {
    if is_documentation(spot, one) {
        return;
    }
    let between = spot.text.get(one.end_byte()..two.start_byte()).unwrap_or("\n");
    let swapped = format!("{}{between}{}", spot.of(two), spot.of(one));
    edits.put(Kind::Move, one.start_byte()..two.end_byte(), swapped);
}

/// Puts a statement to the end of the block before it.
fn into(spot: &Spot<'_, '_>, (one, two): (Node<'_>, Node<'_>), edits: &mut Edits<'_>) {
    let body = ["body", "consequence"].into_iter().find_map(|field| one.child_by_field_name(field));
    let Some(last) = body.and_then(last_statement).filter(|_| is_line(two)) else { return };
    if last.end_byte() > one.end_byte() {
        return;
    }
    let inside = spot.text.get(one.start_byte()..last.end_byte()).unwrap_or_default();
    let rest = spot.text.get(last.end_byte()..one.end_byte()).unwrap_or_default();
    let moved = format!("{inside}\n{}{}{rest}", indent(last), spot.of(two));
    edits.put(Kind::Move, one.start_byte()..two.end_byte(), moved);
}

/// Puts the last statement of a block behind what the block belongs to.
fn outward(spot: &Spot<'_, '_>, all: &[Node<'_>], edits: &mut Edits<'_>) {
    let [.., before, last] = all else { return };
    let outer = spot.parent;
    let is_loop = outer.kind().starts_with("for_") || outer.kind().starts_with("while_");
    if !(is_loop || outer.kind().starts_with("if_")) || !is_line(*last) {
        return;
    }
    let tail = spot.text.get(last.end_byte()..outer.end_byte()).unwrap_or_default();
    let moved = format!("{tail}\n{}{}", indent(outer), spot.of(*last));
    edits.put(Kind::Move, before.end_byte()..outer.end_byte(), moved);
}

/// Puts early returns for an empty input before the first statement of a function.
fn guards(spot: &Spot<'_, '_>, all: &[Node<'_>], edits: &mut Edits<'_>) {
    let Some(parameters) = spot.parent.child_by_field_name("parameters") else { return };
    let first = all.iter().find(|statement| !is_documentation(spot, **statement));
    let Some(first) = first else { return };
    let result = spot.parent.child_by_field_name("return_type").map_or("", |node| spot.of(node));
    let mut cursor = parameters.walk();
    let named: Vec<_> = parameters.named_children(&mut cursor).collect();
    for parameter in
        named.into_iter().filter(|node| node.kind() != "self_parameter").take(MAX_GUARDED)
    {
        let own = spot.of(parameter);
        let (name, kind) = own.split_once([':', '=']).unwrap_or((own, ""));
        let (name, kind) = (name.trim(), kind.trim());
        if ["self", "cls", "this"].contains(&name) || name.starts_with('*') {
            continue;
        }
        let likely = if divides(spot.own(), name) { Kind::Divisor } else { Kind::Guard };
        let at = first.start_byte()..first.start_byte();
        for text in guard(spot.language, (name, kind), result) {
            let text = format!("{text}\n{}", indent(*first));
            edits.put(likely, at.clone(), text.replace('\t', &indent(*first)));
        }
    }
}

/// Returns whether something is divided by a name alone.
fn divides(text: &str, name: &str) -> bool {
    text.match_indices(['/', '%']).any(|(at, _)| {
        let rest = text[at + 1..].trim_start().strip_prefix(name);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

/// Returns early returns for one parameter; a tab stands for the indentation of the body.
fn guard(language: Language, (name, kind): (&str, &str), result: &str) -> Vec<String> {
    match language {
        Language::Python => ["None", "0", "[]", "False", "True", "''", name]
            .iter()
            .map(|value| format!("if not {name}:\n\t    return {value}"))
            .collect(),
        Language::Rust => {
            let number = ["u8", "u16", "u32", "u64", "usize", "i8", "i16", "i32", "i64", "isize"];
            let empty = if number.contains(&kind) {
                format!("{name} == 0")
            } else {
                format!("{name}.is_empty()")
            };
            let values: &[&str] = match result {
                _ if number.contains(&result) => &["0", "1"],
                "bool" => &["false", "true"],
                "String" => &["String::new()"],
                "f32" | "f64" => &["0.0"],
                _ if result.starts_with("Option") => &["None"],
                _ if result.starts_with("Vec") => &["Vec::new()"],
                _ => &[],
            };
            values.iter().map(|value| format!("if {empty} {{ return {value}; }}")).collect()
        }
        Language::JavaScript | Language::TypeScript | Language::Tsx => {
            ["0", "null", "[]", "false", "true", "''", name]
                .iter()
                .map(|value| format!("if (!{name}) {{ return {value}; }}"))
                .collect()
        }
        Language::Go => Vec::new(),
    }
}

fn last_statement(block: Node<'_>) -> Option<Node<'_>> {
    let count = u32::try_from(block.named_child_count()).ok()?;
    block.named_child(count.checked_sub(1)?)
}

fn is_line(node: Node<'_>) -> bool {
    node.start_position().row == node.end_position().row
}

fn indent(node: Node<'_>) -> String {
    " ".repeat(node.start_position().column)
}
