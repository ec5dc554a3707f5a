//! Checks on the files that a command touches.

use crate::guard::{
    gate::{Blast, Findings, ShellFacts, Sight, Verdict},
    path::{beneath, plain, within},
    scene::access::{Access, Touch},
};

/// Where programs, libraries and documentation of the system lie: to be read by anybody.
const SYSTEM: [&str; 8] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt", "/nix/store", "/snap"];
/// Files of the kernel that tell about the machine alone.
const KERNEL: [&str; 7] = [
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/loadavg",
    "/proc/version",
    "/proc/uptime",
    "/proc/filesystems",
    "/proc/stat",
];
/// Devices that are no files.
const DEVICES: [&str; 10] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/stdin",
    "/dev/stdout",
    "/dev/stderr",
    "/dev/tty",
    "/dev/fd",
];
/// Folders and files of a home that hold keys and tokens, or run by themselves.
const PRIVATE: [&str; 34] = [
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".gitconfig",
    ".config/gh",
    ".config/git",
    ".config/gcloud",
    ".config/op",
    ".config/rclone",
    ".password-store",
    ".local/share/keyrings",
    ".mozilla",
    ".config/google-chrome",
    ".config/chromium",
    ".vault-token",
    ".pgpass",
    ".my.cnf",
    ".bash_history",
    ".zsh_history",
    ".python_history",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".config/autostart",
    ".config/systemd",
    ".profile",
    ".bash_profile",
    ".m2/settings.xml",
];
/// Files inside a git dir that decide what git runs, or where it looks.
const GIT_DIR: [&str; 6] =
    ["config", "config.worktree", "hooks", "info", "objects/info/alternates", "modules"];
/// What makes an environment file an example.
const EXAMPLES: [&str; 5] = ["example", "sample", "template", "dist", "schema"];

fn inside(facts: &ShellFacts, path: &str) -> bool {
    beneath(&facts.root, path) || facts.scratch.iter().any(|folder| beneath(folder, path))
}

fn is_device(path: &str) -> bool {
    DEVICES.iter().any(|device| beneath(device, path))
}

fn is_readable(facts: &ShellFacts, path: &str) -> bool {
    inside(facts, path)
        || is_device(path)
        || SYSTEM.iter().chain(&KERNEL).any(|folder| beneath(folder, path))
        || facts.readable.iter().any(|folder| beneath(folder, path))
}

/// K10.
pub(super) fn redirection(sight: &Sight<'_>, findings: &mut Findings) {
    for access in sight.touched.iter().filter(|a| a.redirect && a.touch == Touch::Write) {
        if access.unknown {
            findings.add(Verdict::Ask, format!("writes to `{}`, wherever that is", access.shown));
        } else if !inside(sight.scene.facts, &access.path) && !is_device(&access.path) {
            findings.add(worst(access), format!("writes to `{}`, outside the tree", access.shown));
            findings.beyond(Blast::Host);
        }
    }
    for call in &sight.scene.calls {
        if call.name == "exec" && call.args.is_empty() && !call.redirects.is_empty() {
            findings.add(Verdict::Ask, "`exec` redirects everything after it");
        }
    }
}

/// Returns deny for what is so in the likely directory, ask for what is so after a failed `cd`.
fn worst(access: &Access) -> Verdict {
    if access.sure { Verdict::Deny } else { Verdict::Ask }
}

/// K11.
pub(super) fn sensitive(sight: &Sight<'_>, findings: &mut Findings) {
    let facts = sight.scene.facts;
    for access in &sight.touched {
        for path in [&access.path, &access.lexical] {
            if let Some((verdict, what)) = secret(facts, path, access.touch) {
                findings.add(verdict, format!("`{}` {what}", access.shown));
            }
        }
    }
    for script in &sight.scene.scripts {
        script.each_word(&mut |word| {
            if word.text().contains("docker.sock") {
                findings.add(Verdict::Deny, "the socket of the container service");
            }
        });
    }
}

/// Returns what makes a path sensitive for what is done to it.
fn secret(facts: &ShellFacts, path: &str, touch: Touch) -> Option<(Verdict, &'static str)> {
    let writes = touch != Touch::Read;
    if let Some(rest) = within(&facts.home, path).filter(|_| !facts.home.is_empty()) {
        let mut private = PRIVATE.iter().any(|name| covers(name, rest));
        private |= !rest.contains('/') && rest.starts_with('.') && rest.ends_with("rc");
        if private && !inside_root_only(facts, path) {
            return Some((Verdict::Deny, "holds secrets, or runs by itself"));
        }
    }
    if beneath("/etc", path) {
        const SECRET: [&str; 5] = ["shadow", "passwd", "sudoers", "ssh", "ssl/private"];
        let name = within("/etc", path).unwrap_or_default();
        let deny = writes || SECRET.iter().any(|s| covers(s, name));
        let verdict = if deny { Verdict::Deny } else { Verdict::Ask };
        return Some((verdict, "belongs to the system's settings"));
    }
    if beneath("/proc", path) && !KERNEL.contains(&path) {
        return Some((Verdict::Deny, "shows other processes"));
    }
    // A tree may lie in the shared memory, which is a folder below the devices.
    let own = beneath("/dev/shm", &facts.root) && beneath(&facts.root, path);
    let device = beneath("/dev", path) && !is_device(path) && !own;
    if device || beneath("/sys", path) {
        let verdict = if writes || device { Verdict::Deny } else { Verdict::Ask };
        return Some((verdict, "is a device or the kernel's"));
    }
    in_repository(path, writes)
}

