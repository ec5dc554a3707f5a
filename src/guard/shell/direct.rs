//! Direct mode: commands that we start ourselves, so that no second parser reads them.
//!
//! A plan exists only if every word is literal and nothing else than pipes, `&&`, `||`, `;` and
//! plain redirections joins them.

use crate::{
    guard::shell::{
        ast::{Command, Redirect, RedirectKind, Script, Simple, Then},
        word::Word,
    },
    protocol::plan::{Act, Open, Plan, Start, Step, To, When},
};

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
    // After a change to a folder by a link, the shell says the way and the program the folder.
    let moves = steps.iter().any(|step| matches!(step.act, Act::Cd(_)));
    let asks = |step: &Step| matches!(&step.act, Act::Pipeline(starts) if starts.iter().any(|s| s.argv[0] == "pwd"));
    let lost = moves && steps.iter().any(asks);
    (!steps.is_empty() && !lost).then_some(Plan { steps })
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
    if name.is_empty() || SHELL_ONLY.contains(&name.as_str()) || is_other(&argv) {
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

/// Whether the shell's own command of that name would do something else with these arguments.
fn is_other(argv: &[String]) -> bool {
    match argv.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["echo", "--help" | "--version"] => true,
        ["printf", rest @ ..] => {
            rest.iter().any(|word| word.contains("%q") || word.contains("%(") || *word == "--help")
        }
        // A job of the shell, a variable of the shell.
        ["kill", rest @ ..] => rest.iter().any(|word| word.starts_with('%') || *word == "-l"),
        ["test" | "[", rest @ ..] => rest.iter().any(|word| ["-v", "-o", "-R"].contains(word)),
        _ => false,
    }
}

/// Files that mean a descriptor of whoever opens them, or wait for somebody.
fn is_plain(target: &str) -> bool {
    target == "/dev/null" || !["/dev", "/proc"].iter().any(|dir| target.starts_with(dir))
}

fn open(redirect: &Redirect) -> Option<Vec<Open>> {
    let target = redirect.target.literal()?;
    if redirect.kind != RedirectKind::Duplicate && (target.is_empty() || !is_plain(&target)) {
        return None;
    }
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
