//! What each role must hand in, and how far it can be walked around.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn missing(contract: &Contract, done: Done<'_>, input: &FinishInput) -> Vec<String> {
    super::missing(Words::shipped(), contract, (done, input))
}

const NOTHING: Done<'_> = Done { findings: &[], read: &[], changed: false };

fn contract(phase: Phase) -> Contract {
    Contract { phase, gives: BTreeMap::new(), findings: Vec::new(), continues: false }
}

fn finish(input: Value) -> FinishInput {
    serde_json::from_value(input).unwrap()
}

fn done() -> FinishInput {
    finish(json!({ "status": "succeeded", "summary": "done" }))
}

fn at(path: &str, from: u32, to: u32) -> Evidence {
    Evidence { path: path.into(), from, to }
}

fn finding(id: &str, claim: &str, evidence: Evidence) -> Finding {
    Finding { id: id.into(), claim: claim.into(), evidence: vec![evidence] }
}

#[test]
fn research_needs_a_finding_or_the_word_failed() {
    let contract = contract(Phase::Research);
    assert!(missing(&contract, NOTHING, &done())[0].contains("no finding was reported"));
    let failed = finish(json!({ "status": "failed", "summary": "nothing there" }));
    assert_eq!(missing(&contract, NOTHING, &failed), Vec::<String>::new());
    let findings = [finding("r#1", "it is so", at("a.py", 1, 2))];
    let done_some = Done { findings: &findings, ..NOTHING };
    assert_eq!(missing(&contract, done_some, &done()), Vec::<String>::new());
}

#[test]
fn a_writer_that_changed_nothing_is_not_done() {
    let contract = contract(Phase::Implementation);
    assert!(missing(&contract, NOTHING, &done())[0].starts_with("nothing changed"));
    let changed = Done { changed: true, ..NOTHING };
    assert_eq!(missing(&contract, changed, &done()), Vec::<String>::new());
}

#[test]
fn a_review_needs_a_verdict_and_a_failing_one_says_what_to_mend() {
    let contract = contract(Phase::Verification);
    let say = |verdict: &str, must_fix: Value| {
        let input = json!({ "status": "succeeded", "summary": "s", "verdict": verdict,
            "must_fix": must_fix });
        missing(&contract, NOTHING, &finish(input)).len()
    };
    assert_eq!(missing(&contract, NOTHING, &done()).len(), 1);
    assert_eq!(say("pass", json!([])), 0);
    assert_eq!(say("fail", json!([])), 1);
    assert_eq!(say("fail", json!(["the off-by-one in mean"])), 0);
    assert_eq!(say("pass", json!(["the off-by-one in mean"])), 1);
}

