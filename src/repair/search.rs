//! Which edits are tried, in which order. Pure.
//!
//! An edit's score is the suspicion of its function, that of its line where lines were measured, and
//! how likely its kind mends anything. Pairs of edits come last.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
};

use crate::{
    code::{
        functions::functions,
        mutate::{Edit, edits},
        test_file::is_test_file,
    },
    localize::{
        ochiai::{Spectrum, ochiai},
        rank::{Evidence, Ranked, Suspect, rank},
    },
};

/// Functions whose edits are tried.
const MAX_FUNCTIONS: usize = 12;
/// Edits that are tried.
const MAX_SINGLE: usize = 6000;
/// Pairs that are tried, and of how many edits they are made.
const MAX_PAIRS: usize = 3000;
const PAIRED: usize = 90;

/// A source file: its path and text.
pub type Source = (String, String);
/// Which failing and passing tests ran a line, by path and line.
pub type Lines = BTreeMap<(String, u32), Spectrum>;

/// What is known before the search.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The issue, the names of failing tests, what they say.
    pub words: String,
    /// What the failing tests print, for names and lines that it quotes.
    pub trace: String,
    /// What ran; empty where nothing was measured.
    pub lines: Lines,
    /// How many tests fail and pass.
    pub failing: u32,
    /// How many tests pass.
    pub passing: u32,
}

/// Edits of one file that are tried together.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The file.
    pub path: String,
    /// The name of the function, and its first line.
    pub function: (String, u32),
    /// The edits, which do not overlap.
    pub edits: Vec<Edit>,
    /// How promising it is, 0 to 1.
    pub score: f64,
}

impl Candidate {
    /// Returns the file's text with the edits.
    pub fn applied(&self, text: &str) -> String {
        let mut edits: Vec<&Edit> = self.edits.iter().collect();
        edits.sort_by_key(|edit| std::cmp::Reverse(edit.at.start));
        edits.into_iter().fold(text.to_owned(), |text, edit| edit.applied(&text))
    }

    /// Returns what it does, in words.
    pub fn words(&self, text: &str) -> String {
        let each = self.edits.iter().map(|edit| {
            let old = text.get(edit.at.clone()).unwrap_or_default();
            let line = line_at(text, edit.at.start);
            format!(
                "{}:{line}: `{}` → `{}` ({})",
                self.path,
                brief(old),
                brief(&edit.with),
                edit.kind.name()
            )
        });
        each.collect::<Vec<_>>().join(", ")
    }
}

/// Returns the functions outside of tests, most suspicious first.
pub fn suspects(sources: &[Source], known: &Known) -> (Vec<Suspect>, Vec<Ranked>) {
    let mut suspects = Vec::new();
    for (path, text) in sources.iter().filter(|(path, _)| !is_test_file(path)) {
        let all = functions(path, text);
        suspects.extend(all.iter().filter_map(|function| {
            let own = text.get(function.bytes.clone())?;
            Some(Suspect {
                path: path.clone(),
                name: function.name.clone(),
                from: function.from,
                to: function.to,
                text: own.to_owned(),
            })
        }));
    }
    let spectra = suspects.iter().map(|suspect| spectrum(suspect, &known.lines)).collect();
    let measured = !known.lines.is_empty();
    let runs = crate::localize::rank::Runs {
        spectra,
        failing: if measured { known.failing } else { 0 },
        passing: if measured { known.passing } else { 0 },
    };
    let evidence = Evidence { runs, trace: known.trace.clone() };
    let ranked = rank(&known.words, &suspects, &evidence);
    (suspects, ranked)
}

/// A function is run as often as the line of it that is run most.
fn spectrum(suspect: &Suspect, lines: &Lines) -> Spectrum {
    let from = (suspect.path.clone(), suspect.from);
    let to = (suspect.path.clone(), suspect.to);
    lines.range(from..=to).fold(Spectrum::default(), |most, (_, line)| Spectrum {
        failing: most.failing.max(line.failing),
        passing: most.passing.max(line.passing),
    })
}

