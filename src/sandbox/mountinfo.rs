//! The kernel's list of mounts, as far as a read-only remount needs it.

use std::{collections::BTreeMap, ffi::OsString, os::unix::ffi::OsStringExt, path::PathBuf};

use rustix::mount::MountFlags;

/// Returns each mount point once, with the flags that a remount has to repeat.
pub(super) fn mounts(info: &[u8]) -> BTreeMap<PathBuf, MountFlags> {
    info.split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b' ');
            let at = unescaped(fields.nth(4)?);
            Some((at, flags_of(fields.next()?)))
        })
        .collect()
}

fn flags_of(options: &[u8]) -> MountFlags {
    options.split(|byte| *byte == b',').fold(MountFlags::empty(), |flags, option| {
        flags
            | match option {
                b"nosuid" => MountFlags::NOSUID,
                b"nodev" => MountFlags::NODEV,
                b"noexec" => MountFlags::NOEXEC,
                b"nosymfollow" => MountFlags::NOSYMFOLLOW,
                // The kernel keeps the access time flags by itself where none is named.
                _ => MountFlags::empty(),
            }
    })
}

/// Undoes the kernel's octal escapes of blanks and backslashes.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let code = after
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::{MountFlags, PathBuf, mounts};

    #[test]
    fn flags_are_kept_and_names_are_unescaped() {
        let info = b"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
            30 27 0:2 / /mnt/a\\040b\\134 rw,nosuid,nodev,noexec shared:1 - tmpfs x rw\n\
            broken line\n";
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        let expected =
            [(PathBuf::from("/"), MountFlags::empty()), (PathBuf::from("/mnt/a b\\"), flags)];
        assert_eq!(mounts(info).into_iter().collect::<Vec<_>>(), expected);
    }
}
