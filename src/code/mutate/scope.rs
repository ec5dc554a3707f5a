//! What a function has to take names and texts from.

use crate::code::mutate::Spot;

/// More of a sort is left out.
const MAX_NAMES: usize = 14;
const MAX_OTHERS: usize = 6;

/// Where an identifier stands that is no value: what it stands in, and as which field; without a
/// field wherever in it.
const NO_VALUE: [(&str, &str); 36] = [
    ("function_definition", "name"),
    ("function_item", "name"),
    ("function_declaration", "name"),
    ("class_definition", "name"),
    ("parameters", ""),
    ("lambda_parameters", ""),
    ("closure_parameters", ""),
    ("formal_parameters", ""),
    ("typed_parameter", ""),
    ("typed_default_parameter", "name"),
    ("default_parameter", "name"),
    ("parameter", ""),
    ("required_parameter", ""),
    ("parameter_declaration", ""),
    ("keyword_argument", "name"),
    ("attribute", "attribute"),
    ("type", ""),
    ("let_declaration", "pattern"),
    ("variable_declarator", "name"),
    ("for_statement", "left"),
    ("for_in_statement", "left"),
    ("for_in_clause", "left"),
    ("for_expression", "pattern"),
    ("assignment", "left"),
    ("augmented_assignment", "left"),
    ("assignment_expression", "left"),
    ("augmented_assignment_expression", "left"),
    ("compound_assignment_expr", "left"),
    ("call", "function"),
    ("call_expression", "function"),
    ("macro_invocation", ""),
    ("scoped_identifier", ""),
    ("pattern_list", ""),
    ("tuple_pattern", ""),
    ("decorator", ""),
    ("dotted_name", ""),
];

/// Names, texts and conditions of a function.
#[derive(Default)]
pub(super) struct Scope<'a> {
    /// Variables, parameters first where they come first.
    pub(super) names: Vec<&'a str>,
    /// Fields that are read of something.
    pub(super) fields: Vec<&'a str>,
    /// Text literals.
    pub(super) texts: Vec<&'a str>,
    /// Conditions of branches and loops.
    pub(super) conditions: Vec<&'a str>,
    /// Arguments and operands.
    pub(super) values: Vec<&'a str>,
}

impl<'a> Scope<'a> {
    pub(super) fn of(spots: &[Spot<'a, '_>]) -> Self {
        let mut scope = Self::default();
        for spot in spots {
            scope.look(spot);
        }
        scope
    }

    fn look(&mut self, spot: &Spot<'a, '_>) {
        let own = spot.own();
        let (list, most) = match spot.node.kind() {
            "identifier" if is_name(spot) => (&mut self.names, MAX_NAMES),
            "identifier" | "field_identifier" | "property_identifier" if is_field(spot) => {
                (&mut self.fields, MAX_NAMES)
            }
            "string" | "string_literal" if own.len() < 60 => (&mut self.texts, MAX_OTHERS),
            _ if is_condition(spot) => (&mut self.conditions, MAX_OTHERS),
            _ if is_argument(spot) && own.len() < 40 => (&mut self.values, MAX_OTHERS),
            _ => return,
        };
        if !list.contains(&own) && list.len() < most {
            list.push(own);
        }
    }
}

/// Returns whether an identifier is a value that another one could take the place of.
pub(super) fn is_value(spot: &Spot<'_, '_>) -> bool {
    let is_there = |(kind, field): &&(&str, &str)| {
        spot.parent.kind() == *kind && (field.is_empty() || spot.is(field))
    };
    !NO_VALUE.iter().any(|place| is_there(&place)) && !["self", "cls", "this"].contains(&spot.own())
}

/// Returns whether an identifier is a variable: read, or bound here.
fn is_name(spot: &Spot<'_, '_>) -> bool {
    let callee = ["call", "call_expression"].contains(&spot.parent.kind()) && spot.is("function");
    let other = [
        "function_definition",
        "function_item",
        "function_declaration",
        "class_definition",
        "attribute",
        "macro_invocation",
        "scoped_identifier",
        "decorator",
        "type",
        "keyword_argument",
    ];
    let bound = !callee && !other.contains(&spot.parent.kind());
    (bound || is_value(spot)) && !["self", "cls", "this", "_"].contains(&spot.own())
}

/// Returns whether a name is a field that is read, not one that is called.
pub(super) fn is_field(spot: &Spot<'_, '_>) -> bool {
    let of = [("attribute", "attribute"), ("field_expression", "field")];
    let of = of.into_iter().chain([("member_expression", "property")]);
    let mut of = of.filter(|(kind, field)| spot.parent.kind() == *kind && spot.is(field));
    let called = |node: tree_sitter::Node<'_>| {
        let rest = spot.text.get(node.end_byte()..).unwrap_or_default();
        rest.starts_with('(')
    };
    of.next().is_some() && !called(spot.parent)
}

/// Returns whether a node decides a branch or a loop.
pub(super) fn is_condition(spot: &Spot<'_, '_>) -> bool {
    let inner = spot.parent.kind() == "conditional_expression"
        && spot.parent.named_child(1) == Some(spot.node);
    let outer = spot.is("condition") && !spot.node.kind().starts_with("let_");
    inner || outer
}

/// Returns whether a node is an argument of a call.
pub(super) fn is_argument(spot: &Spot<'_, '_>) -> bool {
    let lists = ["argument_list", "arguments"];
    lists.contains(&spot.parent.kind())
        && spot.node.is_named()
        && spot.node.kind() != "keyword_argument"
}
