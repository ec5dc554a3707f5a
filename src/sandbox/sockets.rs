//! The Unix sockets of the machine that lie in its file system.
//!
//! A network namespace keeps abstract ones out but not these: whoever sees the file can connect,
//! however read-only it is, and talk to a service that has more rights than the sandbox.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::FileTypeExt},
    path::{Path, PathBuf},
};

/// Returns those that are there now, links resolved.
pub(super) fn of_the_machine() -> Vec<PathBuf> {
    let table = fs::read("/proc/net/unix").unwrap_or_default();
    let real = paths(&table).filter_map(|path| path.canonicalize().ok());
    let mut found: Vec<PathBuf> = real
        .filter(|path| fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket()))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Returns the paths in the kernel's table; an abstract name begins with `@` there.
fn paths(table: &[u8]) -> impl Iterator<Item = &Path> {
    let lines = table.split(|byte| *byte == b'\n').skip(1);
    lines.filter_map(|line| {
        let start = line.windows(2).position(|pair| pair == b" /")?;
        Some(Path::new(OsStr::from_bytes(&line[start + 1..])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_with_a_file_count() {
        let table = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 9030910\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 12345 /srv/a b.sock\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 12346 @/abstract\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 12347 relative\n";
        assert_eq!(paths(table).collect::<Vec<_>>(), [Path::new("/srv/a b.sock")]);
    }
}
