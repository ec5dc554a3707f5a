//! The proof at the end of a run: what was left alone, stopped, asked and reached.

use std::fs;

use grafter::{journal::runs::RunDir, protocol::event::What};
use serde_json::{Value, json};

use crate::{env::Env, solo, story::Story};

/// Returns the `audit` of the newest run, as programs get it.
fn audit(env: &Env) -> Value {
    let status = env.grafter(["status", "latest", "--json"]).ok().stdout;
    let run: Value = serde_json::from_str(&status).expect("JSON");
    run["audit"].clone()
}

#[test]
fn a_run_proves_that_it_left_the_users_side_alone() {
    let story = Story::new();
    let output = story.run().ok();
    story.is_whole();
    assert!(
        output.stdout.contains("\nSafety\n  outside   0 changed of 3 files, "),
        "{}",
        output.stdout
    );
    let audit = audit(&story.env);
    let outside = &audit["outside"];
    assert_eq!(outside["changed"], json!([]));
    assert_eq!(outside["unseen"], json!([]));
    // It landed on a branch that is not checked out, which is all that differs.
    assert_ne!(outside["before"], outside["after"]);
    assert!(audit["sandbox"].as_object().is_some_and(|places| !places.is_empty()), "{audit}");
    let kinds = story.kinds();
    assert_eq!(kinds[kinds.len() - 2..], ["audited", "run_finished"]);
}

#[test]
fn a_landing_on_the_checked_out_branch_is_no_change_from_outside() {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.commit("start");
    let script = solo::Story::new().write("b.txt", "b\n").finish();
    let flags = ["run", "do it", "--workflow", "solo", "--verify", "true", "--into", "main"];
    env.grafter(flags).script(&script).ok();
    assert_eq!(fs::read_to_string(env.path("b.txt")).expect("it landed"), "b\n");
    assert_eq!(audit(&env)["outside"]["changed"], json!([]));
}

#[test]
fn what_somebody_else_changes_meanwhile_is_named() {
    let story = Story::new();
    let running = story.gated(&["--into", "fixed"]).start();
    story.wait_until(|events| events.iter().any(|e| matches!(e.what, What::PlaceReady { .. })));
    story.env.write("b.txt", "mine\n");
    story.env.git(["tag", "mine"]);
    story.env.git(["config", "user.nick", "me"]);
    story.open_gate();
    let output = running.finish();
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    let changed = &audit(&story.env)["outside"]["changed"];
    assert_eq!(*changed, json!(["config", "file b.txt", "ref refs/tags/mine"]));
    let said = "3 changed, by whom cannot be told: config, file b.txt, ref refs/tags/mine";
    assert!(output.stdout.contains(said), "{}", output.stdout);
}

#[test]
fn denials_are_counted_by_rule() {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.commit("start");
    let script = solo::Story::new()
        .bash("cat ~/.ssh/id_rsa")
        .bash("./run.sh")
        .write(".git/config", "x\n")
        .call("launch_missiles", json!({}))
        .call("land", json!({}))
        .call("report_finding", json!({ "claim": "x", "evidence": [] }))
        .write("b.txt", "b\n")
        .finish();
    let flags = ["run", "do it", "--workflow", "solo", "--verify", "true"];
    let output = env.grafter(flags).script(&script).ok();
    let denied = audit(&env)["denied"].clone();
    let counts = json!({
        "E_NOT_ALLOWED": 1, "E_NO_APPROVAL": 1, "E_PROTECTED": 1, "E_UNKNOWN_TOOL": 2, "K11": 1
    });
    assert_eq!(denied, counts);
    let said = "  denied    E_NOT_ALLOWED ×1, E_NO_APPROVAL ×1, E_PROTECTED ×1, E_UNKNOWN_TOOL ×2, \
                K11 ×1";
    assert!(output.stdout.contains(said), "{}", output.stdout);
}

