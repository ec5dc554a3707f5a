//! Small changes to a function that may mend it: one edit each, by its parse tree.
//!
//! The operators are those of mutation testing, used the other way round; what they are tried for is
//! the caller's. An edit need not parse or compile: only a run says whether it is any good. Sizes are
//! bounded, because the text is a repository's.

mod expressions;
mod scope;
mod statements;
mod table;

use std::{collections::HashMap, ops::Range};

use tree_sitter::Node;

use crate::code::language::{Go, Language, language_of, parse, walk};

/// More edits of one function are left out.
const MAX_EDITS: usize = 4000;

/// What an edit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Another comparison.
    Comparison,
    /// `and` for `or`.
    Boolean,
    /// Another arithmetic operator.
    Arithmetic,
    /// One more or one less.
    OffByOne,
    /// Another number or truth value.
    Constant,
    /// Another index or bound of a slice.
    Index,
    /// Another order of arguments or operands.
    Arguments,
    /// A negation more or less.
    Negation,
    /// Another name that is in scope.
    Variable,
    /// Another function of the same family.
    Callee,
    /// Another value returned.
    Return,
    /// A part of an expression left out.
    Drop,
    /// A statement moved.
    Move,
    /// A statement left out.
    Delete,
    /// Something that stands elsewhere in the function.
    Copied,
    /// Another text.
    Text,
    /// An early return for an empty input.
    Guard,
    /// An early return where something is divided by nothing.
    Divisor,
    /// A statement twice.
    Duplicate,
}

impl Kind {
    /// Returns how likely a bug is mended by such an edit, 0 to 1; tuned on one-bug functions.
    pub fn prior(self) -> f64 {
        table::PRIORS.iter().find(|(kind, ..)| *kind == self).map_or(0.1, |(_, prior, _)| *prior)
    }

    /// Returns its name in a sentence.
    pub fn name(self) -> &'static str {
        table::PRIORS.iter().find(|(kind, ..)| *kind == self).map_or("edit", |(.., name)| name)
    }
}

/// One edit of a text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Edit {
    /// The bytes it replaces.
    pub at: Range<usize>,
    /// What stands there instead.
    pub with: String,
    /// What it does.
    pub kind: Kind,
}

impl Edit {
    /// Returns the text with this edit.
    pub fn applied(&self, text: &str) -> String {
        format!("{}{}{}", &text[..self.at.start], self.with, &text[self.at.end..])
    }
}

/// A node, with what it is looked at in.
#[derive(Clone, Copy)]
struct Spot<'a, 't> {
    text: &'a str,
    language: Language,
    node: Node<'t>,
    parent: Node<'t>,
}

impl<'a, 't> Spot<'a, 't> {
    fn of(&self, node: Node<'_>) -> &'a str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    fn own(&self) -> &'a str {
        self.of(self.node)
    }

    fn is(&self, field: &str) -> bool {
        self.parent.child_by_field_name(field) == Some(self.node)
    }

    fn named(&self) -> Vec<Node<'t>> {
        let mut cursor = self.node.walk();
        let children = self.node.named_children(&mut cursor);
        children.filter(|child| !child.kind().contains("comment")).collect()
    }
}

/// Collects edits; what changes nothing and what is there already is left out.
struct Edits<'a> {
    text: &'a str,
    found: Vec<Edit>,
}

impl Edits<'_> {
    fn put(&mut self, kind: Kind, at: Range<usize>, with: impl Into<String>) {
        let with = with.into();
        let same = self.text.get(at.clone()).is_none_or(|old| old == with);
        if !same && self.found.len() < MAX_EDITS {
            self.found.push(Edit { at, with, kind });
        }
    }
}

/// Returns the edits of the function that covers these bytes, in the order of the text; empty when
/// the language is unknown.
pub fn edits(path: &str, text: &str, within: &Range<usize>) -> Vec<Edit> {
    let Some(language) = language_of(path) else { return Vec::new() };
    let Some(tree) = parse(language, text) else { return Vec::new() };
    let mut spots = Vec::new();
    walk(&tree, |node, around| {
        let apart = node.end_byte() <= within.start || within.end <= node.start_byte();
        // What stands in a macro is no tree of expressions.
        if apart || node.kind() == "token_tree" || node.kind().contains("comment") {
            return Go::Past;
        }
        let inside = within.start <= node.start_byte() && node.end_byte() <= within.end;
        if let (true, Some(parent)) = (inside, around.last()) {
            spots.push(Spot { text, language, node, parent: *parent });
        }
        Go::In
    });
    let scope = scope::Scope::of(&spots);
    let mut edits = Edits { text, found: Vec::new() };
    for spot in &spots {
        expressions::of(spot, &scope, &mut edits);
        statements::of(spot, &mut edits);
    }
    likeliest(edits.found)
}

/// Keeps of equal edits the kind that is likeliest, at the place of the first.
fn likeliest(found: Vec<Edit>) -> Vec<Edit> {
    let mut places: HashMap<(Range<usize>, String), usize> = HashMap::new();
    let mut kept: Vec<Edit> = Vec::new();
    for edit in found {
        let place = *places.entry((edit.at.clone(), edit.with.clone())).or_insert(kept.len());
        match kept.get_mut(place) {
            Some(other) if other.kind.prior() < edit.kind.prior() => other.kind = edit.kind,
            Some(_) => {}
            None => kept.push(edit),
        }
    }
    kept
}

#[cfg(test)]
mod tests;
