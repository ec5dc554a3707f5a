//! Whether git would convert a file's bytes before it stores them.
//!
//! Only a coarse answer is needed: where none of the attribute files and settings can convert
//! anything, bytes are stored as they are, in process; otherwise the git program decides.

use std::{fs, path::PathBuf};

use git2::{Repository, Tree, TreeWalkMode, TreeWalkResult};

use crate::git::{program::GitError, repo::Repo};

/// What conversion is possible; the later, the more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Conversion {
    /// None: bytes are stored as they are.
    #[default]
    None,
    /// Line ends only: bytes without a carriage return are stored as they are.
    LineEnds,
    /// Filters, keyword expansion or encodings.
    Any,
}

impl Conversion {
    /// Returns whether these bytes must go through the git program.
    pub fn touches(self, bytes: &[u8]) -> bool {
        match self {
            Self::None => false,
            Self::LineEnds => bytes.contains(&b'\r'),
            Self::Any => true,
        }
    }
}

/// Returns what an attribute file makes possible.
pub fn in_text(text: &[u8]) -> Conversion {
    let words = text.split(u8::is_ascii_whitespace);
    let of = |word: &[u8]| match word.split(|byte| *byte == b'=').next() {
        Some(b"filter" | b"ident" | b"working-tree-encoding") => Conversion::Any,
        Some(b"text" | b"eol" | b"crlf") => Conversion::LineEnds,
        _ => Conversion::None,
    };
    words.map(of).max().unwrap_or_default()
}

/// Returns what the attribute files of a tree of the user's make possible.
pub fn in_tree(library: &Repository, tree: &Tree<'_>) -> Result<Conversion, GitError> {
    let mut most = Conversion::None;
    let walked = tree.walk(TreeWalkMode::PreOrder, |_, entry| {
        if entry.name_bytes() == b".gitattributes"
            && let Ok(blob) = library.find_blob(entry.id())
        {
            most = most.max(in_text(blob.content()));
        }
        TreeWalkResult::Ok
    });
    walked.map_err(GitError::library("read the attributes"))?;
    Ok(most)
}

/// Returns what settings and attribute files outside the tree make possible.
pub fn outside(repo: &Repo) -> Conversion {
    let config = repo.open().ok().and_then(|library| library.config().ok()?.snapshot().ok());
    let get = |key: &str| config.as_ref()?.get_string(key).ok();
    let auto = match get("core.autocrlf").map(|value| value.to_ascii_lowercase()).as_deref() {
        None | Some("false" | "no" | "off" | "0" | "") => Conversion::None,
        Some(_) => Conversion::LineEnds,
    };
    let named = config.as_ref().and_then(|config| config.get_path("core.attributesFile").ok());
    let files = [
        Some(repo.common_dir().join("info/attributes")),
        named.or_else(default_file),
        Some(PathBuf::from("/etc/gitattributes")),
    ];
    let texts = files.into_iter().flatten().filter_map(|path| fs::read(path).ok());
    texts.map(|text| in_text(&text)).max().unwrap_or_default().max(auto)
}

fn default_file() -> Option<PathBuf> {
    // The ignore file's default place is found the same way and lies beside it.
    Some(ignore::gitignore::gitconfig_excludes_path()?.parent()?.join("attributes"))
}
