//! Checks on options of everyday programs that run others, or write where nobody looks.

use crate::guard::{
    gate::{Blast, Findings, Sight, Verdict},
    scene::call::Call,
};

/// One option of one program.
struct Danger {
    programs: &'static [&'static str],
    /// Exact words, or the beginnings of words with a value.
    options: &'static [&'static str],
    verdict: Verdict,
    why: &'static str,
}

const fn deny(
    programs: &'static [&'static str],
    options: &'static [&'static str],
    why: &'static str,
) -> Danger {
    Danger { programs, options, verdict: Verdict::Deny, why }
}

const fn ask(
    programs: &'static [&'static str],
    options: &'static [&'static str],
    why: &'static str,
) -> Danger {
    Danger { programs, options, verdict: Verdict::Ask, why }
}

/// K18: long names count from their third letter on, since programs take abbreviations.
const ARCHIVES: [Danger; 8] = [
    deny(
        &["tar", "bsdtar", "gtar"],
        &[
            "--checkpoint-action",
            "--to-command",
            "--use-compress-program",
            "--info-script",
            "--new-volume-script",
            "--rsh-command",
            "--rmt-command",
            "-I",
            "-F",
        ],
        "runs a program",
    ),
    deny(&["tar", "bsdtar", "gtar"], &["--absolute-names", "-P"], "leaves the tree"),
    deny(&["zip"], &["-TT", "--unzip-command"], "runs a program"),
    deny(&["rsync"], &["-e", "--rsh", "--rsync-path"], "runs a program"),
    ask(&["rsync"], &["--delete", "--delete-before", "--remove-source-files"], "removes files"),
    deny(
        &["cpio"],
        &["--absolute-filenames", "--rsh-command"],
        "leaves the tree or runs a program",
    ),
    deny(&["7z", "7za", "unrar"], &["-spf"], "leaves the tree"),
    deny(&["unzip"], &["-:"], "leaves the tree"),
];

