//! Which files a call reads and writes, as far as its arguments tell.
//!
//! A table says what the operands of a program are. For every other program, arguments that look
//! like paths count as read.

use crate::guard::{
    gate::ShellFacts,
    path::{absolute, folded},
    scene::{
        arg::Arg,
        call::Call,
        operands::{OUTPUTS, Operands, PROGRAMS, TEXTS},
    },
    shell::ast::RedirectKind,
};

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touch {
    /// It is read, listed, started or entered.
    Read,
    /// It is written, made, or its attributes are.
    Write,
    /// It is taken away.
    Delete,
    /// A link to it is made.
    Link,
}

/// A file and what is done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts, named by field")]
pub struct Access {
    /// The absolute path.
    pub path: String,
    /// The absolute path without following any symlink.
    pub lexical: String,
    /// The path as it was written.
    pub shown: String,
    /// What is done.
    pub touch: Touch,
    /// Whether it is so in the likely directory; if not, only after a `cd` that failed.
    pub sure: bool,
    /// Whether a redirection does it.
    pub redirect: bool,
    /// Whether characters that only look like dots and slashes were read as those.
    pub disguised: bool,
    /// Whether nobody knows which file it is.
    pub unknown: bool,
}

/// Returns the files that a call touches.
pub fn of(call: &Call, facts: &ShellFacts) -> Vec<Access> {
    let mut found = Vec::new();
    let mut add = |arg: &Arg, touch: Touch, redirect: bool| {
        found.extend(resolve(facts, call, (arg, touch, redirect)));
    };
    if call.program.text.contains('/') {
        add(&call.program, Touch::Read, false);
    }
    for (_, value) in &call.env {
        let parts = value.text.split(':').filter(|part| looks_like_path(part));
        parts.for_each(|part| {
            add(&Arg { text: part.to_owned(), ..value.clone() }, Touch::Read, false);
        });
    }
    for redirect in &call.redirects {
        match redirect.kind {
            RedirectKind::Read => add(&redirect.arg, Touch::Read, true),
            RedirectKind::Write
            | RedirectKind::Append
            | RedirectKind::ReadWrite
            | RedirectKind::Both => {
                add(&redirect.arg, Touch::Write, true);
            }
            RedirectKind::Duplicate | RedirectKind::Here | RedirectKind::HereString => {}
        }
    }
    arguments(call, &mut add);
    found
}

type Add<'a> = &'a mut dyn FnMut(&Arg, Touch, bool);

fn arguments(call: &Call, add: Add<'_>) {
    let kind = PROGRAMS.iter().find(|(names, _)| call.is(names)).map(|(_, kind)| *kind);
    let outputs = OUTPUTS.iter().find(|(names, _)| call.is(names)).map(|(_, options)| *options);
    let in_place = in_place(call);
    let mut operands: Vec<&Arg> = Vec::new();
    let mut args = call.args.iter().peekable();
    let mut skip = expression_operands(call, kind);
    while let Some(arg) = args.next() {
        if arg.is_option() && kind != Some(Operands::Text) {
            let (name, value) = arg.text.split_once('=').unwrap_or((&arg.text, ""));
            let known = outputs.is_some_and(|outputs| outputs.contains(&name));
            if known && let Some(file) = value_of(arg, value, || args.next().cloned()) {
                add(&file, Touch::Write, false);
            } else if TEXTS.contains(&name) && value.is_empty() {
                args.next();
            } else if !TEXTS.contains(&name) {
                option(arg, value, add);
                let file = value.is_empty() && (name.ends_with("-file") || name.ends_with("-from"));
                args.peek().filter(|_| file).iter().for_each(|file| add(file, Touch::Read, false));
            }
            continue;
        }
        if let Some((name, file)) = arg.text.split_once('=')
            && call.name == "dd"
        {
            let touch = if name == "of" { Touch::Write } else { Touch::Read };
            add(&Arg { text: file.to_owned(), ..arg.clone() }, touch, false);
        } else if skip > 0 {
            skip -= 1;
        } else {
            operands.push(arg);
        }
    }
    match (kind, operands.as_slice()) {
        // A pattern in a text lists the folder it is for.
        (Some(Operands::Text), _) => {
            operands.iter().filter(|a| a.glob).for_each(|a| add_path(call, a, add));
        }
        (Some(Operands::Read(_)), _) if in_place => {
            operands.iter().for_each(|a| add(a, Touch::Write, false));
        }
        (Some(Operands::Read(_)), _) => operands.iter().for_each(|a| add(a, Touch::Read, false)),
        (Some(Operands::Write(_)), _) => operands.iter().for_each(|a| add(a, Touch::Write, false)),
        (Some(Operands::Delete), _) => operands.iter().for_each(|a| add(a, Touch::Delete, false)),
        (Some(Operands::Copy), [sources @ .., to]) => {
            sources.iter().for_each(|a| add(a, Touch::Read, false));
            add(to, Touch::Write, false);
        }
        (Some(Operands::Move), [sources @ .., to]) => {
            sources.iter().for_each(|a| add(a, Touch::Delete, false));
            add(to, Touch::Write, false);
        }
        (Some(Operands::Link), [target, rest @ ..]) => {
            add(&linked(call, target, rest.first()), Touch::Link, false);
            rest.iter().for_each(|a| add(a, Touch::Write, false));
        }
        _ => operands.iter().for_each(|arg| add_path(call, arg, add)),
    }
}

