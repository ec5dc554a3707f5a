//! Finds the check commands of a repository by looking at the files of its root.
//!
//! Only names and short texts are read and nothing is run. A wrong guess is harmless: a detected
//! check that does not work says nothing (see `change`).

use std::{fs, io::Read, path::Path};

use crate::protocol::report::{Check, Origin};

/// More of a file than any configuration has.
const MAX_READ: u64 = 1 << 20;
/// More test files than are needed to know the runner.
const MAX_FILES: usize = 400;
/// What `npm init` writes when there are no tests.
const NO_NPM_TEST: &str = "no test specified";

/// Returns the checks of the repository whose tree is at `root`.
///
/// Each language that is there has its own; a Makefile or justfile counts only where no language
/// does, since it usually calls the same runner again.
pub fn detect(root: &Path) -> Vec<Check> {
    let languages: [fn(&Path) -> Option<String>; 4] = [cargo, python, node, go];
    let recipes: [fn(&Path) -> Option<String>; 2] = [make, just];
    let found = |finders: &[fn(&Path) -> Option<String>]| -> Vec<Check> {
        let commands = finders.iter().filter_map(|find| find(root));
        commands.map(|command| Check { command, origin: Origin::Detected }).collect()
    };
    let checks = found(&languages);
    if !checks.is_empty() {
        return checks;
    }
    found(&recipes).into_iter().take(1).collect()
}

fn cargo(root: &Path) -> Option<String> {
    text(root, "Cargo.toml")?;
    // Without `--no-fail-fast` a red test binary would hide all binaries after it.
    let runner = match text(root, ".config/nextest.toml") {
        Some(_) => "cargo nextest run --no-fail-fast",
        None => "cargo test --no-fail-fast",
    };
    Some(runner.to_owned())
}

fn python(root: &Path) -> Option<String> {
    let tests = python_tests(root);
    let says = |file: &str, word: &str| text(root, file).is_some_and(|text| text.contains(word));
    let is_pytest = text(root, "pytest.ini").is_some()
        || says("pyproject.toml", "[tool.pytest")
        || says("setup.cfg", "[tool:pytest]")
        || says("tox.ini", "[pytest]")
        || text(root, "conftest.py").is_some()
        || text(root, "tests/conftest.py").is_some()
        || tests.iter().any(|test| needs_pytest(test));
    let python = interpreter(root);
    if is_pytest {
        return Some(format!("{python} -m pytest"));
    }
    if tests.is_empty() {
        return None;
    }
    // Discovery does not enter a folder that is no package unless it is told to start there.
    let folder = ["tests", "test"].into_iter().find(|folder| {
        root.join(folder).is_dir() && text(root, &format!("{folder}/__init__.py")).is_none()
    });
    let start = folder.map(|folder| format!(" -s {folder}")).unwrap_or_default();
    Some(format!("{python} -m unittest discover -v{start}"))
}

/// Returns the interpreter of the checkout's own environment, else the one on PATH; told where
/// packages below `src` are, for without an installed package the tests would not find them.
fn interpreter(root: &Path) -> String {
    let own = ".venv/bin/python";
    let program = if fs::metadata(root.join(own)).is_ok() { own } else { "python3" };
    let has_packages = folders(root, "src").iter().any(|name| is_package(root, name));
    let path = if has_packages { "PYTHONPATH=src " } else { "" };
    format!("{path}{program}")
}

fn is_package(root: &Path, folder: &str) -> bool {
    text(root, &format!("{folder}/__init__.py")).is_some()
}

/// Returns the folders in a folder, as paths below the root.
fn folders(root: &Path, parent: &str) -> Vec<String> {
    let entries = fs::read_dir(root.join(parent)).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let names = folders.filter_map(|entry| entry.file_name().into_string().ok());
    let mut paths: Vec<String> = names
        .take(MAX_FILES)
        .map(|name| if parent.is_empty() { name } else { format!("{parent}/{name}") })
        .collect();
    paths.sort_unstable();
    paths
}

