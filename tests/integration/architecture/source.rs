//! Rust source as text: what is code, what is a test, which paths it names.
//!
//! A small lexer blanks strings and comments and keeps every line where it is, so that a byte
//! offset gives the line number. It reads what rustfmt writes and is no parser.

/// One file of `src/`.
pub(crate) struct Source {
    /// Its path below the package, with `/`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
    /// The same length with strings, comments and tests blanked.
    pub(crate) live: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let mut code = text.as_bytes().to_vec();
        blank_text(&mut code);
        for (from, to) in test_spans(&code) {
            wipe(&mut code, from, to);
        }
        let live = String::from_utf8_lossy(&code).into_owned();
        Self { path: path.to_owned(), text: text.to_owned(), live }
    }

    /// Returns the paths, without ending, of the files that this one declares for tests only.
    pub(crate) fn test_files(&self) -> Vec<String> {
        let folder = format!("src/{}", self.module().join("/"));
        let declared = self.text.split("#[cfg(test)]").skip(1).filter_map(|rest| {
            let line = rest.trim_start().lines().next()?;
            let name = line.strip_suffix(';')?.split_whitespace().last()?;
            line.contains("mod ").then(|| format!("{folder}/{name}"))
        });
        declared.collect()
    }

    /// Makes a file that is compiled for tests only count as a test.
    pub(crate) fn set_test(&mut self) {
        let mut code = self.live.clone().into_bytes();
        let end = code.len();
        wipe(&mut code, 0, end);
        self.live = String::from_utf8_lossy(&code).into_owned();
    }

    /// Returns the folders and the file below `src/`: `["git", "repo"]`.
    pub(crate) fn module(&self) -> Vec<&str> {
        let path = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let path = path.strip_suffix(".rs").unwrap_or(path);
        let mut parts: Vec<_> = path.split('/').collect();
        if matches!(parts.last(), Some(&"mod" | &"lib" | &"main")) {
            parts.pop();
        }
        parts
    }

    /// Returns the room; none for `lib.rs` and `main.rs`.
    pub(crate) fn room(&self) -> Option<&str> {
        self.module().first().copied()
    }

    /// Returns `path:line` of a byte offset.
    pub(crate) fn at(&self, offset: usize) -> String {
        let line = self.text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count();
        format!("{}:{}", self.path, line + 1)
    }

    /// Returns every path that the live code names, in full: those of `use` flattened, others
    /// with their first name resolved by the file's imports.
    pub(crate) fn paths(&self) -> Vec<(usize, Vec<String>)> {
        let (imports, spans) = imports(&self.live);
        let mut found = imports.clone();
        for (at, path) in inline_paths(&self.live) {
            if spans.iter().any(|(from, to)| (*from..*to).contains(&at)) {
                continue;
            }
            let known = imports.iter().find(|(_, import)| import.last() == path.first());
            let head = known.map(|(_, import)| import[..import.len() - 1].to_vec());
            found.push((at, head.unwrap_or_default().into_iter().chain(path).collect()));
        }
        for (_, path) in &mut found {
            self.make_absolute(path);
        }
        found
    }

    /// Turns `super::super::x` and `self::x` into `crate::…::x`.
    fn make_absolute(&self, path: &mut Vec<String>) {
        let mut module = self.module();
        let ups = path.iter().take_while(|part| *part == "super").count();
        let is_self = path.first().is_some_and(|part| part == "self");
        if ups == 0 && !is_self {
            return;
        }
        module.truncate(module.len().saturating_sub(ups));
        let head = ["crate"].into_iter().chain(module).map(str::to_owned);
        *path = head.chain(path.drain(ups.max(1)..)).collect();
    }

    /// Returns name, offset and number of lines of every function with a body.
    pub(crate) fn functions(&self) -> Vec<(String, usize, usize)> {
        let code = self.live.as_bytes();
        let heads = words(&self.live).filter(|(_, word)| *word == "fn");
        heads
            .filter_map(|(at, _)| {
                let name: String =
                    self.live[at + 3..].chars().take_while(|c| is_word(*c)).collect();
                let (_, end) = body(code, at)?;
                let lines = self.live[at..end].matches('\n').count() + 1;
                (!name.is_empty()).then_some((name, at, lines))
            })
            .collect()
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns the words of a text with their offsets.
pub(crate) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split(|c: char| !is_word(c))
        .filter(|word| !word.is_empty())
        .map(|word| (word.as_ptr().addr() - text.as_ptr().addr(), word))
}