/// K19.
const OPTIONS: [Danger; 52] = [
    deny(&["hg"], &["--config"], "runs programs"),
    deny(
        &["java"],
        &["-javaagent", "-agentpath", "-agentlib", "-XX:OnError", "-XX:OnOutOfMemoryError"],
        "loads or runs other code",
    ),
    deny(&["pandoc"], &["-F", "--filter", "--pdf-engine"], "runs a program"),
    deny(&["latexmk"], &["-e", "-pdflatex=", "-latex="], "runs a program"),
    deny(&["gs", "ghostscript"], &["-dNOSAFER"], "runs programs and reads files"),
    ask(&["bazel", "bazelisk"], &["--workspace_status_command", "--run_under"], "runs a program"),
    ask(&["bash", "zsh"], &["--rcfile", "--init-file"], "runs a file before it is used"),
    deny(&["bat", "batcat", "delta"], &["--pager"], "runs a program"),
    deny(&["sort"], &["--compress-program"], "runs a program"),
    deny(&["man"], &["-H", "-P", "--html", "--pager"], "runs a program"),
    deny(&["less", "more", "most"], &["-k", "--lesskey-file", "-o", "-O"], "runs or writes"),
    deny(
        &["vim", "vi", "nvim", "view", "ex", "gvim", "rvim"],
        &["-c", "--cmd", "-S", "-s", "-es", "-u", "-w", "-W"],
        "runs commands of its own",
    ),
    deny(
        &["emacs"],
        &["--eval", "-eval", "--batch", "-batch", "--load", "-l", "-f", "--script"],
        "runs code",
    ),
    deny(
        &["ssh", "scp", "sftp"],
        &[
            "-oProxyCommand",
            "-oLocalCommand",
            "-oPermitLocalCommand",
            "-oKnownHostsCommand",
            "-S",
            "-F",
            "-J",
        ],
        "runs a program",
    ),
    deny(&["curl"], &["-K", "--config"], "takes options from a file"),
    deny(
        &["wget"],
        &["-i", "--input-file", "--use-askpass", "--execute", "-e", "--config"],
        "runs or reads more than it says",
    ),
    deny(&["openssl"], &["engine", "-engine", "-provider", "-provider-path"], "loads code"),
    deny(
        &["gdb", "lldb"],
        &["-ex", "-x", "--command", "-iex", "--eval-command", "-o", "-s"],
        "runs commands of its own",
    ),
    deny(
        &["gdb", "lldb", "strace", "ltrace", "perf"],
        &["-p", "--pid"],
        "looks into other processes",
    ),
    ask(&["strace", "ltrace"], &["-f", "-e"], "watches a program"),
    deny(&["script"], &["-c", "--command"], "runs a program"),
    deny(&["split"], &["--filter"], "runs a program"),
    deny(&["csplit"], &["--filter"], "runs a program"),
    deny(&["date"], &["-s", "--set"], "sets the clock"),
    ask(&["xxd"], &["-r", "-revert", "--revert"], "writes what it decodes"),
    deny(&["jq"], &["-f", "--from-file", "--rawfile", "--slurpfile", "-L"], "reads other files"),
    deny(&["rg"], &["--pre", "--hostname-bin"], "runs a program"),
    deny(&["fd", "fdfind"], &["-x", "-X", "--exec", "--exec-batch"], "runs a program"),
    deny(&["ip"], &["netns", "exec"], "runs in another network"),
    deny(
        &["systemd-run", "systemctl", "at", "batch", "crontab", "launchctl", "anacron"],
        &[],
        "runs later, outside",
    ),
    deny(&["tcpdump"], &["-z", "--postrotate-command"], "runs a program"),
    deny(&["nmap"], &["--script", "--interactive"], "runs a script"),
    deny(
        &["mysql", "psql", "sqlite3"],
        &["-e", "-c", ".shell", ".system", "-cmd"],
        "runs commands of its own",
    ),
    deny(&["ed", "red", "ex"], &[], "runs commands of its own"),
    ask(
        &["vim", "vi", "nvim", "nano", "emacs", "less", "more", "man", "top", "htop"],
        &[],
        "waits for somebody at the keyboard",
    ),
    deny(&["gcc", "cc", "g++", "clang"], &["-wrapper", "-B", "-specs"], "runs another program"),
    deny(&["ar", "ld"], &["--plugin", "-plugin"], "loads code"),
    deny(
        &["pdflatex", "xelatex", "lualatex", "latex", "tex"],
        &["-shell-escape", "--shell-escape", "-enable-write18"],
        "runs programs",
    ),
    deny(&["ffmpeg"], &["-filter_script"], "takes a script from a file"),
    deny(&["dc"], &["-f", "-e"], "runs programs"),
    ask(&["bc"], &["-l"], "evaluates its input"),
    deny(
        &["dpkg", "rpm", "apt-get", "apt"],
        &["-o", "--pre-invoke", "-E", "--eval"],
        "runs a program",
    ),
    deny(&["pip", "pip3"], &["--python"], "runs another interpreter"),
    deny(&["cargo"], &["-Z"], "turns on what is not stable"),
    deny(&["go"], &["-exec", "-toolexec", "-vettool"], "runs a program"),
    deny(&["ctags"], &["--options", "--optlib-dir"], "takes options from a file"),
    deny(&["look", "ul"], &["--helper"], "runs a program"),
    deny(&["grep", "egrep"], &["--devices=read"], "reads devices"),
    deny(&["nc", "ncat"], &["-e", "-c", "--exec", "--sh-exec"], "gives a shell away"),
    deny(&["expect", "socat", "rlwrap", "dialog"], &[], "drives other programs"),
    deny(&["pstree", "lsof"], &["--helper"], "runs a program"),
    deny(
        &["tclsh", "wish", "gimp", "inkscape", "blender"],
        &["--batch", "-b", "--python"],
        "runs scripts of its own",
    ),
];

/// Words of jq and yq that show what is not in the file.
const ENVIRONMENT: [&str; 5] = ["env", "ENV", "strenv", "envsubst", "input_filename"];
/// Words of yq that show other files, or run programs.
const OTHERS: [&str; 7] =
    ["load", "load_str", "load_xml", "load_props", "load_base64", "system", "eval"];

/// K18.
pub(super) fn archives(sight: &Sight<'_>, findings: &mut Findings) {
    for call in &sight.scene.calls {
        judge(call, &ARCHIVES, findings);
        let takes = call.is(&["tar", "bsdtar", "zip", "cpio"]);
        let outside = |arg: &str| {
            let folder = arg.strip_prefix("--one-top-level=");
            arg == ".."
                || arg.starts_with("../")
                || folder.is_some_and(|f| f.starts_with(['/', '.']))
        };
        if takes && call.texts().any(outside) {
            findings.add(Verdict::Deny, format!("`{}` takes what is outside", call.line()));
        }
        // The oldest form has no dash: `tar xIf program archive`.
        let old = call.args.first().filter(|arg| call.name == "tar" && !arg.is_option());
        if old.is_some_and(|arg| arg.text.len() < 8 && arg.text.contains(['I', 'F', 'P'])) {
            findings
                .add(Verdict::Deny, format!("`{}` runs a program or leaves the tree", call.line()));
        }
    }
}

