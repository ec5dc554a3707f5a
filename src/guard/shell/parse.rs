//! The parser: lists, pipelines, simple commands and redirections.
//!
//! What this grammar does not hold is an error, never a guess: arrays, `{fd}>` redirections, C-style
//! loops, a `;;` outside `case`.

use crate::guard::shell::{
    ast::{
        Assign, Command, Item, ParseError, Pipeline, Redirect, RedirectKind, Script, Simple, Then,
    },
    cursor::{Cursor, Parsed},
    word::{Part, Word},
};

/// Words that mean something else than a program where a command begins.
const RESERVED: [&str; 14] = [
    "then", "else", "elif", "fi", "do", "done", "esac", "in", "}", "if", "while", "until", "for",
    "case",
];

/// Returns the tree of a command line.
pub fn parse(text: &str) -> Result<Script, ParseError> {
    let (script, error) = read(text);
    error.map_or(Ok(script), Err)
}

/// Returns the commands before the first thing that is not understood, and what that is.
///
/// A shell runs the lines before a broken one, so they count although the whole is refused.
pub fn read(text: &str) -> (Script, Option<ParseError>) {
    let mut cursor = Cursor::new(text, 0);
    match cursor.whole_script() {
        Ok(script) => (script, None),
        Err(error) => (Script { items: cursor.finished, comments: Vec::new() }, Some(error)),
    }
}

/// Where a list ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// At the end of the text, or at a `)` that the caller looks for.
    Outer,
    /// At one of these words, where a command would begin.
    Words(&'static [&'static str]),
    /// At `;;` and its kin, or `esac`.
    Branch,
}