#[test]
fn a_signed_run_is_proved_and_a_forged_one_is_found() {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.commit("start");
    let script = solo::Story::new().write("b.txt", "b\n").finish();
    let flags = ["run", "do it", "--workflow", "solo", "--verify", "true", "--fresh"];
    let signed = || env.grafter(flags.into_iter().chain(["--sign"])).script(&script);
    // Without a key nothing begins.
    let said = signed().code(2).stderr;
    assert!(said.contains("grafter journal key"), "{said}");
    assert!(env.grafter(["status"]).ok().stdout.contains("no runs yet"));
    let key = env.grafter(["journal", "key"]).ok().stdout.trim().to_owned();
    assert_eq!(env.grafter(["journal", "key"]).ok().stdout.trim(), key, "it is made once");
    env.grafter(flags).script(&script).ok();
    assert!(env.grafter(["journal", "verify"]).ok().stdout.ends_with("it is not signed\n"));
    let said = env.grafter(["journal", "verify", "--key", &key]).code(6).stderr;
    assert!(said.contains("is not signed"), "{said}");
    signed().ok();
    for flags in [&[][..], &["--key", &key]] {
        let said = env.grafter(["journal", "verify", "latest"].iter().chain(flags)).ok().stdout;
        let proof = format!("signed by {key}, from the first record to the end of the run\n");
        assert!(said.ends_with(&proof), "{said}");
    }
    let run = RunDir::list(&env.path(".git/grafter")).expect("the runs").swap_remove(0).path;
    // Its end cut off together with its signatures: the chain still holds.
    let journal = fs::read_to_string(run.join("journal.jsonl")).expect("a journal");
    let lines: Vec<&str> = journal.split_inclusive('\n').collect();
    fs::write(run.join("journal.jsonl"), lines[..lines.len() - 1].concat()).expect("written");
    let said = env.grafter(["journal", "verify"]).code(6).stderr;
    assert!(said.contains("was signed and is gone: the journal was cut off"), "{said}");
    fs::remove_file(run.join("signatures.jsonl")).expect("they are there");
    env.grafter(["journal", "verify"]).ok();
    env.grafter(["journal", "verify", "--key", &key]).code(6);
}

#[test]
fn a_run_that_is_taken_up_again_signs_on() {
    let story = Story::new();
    let key = story.grafter(&["journal", "key"]).ok().stdout.trim().to_owned();
    story.run_capped(&["--max-turns", "2", "--sign"]).code(4);
    story.grafter(&["resume", "--max-turns", "50"]).ok();
    story.is_whole();
    let said = story.grafter(&["journal", "verify", "--key", &key]).ok().stdout;
    assert!(said.contains("from the first record to the end"), "{said}");
}

#[test]
fn terms_that_stay_inside_stop_the_commit_with_file_and_line() {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.commit("start");
    let folder = env.root().join("config/grafter");
    fs::create_dir_all(&folder).expect("a folder");
    let settings = |text: &str| fs::write(folder.join("config.toml"), text).expect("a new file");
    settings("[guard]\nredact = [\"Blue Falcon\"]\n");
    let script = solo::Story::new().write("CHANGELOG.md", "x\nblue_falcon\n").finish();
    let run = |more: &'static [&str]| {
        let flags = ["run", "do it", "--workflow", "solo", "--verify", "true", "--fresh"];
        env.grafter(flags.into_iter().chain(more.iter().copied())).script(&script)
    };
    let output = run(&[]).code(3);
    assert!(
        output.text().contains("term 1 at CHANGELOG.md:2, so no branch holds it"),
        "{}",
        output.text()
    );
    let branches = env.git(["for-each-ref", "--format=%(refname)", "refs/heads"]);
    let tips = env.git(["log", "--all", "--format=%s", "--branches", "--", "CHANGELOG.md"]);
    assert!(!branches.contains("landed"), "{branches}");
    assert!(!tips.contains("do it"), "no branch holds it: {tips}");
    // The user calls the only remote private and goes on; the trailer stays.
    env.git(["remote", "add", "origin", "git@git.corp.example:a/b"]);
    settings("[guard]\nredact = [\"Blue Falcon\"]\nprivate = [\"git.corp.example\"]\n");
    env.grafter(["resume"]).ok();
    let landed = env.git(["log", "-1", "--format=%B", "--glob=refs/heads/grafter/*/landed"]);
    assert!(landed.contains("Assisted-by: grafter"), "{landed}");
}
