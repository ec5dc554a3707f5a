//! Terms of the user's that must not get into anything public: names, hosts, ticket ids.
//!
//! A text is compared without regard to case, to characters that nobody sees, to how words are
//! parted (blanks, line ends, `-`, `_`, `.`, `/` are the same, and so is nothing at all), to marks over
//! letters and to letters of other alphabets that look like Latin ones; the base64 form of a term counts as well. That finds slips, not somebody who
//! wants to hide a term: one that is translated, spelt backwards, compressed, in base64 with other
//! capitals or drawn in a picture passes. Nothing is ever rewritten.

use std::collections::BTreeSet;

/// Letters that look like Latin ones, each followed by what it looks like.
const LOOKALIKES: &str = "àaáaâaãaäaåaāaăaąaçcćcčcďdèeéeêeëeēeęeěeğgìiíiîiïiīiłlñnńnňnòoóoôoõoöoøoōořrśsšsşsťtùuúuûuüuūuůuýyÿyźzżzžz\
    аaеeоoрpсcуyхxіiјjѕsԁdһhкkмmтtвbнhαaοoρpνvτtιiκkυuχxɡgıiӏl";
/// The shortest term whose base64 form is looked for: of a shorter one too little is left.
const MIN_BASE64: usize = 6;
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Terms to look for.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// As they are compared; one of several words a second time, written as one.
    folded: Vec<(usize, Vec<char>)>,
    encoded: Vec<Vec<String>>,
}

/// Where a term stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Which of the user's terms it is, from 1.
    pub term: usize,
    /// The line on which it begins, from 1.
    pub from: usize,
    /// The line on which it ends.
    pub to: usize,
}

impl Terms {
    /// Takes the user's terms; one without any letter or digit is looked for nowhere.
    pub fn new(terms: &[String]) -> Self {
        let folded = terms.iter().enumerate().flat_map(|(n, term)| {
            let mut chars: Vec<char> = fold(term).into_iter().map(|(c, _)| c).collect();
            while chars.last() == Some(&' ') {
                chars.pop();
            }
            let joined: Vec<char> = chars.iter().copied().filter(|c| *c != ' ').collect();
            let again = (joined.len() < chars.len()).then_some((n + 1, joined));
            [(n + 1, chars)].into_iter().chain(again)
        });
        let encoded = terms.iter().map(|term| base64(term.as_bytes()));
        Self { folded: folded.collect(), encoded: encoded.collect() }
    }

    /// Returns whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.folded.iter().all(|(_, term)| term.is_empty())
    }

    /// Returns where terms stand in a text.
    pub fn find(&self, text: &str) -> Vec<Spot> {
        let stream = fold(text);
        let mut spots = Vec::new();
        for (n, term) in self.folded.iter().filter(|(_, term)| !term.is_empty()) {
            let hits = stream
                .windows(term.len())
                .filter(|window| window.iter().zip(term).all(|((have, _), wanted)| have == wanted));
            spots.extend(hits.map(|hit| Spot {
                term: *n,
                from: hit[0].1,
                to: hit[hit.len() - 1].1,
            }));
        }
        for (n, forms) in self.encoded.iter().enumerate() {
            for at in forms.iter().flat_map(|form| text.match_indices(form.as_str())) {
                let line = text[..at.0].matches('\n').count() + 1;
                spots.push(Spot { term: n + 1, from: line, to: line });
            }
        }
        spots.sort_by_key(|spot| (spot.from, spot.term));
        spots
    }

    /// Returns where terms stand in lines that the older text does not have.
    pub fn find_new(&self, old: &str, new: &str) -> Vec<Spot> {
        let mut spots = self.find(new);
        if !spots.is_empty() {
            let known: BTreeSet<&str> = old.lines().collect();
            let lines: Vec<&str> = new.lines().collect();
            let is_new = |n: usize| lines.get(n - 1).is_none_or(|line| !known.contains(line));
            spots.retain(|spot| (spot.from..=spot.to).any(is_new));
        }
        spots
    }
}