impl Cursor<'_> {
    pub(super) fn whole_script(&mut self) -> Parsed<Script> {
        let mut script = self.list(End::Outer)?;
        script.comments = std::mem::take(&mut self.comments);
        if self.peek().is_some() {
            self.finished = script.items;
            return self.error("this does not belong here");
        }
        Ok(script)
    }

    pub(super) fn script_in_parentheses(&mut self) -> Parsed<Script> {
        self.list(End::Outer)
    }

    pub(super) fn list(&mut self, end: End) -> Parsed<Script> {
        let mut items = Vec::new();
        let read = self.items(&mut items, end);
        if read.is_err() && self.depth == 0 {
            self.finished = std::mem::take(&mut items);
        }
        read.map(|()| Script { items, comments: Vec::new() })
    }

    fn items(&mut self, items: &mut Vec<Item>, end: End) -> Parsed<()> {
        loop {
            self.skip_lines()?;
            if self.at_end(end) {
                return Ok(());
            }
            let pipeline = self.pipeline()?;
            self.skip_blanks();
            let then = if self.take("&&") {
                Then::And
            } else if self.take("||") {
                Then::Or
            } else if self.starts(";;") || self.starts(";&") || self.take(";") {
                Then::Next
            } else if self.starts("&") && !self.starts("&>") {
                self.at += 1;
                Then::Background
            } else if self.starts("\n") || self.at_end(End::Outer) || self.starts("#") {
                Then::Next
            } else {
                return self.error("this does not belong here");
            };
            items.push(Item { pipeline, then });
            if matches!(then, Then::And | Then::Or) {
                self.skip_lines()?;
                if self.at_end(end) {
                    return self.error("a command is missing");
                }
            }
        }
    }

    fn at_end(&self, end: End) -> bool {
        let word = |word: &&str| self.reserved(word);
        self.peek().is_none_or(|c| c == ')')
            || match end {
                End::Outer => false,
                End::Words(words) => words.iter().any(word),
                End::Branch => self.starts(";;") || self.starts(";&") || self.reserved("esac"),
            }
    }

    /// Returns whether the unquoted word `name` stands here.
    pub(super) fn reserved(&self, name: &str) -> bool {
        let Some(after) = self.rest().strip_prefix(name) else { return false };
        after.chars().next().is_none_or(|c| " \t\n;&|()<>".contains(c))
    }

    /// Moves past blanks and lines that go on.
    pub(super) fn skip_blanks(&mut self) {
        while self.take(" ") || self.take("\t") || self.take("\\\n") {}
    }

    /// Moves past blanks, comments and newlines, and past here-documents after a newline.
    pub(super) fn skip_lines(&mut self) -> Parsed<()> {
        loop {
            self.skip_blanks();
            match self.peek() {
                Some('#') => {
                    let end = self.rest().find('\n').unwrap_or(self.rest().len());
                    self.comments.push((self.at, self.rest()[..end].to_owned()));
                    self.at += end;
                }
                Some('\n') => match self.bodies.take() {
                    Some((newline, after)) if newline == self.at => self.at = after,
                    Some(_) => return self.error("a here-document that is not where it should be"),
                    None => self.at += 1,
                },
                _ => return Ok(()),
            }
        }
    }

    fn pipeline(&mut self) -> Parsed<Pipeline> {
        let mut pipeline = Pipeline { adorned: false, commands: Vec::new() };
        while self.reserved("!") || self.reserved("time") {
            pipeline.adorned = true;
            self.at += if self.starts("!") { 1 } else { "time".len() };
            self.skip_blanks();
            while self.reserved("-p") {
                self.at += 2;
                self.skip_blanks();
            }
        }
        loop {
            pipeline.commands.push(self.command()?);
            self.skip_blanks();
            if self.starts("||") || !self.take("|") {
                return Ok(pipeline);
            }
            pipeline.adorned |= self.take("&");
            self.skip_lines()?;
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        if let Some(compound) = self.compound()? {
            return Ok(Command::Compound(compound));
        }
        if RESERVED.iter().any(|word| self.reserved(word)) {
            return self.error("a word of the language that does not belong here");
        }
        let mut simple = Simple::default();
        loop {
            self.skip_blanks();
            if let Some(redirect) = self.redirect()? {
                simple.redirects.push(redirect);
                continue;
            }
            if self.starts("#") {
                break;
            }
            let Some(word) = self.word()? else { break };
            let braced =
                word.bare().is_some_and(|text| text.starts_with('{') && text.ends_with('}'));
            if braced && (self.starts("<") || self.starts(">")) {
                return self.error("a file descriptor in a variable");
            }
            match assignment(&word) {
                Some(assign) if simple.words.is_empty() => {
                    if assign.value.parts.is_empty() && self.starts("(") {
                        return self.error("an array");
                    }
                    simple.assigns.push(assign);
                }
                _ => simple.words.push(word),
            }
            if simple.words.len() == 1 && self.is_function() {
                return self.function(simple.words).map(Command::Compound);
            }
        }
        if simple.words.is_empty() && simple.assigns.is_empty() && simple.redirects.is_empty() {
            return self.error("a command is missing");
        }
        Ok(Command::Simple(simple))
    }

    fn is_function(&self) -> bool {
        self.rest().trim_start_matches([' ', '\t']).starts_with('(')
    }

    pub(super) fn redirects(&mut self) -> Parsed<Vec<Redirect>> {
        let mut redirects = Vec::new();
        loop {
            self.skip_blanks();
            match self.redirect()? {
                Some(redirect) => redirects.push(redirect),
                None => return Ok(redirects),
            }
        }
    }

    /// Reads a redirection; none if none begins here.
    fn redirect(&mut self) -> Parsed<Option<Redirect>> {
        let rest = self.rest();
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let sign = &rest[digits..];
        let both = digits == 0 && sign.starts_with("&>");
        let begins = both || sign.starts_with(['<', '>']);
        if !begins || sign.starts_with("<(") || sign.starts_with(">(") {
            return Ok(None);
        }
        let fd = match &rest[..digits] {
            "" => None,
            number => match number.parse() {
                Ok(fd) => Some(fd),
                Err(_) => return self.error("no such file descriptor"),
            },
        };
        self.at += digits;
        let (kind, sign) = self.operator();
        self.at += sign;
        let dashed = kind == RedirectKind::Here && self.take("-");
        self.skip_blanks();
        let Some(target) = self.word()? else {
            return self.error("a redirection without a target");
        };
        let kind = match (kind, target.bare()) {
            (RedirectKind::Duplicate, Some(to)) if is_descriptor(to) => kind,
            (RedirectKind::Duplicate, _) if sign == 2 && fd.is_none() => RedirectKind::Both,
            (RedirectKind::Duplicate, _) => return self.error("no file descriptor"),
            _ => kind,
        };
        let body = match kind {
            RedirectKind::Here => Some(self.here(&target, dashed)?),
            _ => None,
        };
        Ok(Some(Redirect { kind, fd, target, body }))
    }

    /// Returns the redirection that stands here and the length of its sign.
    fn operator(&self) -> (RedirectKind, usize) {
        const SIGNS: [(&str, RedirectKind); 12] = [
            ("&>>", RedirectKind::Both),
            ("<<<", RedirectKind::HereString),
            ("&>", RedirectKind::Both),
            ("<<", RedirectKind::Here),
            ("<&", RedirectKind::Duplicate),
            ("<>", RedirectKind::ReadWrite),
            (">>", RedirectKind::Append),
            (">|", RedirectKind::Write),
            (">&", RedirectKind::Duplicate),
            ("<", RedirectKind::Read),
            (">", RedirectKind::Write),
            ("", RedirectKind::Read),
        ];
        let found = SIGNS.iter().find(|(sign, _)| self.starts(sign));
        found.map_or((RedirectKind::Read, 0), |(sign, kind)| (*kind, sign.len()))
    }

    /// Takes the body of a here-document out of the lines that follow this one.
    fn here(&mut self, delimiter: &Word, dashed: bool) -> Parsed<Word> {
        if delimiter.is_expanded() {
            return self.error("an expansion as the end of a here-document");
        }
        let (newline, begin) = match self.bodies {
            Some(pending) => pending,
            None => match self.rest().find('\n') {
                Some(offset) => (self.at + offset, self.at + offset + 1),
                None => return self.error("a here-document without a text"),
            },
        };
        let end = delimiter.text();
        let mut at = begin;
        for line in self.text[begin..].split_inclusive('\n') {
            let bare = line.trim_end_matches('\n');
            let bare = if dashed { bare.trim_start_matches('\t') } else { bare };
            if bare == end {
                let body = &self.text[begin..at];
                self.bodies = Some((newline, at + line.len()));
                let parts = if delimiter.is_quoted() {
                    vec![Part::Single(body.to_owned())]
                } else {
                    Cursor::here_text(body, self.depth)?
                };
                return Ok(Word { parts, at: begin });
            }
            at += line.len();
        }
        self.error("a here-document that does not end")
    }
}

fn is_descriptor(text: &str) -> bool {
    text == "-"
        || (!text.is_empty() && text.trim_end_matches('-').chars().all(|c| c.is_ascii_digit()))
}

/// Returns the assignment that a word is, if it is one.
fn assignment(word: &Word) -> Option<Assign> {
    let Some(Part::Plain(first)) = word.parts.first() else { return None };
    let (name, value) = first.split_once('=')?;
    let (name, adds) = name.strip_suffix('+').map_or((name, false), |name| (name, true));
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty()
        || name.starts_with(|c: char| c.is_ascii_digit())
        || !name.chars().all(letters)
    {
        return None;
    }
    let mut parts = word.parts.clone();
    parts[0] = Part::Plain(value.to_owned());
    if value.is_empty() {
        parts.remove(0);
    }
    let at = word.at + (first.len() - value.len());
    Some(Assign { name: name.to_owned(), adds, value: Word { parts, at } })
}
