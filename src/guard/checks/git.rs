//! K13: git can run a program in more ways than most shells.
//!
//! Options may be abbreviated, so a name counts from its beginning on. What an option does depends
//! on the subcommand, hence the rows; the global ones stand first.

use crate::guard::{
    gate::{Blast, Findings, Sight, Verdict},
    scene::{arg::Arg, call::Call},
};

/// An option that runs or writes something, below one subcommand or (`*`) all.
struct Danger {
    command: &'static str,
    long: &'static str,
    short: &'static str,
    verdict: Verdict,
}

const fn deny(command: &'static str, long: &'static str, short: &'static str) -> Danger {
    Danger { command, long, short, verdict: Verdict::Deny }
}

const fn ask(command: &'static str, long: &'static str, short: &'static str) -> Danger {
    Danger { command, long, short, verdict: Verdict::Ask }
}

const DANGERS: [Danger; 40] = [
    deny("apply", "unsafe-paths", ""),
    ask("archive", "remote", ""),
    deny("*", "upload-pack", ""),
    deny("*", "receive-pack", ""),
    deny("*", "ext-diff", ""),
    deny("*", "output", ""),
    deny("push", "exec", ""),
    deny("ls-remote", "exec", ""),
    deny("fetch-pack", "exec", ""),
    deny("archive", "exec", ""),
    deny("archive", "", "o"),
    deny("grep", "open-files-in-pager", "O"),
    deny("rebase", "exec", "x"),
    deny("clone", "config", "c"),
    deny("clone", "template", "u"),
    deny("init", "template", ""),
    deny("difftool", "extcmd", "x"),
    deny("format-patch", "", "o"),
    deny("instaweb", "httpd", "d"),
    ask("push", "force", "f"),
    ask("push", "force-with-lease", ""),
    ask("push", "mirror", ""),
    ask("push", "delete", "d"),
    ask("push", "prune", ""),
    ask("gc", "prune", ""),
    ask("branch", "", "D"),
    ask("tag", "delete", "d"),
    ask("checkout", "force", "f"),
    ask("restore", "worktree", "W"),
    ask("reset", "hard", ""),
    ask("log", "textconv", ""),
    ask("diff", "textconv", ""),
    ask("show", "textconv", ""),
    ask("blame", "textconv", ""),
    ask("cat-file", "textconv", ""),
    ask("cat-file", "filters", ""),
    ask("stash", "all", ""),
    ask("add", "edit", "e"),
    ask("rebase", "interactive", "i"),
    ask("am", "interactive", "i"),
];

/// Long options that are the beginning of none of the above, though they look so.
const EXACT: [&str; 2] = ["--force-if-includes", "--text"];

/// Subcommands that always run something, rewrite history, or change what git does.
const COMMANDS: [(&str, Verdict); 34] = [
    ("merge-index", Verdict::Deny),
    ("imap-send", Verdict::Deny),
    ("web--browse", Verdict::Deny),
    ("cvsimport", Verdict::Deny),
    ("request-pull", Verdict::Ask),
    ("filter-branch", Verdict::Deny),
    ("update-ref", Verdict::Deny),
    ("difftool", Verdict::Deny),
    ("mergetool", Verdict::Deny),
    ("instaweb", Verdict::Deny),
    ("daemon", Verdict::Deny),
    ("shell", Verdict::Deny),
    ("upload-pack", Verdict::Deny),
    ("receive-pack", Verdict::Deny),
    ("credential", Verdict::Deny),
    ("credential-store", Verdict::Deny),
    ("send-email", Verdict::Deny),
    ("cvsserver", Verdict::Deny),
    ("remote-ext", Verdict::Deny),
    ("remote-fd", Verdict::Deny),
    ("maintenance", Verdict::Ask),
    ("symbolic-ref", Verdict::Ask),
    ("filter-repo", Verdict::Deny),
    ("replace", Verdict::Ask),
    ("hook", Verdict::Deny),
    ("gui", Verdict::Ask),
    ("citool", Verdict::Ask),
    ("svn", Verdict::Ask),
    ("p4", Verdict::Ask),
    ("fast-import", Verdict::Ask),
    ("sparse-checkout", Verdict::Ask),
    ("lfs", Verdict::Ask),
    ("prune", Verdict::Ask),
    ("repack", Verdict::Ask),
];

