//! Compound commands: whatever holds a script inside. They always need a shell; they are parsed so
//! that every command in them is looked at.

use crate::guard::shell::{
    ast::{Command, Compound, Kind, Script},
    cursor::{Cursor, Parsed},
    parse::End,
    word::{Part, Word},
};

impl Cursor<'_> {
    /// Reads a compound command; none if none begins here.
    pub(super) fn compound(&mut self) -> Parsed<Option<Compound>> {
        let found = if self.starts("((") {
            self.at += 2;
            let part = self.nested(|c| c.arithmetic("))"))?;
            let words = vec![Word { parts: vec![part], at: self.at }];
            Compound { kind: Kind::Arithmetic, words, bodies: Vec::new(), redirects: Vec::new() }
        } else if self.take("(") {
            let bodies = vec![self.nested(Self::script_in_parentheses)?];
            if !self.take(")") {
                return self.error("a parenthesis is not closed");
            }
            plain(Kind::Subshell, bodies)
        } else if self.word_is("{") {
            plain(Kind::Group, vec![self.body(&["}"])?])
        } else if self.word_is("if") {
            self.conditional()?
        } else if self.word_is("while") || self.word_is("until") {
            let condition = self.body(&["do"])?;
            plain(Kind::Flow, vec![condition, self.body(&["done"])?])
        } else if self.word_is("for") || self.word_is("select") {
            self.iteration()?
        } else if self.word_is("case") {
            self.choice()?
        } else if self.word_is("[[") {
            self.test()?
        } else if self.word_is("function") {
            self.skip_blanks();
            let Some(name) = self.word()? else { return self.error("a name is missing") };
            self.skip_blanks();
            return self.function(vec![name]).map(Some);
        } else if self.word_is("coproc") {
            let body = self.nested(|c| c.list(End::Outer))?;
            plain(Kind::Coprocess, vec![body])
        } else {
            return Ok(None);
        };
        let redirects = self.redirects()?;
        Ok(Some(Compound { redirects, ..found }))
    }

    /// Moves past the reserved word `name` if it stands here.
    fn word_is(&mut self, name: &str) -> bool {
        self.reserved(name) && self.take(name)
    }

    /// Reads a list that ends with one of the words, and the word.
    fn body(&mut self, end: &'static [&'static str]) -> Parsed<Script> {
        let script = self.nested(|c| c.list(End::Words(end)))?;
        if script.items.is_empty() {
            return self.error("a command is missing");
        }
        if end.iter().any(|word| self.word_is(word)) {
            return Ok(script);
        }
        self.error("a compound command is not closed")
    }

    fn conditional(&mut self) -> Parsed<Compound> {
        let mut bodies = vec![self.body(&["then"])?];
        loop {
            bodies.push(self.nested(|c| c.list(End::Words(&["elif", "else", "fi"])))?);
            if self.word_is("fi") {
                return Ok(plain(Kind::Flow, bodies));
            } else if self.word_is("elif") {
                bodies.push(self.body(&["then"])?);
            } else if self.word_is("else") {
                bodies.push(self.body(&["fi"])?);
                return Ok(plain(Kind::Flow, bodies));
            } else {
                return self.error("`if` is not closed");
            }
        }
    }

    fn iteration(&mut self) -> Parsed<Compound> {
        self.skip_blanks();
        let Some(name) = self.word()? else { return self.error("a name is missing") };
        let mut words = vec![name];
        self.skip_lines()?;
        if self.word_is("in") {
            self.skip_blanks();
            while let Some(word) = self.word()? {
                words.push(word);
                self.skip_blanks();
            }
        }
        let _ = self.take(";");
        self.skip_lines()?;
        if !self.word_is("do") {
            return self.error("`do` is missing");
        }
        let bodies = vec![self.body(&["done"])?];
        Ok(Compound { words, ..plain(Kind::Flow, bodies) })
    }

    fn choice(&mut self) -> Parsed<Compound> {
        self.skip_blanks();
        let Some(subject) = self.word()? else { return self.error("a word is missing") };
        let (mut words, mut bodies) = (vec![subject], Vec::new());
        self.skip_lines()?;
        if !self.word_is("in") {
            return self.error("`in` is missing");
        }
        loop {
            self.skip_lines()?;
            if self.word_is("esac") {
                return Ok(Compound { words, ..plain(Kind::Flow, bodies) });
            }
            let _ = self.take("(");
            loop {
                self.skip_blanks();
                let Some(pattern) = self.word()? else { return self.error("a pattern is missing") };
                words.push(pattern);
                self.skip_blanks();
                if !self.take("|") {
                    break;
                }
            }
            if !self.take(")") {
                return self.error("a pattern is not closed");
            }
            bodies.push(self.nested(|c| c.list(End::Branch))?);
            let _ = self.take(";;&") || self.take(";;") || self.take(";&");
        }
    }

    /// Reads up to `]]`; operators between the words do not matter to anybody here.
    fn test(&mut self) -> Parsed<Compound> {
        let mut words = Vec::new();
        loop {
            self.skip_lines()?;
            if self.word_is("]]") {
                return Ok(Compound { words, ..plain(Kind::Test, Vec::new()) });
            }
            if let Some(word) = self.word()? {
                words.push(word);
            } else if self.peek().is_some_and(|c| "&|()<>".contains(c)) {
                self.at += 1;
            } else {
                return self.error("`[[` is not closed");
            }
        }
    }

    /// Reads what follows a function's name.
    pub(super) fn function(&mut self, words: Vec<Word>) -> Parsed<Compound> {
        self.skip_blanks();
        if self.take("(") {
            self.skip_blanks();
            if !self.take(")") {
                return self.error("a parenthesis that no command has");
            }
        }
        self.skip_lines()?;
        let body = self.nested(Self::compound)?;
        let Some(body) = body else { return self.error("a function without a body") };
        let mut inner = body.bodies;
        // A test or an arithmetic body has words only, which are looked at all the same.
        let words = words.into_iter().chain(body.words).collect();
        Ok(Compound {
            kind: Kind::Function,
            words,
            bodies: std::mem::take(&mut inner),
            redirects: body.redirects,
        })
    }
}