/// Adds an operand of a program that the table does not know, if it looks like a path.
fn add_path(call: &Call, arg: &Arg, add: Add<'_>) {
    let text = after_sign(&arg.text);
    // Labels of these begin at the workspace; git names files of a commit after a colon.
    let label = call.is(&["bazel", "bazelisk", "buck2", "buck"]) && text.starts_with("//");
    let named = text.split_once(':').map(|(_, path)| path).filter(|_| call.name == "git");
    for text in [text].into_iter().chain(named) {
        if !label && looks_like_path(text) {
            add(&Arg { text: text.to_owned(), ..arg.clone() }, Touch::Read, false);
        }
    }
}

/// Returns what a link leads to: a symbolic one begins at the folder it stands in.
fn linked(call: &Call, target: &Arg, link: Option<&&Arg>) -> Arg {
    let symbolic = call.args.iter().any(|arg| arg.short('s') || arg.text == "--symbolic");
    let folder = link.and_then(|link| link.text.rsplit_once('/')).map(|(folder, _)| folder);
    match folder {
        Some(folder) if symbolic && !target.text.starts_with('/') => {
            Arg { text: format!("{folder}/{}", target.text), ..target.clone() }
        }
        _ => target.clone(),
    }
}

/// Returns how many operands are no files.
fn expression_operands(call: &Call, kind: Option<Operands>) -> usize {
    let given = call.args.iter().any(|arg| {
        arg.long("expression").is_some_and(|_| arg.text.len() > 4)
            || matches!(arg.text.as_str(), "-e" | "-f" | "--regexp" | "--file" | "--files")
            || arg.short('e') && call.is(&["sed"])
    });
    match kind {
        Some(Operands::Read(skip) | Operands::Write(skip)) => {
            skip.saturating_sub(usize::from(given))
        }
        _ => 0,
    }
}

/// Returns whether a program rewrites the files it reads.
fn in_place(call: &Call) -> bool {
    match call.name.as_str() {
        "sed" => call.args.iter().any(|arg| {
            arg.text
                .strip_prefix('-')
                .is_some_and(|t| !t.starts_with('-') && t.contains('i') && !t.starts_with('e'))
                || arg.text.len() > 4 && arg.long("in-place").is_some()
        }),
        "yq" => call.has("-i") || call.has("--inplace"),
        _ => false,
    }
}

/// Returns the value of an option that was written in the same word or the next one.
fn value_of(arg: &Arg, value: &str, next: impl FnOnce() -> Option<Arg>) -> Option<Arg> {
    if arg.text.contains('=') {
        return Some(Arg { text: value.to_owned(), ..arg.clone() });
    }
    next()
}

/// Adds what an option's own word may hold: `--x=/path`, `-I../path`.
fn option(arg: &Arg, value: &str, add: Add<'_>) {
    let glued = match arg.text.char_indices().nth(2) {
        Some((at, _)) if !arg.text.starts_with("--") => &arg.text[at..],
        _ => "",
    };
    // Whatever `--env-file=` and its kin name is a file.
    let file = arg.text.split('=').next().is_some_and(|name| name.contains("file"));
    for text in [value, glued] {
        if text.starts_with(['/', '~']) || text.starts_with("..") || file && text == value {
            add(&Arg { text: text.to_owned(), ..arg.clone() }, Touch::Read, false);
        }
    }
}

fn after_sign(text: &str) -> &str {
    match text.split_once('=') {
        Some((name, value)) if !name.contains('/') => value,
        _ => text,
    }
}

/// Returns whether a text that may be anything is probably a path.
fn looks_like_path(text: &str) -> bool {
    let (text, _) = folded(text);
    let begins =
        text.starts_with('/') || text.starts_with("../") || text == ".." || text.starts_with('~');
    let hidden = text.len() > 1 && text.starts_with('.');
    let clean = !text.contains(|c: char| c.is_whitespace() || "|;<>\"'(){}".contains(c));
    let address = text.contains("://") || text.contains('@') && text.contains(':');
    !address && clean && (begins || hidden || text.contains('/'))
}

/// Returns the files that an argument may mean, one for each directory the call may run in.
fn resolve(
    facts: &ShellFacts,
    call: &Call,
    (arg, touch, redirect): (&Arg, Touch, bool),
) -> Vec<Access> {
    if arg.text.is_empty() || arg.text == "-" {
        return Vec::new();
    }
    let (text, disguised) = folded(&arg.text);
    // A pattern's `.?` or `.*` may be `..` when more of the path follows.
    let text = if arg.glob { dotted(&text) } else { text };
    let unknown = text.starts_with('$') || call.places.is_empty() && !text.starts_with('/');
    let access = |path: String, lexical: String, sure: bool| Access {
        path,
        lexical,
        shown: arg.text.clone(),
        touch,
        sure,
        redirect,
        disguised,
        unknown,
    };
    if unknown {
        return vec![access(text.clone(), text, true)];
    }
    let bare = ShellFacts::default();
    let mut found: Vec<Access> = Vec::new();
    for (n, place) in call.places.iter().map(String::as_str).chain(["/"]).enumerate() {
        if n > 0 && (text.starts_with('/') || n == call.places.len()) {
            break;
        }
        let path = absolute(facts, place, &text);
        found.push(access(path, absolute(&bare, place, &text), n == 0));
    }
    found
}

fn dotted(text: &str) -> String {
    let parts: Vec<&str> = text.split('/').collect();
    let last = parts.len() - 1;
    let may_be = |n: usize, part: &str| {
        n < last && part.len() <= 4 && part.starts_with('.') && part.contains(['*', '?', '['])
    };
    let parts = parts.iter().enumerate().map(|(n, p)| if may_be(n, p) { ".." } else { p });
    parts.collect::<Vec<_>>().join("/")
}
