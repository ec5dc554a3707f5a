//! What is taken for what.

use crate::code::mutate::Kind;

/// How likely each kind of edit is, and its name.
pub(super) const PRIORS: [(Kind, f64, &str); 19] = [
    (Kind::Comparison, 0.90, "another comparison"),
    (Kind::Arithmetic, 0.80, "another operator"),
    (Kind::OffByOne, 0.75, "one more or less"),
    (Kind::Boolean, 0.70, "another connective"),
    (Kind::Constant, 0.70, "another constant"),
    (Kind::Index, 0.70, "another index"),
    (Kind::Variable, 0.65, "another name"),
    (Kind::Callee, 0.70, "another function"),
    (Kind::Arguments, 0.60, "another order"),
    (Kind::Negation, 0.60, "a negation"),
    (Kind::Divisor, 0.50, "an early return"),
    (Kind::Return, 0.40, "another result"),
    (Kind::Drop, 0.35, "a part left out"),
    (Kind::Delete, 0.30, "a statement left out"),
    (Kind::Move, 0.30, "a statement moved"),
    (Kind::Copied, 0.25, "something copied"),
    (Kind::Text, 0.25, "another text"),
    (Kind::Guard, 0.25, "an early return"),
    (Kind::Duplicate, 0.10, "a statement twice"),
];

/// Operators, what they may stand for, and which kind that is.
const OPERATORS: [(&str, &[&str], Kind); 40] = [
    ("<", &["<=", ">", ">="], Kind::Comparison),
    ("<=", &["<", ">=", ">"], Kind::Comparison),
    (">", &[">=", "<", "<="], Kind::Comparison),
    (">=", &[">", "<=", "<"], Kind::Comparison),
    ("==", &["!=", "<=", ">="], Kind::Comparison),
    ("!=", &["==", "<", ">"], Kind::Comparison),
    ("===", &["!==", "=="], Kind::Comparison),
    ("!==", &["===", "!="], Kind::Comparison),
    ("is", &["is not", "=="], Kind::Comparison),
    ("is not", &["is", "!="], Kind::Comparison),
    ("in", &["not in"], Kind::Comparison),
    ("not in", &["in"], Kind::Comparison),
    ("and", &["or"], Kind::Boolean),
    ("or", &["and"], Kind::Boolean),
    ("&&", &["||"], Kind::Boolean),
    ("||", &["&&"], Kind::Boolean),
    ("??", &["||"], Kind::Boolean),
    ("+", &["-", "*"], Kind::Arithmetic),
    ("-", &["+", "*"], Kind::Arithmetic),
    ("*", &["/", "+", "**", "//"], Kind::Arithmetic),
    ("/", &["*", "//", "%"], Kind::Arithmetic),
    ("//", &["/", "%", "*"], Kind::Arithmetic),
    ("%", &["//", "/", "*"], Kind::Arithmetic),
    ("**", &["*"], Kind::Arithmetic),
    ("&", &["|", "^", "and"], Kind::Arithmetic),
    ("|", &["&", "^", "or"], Kind::Arithmetic),
    ("^", &["|", "&", "**"], Kind::Arithmetic),
    ("<<", &[">>"], Kind::Arithmetic),
    (">>", &["<<"], Kind::Arithmetic),
    ("+=", &["-=", "=", "*="], Kind::Arithmetic),
    ("-=", &["+=", "="], Kind::Arithmetic),
    ("*=", &["+=", "//=", "/="], Kind::Arithmetic),
    ("/=", &["*=", "//="], Kind::Arithmetic),
    ("//=", &["/=", "*=", "%="], Kind::Arithmetic),
    ("%=", &["//=", "/="], Kind::Arithmetic),
    ("|=", &["&=", "^="], Kind::Arithmetic),
    ("&=", &["|=", "^="], Kind::Arithmetic),
    ("^=", &["|=", "&="], Kind::Arithmetic),
    ("..", &["..="], Kind::OffByOne),
    ("..=", &[".."], Kind::OffByOne),
];

/// Names that are taken for each other.
const FAMILIES: [&[&str]; 34] = [
    &["min", "max"],
    &["any", "all"],
    &["some", "every"],
    &["sum", "len", "max", "min", "abs"],
    &["floor", "ceil", "round", "trunc"],
    &["append", "extend", "insert"],
    &["add", "remove", "discard"],
    &["push", "pop", "shift", "unshift"],
    &["push_back", "push_front"],
    &["pop_back", "pop_front"],
    &["strip", "lstrip", "rstrip"],
    &["trim", "trimStart", "trimEnd"],
    &["trim", "trim_start", "trim_end"],
    &["lower", "upper", "swapcase", "title", "capitalize"],
    &["toLowerCase", "toUpperCase"],
    &["to_lowercase", "to_uppercase"],
    &["to_ascii_lowercase", "to_ascii_uppercase"],
    &["startswith", "endswith"],
    &["startsWith", "endsWith"],
    &["starts_with", "ends_with"],
    &["find", "rfind", "index", "rindex"],
    &["indexOf", "lastIndexOf"],
    &["split", "rsplit"],
    &["splitn", "rsplitn"],
    &["keys", "values", "items"],
    &["sorted", "reversed", "list", "set"],
    &["int", "float", "round", "str"],
    &["islower", "isupper", "isdigit", "isalpha", "isalnum"],
    &["ord", "chr"],
    &["union", "intersection", "difference"],
    &["first", "last"],
    &["take", "skip"],
    &["saturating_sub", "saturating_add"],
    &["is_some", "is_none"],
];

/// Returns what an operator may stand for, and which kind that is.
pub(super) fn operators(operator: &str) -> (&'static [&'static str], Kind) {
    let row = OPERATORS.iter().find(|(name, ..)| *name == operator);
    row.map_or((&[], Kind::Arithmetic), |(_, others, kind)| (*others, *kind))
}

/// Returns the names that are taken for this one.
pub(super) fn family(name: &str) -> impl Iterator<Item = &'static str> {
    let families = FAMILIES.iter().filter(move |family| family.contains(&name));
    families.flat_map(|family| family.iter().copied())
}
