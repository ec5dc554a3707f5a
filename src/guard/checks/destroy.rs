//! K34: what destroys more than single files of the tree.

use crate::guard::{
    gate::{Blast, Findings, Sight, Verdict},
    path::{absolute, beneath},
    scene::call::Call,
};

/// K34.
pub(super) fn destroy(sight: &Sight<'_>, findings: &mut Findings) {
    for call in sight.scene.calls.iter().filter(|call| !call.has("--help")) {
        match call.name.as_str() {
            "rm" | "rmdir" | "trash" => remove(sight, call, findings),
            "chmod" | "chown" | "chgrp"
                if call.args.iter().any(|a| a.short('R') || a.text == "--recursive") =>
            {
                attributes(sight, call, findings);
            }
            "shred" | "wipefs" | "blkdiscard" | "fdisk" | "parted" | "mkswap" | "sgdisk" => {
                says(findings, Verdict::Deny, call);
            }
            name if name.starts_with("mkfs") => says(findings, Verdict::Deny, call),
            "dd" | "truncate" | "pkill" | "killall" => says(findings, Verdict::Ask, call),
            "git" => git(call, findings),
            "kill" if call.texts().skip(1).any(|arg| arg == "-1" || arg == "1") => {
                says(findings, Verdict::Deny, call);
            }
            "shutdown" | "reboot" | "halt" | "poweroff" | "init" => {
                says(findings, Verdict::Deny, call);
            }
            _ => {}
        }
    }
}

fn says(findings: &mut Findings, verdict: Verdict, call: &Call) {
    findings.add(verdict, format!("`{}` cannot be taken back", call.line()));
    findings.beyond(Blast::Repo);
}

fn remove(sight: &Sight<'_>, call: &Call, findings: &mut Findings) {
    let recursive = call.args.iter().any(|arg| {
        arg.short('r')
            || arg.short('R')
            || arg.long("recursive").is_some_and(|_| arg.text.len() > 2)
    });
    let force = call.args.iter().any(|arg| arg.short('f') || arg.text == "--force");
    if call.texts().any(|arg| arg == "--no-preserve-root") {
        says(findings, Verdict::Deny, call);
    }
    for arg in call.args.iter().filter(|arg| !arg.is_option()) {
        // An empty variable leaves the root, or everything here.
        if arg.text.starts_with('$') && (recursive || arg.text.contains('/')) || arg.text.is_empty()
        {
            says(findings, Verdict::Deny, call);
        } else if arg.expanded && (recursive || force) {
            says(findings, Verdict::Ask, call);
        }
        for place in &call.places {
            judge(sight, (call, &arg.text, place), recursive || arg.glob, findings);
        }
    }
}

/// Judges the removal of one operand seen from one directory.
fn judge(
    sight: &Sight<'_>,
    (call, text, place): (&Call, &str, &str),
    wide: bool,
    findings: &mut Findings,
) {
    let facts = sight.scene.facts;
    let bare = text.trim_end_matches('/');
    let bare = bare.strip_suffix("/*").or(bare.strip_suffix("/.*")).unwrap_or(bare);
    let everything = matches!(bare, "*" | ".*" | "." | "./*" | "**" | "{*,.*}" | "./.*");
    let folder = absolute(facts, place, if everything { "." } else { bare });
    let git = folder.split('/').any(|part| part == ".git");
    let above = |inner: &str| !inner.is_empty() && beneath(&folder, inner);
    if above(&facts.root) || above(&facts.home) || git || folder == "/" {
        if wide || git {
            says(findings, Verdict::Deny, call);
        }
    } else if everything && wide {
        says(findings, Verdict::Ask, call);
    }
}

fn attributes(sight: &Sight<'_>, call: &Call, findings: &mut Findings) {
    let facts = sight.scene.facts;
    let operands = call.args.iter().filter(|arg| !arg.is_option()).skip(1);
    let whole = operands.filter(|arg| {
        call.places.iter().any(|place| {
            let path = absolute(facts, place, arg.text.trim_end_matches('*'));
            beneath(&path, &facts.root) || beneath(&path, &facts.home)
        })
    });
    let verdict = if whole.count() > 0 { Verdict::Deny } else { Verdict::Ask };
    says(findings, verdict, call);
}

fn git(call: &Call, findings: &mut Findings) {
    let mut words = call.args.iter().skip_while(|arg| arg.is_option() || arg.text.contains('/'));
    let command = words.next().map_or("", |arg| arg.text.as_str());
    let dry = call.args.iter().any(|arg| arg.short('n') || arg.text == "--dry-run");
    let force = call.args.iter().any(|arg| arg.short('f') || arg.text == "--force");
    match command {
        "clean" if force && !dry => says(findings, Verdict::Ask, call),
        "reset" if call.texts().any(|arg| arg == "--hard" || arg.starts_with("--har")) => {
            says(findings, Verdict::Ask, call);
        }
        _ => {}
    }
}