/// K19.
pub(super) fn options(sight: &Sight<'_>, findings: &mut Findings) {
    for call in &sight.scene.calls {
        judge(call, &OPTIONS, findings);
        let ssh = call.is(&["ssh", "scp", "sftp", "rsync"]);
        let commands = ["ProxyCommand", "LocalCommand", "KnownHostsCommand"];
        if ssh && call.texts().any(|arg| commands.iter().any(|c| arg.contains(c))) {
            findings.add(Verdict::Deny, format!("`{}` runs a program", call.line()));
        }
        if call.name == "dd" && call.texts().any(|arg| arg.starts_with("of=/dev/")) {
            findings.add(Verdict::Deny, "`dd` writes to a device");
            findings.beyond(Blast::Host);
        }
        let loads = ["auto_prepend_file", "auto_append_file", "extension="];
        if call.name == "php" && call.texts().any(|arg| loads.iter().any(|name| arg.contains(name)))
        {
            findings.add(Verdict::Deny, format!("`{}` loads other code", call.line()));
        }
        if call.name == "sqlite3" {
            databases(call, findings);
        }
        let env = call.is(&["jq", "yq"])
            && call.texts().any(|arg| ENVIRONMENT.iter().any(|word| has_word(arg, word)));
        if env {
            findings.add(Verdict::Deny, "`env` of jq shows every variable");
        }
        let calls = |text: &str| {
            OTHERS.iter().any(|name| has_word(text, name) && text.contains(&format!("{name}(")))
        };
        if call.name == "yq" && call.texts().any(calls) {
            findings.add(Verdict::Deny, "`yq` reads other files or runs programs");
        }
    }
}

/// Looks at what sqlite3 is told: commands that begin with a dot, and functions.
fn databases(call: &Call, findings: &mut Findings) {
    const RUN: [&str; 6] = [".shell", ".system", ".load", "load_extension(", "writefile(", "edit("];
    const WRITE: [&str; 9] =
        [".output", ".once", ".save", ".backup", ".clone", ".log", ".open", ".read", "readfile("];
    for text in call.texts().map(str::to_lowercase) {
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if says(&RUN) || text.contains('|') && text.contains(".import") {
            findings.add(Verdict::Deny, "`sqlite3` runs a program, loads code or writes files");
        } else if says(&WRITE) {
            findings.add(Verdict::Ask, "`sqlite3` reads or writes files of its own");
        }
    }
}

fn has_word(text: &str, word: &str) -> bool {
    let letter = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        let field = before == Some('.');
        !field && !before.is_some_and(letter) && !after.is_some_and(letter)
    })
}

fn judge(call: &Call, dangers: &[Danger], findings: &mut Findings) {
    for danger in dangers.iter().filter(|danger| call.is(danger.programs)) {
        if danger.options.is_empty() {
            if !call.has("--version") && !call.has("--help") {
                findings.add(danger.verdict, format!("`{}` {}", call.name, danger.why));
            }
            continue;
        }
        for arg in &call.args {
            if danger.options.iter().any(|option| is(&arg.text, option)) {
                findings
                    .add(danger.verdict, format!("`{} {}` {}", call.name, arg.text, danger.why));
            }
        }
    }
}

/// Returns whether a word is that option: with a value, abbreviated, or in a bundle.
fn is(text: &str, option: &str) -> bool {
    if let Some(name) = option.strip_prefix("--") {
        let Some(written) = text.strip_prefix("--") else { return false };
        let written = written.split('=').next().unwrap_or(written);
        return written == name || written.len() >= 3 && name.starts_with(written);
    }
    match option.strip_prefix('-') {
        // One letter may stand in a bundle, and may have its value right after it.
        Some(letter) if letter.len() == 1 => text
            .strip_prefix('-')
            .is_some_and(|t| !t.starts_with('-') && bundle(t).contains(letter)),
        _ => {
            text == option
                || text.starts_with(option) && option.starts_with('-') && option.len() > 3
        }
    }
}

/// Returns the letters of a bundle: a digit, a sign or a capital word begins a value.
fn bundle(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    &text[..end.min(5)]
}