/// A home that is itself the tree has no secrets of its own kind beneath.
fn inside_root_only(facts: &ShellFacts, path: &str) -> bool {
    beneath(&facts.root, path) && beneath(&facts.home, &facts.root) && facts.root != facts.home
}

/// Returns what is sensitive wherever it lies.
fn in_repository(path: &str, writes: bool) -> Option<(Verdict, &'static str)> {
    let parts: Vec<String> = path.split('/').map(|part| patterned(&plain(part))).collect();
    if let Some(at) = parts.iter().position(|part| part == ".git" || fits(part, ".git")) {
        let rest = parts[at + 1..].join("/");
        if GIT_DIR.iter().any(|name| covers(name, &rest)) || writes {
            return Some((Verdict::Deny, "belongs to git and decides what it runs"));
        }
    }
    let name = parts.last().map_or("", String::as_str);
    let environment = name == ".env" || name.starts_with(".env.") || fits(name, ".env");
    if environment && !EXAMPLES.iter().any(|example| name.contains(example)) {
        return Some((Verdict::Deny, "holds secrets"));
    }
    if [".npmrc", ".pypirc", ".netrc", ".git-credentials"]
        .iter()
        .any(|s| name == *s || fits(name, s))
    {
        return Some((Verdict::Deny, "may hold tokens"));
    }
    let flows = [".github/workflows/", ".gitlab-ci.yml", ".circleci/", ".ci/", "jenkinsfile"];
    let joined = parts.join("/");
    if writes && (name == ".gitmodules" || flows.iter().any(|flow| joined.contains(flow))) {
        return Some((Verdict::Deny, "decides what others run"));
    }
    (writes && name == ".gitattributes").then_some((Verdict::Ask, "may name programs for git"))
}

/// Returns whether `path` is `name`, lies beneath it, or is a pattern that matches it.
fn covers(name: &str, path: &str) -> bool {
    beneath(name, path)
        || path.split('/').zip(name.split('/')).all(|(a, b)| fits(a, b) || a == b)
            && path.contains(['*', '?', '['])
            && path.split('/').count() >= name.split('/').count()
}

/// Returns a name with a wildcard for what is known only when it runs; what little stands around
/// that must tell more than a letter.
fn patterned(part: &str) -> String {
    let (mut pattern, mut rest, mut letters) = (String::new(), part, 0);
    while let Some((before, after)) = rest.split_once("${") {
        let Some((_, after)) = after.split_once('}') else { break };
        // The dot in front may be part of the value.
        let star = if pattern.is_empty() && before.is_empty() { ".*" } else { "*" };
        pattern.push_str(before);
        pattern.push_str(star);
        letters += before.len();
        rest = after;
    }
    letters += rest.len();
    if pattern.is_empty() || letters < 2 { part.to_owned() } else { pattern + rest }
}

/// Returns whether a pattern with wildcards matches a name; a leading dot must be written.
fn fits(pattern: &str, name: &str) -> bool {
    if !pattern.contains(['*', '?', '[']) || name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    matches(&pattern.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>())
}

fn matches(pattern: &[char], name: &[char]) -> bool {
    // Long patterns are no file names; they would only cost time.
    if pattern.len() > 64 || pattern.iter().filter(|c| **c == '*').count() > 4 {
        return true;
    }
    match (pattern, name) {
        ([], []) => true,
        (['*', rest @ ..], _) => {
            matches(rest, name) || !name.is_empty() && matches(pattern, &name[1..])
        }
        (['?', rest @ ..], [_, more @ ..]) => matches(rest, more),
        (['[', rest @ ..], [_, more @ ..]) => {
            let end = rest.iter().position(|c| *c == ']').map_or(rest.len(), |at| at + 1);
            matches(&rest[end..], more)
        }
        ([a, rest @ ..], [b, more @ ..]) => a == b && matches(rest, more),
        _ => false,
    }
}