/// K13.
pub(super) fn git(sight: &Sight<'_>, findings: &mut Findings) {
    for call in sight.scene.calls.iter().filter(|call| call.name == "git") {
        let at = global(call, findings);
        let Some(command) = call.args.get(at) else { continue };
        if command.expanded || command.glob {
            findings.add(Verdict::Ask, format!("`git {}` is not known", command.text));
            continue;
        }
        let rest = &call.args[at + 1..];
        subcommand(&command.text, rest, findings);
        options(&command.text, rest, findings);
        for arg in rest.iter().filter(|arg| is_transport(&arg.text)) {
            findings.add(Verdict::Deny, format!("`{}` runs a program", arg.text));
        }
    }
    for call in sight.scene.calls.iter().filter(|call| call.name.starts_with("git-")) {
        findings.add(Verdict::Ask, format!("`{}` is a part of git", call.name));
    }
}

fn is_transport(text: &str) -> bool {
    ["ext::", "fd::", "transport::"].iter().any(|scheme| text.starts_with(scheme))
}

/// Judges the options before the subcommand, and returns where that stands.
fn global(call: &Call, findings: &mut Findings) -> usize {
    const HARMLESS: [&str; 12] = [
        "--no-pager",
        "-P",
        "--version",
        "-v",
        "--help",
        "-h",
        "--no-optional-locks",
        "--bare",
        "--literal-pathspecs",
        "--glob-pathspecs",
        "--no-replace-objects",
        "--icase-pathspecs",
    ];
    let mut at = 0;
    while let Some(arg) = call.args.get(at).filter(|arg| arg.is_option()) {
        let text = arg.text.as_str();
        at += 1;
        match text {
            "-c" => {
                let setting = call.args.get(at).map_or("", |arg| arg.text.as_str());
                config(setting, findings);
                at += 1;
            }
            "-C" => at += 1,
            "--git-dir" | "--work-tree" | "--namespace" | "--super-prefix" => {
                findings.add(Verdict::Ask, format!("`git {text}` takes another repository"));
                at += 1;
            }
            "--html-path" | "--man-path" | "--info-path" | "--paginate" | "-p" => {
                findings.add(Verdict::Ask, format!("`git {text}` may start a pager"));
            }
            _ if HARMLESS.contains(&text) || text == "--exec-path" => {}
            _ if text.starts_with("--config-env") || text.starts_with("--exec-path") => {
                findings.add(Verdict::Deny, format!("`git {text}` changes what git runs"));
            }
            _ if text.starts_with("-c") => config(&text[2..], findings),
            _ if text.starts_with("-C") => {}
            _ => findings.add(Verdict::Ask, format!("`git {text}` is not known")),
        }
    }
    at
}

/// Judges a setting of git's.
fn config(setting: &str, findings: &mut Findings) {
    const HARMLESS: [&str; 14] = [
        "color.",
        "user.name",
        "user.email",
        "core.quotepath",
        "core.autocrlf",
        "advice.",
        "log.date",
        "diff.renames",
        "core.abbrev",
        "diff.algorithm",
        "init.defaultbranch",
        "gc.auto",
        "commit.gpgsign",
        "merge.conflictstyle",
    ];
    let key = setting.split('=').next().unwrap_or(setting).to_lowercase();
    let harmless =
        HARMLESS.iter().any(|name| key == *name || name.ends_with('.') && key.starts_with(name));
    if !harmless {
        findings.add(Verdict::Deny, format!("`git -c {key}` may run a program"));
    }
}

