//! Checks on how words are written and what is expanded in them.

use crate::guard::{
    gate::{Findings, Sight, Verdict},
    shell::{
        ast::Kind,
        word::{Nesting, Param, Part, Word},
    },
};

fn each_part(sight: &Sight<'_>, mut visit: impl FnMut(&Part)) {
    for script in &sight.scene.scripts {
        script.each_word(&mut |word| word.each_part(&mut |part, _| visit(part)));
    }
}

/// K02.
pub(super) fn substitution(sight: &Sight<'_>, findings: &mut Findings) {
    each_part(sight, |part| match part {
        Part::Nested(nested) if nested.nesting != Nesting::Process => {
            findings.add(Verdict::Ask, "a command inside a word, whose output becomes arguments");
        }
        _ => {}
    });
}

/// K03.
pub(super) fn process(sight: &Sight<'_>, findings: &mut Findings) {
    each_part(sight, |part| match part {
        Part::Nested(nested) if nested.nesting == Nesting::Process => {
            findings.add(Verdict::Ask, "a command in the place of a file");
        }
        _ => {}
    });
}

/// K04.
pub(super) fn variable(sight: &Sight<'_>, findings: &mut Findings) {
    for call in &sight.scene.calls {
        if call.program.expanded || call.program.glob {
            let why = format!("`{}` is known only when it runs", call.program.text);
            findings.add(Verdict::Deny, why);
        }
        for option in call.args.iter().filter(|arg| arg.expanded && arg.text.starts_with('-')) {
            let name = option.text.split(['=', '$']).next().unwrap_or_default();
            if name.trim_start_matches('-').is_empty() {
                findings.add(Verdict::Ask, format!("the option `{}` is not known", option.text));
            }
        }
    }
    each_part(sight, |part| {
        let Part::Param(Param { text, .. }) = part else { return };
        if text == "IFS" || text.starts_with("IFS:") || text.starts_with("IFS%") {
            findings.add(Verdict::Deny, "`$IFS` in the place of a blank");
        }
        if text.len() > 1 && text.starts_with('!') {
            findings.add(Verdict::Deny, format!("`${{{text}}}` names another variable"));
        }
    });
}

/// K05.
pub(super) fn braces(sight: &Sight<'_>, findings: &mut Findings) {
    for call in &sight.scene.calls {
        if call.program.braces {
            findings.add(Verdict::Deny, "braces make the program's name");
        }
        for arg in call.args.iter().filter(|arg| arg.braces) {
            let name = arg.text.starts_with('-') && !arg.text.contains('=');
            let verdict = if name { Verdict::Deny } else { Verdict::Ask };
            findings.add(verdict, format!("`{}` becomes several words", arg.text));
        }
    }
}

/// K08.
pub(super) fn coded(sight: &Sight<'_>, findings: &mut Findings) {
    for call in &sight.scene.calls {
        let options = call.args.iter().filter(|arg| arg.is_option());
        for arg in [&call.program].into_iter().chain(options).filter(|arg| arg.coded) {
            findings.add(Verdict::Deny, format!("`{}` is spelled in codes", shown(&arg.text)));
        }
    }
    each_part(sight, |part| match part {
        Part::Ansi(text) if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') => {
            findings.add(Verdict::Deny, "control characters spelled in codes");
        }
        Part::Ansi(text) => {
            findings.add(Verdict::Ask, format!("`{}` is spelled in codes", shown(text)));
        }
        Part::Locale(_) => findings.add(Verdict::Ask, "a text that a translation may change"),
        _ => {}
    });
}

fn shown(text: &str) -> String {
    text.escape_debug().take(60).collect()
}

/// K21.
pub(super) fn spliced(sight: &Sight<'_>, findings: &mut Findings) {
    for call in &sight.scene.calls {
        let options = call.args.iter().filter(|arg| arg.text.starts_with('-'));
        for arg in [&call.program].into_iter().chain(options).filter(|arg| arg.spliced) {
            let why = format!("quotes or backslashes hide the name `{}`", arg.text);
            findings.add(Verdict::Deny, why);
        }
    }
}

/// K24.
pub(super) fn evaluating(sight: &Sight<'_>, findings: &mut Findings) {
    each_part(sight, |part| {
        let Part::Param(param) = part else { return };
        let after = param.text.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
        let after = after.strip_prefix("[@]").or(after.strip_prefix("[*]")).unwrap_or(after);
        if after.starts_with('@') && after.len() > 1 {
            let why = format!("`${{{}}}` evaluates the value", param.text);
            findings.add(Verdict::Deny, why);
        }
        if after.starts_with('[') && after.contains(['$', '`']) {
            findings.add(Verdict::Deny, "a subscript that is evaluated");
        }
        let mut runs = false;
        let mut inner = false;
        let word = Word { parts: param.inner.clone(), at: 0 };
        word.each_part(&mut |part, _| {
            runs |= matches!(part, Part::Nested(_));
            inner |= matches!(part, Part::Param(_));
        });
        if runs {
            findings.add(Verdict::Deny, "a command inside an expansion");
        } else if inner {
            findings.add(Verdict::Ask, "an expansion inside an expansion");
        }
    });
}

/// K25.
pub(super) fn arithmetic(sight: &Sight<'_>, findings: &mut Findings) {
    each_part(sight, |part| {
        let Part::Arithmetic(text, inner) = part else { return };
        let runs = inner.iter().any(|part| matches!(part, Part::Nested(_)));
        if runs && text.contains('[') {
            findings.add(Verdict::Deny, "a subscript in arithmetic runs a command");
        } else if runs || text.contains('[') {
            findings.add(Verdict::Ask, "arithmetic evaluates what it reads");
        }
    });
    let subscript = |text: &str| text.contains('[') && text.contains(']');
    for call in &sight.scene.calls {
        let tests = call.is(&["test", "["]) && call.has("-v");
        let names = call
            .is(&["read", "unset", "declare", "typeset", "local", "export", "readonly", "wait"])
            && call.texts().any(subscript);
        if call.name == "printf" && call.args.first().is_some_and(|arg| arg.text.starts_with("-v"))
        {
            findings.add(Verdict::Deny, "`printf -v` evaluates a subscript");
        } else if (tests || names) && call.texts().any(|t| subscript(t) && t.contains(['$', '`'])) {
            findings.add(Verdict::Deny, format!("`{}` evaluates a subscript", call.line()));
        } else if tests || names || call.name == "let" {
            findings.add(Verdict::Ask, format!("`{}` evaluates its argument", call.line()));
        } else if call.is(&["declare", "typeset", "local"])
            && call.args.iter().any(|a| a.short('i'))
        {
            findings.add(Verdict::Ask, "an integer variable evaluates what it is given");
        }
    }
    const COMPARES: [&str; 6] = ["-eq", "-ne", "-lt", "-le", "-gt", "-ge"];
    if sight.scene.kinds.contains(&Kind::Test) {
        for script in &sight.scene.scripts {
            script.each_word(&mut |word| {
                if COMPARES.contains(&word.bare().unwrap_or_default()) {
                    findings.add(Verdict::Ask, "`[[ … ]]` evaluates what it compares as numbers");
                }
            });
        }
    }
}
