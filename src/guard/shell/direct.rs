//! Direct mode: commands that we start ourselves, so that no second parser reads them.
//!
//! A plan exists only if every word is literal and nothing else than pipes, `&&`, `||`, `;` and
//! plain redirections joins them. Whoever carries a plan out starts with its working directory,
//! takes the pipelines in order, and skips one whose condition the last status does not meet.

use crate::guard::shell::{
    ast::{Command, Redirect, RedirectKind, Script, Simple, Then},
    word::Word,
};

/// What to start, without any shell.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
}

/// One pipeline, or a change of the working directory.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    /// When it is run.
    pub when: When,
    /// What is run.
    pub act: Act,
}

/// When a step is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// In any case.
    Always,
    /// If the status is 0.
    Success,
    /// If the status is another.
    Failure,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Changes the working directory of the steps after it; its status is 1 if that is impossible.
    Cd(String),
    /// Starts programs joined by pipes; its status is that of the last one.
    Pipeline(Vec<Start>),
}

/// One program to start.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Start {
    /// Variables that only this program gets.
    pub env: Vec<(String, String)>,
    /// The program and its arguments, at least one.
    pub argv: Vec<String>,
    /// In the order in which they take effect.
    pub redirects: Vec<Open>,
}

/// Where a file descriptor of a program leads.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Open {
    /// 0, 1 or 2.
    pub fd: u32,
    /// Where to.
    pub to: To,
}

/// The other end of a file descriptor.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum To {
    /// Reads a file.
    Read(String),
    /// Makes a file, or empties it.
    Write(String),
    /// Makes a file, or adds to it.
    Append(String),
    /// What this other descriptor is at this moment.
    Same(u32),
}

/// Commands that only a shell has, or whose own program would not do the same.
const SHELL_ONLY: [&str; 53] = [
    ".",
    ":",
    "alias",
    "bg",
    "bind",
    "break",
    "builtin",
    "caller",
    "cd",
    "command",
    "compgen",
    "complete",
    "compopt",
    "continue",
    "declare",
    "dirs",
    "disown",
    "enable",
    "eval",
    "exec",
    "exit",
    "export",
    "fc",
    "fg",
    "getopts",
    "hash",
    "help",
    "history",
    "jobs",
    "let",
    "local",
    "logout",
    "mapfile",
    "popd",
    "pushd",
    "read",
    "readarray",
    "readonly",
    "return",
    "set",
    "shift",
    "shopt",
    "source",
    "suspend",
    "times",
    "trap",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "wait",
];

/// Returns the plan, or nothing if the script needs a shell.
pub fn plan(script: &Script) -> Option<Plan> {
    let mut steps = Vec::new();
    let mut when = When::Always;
    for item in &script.items {
        if item.pipeline.adorned {
            return None;
        }
        let act = match item.pipeline.commands.as_slice() {
            [Command::Simple(simple)] => cd(simple).or_else(|| alone(simple))?,
            commands => Act::Pipeline(commands.iter().map(start).collect::<Option<_>>()?),
        };
        steps.push(Step { when, act });
        when = match item.then {
            Then::And => When::Success,
            Then::Or => When::Failure,
            Then::Next => When::Always,
            Then::Background => return None,
        };
    }
    (!steps.is_empty()).then_some(Plan { steps })
}

fn alone(simple: &Simple) -> Option<Act> {
    Some(Act::Pipeline(vec![program(simple)?]))
}

/// Returns the change of directory that a command is; one over `..` depends on symlinks.
fn cd(simple: &Simple) -> Option<Act> {
    if !simple.assigns.is_empty() || !simple.redirects.is_empty() {
        return None;
    }
    let [cd, to] = simple.words.as_slice() else { return None };
    let to = to.literal()?;
    let plain = !to.is_empty() && !to.starts_with('-') && to.split('/').all(|part| part != "..");
    (cd.literal()? == "cd" && plain).then_some(Act::Cd(to))
}

fn start(command: &Command) -> Option<Start> {
    match command {
        Command::Simple(simple) => program(simple),
        Command::Compound(_) => None,
    }
}

fn program(simple: &Simple) -> Option<Start> {
    let argv = simple.words.iter().map(Word::literal).collect::<Option<Vec<_>>>()?;
    let name = argv.first()?;
    if name.is_empty() || SHELL_ONLY.contains(&name.as_str()) {
        return None;
    }
    let mut env = Vec::new();
    for assign in &simple.assigns {
        if assign.adds {
            return None;
        }
        env.push((assign.name.clone(), assign.value.literal()?));
    }
    let mut redirects = Vec::new();
    for redirect in &simple.redirects {
        redirects.extend(open(redirect)?);
    }
    Some(Start { env, argv, redirects })
}

fn open(redirect: &Redirect) -> Option<Vec<Open>> {
    let target = redirect.target.literal()?;
    let standard = |fd: u32| (fd <= 2).then_some(fd);
    let one = |fd: u32, to: To| Some(vec![Open { fd: standard(fd)?, to }]);
    match redirect.kind {
        RedirectKind::Read => one(redirect.fd.unwrap_or(0), To::Read(target)),
        RedirectKind::Write => one(redirect.fd.unwrap_or(1), To::Write(target)),
        RedirectKind::Append => one(redirect.fd.unwrap_or(1), To::Append(target)),
        RedirectKind::Duplicate => {
            one(redirect.fd.unwrap_or(1), To::Same(standard(target.parse().ok()?)?))
        }
        _ => None,
    }
}
