//! The house stands as it is drawn: floors, one room per outside thing, purity, sizes, habits.
//!
//! Reads the sources as text, so it needs no tool and sees every platform's code. Each rule is
//! shown to find what it is for, because a check that cannot fail would be worth nothing.

mod rules;
mod source;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use source::Source;

const MAX_LOCKED: usize = 450;
const MAX_DIRECT: usize = 60;

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(package().join(path)).expect("the package's own file")
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the package") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    rust_files(&package().join("src"), &mut files);
    files.sort();
    assert!(files.len() > 20, "only {} sources found", files.len());
    let below = |path: &Path| path.strip_prefix(package()).expect("below it").to_owned();
    let load = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a source in UTF-8");
        Source::new(&below(path).to_string_lossy(), &text)
    };
    let mut sources: Vec<Source> = files.iter().map(load).collect();
    let tests: Vec<String> = sources.iter().flat_map(Source::test_files).collect();
    for source in &mut sources {
        let stem = source.path.trim_end_matches(".rs").to_owned();
        let is_test = |test: &String| stem == *test || stem.starts_with(&format!("{test}/"));
        if tests.iter().any(is_test) {
            source.set_test();
        }
    }
    sources
}

#[track_caller]
fn holds(rule: fn(&Source) -> Vec<String>) {
    let faults: Vec<_> = sources().iter().flat_map(rule).collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_room_stands_on_a_floor() {
    holds(rules::unknown_room);
}

#[test]
fn rooms_import_from_lower_floors_only() {
    holds(rules::imports);
}

#[test]
fn one_room_per_outside_thing() {
    holds(rules::outside);
}

#[test]
fn pure_files_touch_nothing() {
    holds(rules::purity);
}

#[test]
fn files_and_functions_have_a_readable_size() {
    holds(rules::sizes);
}

#[test]
fn heads_and_no_unwrap_no_unsafe_nothing_undone() {
    holds(rules::habits);
}

/// Returns the test files that `main.rs` does not name; they would never be compiled.
fn forgotten(main: &str, files: &[String]) -> Vec<String> {
    let named = |file: &&String| main.lines().any(|line| line == format!("mod {file};"));
    files.iter().filter(|file| *file != "main" && !named(file)).cloned().collect()
}

#[test]
fn every_integration_file_is_a_module() {
    let entries = fs::read_dir(package().join("tests/integration")).expect("the tests' folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let files: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    assert_eq!(forgotten(&read("tests/integration/main.rs"), &files), Vec::<String>::new());
}

fn locked(lock: &str) -> usize {
    lock.lines().filter(|line| *line == "[[package]]").count()
}

/// Returns the direct dependencies of all kinds: name and the package behind it.
fn direct(manifest: &str) -> BTreeMap<String, String> {
    fn collect(table: &toml::Table, into: &mut BTreeMap<String, String>) {
        for (key, value) in table {
            let Some(inner) = value.as_table() else { continue };
            if key == "target" {
                inner.values().filter_map(toml::Value::as_table).for_each(|t| collect(t, into));
            } else if key.ends_with("dependencies") {
                for (name, spec) in inner {
                    let package = spec.get("package").and_then(toml::Value::as_str);
                    into.insert(name.clone(), package.unwrap_or(name).to_owned());
                }
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(&toml::from_str(manifest).expect("a manifest"), &mut found);
    found
}

#[test]
fn dependencies_stay_few() {
    let locked = locked(&read("Cargo.lock"));
    assert!((1..=MAX_LOCKED).contains(&locked), "{locked} locked packages");
    let direct = direct(&read("Cargo.toml"));
    assert!((1..=MAX_DIRECT).contains(&direct.len()), "{} direct dependencies", direct.len());
    // The crate of that name is archived; its successor stands behind it.
    assert_eq!(direct["serde_yaml"], "serde-saphyr");
}

// Each rule finds what it is for.

#[track_caller]
fn finds(rule: fn(&Source) -> Vec<String>, path: &str, text: &str, expect: &[&str]) {
    assert_eq!(rule(&Source::new(path, text)), expect, "{text}");
}

#[test]
fn the_floors_are_read() {
    let floors = rules::floors();
    assert_eq!((floors.len(), floors["cli"], floors["settings"]), (26, 0, 10));
    finds(
        rules::unknown_room,
        "src/utils/a.rs",
        "",
        &["src/utils/a.rs:1: the room utils stands on no floor"],
    );
    finds(
        rules::unknown_room,
        "src/utils.rs",
        "",
        &["src/utils.rs:1: the room utils stands on no floor"],
    );
    finds(rules::unknown_room, "src/main.rs", "", &[]);
}

#[test]
fn upward_and_sideways_imports_are_found() {
    let upward = &["src/git/a.rs:2: git imports merge, upward"];
    finds(rules::imports, "src/git/a.rs", "\nuse crate::merge::queue;", upward);
    finds(rules::imports, "src/git/a.rs", "\nuse crate::{code, merge::queue};", upward);
    finds(
        rules::imports,
        "src/git/a.rs",
        "\nuse crate::{\n    code::{a, b},\n    merge,\n};",
        &["src/git/a.rs:4: git imports merge, upward"],
    );
    finds(rules::imports, "src/git/a.rs", "\nfn f() { crate::merge::land() }", upward);
    finds(rules::imports, "src/git/a.rs", "\nuse super::super::merge;", upward);
    let upward = &["src/git/mod.rs:2: git imports merge, upward"];
    finds(rules::imports, "src/git/mod.rs", "\nuse super::merge;", upward);
    finds(
        rules::imports,
        "src/git/a.rs",
        "\nuse crate as c;\nuse crate::merge as m;",
        &["src/git/a.rs:3: git imports merge, upward"],
    );
    finds(
        rules::imports,
        "src/git/a.rs",
        "use crate::guard;",
        &["src/git/a.rs:1: git imports guard, sideways"],
    );
    let allowed = "use crate::{git::b, sandbox, protocol::ids::Oid};\nuse super::b;\n";
    finds(rules::imports, "src/git/a.rs", allowed, &[]);
}

#[test]
fn imports_in_tests_comments_and_strings_do_not_count() {
    let text = "// crate::merge\nconst A: &str = \"crate::merge\"; /* crate::merge /* */ */\n\
                const B: &str = r#\"\"crate::merge\"#; const C: char = '\"'; fn f<'a>() {}\n\
                #[cfg(test)]\nmod tests { use crate::merge; }\n\
                #[tokio::test]\nasync fn g() { crate::merge::x(); }\n";
    finds(rules::imports, "src/git/a.rs", text, &[]);
    let after = format!("{text}use crate::merge;");
    finds(rules::imports, "src/git/a.rs", &after, &["src/git/a.rs:8: git imports merge, upward"]);
}

#[test]
fn outside_things_in_other_rooms_are_found() {
    let cases = [
        ("git2::Repository::open()", "git2::Repository::open", "git"),
        ("reqwest::get()", "reqwest::get", "provider, forge"),
        ("std::process::Command::new()", "std::process::Command::new", "sandbox"),
        ("tokio::process::Command::new()", "tokio::process::Command::new", "sandbox"),
        ("petgraph::dot()", "petgraph::dot", "graph"),
        ("serde_yaml::from_str()", "serde_yaml::from_str", "settings"),
        ("toml::from_str()", "toml::from_str", "settings"),
        ("tree_sitter::Parser::new()", "tree_sitter::Parser::new", "code, guard"),
        ("axum::serve()", "axum::serve", "daemon"),
        ("indicatif::term()", "indicatif::term", "ui"),
        ("println!()", "println!", "ui, cli"),
        ("eprint!()", "eprint!", "ui, cli"),
    ];
    for (code, thing, rooms) in cases {
        let fault = format!("src/agent/a.rs:1: {thing} outside {rooms}");
        finds(rules::outside, "src/agent/a.rs", &format!("fn f() {{ {code}; }}"), &[&fault]);
        let room = rooms.split(", ").next().expect("a room");
        finds(rules::outside, &format!("src/{room}/a.rs"), &format!("fn f() {{ {code}; }}"), &[]);
    }
}

#[test]
fn outside_things_are_found_behind_imports_and_own_modules_are_not_taken_for_them() {
    let import = "use std::{process::{self, Command}};\nfn f() { Command::new(); process::id(); }";
    let faults = [
        "src/agent/a.rs:1: std::process::Command outside sandbox",
        "src/agent/a.rs:2: std::process::Command::new outside sandbox",
    ];
    finds(rules::outside, "src/agent/a.rs", import, &faults);
    let module = "use std::process::{self};\nfn f() { process::Command::new(); process::abort(); }";
    finds(
        rules::outside,
        "src/agent/a.rs",
        module,
        &["src/agent/a.rs:2: std::process::Command::new outside sandbox"],
    );
    let own = "use crate::settings::toml;\nfn f() { toml::from_str(); clap::Command::new(); }";
    finds(rules::outside, "src/graph/a.rs", own, &[]);
}

#[test]
fn effects_in_pure_files_are_found() {
    let cases = [
        "tokio::spawn",
        "std::fs::read",
        "std::process::id",
        "std::env::var",
        "std::time::Instant::now",
        "std::time::SystemTime::now",
    ];
    for path in [
        "src/verify/verdict.rs",
        "src/guard/checks/git.rs",
        "src/coordinator/plan.rs",
        "src/graph/ready.rs",
    ] {
        for effect in cases {
            let fault = format!("{path}:1: {effect} in a pure file");
            finds(rules::purity, path, &format!("fn f() {{ {effect}(); }}"), &[&fault]);
        }
    }
    let import = "use std::{fs, time::{Duration, Instant}};";
    let faults = [
        "src/merge/queue.rs:1: std::fs in a pure file",
        "src/merge/queue.rs:1: std::time::Instant in a pure file",
    ];
    finds(rules::purity, "src/merge/queue.rs", import, &faults);
    finds(rules::purity, "src/merge/land.rs", import, &[]);
    finds(rules::purity, "src/coordinator/planner.rs", import, &[]);
}

#[test]
fn long_files_and_functions_are_found() {
    let lines = "\n".repeat(501);
    finds(rules::sizes, "src/git/a.rs", &lines, &["src/git/a.rs:501: more than 500 lines"]);
    finds(rules::sizes, "src/git/a.rs", &"\n".repeat(500), &[]);
    let long = format!("struct A;\nfn f(a: [u8; 2]) -> u8 {{{}}}\nfn g() {{}}\n", "\n".repeat(60));
    finds(rules::sizes, "src/git/a.rs", &long, &["src/git/a.rs:2: f has 61 lines, more than 60"]);
    let test = format!("#[test]\nfn f() {{{}}}\n", "\n".repeat(99));
    finds(rules::sizes, "src/git/a.rs", &test, &[]);
}

#[test]
fn broken_habits_are_found() {
    finds(rules::habits, "src/git/a.rs", "fn f() {}", &["src/git/a.rs:1: no `//!` head"]);
    let panics = "//! A.\nfn f() { a.unwrap(); b.unwrap_or(1); c.expect(\"x\"); }\n\
                  #[cfg(test)]\nmod tests { fn g() { a.unwrap(); } }";
    finds(rules::habits, "src/git/a.rs", panics, &["src/git/a.rs:2: unwrap() outside tests"]);
    let wild = "//! A.\nfn f() { unsafe { x() } }\n// unsafe is a word here.\n";
    finds(rules::habits, "src/git/a.rs", wild, &["src/git/a.rs:2: unsafe"]);
    for word in rules::UNDONE {
        let undone = format!("//! A.\n// {word}: more\nconst A: &str = \"{word}\";\n// {word}S\n");
        let faults = [format!("src/git/a.rs:2: {word}"), format!("src/git/a.rs:3: {word}")];
        finds(rules::habits, "src/git/a.rs", &undone, &faults.each_ref().map(String::as_str));
    }
}

#[test]
fn forgotten_test_files_and_dependencies_are_counted() {
    let files = ["main", "a", "b"].map(str::to_owned);
    assert_eq!(forgotten("mod a;\n// mod b;\n", &files), ["b"]);
    assert_eq!(locked("[[package]]\nname = \"[[package]]\"\n[[package]]\n"), 2);
    let manifest = "[dependencies]\na = \"1\"\nb = { package = \"c\", version = \"1\" }\n\
                    [target.'cfg(unix)'.dependencies]\nd = \"1\"\n[dev-dependencies]\ne = \"1\"\n";
    let names: Vec<_> = direct(manifest).into_values().collect();
    assert_eq!(names, ["a", "c", "d", "e"]);
}
