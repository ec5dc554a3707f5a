//! The gate: what a command line would do, and whether it may.
//!
//! Every check runs on every command; the verdict is the worst of them, and nothing can make it
//! milder. Whoever decides over a call takes the judgement as a fact. The gate knows text alone:
//! it does not replace the sandbox, and is wrong to be trusted without one.
//!
//! Symlinks: `judge_following` asks its caller for those on the way to what is read and written, and
//! judges again until no other shows.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    guard::{
        checks::table::ROWS,
        path::MAX_LINKS,
        scene::{
            access::{self, Access, Touch},
            build::Scene,
        },
        shell::direct,
    },
    protocol::{plan::Plan, tool::Risk},
};

/// What a check says; the order is from mild to strict.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing was found.
    Pass,
    /// The user must say yes.
    Ask,
    /// No approval heals it.
    Deny,
}

/// How far the effects of a command reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Blast {
    /// Single files, or nothing.
    File,
    /// The agent's tree.
    Tree,
    /// The repository beyond the tree.
    Repo,
    /// The machine.
    Host,
    /// Other machines.
    Remote,
}

/// What the gate needs to know; all paths are absolute and as the command sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShellFacts {
    /// The tree that the command may write.
    pub root: String,
    /// Where it starts.
    pub cwd: String,
    /// The home folder.
    pub home: String,
    /// Other folders that it may write, such as a private `/tmp`.
    pub scratch: Vec<String>,
    /// Other folders that it may read, besides those of the system.
    pub readable: Vec<String>,
    /// Symlinks that are known, each with what it points at.
    pub links: BTreeMap<String, String>,
}

/// One thing that a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// The row of the table, such as `K13`.
    pub id: &'static str,
    /// What it means.
    pub verdict: Verdict,
    /// What was found, for people.
    pub why: String,
}

/// What the gate says of a command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// The worst verdict of all hits.
    pub verdict: Verdict,
    /// What was found, in the order of the table.
    pub hits: Vec<Hit>,
    /// Whether all of it was understood; if not, what was found is not all there is.
    pub understood: bool,
    /// The risk; never below medium if a shell is needed.
    #[serde(serialize_with = "risk_name")]
    pub risk: Risk,
    /// How far its effects reach.
    pub blast: Blast,
    /// Whether a snapshot of the tree can undo it.
    pub reversible: bool,
    /// How to start it without a shell; none if it needs one.
    pub direct: Option<Plan>,
    /// The programs that it starts, as far as their words are known.
    #[serde(skip)]
    pub starts: Vec<Words>,
    /// Files that it reads, as absolute paths.
    pub reads: Vec<String>,
    /// Files that it writes, as absolute paths.
    pub writes: Vec<String>,
}

/// A program and its arguments, as a command line would start it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The program as it is written.
    pub program: String,
    /// The arguments; what is expanded stands as it is written.
    pub args: Vec<String>,
    /// Whether it is a wrapper, such as `timeout`, around one that stands after it.
    pub wraps: bool,
}

fn risk_name<S: serde::Serializer>(risk: &Risk, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match risk {
        Risk::Low => "low",
        Risk::Medium => "medium",
        Risk::High => "high",
    })
}

/// What the checks found, and what they add to it.
#[derive(Debug)]
pub struct Findings {
    id: &'static str,
    hits: Vec<Hit>,
    blast: Blast,
    irreversible: bool,
}

impl Findings {
    /// Adds a hit of the row that is being checked; the same words count once.
    pub fn add(&mut self, verdict: Verdict, why: impl Into<String>) {
        let hit = Hit { id: self.id, verdict, why: why.into() };
        if !self.hits.contains(&hit) {
            self.hits.push(hit);
        }
    }

    /// Says how far the effects reach, and that no snapshot of the tree undoes them.
    pub fn beyond(&mut self, blast: Blast) {
        self.blast = self.blast.max(blast);
        self.irreversible = true;
    }
}

/// Everything that a check may look at.
#[derive(Debug)]
pub struct Sight<'s> {
    /// The parsed command line.
    pub scene: Scene<'s>,
    /// The files it touches.
    pub touched: Vec<Access>,
}

impl<'s> Sight<'s> {
    fn new(command: &'s str, facts: &'s ShellFacts) -> Self {
        let scene = Scene::new(command, facts);
        let touched = scene.calls.iter().flat_map(|call| access::of(call, facts)).collect();
        Self { scene, touched }
    }
}

