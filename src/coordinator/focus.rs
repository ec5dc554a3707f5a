//! Which files a model without tools is shown: those that the issue is about, by its own words.
//!
//! A file scores for its path, its stem and the functions it defines being named in the issue.
//! Tests are left out, because they are not what is to be changed. Pure.

use std::collections::BTreeSet;

use crate::code::{functions, test_file::is_test_file};

/// Bytes of file content that a prompt shows, all files together.
const MAX_BYTES: usize = 24_000;

/// Returns the files to show, best first; the only source file is shown in any case.
pub(super) fn pick(task: &str, files: Vec<(String, String)>) -> Vec<(String, String)> {
    let words: BTreeSet<&str> =
        task.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| w.len() > 2).collect();
    let mut scored: Vec<(usize, String, String)> = files
        .into_iter()
        .filter(|(path, _)| !is_test_file(path))
        .map(|(path, content)| (score(task, &words, (&path, &content)), path, content))
        .collect();
    scored.sort_by(|a, b| b.0.cmp(&a.0).then(a.2.len().cmp(&b.2.len())).then(a.1.cmp(&b.1)));
    let best = scored.first().map_or(0, |first| first.0);
    let mut left = MAX_BYTES;
    let mut picked = Vec::new();
    for (score, path, content) in scored {
        // A file that the issue names half as often as the best one is noise to a small model.
        if score * 2 < best || (score == 0 && !picked.is_empty()) || content.len() > left {
            continue;
        }
        left -= content.len();
        picked.push((path, content));
    }
    picked
}

fn score(task: &str, words: &BTreeSet<&str>, (path, content): (&str, &str)) -> usize {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.split('.').next().unwrap_or(name);
    let mut score = 0;
    score += if task.contains(path) { 8 } else { 0 };
    score += if words.contains(stem) { 4 } else { 0 };
    let named = functions::functions(path, content)
        .into_iter()
        .filter(|function| words.contains(function.name.as_str()));
    score + 4 * named.map(|function| function.name).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> (String, String) {
        (path.to_owned(), text.to_owned())
    }

    #[test]
    fn the_file_that_defines_the_named_function_comes_alone() {
        let files = vec![
            file("a.py", "def other():\n    pass\n"),
            file("b.py", "def median(xs):\n    return xs\n"),
            file("tests/test_b.py", "def test_median():\n    pass\n"),
        ];
        let picked = pick("median(xs) of an even list is wrong", files);
        assert_eq!(picked.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["b.py"]);
    }

    #[test]
    fn an_issue_that_names_nothing_still_shows_something() {
        let picked = pick("it is broken", vec![file("x.py", "a = 1\n")]);
        assert_eq!(picked.len(), 1);
    }
}
