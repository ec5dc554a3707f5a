//! The tools that talk to the scaffold: `report_finding`, `delegate`, `finish`.

use serde::Deserialize;
use tokio::sync::{mpsc::UnboundedSender, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{
    protocol::{
        ids::{NodeId, Oid},
        outcome::{Evidence, Finding, Outcome, Status},
        request::Request,
    },
    sandbox::place::Place,
    tools::{
        answer::{Done, Effect},
        finish::FinishInput,
        text::load,
    },
};

/// Arguments of `report_finding`.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    claim: String,
    evidence: Vec<Evidence>,
}

/// Arguments of `delegate`.
#[derive(Debug, Deserialize)]
pub(super) struct Delegate {
    question: String,
}

/// The most lines that one place of evidence may have: it is to be read again by others.
const MAX_LINES: u32 = 300;

/// Takes a claim whose evidence exists.
pub(super) fn report(place: &Place, args: &Report) -> Result<Done, String> {
    if args.claim.trim().is_empty() {
        return Err("`claim` is empty".to_owned());
    }
    if args.evidence.is_empty() {
        return Err("a claim needs at least one place in `evidence` that shows it".to_owned());
    }
    for Evidence { path, from, to } in &args.evidence {
        let count = load(place, path)?.lines().count();
        if *from == 0 || from > to || *to as usize > count.max(1) {
            return Err(format!(
                "`evidence` names {path}:{from}-{to}, but the file has {count} lines; read it and \
                 give the lines that show the claim"
            ));
        }
        if to - from >= MAX_LINES {
            return Err(format!(
                "`evidence` names {path}:{from}-{to}, more than {MAX_LINES} lines; give only those \
                 that show the claim"
            ));
        }
    }
    let finding =
        Finding { id: String::new(), claim: args.claim.clone(), evidence: args.evidence.clone() };
    Ok(Done {
        content: "noted; report the next one, or finish".to_owned(),
        effect: Effect::Finding(finding),
        ..Done::default()
    })
}

/// Has a helper find something out, and waits for it.
pub(super) async fn delegate(
    requests: &UnboundedSender<Request>,
    (node, at): (&NodeId, &Oid),
    args: &Delegate,
    cancel: &CancellationToken,
) -> Result<Done, String> {
    if args.question.trim().is_empty() {
        return Err("`question` is empty".to_owned());
    }
    let (reply, answer) = oneshot::channel();
    let (node, at, question) = (node.clone(), at.clone(), args.question.clone());
    let gone = || "no helper can be had: the run is ending; go on yourself".to_owned();
    requests.send(Request::Delegate { node, at, question, reply }).map_err(|_| gone())?;
    let outcome = tokio::select! {
        () = cancel.cancelled() => return Err(gone()),
        answer = answer => answer.map_err(|_| gone())?,
    };
    let outcome = outcome.map_err(|why| format!("no helper was started: {why}; go on yourself"))?;
    Ok(Done { content: words(&outcome), effect: Effect::Delegated(outcome), ..Done::default() })
}

fn words(outcome: &Outcome) -> String {
    let head = match outcome.status {
        Status::Succeeded => "the helper says:",
        Status::Failed => "the helper could not find it out:",
    };
    let mut words = format!("{head} {}\n", outcome.summary);
    for finding in &outcome.findings {
        let lines: Vec<String> =
            finding.evidence.iter().map(|e| format!("{}:{}-{}", e.path, e.from, e.to)).collect();
        words.push_str(&format!("- {} ({})\n", finding.claim, lines.join(", ")));
    }
    words
}

/// Takes what an agent hands in; whether it may end is the agent loop's decision.
pub(super) fn finish(input: FinishInput) -> Result<Done, String> {
    if input.summary.trim().is_empty() {
        return Err("`summary` is empty; say what you did or found and why".to_owned());
    }
    if let Some(bad) = input.evidence.iter().find(|lines| lines.from > lines.to) {
        return Err(format!("`evidence` names {}:{}-{}", bad.path, bad.from, bad.to));
    }
    Ok(Done { content: "handed in".to_owned(), effect: Effect::Finish(input), ..Done::default() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tools::testing::Bench;

    #[tokio::test]
    async fn a_finding_needs_lines_that_exist() {
        let bench = Bench::new(&[("a.py", "x = 1\n")]).await;
        let claim = |from, to| {
            let lines = json!({"path": bench.path("a.py"), "from": from, "to": to});
            json!({"claim": "c", "evidence": [lines]})
        };
        let answer = bench.call("report_finding", claim(1, 1)).await;
        let Effect::Finding(finding) = answer.effect else { panic!("no finding: {answer:?}") };
        assert_eq!(finding.evidence[0].path, "a.py");
        assert!(bench.fails("report_finding", claim(2, 2)).await.contains("has 1 lines"));
        assert!(bench.fails("report_finding", claim(3, 2)).await.contains("has 1 lines"));
        let none = bench.fails("report_finding", json!({"claim": "c", "evidence": []})).await;
        assert!(none.contains("at least one place"), "{none}");
    }

    #[tokio::test]
    async fn evidence_could_reach_beyond_the_end_of_its_file() {
        let bench = Bench::new(&[("a.py", &"x = 1\n".repeat(400))]).await;
        let claim = |from, to| {
            let lines = json!({"path": bench.path("a.py"), "from": from, "to": to});
            json!({"claim": "c", "evidence": [lines]})
        };
        let beyond = bench.fails("report_finding", claim(1, 999_999)).await;
        assert!(beyond.contains("has 400 lines"), "{beyond}");
        let everything = bench.fails("report_finding", claim(1, 400)).await;
        assert!(everything.contains("more than 300 lines"), "{everything}");
        assert!(matches!(
            bench.call("report_finding", claim(101, 400)).await.effect,
            Effect::Finding(_)
        ));
    }

    #[tokio::test]
    async fn finish_comes_back_as_an_effect() {
        let bench = Bench::new(&[]).await;
        let input = json!({"status": "succeeded", "summary": "s", "verdict": "pass",
            "findings_used": [{"id": "r#1", "use": "rejected", "reason": "no"}]});
        let answer = bench.call("finish", input).await;
        let Effect::Finish(input) = answer.effect else { panic!("no end: {answer:?}") };
        assert_eq!(input.findings_used[0].r#use, crate::tools::finish::Use::Rejected);
        let empty = bench.fails("finish", json!({"status": "failed", "summary": " "})).await;
        assert!(empty.contains("`summary` is empty"), "{empty}");
    }

    #[tokio::test]
    async fn a_helper_is_asked_for_and_may_be_refused() {
        let mut bench = Bench::new(&[]).await;
        let mut asked = bench.requests();
        let helper = tokio::spawn(async move {
            let mut questions = Vec::new();
            for answer in [Ok(Outcome::succeeded("it is so")), Err("too deep".to_owned())] {
                let Some(Request::Delegate { question, reply, .. }) = asked.recv().await else {
                    panic!("another request");
                };
                questions.push(question);
                reply.send(answer).expect("somebody waits");
            }
            questions
        });
        assert_eq!(
            bench.says("delegate", json!({"question": "q"})).await,
            "the helper says: it is so\n"
        );
        assert!(bench.fails("delegate", json!({"question": "r"})).await.contains("too deep"));
        assert_eq!(helper.await.expect("ends"), ["q", "r"]);
        assert!(bench.fails("delegate", json!({"question": "s"})).await.contains("go on yourself"));
    }
}
