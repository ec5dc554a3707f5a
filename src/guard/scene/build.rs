//! From a parsed command line to the calls in it, each with the directories it may run in.
//!
//! After `cd x &&` only `x` is possible; after `cd x;` it may have failed, so both are, unless
//! `set -e` ends the script then. Scripts in strings are parsed and followed the same way.

use crate::guard::{
    gate::ShellFacts,
    path::absolute,
    scene::{
        arg::Arg,
        call::{Call, Target},
        peel::{self, Inside},
    },
    shell::{
        ast::{Command, Compound, Kind, ParseError, Redirect, RedirectKind, Script, Simple, Then},
        parse::read,
        word::{Part, Word},
    },
};

/// Deepest scripts in scripts, and most calls that are looked at.
const MAX_DEPTH: usize = 8;
const MAX_CALLS: usize = 512;
/// Most directories that a call may run in before it counts as unknown.
const MAX_PLACES: usize = 8;

/// All that is known of a command line before it runs.
#[derive(Debug)]
pub struct Scene<'s> {
    /// The text.
    pub raw: &'s str,
    /// The facts.
    pub facts: &'s ShellFacts,
    /// The tree of the text itself first, then those of scripts in its words; none if the text is
    /// not understood.
    pub scripts: Vec<Script>,
    /// What was not understood.
    pub errors: Vec<ParseError>,
    /// The calls, wrappers before what they wrap.
    pub calls: Vec<Call>,
    /// The compound commands.
    pub kinds: Vec<Kind>,
    /// Whether something goes on in the background.
    pub background: bool,
    /// Whether there were too many calls or levels to look at.
    pub over_cap: bool,
}

/// The directories that may be the working directory.
#[derive(Clone, Debug, Default)]
struct Where {
    places: Vec<String>,
    stops_on_error: bool,
}

impl<'s> Scene<'s> {
    /// Reads a command line.
    pub fn new(raw: &'s str, facts: &'s ShellFacts) -> Self {
        let mut scene = Self {
            raw,
            facts,
            scripts: Vec::new(),
            errors: Vec::new(),
            calls: Vec::new(),
            kinds: Vec::new(),
            background: false,
            over_cap: false,
        };
        let mut here = Where { places: vec![facts.cwd.clone()], stops_on_error: false };
        scene.text(raw, &mut here, 0);
        scene
    }

    fn text(&mut self, text: &str, here: &mut Where, depth: usize) {
        if depth > MAX_DEPTH {
            self.over_cap = true;
            return;
        }
        let (script, error) = read(text);
        self.errors.extend(error);
        self.script(&script, here, depth);
        // The text itself stands first, whatever was found in it.
        let at = if depth == 0 { 0 } else { self.scripts.len() };
        self.scripts.insert(at, script);
    }

    fn script(&mut self, script: &Script, here: &mut Where, depth: usize) {
        let mut chain = here.clone();
        for (n, item) in script.items.iter().enumerate() {
            let commands = &item.pipeline.commands;
            let mut before = Vec::new();
            for command in commands {
                let mut own = here.clone();
                let at = if commands.len() == 1 { &mut *here } else { &mut own };
                let first = self.calls.len();
                self.command(command, (at, &before), depth);
                before.extend(self.calls[first..].iter().map(|call| call.name.clone()));
            }
            self.background |= item.then == Then::Background;
            let leaves = script.items.get(n + 1).is_some_and(|next| {
                matches!(next.pipeline.commands.as_slice(), [Command::Simple(simple)]
                    if simple.words.first().and_then(Word::bare).is_some_and(|w| w == "exit" || w == "return"))
            });
            if item.then != Then::And && !here.stops_on_error && !leaves {
                here.join(&chain);
                chain = here.clone();
            }
        }
    }

    fn command(
        &mut self,
        command: &Command,
        (here, before): (&mut Where, &[String]),
        depth: usize,
    ) {
        match command {
            Command::Simple(simple) => self.simple(simple, (here, before), depth),
            Command::Compound(compound) => self.compound(compound, (here, before), depth),
        }
    }

    fn compound(
        &mut self,
        compound: &Compound,
        (here, before): (&mut Where, &[String]),
        depth: usize,
    ) {
        self.kinds.push(compound.kind);
        for word in &compound.words {
            self.nested(word, here, depth);
        }
        if compound.kind == Kind::Flow {
            self.values(&compound.words, here);
        }
        let mut own = here.clone();
        for body in &compound.bodies {
            self.script(body, &mut own, depth);
        }
        if compound.kind != Kind::Subshell && compound.kind != Kind::Coprocess {
            here.join(&own);
        }
        if !compound.redirects.is_empty() {
            let redirects = compound.redirects.clone();
            let simple = Simple { redirects, ..Simple::default() };
            self.simple(&simple, (here, before), depth);
        }
    }