fn wipe(code: &mut [u8], from: usize, to: usize) {
    for byte in &mut code[from..to] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// Blanks comments and the insides of strings and characters.
fn blank_text(code: &mut [u8]) {
    let mut at = 0;
    while at < code.len() {
        let rest = &code[at..];
        let before = at.checked_sub(1).map(|before| code[before]);
        let is_fresh = !before.is_some_and(|byte| is_word(char::from(byte)));
        let length = if rest.starts_with(b"//") {
            rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            block_comment(rest)
        } else if rest[0] == b'"' {
            quoted(rest)
        } else if let Some(length) = raw_string(rest).filter(|_| is_fresh) {
            length
        } else if rest[0] == b'\'' {
            character(rest).unwrap_or(0)
        } else {
            0
        };
        wipe(code, at, at + length);
        at += length.max(1);
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    rest.len()
}

fn quoted(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw_string(rest: &[u8]) -> Option<usize> {
    let prefix = [&b"br"[..], b"cr", b"r"].into_iter().find(|prefix| rest.starts_with(prefix))?;
    let hashes = rest[prefix.len()..].iter().take_while(|byte| **byte == b'#').count();
    let start = prefix.len() + hashes;
    if rest.get(start) != Some(&b'"') {
        return None;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let end = rest[start + 1..].windows(close.len()).position(|part| part == close.as_bytes());
    Some(end.map_or(rest.len(), |end| start + 1 + end + close.len()))
}

/// Returns the length of a character literal; none for a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    if rest.get(1) == Some(&b'\\') {
        return rest[3..].iter().position(|byte| *byte == b'\'').map(|end| end + 4);
    }
    let text = String::from_utf8_lossy(&rest[1..rest.len().min(8)]).into_owned();
    let first = text.chars().next()?;
    text[first.len_utf8()..].starts_with('\'').then(|| first.len_utf8() + 2)
}

/// Returns the braces of the item at `from` and their end; none when it ends in a semicolon.
fn body(code: &[u8], from: usize) -> Option<(usize, usize)> {
    let (mut parens, mut depth, mut start) = (0_i32, 0_i32, 0);
    for (at, byte) in code.iter().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => parens += 1,
            b')' | b']' => parens -= 1,
            b';' if parens == 0 && depth == 0 => return None,
            b'{' => {
                if depth == 0 {
                    start = at;
                }
                depth += 1;
            }
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some((start, at + 1));
                }
            }
            _ => {}
        }
    }
    None
}

/// Returns the spans of items under `#[cfg(test)]` and `#[test]`.
fn test_spans(code: &[u8]) -> Vec<(usize, usize)> {
    let text = String::from_utf8_lossy(code);
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for mark in ["#[cfg(test)]", "#[test]", "#[tokio::test"] {
        for (at, _) in text.match_indices(mark) {
            let end = body(code, at + mark.len()).map(|(_, end)| end);
            let semicolon = || code[at..].iter().position(|byte| *byte == b';');
            if let Some(end) = end.or_else(|| semicolon().map(|length| at + length + 1)) {
                spans.push((at, end));
            }
        }
    }
    spans
}

type Paths = Vec<(usize, Vec<String>)>;

/// Returns the paths of all `use` declarations, and the spans of the declarations.
fn imports(code: &str) -> (Paths, Vec<(usize, usize)>) {
    let (mut paths, mut spans) = (Vec::new(), Vec::new());
    // `r#use` is a field's name.
    let is_use = |(at, word): &(usize, &str)| *word == "use" && !code[..*at].ends_with('#');
    for (at, _) in words(code).filter(is_use) {
        let end = code[at..].find(';').map_or(code.len(), |length| at + length);
        flatten(code, (at + 3, end), &[], &mut paths);
        spans.push((at, end));
    }
    (paths, spans)
}

/// Flattens `a::{b, c::{d, e as f}}` within a span of the code.
fn flatten(code: &str, (from, to): (usize, usize), head: &[String], into: &mut Paths) {
    let text = &code[from..to];
    let Some(open) = text.find('{') else {
        let text_start = from + (text.len() - text.trim_start().len());
        let path = text.split(" as ").next().unwrap_or(text);
        let mut path: Vec<_> = head.iter().cloned().chain(parts(path)).collect();
        if path.len() > head.len() {
            // `a::{self}` is `a`.
            if path.len() > 1 && path.last().is_some_and(|part| part == "self") {
                path.pop();
            }
            into.push((text_start, path));
        }
        return;
    };
    let head: Vec<_> = head.iter().cloned().chain(parts(&text[..open])).collect();
    let close = text.rfind('}').unwrap_or(text.len());
    let (mut depth, mut start) = (0, open + 1);
    for (at, c) in text[..close].char_indices().skip(open + 1).chain([(close, ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                flatten(code, (from + start, from + at), &head, into);
                start = at + 1;
            }
            _ => {}
        }
    }
}

fn parts(path: &str) -> impl Iterator<Item = String> {
    path.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned)
}

/// Returns the paths written out in code: `a::b::c`, without generics.
fn inline_paths(code: &str) -> Paths {
    let mut found: Paths = Vec::new();
    let mut end = 0;
    for (at, word) in words(code) {
        let joined = &code[end..at] == "::";
        end = at + word.len();
        match found.last_mut() {
            Some((_, path)) if joined => path.push(word.to_owned()),
            _ => found.push((at, vec![word.to_owned()])),
        }
    }
    found.retain(|(_, path)| path.len() > 1);
    found
}
