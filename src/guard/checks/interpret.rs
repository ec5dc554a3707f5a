//! Checks on programs that run what they are given: feeders, wrappers, build tools, decoded text.

use crate::guard::{
    checks::{
        inline::{reads_input, stands_alone},
        toolchain,
    },
    gate::{Blast, Findings, Sight, Verdict},
    scene::call::runs_input,
};

/// Programs that only look at files, and may be run on what another program finds.
pub(super) const LOOKERS: [&str; 24] = [
    "grep",
    "egrep",
    "fgrep",
    "cat",
    "head",
    "tail",
    "wc",
    "ls",
    "stat",
    "file",
    "du",
    "basename",
    "dirname",
    "echo",
    "printf",
    "md5sum",
    "sha1sum",
    "sha256sum",
    "sha512sum",
    "cksum",
    "diff",
    "realpath",
    "readlink",
    "test",
];

/// K16.
pub(super) fn feeders(sight: &Sight<'_>, findings: &mut Findings) {
    for call in &sight.scene.calls {
        let by = call.wrappers.last().map_or("", String::as_str);
        if by == "xargs" || by == "entr" {
            // Tools of a project take files from a list every day; they get no more than that.
            const TOOLS: [&str; 18] = [
                "rg",
                "rustfmt",
                "gofmt",
                "black",
                "ruff",
                "prettier",
                "eslint",
                "mypy",
                "flake8",
                "isort",
                "clang-format",
                "shellcheck",
                "touch",
                "mkdir",
                "cp",
                "sed",
                "awk",
                "jq",
            ];
            let known = call.is(&LOOKERS) || call.is(&TOOLS);
            if runs_input(&call.name) || call.is(&["eval", "env", "perl", "awk"]) {
                findings
                    .add(Verdict::Deny, format!("`{by}` gives what it reads to `{}`", call.name));
            } else if !known {
                findings
                    .add(Verdict::Ask, format!("`{by}` runs `{}` on what it reads", call.line()));
            }
        }
        if call.is(&["parallel", "watch", "rush", "pexec"]) && !call.has("--version") {
            findings.add(
                Verdict::Ask,
                format!("`{}` runs what it is told, again and again", call.name),
            );
        }
    }
}

/// Programs that start what stands among their arguments, whose own options no table knows.
const STARTERS: [&str; 29] = [
    "aa-exec",
    "caffeinate",
    "chronic",
    "cpulimit",
    "dbus-run-session",
    "direnv",
    "eatmydata",
    "fakeroot",
    "faketime",
    "linux32",
    "linux64",
    "nix-shell",
    "nodemon",
    "numactl",
    "perf",
    "prlimit",
    "proxychains",
    "proxychains4",
    "runcon",
    "screen",
    "setarch",
    "systemd-inhibit",
    "tmux",
    "torsocks",
    "toybox",
    "watchexec",
    "ld.so",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
];

/// K20.
pub(super) fn wrappers(sight: &Sight<'_>, findings: &mut Findings) {
    for call in &sight.scene.calls {
        if call.is(&["sudo", "doas", "su", "runuser", "pkexec", "chroot", "gosu", "sudoedit"]) {
            findings.add(Verdict::Deny, format!("`{}` takes other privileges", call.line()));
            findings.beyond(Blast::Host);
        }
        if call.is(&STARTERS) && !call.has("--version") && !call.args.is_empty() {
            findings.add(Verdict::Ask, format!("`{}` starts another command", call.line()));
        }
        for option in &call.unclear {
            findings.add(Verdict::Ask, format!("the option `{option}` is not known"));
        }
        if call.name == "env"
            && call.args.iter().any(|arg| {
                arg.short('S') || arg.long("split-string").is_some_and(|_| arg.text.len() > 3)
            })
        {
            findings.add(Verdict::Ask, "`env -S` takes a text apart itself");
        }
        // Abbreviated options mean what their full names do.
        let writes = call.is(&["sort", "diff", "tree", "shuf", "uniq"]);
        let output = call.args.iter().find(|arg| {
            arg.long("output").is_some() && arg.text.len() > 4 && !arg.text.starts_with("--output")
        });
        if let Some(option) = output.filter(|_| writes || call.name == "git") {
            findings
                .add(Verdict::Deny, format!("`{}` is an abbreviation that writes", option.text));
        }
    }
}

