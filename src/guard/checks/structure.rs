//! Checks on what stands around and between commands, and on builtins of shells.

use crate::guard::{
    gate::{Findings, Sight, Verdict},
    scene::{
        arg::Arg,
        call::{Call, runs_input},
    },
    shell::{
        ast::{Command, Kind, RedirectKind, Script},
        word::Word,
    },
};

/// K09.
pub(super) fn here(sight: &Sight<'_>, findings: &mut Findings) {
    for call in &sight.scene.calls {
        for redirect in &call.redirects {
            let here = matches!(redirect.kind, RedirectKind::Here | RedirectKind::HereString);
            if here && redirect.expands {
                findings.add(Verdict::Ask, "a here-document expands what is in it");
            }
            if here && runs_input(&call.name) {
                findings
                    .add(Verdict::Ask, format!("a here-document is a script for `{}`", call.name));
            }
        }
    }
}

/// K22.
pub(super) fn comments(sight: &Sight<'_>, findings: &mut Findings) {
    let Some(script) = sight.scene.scripts.first().filter(|_| sight.scene.errors.is_empty()) else {
        return;
    };
    let raw = sight.scene.raw;
    for (at, text) in &script.comments {
        let after = raw.get(at + text.len()..).unwrap_or_default();
        let bare = text.trim_start_matches('#').trim();
        let signs = bare.contains([';', '|', '&', '$', '`', '\'', '"', '\\']);
        if !after.trim().is_empty() && (bare.is_empty() || signs) {
            findings.add(Verdict::Ask, format!("a comment before more commands: `{text}`"));
        }
    }
    script.each_word(&mut |word| {
        let Some(text) = word.bare().filter(|text| text.contains('#')) else { return };
        // Words of commands in backticks count from the beginning of those.
        if raw.get(word.at..word.at + text.len()) == Some(text)
            && raw[word.at + text.len()..].starts_with([';', '&', '|'])
        {
            findings.add(Verdict::Ask, format!("`{text}` is no comment, and more follows it"));
        }
    });
}

/// K23.
pub(super) fn builtins(sight: &Sight<'_>, findings: &mut Findings) {
    for call in &sight.scene.calls {
        let deny = match call.name.as_str() {
            "eval" | "trap" => true,
            "alias" => call.args.iter().any(|arg| arg.text.contains('=')),
            "exec" => !call.args.is_empty(),
            "enable" => call.args.iter().any(|arg| arg.short('f')),
            "hash" => call.args.iter().any(|arg| arg.short('p')),
            "mapfile" | "readarray" | "complete" | "compgen" => {
                call.args.iter().any(|arg| arg.short('C'))
            }
            "bind" => call.args.iter().any(|arg| arg.short('x') || arg.short('f')),
            _ => false,
        };
        if deny {
            findings.add(Verdict::Deny, format!("`{}` runs or rebinds code", call.line()));
        } else if call.is(&["source", ".", "builtin", "alias", "enable", "unalias"]) {
            findings.add(Verdict::Ask, format!("`{}` changes what later words mean", call.line()));
        }
    }
}

/// K26.
pub(super) fn lasting(sight: &Sight<'_>, findings: &mut Findings) {
    let scene = &sight.scene;
    if scene.background {
        findings.add(Verdict::Ask, "something goes on in the background");
    }
    if scene.kinds.contains(&Kind::Coprocess) {
        findings.add(Verdict::Ask, "a coprocess");
    }
    if scene.kinds.contains(&Kind::Function) {
        findings.add(Verdict::Ask, "a function may stand for another program");
    }
    if scene.calls.iter().any(|call| call.is(&["disown", "nohup", "setsid", "daemonize"])) {
        findings.add(Verdict::Ask, "something outlives its command");
    }
    for script in &scene.scripts {
        bombs(script, findings);
    }
}

