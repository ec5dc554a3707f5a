//! Finding the program of a name, and saying as bash does why it cannot be started.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rustix::io::Errno;

/// Why a program does not start.
#[derive(Debug)]
pub(super) enum Unable {
    /// No folder of PATH has it.
    Unknown,
    /// The system's answer to its path; the flag says that the file is there.
    Path(io::Error, bool),
    /// What the system lacks for any program.
    System(io::Error),
}

impl Unable {
    /// Returns why the program at this path did not start.
    pub(super) fn of(error: io::Error, path: &Path) -> Self {
        let lacks = [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE];
        match Errno::from_io_error(&error) {
            Some(errno) if lacks.contains(&errno) => Self::System(error),
            _ => Self::Path(error, path.exists()),
        }
    }

    /// Returns the words and the status of bash for it.
    pub(super) fn told(&self, name: &str) -> (String, i32) {
        match self {
            Self::Unknown => (format!("{name}: command not found"), 127),
            Self::Path(error, true) if error.kind() == io::ErrorKind::NotFound => {
                (format!("{name}: cannot execute: required file not found"), 127)
            }
            Self::Path(error, _) => {
                let status = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
                (format!("{name}: {}", words(error)), status)
            }
            Self::System(error) => (format!("fork: {}", words(error)), 254),
        }
    }
}

/// Returns the system's words for an error, without its number.
pub(super) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Returns the path of a program: the name itself if it has a slash, else what PATH has.
pub(super) fn find(
    name: &str,
    (dir, env): (&Path, &[(OsString, OsString)]),
) -> Result<PathBuf, Unable> {
    if name.contains('/') {
        let there = fs::metadata(dir.join(name)).map_err(|error| Unable::Path(error, false))?;
        return if there.is_dir() {
            Err(Unable::Path(Errno::ISDIR.into(), true))
        } else {
            Ok(name.into())
        };
    }
    let path = env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone());
    let mut denied = false;
    for folder in std::env::split_paths(&path.unwrap_or_default()) {
        let file = dir.join(folder).join(name);
        match fs::metadata(&file) {
            Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o111 != 0 => {
                return Ok(file);
            }
            Ok(meta) => denied |= meta.is_file(),
            Err(_) => {}
        }
    }
    Err(if denied { Unable::Path(Errno::ACCESS.into(), true) } else { Unable::Unknown })
}
