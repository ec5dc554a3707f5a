//! One argument of a call: what is known of its text, and how it was written.

use crate::guard::{
    gate::ShellFacts,
    shell::word::{Part, Word},
};

/// An argument, a redirection's target or a variable's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "five independent facts, named by field")]
pub struct Arg {
    /// The text without quotes; home and working directory put in where they were written as
    /// `~`, `$HOME` or `$PWD`, other expansions left as `${…}`.
    pub text: String,
    /// Whether something in it is expanded to what is not known here.
    pub expanded: bool,
    /// Whether it is a pattern that matches files.
    pub glob: bool,
    /// Whether braces may make several words of it.
    pub braces: bool,
    /// Whether quotes or backslashes break up what a reader would take for a name.
    pub spliced: bool,
    /// Whether it was spelled in `$'…'` or `$"…"`.
    pub coded: bool,
}

impl Arg {
    /// Returns an argument whose text is known.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Returns the argument that a word makes.
    pub fn new(word: &Word, facts: &ShellFacts, cwd: Option<&str>) -> Self {
        let mut arg = Self {
            glob: word.has_glob(),
            braces: word.has_braces(),
            coded: word.parts.iter().any(|p| matches!(p, Part::Ansi(_) | Part::Locale(_))),
            ..Self::default()
        };
        let tilde = word.has_tilde();
        for part in &word.parts {
            arg.take(part, facts, cwd);
        }
        if tilde {
            arg.put_home(&facts.home);
        }
        arg.spliced = is_spliced(word);
        arg
    }

    fn take(&mut self, part: &Part, facts: &ShellFacts, cwd: Option<&str>) {
        match part {
            Part::Plain(text) | Part::Single(text) | Part::Ansi(text) => self.text.push_str(text),
            Part::Escaped(c) => self.text.push(*c),
            Part::Double(parts) | Part::Locale(parts) => {
                parts.iter().for_each(|part| self.take(part, facts, cwd));
            }
            Part::Param(param) => match (param.text.as_str(), cwd) {
                ("HOME", _) => self.text.push_str(&facts.home),
                ("PWD", Some(cwd)) => self.text.push_str(cwd),
                (text, _) => {
                    self.expanded = true;
                    let guess = guess(text, &facts.home, cwd);
                    self.text.push_str(&guess.unwrap_or_else(|| format!("${{{text}}}")));
                }
            },
            Part::Nested(_) => {
                self.expanded = true;
                self.text.push_str("$(…)");
            }
            Part::Arithmetic(..) => {
                self.expanded = true;
                self.text.push_str("$((…))");
            }
        }
    }

    /// Puts the home folder where a tilde stands for it.
    fn put_home(&mut self, home: &str) {
        let at = if self.text.starts_with('~') {
            Some(0)
        } else {
            self.text.find("=~").or_else(|| self.text.find(":~")).map(|at| at + 1)
        };
        let Some(at) = at else { return };
        let after = &self.text[at + 1..];
        if after.is_empty() || after.starts_with(['/', ':']) {
            self.text = format!("{}{home}{after}", &self.text[..at]);
        } else {
            // `~user` is somebody's home, wherever that is.
            self.text = format!("{}/home/{after}", &self.text[..at]);
        }
    }

    /// Returns whether it is an option.
    pub fn is_option(&self) -> bool {
        self.text.len() > 1 && self.text.starts_with('-')
    }

    /// Returns the value if it is the long option `name`, abbreviated or not; an option without a
    /// value has the empty one.
    pub fn long(&self, name: &str) -> Option<&str> {
        let option = self.text.strip_prefix("--")?;
        let (option, value) = option.split_once('=').unwrap_or((option, ""));
        (!option.is_empty() && name.starts_with(option)).then_some(value)
    }

    /// Returns whether it is a bundle of short options that has `letter`.
    pub fn short(&self, letter: char) -> bool {
        self.text.strip_prefix('-').is_some_and(|letters| {
            !letters.starts_with('-') && letters.chars().any(|c| c == letter)
        })
    }
}

/// Returns what an expansion with an operator may well come to: the home whatever is cut off it, the
/// folder above the directory when something is cut off that, and the word that stands in for a value.
fn guess(text: &str, home: &str, cwd: Option<&str>) -> Option<String> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    match (text.split_at(end), cwd) {
        (("HOME", _), _) => Some(home.to_owned()),
        (("PWD", _), Some(cwd)) => Some(format!("{cwd}/..")),
        (("", _), _) => None,
        ((_, operator), _) => {
            let operator = operator.strip_prefix(':').unwrap_or(operator);
            let word = operator.strip_prefix(['-', '=', '+'])?.trim_matches(['"', '\'']);
            let known = !word.is_empty() && !word.contains(['$', '`']);
            known.then(|| match word.strip_prefix('~') {
                Some(rest) => format!("{home}{rest}"),
                None => word.to_owned(),
            })
        }
    }
}

/// Returns whether quoting hides a name: in the middle of a word, or of an option before its value.
fn is_spliced(word: &Word) -> bool {
    let hides = |part: &Part| match part {
        Part::Plain(_) | Part::Param(_) | Part::Nested(_) | Part::Arithmetic(..) => false,
        Part::Escaped(c) => c.is_ascii_alphanumeric() || "-_./".contains(*c),
        _ => true,
    };
    match word.parts.as_slice() {
        [only] => matches!(only, Part::Escaped(_)) && hides(only),
        [Part::Plain(first), rest @ ..] if first.starts_with('-') => {
            let named = first.contains('=') || !first.starts_with("--") && first.len() >= 2;
            !named && rest.iter().any(hides)
        }
        parts => parts.iter().any(hides),
    }
}
