//! Edits of expressions.

use tree_sitter::Node;

use crate::code::{
    language::Language,
    mutate::{
        Edits, Kind, Spot,
        scope::{Scope, is_argument, is_condition, is_field, is_value},
        table::{family, operators},
    },
};

/// Expressions that one can be added to.
const COUNTED: [&str; 11] = [
    "identifier",
    "call",
    "call_expression",
    "attribute",
    "field_expression",
    "member_expression",
    "subscript",
    "index_expression",
    "subscript_expression",
    "binary_operator",
    "parenthesized_expression",
];
const OPERATIONS: [&str; 9] = [
    "comparison_operator",
    "boolean_operator",
    "binary_operator",
    "binary_expression",
    "augmented_assignment",
    "augmented_assignment_expression",
    "compound_assignment_expr",
    "range_expression",
    "assignment_statement",
];
const COMPARED: [&str; 8] = ["<", "<=", ">", ">=", "==", "!=", "===", "!=="];
const NUMBERS: [&str; 4] = ["integer", "integer_literal", "number", "int_literal"];
const FLOATS: [&str; 2] = ["float", "float_literal"];

/// Puts the edits of one node.
pub(super) fn of(spot: &Spot<'_, '_>, scope: &Scope<'_>, edits: &mut Edits<'_>) {
    operator(spot, edits);
    name(spot, scope, edits);
    one_off(spot, edits);
    condition(spot, scope, edits);
    let kind = spot.node.kind();
    match kind {
        _ if NUMBERS.contains(&kind) => number(spot, edits),
        _ if FLOATS.contains(&kind) => float(spot, edits),
        "true" | "false" | "boolean_literal" => truth(spot, edits),
        "string" | "string_literal" => text(spot, scope, edits),
        "argument_list" | "arguments" => arguments(spot, edits),
        "not_operator" | "unary_expression" | "unary_operator" => negation(spot, edits),
        "binary_operator" | "boolean_operator" | "binary_expression" => operands(spot, edits),
        "slice" => slice(spot, edits),
        "return_statement" | "return_expression" => result(spot, edits),
        _ => {}
    }
}

fn operator(spot: &Spot<'_, '_>, edits: &mut Edits<'_>) {
    if spot.node.is_named() || !OPERATIONS.contains(&spot.parent.kind()) {
        return;
    }
    let (others, kind) = operators(spot.own());
    let script = !matches!(spot.language, Language::Python);
    for other in others {
        let python_only = ["//", "**", "//=", "and", "or"].contains(other);
        if !(script && python_only) {
            edits.put(kind, spot.node.byte_range(), *other);
        }
    }
}

fn name(spot: &Spot<'_, '_>, scope: &Scope<'_>, edits: &mut Edits<'_>) {
    let at = spot.node.byte_range();
    let words = ["identifier", "field_identifier", "property_identifier"];
    if !words.contains(&spot.node.kind()) {
        return;
    }
    for other in family(spot.own()) {
        edits.put(Kind::Callee, at.clone(), other);
    }
    if is_field(spot) {
        for field in &scope.fields {
            edits.put(Kind::Variable, at.clone(), *field);
        }
    } else if spot.node.kind() == "identifier" && is_value(spot) {
        for name in &scope.names {
            edits.put(Kind::Variable, at.clone(), *name);
        }
    }
}

/// Puts one more and one less where a count may stand.
fn one_off(spot: &Spot<'_, '_>, edits: &mut Edits<'_>) {
    let node = spot.node;
    let arithmetic = node.kind() == "binary_expression" && !is_test(spot, node);
    if !arithmetic && !COUNTED.contains(&node.kind()) {
        return;
    }
    let parent = spot.parent.kind();
    let index = spot.is("subscript") || spot.is("index") || parent == "slice";
    let index = index || parent == "index_expression" && spot.parent.named_child(1) == Some(node);
    let compared = parent == "comparison_operator" || is_test(spot, spot.parent);
    let assigned = ["assignment", "let_declaration", "variable_declarator"].contains(&parent)
        && (spot.is("right") || spot.is("value"));
    let returned = parent == "return_statement" || parent == "return_expression";
    if !(index
        || compared
        || assigned
        || returned
        || is_argument(spot)
        || parent == "range_expression")
    {
        return;
    }
    let kind = if index { Kind::Index } else { Kind::OffByOne };
    for change in ["+ 1", "- 1"] {
        edits.put(kind, node.byte_range(), format!("{} {change}", spot.own()));
    }
}

/// Returns whether a node compares, or joins truth values.
fn is_test(spot: &Spot<'_, '_>, node: Node<'_>) -> bool {
    let operator = node.child_by_field_name("operator").map_or("", |operator| spot.of(operator));
    COMPARED.contains(&operator) || ["&&", "||"].contains(&operator)
}

fn condition(spot: &Spot<'_, '_>, scope: &Scope<'_>, edits: &mut Edits<'_>) {
    if !is_condition(spot) {
        return;
    }
    let (own, at) = (spot.own(), spot.node.byte_range());
    let python = spot.language == Language::Python;
    let (not, and, or) = if python { ("not ", "and", "or") } else { ("!", "&&", "||") };
    let closed = spot.node.kind() == "parenthesized_expression";
    let wrap = |text: String| if closed { format!("({text})") } else { text };
    edits.put(Kind::Negation, at.clone(), wrap(format!("{not}({own})")));
    for (yes, no) in [("True", "False"), ("true", "false")] {
        if python == (yes == "True") {
            edits.put(Kind::Copied, at.clone(), wrap(yes.to_owned()));
            edits.put(Kind::Copied, at.clone(), wrap(no.to_owned()));
        }
    }
    for other in scope.conditions.iter().filter(|other| **other != own) {
        edits.put(Kind::Copied, at.clone(), *other);
        edits.put(Kind::Copied, at.clone(), wrap(format!("({own}) {and} ({other})")));
        edits.put(Kind::Copied, at.clone(), wrap(format!("({own}) {or} ({other})")));
    }
}