/// A test that is a plain function is no test to unittest.
fn needs_pytest(test: &str) -> bool {
    let marks = ["import pytest", "from pytest", "def test_", "async def test_"];
    test.lines().any(|line| marks.iter().any(|mark| line.starts_with(mark)))
}

/// Returns the texts of the Python test files in the root and in the folders of tests there and
/// in packages.
fn python_tests(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let packages = [folders(root, ""), folders(root, "src")].concat();
    let inner = packages
        .iter()
        .filter(|name| is_package(root, name))
        .flat_map(|name| ["tests", "test"].map(|tests| format!("{name}/{tests}")));
    for folder in ["", "tests", "test"].map(str::to_owned).into_iter().chain(inner) {
        let Ok(entries) = fs::read_dir(root.join(&folder)) else { continue };
        for entry in entries.flatten().take(MAX_FILES) {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let is_python = Path::new(name).extension().is_some_and(|ending| ending == "py");
            let is_test = name.starts_with("test") || name.ends_with("_test.py");
            if is_python && is_test {
                found.extend(text(root, &Path::new(&folder).join(name).to_string_lossy()));
            }
        }
    }
    found
}

fn node(root: &Path) -> Option<String> {
    let package: serde_json::Value = serde_json::from_str(&text(root, "package.json")?).ok()?;
    let script = package.get("scripts")?.get("test")?.as_str()?;
    if script.trim().is_empty() || script.contains(NO_NPM_TEST) {
        return None;
    }
    let locks = [("pnpm-lock.yaml", "pnpm test"), ("yarn.lock", "yarn test")];
    let command = locks.iter().find(|(lock, _)| text(root, lock).is_some());
    Some(command.map_or("npm test", |(_, command)| command).to_owned())
}

fn go(root: &Path) -> Option<String> {
    text(root, "go.mod")?;
    // Without `-v` a passing test has no id, so a red package would hide what else broke in it.
    Some("go test -v ./...".to_owned())
}

fn make(root: &Path) -> Option<String> {
    let files = ["GNUmakefile", "makefile", "Makefile"];
    let text = files.iter().find_map(|file| text(root, file))?;
    text.lines().any(|line| is_rule(line, "test")).then(|| "make test".to_owned())
}

fn just(root: &Path) -> Option<String> {
    let files = ["justfile", "Justfile", ".justfile"];
    let text = files.iter().find_map(|file| text(root, file))?;
    let is_recipe = |line: &str| is_rule(line.strip_prefix('@').unwrap_or(line), "test");
    text.lines().any(is_recipe).then(|| "just test".to_owned())
}

/// Returns whether a line is the head of a rule: `a test b: needs`, but not `test := value`.
fn is_rule(line: &str, name: &str) -> bool {
    if line.starts_with([' ', '\t', '#']) {
        return false;
    }
    line.split_once(':').is_some_and(|(heads, rest)| {
        !rest.starts_with('=') && heads.split_whitespace().any(|head| head == name)
    })
}

