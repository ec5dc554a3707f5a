//! What a place may show and reach beyond the others of its run, because the user said so.

use std::path::{Path, PathBuf};

use crate::sandbox::hosts::HostRule;

/// Folders and files of the host, and hosts of the network, for one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Where it may read, on the host; seen inside at the same path.
    pub read: Vec<PathBuf>,
    /// Where it may write as well.
    pub write: Vec<PathBuf>,
    /// Hosts that its commands may reach, besides those of all places.
    pub hosts: Vec<HostRule>,
}

impl Grants {
    /// Returns a path that holds one of the `kept` ones or lies in it, and that one: neither the
    /// user's checkout nor what grafter keeps is ever granted.
    pub fn overlap<'a>(&'a self, kept: &[&'a Path]) -> Option<(&'a Path, &'a Path)> {
        let paths = self.read.iter().chain(&self.write).map(PathBuf::as_path);
        let meets = |path: &Path, kept: &Path| {
            let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            [path, &real].iter().any(|path| path.starts_with(kept) || kept.starts_with(path))
        };
        paths.flat_map(|path| kept.iter().map(move |kept| (path, *kept))).find(|(a, b)| meets(a, b))
    }

    /// Returns whether nothing of the host's files is granted.
    pub fn is_closed(&self) -> bool {
        self.read.is_empty() && self.write.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grafter_and_the_user_keep_is_never_granted() {
        let grants = |path: &str| Grants { write: vec![path.into()], ..Grants::default() };
        let kept = [Path::new("/home/u/repo"), Path::new("/home/u/.config/grafter")];
        for bad in ["/home/u/repo/.git", "/home/u", "/home/u/.config", "/home/u/repo"] {
            assert!(grants(bad).overlap(&kept).is_some(), "{bad}");
        }
        for good in ["/home/u/.codex", "/home/u/repo2"] {
            assert_eq!(grants(good).overlap(&kept), None, "{good}");
        }
        let dir = tempfile::tempdir().expect("a folder");
        let (kept, link) = (dir.path().join("kept"), dir.path().join("link"));
        std::fs::create_dir(&kept).expect("made");
        std::os::unix::fs::symlink(&kept, &link).expect("a link");
        let kept = kept.canonicalize().expect("there");
        assert!(Grants { read: vec![link], ..Grants::default() }.overlap(&[&kept]).is_some());
    }
}