fn number(spot: &Spot<'_, '_>, edits: &mut Edits<'_>) {
    let own = spot.own();
    let digits = own.find(|c: char| !c.is_ascii_digit()).unwrap_or(own.len());
    let (digits, suffix) = own.split_at(digits);
    let Ok(value) = digits.parse::<i64>() else { return };
    let near = [value.checked_add(1), value.checked_sub(1), Some(0), Some(1), Some(2)];
    let double = [value.checked_mul(2), value.checked_mul(10), Some(value / 2), Some(value / 10)];
    let index = spot.is("subscript") || spot.is("index") || spot.parent.kind() == "slice";
    for (other, far) in near.into_iter().zip([false; 5]).chain(double.into_iter().zip([true; 4])) {
        let Some(other) = other.filter(|other| *other != value) else { continue };
        let kind = match (index, far) {
            (true, _) => Kind::Index,
            (false, false) => Kind::Constant,
            (false, true) => Kind::Copied,
        };
        edits.put(kind, spot.node.byte_range(), format!("{other}{suffix}"));
    }
}

fn float(spot: &Spot<'_, '_>, edits: &mut Edits<'_>) {
    let Ok(value) = spot.own().parse::<f64>() else { return };
    for other in [value + 1.0, value - 1.0, 0.0, 1.0, value * 10.0, value / 10.0] {
        edits.put(Kind::Constant, spot.node.byte_range(), format!("{other:?}"));
    }
}

fn truth(spot: &Spot<'_, '_>, edits: &mut Edits<'_>) {
    let other = match spot.own() {
        "True" => "False",
        "False" => "True",
        "true" => "false",
        _ => "true",
    };
    edits.put(Kind::Constant, spot.node.byte_range(), other);
}

fn text(spot: &Spot<'_, '_>, scope: &Scope<'_>, edits: &mut Edits<'_>) {
    // A text that is a statement is documentation.
    if spot.parent.kind() == "expression_statement" {
        return;
    }
    for other in scope.texts.iter().chain([&"\"\"", &"\" \""]) {
        edits.put(Kind::Text, spot.node.byte_range(), *other);
    }
}

fn arguments(spot: &Spot<'_, '_>, edits: &mut Edits<'_>) {
    let all = spot.named();
    for pair in all.windows(2) {
        let (one, two) = (pair[0], pair[1]);
        let between = spot.text.get(one.end_byte()..two.start_byte()).unwrap_or(", ");
        let swapped = format!("{}{between}{}", spot.of(two), spot.of(one));
        edits.put(Kind::Arguments, one.start_byte()..two.end_byte(), swapped);
        edits.put(Kind::Drop, one.end_byte()..two.end_byte(), "");
        edits.put(Kind::Drop, one.start_byte()..two.start_byte(), "");
    }
}

fn negation(spot: &Spot<'_, '_>, edits: &mut Edits<'_>) {
    let Some(argument) = spot.named().last().copied() else { return };
    let dropped = spot.text.get(spot.node.start_byte()..argument.start_byte());
    if dropped.is_some_and(|sign| ["not", "!", "-", "~"].contains(&sign.trim())) {
        edits.put(Kind::Negation, spot.node.byte_range(), spot.of(argument));
    }
}

fn operands(spot: &Spot<'_, '_>, edits: &mut Edits<'_>) {
    let field = |name| spot.node.child_by_field_name(name);
    let (Some(left), Some(right), Some(operator)) =
        (field("left"), field("right"), field("operator"))
    else {
        return;
    };
    let at = spot.node.byte_range();
    if COMPARED.contains(&spot.of(operator)) {
        return;
    }
    edits.put(Kind::Drop, at.clone(), spot.of(left));
    edits.put(Kind::Drop, at.clone(), spot.of(right));
    if ["-", "/", "//", "%", "**", "<<", ">>"].contains(&spot.of(operator)) {
        let swapped = format!("{} {} {}", spot.of(right), spot.of(operator), spot.of(left));
        edits.put(Kind::Arguments, at, swapped);
    }
}

/// Puts other bounds: each one left out, and one put where there is none.
fn slice(spot: &Spot<'_, '_>, edits: &mut Edits<'_>) {
    for bound in spot.named() {
        edits.put(Kind::Index, bound.byte_range(), "");
    }
    let (own, at) = (spot.own(), spot.node.byte_range());
    if own.starts_with(':') {
        edits.put(Kind::Index, at.clone(), format!("1{own}"));
    }
    if own.ends_with(':') {
        edits.put(Kind::Index, at, format!("{own}-1"));
    }
}

fn result(spot: &Spot<'_, '_>, edits: &mut Edits<'_>) {
    let Some(value) = spot.named().first().copied() else { return };
    let (python, own) = (spot.language == Language::Python, spot.of(value));
    let others: &[&str] = match python {
        true => &["None", "True", "False", "0", "[]", "''"],
        false => &["true", "false", "0", "null", "None"],
    };
    let not = if python { "not " } else { "!" };
    if !["true", "false", "boolean_literal"].contains(&value.kind()) {
        edits.put(Kind::Return, value.byte_range(), format!("{not}({own})"));
    }
    for other in others {
        edits.put(Kind::Return, value.byte_range(), *other);
    }
}