#[test]
fn a_synthesis_cites_what_it_has_itself_read() {
    let mut contract = contract(Phase::Synthesis);
    contract.findings = vec![
        finding("r.0#1", "the mean divides by a rounded length", at("mean.py", 10, 12)),
        finding("r.1#1", "tests lack the even case", at("test_mean.py", 3, 9)),
    ];
    let weigh = |used: Value, read: &[Evidence]| {
        let input = json!({ "status": "succeeded", "summary": "divide exactly",
            "findings_used": used });
        missing(&contract, Done { read, ..NOTHING }, &finish(input))
    };
    let both = json!([{ "id": "r.0#1", "use": "used", "reason": "the cause" },
        { "id": "r.1#1", "use": "rejected", "reason": "not asked for" }]);
    insta::assert_snapshot!(weigh(json!([]), &[]).join("\n"), @"
    finding `r.0#1` is not weighed; add it to `findings_used` with `use` (used, merged or rejected) and a `reason`
    finding `r.1#1` is not weighed; add it to `findings_used` with `use` (used, merged or rejected) and a `reason`
    ");
    insta::assert_snapshot!(weigh(both.clone(), &[at("mean.py", 13, 20)]).join("\n"), @"finding `r.0#1` is used, but you have not read its evidence yourself: read mean.py:10-12 first");
    assert_eq!(weigh(both, &[at("mean.py", 12, 20), at("mean.py", 1, 11)]), Vec::<String>::new());
    let foreign = json!([{ "id": "r.0#1", "use": "rejected", "reason": "" },
        { "id": "r.1#1", "use": "rejected", "reason": "no" },
        { "id": "r.9#1", "use": "used", "reason": "there is no such finding" }]);
    insta::assert_snapshot!(weigh(foreign, &[]).join("\n"), @"`findings_used` gives no `reason` for finding `r.0#1`");
}

#[test]
fn one_line_of_the_evidence_was_enough_to_count_as_read() {
    let mut contract = contract(Phase::Synthesis);
    contract.findings = vec![finding("r#1", "c", at("a.py", 10, 20))];
    let input = finish(json!({ "status": "succeeded", "summary": "s",
        "findings_used": [{ "id": "r#1", "use": "used", "reason": "why" }] }));
    let told = |read: &[Evidence]| missing(&contract, Done { read, ..NOTHING }, &input).len();
    assert_eq!(told(&[at("a.py", 20, 20)]), 1);
    assert_eq!(told(&[at("a.py", 15, 20), at("a.py", 1, 13)]), 1, "line 14 is missing");
    assert_eq!(told(&[at("a.py", 15, 20), at("a.py", 1, 14)]), 0);
}

#[test]
fn a_synthesis_that_rejects_every_finding_read_nothing_and_passed() {
    let mut contract = contract(Phase::Synthesis);
    contract.findings =
        vec![finding("r#1", "c", at("a.py", 1, 1)), finding("r#2", "d", at("b.py", 1, 1))];
    let told = |first: &str, status: &str| {
        let input = finish(json!({ "status": status, "summary": "s", "findings_used": [
            { "id": "r#1", "use": first, "reason": "why" },
            { "id": "r#2", "use": "rejected", "reason": "why" }] }));
        missing(&contract, Done { read: &[at("a.py", 1, 1)], ..NOTHING }, &input)
    };
    assert!(told("rejected", "succeeded")[0].starts_with("every finding is rejected"));
    assert_eq!(told("merged", "succeeded"), Vec::<String>::new());
    assert_eq!(told("rejected", "failed"), Vec::<String>::new());
}

#[test]
fn a_plan_that_copies_a_finding_is_bounced() {
    let claim = "the mean of an even list is wrong because the length is rounded down first";
    let mut contract = contract(Phase::Synthesis);
    contract.gives.insert("plan".into(), "text".into());
    contract.findings = vec![finding("r#1", claim, at("a.py", 1, 1))];
    let plan = |text: &str| {
        let input = json!({ "status": "succeeded", "summary": "see the plan",
            "carry": { "plan": text },
            "findings_used": [{ "id": "r#1", "use": "used", "reason": "the cause" }] });
        missing(&contract, Done { read: &[at("a.py", 1, 9)], ..NOTHING }, &finish(input))
    };
    assert!(plan(&format!("{claim}."))[0].starts_with("`plan` repeats finding `r#1`"));
    assert_eq!(plan("divide with / and add a test for [1, 2]"), Vec::<String>::new());
}

#[test]
fn carries_have_the_names_and_types_of_the_workflow() {
    let mut contract = contract(Phase::Implementation);
    for (name, kind) in [
        ("plan", "text"),
        ("risk", "number"),
        ("ok", "bool"),
        ("files", "list"),
        ("found", "findings"),
    ] {
        contract.gives.insert(name.into(), kind.into());
    }
    let give = |carry: Value| {
        let input = finish(json!({ "status": "succeeded", "summary": "s", "carry": carry }));
        missing(&contract, Done { changed: true, ..NOTHING }, &input)
    };
    let right = json!({ "plan": "p", "risk": 1, "ok": true, "files": [] });
    assert_eq!(give(right), Vec::<String>::new());
    insta::assert_snapshot!(give(json!({ "plan": " ", "risk": "1", "files": {}, "x": 1 })).join("\n"), @"
    `carry.files` must be a list, but an object was given
    `carry.ok` is missing; it must be a bool
    `carry.plan` must be a text, but an empty text was given
    `carry.risk` must be a number, but a text was given
    ");
    let long = json!({ "plan": "p".repeat(MAX_CARRY), "risk": 1, "ok": true, "files": [] });
    assert!(give(long)[0].contains("at most 32768 are allowed"));
}

#[test]
fn findings_are_carried_by_the_scaffold() {
    let mut contract = contract(Phase::Research);
    contract.gives.insert("found".into(), "findings".into());
    let findings = [finding("r#1", "it is so", at("a.py", 1, 2))];
    assert_eq!(
        carried(&contract, &findings, &done())["found"],
        json!([{ "id": "r#1", "claim": "it is so",
            "evidence": [{ "path": "a.py", "from": 1, "to": 2 }] }])
    );
}

proptest! {
    #[test]
    fn a_used_finding_needs_reads_of_all_its_lines(
        (from, len) in (1_u32..50, 0_u32..10), (start, more) in (1_u32..50, 0_u32..10),
    ) {
        let mut contract = contract(Phase::Synthesis);
        contract.findings = vec![finding("r#1", "c", at("a.py", from, from + len))];
        let input = finish(json!({ "status": "succeeded", "summary": "s",
            "findings_used": [{ "id": "r#1", "use": "merged", "reason": "why" }] }));
        let read = [at("a.py", start, start + more), at("b.py", from, from + len)];
        let seen = (from..=from + len).all(|line| (start..=start + more).contains(&line));
        let told = missing(&contract, Done { read: &read, ..NOTHING }, &input);
        prop_assert_eq!(told.is_empty(), seen);
    }

    #[test]
    fn one_that_failed_owes_only_words(summary in "[a-z ]{0,5}", changed: bool) {
        for phase in [Phase::Research, Phase::Synthesis, Phase::Implementation,
            Phase::Verification]
        {
            let input = finish(json!({ "status": "failed", "summary": summary }));
            let told = missing(&contract(phase), Done { changed, ..NOTHING }, &input);
            prop_assert_eq!(told.is_empty(), !summary.trim().is_empty());
        }
    }
}