/// Returns whether what is committed here may get public: unless every remote is one that the user
/// calls private (`HOST` or `HOST/PATH`). Without a remote nobody knows, which counts as public.
pub fn is_public(remotes: &[String], private: &[String]) -> bool {
    let is_private = |url: &String| {
        let Some(place) = place(url) else { return false };
        private.iter().any(|own| {
            let own = own.trim_end_matches('/').to_lowercase();
            place.strip_prefix(&own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    remotes.is_empty() || !remotes.iter().all(is_private)
}

/// Returns host and path of a remote, in lower case; none for one that is no host's.
fn place(url: &str) -> Option<String> {
    let (host, path) = match url.split_once("://") {
        Some(("file", _)) => return None,
        Some((_, rest)) => rest.split_once('/').unwrap_or((rest, "")),
        None => url.split_once(':')?,
    };
    let host = host.rsplit('@').next().unwrap_or(host);
    let host = host.split(':').next().unwrap_or(host);
    let plain = !host.is_empty() && !host.contains('/');
    plain.then(|| format!("{host}/{}", path.trim_start_matches('/')).to_lowercase())
}

/// Returns what is compared of a text, each character with its line from 1.
fn fold(text: &str) -> Vec<(char, usize)> {
    let mut out: Vec<(char, usize)> = Vec::with_capacity(text.len());
    let mut line = 1;
    for c in text.chars() {
        match c {
            _ if is_unseen(c) => {}
            '-' | '_' | '.' | '/' | '+' | '\u{2010}'..='\u{2015}' => part(&mut out, line),
            _ if c.is_whitespace() => part(&mut out, line),
            _ => out.extend(c.to_lowercase().map(|c| (plain(c), line))),
        }
        line += usize::from(c == '\n');
    }
    out
}

/// Parts two words; once is enough, and nothing needs to be parted from the beginning.
fn part(out: &mut Vec<(char, usize)>, line: usize) {
    if out.last().is_some_and(|(last, _)| *last != ' ') {
        out.push((' ', line));
    }
}

fn is_unseen(c: char) -> bool {
    // Marks that stand over a letter: with or without them it is the same letter.
    matches!(c, '\u{ad}' | '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

fn plain(c: char) -> char {
    if c.is_ascii() {
        return c;
    }
    if let wide @ '\u{ff01}'..='\u{ff5e}' = c {
        return char::from_u32(u32::from(wide) - 0xfee0).map_or(c, |c| c.to_ascii_lowercase());
    }
    let mut pairs = LOOKALIKES.chars();
    while let (Some(odd), Some(latin)) = (pairs.next(), pairs.next()) {
        if odd == c {
            return latin;
        }
    }
    c
}

/// Returns the base64 of a text as it stands in that of a longer one: of the three ways in which it
/// can be cut into groups, the characters that it decides alone.
fn base64(term: &[u8]) -> Vec<String> {
    if term.len() < MIN_BASE64 {
        return Vec::new();
    }
    let way = |before: usize| {
        let bits = |at: usize| {
            (at * 6..at * 6 + 6).fold(0_usize, |value, bit| {
                let byte = term[bit / 8 - before];
                value << 1 | usize::from(byte >> (7 - bit % 8) & 1)
            })
        };
        let (first, last) = ((before * 8).div_ceil(6), (before + term.len()) * 8 / 6);
        (first..last).map(|at| char::from(BASE64[bits(at)])).collect()
    };
    (0..3).map(way).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(terms: &[&str], text: &str) -> Vec<(usize, usize, usize)> {
        let terms: Vec<String> = terms.iter().map(|term| (*term).to_owned()).collect();
        let spots = Terms::new(&terms).find(text);
        spots.iter().map(|spot| (spot.term, spot.from, spot.to)).collect()
    }

    #[test]
    fn a_term_is_found_however_it_is_dressed() {
        for text in [
            "x\nblue falcon\n",
            "x\nBLUE_Falcon\n",
            "x\nblue-falcon.example.org",
            "x\nb\u{200b}lue  fal\u{ad}con",
            "x\nblu\u{435} f\u{430}lc\u{43e}n",
            "x\nｂｌｕｅ　ｆａｌｃｏｎ",
            "x\n\u{fffd}\u{1}Exif\0Blue Falcon\0",
        ] {
            assert_eq!(found(&["Blue Falcon"], text), [(1, 2, 2)], "{text}");
        }
        assert_eq!(found(&["blue falcon"], "a blue\n   falcon"), [(1, 1, 2)]);
        assert_eq!(found(&["x-1", "blue"], "blue\nX 1 blue"), [(2, 1, 1), (1, 2, 2), (2, 2, 2)]);
        assert_eq!(found(&["blue falcon"], "blue whale falcon bluefalco"), []);
        assert!(Terms::new(&["-".to_owned(), String::new()]).is_empty());
        assert_eq!(found(&["", " "], "a b"), []);
    }

    #[test]
    fn a_term_written_as_one_word_or_with_other_marks_got_through() {
        for text in ["class BlueFalcon:", "com.blue.falcon", "blue/falcon", "blue\u{2011}falcon"] {
            assert_eq!(found(&["Blue Falcon"], text), [(1, 1, 1)], "{text}");
        }
        for text in ["Müller", "Mu\u{308}ller", "MULLER", "mu\u{308}ller.txt"] {
            assert_eq!(found(&["Müller"], text), [(1, 1, 1)], "{text}");
        }
        assert_eq!(found(&["corp"], "decor person"), [], "one word is not put together");
    }

    #[test]
    fn base64_of_a_term_is_found_at_each_of_its_three_places() {
        // The base64 of `aBlue Falcon!`, with none, one and two letters before it.
        for text in ["Qmx1ZSBGYWxjb24h", "YUJsdWUgRmFsY29uIQ==", "YWFCbHVlIEZhbGNvbiE="] {
            assert_eq!(found(&["Blue Falcon"], text), [(1, 1, 1)], "{text}");
        }
    }

    #[test]
    fn what_stood_there_before_is_no_news() {
        let terms = Terms::new(&["falcon".to_owned()]);
        assert_eq!(terms.find_new("a\nfalcon\n", "b\na\nfalcon\n"), []);
        let spots = terms.find_new("a\nfalcon\n", "a\nfalcon\nmy falcon\n");
        assert_eq!(spots, [Spot { term: 1, from: 3, to: 3 }]);
    }

    #[test]
    fn only_what_the_user_calls_private_is_private() {
        let public = |remotes: &[&str]| {
            let own =
                |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            is_public(&own(remotes), &own(&["git.corp.example", "github.com/Acme/"]))
        };
        assert!(public(&[]), "nobody knows");
        assert!(!public(&["https://git.corp.example/a.git", "git@git.corp.example:a/b"]));
        assert!(!public(&["ssh://me@Git.Corp.example:22/x", "git@github.com:acme/x.git"]));
        for url in [
            "https://git.corp.example.evil.org/a",
            "git@github.com:acmeevil/x",
            "https://github.com/x?git.corp.example",
            "/srv/git.corp.example",
            "file:///git.corp.example/a",
            "https://git.corp.example@evil.org/a",
        ] {
            assert!(public(&[url]), "{url}");
        }
        assert!(public(&["git@git.corp.example:a", "git@github.com:me/a"]), "one is enough");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(term in ".{0,20}", old in "(?s).{0,80}", new in "(?s).{0,80}") {
            let terms = Terms::new(std::slice::from_ref(&term));
            terms.find_new(&old, &new);
            let hit = !terms.find(&format!("{new} {term}")).is_empty();
            proptest::prop_assert_eq!(hit, !terms.is_empty());
        }
    }
}
