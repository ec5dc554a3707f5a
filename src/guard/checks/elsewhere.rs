//! Checks on what reaches other machines, containers, or skips what others rely on.

use crate::guard::{
    checks::inline,
    gate::{Blast, Findings, Sight, Verdict},
    scene::call::Call,
};

/// Programs whose whole purpose is the network.
const NETWORK: [(&str, Verdict); 35] = [
    ("open", Verdict::Ask),
    ("xdg-open", Verdict::Ask),
    ("curl", Verdict::Ask),
    ("wget", Verdict::Ask),
    ("http", Verdict::Ask),
    ("https", Verdict::Ask),
    ("aria2c", Verdict::Ask),
    ("nc", Verdict::Deny),
    ("ncat", Verdict::Deny),
    ("netcat", Verdict::Deny),
    ("socat", Verdict::Deny),
    ("telnet", Verdict::Deny),
    ("ssh", Verdict::Ask),
    ("scp", Verdict::Ask),
    ("sftp", Verdict::Ask),
    ("ftp", Verdict::Deny),
    ("tftp", Verdict::Deny),
    ("lftp", Verdict::Deny),
    ("dig", Verdict::Ask),
    ("nslookup", Verdict::Ask),
    ("host", Verdict::Ask),
    ("ping", Verdict::Ask),
    ("traceroute", Verdict::Ask),
    ("whois", Verdict::Ask),
    ("nmap", Verdict::Deny),
    ("rclone", Verdict::Ask),
    ("s3cmd", Verdict::Ask),
    ("aws", Verdict::Ask),
    ("gsutil", Verdict::Ask),
    ("gcloud", Verdict::Ask),
    ("az", Verdict::Ask),
    ("gh", Verdict::Ask),
    ("glab", Verdict::Ask),
    ("twine", Verdict::Ask),
    ("ngrok", Verdict::Deny),
];

/// Subcommands that fetch, publish, or run what they fetch.
const SUBCOMMANDS: [(&[&str], &[&str], Blast); 20] = [
    (&["svn"], &["checkout", "co", "update", "up", "export"], Blast::File),
    (&["svn"], &["commit", "ci"], Blast::Remote),
    (&["hg", "jj"], &["clone", "pull", "incoming", "outgoing", "git"], Blast::File),
    (&["hg"], &["push"], Blast::Remote),
    (&["git"], &["push"], Blast::Remote),
    (&["git"], &["fetch", "pull", "clone", "ls-remote", "fetch-pack"], Blast::File),
    (
        &["npm", "pnpm", "yarn", "bun"],
        &[
            "install",
            "i",
            "in",
            "ins",
            "inst",
            "isntall",
            "ci",
            "clean-install",
            "it",
            "install-test",
            "cit",
            "add",
            "update",
            "up",
            "upgrade",
            "udpate",
            "link",
            "ln",
            "create",
            "init",
            "audit",
            "dedupe",
            "global",
            "plugin",
            "rebuild",
            "view",
            "pack",
        ],
        Blast::File,
    ),
    (
        &["npm", "pnpm", "yarn", "cargo", "poetry", "flit", "hatch", "gem"],
        &["publish", "push", "yank", "owner", "login", "adduser", "unpublish", "deprecate"],
        Blast::Remote,
    ),
    (&["pip", "pip3", "pipx"], &["install", "download", "wheel", "inject", "run"], Blast::File),
    (&["uv"], &["add", "sync", "pip", "tool", "python", "publish", "lock"], Blast::File),
    (
        &["poetry", "pdm", "rye", "pipenv", "conda", "mamba"],
        &["install", "add", "update", "lock", "sync", "create"],
        Blast::File,
    ),
    (&["cargo"], &["install", "add", "update", "search", "binstall", "fetch"], Blast::File),
    (&["go"], &["get", "install"], Blast::File),
    (&["gem", "bundle", "bundler"], &["install", "update"], Blast::File),
    (&["composer"], &["install", "require", "update"], Blast::File),
    (
        &[
            "apt", "apt-get", "dnf", "yum", "apk", "pacman", "brew", "zypper", "snap", "flatpak",
            "port", "choco", "winget",
        ],
        &["install", "add", "update", "upgrade", "remove", "purge", "-S", "-Syu", "-R", "tap"],
        Blast::Host,
    ),
    (
        &["rustup"],
        &["update", "install", "toolchain", "target", "component", "self", "default"],
        Blast::Host,
    ),
    (&["dotnet", "nuget"], &["restore", "add", "push", "nuget"], Blast::File),
    (
        &["terraform", "pulumi", "cdk", "serverless", "ansible-playbook", "helm"],
        &["apply", "destroy", "up", "deploy", "install", "upgrade"],
        Blast::Remote,
    ),
    (&["mix", "rebar3"], &["deps.get", "hex.publish"], Blast::File),
];