/// Returns the text of a regular file below the root, none when there is no such file.
///
/// Bytes that are no UTF-8 are replaced. Sockets and pipes are not opened, since they may block.
fn text(root: &Path, name: &str) -> Option<String> {
    let path = root.join(name);
    if !fs::metadata(&path).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    fs::File::open(&path).ok()?.take(MAX_READ).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)], expect: &[&str]) {
        let root = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        let found: Vec<_> = detect(root.path()).into_iter().map(|check| check.command).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn cargo_with_and_without_nextest() {
        check(&[("Cargo.toml", "")], &["cargo test --no-fail-fast"]);
        let files = [("Cargo.toml", ""), (".config/nextest.toml", "")];
        check(&files, &["cargo nextest run --no-fail-fast"]);
    }

    #[test]
    fn pytest_by_each_of_its_marks() {
        let marks = [
            ("pytest.ini", ""),
            ("pyproject.toml", "[tool.pytest.ini_options]"),
            ("setup.cfg", "[tool:pytest]"),
            ("tox.ini", "[pytest]"),
            ("conftest.py", ""),
            ("tests/conftest.py", ""),
            ("tests/test_a.py", "import pytest\n"),
            ("test_a.py", "from pytest import raises\n"),
            ("test_a.py", "from a import f\n\ndef test_f():\n    assert f()\n"),
        ];
        for mark in marks {
            check(&[mark], &["python3 -m pytest"]);
        }
    }

    #[test]
    fn unittest_where_nothing_says_pytest() {
        check(&[("test_a.py", "import unittest\n")], &["python3 -m unittest discover -v"]);
        let bare = [("tests/test_a.py", "import unittest\n"), ("pyproject.toml", "[project]")];
        check(&bare, &["python3 -m unittest discover -v -s tests"]);
        let package = [("tests/test_a.py", "import unittest\n"), ("tests/__init__.py", "")];
        check(&package, &["python3 -m unittest discover -v"]);
        check(&[("a.py", "import unittest\n"), ("pyproject.toml", "[project]")], &[]);
    }

    #[test]
    fn packages_below_src_and_tests_in_packages_are_found() {
        let src = [("src/p/__init__.py", ""), ("pytest.ini", "")];
        check(&src, &["PYTHONPATH=src python3 -m pytest"]);
        check(&[("src/main.rs", ""), ("pytest.ini", "")], &["python3 -m pytest"]);
        let inner = [("p/__init__.py", ""), ("p/tests/test_a.py", "import pytest\n")];
        check(&inner, &["python3 -m pytest"]);
        check(&[("p/tests/test_a.py", "import pytest\n")], &[]);
    }

    #[test]
    fn the_checkouts_own_environment_comes_first() {
        let own = [(".venv/bin/python", ""), ("conftest.py", "")];
        check(&own, &[".venv/bin/python -m pytest"]);
    }

    #[test]
    fn node_by_lock_file_and_only_with_a_test_script() {
        let package = r#"{"scripts": {"test": "jest"}}"#;
        check(&[("package.json", package)], &["npm test"]);
        check(&[("package.json", package), ("pnpm-lock.yaml", "")], &["pnpm test"]);
        check(&[("package.json", package), ("yarn.lock", "")], &["yarn test"]);
        let fresh = r#"{"scripts": {"test": "echo \"Error: no test specified\" && exit 1"}}"#;
        for text in [fresh, "{}", "{\"scripts\": 3}", "not json", r#"{"scripts": {"test": ""}}"#] {
            check(&[("package.json", text)], &[]);
        }
    }

    #[test]
    fn go_make_and_just() {
        check(&[("go.mod", "module m\n")], &["go test -v ./..."]);
        check(&[("Makefile", "all: x\nlint test: all\n\techo\n")], &["make test"]);
        check(&[("Makefile", "test := 3\n\ttest: no\n# test:\ntests:\n")], &[]);
        check(&[("justfile", "@test:\n  echo\n")], &["just test"]);
        check(&[("Makefile", "test:\n"), ("justfile", "test:\n")], &["make test"]);
    }

    #[test]
    fn languages_stand_side_by_side_and_before_recipes() {
        let files = [("Cargo.toml", ""), ("go.mod", ""), ("Makefile", "test:\n")];
        check(&files, &["cargo test --no-fail-fast", "go test -v ./..."]);
        check(&[("README.md", "")], &[]);
    }

    #[test]
    fn odd_files_are_no_trap() {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join("Cargo.toml")).expect("a folder");
        std::os::unix::fs::symlink("Makefile", root.path().join("Makefile")).expect("a link");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.path().join("go.mod"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .expect("a pipe");
        fs::write(root.path().join("package.json"), b"\xff\xfe{").expect("a file");
        assert_eq!(detect(root.path()), []);
        assert_eq!(detect(&root.path().join("absent")), []);
    }
}
