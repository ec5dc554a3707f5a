//! `grafter review`: parallel critics of a branch, one report, nothing lands.

use serde_json::{Value, json};

use crate::env::Env;

/// A branch that changes one of two files, while `main` goes on with the other.
fn branched() -> Env {
    let env = Env::new();
    env.write("a.txt", "one\ntwo\n");
    env.write("b.txt", "b\n");
    env.commit("start");
    env.git(["checkout", "-q", "-b", "feature"]);
    env.write("a.txt", "one\n2\n");
    env.commit("two is a number");
    env.git(["checkout", "-q", "main"]);
    env.write("b.txt", "meanwhile\n");
    env.commit("main goes on");
    env
}

fn entry(place: Value, turn: u32, calls: &[(&str, Value)]) -> Value {
    let calls: Vec<_> =
        calls.iter().map(|(name, input)| json!({ "name": name, "input": input })).collect();
    let mut entry = place;
    entry["turn"] = json!(turn);
    entry["reply"] = json!({ "calls": calls });
    entry
}

/// Each critic has its own claim; the editor reads what they stand on before it uses them.
fn script() -> String {
    let lines = json!([{ "path": "a.txt", "from": 2, "to": 2 }]);
    let read = ("read", json!({ "path": "a.txt" }));
    let claims = [
        "the second line is no longer a word, which the reader of words rejects",
        "nothing calls this file",
        "there is no input from outside here",
        "no test sees line two",
    ];
    let mut entries = Vec::new();
    for (index, claim) in claims.iter().enumerate() {
        let place = || json!({ "node": "look", "index": index });
        let report = ("report_finding", json!({ "claim": claim, "evidence": lines }));
        let finish = ("finish", json!({ "status": "succeeded", "summary": "looked at a.txt" }));
        entries.push(entry(place(), 0, &[read.clone(), report]));
        entries.push(entry(place(), 1, &[finish]));
    }
    let editor = || json!({ "node": "report" });
    entries.push(entry(editor(), 0, std::slice::from_ref(&read)));
    let used = |index: usize| json!({ "id": format!("look.{index}#1"), "use": "used", "reason": "line two says so" });
    let decided = json!({
        "status": "succeeded",
        "summary": "weighed four findings",
        "carry": { "report": "Not yet.\n\n- a.txt:2: `2` stands where a word is due.\n  Write `two`." },
        "findings_used": [used(0), used(1), used(2), used(3)],
        "evidence": lines,
    });
    entries.push(entry(editor(), 1, &[("finish", decided)]));
    json!({ "entries": entries }).to_string()
}

#[test]
fn a_branch_is_reviewed_in_one_report_that_is_printed_and_kept_and_nothing_lands() {
    let env = branched();
    let before = env.fingerprint();
    let refs = || env.git(["for-each-ref", "refs/heads"]);
    let heads = refs();
    let output = env.grafter(["review", "feature"]).script(&script()).code(0);
    for line in ["reported", "Report", "  Not yet.", "    Write `two`."] {
        assert!(output.stdout.contains(line), "{line} is not in {}", output.text());
    }
    assert_eq!((env.fingerprint(), refs()), (before, heads));
    let again = env.grafter(["status", "latest"]).ok().stdout;
    assert!(again.contains("  Not yet."), "{again}");
    let json = env.grafter(["status", "latest", "--json"]).ok().stdout;
    assert!(json.contains("\"report\":\"Not yet."), "{json}");
    env.grafter(["resume"]).code(2);
}

#[test]
fn reviewers_see_what_the_branch_changed_and_not_what_went_on_elsewhere() {
    let env = branched();
    for words in [&["feature"][..], &["main..feature"], &["feature", "--since", "main"]] {
        let args = [&["review", "--fresh", "--output", "json"], words].concat();
        let output = env.grafter(args).script(&script()).code(0);
        let shown = env.grafter(["logs", "latest", "--json"]).ok().stdout;
        assert!(output.stdout.contains("Not yet."), "{}", output.text());
        assert!(!shown.contains("meanwhile"), "a change of main is shown");
    }
    let nothing = env.grafter(["review", "main", "--since", "main"]).script(&script()).code(2);
    assert!(nothing.stderr.contains("nothing has changed since main"), "{}", nothing.text());
    let unknown = env.grafter(["review", "nowhere"]).script(&script()).code(2);
    assert!(unknown.stderr.contains("nowhere"), "{}", unknown.text());
}
