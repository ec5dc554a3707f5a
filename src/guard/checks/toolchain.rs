//! Checks on what tells build tools which programs to start: variables, options, settings files.
//!
//! A compiler by its name (`CC=clang`) or one of the system (`/usr/bin/cc`) is ordinary; a path
//! elsewhere is a program that nobody looked at, and text for a shell is a program itself.

use crate::guard::{
    gate::{Findings, Verdict},
    scene::call::Call,
};

/// Variables that name a program, to make, configure and most build tools.
const TOOLS: [&str; 39] = [
    "SHELL",
    "CC",
    "CXX",
    "CPP",
    "LD",
    "AR",
    "AS",
    "NM",
    "RANLIB",
    "STRIP",
    "OBJCOPY",
    "FC",
    "F77",
    "GO",
    "CARGO",
    "RUSTC",
    "PYTHON",
    "PYTHON3",
    "PERL",
    "RUBY",
    "NODE",
    "NPM",
    "PIP",
    "JAVA",
    "JAVAC",
    "MAKE",
    "CMAKE",
    "INSTALL",
    "LEX",
    "YACC",
    "AWK",
    "SED",
    "GREP",
    "RM",
    "CP",
    "MV",
    "PKG_CONFIG",
    "HOSTCC",
    "HOSTCXX",
];
/// Variables that hold options of compilers.
const FLAGS: [&str; 11] = [
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "CFLAGS",
    "CXXFLAGS",
    "CPPFLAGS",
    "LDFLAGS",
    "CGO_CFLAGS",
    "CGO_CXXFLAGS",
    "CGO_LDFLAGS",
    "HOSTCFLAGS",
    "KCFLAGS",
];
/// Where programs of the system lie.
const SYSTEM: [&str; 5] = ["/usr/bin/", "/bin/", "/usr/local/bin/", "/usr/lib/", "/opt/"];
/// Options of compilers and linkers that start or load another program.
const LOADS: [&str; 16] = [
    "linker=",
    "-fuse-ld=/",
    "-fuse-ld=.",
    "-fplugin",
    "-fpass-plugin",
    "-plugin",
    "-wrapper",
    "-specs",
    "--specs",
    "-B.",
    "-B/",
    "-load",
    "-extld",
    "-toolexec",
    "--ld-path",
    "-Zcodegen-backend",
];

/// Returns why a variable that is set for a program makes it start another.
pub(super) fn variable(name: &str, value: &str) -> Option<String> {
    // Make has six ways to say "is".
    let name = name.trim_end_matches([':', '+', '?', '!', ' ']);
    let loads = LOADS.iter().any(|load| value.contains(load));
    let tool = TOOLS.contains(&name) && (loads || is_own(value));
    let flags = FLAGS.contains(&name) && loads;
    (tool || flags).then(|| format!("`{name}={value}` names a program to start"))
}

/// K35: options, variables and settings by which a build tool starts what its line says.
pub(super) fn line(call: &Call, findings: &mut Findings) {
    let pairs = || call.texts().filter_map(|arg| arg.split_once('='));
    let named = match call.name.as_str() {
        "make" | "gmake" | "bmake" | "configure" => {
            pairs().find_map(|(name, value)| variable(name, value).or_else(|| recipe(name, value)))
        }
        "cmake" => pairs().find_map(|(name, value)| definition(name, value)),
        "rustc" | "cargo" | "rustdoc" | "gcc" | "g++" | "cc" | "c++" | "clang" | "clang++"
        | "ld" | "go" => compiler(call),
        _ => None,
    };
    if let Some(why) = named {
        findings.add(Verdict::Deny, why);
    }
    if let Some(verdict) = settings(call) {
        findings.add(verdict, format!("`{}` changes what a tool runs or loads later", call.line()));
    }
    if call.is(&["gcc", "g++", "cc", "c++", "clang", "clang++", "ld", "rustc", "javac"])
        && let Some(file) = call.texts().find(|arg| arg.starts_with('@') && arg.len() > 1)
    {
        findings.add(Verdict::Ask, format!("`{} {file}` takes options from a file", call.name));
    }
}

/// Returns whether a value names a program that is not one of the system.
fn is_own(value: &str) -> bool {
    let program = value.split_whitespace().next().unwrap_or_default();
    program.contains('/') && !SYSTEM.iter().any(|folder| program.starts_with(folder))
        || value.contains([';', '|', '&', '`'])
}

/// Returns why a variable of make is a script: its text stands in recipes, where a shell reads it.
fn recipe(name: &str, value: &str) -> Option<String> {
    let shell = name.ends_with('!') || value.contains("$(shell");
    let runs = shell || value.contains([';', '|', '&', '`']);
    runs.then(|| format!("`{name}={value}` puts a command into recipes"))
}

fn definition(name: &str, value: &str) -> Option<String> {
    let name = name.strip_prefix("-D").unwrap_or(name);
    let name = name.split(':').next().unwrap_or(name);
    let tool = name.starts_with("CMAKE_")
        && ["_COMPILER", "_LAUNCHER", "_LINKER", "_PROGRAM", "_AR", "_COMMAND"]
            .iter()
            .any(|end| name.ends_with(end));
    let program = tool && is_own(value) || name == "CMAKE_PROJECT_INCLUDE";
    program.then(|| format!("`{name}={value}` names a program to start"))
}

fn compiler(call: &Call) -> Option<String> {
    let loads = |arg: &str| {
        let go = call.name == "go" && (arg.starts_with("-overlay") || arg.starts_with("--overlay"));
        LOADS.iter().any(|load| arg.contains(load)) || go
    };
    let arg = call.texts().find(|arg| loads(arg))?;
    let value = arg.rsplit('=').next().unwrap_or(arg);
    // `-C linker=clang` and `-fuse-ld=lld` name what the system has.
    let system = arg.contains("linker=") && !is_own(value);
    (!system).then(|| format!("`{} {arg}` starts or loads another program", call.name))
}

/// Returns what to say to a call that changes settings that outlive it.
fn settings(call: &Call) -> Option<Verdict> {
    /// Of all settings those that name a program, or options for one.
    const PROGRAMS: [&str; 13] = [
        "script-shell",
        "scriptShell",
        "shell",
        "editor",
        "viewer",
        "node-options",
        "init-module",
        "git",
        "scripts.",
        "CC=",
        "CXX=",
        "GOFLAGS=",
        "GOROOT=",
    ];
    let words: Vec<&str> = call.texts().filter(|arg| !arg.starts_with("--")).collect();
    let changes = matches!(
        (call.name.as_str(), words.as_slice()),
        ("npm" | "pnpm" | "yarn", ["config" | "c", "set" | "delete" | "edit", ..])
            | ("npm" | "pnpm", ["set", ..] | ["pkg", "set", ..])
            | ("pip" | "pip3", ["config", "set" | "edit" | "unset", ..])
            | ("poetry" | "bundle" | "composer" | "pdm", ["config", _, _, ..])
            | ("go", ["env", "-w" | "-u", ..])
            | ("gh" | "glab", ["config" | "alias", "set", ..])
    );
    let program = words.iter().any(|word| PROGRAMS.iter().any(|name| word.starts_with(name)));
    changes.then_some(if program { Verdict::Deny } else { Verdict::Ask })
}
