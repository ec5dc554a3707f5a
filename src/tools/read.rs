//! The tools `read` and `read_many`.
//!
//! A file above the limit of edits is scanned in pieces, so that a window of a 200 MB log costs
//! little memory.

use serde::Deserialize;

use crate::{
    protocol::outcome::Evidence,
    sandbox::{files::Kind, place::Place},
    tools::{
        answer::{Done, Effect, Mark},
        clean::cleaned,
        text::{MAX_FILE, no_file, show_line},
    },
};

/// Bytes that one window shows.
const MAX_SHOWN: usize = 36_000;
/// Bytes that read_many shows of each file.
const MAX_EACH: usize = 12_000;
/// Bytes scanned at once of a large file.
const PIECE: usize = 1 << 20;
/// Bytes of a line that are kept while it is put together of pieces.
const MAX_KEPT: usize = 16 << 10;
/// Bytes in which a NUL makes a file a binary one.
const SNIFFED: usize = 8 << 10;

/// Said under lines that are not shown as they are.
const DIFFERS: &str = "[the file differs from what is shown: control characters are left out; ⟦n \
                       hidden⟧ stands for invisible ones, ⟦secret:…⟧ for a secret. Edit around \
                       them: an edit that holds such a mark would write the mark]\n";

/// Arguments of `read`.
#[derive(Debug, Deserialize)]
pub(super) struct Read {
    path: String,
    offset: Option<u64>,
    limit: Option<u64>,
}

/// Arguments of `read_many`.
#[derive(Debug, Deserialize)]
pub(super) struct ReadMany {
    paths: Vec<String>,
}

/// Shows a window of a file.
pub(super) fn read(place: &Place, args: &Read) -> Result<Done, String> {
    let first = args.offset.unwrap_or(1);
    let wanted = Wanted { first, count: args.limit.unwrap_or(500), bytes: MAX_SHOWN };
    let window = window(place, &args.path, &wanted)?;
    if window.shown == 0 && first > 1 {
        return Err(format!(
            "`{}` has {} lines; offset {first} is behind its end",
            args.path, window.lines
        ));
    }
    Ok(done(vec![(args.path.as_str(), window)]))
}

/// Shows the beginnings of several files.
pub(super) fn read_many(place: &Place, args: &ReadMany) -> Result<Done, String> {
    if args.paths.is_empty() {
        return Err("`paths` is empty; name the files to read".to_owned());
    }
    let share = (MAX_SHOWN + MAX_EACH) / args.paths.len();
    let wanted = Wanted { first: 1, count: 2000, bytes: share.min(MAX_EACH) };
    let (mut windows, mut failed) = (Vec::new(), String::new());
    for path in &args.paths {
        match window(place, path, &wanted) {
            Ok(window) => windows.push((path.as_str(), window)),
            Err(why) => failed.push_str(&format!("=== {path}\n{why}\n")),
        }
    }
    if windows.is_empty() {
        return Err(failed);
    }
    for (path, window) in &mut windows {
        window.text.insert_str(0, &format!("=== {path}\n"));
    }
    let mut done = done(windows);
    done.content.push_str(&failed);
    Ok(done)
}

fn done(windows: Vec<(&str, Window)>) -> Done {
    let mut done = Done { rest: "read on with offset and limit", ..Done::default() };
    let mut read = Vec::new();
    for (path, window) in windows {
        done.content.push_str(&window.text);
        let (from, to) = (number(window.first), number(window.first + window.shown.max(1) - 1));
        // A window behind the end shows no line of the file.
        if window.shown > 0 || window.lines == 0 {
            read.push(Evidence { path: path.to_owned(), from, to });
        }
        done.marks.push(Mark::Shown(path.to_owned(), window.hash));
    }
    if cleaned(&done.content) != done.content {
        done.content.push_str(DIFFERS);
    }
    done.effect = Effect::Read(read);
    done
}