/// Judges a command line.
pub fn judge(command: &str, facts: &ShellFacts) -> Judgement {
    let short = within(command, MAX_READ);
    let sight = Sight::new(short, facts);
    let mut findings =
        Findings { id: "", hits: Vec::new(), blast: Blast::File, irreversible: false };
    for row in &ROWS {
        findings.id = row.id;
        (row.rule)(&sight, &mut findings);
    }
    if short.len() < command.len() {
        findings.id = "K01";
        findings.add(Verdict::Deny, "longer than 16 KiB");
    }
    conclude(&sight, findings)
}

/// Judges a command line, with the symlinks on the way to its files looked up: `link` returns what
/// the one at an absolute path points at.
pub fn judge_following(
    command: &str,
    facts: &mut ShellFacts,
    link: impl Fn(&str) -> Option<String>,
) -> Judgement {
    let mut judgement = judge(command, facts);
    for _ in 0..MAX_LINKS {
        let known = facts.links.len();
        for path in judgement.reads.iter().chain(&judgement.writes) {
            let ends = path.match_indices('/').skip(1).map(|(at, _)| at).chain([path.len()]);
            let found = ends.map(|end| &path[..end]).find_map(|way| Some((way, link(way)?)));
            facts.links.extend(found.map(|(way, to)| (way.to_owned(), to)));
        }
        if facts.links.len() == known {
            break;
        }
        judgement = judge(command, facts);
    }
    judgement
}

/// Most bytes that are looked at; what is longer is denied whatever it says.
const MAX_READ: usize = 16 * 1024;

fn within(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn conclude(sight: &Sight<'_>, findings: Findings) -> Judgement {
    let scene = &sight.scene;
    let verdict = findings.hits.iter().map(|hit| hit.verdict).max().unwrap_or(Verdict::Pass);
    let paths = |wanted: fn(Touch) -> bool| {
        let found = sight.touched.iter().filter(|t| wanted(t.touch) && !t.unknown);
        let paths: BTreeSet<String> = found.map(|t| t.path.clone()).collect();
        paths.into_iter().collect::<Vec<_>>()
    };
    let reads = paths(|touch| touch == Touch::Read || touch == Touch::Link);
    let writes = paths(|touch| touch == Touch::Write || touch == Touch::Delete);
    // What is denied has no plan, so that nobody can run one by mistake.
    let direct = match (verdict, scene.scripts.first()) {
        (Verdict::Deny, _) | (_, None) => None,
        (_, Some(script)) if scene.errors.is_empty() => direct::plan(script),
        _ => None,
    };
    let looks_only = scene.calls.iter().all(|call| call.is(&LOOKS_ONLY)) && writes.is_empty();
    let remote = findings.blast >= Blast::Repo && findings.irreversible;
    let risk = if remote || verdict == Verdict::Deny {
        Risk::High
    } else if looks_only && direct.is_some() {
        Risk::Low
    } else {
        Risk::Medium
    };
    let blast = if writes.is_empty() { findings.blast } else { findings.blast.max(Blast::Tree) };
    Judgement {
        verdict,
        hits: findings.hits,
        understood: scene.errors.is_empty() && !scene.over_cap,
        risk,
        blast,
        reversible: !findings.irreversible,
        direct,
        starts: starts(scene),
        reads,
        writes,
    }
}

fn starts(scene: &Scene<'_>) -> Vec<Words> {
    let named = scene.calls.iter().enumerate().filter(|(_, call)| !call.name.is_empty());
    let words = named.map(|(n, call)| Words {
        program: call.program.text.clone(),
        args: call.texts().map(str::to_owned).collect(),
        wraps: scene.calls[n + 1..].iter().any(|later| later.wrappers.contains(&call.name)),
    });
    words.collect()
}

/// Programs that only look, whatever their arguments are.
const LOOKS_ONLY: [&str; 24] = [
    "ls",
    "cat",
    "head",
    "tail",
    "wc",
    "pwd",
    "echo",
    "true",
    "false",
    "stat",
    "file",
    "grep",
    "cut",
    "diff",
    "cmp",
    "du",
    "basename",
    "dirname",
    "realpath",
    "readlink",
    "which",
    "sha256sum",
    "md5sum",
    "tr",
];
