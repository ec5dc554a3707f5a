//! What trees are made of: the cheapest shape that works here and is worth it.
//!
//! An overlay costs what changes in it, whatever the size of the repository, but only this process
//! and what it starts see its files; the branch, the snapshots and `grafter worktree` tell of it
//! elsewhere. So small repositories, where it gains nothing, keep trees that anybody can look into.

use std::{
    fs::{DirBuilder, File},
    io::Read,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    git::tree::Shape,
    sandbox::overlay,
    settings::load::{ALL, Section},
};

/// Tracked files from which on an overlay is worth it: below, it saves a few dozen milliseconds.
pub const WORTH: u32 = 2000;

/// The section `[trees]` of the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// What trees are made of.
    pub shape: Wanted,
}

impl Section for Options {
    const NAME: &'static str = "trees";
    // What is mounted on the user's machine is not a repository's to say.
    const NO_REPO: &'static [&'static str] = &[ALL];
}

/// What the user wants trees to be made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// Overlays where they work and the repository is large.
    #[default]
    Auto,
    /// Overlays, whatever the size of the repository.
    Overlay,
    /// Files of their own.
    Plain,
}

/// Makes overlays possible in this process, if they are wanted for a repository with this git
/// directory; must be called before there is a second thread. Returns why that cannot be, where they
/// are wanted whatever it costs; plain trees do otherwise.
pub fn enter(wanted: Wanted, git_dir: &Path) -> Result<(), String> {
    match wanted {
        Wanted::Plain => Ok(()),
        Wanted::Auto if tracked(&git_dir.join("index")).is_none_or(|files| files < WORTH) => Ok(()),
        Wanted::Auto => {
            if let Err(why) = overlay::enter() {
                tracing::debug!(why, "trees are plain");
            }
            Ok(())
        }
        Wanted::Overlay => overlay::enter(),
    }
}

/// Returns what the trees of a repository are made of, whose trees lie in this folder; where an
/// overlay cannot be laid after all, that is files of their own.
pub fn shape(trees: &Path) -> Shape {
    if !overlay::is_entered() {
        return Shape::Plain;
    }
    let store = store(trees);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&store);
    let probed = made.map_err(|error| error.to_string()).and_then(|()| overlay::probe(&store));
    match probed {
        Ok(()) => Shape::Overlay(store),
        Err(why) => {
            tracing::warn!(why, "trees are plain");
            Shape::Plain
        }
    }
}

/// Returns where the templates of a repository lie whose trees lie in this folder.
pub fn store(trees: &Path) -> PathBuf {
    let mut name = trees.as_os_str().to_owned();
    name.push(".templates");
    PathBuf::from(name)
}

/// Returns the number of files that an index holds; its head says it
/// (<https://git-scm.com/docs/index-format>).
pub fn tracked(index: &Path) -> Option<u32> {
    let mut head = [0; 12];
    File::open(index).ok()?.read_exact(&mut head).ok()?;
    let (mark, count) = (head.first_chunk::<4>()?, head.last_chunk::<4>()?);
    (mark == b"DIRC").then(|| u32::from_be_bytes(*count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    #[test]
    fn the_head_of_an_index_says_how_many_files_are_tracked() {
        let fixture = Fixture::small();
        let files = fixture.git(&["ls-files"]).lines().count();
        let index = fixture.repo().git_dir().join("index");
        assert_eq!(tracked(&index), u32::try_from(files).ok());
        assert_eq!(tracked(&index.with_file_name("HEAD")), None);
        assert_eq!(tracked(&index.with_file_name("none")), None);
    }

    #[test]
    fn a_small_repository_has_plain_trees() {
        let fixture = Fixture::small();
        assert_eq!(enter(Wanted::Auto, fixture.repo().git_dir()), Ok(()));
        assert_eq!(shape(&fixture.beside("trees")), Shape::Plain);
    }
}