/// Options that send a file or a text away.
const UPLOADS: [&str; 14] = [
    "-d",
    "--data",
    "--data-binary",
    "--data-raw",
    "--data-urlencode",
    "-F",
    "--form",
    "-T",
    "--upload-file",
    "--post-file",
    "--post-data",
    "--json",
    "--body-file",
    "--body-data",
];

/// K29.
pub(super) fn network(sight: &Sight<'_>, findings: &mut Findings) {
    for call in &sight.scene.calls {
        let shows = call.args.is_empty()
            || ["--version", "--help", "-V"].iter().any(|option| call.has(option));
        if let Some((_, verdict)) = NETWORK.iter().find(|(name, _)| *name == call.name)
            && !shows
        {
            let sends = call.is(&["curl", "wget"]) && call.texts().any(is_upload);
            // An address made of what is computed here carries it away.
            let tells = call.args.iter().any(|arg| arg.expanded);
            let verdict = if sends || tells { Verdict::Deny } else { *verdict };
            let why = if sends || tells { "may send data away" } else { "uses the network" };
            findings.add(verdict, format!("`{}` {why}", call.line()));
            if sends || tells {
                findings.beyond(Blast::Remote);
            }
        }
        let first = call.first().unwrap_or_default();
        for (_, _, blast) in
            SUBCOMMANDS.iter().filter(|(names, words, _)| call.is(names) && words.contains(&first))
        {
            if is_local(call) {
                continue;
            }
            findings.add(Verdict::Ask, format!("`{}` uses the network", call.line()));
            if *blast > Blast::File {
                findings.beyond(*blast);
            }
        }
        specials(call, findings);
    }
    if sight.scene.raw.contains("/dev/tcp/") || sight.scene.raw.contains("/dev/udp/") {
        findings.add(Verdict::Deny, "a connection of the shell's own");
    }
}

fn is_upload(arg: &str) -> bool {
    let name = arg.split('=').next().unwrap_or(arg);
    let glued = !arg.starts_with("--")
        && arg.len() > 2
        && ["-d", "-F", "-T"].iter().any(|o| arg.starts_with(o));
    let long =
        arg.starts_with("--") && name.len() > 4 && UPLOADS.iter().any(|o| o.starts_with(name));
    UPLOADS.contains(&name) || glued || long
}

fn is_local(call: &Call) -> bool {
    call.has("--offline")
        || call.has("--dry-run")
        || call.has("--no-index")
        || call.name == "npm" && call.has("init") && call.has("-y")
        || call.name == "cargo" && call.has("--frozen")
}

/// Returns whether a subcommand is given a package with its version, which is fetched.
fn fetched(call: &Call, word: &str) -> bool {
    call.first() == Some(word) && call.texts().any(|arg| !arg.starts_with('-') && arg.contains('@'))
}

fn specials(call: &Call, findings: &mut Findings) {
    let remote = call.texts().any(|arg| {
        arg.contains("://")
            || arg.split_once(':').is_some_and(|(h, _)| !h.is_empty() && !h.contains('/'))
    });
    let module = inline::module(call).unwrap_or_default();
    let server =
        call.is(&["python", "python3"]) && ["http.server", "smtpd", "pip"].contains(&module);
    let client = call.name == "openssl" && matches!(call.first(), Some("s_client" | "s_server"));
    if call.name == "rsync" && remote || client {
        findings.add(Verdict::Ask, format!("`{}` uses the network", call.line()));
    }
    let pair = |a: &str, b: &str| {
        let words: Vec<&str> = call.texts().filter(|arg| !arg.starts_with('-')).collect();
        words.starts_with(&[a, b])
    };
    let bare = call.is(&["yarn", "pnpm"]) && call.args.is_empty();
    let latest = call.name == "go" && fetched(call, "run");
    let serves = call.name == "php" && call.texts().any(|arg| arg.starts_with("-S"));
    let fetches = call.name == "git" && (pair("remote", "update") || pair("lfs", "fetch"));
    if serves || fetches || bare || latest {
        findings.add(Verdict::Ask, format!("`{}` uses the network", call.line()));
    }
    if server && !(module == "pip" && !call.has("install") && !call.has("download")) {
        findings.add(Verdict::Ask, format!("`{}` uses the network", call.line()));
    }
}

