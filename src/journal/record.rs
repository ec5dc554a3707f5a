//! The form of a record line and the chain that ties it to the line before.
//!
//! A line is the JSON of its event with three members around it, in this order and without blanks:
//!
//! ```text
//! {"v":1,"seq":7,"at":…,"run":…,"node":…,"agent":…,"kind":…,"body":…,"prev":"<P>","hash":"<H>"}
//! ```
//!
//! `P` is the `hash` of the line before, 64 zeros in the first line. `H` is
//! `blake3(P ‖ the line without ,"hash":"<H>")`, both as the very bytes of the file, in lower-case
//! hexadecimal; the newline is not hashed. So a check needs no JSON writer that agrees with ours:
//! it cuts the last 75 bytes off, closes the brace and hashes. JSON escapes line breaks, hence a
//! record is never longer than its line.

use serde::Deserialize;
use thiserror::Error;

use crate::protocol::event::{Event, FORMAT};

/// What stands in `prev` of the first record.
const START: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The place in a chain where the next record goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Number of the next record.
    pub next: u64,
    prev: String,
}

impl Default for Chain {
    fn default() -> Self {
        Self { next: 0, prev: START.to_owned() }
    }
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Flaw {
    /// It does not end in a hash member, or the hash is that of other bytes.
    #[error("its bytes do not match its hash")]
    Hash,
    /// It is sealed, but continues another line than the one before it.
    #[error("it does not continue the line before it")]
    Prev,
    /// It is in place and sealed, but its number is wrong.
    #[error("it says that it is record {0}")]
    Number(u64),
    /// It was written in a newer format.
    #[error("it has format {0}, this grafter reads format {FORMAT}")]
    Format(u32),
    /// It is sealed, but holds something this program does not know.
    #[error("it cannot be read: {0}")]
    Unknown(String),
}

impl Flaw {
    /// Returns whether the line is sound, but of another version of grafter.
    pub fn is_foreign(&self) -> bool {
        matches!(self, Self::Format(_) | Self::Unknown(_))
    }

    /// Returns what to say of such a line.
    pub(super) fn says(&self) -> &'static str {
        if self.is_foreign() { "was written by another version" } else { "was altered" }
    }
}

impl Chain {
    /// Returns the hash of the record before the next one.
    pub fn head(&self) -> &str {
        &self.prev
    }

    /// Returns the line of an event, newline included, and the chain after it.
    ///
    /// The event's `seq` must be `next`.
    pub fn seal(&self, event: &Event) -> Result<(Vec<u8>, Self), serde_json::Error> {
        debug_assert_eq!(event.seq, self.next, "records are sealed in order");
        let mut line = format!("{{\"v\":{FORMAT},").into_bytes();
        line.extend_from_slice(&serde_json::to_vec(event)?[1..]);
        line.pop();
        line.extend_from_slice(format!(",\"prev\":\"{}\"", self.prev).as_bytes());
        let hash = digest(&self.prev, &line);
        line.extend_from_slice(format!(",\"hash\":\"{hash}\"}}\n").as_bytes());
        Ok((line, Self { next: self.next + 1, prev: hash }))
    }

    /// Returns the event of a line (without its newline) if it is the next of this chain, which
    /// then moves on.
    pub fn check(&mut self, line: &[u8]) -> Result<Event, Flaw> {
        let (open, prev, hash) = unseal(line).ok_or(Flaw::Hash)?;
        if digest(prev, open) != hash {
            return Err(Flaw::Hash);
        }
        if prev != self.prev {
            return Err(Flaw::Prev);
        }
        let head: Head = parse(line)?;
        if head.v != FORMAT {
            return Err(Flaw::Format(head.v));
        }
        if head.seq != self.next {
            return Err(Flaw::Number(head.seq));
        }
        let event = parse(line)?;
        *self = Self { next: self.next + 1, prev: hash.to_owned() };
        Ok(event)
    }
}

/// The members that every format shares.
#[derive(Deserialize)]
struct Head {
    v: u32,
    seq: u64,
}

/// Splits a line into its bytes before the hash member, the hash it continues and its own.
fn unseal(line: &[u8]) -> Option<(&[u8], &str, &str)> {
    let (open, hash) = member(line.strip_suffix(b"}")?, b",\"hash\":\"")?;
    let (_, prev) = member(open, b",\"prev\":\"")?;
    Some((open, prev, hash))
}

/// Splits a hash member with the given head off the end.
fn member<'a>(bytes: &'a [u8], head: &[u8]) -> Option<(&'a [u8], &'a str)> {
    let at = bytes.len().checked_sub(head.len() + START.len() + 1)?;
    let (rest, member) = bytes.split_at(at);
    let hash = member.strip_prefix(head)?.strip_suffix(b"\"")?;
    Some((rest, std::str::from_utf8(hash).ok()?))
}

/// Hashes a line that lacks its closing brace.
fn digest(prev: &str, open: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(prev.as_bytes()).update(open).update(b"}");
    hasher.finalize().to_hex().to_string()
}

fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, Flaw> {
    serde_json::from_slice(line).map_err(|error| Flaw::Unknown(error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        journal::read::check_lines,
        protocol::{
            event::{Level, What},
            ids::{NodeId, RunId},
            outcome::Outcome,
        },
    };

    /// Bodies of every shape: none, text, numbers, nested JSON.
    fn whats() -> impl Strategy<Value = What> {
        let text = any::<String>();
        let number = -1e300..1e300f64;
        prop_oneof![
            Just(What::CancelAsked),
            text.prop_map(|text| What::Note { level: Level::Info, text }),
            vec(any::<u8>(), 0..20).prop_map(|bytes| What::NodeSkipped {
                why: String::from_utf8_lossy(&bytes).into_owned(),
            }),
            (any::<u32>(), text).prop_map(|(turn, error)| What::ModelFailed {
                turn,
                error,
                usage: Default::default(),
                cost: Default::default(),
            }),
            (any::<u32>(), text, any::<i64>(), number).prop_map(|(attempt, text, i, u)| {
                let mut outcome = Outcome::succeeded(text.clone());
                outcome.carries.insert(text.clone(), json!([i, u, {text: Value::Null}, true]));
                What::NodeFinished { attempt, outcome: Box::new(outcome), reused: true }
            }),
        ]
    }

    fn write(whats: Vec<What>) -> (Vec<Event>, Vec<Vec<u8>>) {
        let mut chain = Chain::default();
        let mut events = Vec::new();
        let mut lines = Vec::new();
        for what in whats {
            let node = (chain.next % 2 == 1).then(|| NodeId::new("research.0"));
            let (seq, at, run) = (chain.next, -7 + i64::from(u32::MAX), RunId::new("r"));
            let event = Event { seq, at, run, node, agent: None, what };
            let (line, next) = chain.seal(&event).unwrap();
            events.push(event);
            lines.push(line);
            chain = next;
        }
        (events, lines)
    }

    fn replay(bytes: &[u8]) -> Result<(Vec<Event>, usize), (u64, Flaw)> {
        let mut chain = Chain::default();
        check_lines(&mut chain, bytes).map_err(|flaw| (chain.next, flaw))
    }

    proptest! {
        #[test]
        fn what_was_written_is_replayed(whats in vec(whats(), 0..8)) {
            let (events, lines) = write(whats);
            let bytes = lines.concat();
            prop_assert_eq!(replay(&bytes), Ok((events, bytes.len())));
        }

        #[test]
        fn a_torn_last_line_is_left_out_at_every_length(whats in vec(whats(), 1..4)) {
            let (mut events, lines) = write(whats);
            let bytes = lines.concat();
            let whole = bytes.len() - lines.last().map_or(0, Vec::len);
            events.pop();
            for len in whole..bytes.len() {
                prop_assert_eq!(replay(&bytes[..len]), Ok((events.clone(), whole)));
            }
        }

        #[test]
        fn an_altered_byte_is_found_in_its_record(
            whats in vec(whats(), 1..6), at in any::<prop::sample::Index>(), flip in 1..=255u8,
        ) {
            let (_, lines) = write(whats);
            let mut bytes = lines.concat();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let ends = lines.iter().scan(0, |end, line| { *end += line.len(); Some(*end) });
            let record = ends.take_while(|end| *end <= at).count();
            if at + 1 == bytes.len() {
                // Without its newline the last record counts as torn, not as altered.
                prop_assert_eq!(replay(&bytes).map(|(events, _)| events.len()), Ok(record));
            } else {
                prop_assert_eq!(replay(&bytes).map_err(|(seq, _)| seq), Err(record as u64));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..400)) {
            prop_assert!(replay(&[&bytes[..], b"\n"].concat()).is_err());
        }
    }

    #[test]
    fn the_form_of_a_line_is_stable() {
        let (_, lines) = write(vec![What::CancelAsked, What::CancelAsked]);
        insta::assert_snapshot!(String::from_utf8(lines.concat()).unwrap(), @r#"
        {"v":1,"seq":0,"at":4294967288,"run":"r","kind":"cancel_asked","prev":"0000000000000000000000000000000000000000000000000000000000000000","hash":"d33aa950d335dc6fe3ca0554889b8acd15691668b11fed964aaa6990f491c48e"}
        {"v":1,"seq":1,"at":4294967288,"run":"r","node":"research.0","kind":"cancel_asked","prev":"d33aa950d335dc6fe3ca0554889b8acd15691668b11fed964aaa6990f491c48e","hash":"761c55f1537f670f31aae63592c568faa8565e591f20f9e90467dca7e3114d8b"}
        "#);
    }

    #[test]
    fn removed_swapped_and_foreign_lines_are_refused() {
        let note = |text: &str| What::Note { level: Level::Info, text: text.to_owned() };
        let (_, lines) = write(vec![note("a"), note("b"), note("c")]);
        let (_, other) = write(vec![note("x"), note("y")]);
        let removed = [&lines[0][..], &lines[2]].concat();
        assert_eq!(replay(&removed), Err((1, Flaw::Prev)));
        assert_eq!(replay(&lines[1]), Err((0, Flaw::Prev)));
        assert_eq!(replay(&[&lines[0][..], &other[1]].concat()), Err((1, Flaw::Prev)));
        assert_eq!(replay(b"\n"), Err((0, Flaw::Hash)));
    }

    #[test]
    fn sealed_lines_of_other_versions_are_told_from_altered_ones() {
        let reseal = |open: &str| {
            let open = format!("{open},\"prev\":\"{START}\"");
            format!("{open},\"hash\":\"{}\"}}\n", digest(START, open.as_bytes())).into_bytes()
        };
        let newer = reseal(r#"{"v":2,"seq":0,"news":1"#);
        assert_eq!(replay(&newer), Err((0, Flaw::Format(2))));
        let wrong = reseal(r#"{"v":1,"seq":5,"at":0,"run":"r","kind":"cancel_asked""#);
        assert_eq!(replay(&wrong), Err((0, Flaw::Number(5))));
        let unknown = reseal(r#"{"v":1,"seq":0,"at":0,"run":"r","kind":"dance""#);
        assert!(matches!(replay(&unknown), Err((0, Flaw::Unknown(_)))));
    }
}