fn number(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

struct Wanted {
    first: u64,
    count: u64,
    bytes: usize,
}

/// Lines of a file as they are shown.
#[derive(Default)]
struct Window {
    text: String,
    first: u64,
    shown: u64,
    /// Lines seen in all; the file's, if `ended`.
    lines: u64,
    ended: bool,
    hash: Option<blake3::Hash>,
}

fn window(place: &Place, path: &str, wanted: &Wanted) -> Result<Window, String> {
    let info = place.metadata(path).map_err(|error| no_file(&error, path))?;
    match info.kind {
        Kind::File => {}
        Kind::Directory => {
            return Err(format!("`{path}` is a folder; use tree or glob to look in"));
        }
        _ => return Err(format!("`{path}` is no regular file")),
    }
    let mut window = Window { first: wanted.first, ..Window::default() };
    if info.len > MAX_FILE {
        scan(place, path, wanted, &mut window)?;
    } else {
        let bytes = place.read(path).map_err(|error| no_file(&error, path))?;
        refuse_binary(path, &bytes, info.len)?;
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let at = error.valid_up_to();
            format!("`{path}` is not UTF-8 text (byte {at} of {}); use bash on it", bytes.len())
        })?;
        for line in text.split_inclusive('\n') {
            window.take(wanted, line);
        }
        window.ended = true;
        window.hash = Some(blake3::hash(&bytes));
    }
    window.close(wanted);
    Ok(window)
}

fn refuse_binary(path: &str, bytes: &[u8], len: u64) -> Result<(), String> {
    if bytes.iter().take(SNIFFED).any(|byte| *byte == 0) {
        return Err(format!("`{path}` is a binary file of {len} bytes; use bash on it"));
    }
    Ok(())
}

/// Takes the window out of a large file, piece by piece; ends behind the window.
fn scan(place: &Place, path: &str, wanted: &Wanted, window: &mut Window) -> Result<(), String> {
    let (mut at, mut line) = (0, Vec::new());
    loop {
        let piece = place.read_range(path, at, PIECE).map_err(|error| no_file(&error, path))?;
        if at == 0 {
            refuse_binary(path, &piece, MAX_FILE)?;
        }
        if piece.is_empty() {
            break;
        }
        at += piece.len() as u64;
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let room = MAX_KEPT.saturating_sub(line.len());
            line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                window.take(wanted, &String::from_utf8_lossy(&line));
                line.clear();
            }
        }
        if window.is_full(wanted) {
            return Ok(());
        }
    }
    if !line.is_empty() {
        window.take(wanted, &String::from_utf8_lossy(&line));
    }
    window.ended = true;
    Ok(())
}

impl Window {
    fn is_full(&self, wanted: &Wanted) -> bool {
        self.shown >= wanted.count || self.text.len() >= wanted.bytes
    }

    fn take(&mut self, wanted: &Wanted, line: &str) {
        self.lines += 1;
        if self.lines >= wanted.first && !self.is_full(wanted) {
            self.shown += 1;
            self.text.push_str(&format!("{}\t{}\n", self.lines, show_line(line)));
        }
    }

