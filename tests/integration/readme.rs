//! What the README says is true: its commands parse, its pictures and tables are the program's.

use std::collections::BTreeSet;

use grafter::{
    fleet::tasks::{self, Form},
    graph::load,
    protocol::{
        event::What,
        ids::Oid,
        report::{Grade, RunEnd},
    },
    provider::known,
    tools::catalogue::catalogue,
};

use crate::env::Env;

const README: &str = include_str!("../../README.md");

/// Returns the texts of the fenced blocks in a language.
fn blocks(language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = README.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if name == language {
            found.push(block.join("\n") + "\n");
        }
    }
    found
}

/// Returns the rows of the table whose first column has this title, without the title.
fn table(title: &str) -> Vec<Vec<String>> {
    let head = format!("| {title} |");
    let from = README.lines().skip_while(|line| !line.starts_with(&head));
    let rows = from.take_while(|line| line.starts_with('|')).skip(2);
    let cells = |row: &str| row.split('|').map(|cell| cell.trim().to_owned()).collect();
    let rows: Vec<Vec<String>> = rows.map(cells).collect();
    assert!(!rows.is_empty(), "no table begins with {title}");
    rows
}

/// Returns the words in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Splits a line as a shell would, as far as the README's lines need it.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, '|' | '>') => words.push(c.to_string()),
            (None, ' ') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Returns the arguments of every call of grafter in the shell blocks.
fn commands() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for line in blocks("sh").iter().flat_map(|block| block.lines().map(words)) {
        let calls = line.split(|word| word == "|" || word == ">");
        found.extend(
            calls
                .filter(|call| call.first().is_some_and(|word| word == "grafter"))
                .map(|call| call[1..].to_vec()),
        );
    }
    found
}

#[test]
fn every_grafter_command_is_understood() {
    let env = Env::new();
    let commands = commands();
    assert!(commands.len() > 20, "the blocks were not found");
    for command in commands {
        // Arguments are read before the last one asks for help, so a wrong one is refused.
        let output = env.grafter(command.iter().map(String::as_str).chain(["--help"])).ok();
        assert!(output.stdout.contains("Usage: grafter"), "{command:?}");
    }
    env.grafter(["run", "--no-such-flag", "--help"]).code(2);
}

#[test]
fn backlogs_can_be_read() {
    let backlogs = blocks("yml");
    assert!(!backlogs.is_empty(), "the block was not found");
    for text in backlogs {
        tasks::read("README.md", &text, Form::Yaml).expect("a backlog");
    }
}

#[test]
fn commands_that_need_no_run_do_what_they_say() {
    let env = Env::new();
    for workflow in blocks("yaml") {
        let name = workflow.lines().find_map(|line| line.strip_prefix("name: "));
        let file = format!("{}.yaml", name.expect("a workflow has a name"));
        env.write(&file, &workflow);
        env.grafter(["workflow", "check", &file]).ok();
    }
    env.commit("start");
    for command in commands() {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        if matches!(words[0], "workflow" | "prompt" | "tools" | "models" | "completions") {
            env.grafter(&words).ok();
        }
    }
}

#[test]
fn the_picture_is_the_shipped_workflow() {
    let env = Env::new();
    let shown = env.grafter(["workflow", "show", "resolve", "--format", "mermaid"]).ok().stdout;
    assert_eq!(blocks("mermaid"), [shown]);
}

