//! The tools `glob` and `grep`.

use std::{io, ops::ControlFlow};

use globset::{GlobBuilder, GlobMatcher};
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{
    BinaryDetection, Searcher, SearcherBuilder, Sink, SinkContext, SinkContextKind, SinkMatch,
};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::{
    sandbox::{
        files::{Kind, Meta},
        place::Place,
    },
    tools::{answer::Done, text::MAX_FILE, walk::walk},
};

/// Paths that glob lists.
const MAX_PATHS: usize = 500;
/// Bytes of one line that grep shows.
const MAX_LINE: usize = 400;
/// Bytes after which grep ends.
const MAX_BYTES: usize = 200_000;

/// Arguments of `glob`.
#[derive(Debug, Deserialize)]
pub(super) struct Glob {
    pattern: String,
    path: Option<String>,
}

/// Arguments of `grep`.
#[derive(Debug, Deserialize)]
pub(super) struct Grep {
    pattern: String,
    path: Option<String>,
    glob: Option<String>,
    #[serde(default)]
    ignore_case: bool,
    context: Option<usize>,
    max: Option<usize>,
}

/// Lists the files that match.
pub(super) fn glob(place: &Place, args: &Glob, cancel: &CancellationToken) -> Result<Done, String> {
    let matcher = matcher(&args.pattern)?;
    let start = args.path.as_deref().unwrap_or(".");
    let (mut found, mut more) = (String::new(), 0);
    let mut count = 0;
    walk(place, start, cancel, |entry| {
        if entry.kind != Kind::Directory && matches(&matcher, &entry.path, start) {
            count += 1;
            if count <= MAX_PATHS {
                found.push_str(&shown(&entry.path));
                found.push('\n');
            } else {
                more += 1;
            }
        }
        ControlFlow::Continue(())
    })?;
    if count == 0 {
        let pattern = &args.pattern;
        return Ok(Done::said(format!("no file matches `{pattern}`; `**/` matches any depth"), ""));
    }
    if more > 0 {
        found.push_str(&format!("[{more} more; make the pattern narrower]\n"));
    }
    Ok(Done::said(found, "make the pattern narrower"))
}

/// A file name may hold line breaks and control characters.
fn shown(path: &str) -> String {
    if path.chars().any(char::is_control) { format!("{path:?}") } else { path.to_owned() }
}

fn matcher(pattern: &str) -> Result<GlobMatcher, String> {
    let pattern = pattern.trim_start_matches("./").trim_start_matches('/');
    // As in an ignore file, a pattern without a slash is about names in any folder.
    let whole = if pattern.contains('/') { pattern.to_owned() } else { format!("**/{pattern}") };
    let glob = GlobBuilder::new(&whole).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher())
        .map_err(|error| format!("the glob is not valid: {error}; write something like **/*.py"))
}

/// A pattern counts from the tree's root, and from the folder the search starts in as well.
fn matches(matcher: &GlobMatcher, path: &str, start: &str) -> bool {
    let below = path.strip_prefix(start).and_then(|rest| rest.strip_prefix('/'));
    matcher.is_match(path) || below.is_some_and(|below| matcher.is_match(below))
}

/// Searches the contents of files.
pub(super) fn grep(place: &Place, args: &Grep, cancel: &CancellationToken) -> Result<Done, String> {
    let regex = regex(args)?;
    let glob = args.glob.as_deref().map(matcher).transpose()?;
    let start = args.path.as_deref().unwrap_or(".");
    let mut search = Search {
        place,
        regex,
        searcher: SearcherBuilder::new()
            .line_number(true)
            .before_context(args.context.unwrap_or(0))
            .after_context(args.context.unwrap_or(0))
            .binary_detection(BinaryDetection::quit(0))
            .build(),
        hits: Hits { max: args.max.unwrap_or(100), ..Hits::default() },
    };
    if place.metadata(start).is_ok_and(|info| info.kind == Kind::File) {
        search.file(start);
    } else {
        walk(place, start, cancel, |entry| {
            let wanted = glob.as_ref().is_none_or(|glob| matches(glob, &entry.path, start));
            // A link's target is found under its own name, if it is in the tree.
            if entry.kind == Kind::File && wanted {
                search.file(&entry.path);
            }
            if search.hits.full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
    }
    Ok(Done::said(search.hits.words(&args.pattern), "search in a narrower path or glob"))
}

fn regex(args: &Grep) -> Result<RegexMatcher, String> {
    let mut builder = RegexMatcherBuilder::new();
    builder.case_insensitive(args.ignore_case).line_terminator(Some(b'\n'));
    builder.size_limit(8 << 20).dfa_size_limit(16 << 20);
    builder.build(&args.pattern).map_err(|error| {
        format!(
            "the regular expression is not valid: {error}; escape ( ) [ ] {{ }} . * + ? | with a \
             backslash to search for them as they are"
        )
    })
}

struct Search<'a> {
    place: &'a Place,
    regex: RegexMatcher,
    searcher: Searcher,
    hits: Hits,
}

impl Search<'_> {
    fn file(&mut self, path: &str) {
        match self.place.metadata(path) {
            Ok(Meta { kind: Kind::File, len, .. }) if len <= MAX_FILE => {}
            Ok(Meta { kind: Kind::File, .. }) => {
                self.hits.skipped += 1;
                return;
            }
            _ => return,
        }
        let Ok(bytes) = self.place.read(path) else { return };
        let before = self.hits.text.len();
        self.hits.path = shown(path);
        // The sink itself cannot fail; what the searcher cannot read is left out.
        let _ = self.searcher.search_slice(&self.regex, &bytes, &mut self.hits);
        if self.hits.binary {
            self.hits.binary = false;
            self.hits.text.truncate(before);
        }
    }
}

