//! Checks on the text itself: caps, hidden characters, control characters.

use crate::guard::{
    gate::{Findings, Sight, Verdict},
    shell::ast::Script,
};

const MAX_COMMANDS: usize = 64;

/// K01.
pub(super) fn caps(sight: &Sight<'_>, findings: &mut Findings) {
    let scene = &sight.scene;
    let count: usize = scene.scripts.iter().map(Script::count).sum();
    if count > MAX_COMMANDS {
        findings.add(Verdict::Deny, format!("{count} commands, more than {MAX_COMMANDS}"));
    }
    if scene.over_cap {
        findings.add(Verdict::Deny, "scripts in scripts, too many to look at");
    }
    if scene.raw.contains('\0') {
        findings.add(Verdict::Deny, "a NUL character");
    }
    for error in &scene.errors {
        let verdict = if error.over_cap { Verdict::Deny } else { Verdict::Ask };
        findings.add(verdict, format!("not understood: {error}"));
    }
}

/// K06.
pub(super) fn unicode(sight: &Sight<'_>, findings: &mut Findings) {
    if let Some(c) = sight.scene.raw.chars().find(|c| is_hidden(*c)) {
        let code = u32::from(c);
        findings
            .add(Verdict::Deny, format!("the character U+{code:04X} is not what it looks like"));
    }
    for call in &sight.scene.calls {
        let options = call.args.iter().filter(|arg| arg.is_option());
        let word = call.args.iter().find(|arg| !arg.is_option());
        let word = word.filter(|_| call.is(&WITH_SUBCOMMANDS));
        for arg in [&call.program].into_iter().chain(options).chain(word) {
            let name = option_name(&arg.text);
            let latin = name.chars().any(|c| c.is_ascii_alphabetic());
            if name.chars().any(is_lookalike) && (latin || arg.is_option()) {
                findings.add(Verdict::Deny, format!("`{name}` mixes letters of several scripts"));
            } else if !name.is_ascii() {
                findings.add(Verdict::Ask, format!("`{name}` is not in plain letters"));
            }
        }
    }
}

/// Programs whose first operand says what they do.
const WITH_SUBCOMMANDS: [&str; 12] =
    ["git", "cargo", "npm", "pnpm", "yarn", "go", "pip", "pip3", "uv", "docker", "gh", "kubectl"];

/// Returns whether a letter of another script is often taken for a Latin one.
fn is_lookalike(c: char) -> bool {
    matches!(c,
        '\u{370}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}' | '\u{ff21}'..='\u{ff5a}'
        | '\u{1d400}'..='\u{1d7ff}' | '\u{2100}'..='\u{214f}' | '\u{a4d0}'..='\u{a4ff}')
}

/// Returns the part of an option that is its name.
fn option_name(text: &str) -> &str {
    if text.starts_with("--") {
        return text.split('=').next().unwrap_or(text);
    }
    let second = text.char_indices().nth(2).map_or(text.len(), |(at, _)| at);
    if text.starts_with('-') { &text[..second] } else { text }
}

fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{ad}'
        | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}' | '\u{180e}'
        | '\u{e0000}'..='\u{e007f}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}')
        || c.is_whitespace() && !c.is_ascii()
}

/// K07.
pub(super) fn control(sight: &Sight<'_>, findings: &mut Findings) {
    let found = sight.scene.raw.chars().find(|c| c.is_control() && !matches!(c, '\t' | '\n'));
    if let Some(c) = found {
        findings.add(Verdict::Deny, format!("the control character U+{:04X}", u32::from(c)));
    }
}