/// K35.
pub(super) fn build(sight: &Sight<'_>, findings: &mut Findings) {
    for call in &sight.scene.calls {
        let texts: Vec<&str> = call.texts().collect();
        let first = call.first().unwrap_or_default();
        let pair = |a: &str, b: &str| texts.windows(2).any(|pair| pair == [a, b]);
        let deny = match call.name.as_str() {
            "make" | "gmake" => {
                pair("-f", "-")
                    || texts.iter().any(|arg| {
                        *arg == "-f-"
                            || arg.starts_with("SHELL=")
                            || arg.starts_with(".SHELLFLAGS")
                            || arg.starts_with("--eval")
                            || arg.starts_with("MAKEFLAGS=")
                            || arg.starts_with("-E")
                    })
            }
            "cargo" => texts.iter().any(|arg| arg.starts_with("--config")),
            "npm" | "pnpm" | "yarn" => texts.iter().any(|arg| arg.starts_with("--script-shell")),
            "just" => texts.iter().any(|arg| {
                arg.starts_with("--shell") || *arg == "-c" || arg.starts_with("--command")
            }),
            "cmake" => texts.iter().any(|arg| arg.starts_with("-P")),
            "gradle" | "gradlew" => {
                texts.iter().any(|arg| arg.starts_with("-I") || arg.starts_with("--init-script"))
            }
            "meson" | "ninja" => {
                texts.iter().any(|arg| arg.starts_with("--script") || *arg == "-f-")
            }
            _ => false,
        };
        let fetches = match call.name.as_str() {
            "npx" | "bunx" | "uvx" | "pipx" | "dlx" => true,
            "npm" => {
                matches!(first, "exec" | "x" | "explore" | "create" | "init") && !call.has("-y")
            }
            "pnpm" | "yarn" => first == "dlx",
            "bun" => first == "x",
            "pip" | "pip3" => first == "install",
            "python" | "python3" => texts.contains(&"setup.py") || texts.contains(&"install"),
            "make" | "gmake" => texts.iter().any(|arg| *arg == "-f" || arg.starts_with("--file")),
            "cmake" => texts.iter().any(|arg| arg.starts_with("-DCMAKE_TOOLCHAIN_FILE")),
            "mvn" => texts.iter().any(|arg| arg.contains("exec:")),
            "go" => first == "generate",
            _ => false,
        };
        if deny {
            findings
                .add(Verdict::Deny, format!("`{}` runs a script given on its line", call.line()));
        } else if fetches {
            findings.add(Verdict::Ask, format!("`{}` runs code of others", call.line()));
        }
        toolchain::line(call, findings);
    }
}

/// K36.
pub(super) fn obfuscated(sight: &Sight<'_>, findings: &mut Findings) {
    const DECODERS: [&str; 16] = [
        "base64", "base32", "basenc", "xxd", "printf", "tr", "rev", "gunzip", "zcat", "gzip",
        "openssl", "od", "uudecode", "xz", "bunzip2", "sed",
    ];
    let calls = &sight.scene.calls;
    for call in calls.iter().filter(|call| runs_input(&call.name) || call.name == "eval") {
        if let Some(decoder) = call.before.iter().find(|name| DECODERS.contains(&name.as_str())) {
            findings
                .add(Verdict::Deny, format!("what `{decoder}` makes is run by `{}`", call.name));
        } else if !call.before.is_empty()
            && (stands_alone(call) || call.has("-s") || reads_input(call))
        {
            findings.add(
                Verdict::Deny,
                format!("what `{}` prints is run by `{}`", call.before[0], call.name),
            );
        }
        let inner = call.args.iter().any(|arg| arg.expanded && arg.text.contains("$("));
        let decodes =
            calls.iter().any(|c| c.is(&["base64", "base32", "xxd", "openssl", "uudecode"]));
        if inner && decodes {
            findings.add(Verdict::Deny, format!("decoded text is run by `{}`", call.name));
        }
    }
    for arg in calls.iter().flat_map(|call| &call.args) {
        if has_long_code(&arg.text) {
            findings.add(Verdict::Ask, "a long coded text that nobody can read");
        }
    }
}

/// Returns whether more than 120 characters in a row are only letters and digits of a code.
fn has_long_code(text: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '+' || c == '='))
        .any(|run| run.len() > 120)
}
