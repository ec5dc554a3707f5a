//! The lexer: reads words, quotes and expansions at a position of the text.
//!
//! Nesting is counted across everything that nests, so no input can exhaust the stack. A line that
//! goes on after a backslash is understood between words and inside double quotes only: elsewhere
//! it can hide an operator or an expansion, and is an error.

use crate::guard::shell::{
    ast::{Item, ParseError},
    word::{Nested, Nesting, Param, Part, Word},
};

/// Deepest nesting of quotes with expansions, substitutions and compound commands.
pub const MAX_NESTING: usize = 8;

/// A position in a text, and what the way there has left open.
pub(super) struct Cursor<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
    pub(super) depth: usize,
    /// The newline before the pending here-documents' bodies, and where the text goes on.
    pub(super) bodies: Option<(usize, usize)>,
    /// The comments passed so far.
    pub(super) comments: Vec<(usize, String)>,
    /// The items of the outermost list before an error.
    pub(super) finished: Vec<Item>,
}

pub(super) type Parsed<T> = Result<T, ParseError>;

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str, depth: usize) -> Self {
        Self { text, at: 0, depth, bodies: None, comments: Vec::new(), finished: Vec::new() }
    }

    pub(super) fn error<T>(&self, what: &'static str) -> Parsed<T> {
        Err(ParseError { at: self.at, what, over_cap: false })
    }

    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn starts(&self, with: &str) -> bool {
        self.rest().starts_with(with)
    }

    /// Moves past `with` if it stands here.
    pub(super) fn take(&mut self, with: &str) -> bool {
        let found = self.starts(with);
        if found {
            self.at += with.len();
        }
        found
    }

    /// Moves past one character. A here-document's text must not be read as anything else.
    fn bump(&mut self) -> Parsed<Option<char>> {
        let Some(c) = self.peek() else { return Ok(None) };
        if self.bodies.is_some_and(|(newline, _)| newline == self.at) {
            return self.error("a here-document begins inside quotes");
        }
        self.at += c.len_utf8();
        Ok(Some(c))
    }

    /// Counts one more level while `read` works.
    pub(super) fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_NESTING {
            let what = "nested more than 8 levels deep";
            return Err(ParseError { at: self.at, what, over_cap: true });
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    /// Reads a word; none if none begins here.
    pub(super) fn word(&mut self) -> Parsed<Option<Word>> {
        let at = self.at;
        let mut parts = Vec::new();
        if self.starts("=(") {
            self.at += 1;
            parts.push(self.process()?);
        }
        while let Some(c) = self.peek() {
            match c {
                '<' | '>' if self.rest()[1..].starts_with('(') => {
                    self.at += 1;
                    parts.push(self.process()?);
                }
                ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => break,
                '\\' => parts.push(self.escape()?),
                '\'' => parts.push(Part::Single(self.single()?)),
                '"' => parts.push(Part::Double(self.double()?)),
                '$' | '`' => self.expansion(&mut parts, Quoted::No)?,
                c => {
                    self.at += c.len_utf8();
                    push(&mut parts, c);
                }
            }
        }
        Ok((!parts.is_empty()).then_some(Word { parts, at }))
    }

    fn escape(&mut self) -> Parsed<Part> {
        self.at += 1;
        match self.bump()? {
            None => self.error("a backslash at the end"),
            Some('\n') => self.error("a line that goes on inside a word"),
            Some(c) => Ok(Part::Escaped(c)),
        }
    }

    fn single(&mut self) -> Parsed<String> {
        let opened = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.bump()? {
                None => return unclosed(opened, "a single quote is not closed"),
                Some('\'') => return Ok(text),
                Some(c) => text.push(c),
            }
        }
    }

    fn double(&mut self) -> Parsed<Vec<Part>> {
        let opened = self.at;
        self.at += 1;
        let mut parts = Vec::new();
        loop {
            match self.peek() {
                None => return unclosed(opened, "a double quote is not closed"),
                Some('"') => {
                    self.at += 1;
                    return Ok(parts);
                }
                Some(_) => self.quoted(&mut parts)?,
            }
        }
    }

    /// Reads one piece of what stands between double quotes, or in a here-document.
    fn quoted(&mut self, parts: &mut Vec<Part>) -> Parsed<()> {
        match self.peek() {
            Some('$' | '`') => self.expansion(parts, Quoted::Yes),
            Some('\\') => {
                self.at += 1;
                match self.bump()? {
                    None => return self.error("a backslash at the end"),
                    Some('\n') => {}
                    Some(c @ ('$' | '`' | '"' | '\\')) => parts.push(Part::Escaped(c)),
                    Some(c) => {
                        push(parts, '\\');
                        push(parts, c);
                    }
                }
                Ok(())
            }
            _ => {
                if let Some(c) = self.bump()? {
                    push(parts, c);
                }
                Ok(())
            }
        }
    }

    /// Reads the text of a here-document whose delimiter was not quoted.
    pub(super) fn here_text(text: &'t str, depth: usize) -> Parsed<Vec<Part>> {
        let mut inner = Cursor::new(text, depth);
        let mut parts = Vec::new();
        while inner.peek().is_some() {
            inner.quoted(&mut parts)?;
        }
        Ok(parts)
    }

    fn expansion(&mut self, parts: &mut Vec<Part>, quoted: Quoted) -> Parsed<()> {
        if self.starts("`") {
            parts.push(self.backtick(quoted)?);
            return Ok(());
        }
        self.at += 1;
        if self.starts("\\\n") {
            return self.error("a line that goes on after a dollar sign");
        }
        let part = match self.peek() {
            Some('\'') if quoted == Quoted::No => Part::Ansi(self.ansi()?),
            Some('"') if quoted == Quoted::No => Part::Locale(self.double()?),
            Some('(') if self.starts("((") => {
                self.at += 2;
                self.nested(|c| c.arithmetic("))"))?
            }
            Some('[') => {
                self.at += 1;
                self.nested(|c| c.arithmetic("]"))?
            }
            Some('(') => Part::Nested(self.parenthesised(Nesting::Dollar)?),
            Some('{') => {
                self.at += 1;
                self.nested(Self::braced)?
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let name = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
                let end = self.rest().find(name).unwrap_or(self.rest().len());
                let text = self.rest()[..end].to_owned();
                self.at += end;
                Part::Param(Param { text, inner: Vec::new() })
            }
            Some(c) if c.is_ascii_digit() || "@*#?-$!".contains(c) => {
                self.at += 1;
                Part::Param(Param { text: c.to_string(), inner: Vec::new() })
            }
            _ => {
                push(parts, '$');
                return Ok(());
            }
        };
        parts.push(part);
        Ok(())
    }

    fn process(&mut self) -> Parsed<Part> {
        Ok(Part::Nested(self.parenthesised(Nesting::Process)?))
    }

    /// Reads `(` script `)`.
    fn parenthesised(&mut self, nesting: Nesting) -> Parsed<Nested> {
        let opened = self.at;
        self.at += 1;
        let script = self.nested(Self::script_in_parentheses)?;
        if !self.take(")") {
            return unclosed(opened, "a parenthesis is not closed");
        }
        Ok(Nested { nesting, script })
    }

    /// Reads what stands between backticks, where a backslash is taken away once more.
    fn backtick(&mut self, quoted: Quoted) -> Parsed<Part> {
        let opened = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.bump()? {
                None => return unclosed(opened, "a backtick is not closed"),
                Some('`') => break,
                Some('\\') => match self.bump()? {
                    Some(c @ ('`' | '\\' | '$')) => text.push(c),
                    Some('"') if quoted == Quoted::Yes => text.push('"'),
                    Some(c) => text.extend(['\\', c]),
                    None => return unclosed(opened, "a backtick is not closed"),
                },
                Some(c) => text.push(c),
            }
        }
        let depth = self.depth;
        let script = self.nested(|_| {
            let mut inner = Cursor::new(&text, depth + 1);
            inner.whole_script().map_err(|error| ParseError { at: opened, ..error })
        })?;
        Ok(Part::Nested(Nested { nesting: Nesting::Backtick, script }))
    }

    /// Reads up to the closing brace of `${…}`.
    fn braced(&mut self) -> Parsed<Part> {
        let (begin, mut inner) = (self.at, Vec::new());
        loop {
            let Some(c) = self.peek() else { return unclosed(begin, "`${` is not closed") };
            match c {
                '}' => break,
                '$' | '`' => self.expansion(&mut inner, Quoted::Yes)?,
                '"' => inner.push(Part::Double(self.nested(Self::double)?)),
                // What a single quote or a brace means here depends on what is around it.
                '\'' | '{' => return self.error("a quote or brace inside `${…}`"),
                '\\' => {
                    self.at += 1;
                    self.bump()?;
                }
                _ => {
                    self.bump()?;
                }
            }
        }
        let text = self.text[begin..self.at].to_owned();
        self.at += 1;
        Ok(Part::Param(Param { text, inner }))
    }

    /// Reads an arithmetic expression up to `close`.
    pub(super) fn arithmetic(&mut self, close: &str) -> Parsed<Part> {
        let (begin, mut inner, mut open) = (self.at, Vec::new(), 0_usize);
        while open > 0 || !self.starts(close) {
            let Some(c) = self.peek() else { return unclosed(begin, "arithmetic is not closed") };
            match c {
                '$' | '`' => self.expansion(&mut inner, Quoted::Yes)?,
                '\'' | '"' | '\\' | '\n' | '#' | ';' => {
                    return self.error("what arithmetic does not have");
                }
                '(' | '[' => {
                    open += 1;
                    self.at += 1;
                }
                ')' | ']' if open == 0 => return self.error("arithmetic that closes too early"),
                ')' | ']' => {
                    open -= 1;
                    self.at += 1;
                }
                _ => {
                    self.bump()?;
                }
            }
        }
        let text = self.text[begin..self.at].to_owned();
        self.at += close.len();
        Ok(Part::Arithmetic(text, inner))
    }

    /// Reads `$'…'`; unknown escapes stay as they are, since the word is never taken as literal.
    fn ansi(&mut self) -> Parsed<String> {
        let opened = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.bump()? {
                None => return unclosed(opened, "a single quote is not closed"),
                Some('\'') => return Ok(text),
                Some('\\') => {
                    let Some(c) = self.bump()? else {
                        return unclosed(opened, "a single quote is not closed");
                    };
                    let (radix, most) = match c {
                        'x' => (16, 2),
                        'u' => (16, 4),
                        'U' => (16, 8),
                        '0'..='7' => (8, 3),
                        'n' | 't' | 'r' | 'e' | 'E' | 'a' | 'b' | 'f' | 'v' => {
                            text.push(match c {
                                'n' => '\n',
                                't' => '\t',
                                'r' => '\r',
                                'a' => '\x07',
                                'b' => '\x08',
                                'v' => '\x0b',
                                'f' => '\x0c',
                                _ => '\x1b',
                            });
                            continue;
                        }
                        'c' => {
                            self.bump()?;
                            continue;
                        }
                        c => {
                            text.push(c);
                            continue;
                        }
                    };
                    if radix == 8 {
                        self.at -= 1;
                    }
                    text.extend(self.number(radix, most));
                }
                Some(c) => text.push(c),
            }
        }
    }

    fn number(&mut self, radix: u32, most: usize) -> Option<char> {
        let digits: usize =
            self.rest().chars().take(most).take_while(|c| c.is_digit(radix)).count();
        let value = u32::from_str_radix(&self.rest()[..digits], radix).ok();
        self.at += digits;
        value.and_then(char::from_u32)
    }
}

/// Whether the place is between double quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoted {
    Yes,
    No,
}

fn unclosed<T>(at: usize, what: &'static str) -> Parsed<T> {
    Err(ParseError { at, what, over_cap: false })
}

fn push(parts: &mut Vec<Part>, c: char) {
    match parts.last_mut() {
        Some(Part::Plain(text)) => text.push(c),
        _ => parts.push(Part::Plain(c.to_string())),
    }
}
