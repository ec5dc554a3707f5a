//! What an agent must hand in before its `finish` is accepted.
//!
//! Pure and mechanical: nothing here believes the model. A finding counts as weighed only if this
//! agent itself read the lines it stands on, a plan that repeats one finding is no plan, and a
//! writer that changed nothing is not done. Everything that is missing is said at once, so that
//! one more turn can mend it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    agent::{assignment::Contract, similarity::similarity},
    prompt::words::{Words, fill},
    protocol::{
        outcome::{Evidence, Finding, Status},
        task::Phase,
    },
    tools::finish::{FinishInput, Use, Verdict},
};

/// Above this a text repeats a finding instead of weighing it.
const COPY: f64 = 0.8;
/// Characters of a summary.
const MAX_SUMMARY: usize = 2000;
/// Largest carry in bytes of JSON; what follows is read by models.
const MAX_CARRY: usize = 32 * 1024;

/// What the scaffold knows of an agent's work at the time it wants to finish.
#[derive(Clone, Copy, Debug)]
pub struct Done<'a> {
    /// Findings it reported.
    pub findings: &'a [Finding],
    /// Lines it read.
    pub read: &'a [Evidence],
    /// Whether its tree differs from the one it began with; always false for readers.
    pub changed: bool,
}

/// Returns what is missing, one sentence each; nothing if the node may finish.
///
/// An agent that says it failed owes no work, only the words.
pub fn missing(
    words: &Words,
    contract: &Contract,
    (done, input): (Done<'_>, &FinishInput),
) -> Vec<String> {
    let mut missing = Vec::new();
    if input.summary.trim().is_empty() {
        missing.push(words.no_summary.clone());
    }
    if input.status == Status::Failed {
        return missing;
    }
    missing.extend(carries(contract, input));
    match contract.phase {
        Phase::Research if done.findings.is_empty() => missing.push(words.no_finding.clone()),
        Phase::Implementation if !done.changed => missing.push(words.no_change.clone()),
        Phase::Research | Phase::Implementation => {}
        Phase::Synthesis => missing.extend(synthesis(words, contract, (done, input))),
        Phase::Verification => missing.extend(verification(words, input)),
    }
    missing
}

/// Returns a summary that is not longer than an outcome may hold.
pub fn capped(summary: &str) -> String {
    summary.trim().chars().take(MAX_SUMMARY).collect()
}

/// Returns the carries that the node hands on: those it owes, findings filled in by the scaffold.
pub fn carried(
    contract: &Contract,
    findings: &[Finding],
    input: &FinishInput,
) -> BTreeMap<String, Value> {
    let owed = contract.gives.iter().filter_map(|(name, kind)| {
        let value = match kind.as_str() {
            "findings" => serde_json::to_value(findings).ok(),
            _ => input.carry.get(name).cloned(),
        };
        Some((name.clone(), value?))
    });
    owed.collect()
}

fn carries(contract: &Contract, input: &FinishInput) -> Vec<String> {
    let owed = contract.gives.iter().filter(|(_, kind)| kind.as_str() != "findings");
    owed.filter_map(|(name, kind)| carry(name, kind, input.carry.get(name))).collect()
}

fn carry(name: &str, kind: &str, value: Option<&Value>) -> Option<String> {
    let Some(value) = value else {
        return Some(format!("`carry.{name}` is missing; it must be a {kind}"));
    };
    let fits = match kind {
        "text" => value.as_str().is_some_and(|text| !text.trim().is_empty()),
        "number" => value.is_number(),
        "bool" => value.is_boolean(),
        "list" => value.is_array(),
        _ => true,
    };
    if !fits {
        let given = kind_of(value);
        return Some(format!("`carry.{name}` must be a {kind}, but {given} was given"));
    }
    let bytes = value.to_string().len();
    (bytes > MAX_CARRY).then(|| {
        format!("`carry.{name}` has {bytes} bytes, at most {MAX_CARRY} are allowed; shorten it")
    })
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(text) if text.trim().is_empty() => "an empty text",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn synthesis(
    words: &Words,
    contract: &Contract,
    (done, input): (Done<'_>, &FinishInput),
) -> Vec<String> {
    let mut missing = Vec::new();
    for finding in &contract.findings {
        missing.extend(weighed(words, finding, (done.read, input)));
        missing.extend(copied(words, finding, input));
    }
    let taken = |finding: &Finding| {
        input.findings_used.iter().any(|used| used.id == finding.id && used.r#use != Use::Rejected)
    };
    if missing.is_empty() && !contract.findings.is_empty() && !contract.findings.iter().any(taken) {
        missing.push(words.all_rejected.clone());
    }
    missing
}

/// Says what is missing for one finding to count as weighed.
fn weighed(
    words: &Words,
    finding: &Finding,
    (read, input): (&[Evidence], &FinishInput),
) -> Option<String> {
    let id = ("id", finding.id.as_str());
    let Some(used) = input.findings_used.iter().find(|used| used.id == finding.id) else {
        return Some(fill(&words.not_weighed, &[id]));
    };
    if used.reason.trim().is_empty() {
        return Some(fill(&words.no_reason, &[id]));
    }
    if used.r#use == Use::Rejected {
        return None;
    }
    let unread: Vec<_> = finding.evidence.iter().filter(|at| !covered(read, at)).collect();
    (!unread.is_empty()).then(|| {
        let lines: Vec<_> =
            unread.iter().map(|at| format!("{}:{}-{}", at.path, at.from, at.to)).collect();
        fill(&words.not_read, &[id, ("lines", &lines.join(", "))])
    })
}

/// Returns whether each of the lines is among those that were read.
///
/// An agent's reads begin after the findings have arrived: these stand in its first message.
pub fn covered(read: &[Evidence], lines: &Evidence) -> bool {
    let of_file = read.iter().filter(|seen| seen.path == lines.path);
    let mut spans: Vec<_> = of_file.map(|seen| (seen.from, seen.to)).collect();
    spans.sort_unstable();
    let mut next = lines.from;
    for (from, to) in spans {
        if from <= next && to >= next {
            next = to.saturating_add(1);
        }
    }
    next > lines.to
}

fn copied(words: &Words, finding: &Finding, input: &FinishInput) -> Option<String> {
    let texts =
        input.carry.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
    let mut texts = [("summary", input.summary.as_str())].into_iter().chain(texts);
    let (name, _) = texts.find(|(_, text)| similarity(text, &finding.claim) > COPY)?;
    Some(fill(&words.copied, &[("name", name), ("id", &finding.id)]))
}

fn verification(words: &Words, input: &FinishInput) -> Option<String> {
    let text = match input.verdict {
        None => &words.no_verdict,
        Some(Verdict::Fail) if input.must_fix.is_empty() => &words.no_must_fix,
        Some(Verdict::Pass) if !input.must_fix.is_empty() => &words.must_fix_of_pass,
        Some(_) => return None,
    };
    Some(text.clone())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn missing(contract: &Contract, done: Done<'_>, input: &FinishInput) -> Vec<String> {
        super::missing(Words::shipped(), contract, (done, input))
    }

    const NOTHING: Done<'_> = Done { findings: &[], read: &[], changed: false };

    fn contract(phase: Phase) -> Contract {
        Contract { phase, gives: BTreeMap::new(), findings: Vec::new() }
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
        assert_eq!(
            weigh(both, &[at("mean.py", 12, 20), at("mean.py", 1, 11)]),
            Vec::<String>::new()
        );
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
}