    /// Takes what a loop goes over for values that its variable is given.
    fn values(&mut self, words: &[Word], here: &Where) {
        let [name, values @ ..] = words else { return };
        let cwd = here.places.first().map(String::as_str);
        let name = name.text();
        let value = |word: &Word| (name.clone(), Arg::new(word, self.facts, cwd));
        let env = values.iter().map(value).collect();
        self.calls.push(Call { env, places: here.places.clone(), ..Call::default() });
    }

    fn simple(&mut self, simple: &Simple, (here, before): (&mut Where, &[String]), depth: usize) {
        let values = simple.assigns.iter().map(|assign| &assign.value);
        let targets = simple.redirects.iter().flat_map(|r| [&r.target].into_iter().chain(&r.body));
        for word in simple.words.iter().chain(values).chain(targets) {
            self.nested(word, here, depth);
        }
        let cwd = here.places.first().map(String::as_str);
        let arg = |word: &Word| Arg::new(word, self.facts, cwd);
        let mut words = simple.words.iter().map(arg);
        let program = words.next().unwrap_or_default();
        let call = Call {
            name: peel::base_name(&program.text),
            program,
            args: words.collect(),
            env: simple.assigns.iter().map(|a| (a.name.clone(), arg(&a.value))).collect(),
            redirects: simple.redirects.iter().map(|r| target(r, arg(&r.target))).collect(),
            places: here.places.clone(),
            before: before.to_vec(),
            fed: !before.is_empty() || simple.redirects.iter().any(|r| feeds(r.kind)),
            ..Call::default()
        };
        here.follow(&call, self.facts);
        self.call(call, here, depth);
    }

    /// Adds a call and whatever is inside it.
    fn call(&mut self, call: Call, here: &mut Where, depth: usize) {
        if depth > MAX_DEPTH || self.calls.len() >= MAX_CALLS {
            self.over_cap = true;
            return;
        }
        let inside = peel::peel(&call);
        self.calls.push(call);
        for inside in inside {
            match inside {
                Inside::Call(inner) => self.call(*inner, here, depth + 1),
                Inside::Script(text) => self.text(&text, &mut here.clone(), depth + 1),
            }
        }
    }

    /// Follows the commands inside a word.
    fn nested(&mut self, word: &Word, here: &Where, depth: usize) {
        let mut scripts = Vec::new();
        word.each_part(&mut |part, _| {
            if let Part::Nested(nested) = part {
                scripts.push(&nested.script);
            }
        });
        for script in scripts {
            self.script(script, &mut here.clone(), depth);
        }
    }
}

impl Where {
    fn join(&mut self, other: &Self) {
        if self.places.is_empty() || other.places.is_empty() {
            self.places.clear();
            return;
        }
        for place in &other.places {
            if !self.places.contains(place) {
                self.places.push(place.clone());
            }
        }
        if self.places.len() > MAX_PLACES {
            self.places.clear();
        }
    }

    /// Applies what a call changes for those after it.
    fn follow(&mut self, call: &Call, facts: &ShellFacts) {
        match call.name.as_str() {
            "set" => self.stops_on_error |= call.args.iter().any(|arg| arg.short('e')),
            "cd" | "pushd" | "chdir" => {
                let to = call.args.iter().find(|arg| !arg.is_option());
                let back = call.has("-");
                self.places = match to {
                    _ if back => Vec::new(),
                    None => vec![facts.home.clone()],
                    Some(to) if to.expanded || to.glob => Vec::new(),
                    Some(to) => {
                        let at = |place: &String| absolute(facts, place, &to.text);
                        self.places.iter().map(at).collect()
                    }
                };
                self.places.dedup();
            }
            "popd" => self.places.clear(),
            _ => {}
        }
    }
}

fn target(redirect: &Redirect, arg: Arg) -> Target {
    let expands = redirect.body.as_ref().is_some_and(Word::is_expanded);
    Target { kind: redirect.kind, arg, expands }
}

fn feeds(kind: RedirectKind) -> bool {
    matches!(kind, RedirectKind::Here | RedirectKind::HereString | RedirectKind::Read)
}