/// K31.
pub(super) fn traversal(sight: &Sight<'_>, findings: &mut Findings) {
    let facts = sight.scene.facts;
    for access in sight.touched.iter().filter(|access| !access.unknown) {
        let allowed = match access.touch {
            Touch::Read => is_readable(facts, &access.path),
            _ => inside(facts, &access.path) || is_device(&access.path),
        };
        // What was meant by `~user` or look-alike dots may be inside by chance only.
        let settings = access.touch == Touch::Read && beneath("/etc", &access.path);
        if !allowed && settings && !access.disguised && access.sure {
            findings.add(Verdict::Ask, format!("`{}` is outside the tree", access.shown));
        } else if !allowed {
            findings.add(worst(access), format!("`{}` is outside the tree", access.shown));
        } else if access.disguised {
            let why = format!("`{}` has characters that look like dots or slashes", access.shown);
            findings.add(Verdict::Ask, why);
        }
        if !allowed && access.touch != Touch::Read {
            findings.beyond(Blast::Host);
        }
    }
    for access in sight.touched.iter().filter(|access| access.unknown) {
        if access.touch != Touch::Read || access.shown.contains("..") {
            findings.add(Verdict::Ask, format!("nobody knows where `{}` is", access.shown));
        }
    }
}

/// K32.
pub(super) fn links(sight: &Sight<'_>, findings: &mut Findings) {
    let facts = sight.scene.facts;
    for access in sight.touched.iter().filter(|access| !access.unknown) {
        let out = !inside(facts, &access.path);
        if access.touch == Touch::Link && out {
            findings.add(worst(access), format!("a link to `{}`, outside the tree", access.shown));
        } else if out && inside(facts, &access.lexical) && !is_readable(facts, &access.path) {
            findings.add(worst(access), format!("`{}` leads out of the tree", access.shown));
        }
        let magic = beneath("/proc", &access.lexical)
            && ["/root", "/cwd", "/fd", "/exe"].iter().any(|m| access.lexical.contains(m));
        if magic {
            findings.add(Verdict::Deny, format!("`{}` is a link of the kernel's", access.shown));
        }
    }
}

/// K33.
pub(super) fn autorun(sight: &Sight<'_>, findings: &mut Findings) {
    const NAMES: [&str; 24] = [
        "conftest.py",
        "build.rs",
        "package.json",
        "makefile",
        "gnumakefile",
        "justfile",
        "rust-toolchain",
        "rust-toolchain.toml",
        ".pre-commit-config.yaml",
        "tasks.json",
        "launch.json",
        "setup.py",
        "sitecustomize.py",
        "usercustomize.py",
        ".envrc",
        "tox.ini",
        "noxfile.py",
        "cmakelists.txt",
        "build.gradle",
        "build.gradle.kts",
        "pom.xml",
        "rakefile",
        "gruntfile.js",
        ".mise.toml",
    ];
    for access in sight.touched.iter().filter(|access| access.touch == Touch::Write) {
        let path = access.path.to_lowercase();
        let name = path.rsplit('/').next().unwrap_or_default();
        let cargo = path.ends_with(".cargo/config.toml") || path.ends_with(".cargo/config");
        if NAMES.contains(&name) || name.ends_with(".pth") || cargo || path.contains("/.husky/") {
            findings.add(Verdict::Ask, format!("`{}` runs by itself later", access.shown));
        }
    }
    for call in &sight.scene.calls {
        if call.is(&["insmod", "modprobe", "ldconfig", "kmod"]) {
            findings.add(Verdict::Deny, format!("`{}` loads code into the system", call.line()));
            findings.beyond(Blast::Host);
        }
        let plugin = call.texts().any(|arg| {
            ["-fplugin=", "--preload", "--require=", "--import=", "--loader="]
                .iter()
                .any(|option| arg.starts_with(option))
        });
        let required = call.is(&["node", "nodejs", "ruby"]) && call.has_any(&["-r", "--require"]);
        if plugin || required {
            findings.add(Verdict::Ask, format!("`{}` loads code before its own", call.line()));
        }
    }
}

/// K38.
pub(super) fn own(sight: &Sight<'_>, findings: &mut Findings) {
    let facts = sight.scene.facts;
    for access in &sight.touched {
        // Without a view of their own commands see their tree where grafter keeps it.
        let mut folders = [&facts.root].into_iter().chain(&facts.scratch);
        let below = folders.find_map(|folder| within(folder, &access.path));
        let path = below.map_or(access.path.clone(), |below| format!("/{below}")).to_lowercase();
        let parts: Vec<String> = path.split('/').map(plain).collect();
        let state = parts.windows(2).any(|pair| pair == [".git", "grafter"])
            || path.contains("/.config/grafter")
            || path.contains("/state/grafter");
        let writes = access.touch != Touch::Read;
        if state || writes && parts.iter().any(|part| part == ".grafter") {
            findings.add(Verdict::Deny, format!("`{}` is grafter's own", access.shown));
        }
    }
    for call in &sight.scene.calls {
        let names = call.texts().any(|arg| arg.contains("grafter"));
        if call.is(&["kill", "pkill", "killall", "gdb", "strace"]) && names {
            findings.add(Verdict::Deny, format!("`{}` is aimed at grafter", call.line()));
        }
        if call.name == "grafter" {
            let looks =
                ["status", "logs", "tools", "models", "workflow", "doctor", "check", "--version"];
            if !call.args.first().is_some_and(|arg| looks.contains(&arg.text.as_str())) {
                findings
                    .add(Verdict::Deny, format!("`{}` acts on the run from inside", call.line()));
            }
        }
    }
}
