//! Words and what they are made of.
//!
//! A word is literal when bash makes exactly one argument of it, with a text known beforehand:
//! no expansion, no glob, no tilde, no braces. `literal` is conservative; when it returns a text,
//! bash makes the same of it (`tests/integration/direct.rs` compares them).

use crate::guard::shell::ast::Script;

/// A word of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// In the order of the text.
    pub parts: Vec<Part>,
    /// Byte offset of its beginning.
    pub at: usize,
}

/// A piece of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Unquoted text.
    Plain(String),
    /// A character after a backslash.
    Escaped(char),
    /// `'…'`
    Single(String),
    /// `"…"`
    Double(Vec<Part>),
    /// `$'…'`, decoded.
    Ansi(String),
    /// `$"…"`
    Locale(Vec<Part>),
    /// `$x` or `${…}`
    Param(Param),
    /// A command inside a word.
    Nested(Nested),
    /// `$((…))` or `$[…]`: the text, and what is expanded in it.
    Arithmetic(String, Vec<Part>),
}

/// A parameter expansion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// What stands after the dollar sign, without braces.
    pub text: String,
    /// The expansions inside it.
    pub inner: Vec<Part>,
}

/// How a command stands in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nesting {
    /// `$(…)`
    Dollar,
    /// Backticks.
    Backtick,
    /// `<(…)`, `>(…)`, `=(…)`
    Process,
}

/// A command inside a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nested {
    /// Its form.
    pub nesting: Nesting,
    /// What is run.
    pub script: Script,
}

impl Word {
    /// Returns the one argument that bash makes of it, if that is certain.
    pub fn literal(&self) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            literal(part, &mut text)?;
        }
        (!self.has_glob() && !self.has_tilde() && !self.has_braces()).then_some(text)
    }

    /// Returns the text with quotes taken away, expansions as they were written.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.parts.iter().for_each(|part| written(part, &mut text));
        text
    }

    /// Returns the text if it is unquoted and has nothing special: what a reserved word must be.
    pub fn bare(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Plain(text)] => Some(text),
            _ => None,
        }
    }

    /// Returns whether a part is quoted or escaped.
    pub fn is_quoted(&self) -> bool {
        self.parts.iter().any(|part| {
            matches!(part, Part::Escaped(_) | Part::Single(_) | Part::Double(_) | Part::Ansi(_))
        })
    }

    /// Returns whether something is expanded in it, at any depth.
    pub fn is_expanded(&self) -> bool {
        let mut found = false;
        self.each_part(&mut |part, _| {
            found |= matches!(part, Part::Param(_) | Part::Nested(_) | Part::Arithmetic(..));
        });
        found
    }

    /// Calls back for every part, quoted ones after their quotes, with whether it is quoted.
    pub fn each_part<'w>(&'w self, visit: &mut dyn FnMut(&'w Part, bool)) {
        each(&self.parts, false, visit);
    }

    /// Returns whether an unquoted `*`, `?` or `[…]` could match files.
    pub fn has_glob(&self) -> bool {
        let open = self.parts.iter().position(|part| unquoted(part, |t| t.contains('[')));
        self.parts.iter().any(|part| unquoted(part, |t| t.contains(['*', '?'])))
            || open.is_some() && self.text().contains(']')
    }

    /// Returns whether a tilde stands where a shell may put a home folder.
    pub fn has_tilde(&self) -> bool {
        let mut before = '=';
        self.parts.iter().any(|part| {
            let Part::Plain(text) = part else {
                before = 'x';
                return false;
            };
            text.chars().any(|c| {
                let found = c == '~' && matches!(before, '=' | ':');
                before = c;
                found
            })
        })
    }

    /// Returns whether unquoted braces may make several words of it.
    pub fn has_braces(&self) -> bool {
        let unquoted = self.parts.iter().map(|part| match part {
            Part::Plain(text) => text,
            _ => "x",
        });
        let text: String = unquoted.collect();
        text.match_indices('{').any(|(at, _)| is_choice(&text[at + 1..]))
    }
}

/// Returns whether a text that follows an opening brace has a choice and a brace that closes it.
///
/// As in bash, a brace closes only what has a comma or two dots before it: `{a},b}` is a choice.
fn is_choice(text: &str) -> bool {
    let (mut depth, mut choice) = (0_usize, false);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' if choice => return true,
            ',' if depth == 0 => choice = true,
            '.' if depth == 0 => choice |= text[at..].starts_with(".."),
            _ => {}
        }
    }
    false
}

fn unquoted(part: &Part, holds: impl Fn(&str) -> bool) -> bool {
    matches!(part, Part::Plain(text) if holds(text))
}

fn each<'w>(parts: &'w [Part], quoted: bool, visit: &mut dyn FnMut(&'w Part, bool)) {
    for part in parts {
        visit(part, quoted);
        match part {
            Part::Double(inner) | Part::Locale(inner) => each(inner, true, visit),
            Part::Arithmetic(_, inner) => each(inner, quoted, visit),
            Part::Param(param) => each(&param.inner, quoted, visit),
            _ => {}
        }
    }
}

fn literal(part: &Part, text: &mut String) -> Option<()> {
    match part {
        Part::Plain(plain) | Part::Single(plain) => text.push_str(plain),
        Part::Escaped(c) => text.push(*c),
        Part::Double(parts) => parts.iter().try_for_each(|part| literal(part, text))?,
        _ => return None,
    }
    Some(())
}

fn written(part: &Part, text: &mut String) {
    match part {
        Part::Plain(plain) | Part::Single(plain) | Part::Ansi(plain) => text.push_str(plain),
        Part::Escaped(c) => text.push(*c),
        Part::Double(parts) | Part::Locale(parts) => {
            parts.iter().for_each(|part| written(part, text));
        }
        Part::Param(param) => {
            text.push_str("${");
            text.push_str(&param.text);
            text.push('}');
        }
        Part::Nested(_) => text.push_str("$(…)"),
        Part::Arithmetic(inner, _) => {
            text.push_str("$((");
            text.push_str(inner);
            text.push_str("))");
        }
    }
}
