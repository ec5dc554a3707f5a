//! Redacts secrets: by the formats of `secrets.yaml`, by PEM blocks, and by known values.
//!
//! What takes a secret's place says its kind and the beginning of its hash, so that two places can be
//! compared. Every pattern begins and ends at a word's edge, and what is put in begins and ends with
//! no word's character: so taking one out cannot make another one match, and a second pass finds
//! nothing more.

use std::sync::{LazyLock, OnceLock};

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::settings::yaml;

/// Shortest value of the environment that is taken for a secret.
const MIN_VALUE: usize = 8;
/// A value as long as this is taken for one even without a digit.
const LONG_VALUE: usize = 16;
/// Words in the middle of a value that nobody uses as it is.
const PLACEHOLDERS: [&str; 6] =
    ["example", "placeholder", "changeme", "xxxxx", "redacted", "your_"];
/// A private key: its first line, what may stand between, its lines, its last line.
const PEM: &str = r#"-----BEGIN ([A-Z0-9]+ ){0,3}PRIVATE KEY( BLOCK)?-----(Proc-Type: [0-9A-Z,]+|DEK-Info: [0-9A-Za-z,-]+|Version: [A-Za-z0-9. ()]+|[\s0-9\\nr"'+,])*[A-Za-z0-9+/=]{40}[A-Za-z0-9+/=\s\\"',]*(-----END [A-Z0-9 ]{1,40}-----)?"#;

/// One format, as the table has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    keywords: Vec<String>,
    regex: String,
    entropy: f64,
    /// Whether the secret is told by what stands before it; such a one is not looked for across lines.
    #[serde(default)]
    assigned: bool,
}

struct Rule {
    row: Row,
    /// Made when one of the keywords is seen for the first time: few are, and making all takes 1 ms.
    pattern: OnceLock<Regex>,
}

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let rows: Vec<Row> =
        yaml::from_str("secrets.yaml", include_str!("secrets.yaml")).expect("a table of ours");
    rows.into_iter().map(|row| Rule { row, pattern: OnceLock::new() }).collect()
});
/// What `mark` puts in a secret's place.
static MASKED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("⟦secret:[^⟦⟧\n]{0,80}⟧").expect("a pattern of ours"));
static PRIVATE: LazyLock<Regex> = LazyLock::new(|| bytes(PEM));

fn bytes(pattern: &str) -> Regex {
    RegexBuilder::new(pattern).unicode(false).build().expect("a pattern of ours")
}

/// Values that are secrets wherever they stand.
#[derive(Clone, Debug, Default)]
pub struct Known(Option<Regex>);

impl Known {
    /// Takes the values of variables whose names say that they are secret.
    pub fn of(environment: impl IntoIterator<Item = (String, String)>) -> Self {
        let secret = |(name, value): &(String, String)| is_secret(name) && is_telling(value);
        let values = environment.into_iter().filter(secret).map(|(_, value)| value);
        let mut values: Vec<String> = values.collect();
        // The first alternative wins, so a value goes before its own beginning.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        let escaped: Vec<String> = values.iter().map(|value| regex::escape(value)).collect();
        // A set of values too large for a pattern cannot come from an environment.
        Self(if escaped.is_empty() { None } else { Regex::new(&escaped.join("|")).ok() })
    }

    /// Returns the text with its secrets redacted.
    pub fn redact(&self, mut text: String) -> String {
        if text.contains("PRIVATE KEY") {
            replace(&mut text, &PRIVATE, |found| Some(mark("private-key", found)));
        }
        if let Some(values) = &self.0 {
            replace(&mut text, values, |found| Some(mark("environment", found)));
        }
        for rule in RULES.iter().filter(|rule| rule.is_named_in(&text)).collect::<Vec<_>>() {
            replace(&mut text, rule.pattern(), |found| rule.judge(found));
        }
        join_lines(&text).unwrap_or(text)
    }
}

impl Rule {
    fn pattern(&self) -> &Regex {
        self.pattern.get_or_init(|| bytes(&self.row.regex))
    }

    fn is_named_in(&self, text: &str) -> bool {
        self.row.keywords.iter().any(|word| text.contains(word.as_str()))
    }

    /// Returns what takes the secret's place, if it is one.
    fn judge(&self, found: &str) -> Option<String> {
        let low = found.to_ascii_lowercase();
        let digit = found.bytes().any(|byte| byte.is_ascii_digit());
        let real = entropy(found) >= self.row.entropy
            && (digit || !self.row.assigned)
            && !PLACEHOLDERS.iter().any(|word| low.contains(word));
        real.then(|| mark(&self.row.id, found))
    }
}