fn plain(kind: Kind, bodies: Vec<Script>) -> Compound {
    Compound { kind, words: Vec::new(), bodies, redirects: Vec::new() }
}

impl Script {
    /// Calls back for every word of the script, of commands inside words and compound ones too.
    pub fn each_word<'s>(&'s self, visit: &mut dyn FnMut(&'s Word)) {
        for command in self.items.iter().flat_map(|item| &item.pipeline.commands) {
            let (words, redirects) = match command {
                Command::Simple(simple) => {
                    simple.assigns.iter().for_each(|assign| word(&assign.value, visit));
                    (&simple.words, &simple.redirects)
                }
                Command::Compound(compound) => {
                    compound.bodies.iter().for_each(|body| body.each_word(visit));
                    (&compound.words, &compound.redirects)
                }
            };
            words.iter().for_each(|w| word(w, visit));
            for redirect in redirects {
                word(&redirect.target, visit);
                redirect.body.iter().for_each(|body| word(body, visit));
            }
        }
    }

    /// Returns how many commands the script has, at all depths.
    pub fn count(&self) -> usize {
        let mut count = 0;
        for command in self.items.iter().flat_map(|item| &item.pipeline.commands) {
            count += match command {
                Command::Simple(_) => 1,
                Command::Compound(compound) => {
                    1 + compound.bodies.iter().map(Self::count).sum::<usize>()
                }
            };
        }
        // Words of compound bodies are counted by their own scripts' walk, so only direct ones here.
        count + self.nested().map(Self::count).sum::<usize>()
    }

    /// Returns the scripts inside the words of this list's own commands.
    pub fn nested(&self) -> impl Iterator<Item = &Self> {
        let mut found = Vec::new();
        for command in self.items.iter().flat_map(|item| &item.pipeline.commands) {
            let words: Vec<&Word> = match command {
                Command::Simple(simple) => {
                    let values = simple.assigns.iter().map(|assign| &assign.value);
                    let targets = simple
                        .redirects
                        .iter()
                        .flat_map(|r| [&r.target].into_iter().chain(&r.body));
                    simple.words.iter().chain(values).chain(targets).collect()
                }
                Command::Compound(compound) => {
                    let targets = compound
                        .redirects
                        .iter()
                        .flat_map(|r| [&r.target].into_iter().chain(&r.body));
                    compound.words.iter().chain(targets).collect()
                }
            };
            for word in words {
                word.each_part(&mut |part, _| {
                    if let Part::Nested(nested) = part {
                        found.push(&nested.script);
                    }
                });
            }
        }
        found.into_iter()
    }
}

fn word<'s>(word: &'s Word, visit: &mut dyn FnMut(&'s Word)) {
    visit(word);
    word.each_part(&mut |part, _| {
        if let Part::Nested(nested) = part {
            nested.script.each_word(visit);
        }
    });
}