/// Programs that start containers.
const ENGINES: [&str; 10] = [
    "docker",
    "podman",
    "nerdctl",
    "kubectl",
    "lxc",
    "buildah",
    "crictl",
    "docker-compose",
    "minikube",
    "vagrant",
];
/// Programs that change what a process sees of the machine.
const NEVER: [&str; 18] = [
    "nsenter",
    "unshare",
    "mount",
    "umount",
    "bwrap",
    "setcap",
    "newgrp",
    "pivot_root",
    "capsh",
    "runc",
    "machinectl",
    "systemd-nspawn",
    "losetup",
    "cryptsetup",
    "fusermount",
    "sg",
    "pkexec",
    "firejail",
];
/// Options that open a container to the machine.
const OPENS: [&str; 9] = [
    "--privileged",
    "--pid=host",
    "--network=host",
    "--net=host",
    "--cap-add",
    "--device",
    "--ipc=host",
    "--userns=host",
    "--security-opt",
];

/// K37.
pub(super) fn containers(sight: &Sight<'_>, findings: &mut Findings) {
    for call in &sight.scene.calls {
        let shows = call.has("--version") || call.has("--help");
        if call.is(&NEVER) && !shows && !(call.name == "mount" && call.args.is_empty()) {
            findings.add(Verdict::Deny, format!("`{}` changes what is confined", call.line()));
            findings.beyond(Blast::Host);
        }
        if !call.is(&ENGINES) || shows {
            continue;
        }
        let mounts = call.texts().any(|arg| {
            let value = arg.strip_prefix("-v").or(arg.strip_prefix("--volume=")).unwrap_or(arg);
            value.starts_with('/') && value.contains(':') || arg.contains("type=bind")
        });
        let opens = call.texts().any(|arg| OPENS.iter().any(|option| arg.starts_with(option)));
        let verdict = if mounts || opens { Verdict::Deny } else { Verdict::Ask };
        findings.add(verdict, format!("`{}` runs outside the sandbox", call.line()));
        findings.beyond(Blast::Host);
    }
}

/// K40.
pub(super) fn skipping(sight: &Sight<'_>, findings: &mut Findings) {
    /// Options by program; none of these programs asks again.
    const SKIPS: [(&[&str], &[&str]); 9] = [
        (
            &["git"],
            &["--no-verify", "--allow-unrelated-histories", "--no-gpg-sign", "--skip-hooks"],
        ),
        (&["curl"], &["-k", "--insecure", "--proxy-insecure"]),
        (&["wget"], &["--no-check-certificate", "--no-hsts"]),
        (
            &["pip", "pip3", "uv"],
            &["--trusted-host", "--break-system-packages", "--allow-insecure-host"],
        ),
        (
            &["npm", "yarn", "pnpm", "cargo"],
            &["--no-verify", "--force", "--unsafe-perm", "--ignore-scripts=false", "--allow-dirty"],
        ),
        (&["gh"], &["--admin", "--yes", "--force", "--accept-visibility-change-consequences"]),
        (
            &["terraform", "pulumi"],
            &["-auto-approve", "--auto-approve", "--yes", "-y", "-lock=false"],
        ),
        (&["kubectl", "helm"], &["--force", "--insecure-skip-tls-verify", "--now"]),
        (
            &["apt", "apt-get", "dnf", "yum"],
            &["--allow-unauthenticated", "--nogpgcheck", "--force-yes", "--trust"],
        ),
    ];
    for call in &sight.scene.calls {
        let Some((_, options)) = SKIPS.iter().find(|(names, _)| call.is(names)) else { continue };
        let publishes = !call.is(&["npm", "yarn", "pnpm", "cargo"])
            || call
                .texts()
                .any(|arg| ["publish", "install", "i", "unpublish", "audit"].contains(&arg));
        let end = call.texts().position(|arg| arg == "--").unwrap_or(call.args.len());
        let short = call.name == "git"
            && call.has("commit")
            && call.args.iter().any(|a| a.short('n') && !a.text.contains('m'));
        let message = |at: usize| at > 0 && ["-m", "--message"].contains(&&*call.args[at - 1].text);
        let words = call.texts().take(end).enumerate().filter(|(at, _)| !message(*at));
        let found = words.map(|(_, arg)| arg).find(|arg| {
            let name = arg.split('=').next().unwrap_or(arg);
            options.contains(arg)
                || options.contains(&name)
                || name.len() > 6
                    && options.iter().any(|o| o.starts_with("--") && o.starts_with(name))
        });
        if let Some(option) = found.filter(|_| publishes).or(short.then_some("-n")) {
            findings
                .add(Verdict::Ask, format!("`{} {option}` skips what others rely on", call.name));
        }
    }
}