fn subcommand(command: &str, rest: &[Arg], findings: &mut Findings) {
    if let Some((_, verdict)) = COMMANDS.iter().find(|(name, _)| *name == command) {
        findings.add(*verdict, format!("`git {command}` runs, rewrites or removes"));
    }
    let first = rest.iter().find(|arg| !arg.is_option()).map(|arg| arg.text.as_str());
    let has = |text: &str| rest.iter().any(|arg| arg.text == text);
    let says = |verdict, findings: &mut Findings| {
        let word = first.unwrap_or_default();
        findings.add(verdict, format!("`git {command} {word}` runs, rewrites or removes"));
    };
    let overwrites = match command {
        "checkout" => has("."),
        "restore" => has(".") && !has("--staged"),
        "push" => rest.iter().any(|arg| arg.text.starts_with(['+', ':'])),
        _ => false,
    };
    match (command, first) {
        ("config", _) => configure(rest, findings),
        ("bisect", Some("run" | "visualize" | "view"))
        | ("submodule", Some("foreach" | "add" | "update")) => says(Verdict::Deny, findings),
        ("worktree", Some("add" | "remove" | "move" | "prune" | "repair"))
        | ("reflog", Some("expire" | "delete"))
        | ("stash", Some("drop" | "clear"))
        | ("remote", Some("add" | "set-url" | "rename" | "remove" | "rm")) => {
            says(Verdict::Ask, findings);
        }
        ("notes" | "bundle", Some(word)) if !["show", "list", "verify"].contains(&word) => {
            says(Verdict::Ask, findings);
        }
        _ if overwrites => says(Verdict::Ask, findings),
        _ => {}
    }
    if command == "push" {
        findings.beyond(Blast::Remote);
    }
}

/// Judges `git config`: reading is harmless, writing may plant a program.
fn configure(rest: &[Arg], findings: &mut Findings) {
    const READS: [&str; 9] = [
        "--get",
        "--get-all",
        "--get-regexp",
        "--list",
        "-l",
        "get",
        "list",
        "--show-origin",
        "--get-urlmatch",
    ];
    let operands = rest.iter().filter(|arg| !arg.is_option()).count();
    let reads = rest.iter().any(|arg| READS.contains(&arg.text.as_str()));
    let writes = rest.iter().any(|arg| {
        [
            "--add",
            "--unset",
            "--unset-all",
            "--replace-all",
            "--edit",
            "-e",
            "--remove-section",
            "--rename-section",
            "set",
            "unset",
            "edit",
        ]
        .contains(&arg.text.as_str())
    });
    if writes || !reads && operands > 1 {
        findings.add(Verdict::Deny, "`git config` changes what git runs, now and later");
    }
}

fn options(command: &str, rest: &[Arg], findings: &mut Findings) {
    let end = rest.iter().position(|arg| arg.text == "--").unwrap_or(rest.len());
    for arg in rest[..end].iter().filter(|arg| arg.is_option() && !EXACT.contains(&&*arg.text)) {
        for danger in DANGERS.iter().filter(|d| d.command == command || d.command == "*") {
            let name = danger.long;
            // Three letters are enough to be meant; fewer are never unambiguous here.
            let written = arg.text.split('=').next().unwrap_or_default().len();
            let long = !name.is_empty() && arg.long(name).is_some() && written >= 4;
            let short = danger.short.chars().any(|letter| bundled(arg, letter));
            if long || short {
                let why = format!("`git {command} {}` runs, writes or removes", arg.text);
                findings.add(danger.verdict, why);
            }
        }
    }
}

/// Returns whether a bundle has the letter before one that takes the rest as its value.
fn bundled(arg: &Arg, letter: char) -> bool {
    let Some(letters) = arg.text.strip_prefix('-').filter(|l| !l.starts_with('-')) else {
        return false;
    };
    letters.chars().take_while(|c| !"mnSGCLFUX".contains(*c) || *c == letter).any(|c| c == letter)
}