/// Returns the single edits in the order in which they are tried.
pub fn singles(sources: &[Source], known: &Known) -> Vec<Candidate> {
    let (suspects, ranked) = suspects(sources, known);
    let measured = !known.lines.is_empty();
    let most = most_suspicious(known);
    let ran = |ranked: &&Ranked| !measured || ranked.ochiai > 0.0;
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for ranked in ranked.iter().filter(ran).take(MAX_FUNCTIONS) {
        let suspect = &suspects[ranked.index];
        let Some((path, text)) = sources.iter().find(|(path, _)| *path == suspect.path) else {
            continue;
        };
        let all = functions(path, text);
        let Some(function) = all.iter().find(|f| f.from == suspect.from && f.name == suspect.name)
        else {
            continue;
        };
        for edit in edits(path, text, &function.bytes) {
            if !seen.insert((path.clone(), edit.at.clone(), edit.with.clone())) {
                continue;
            }
            let line = match measured {
                true => suspicion(path, text, &edit.at, known) / most,
                false => 1.0,
            };
            let score = (0.3 + 0.7 * ranked.score) * (0.15 + 0.85 * line) * edit.kind.prior();
            let function = (suspect.name.clone(), suspect.from);
            found.push(Candidate { path: path.clone(), function, edits: vec![edit], score });
        }
    }
    // Equal scores keep the order of the text.
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(MAX_SINGLE);
    found
}

/// Returns pairs of the most promising edits of one function, in the order in which they are tried.
pub fn pairs(singles: &[Candidate]) -> Vec<Candidate> {
    let best = &singles[..singles.len().min(PAIRED)];
    let mut found = Vec::new();
    for (index, one) in best.iter().enumerate() {
        for two in &best[index + 1..] {
            let (a, b) = (&one.edits[0], &two.edits[0]);
            let apart = a.at.end <= b.at.start || b.at.end <= a.at.start;
            if apart && a.at != b.at && (&one.path, &one.function) == (&two.path, &two.function) {
                found.push(Candidate {
                    path: one.path.clone(),
                    function: one.function.clone(),
                    edits: vec![a.clone(), b.clone()],
                    score: one.score * two.score,
                });
            }
        }
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(MAX_PAIRS);
    found
}

fn most_suspicious(known: &Known) -> f64 {
    let all = known.lines.values().map(|spectrum| ochiai(*spectrum, known.failing));
    all.fold(0.0, f64::max).max(f64::MIN_POSITIVE)
}

/// The suspicion of the most suspicious line that an edit touches.
fn suspicion(path: &str, text: &str, at: &Range<usize>, known: &Known) -> f64 {
    let (from, to) = (line_at(text, at.start), line_at(text, at.end.max(at.start + 1) - 1));
    let lines = known.lines.range((path.to_owned(), from)..=(path.to_owned(), to));
    lines.map(|(_, spectrum)| ochiai(*spectrum, known.failing)).fold(0.0, f64::max)
}

fn line_at(text: &str, at: usize) -> u32 {
    let head = text.get(..at).unwrap_or(text);
    u32::try_from(head.matches('\n').count()).unwrap_or(u32::MAX).saturating_add(1)
}

/// Returns a text in one line that is not too long.
fn brief(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Vec<Source> {
        let text = "def one(a):\n    return a + 1\n\ndef two(a):\n    b = a\n    return a < 2\n";
        vec![("m.py".to_owned(), text.to_owned()), ("test_m.py".to_owned(), text.to_owned())]
    }

    fn measured() -> Known {
        let line =
            |line, failing, passing| (("m.py".to_owned(), line), Spectrum { failing, passing });
        let lines = Lines::from([line(5, 1, 3), line(6, 1, 0), line(2, 0, 4)]);
        Known { lines, failing: 1, passing: 4, ..Known::default() }
    }

    #[test]
    fn what_failing_tests_run_comes_first_and_what_they_do_not_run_never() {
        let found = singles(&source(), &measured());
        assert!(found.iter().all(|one| one.path == "m.py" && one.function.0 == "two"));
        assert_eq!(found[0].applied(&source()[0].1).lines().last(), Some("    return a <= 2"));
        assert_eq!(found[0].words(&source()[0].1), "m.py:6: `<` → `<=` (another comparison)");
        assert!(found.windows(2).all(|two| two[0].score >= two[1].score));
    }

    #[test]
    fn without_a_measurement_words_decide() {
        let known = Known { words: "one is wrong".to_owned(), ..Known::default() };
        assert_eq!(singles(&source(), &known)[0].function.0, "one");
    }

    #[test]
    fn pairs_do_not_overlap_and_both_edits_are_made() {
        let found = pairs(&singles(&source(), &measured()));
        assert!(!found.is_empty());
        for pair in &found {
            let [a, b] = &pair.edits[..] else { panic!("no pair") };
            assert!(a.at.end <= b.at.start || b.at.end <= a.at.start);
            assert_ne!(pair.applied(&source()[0].1), a.applied(&source()[0].1));
        }
        assert!(pairs(&[]).is_empty());
    }
}
