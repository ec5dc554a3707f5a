//! K28: programs that are given as text to an interpreter, and interpreters that run their input.

use crate::guard::{
    gate::{Findings, Sight, Verdict},
    scene::{
        arg::Arg,
        call::{Call, SHELLS, is_interpreter},
    },
};

/// Modules of Python that check, build or show something of the project.
const MODULES: [&str; 33] = [
    "pytest",
    "unittest",
    "venv",
    "mypy",
    "black",
    "ruff",
    "flake8",
    "build",
    "coverage",
    "compileall",
    "py_compile",
    "json.tool",
    "doctest",
    "isort",
    "pylint",
    "tox",
    "nox",
    "sphinx",
    "cProfile",
    "tabnanny",
    "ast",
    "dis",
    "site",
    "sysconfig",
    "platform",
    "pip",
    "pyflakes",
    "pycodestyle",
    "bandit",
    "django",
    "mkdocs",
    "pydoc",
    "this",
];

/// K28.
pub(super) fn inline(sight: &Sight<'_>, findings: &mut Findings) {
    for call in &sight.scene.calls {
        let shell = SHELLS.contains(&call.name.as_str());
        if shell {
            let text = call.args.iter().any(|arg| arg.short('c'));
            let checks = call.args.iter().any(|arg| arg.short('n')) && !text;
            if text {
                findings.add(Verdict::Ask, format!("`{} -c` runs a text", call.name));
            } else if !checks && (stands_alone(call) || reads_input(call)) {
                findings.add(Verdict::Ask, format!("`{}` runs its input", call.name));
            }
        } else if is_interpreter(&call.name) {
            interpreter(call, findings);
        }
    }
}

/// Returns whether no file is named that an interpreter would run.
pub(super) fn stands_alone(call: &Call) -> bool {
    call.first().is_none()
        && !call.has("--version")
        && !call.has("-V")
        && !call.has("--help")
        && !call.has("-v")
}

/// Returns whether its input is named as the file to run.
pub(super) fn reads_input(call: &Call) -> bool {
    ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"].iter().any(|own| call.has(own))
}

fn interpreter(call: &Call, findings: &mut Findings) {
    let code = code(call);
    if let Some(text) = &code {
        let verdict = if is_hostile(&text.text) { Verdict::Deny } else { Verdict::Ask };
        findings.add(verdict, format!("`{}` runs a text", call.name));
        return;
    }
    if call.fed && (stands_alone(call) || reads_input(call)) {
        findings.add(Verdict::Ask, format!("`{}` runs its input", call.name));
    } else if call.args.is_empty() {
        findings.add(Verdict::Ask, format!("`{}` waits for a program to be typed", call.name));
    }
    let python = call.name.starts_with("python") || call.name.starts_with("pypy");
    if python && let Some(module) = module(call) {
        let known = MODULES.contains(&module);
        if !known {
            findings.add(Verdict::Ask, format!("the module `{module}` is run"));
        }
    }
}

/// Returns the module that `python -m` runs.
pub(super) fn module(call: &Call) -> Option<&str> {
    let (at, arg) = call.args.iter().enumerate().find(|(_, arg)| arg.text.starts_with("-m"))?;
    let glued = &arg.text[2..];
    if glued.is_empty() { call.args.get(at + 1).map(|arg| arg.text.as_str()) } else { Some(glued) }
}

/// Options with a value in the next word, by the beginning of the interpreter's name: what follows
/// the value may still be an option with code.
const VALUED: [(&str, &[&str]); 9] = [
    ("py", &["-W", "-X", "--check-hash-based-pycs"]),
    ("perl", &["-I"]),
    ("ruby", &["-I", "-r", "-C", "-E", "-K", "-W"]),
    ("node", &["-r", "--require", "--import", "--loader", "-C", "--conditions", "--env-file"]),
    ("php", &["-d", "-c", "-z"]),
    ("lua", &["-l"]),
    ("julia", &["-p", "-t", "-L", "-J", "-H", "-C", "-O", "-g", "--project"]),
    ("e", &["-r", "-pa", "-pz", "-S", "-s", "-name", "-sname", "-setcookie", "--cookie"]),
    ("g", &["-L", "-l"]),
];

/// Returns the text that an interpreter is told to run.
fn code(call: &Call) -> Option<&Arg> {
    let letters: &[char] = match call.name.as_str() {
        name if name.starts_with("python") || name.starts_with("pypy") => &['c'],
        "perl" | "julia" => &['e', 'E'],
        "node" | "nodejs" | "bun" | "tsx" | "ts-node" => &['e', 'p'],
        "php" => &['r', 'R', 'B', 'E', 'a'],
        "deno" => &[],
        "guile" => &['c'],
        "pwsh" | "powershell" => &['c', 'C', 'e', 'E'],
        // `-M file` and `-X function` are all that is left to these.
        "clojure" | "clj" => &['e', 'X', 'T'],
        _ => &['e'],
    };
    let valued = VALUED.iter().filter(|(name, _)| call.name.starts_with(name));
    let takes = |text: &str| valued.clone().any(|(_, options)| options.contains(&text));
    let mut args = call.args.iter().enumerate();
    while let Some((at, arg)) = args.next() {
        if !arg.is_option() {
            let eval = call.is(&["deno", "crystal"]) && arg.text == "eval";
            return eval.then(|| call.args.get(at + 1)).flatten();
        }
        // Erlang and its kin write long names with one dash.
        let long = ["--eval", "--print", "--run", "--rpc-eval", "-eval", "-run"]
            .iter()
            .any(|long| arg.text.starts_with(long));
        if takes(&arg.text) {
            args.next();
        } else if long || letters.iter().any(|letter| arg.short(*letter)) {
            return Some(call.args.get(at + 1).unwrap_or(arg));
        }
        if arg.text == "-m" {
            return None;
        }
    }
    None
}

/// Returns whether a program's text names secrets, the network or a shell.
fn is_hostile(text: &str) -> bool {
    const SIGNS: [&str; 30] = [
        ".ssh",
        ".aws",
        ".gnupg",
        ".netrc",
        "/etc/",
        "/proc/",
        ".git/",
        "environ",
        "getenv",
        "process.env",
        "%ENV",
        "socket",
        "urllib",
        "requests.",
        "http://",
        "https://",
        "http.client",
        "fetch(",
        "net.connect",
        "os.system",
        "subprocess",
        "popen",
        "child_process",
        "exec(",
        "eval(",
        "__import__",
        "shutil.rmtree",
        "../",
        "ctypes",
        "base64",
    ];
    SIGNS.iter().any(|sign| text.contains(sign))
}