    fn close(&mut self, wanted: &Wanted) {
        let next = wanted.first + self.shown;
        let last = next.saturating_sub(1);
        self.ended &= last >= self.lines;
        if self.lines == 0 {
            "(the file is empty)\n".clone_into(&mut self.text);
        } else if !self.ended && self.shown > 0 {
            let first = wanted.first;
            self.text.push_str(&format!("[lines {first}-{last}; read on with offset {next}]\n"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde_json::json;

    use crate::tools::testing::Bench;

    #[tokio::test]
    async fn windows_are_numbered_and_say_where_to_go_on() {
        let text: String = (1..=5).map(|n| format!("line {n}\r\n")).collect();
        let bench = Bench::new(&[("a.txt", &text), ("empty", "")]).await;
        let window = json!({"path": "a.txt", "offset": 2, "limit": 2});
        insta::assert_snapshot!(bench.says("read", window).await, @"
        2	line 2
        3	line 3
        [lines 2-3; read on with offset 4]
        ");
        assert_eq!(bench.says("read", json!({"path": "empty"})).await, "(the file is empty)\n");
        let behind = bench.fails("read", json!({"path": "a.txt", "offset": 9})).await;
        assert!(behind.contains("has 5 lines"), "{behind}");
    }

    #[tokio::test]
    async fn long_lines_are_cut_and_hidden_characters_told() {
        let text = format!("{}\n\u{202e}x\na\rb\n", "y".repeat(3000));
        let bench = Bench::new(&[("a.txt", &text)]).await;
        let said = bench.says("read", json!({"path": "a.txt"})).await;
        assert!(said.contains("[line cut, 1000 bytes more]"), "{said}");
        assert!(said.contains("2\t⟦1 hidden⟧x\n3\ta␍b\n"), "{said}");
        assert!(said.contains("the file differs from what is shown"));
    }

    #[tokio::test]
    async fn binary_missing_and_foreign_files_are_refused() {
        let bench = Bench::new(&[("a.bin", "x\0y"), ("dir/a", "")]).await;
        std::fs::write(bench.path("latin1"), b"caf\xe9").expect("writes");
        for (path, word) in [
            ("a.bin", "binary file of 3 bytes"),
            ("latin1", "not UTF-8"),
            ("dir", "is a folder"),
            ("dir/b.py", "glob `**/b.py`"),
            ("../x", "E_OUTSIDE"),
            ("/etc/passwd", "E_OUTSIDE"),
        ] {
            let said = bench.fails("read", json!({"path": path})).await;
            assert!(said.contains(word), "{path}: {said}");
        }
    }

    #[tokio::test]
    async fn links_lead_nowhere_outside() {
        let bench = Bench::new(&[("a/in", "inside\n")]).await;
        for (target, name) in
            [("/etc/passwd", "out"), ("../..", "up"), ("me", "me"), ("a/in", "in")]
        {
            std::os::unix::fs::symlink(target, bench.path(name)).expect("links");
        }
        assert_eq!(bench.says("read", json!({"path": "in"})).await, "1\tinside\n");
        for path in ["out", "up/tree/a/in", "me"] {
            bench.fails("read", json!({"path": path})).await;
        }
        // Each file is searched under its own name only.
        assert_eq!(bench.says("grep", json!({"pattern": "^inside|root"})).await, "a/in:1:inside\n");
    }

    #[tokio::test]
    async fn a_huge_file_is_read_in_windows() {
        let bench = Bench::new(&[]).await;
        let mut file = std::fs::File::create(bench.path("log")).expect("creates");
        for n in 1..=400_000 {
            writeln!(file, "line number {n} of the log").expect("writes");
        }
        let late = json!({"path": "log", "offset": 399_999});
        insta::assert_snapshot!(bench.says("read", late).await, @"
        399999	line number 399999 of the log
        400000	line number 400000 of the log
        ");
        let early = bench.says("read", json!({"path": "log", "limit": 1})).await;
        assert!(early.ends_with("[lines 1-1; read on with offset 2]\n"), "{early}");
    }

    #[tokio::test]
    async fn many_files_share_the_room() {
        let big = "z\n".repeat(20_000);
        let bench = Bench::new(&[("a", "1\n"), ("b", &big)]).await;
        let said = bench.says("read_many", json!({"paths": ["a", "b", "c"]})).await;
        assert!(said.starts_with("=== a\n1\t1\n=== b\n1\tz\n"), "{}", &said[..80]);
        assert!(said.contains("read on with offset") && said.contains("`c` does not exist"));
        let none = bench.fails("read_many", json!({"paths": ["c"]})).await;
        assert!(none.contains("=== c"), "{none}");
    }
}
