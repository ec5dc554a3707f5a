//! One program that a command line would start, wrappers taken off.

use crate::guard::{scene::arg::Arg, shell::ast::RedirectKind};

/// A call of a program.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// The last component of the program's path; empty for redirections and assignments alone.
    pub name: String,
    /// The program as it was written.
    pub program: Arg,
    /// Its arguments.
    pub args: Vec<Arg>,
    /// Variables set for it, or for the shell if there is no program.
    pub env: Vec<(String, Arg)>,
    /// Its redirections.
    pub redirects: Vec<Target>,
    /// The directories it may run in, the likely one first; none if that is not known.
    pub places: Vec<String>,
    /// The programs before it in its pipeline.
    pub before: Vec<String>,
    /// The wrappers around it, the outermost first.
    pub wrappers: Vec<String>,
    /// Whether its input is a pipe, a here-document or a file.
    pub fed: bool,
    /// Whether options of a wrapper around it are not known.
    pub unclear: Vec<String>,
}

/// A redirection of a call.
#[derive(Clone, Debug)]
pub struct Target {
    /// What it does.
    pub kind: RedirectKind,
    /// The file, number, delimiter or text.
    pub arg: Arg,
    /// Whether a here-document expands something.
    pub expands: bool,
}

impl Call {
    /// Returns whether the program is one of these.
    pub fn is(&self, names: &[&str]) -> bool {
        names.contains(&self.name.as_str())
    }

    /// Returns the texts of the arguments.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.args.iter().map(|arg| arg.text.as_str())
    }

    /// Returns the first argument that is no option.
    pub fn first(&self) -> Option<&str> {
        self.args.iter().find(|arg| !arg.is_option()).map(|arg| arg.text.as_str())
    }

    /// Returns whether an argument is exactly this.
    pub fn has(&self, text: &str) -> bool {
        self.texts().any(|arg| arg == text)
    }

    /// Returns whether an argument is one of these, or one of these with `=` and a value.
    pub fn has_any(&self, options: &[&str]) -> bool {
        self.texts().any(|arg| options.contains(&arg.split('=').next().unwrap_or(arg)))
    }

    /// Returns the call as one line, for reasons.
    pub fn line(&self) -> String {
        let mut line = self.program.text.clone();
        for arg in self.texts().take(6) {
            line.push(' ');
            line.push_str(arg);
        }
        line.chars().take(80).collect()
    }
}

/// Programs that run what they are given as a script of the shell.
pub const SHELLS: [&str; 11] =
    ["sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "fish", "rbash", "csh", "tcsh"];

/// Programs that run text of other languages.
pub const INTERPRETERS: [&str; 45] = [
    "python",
    "python2",
    "python3",
    "pypy",
    "pypy3",
    "perl",
    "ruby",
    "node",
    "nodejs",
    "deno",
    "bun",
    "php",
    "lua",
    "osascript",
    "Rscript",
    "tclsh",
    "irb",
    "julia",
    "R",
    "elixir",
    "erl",
    "ghc",
    "groovy",
    "scala",
    "luajit",
    "iex",
    "ocaml",
    "runghc",
    "runhaskell",
    "guile",
    "racket",
    "clojure",
    "clj",
    "sbcl",
    "ecl",
    "swift",
    "kotlin",
    "jshell",
    "raku",
    "perl6",
    "crystal",
    "pwsh",
    "powershell",
    "tsx",
    "ts-node",
];

/// Returns whether a program is an interpreter, versions in its name left aside.
pub fn is_interpreter(name: &str) -> bool {
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    INTERPRETERS.contains(&name) || INTERPRETERS.contains(&bare)
}

/// Returns whether a program reads a script of commands from its input.
pub fn runs_input(name: &str) -> bool {
    SHELLS.contains(&name) || is_interpreter(name) || name == "busybox"
}
