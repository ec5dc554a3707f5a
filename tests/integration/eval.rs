//! Evaluations: graded by hidden tests, written in the official form, gone on with, compared.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::env::Env;

const TEST: &str = "for f in a b; do if grep -q right $f.txt; then echo PASSED t::$f; else echo FAILED \
                    t::$f; bad=1; fi; done; test -f hidden.txt && echo PASSED t::hidden; exit ${bad:-0}";
const GOLD: &str =
    "diff --git a/a.txt b/a.txt\n--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-wrong\n+right\n";
const HIDDEN: &str = "diff --git a/hidden.txt b/hidden.txt\nnew file mode 100644\n--- /dev/null\n+++ \
                      b/hidden.txt\n@@ -0,0 +1 @@\n+the hidden test\n";

struct World {
    env: Env,
    base: String,
}

/// A repository with history after the base commit, in the folder that the mirrors are taken from.
fn world() -> World {
    let env = Env::new();
    env.write("a.txt", "wrong\n");
    env.write("b.txt", "right\n");
    env.commit("start");
    let base = env.git(["rev-parse", "HEAD"]);
    env.write("a.txt", "right\n");
    env.commit("the mending commit");
    World { env, base }
}

impl World {
    fn row(&self, id: &str) -> Value {
        json!({
            "instance_id": id, "repo": "grafter/repo", "base_commit": self.base, "patch": GOLD,
            "test_patch": HIDDEN, "problem_statement": "a.txt is wrong",
            "FAIL_TO_PASS": "[\"t::a\"]", "PASS_TO_PASS": ["t::b", "t::hidden"],
            "test_command": TEST, "log_parser": "parse_log_pytest",
        })
    }

    fn dataset(&self, rows: &[Value]) -> PathBuf {
        let path = self.env.root().join("dataset.jsonl");
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        fs::write(&path, lines.join("\n")).expect("a file");
        path
    }

    fn args(&self, out: &str, more: &[&str]) -> Vec<String> {
        let root = self.env.root().display().to_string();
        let words = ["eval", "run", "--dataset", "dataset.jsonl", "--repos", &root, "--out", out];
        words.iter().chain(more).map(|word| (*word).to_owned()).collect()
    }

    fn run(&self, out: &str, more: &[&str]) -> String {
        self.env.grafter(self.args(out, more)).dir(".").ok().text()
    }

    fn json(&self, path: &str) -> Value {
        let text = fs::read_to_string(self.env.root().join(path)).expect("a file of the run");
        serde_json::from_str(&text).expect("JSON")
    }
}

#[test]
fn gold_is_resolved_and_no_patch_is_none() {
    let world = world();
    world.dataset(&[world.row("one-1"), world.row("one-2")]);
    let said = world.run("gold", &["--model", "gold", "--workers", "2"]);
    assert!(said.contains("resolved 2 of 2 (95 % interval 34 to 100 %)"), "{said}");
    let folder = "gold/logs/run_evaluation/grafter/gold/one-1";
    let report = &world.json(&format!("{folder}/report.json"))["one-1"];
    assert_eq!(report["resolved"], true);
    assert_eq!(report["tests_status"]["PASS_TO_PASS"]["success"], json!(["t::b", "t::hidden"]));
    let whole = world.json("gold/gold.grafter.json");
    assert_eq!((&whole["resolved_instances"], &whole["schema_version"]), (&json!(2), &json!(2)));
    let lines = fs::read_to_string(world.env.root().join("gold/predictions.jsonl")).expect("lines");
    let first: Value = serde_json::from_str(lines.lines().next().expect("a line")).expect("JSON");
    assert_eq!(
        (&first["model_patch"], &first["model_name_or_path"]),
        (&json!(GOLD), &json!("gold"))
    );
    let said = world.run("empty", &["--model", "empty"]);
    assert!(said.contains("resolved 0 of 2"), "{said}");
    let said = world.env.grafter(["eval", "compare", "gold", "empty"]).dir(".").ok().stdout;
    assert!(said.contains("is not significant (p = 0.50)"), "{said}");
    assert!(world.env.grafter(["eval", "show", "gold"]).dir(".").ok().stdout.contains("one-2"));
}