#[derive(Default)]
struct Hits {
    max: usize,
    path: String,
    text: String,
    count: usize,
    full: bool,
    binary: bool,
    skipped: usize,
}

impl Hits {
    fn line(&mut self, number: Option<u64>, bytes: &[u8], mark: char) {
        let line = String::from_utf8_lossy(bytes);
        let line = line.trim_end_matches(['\n', '\r']).replace('\r', "\u{240d}");
        let cut: String = line.chars().take(MAX_LINE).collect();
        let more = if cut.len() < line.len() { " [cut]" } else { "" };
        let (path, number) = (&self.path, number.unwrap_or(0));
        self.text.push_str(&format!("{path}{mark}{number}{mark}{cut}{more}\n"));
    }

    fn words(mut self, pattern: &str) -> String {
        if self.count == 0 {
            self.text = format!("no line matches `{pattern}`\n");
        }
        if self.full {
            self.text.push_str("[stopped here; there may be more: narrow path, glob or pattern]\n");
        }
        if self.skipped > 0 {
            self.text.push_str(&format!("[{} very large files not searched]\n", self.skipped));
        }
        self.text
    }
}

impl Sink for Hits {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, hit: &SinkMatch<'_>) -> Result<bool, io::Error> {
        self.line(hit.line_number(), hit.bytes(), ':');
        self.count += 1;
        self.full = self.count >= self.max || self.text.len() > MAX_BYTES;
        Ok(!self.full)
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> Result<bool, io::Error> {
        if *context.kind() != SinkContextKind::Other {
            self.line(context.line_number(), context.bytes(), '-');
        }
        Ok(true)
    }

    fn context_break(&mut self, _: &Searcher) -> Result<bool, io::Error> {
        self.text.push_str("--\n");
        Ok(true)
    }

    fn binary_data(&mut self, _: &Searcher, _: u64) -> Result<bool, io::Error> {
        self.binary = true;
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tools::testing::Bench;

    async fn bench() -> Bench {
        Bench::new(&[
            ("src/stats.py", "import math\n\ndef mean(xs):\n    return math.fsum(xs)\n"),
            ("src/deep/a.py", "mean = 1\n"),
            ("README.md", "The mean.\n"),
            ("bin", "mean\0mean\n"),
        ])
        .await
    }

    #[tokio::test]
    async fn glob_lists_paths() {
        let bench = bench().await;
        assert_eq!(
            bench.says("glob", json!({"pattern": "*.py"})).await,
            "src/deep/a.py\nsrc/stats.py\n"
        );
        assert_eq!(bench.says("glob", json!({"pattern": "src/*.py"})).await, "src/stats.py\n");
        let below = json!({"pattern": "*.py", "path": "src/deep"});
        assert_eq!(bench.says("glob", below).await, "src/deep/a.py\n");
        assert_eq!(
            bench.says("glob", json!({"pattern": "*.rs"})).await,
            "no file matches `*.rs`; `**/` matches any depth"
        );
        let wrong = bench.fails("glob", json!({"pattern": "a[", "path": "."})).await;
        assert!(wrong.contains("the glob is not valid"), "{wrong}");
    }

    #[tokio::test]
    async fn grep_finds_lines() {
        let bench = bench().await;
        insta::assert_snapshot!(bench.says("grep", json!({"pattern": "mean"})).await, @"
        README.md:1:The mean.
        src/deep/a.py:1:mean = 1
        src/stats.py:3:def mean(xs):
        ");
        let context = json!({"pattern": "def", "context": 1, "path": "src/stats.py"});
        insta::assert_snapshot!(bench.says("grep", context).await, @"
        src/stats.py-2-
        src/stats.py:3:def mean(xs):
        src/stats.py-4-    return math.fsum(xs)
        ");
        let few = json!({"pattern": "MEAN", "ignore_case": true, "max": 1, "glob": "*.py"});
        insta::assert_snapshot!(bench.says("grep", few).await, @"
        src/deep/a.py:1:mean = 1
        [stopped here; there may be more: narrow path, glob or pattern]
        ");
    }

    #[tokio::test]
    async fn a_wrong_pattern_is_told() {
        let wrong = bench().await.fails("grep", json!({"pattern": "mean("})).await;
        assert!(wrong.contains("unclosed group") && wrong.contains("backslash"), "{wrong}");
    }
}
