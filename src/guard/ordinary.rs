//! The first stage of the classifier: commands that are plainly ordinary work on a repository.
//!
//! A table of programs and subcommands, no model. It says yes or is not sure; not sure is asked.
//! What it says yes to has passed every check of the gate, stays in the tree, and can be undone.

use crate::guard::{
    files::is_file_work,
    gate::{Blast, Judgement, Verdict, Words},
};

/// Programs that only look, format, compile or test, whatever their arguments are.
const PLAIN: [&str; 75] = [
    "awk",
    "base64",
    "basename",
    "black",
    "cat",
    "cd",
    "clang-format",
    "cmp",
    "comm",
    "cut",
    "date",
    "diff",
    "dirname",
    "du",
    "echo",
    "eslint",
    "expr",
    "false",
    "file",
    "find",
    "flake8",
    "fmt",
    "gofmt",
    "gcc",
    "g++",
    "grep",
    "egrep",
    "fgrep",
    "head",
    "hexdump",
    "id",
    "isort",
    "jest",
    "jq",
    "ls",
    "md5sum",
    "mocha",
    "mypy",
    "nl",
    "nproc",
    "od",
    "paste",
    "phpunit",
    "prettier",
    "printf",
    "pwd",
    "pyflakes",
    "pylint",
    "pytest",
    "readlink",
    "realpath",
    "rg",
    "rspec",
    "ruff",
    "rustc",
    "rustfmt",
    "sed",
    "seq",
    "sha256sum",
    "shellcheck",
    "sort",
    "stat",
    "tail",
    "test",
    "[",
    "tox",
    "tr",
    "tree",
    "true",
    "tsc",
    "uname",
    "uniq",
    "vitest",
    "wc",
    "which",
];

/// Programs with the subcommands that are ordinary.
const WITH: [(&str, &[&str]); 14] = [
    (
        "cargo",
        &[
            "bench",
            "build",
            "check",
            "clippy",
            "doc",
            "fmt",
            "metadata",
            "nextest",
            "run",
            "test",
            "tree",
            "--version",
        ],
    ),
    ("cmake", &["--build", "--version"]),
    ("ctest", &["", "--output-on-failure", "-V"]),
    ("dotnet", &["build", "test", "format"]),
    (
        "git",
        &[
            "add",
            "blame",
            "branch",
            "cat-file",
            "commit",
            "describe",
            "diff",
            "grep",
            "log",
            "ls-files",
            "ls-tree",
            "rev-parse",
            "shortlog",
            "show",
            "status",
        ],
    ),
    ("go", &["build", "doc", "env", "fmt", "list", "test", "version", "vet"]),
    ("gradle", &["build", "check", "test"]),
    ("./gradlew", &["build", "check", "test"]),
    ("just", &["build", "check", "fmt", "lint", "test"]),
    ("make", &["", "all", "build", "check", "fmt", "format", "lint", "test"]),
    ("mvn", &["compile", "package", "test", "verify"]),
    ("npm", &["run", "test"]),
    ("pnpm", &["run", "test"]),
    ("yarn", &["build", "lint", "test"]),
];

/// Modules of Python that only check or test.
const MODULES: [&str; 11] = [
    "black",
    "compileall",
    "flake8",
    "isort",
    "json.tool",
    "mypy",
    "py_compile",
    "pylint",
    "pytest",
    "ruff",
    "unittest",
];

/// Returns whether a command is plainly ordinary; if not, nothing is known.
pub fn is_ordinary(judgement: &Judgement) -> bool {
    judgement.verdict == Verdict::Pass
        && judgement.understood
        && judgement.reversible
        && judgement.blast <= Blast::Tree
        && !judgement.starts.is_empty()
        && judgement.starts.iter().all(|words| words.wraps || knows(words))
}

fn knows(words: &Words) -> bool {
    let program = words.program.as_str();
    let first = words.args.first().map_or("", String::as_str);
    if PLAIN.contains(&program) || is_file_work(words) {
        return true;
    }
    if ["python", "python3"].contains(&program) {
        let module = words.args.get(1).map_or("", String::as_str);
        return first == "--version" || first == "-m" && MODULES.contains(&module);
    }
    WITH.iter().any(|(name, firsts)| *name == program && firsts.contains(&first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::gate::{ShellFacts, judge};

    #[test]
    fn ordinary_work_is_known_and_everything_else_is_not() {
        let at = |path: &str| path.to_owned();
        let facts =
            ShellFacts { root: at("/r"), cwd: at("/r"), home: at("/h"), ..Default::default() };
        let says = |command: &str| is_ordinary(&judge(command, &facts));
        for command in [
            "cargo test --workspace 2>&1 | tail -20",
            "cd sub && python3 -m pytest -q tests/test_a.py",
            "git status --short; git diff --stat",
            "mkdir -p a/b && touch a/b/c && rm a/b/c",
            "timeout 60 go test ./...",
            "grep -rn 'x' src | sort -u",
        ] {
            assert!(says(command), "{command}");
        }
        for command in [
            "",
            "rm -r src",
            "git push",
            "git reset --hard",
            "curl http://example.com",
            "python3 -c 'print(1)'",
            "./run.sh",
            "npm install left-pad",
            "cargo install x",
            "echo $(id)",
            "cat ~/.ssh/id_rsa",
            "sudo ls",
            "make deploy",
            "chmod -R 777 .",
        ] {
            assert!(!says(command), "{command}");
        }
    }
}