#[test]
fn exit_codes_are_the_programs() {
    let rows = table("exit code");
    let listed: Vec<String> = rows.iter().map(|row| format!("{} {}", row[1], row[2])).collect();
    let help = Env::new().grafter(["--help"]).ok().stdout;
    let codes = help.split("Exit codes:").nth(1).expect("help lists them").trim_end_matches(".\n");
    let told: Vec<String> = codes
        .split(',')
        .map(|code| code.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(listed, told);

    let landed =
        RunEnd::Landed { commit: Oid::new("c"), branch: String::new(), grade: Grade::Fixed };
    let ends = [
        landed,
        RunEnd::NotResolved(String::new()),
        RunEnd::Refused(String::new()),
        RunEnd::Budget(String::new()),
        RunEnd::Conflict(String::new()),
        RunEnd::Infrastructure(String::new()),
        RunEnd::Interrupted,
    ];
    let mut wanted: Vec<String> = ends.iter().map(|end| end.exit_code().to_string()).collect();
    // A run that was never started ends with 2.
    wanted.insert(2, "2".to_owned());
    assert_eq!(rows.iter().map(|row| row[1].clone()).collect::<Vec<_>>(), wanted);
}

#[test]
fn evidence_words_are_the_programs() {
    let grades = [Grade::Fixed, Grade::NoRegression, Grade::ReviewedOnly, Grade::Unverified];
    let listed: Vec<String> = table("word").into_iter().map(|row| row[1].clone()).collect();
    assert_eq!(listed, grades.map(Grade::words));
}

#[test]
fn event_kinds_are_the_programs() {
    let rows = table("kinds");
    let listed: BTreeSet<&str> = rows.iter().flat_map(|row| quoted(&row[1])).collect();
    let unknown = serde_json::from_str::<What>(r#"{"kind":"?","body":null}"#);
    let message = unknown.expect_err("no such kind").to_string();
    let known: BTreeSet<&str> = quoted(&message).filter(|kind| *kind != "?").collect();
    assert!(known.contains("run_started"), "{message}");
    assert_eq!(listed, known);
}

#[test]
fn provider_settings_are_the_programs() {
    let defaults = serde_json::to_value(known::Options::default()).expect("plain data");
    let mut wanted: Vec<String> = defaults
        .as_object()
        .expect("a table")
        .iter()
        .map(|(key, value)| format!("`{key}` `{value}`"))
        .collect();
    let section = README.split("`[providers]`, where").nth(1).expect("its section");
    let rows = section.lines().skip_while(|line| !line.starts_with("| key")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let mut listed: Vec<String> = rows
        .map(|row| row.split('|').map(str::trim).collect::<Vec<_>>())
        .map(|cells| format!("{} {}", cells[1], cells[2]))
        .collect();
    wanted.sort();
    listed.sort();
    assert_eq!(listed, wanted);
}

#[test]
fn the_example_configuration_is_accepted() {
    let env = Env::new();
    std::fs::create_dir_all(env.root().join("config/grafter")).expect("a new folder");
    let [models, workers, rules] = &blocks("toml")[..] else {
        panic!("three configurations are shown");
    };
    let config = format!("{models}\n{workers}\n{rules}");
    std::fs::write(env.root().join("config/grafter/config.toml"), config).expect("a new file");
    let explained = env.grafter(["policy", "explain", "cargo test -q"]).ok().stdout;
    assert!(explained.contains("default      run"), "{explained}");
    let models = env.grafter(["models"]).ok().stdout;
    for text in
        ["lab ", "LAB_API_KEY is not set", "big-coder*", "$0.40 in, $0.10 cached, $1.60 out"]
    {
        assert!(models.contains(text), "{text} is missing in\n{models}");
    }
    let workers = env.grafter(["workers"]).ok().stdout;
    for text in ["claude", "OPENAI_API_KEY (not set), 127.0.0.1:8080", "cannot grant `~/.my-agent`"]
    {
        assert!(workers.contains(text), "{text} is missing in\n{workers}");
    }
    env.write("a", "a");
    env.commit("start");
    let refused = env.grafter(["run", "x"]).code(2);
    assert!(refused.stderr.contains("LAB_API_KEY"), "{}", refused.stderr);
}

#[test]
fn node_keys_are_the_programs() {
    let text = "name: x\nversion: 1\nnodes:\n  - id: a\n    phase: research\n    wrong: 1\n";
    let message = load::load("x.yaml", text, catalogue()).expect_err("no such key").to_string();
    let known = message.split("(known: ").nth(1).and_then(|rest| rest.split(')').next());
    let known: BTreeSet<&str> = known.unwrap_or_default().split(", ").collect();
    let rows = table("key of a node");
    let listed: BTreeSet<&str> = rows.iter().flat_map(|row| quoted(&row[1])).collect();
    assert_eq!(listed, known, "{message}");
}

#[test]
fn files_it_names_are_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for link in README.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(root.join(link).is_file(), "{link}");
    }
    for words in blocks("sh").iter().flat_map(|block| block.lines().map(words)) {
        if let Some(at) = words.iter().position(|word| word == "--example") {
            let name = format!("examples/{}.rs", words[at + 1]);
            assert!(root.join(&name).is_file(), "{name}");
        }
    }
}