#[test]
fn what_has_a_result_is_not_worked_again_unless_its_row_or_patch_changed() {
    let world = world();
    world.dataset(&[world.row("one-1"), world.row("one-2")]);
    world.run("out", &["--model", "gold"]);
    let known = |said: &str| said.matches("(known)").count();
    assert_eq!(known(&world.run("out", &["--model", "gold"])), 2);
    let mut other = world.row("one-2");
    other["patch"] = json!(GOLD.replace("+right", "+rightly"));
    world.dataset(&[world.row("one-1"), other]);
    assert_eq!(known(&world.run("out", &["--model", "gold"])), 1);
    let patch = world.env.root().join("out/logs/run_evaluation/grafter/gold/one-1/patch.diff");
    fs::write(patch, "something else").expect("a file");
    assert_eq!(known(&world.run("out", &["--model", "gold"])), 1, "its patch was exchanged");
    assert_eq!(known(&world.run("out", &["--model", "empty"])), 0, "another solver's result");
}

#[test]
fn what_a_worker_can_reach_holds_neither_the_mending_commit_nor_the_hidden_test() {
    let world = world();
    world.dataset(&[world.row("one-1")]);
    let dataset = world.env.root().join("dataset.jsonl").display().to_string();
    let script = format!(
        "{{ git log --all --format=%s; git rev-list --all --objects; cat {dataset}; ls ..; env; \
         grep -rl hidden . ..; }} > found.txt 2>&1; echo right > a.txt"
    );
    let config = format!(
        "[workers.spy]\ncommand = ['sh', '-c', '''{script}''', 'spy', '{{prompt_file}}']\n"
    );
    fs::create_dir_all(world.env.root().join("config/grafter")).expect("a folder");
    fs::write(world.env.root().join("config/grafter/config.toml"), config).expect("a file");
    let more = ["--worker", "spy", "--workflow", "solo", "--test-command", TEST];
    let said = world.run("spy", &more);
    assert!(said.contains("resolved 1 of 1"), "{said}");
    let patch =
        world.env.root().join("spy/logs/run_evaluation/grafter/grafter-solo-spy/one-1/patch.diff");
    let found = fs::read_to_string(patch).expect("a patch");
    assert!(found.contains("start"), "it saw the base commit: {found}");
    for secret in ["the mending commit", "the hidden test", "FAIL_TO_PASS"] {
        assert!(!found.contains(secret), "{secret}: {found}");
    }
}

#[test]
fn what_is_wrong_with_a_dataset_or_a_machine_is_said_apart() {
    let world = world();
    let refused = |rows: &[Value]| {
        world.dataset(rows);
        world.env.grafter(world.args("x", &["--model", "gold"])).dir(".").code(2).stderr
    };
    let mut row = world.row("one-1");
    row.as_object_mut().expect("an object").remove("repo");
    assert!(refused(&[row]).contains("row 1 (one-1): missing field `repo`"));
    assert!(refused(&[world.row("a"), world.row("a")]).contains("a is there already"));
    let (mut commit, mut patch, mut mirror) = (world.row("c"), world.row("p"), world.row("m"));
    commit["base_commit"] = json!("1".repeat(40));
    patch["patch"] = json!(GOLD.replace("-wrong", "-other"));
    mirror["repo"] = json!("nobody/nothing");
    world.dataset(&[commit, patch, mirror, world.row("one-1")]);
    let said = world.run("out", &["--model", "gold"]);
    let mut outcomes = Vec::new();
    for id in ["c", "p", "m", "one-1"] {
        outcomes.push(world.json(&format!("out/instances/{id}.json"))["outcome"].clone());
    }
    let repository = json!({"infra": "repository"});
    assert_eq!(outcomes, [repository.clone(), json!("apply_error"), repository, json!("resolved")]);
    assert!(said.contains("No evidence: the machine failed in 2 of 4"), "{said}");
}

#[test]
fn tests_that_hang_or_flood_fail_the_instance_and_nothing_else() {
    let world = world();
    let (mut hangs, mut floods) = (world.row("hangs"), world.row("floods"));
    hangs["test_command"] = json!("echo PASSED t::a; sleep 600");
    floods["test_command"] =
        json!("head -c 60000000 /dev/zero | tr '\\0' x; echo; echo PASSED t::a");
    world.dataset(&[hangs, floods, world.row("one-1")]);
    let said = world.run("out", &["--model", "gold", "--test-timeout", "2"]);
    assert!(said.contains("hangs: failed"), "{said}");
    assert!(said.contains("the tests did not end in time"), "{said}");
    assert!(said.contains("floods: failed") && said.contains("one-1: resolved"), "{said}");
}