/// Finds functions that start themselves more than once.
fn bombs(script: &Script, findings: &mut Findings) {
    for command in script.items.iter().flat_map(|item| &item.pipeline.commands) {
        let Command::Compound(compound) = command else { continue };
        compound.bodies.iter().for_each(|body| bombs(body, findings));
        let name = compound.words.first().map(Word::text).unwrap_or_default();
        let starts: usize = compound.bodies.iter().map(|body| times(body, &name)).sum();
        if compound.kind == Kind::Function && starts > 1 {
            findings.add(Verdict::Deny, format!("`{name}` starts itself again and again"));
        }
    }
}

fn times(script: &Script, name: &str) -> usize {
    let commands = script.items.iter().flat_map(|item| &item.pipeline.commands);
    let count = |command: &Command| match command {
        Command::Simple(simple) => {
            usize::from(simple.words.first().is_some_and(|word| word.text() == name))
        }
        Command::Compound(compound) => compound.bodies.iter().map(|body| times(body, name)).sum(),
    };
    commands.map(count).sum()
}

/// K27.
pub(super) fn state(sight: &Sight<'_>, findings: &mut Findings) {
    const HARMLESS: [&str; 7] =
        ["pipefail", "errexit", "nounset", "xtrace", "noclobber", "noglob", "verbose"];
    for call in &sight.scene.calls {
        if call.env.iter().any(|(name, _)| name.starts_with("HIST")) {
            findings.add(Verdict::Deny, "a variable of the shell's history");
        }
        let has_args = !call.args.is_empty();
        match call.name.as_str() {
            "history" | "fc" if call.args.iter().any(Arg::is_option) => {
                findings
                    .add(Verdict::Deny, format!("`{}` writes or runs the history", call.line()));
            }
            "history" | "fc" => findings.add(Verdict::Ask, "the shell's history"),
            "set" => {
                let names = call.args.iter().filter(|arg| !arg.text.starts_with(['-', '+']));
                let other = names.filter(|arg| !HARMLESS.contains(&arg.text.as_str())).count();
                if other > 0 {
                    findings.add(Verdict::Ask, format!("`{}` changes the shell", call.line()));
                }
            }
            "shopt" | "umask" | "ulimit" | "setopt" | "unsetopt" if changes(call) && has_args => {
                findings.add(Verdict::Ask, format!("`{}` changes the shell", call.line()));
            }
            _ => {}
        }
    }
}

fn changes(call: &Call) -> bool {
    match call.name.as_str() {
        "ulimit" => call.args.iter().any(|arg| !arg.is_option()),
        "umask" => !call.has("-S") && !call.has("-p"),
        "shopt" => call.args.iter().any(|arg| arg.short('s') || arg.short('u')),
        _ => true,
    }
}

/// K30.
pub(super) fn zsh(sight: &Sight<'_>, findings: &mut Findings) {
    const ONLY: [&str; 16] = [
        "autoload", "zmodload", "emulate", "zcompile", "sysopen", "syswrite", "sysread", "ztcp",
        "zsocket", "zpty", "sched", "zselect", "vared", "zle", "zstyle", "zformat",
    ];
    for call in &sight.scene.calls {
        if call.is(&ONLY) || call.name.starts_with("zf_") {
            findings.add(Verdict::Deny, format!("`{}` is a builtin of zsh", call.name));
        }
        if call.name == "print" && call.args.iter().any(|arg| arg.short('z')) {
            findings.add(Verdict::Deny, "`print -z` puts a command into the next line");
        }
        let equals =
            |text: &str| text.len() > 1 && text.starts_with('=') && !text.starts_with("==");
        if equals(&call.program.text) {
            findings.add(Verdict::Deny, format!("`{}` names a program in zsh", call.program.text));
        }
    }
    if has_qualifier(sight.scene.raw) {
        findings.add(Verdict::Deny, "a glob with a qualifier, which zsh may evaluate");
    }
}

/// Returns whether a parenthesis stands right after an unquoted `*`, `?` or `]` in a word.
fn has_qualifier(text: &str) -> bool {
    let (mut quote, mut before) = (None, ' ');
    for c in text.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if before == '\\' => {}
            None if matches!(c, '\'' | '"' | '`') => quote = Some(c),
            None if c == '(' && matches!(before, '*' | '?' | ']') => return true,
            _ => {}
        }
        before = if before == '\\' { ' ' } else { c };
    }
    false
}