/// Puts something else for each match, or for what the pattern names `secret`.
fn replace(text: &mut String, pattern: &Regex, put: impl Fn(&str) -> Option<String>) {
    let (mut out, mut done) = (String::new(), 0);
    for found in pattern.captures_iter(text) {
        let Some(secret) = found.name("secret").or(found.get(0)) else { continue };
        let Some(mark) = put(secret.as_str()) else { continue };
        out.push_str(&text[done..secret.start()]);
        out.push_str(&mark);
        done = secret.end();
    }
    if done > 0 {
        out.push_str(&text[done..]);
        *text = out;
    }
}

/// Redacts secrets that a line's end cuts in two; `None` if there are none. The lines stay.
fn join_lines(text: &str) -> Option<String> {
    let rules: Vec<&Rule> = RULES.iter().filter(|rule| !rule.row.assigned).collect();
    let mut lines: Vec<String> = Vec::new();
    let mut changed = false;
    for line in text.split('\n') {
        let cut = lines.last().and_then(|last| across(&rules, last, line));
        let Some((head, tail)) = cut else {
            lines.push(line.to_owned());
            continue;
        };
        changed = true;
        if let Some(last) = lines.last_mut() {
            *last = head;
        }
        lines.push(tail);
    }
    changed.then(|| lines.join("\n"))
}

/// Returns both lines anew if a secret reaches from the one into the other.
fn across(rules: &[&Rule], last: &str, line: &str) -> Option<(String, String)> {
    let end = last.trim_end_matches([' ', '\t', '\\', '"', '\'', '+']);
    let head = &end[end.rfind(|c: char| !is_key(c)).map_or(0, |at| at + width(end, at))..];
    let margin = margin(line);
    let rest = &line[margin..];
    let tail = &rest[..rest.find(|c: char| !is_key(c)).unwrap_or(rest.len())];
    if head.is_empty() || tail.is_empty() || head.len() + tail.len() < 20 {
        return None;
    }
    let joined = format!("{head}{tail}");
    for rule in rules.iter().filter(|rule| rule.is_named_in(&joined)) {
        let spans =
            |found: &regex::Match<'_>| found.start() < head.len() && found.end() > head.len();
        let Some(found) = rule.pattern().find_iter(&joined).find(spans) else { continue };
        let Some(mark) = rule.judge(found.as_str()) else { continue };
        let kept = end.len() - head.len() + found.start();
        let after = margin + found.end() - head.len();
        return Some((
            format!("{}{mark}{}", &last[..kept], &last[end.len()..]),
            format!("{}{}", &line[..margin], &line[after..]),
        ));
    }
    None
}

/// Bytes at the beginning of a line that its text does not begin with: indent, a line's number, a quote.
fn margin(line: &str) -> usize {
    let inner = line.trim_start_matches([' ', '\t']);
    let numbered = inner.trim_start_matches(|c: char| c.is_ascii_digit());
    let inner = numbered.strip_prefix('\t').unwrap_or(inner);
    line.len() - inner.trim_start_matches([' ', '\t', '"', '\'', '>', '|']).len()
}

fn width(text: &str, at: usize) -> usize {
    text[at..].chars().next().map_or(0, char::len_utf8)
}

fn is_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-.+/=:".contains(c)
}

/// Returns what stands in a secret's place in a text, wherever it does.
pub fn masked(text: &str) -> impl Iterator<Item = &str> {
    MASKED.find_iter(text).map(|found| found.as_str())
}

fn mark(id: &str, secret: &str) -> String {
    format!("⟦secret:{id}:{}⟧", &blake3::hash(secret.as_bytes()).to_hex()[..4])
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name.split('_').any(|word| {
        ["KEY", "APIKEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE"].contains(&word)
    }) && !name.ends_with("_ID")
}

/// A path, a common word or a number would be redacted all over the text.
fn is_telling(value: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| value.as_bytes().iter().any(kind);
    let mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    let long = if mixed { MIN_VALUE } else { LONG_VALUE };
    let odd = |c: char| c.is_control() || c.is_whitespace() || "⟦⟧".contains(c);
    value.len() >= long && !value.starts_with(['/', '~', '.']) && !value.contains(odd)
}

/// Bits that a character tells.
fn entropy(text: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in text.bytes() {
        counts[usize::from(byte)] += 1;
    }
    let all = text.len() as f64;
    let bits = |count: &u32| -f64::from(*count) / all * (f64::from(*count) / all).log2();
    counts.iter().filter(|count| **count > 0).map(bits).sum()
}

#[cfg(test)]
mod tests;
