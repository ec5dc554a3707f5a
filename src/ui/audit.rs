//! What was stopped, asked, reached and left alone in a run: the proof at its end.
//!
//! A fold of records like the rest of the view, so it can be made of the journal again at any time.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    protocol::{audit::Audit, event::What},
    ui::text::{count, escape, some},
};

/// Names that the summary shows of a list.
const NAMES: usize = 6;

/// What counts for the proof.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// What of the user's side of the repository is not as it was; none before the end.
    pub outside: Option<Audit>,
    /// Places, by what confined them.
    pub places: BTreeMap<String, u64>,
    /// Denied calls, by each check that spoke, else by the code of the denial.
    pub denied: BTreeMap<String, u64>,
    /// Questions, by their answer.
    pub asked: BTreeMap<String, u64>,
    /// Hosts that commands reached.
    pub reached: BTreeSet<String>,
    /// Hosts that they wanted to reach and did not.
    pub refused: BTreeSet<String>,
}

impl Ledger {
    /// Takes one more event in.
    pub fn apply(&mut self, what: &What) {
        let mut one = |map: fn(&mut Self) -> &mut BTreeMap<String, u64>, key: &str| {
            *map(self).entry(key.to_owned()).or_default() += 1;
        };
        match what {
            What::PlaceReady { sandbox, .. } => one(|ledger| &mut ledger.places, sandbox),
            What::CallJudged { answer: Some(answer), .. } => {
                one(|ledger| &mut ledger.asked, answer);
            }
            What::CallJudged { decision, checks, code, .. } if decision == "deny" => {
                match (checks.as_slice(), code.as_deref().unwrap_or("E_DENIED")) {
                    (checks @ [_, ..], "E_DENIED") => {
                        let ids = checks.iter().collect::<BTreeSet<_>>();
                        ids.into_iter().for_each(|id| one(|ledger| &mut ledger.denied, id));
                    }
                    (_, code) => one(|ledger| &mut ledger.denied, code),
                }
            }
            What::HostAsked { host, port, refused } => {
                let hosts = if refused.is_some() { &mut self.refused } else { &mut self.reached };
                hosts.insert(format!("{host}:{port}"));
            }
            What::Audited(audit) => self.outside = Some(audit.clone()),
            _ => {}
        }
    }

    /// Returns what there is to say, each with its name.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let mut hosts = Vec::new();
        for (name, list) in [("reached", &self.reached), ("refused", &self.refused)] {
            let list: Vec<String> = list.iter().cloned().collect();
            hosts.extend((!list.is_empty()).then(|| format!("{name} {}", some(&list, NAMES))));
        }
        let places = self.places.iter().map(|(name, n)| {
            format!("{}, {}", escape(name), count(usize::try_from(*n).unwrap_or(0), "place"))
        });
        let lines = [
            ("outside", self.outside.as_ref().map(outside).unwrap_or_default()),
            ("sandbox", places.collect::<Vec<_>>().join("; ")),
            ("denied", times(&self.denied)),
            ("asked", times(&self.asked)),
            ("hosts", hosts.join("; ")),
        ];
        lines.into_iter().filter(|(_, words)| !words.is_empty()).collect()
    }

    /// Returns it for programs.
    pub fn json(&self) -> Value {
        json!({
            "outside": self.outside,
            "sandbox": self.places,
            "denied": self.denied,
            "asked": self.asked,
            "hosts": { "reached": self.reached, "refused": self.refused },
        })
    }
}

/// Returns what the comparison of the user's side says.
pub fn outside(audit: &Audit) -> String {
    let looked = format!(
        "{}, {}, HEAD, index, stash, config and hooks",
        count(usize::try_from(audit.files).unwrap_or(usize::MAX), "file"),
        count(usize::try_from(audit.refs).unwrap_or(usize::MAX), "ref"),
    );
    let mut words = match audit.changed.len() {
        0 => format!("0 changed of {looked}"),
        n => format!("{n} changed, by whom cannot be told: {}", some(&audit.changed, NAMES)),
    };
    if !audit.unseen.is_empty() {
        words.push_str(&format!("; not looked at: {}", some(&audit.unseen, 3)));
    }
    words
}

fn times(counts: &BTreeMap<String, u64>) -> String {
    let words = counts.iter().map(|(name, n)| format!("{} ×{n}", escape(name)));
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(decision: &str, checks: &[&str], (answer, code): (&str, &str)) -> What {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        What::CallJudged {
            turn: 0,
            index: 0,
            tool: "bash".to_owned(),
            title: String::new(),
            decision: decision.to_owned(),
            checks: checks.iter().map(|id| (*id).to_owned()).collect(),
            why: String::new(),
            answer: text(answer),
            code: text(code),
        }
    }

    fn host(host: &str, refused: Option<&str>) -> What {
        let refused = refused.map(str::to_owned);
        What::HostAsked { host: host.to_owned(), port: 443, refused }
    }

    #[test]
    fn every_stop_counts_once_for_each_rule() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.lines(), []);
        let place =
            What::PlaceReady { path: String::new(), sandbox: "namespaces".into(), took_ms: 1 };
        let changed = vec!["file a\u{1b}".to_owned()];
        for what in [
            place.clone(),
            place,
            judged("deny", &["K13", "K29", "K29"], ("", "E_DENIED")),
            judged("deny", &["K13"], ("", "E_DENIED")),
            judged("deny", &["K28"], ("", "E_NO_APPROVAL")),
            judged("deny", &[], ("", "E_PHASE")),
            judged("run", &["K33"], ("", "")),
            judged("ask", &["K28"], ("no", "")),
            judged("ask", &["K28"], ("yes", "")),
            host("a.example", None),
            host("a.example", None),
            host("b.example", Some("not allowed")),
            What::Audited(Audit { changed, files: 1, refs: 2, ..Audit::default() }),
        ] {
            ledger.apply(&what);
        }
        let lines: Vec<String> =
            ledger.lines().iter().map(|(name, words)| format!("{name}: {words}")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        outside: 1 changed, by whom cannot be told: file a\u{1b}
        sandbox: namespaces, 2 places
        denied: E_NO_APPROVAL ×1, E_PHASE ×1, K13 ×2, K29 ×1
        asked: no ×1, yes ×1
        hosts: reached a.example:443; refused b.example:443
        ");
        let json = ledger.json();
        assert_eq!(json["denied"], json!({"E_NO_APPROVAL": 1, "E_PHASE": 1, "K13": 2, "K29": 1}));
        assert_eq!(
            json["hosts"],
            json!({"reached": ["a.example:443"], "refused": ["b.example:443"]})
        );
    }

    #[test]
    fn an_audit_says_what_it_did_not_see() {
        let audit = Audit { files: 3, refs: 1, ..Audit::default() };
        insta::assert_snapshot!(outside(&audit), @"0 changed of 3 files, 1 ref, HEAD, index, stash, config and hooks");
        let audit = Audit { unseen: vec!["the index: odd".to_owned()], ..audit };
        assert!(outside(&audit).ends_with("; not looked at: the index: odd"));
    }
}
