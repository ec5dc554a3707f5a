//! Whether a disk is all but full, which programs that fail over it often do not say.

use std::path::{Path, PathBuf};

/// Returns which of the folders has the least free space on its disk, in words, if that is less
/// than `limit` bytes.
pub fn scarce(folders: &[PathBuf], limit: u64) -> Option<String> {
    let free = |dir: &Path| {
        let disk = rustix::fs::statvfs(dir).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    };
    let least = folders.iter().filter_map(|dir| Some((free(dir)?, dir))).min()?;
    let (free, dir) = Some(least).filter(|(free, _)| *free < limit)?;
    Some(format!("only {} KiB are left on the disk of {}", free >> 10, dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_scarce_below_the_limit_only() {
        let dir = tempfile::tempdir().unwrap();
        let folders = [dir.path().to_owned(), "/does/not/exist".into()];
        assert_eq!(scarce(&folders, 0), None);
        let told = scarce(&folders, u64::MAX).unwrap();
        assert!(told.ends_with(&format!("of {}", dir.path().display())), "{told}");
        assert_eq!(scarce(&folders[1..], u64::MAX), None);
    }
}
