//! Where the standard streams of a program lead, and the files that redirections open.
//!
//! They are opened by the server and not by the program, so whatever would mean something else to
//! the server, or make it wait, is refused: magic links of the kernel, pipes, sockets, terminals.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    process::Stdio,
};

use rustix::{
    fs::{
        CWD, FileType, Mode, OFlags, ResolveFlags, fcntl_getfl, fcntl_setfl, fstat, openat, openat2,
    },
    io::Errno,
};

use crate::{
    protocol::plan::{Open, To},
    sandbox::program::words,
};

/// The mode of a file that a redirection makes, before the umask.
const NEW: Mode = Mode::from_raw_mode(0o666);

/// Where one stream leads.
pub(super) enum Outlet {
    /// To nobody; a program that reads it sees its end at once.
    Nothing,
    /// Into the command's output.
    Pipe,
    /// To a file or another program.
    File(OwnedFd),
}

/// Where the three standard streams lead.
pub(super) struct Outlets(pub(super) [Outlet; 3]);

impl Outlets {
    /// Returns the streams for a program; `pipe` is the command's output.
    pub(super) fn opened(&self, pipe: &io::PipeWriter) -> io::Result<[Stdio; 3]> {
        let one = |outlet: &Outlet| -> io::Result<Stdio> {
            Ok(match outlet {
                Outlet::Nothing => Stdio::null(),
                Outlet::Pipe => pipe.try_clone()?.into(),
                Outlet::File(file) => file.try_clone()?.into(),
            })
        };
        let [stdin, stdout, stderr] = &self.0;
        Ok([one(stdin)?, one(stdout)?, one(stderr)?])
    }
}

/// Applies a redirection, or says why it cannot be.
pub(super) fn apply(outlets: &mut Outlets, open: &Open, dir: &Path) -> Result<(), String> {
    let told = |name: &str, error: &io::Error| format!("{name}: {}", words(error));
    let outlet = match &open.to {
        To::Same(fd) => match &outlets.0[index(*fd)] {
            Outlet::Nothing => Outlet::Nothing,
            Outlet::Pipe => Outlet::Pipe,
            Outlet::File(file) => {
                let copy = file.try_clone();
                Outlet::File(copy.map_err(|error| told(&fd.to_string(), &error))?)
            }
        },
        To::Read(name) => opened(name, OFlags::RDONLY, dir)?,
        To::Write(name) => opened(name, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC, dir)?,
        To::Append(name) => opened(name, OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND, dir)?,
    };
    outlets.0[index(open.fd)] = outlet;
    Ok(())
}

/// The parser gives no other numbers than 0, 1 and 2.
fn index(fd: u32) -> usize {
    usize::try_from(fd).unwrap_or(2).min(2)
}

fn opened(name: &str, flags: OFlags, dir: &Path) -> Result<Outlet, String> {
    let file = open(&dir.join(name), flags);
    file.map(Outlet::File).map_err(|error| format!("{name}: {}", words(&error)))
}

fn open(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let mode = if flags.contains(OFlags::CREATE) { NEW } else { Mode::empty() };
    let file = match openat2(CWD, path, flags, mode, ResolveFlags::NO_MAGICLINKS) {
        // Old kernels lack the call; then no link at all is followed at the end.
        Err(Errno::NOSYS | Errno::PERM) => openat(CWD, path, flags | OFlags::NOFOLLOW, mode)?,
        answer => answer?,
    };
    let kind = FileType::from_raw_mode(fstat(&file)?.st_mode);
    let null = kind == FileType::CharacterDevice && is_null(file.as_fd())?;
    match kind {
        // A program may read a folder, which is its own mistake.
        FileType::RegularFile | FileType::Directory => {}
        _ if null => {}
        _ => return Err(io::Error::other("not a plain file; give the command to bash -c")),
    }
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

/// Every other device may wait, or means something else to whoever opens it.
fn is_null(file: impl AsFd) -> io::Result<bool> {
    let null = File::open("/dev/null")?;
    Ok(fstat(file)?.st_rdev == fstat(&null)?.st_rdev)
}
