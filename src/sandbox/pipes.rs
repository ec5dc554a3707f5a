//! Named pipes in a private home, by which grafter talks with one program of a place.
//!
//! A command's own streams lead to nobody while it runs; a program that answers in between opens
//! these instead. Both ends are held here as long as the pipes are, so that whoever comes first
//! never waits for the other and nobody's end looks like the other's.

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, mknodat, openat, unlinkat},
    io::Errno,
};
use tokio::net::unix::pipe::{Receiver, Sender};

/// What the program's input and output are called, behind the name of the pair.
pub const ENDINGS: [&str; 2] = [".in", ".out"];

/// Both pipes.
#[derive(Debug)]
pub struct Pipes {
    /// What the program reads.
    pub to: Sender,
    /// What it writes; it ends once nobody holds the other end.
    pub from: Receiver,
    /// Keeps them open.
    pub hold: Hold,
}

/// The ends that only keep the others open.
#[derive(Debug)]
pub struct Hold {
    _in: OwnedFd,
    out: Mutex<Option<OwnedFd>>,
    names: [PathBuf; 2],
}

impl Hold {
    /// Takes the names away: whoever has opened the pipes keeps them, nobody else finds them.
    pub fn hide(&self) {
        for name in &self.names {
            // Whoever may write there may have been quicker.
            let _ = unlinkat(CWD, name, AtFlags::empty());
        }
    }

    /// Lets the program's output end where the program has ended.
    pub fn let_go(&self) {
        self.out.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.hide();
    }
}

/// Makes the pair in a folder in which nobody else is at work; whatever has its names goes.
pub(super) fn make(folder: &Path, name: &str) -> io::Result<Pipes> {
    let names = ENDINGS.map(|ending| folder.join(format!("{name}{ending}")));
    for path in &names {
        match unlinkat(CWD, path, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    }
    let open = |path: &Path, way: OFlags| {
        let flags = way | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(CWD, path, flags, Mode::empty()).map_err(io::Error::from)
    };
    // A pipe can be opened for writing only once it is open for reading.
    let held_in = open(&names[0], OFlags::RDONLY)?;
    let to = Sender::from_file(File::from(open(&names[0], OFlags::WRONLY)?))?;
    let from = Receiver::from_file(File::from(open(&names[1], OFlags::RDONLY)?))?;
    let held_out = open(&names[1], OFlags::WRONLY)?;
    let out = Mutex::new(Some(held_out));
    Ok(Pipes { to, from, hold: Hold { _in: held_in, out, names } })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn both_ways_work_and_the_output_ends_with_its_last_holder() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("x.in")).unwrap();
        let mut pipes = make(folder.path(), "x").unwrap();
        let mut program =
            std::fs::OpenOptions::new().write(true).open(folder.path().join("x.out")).unwrap();
        let mut input = File::open(folder.path().join("x.in")).unwrap();
        pipes.to.write_all(b"ask").await.unwrap();
        let mut asked = [0; 3];
        io::Read::read_exact(&mut input, &mut asked).unwrap();
        assert_eq!(&asked, b"ask");
        io::Write::write_all(&mut program, b"answer").unwrap();
        pipes.hold.hide();
        assert!(folder.path().read_dir().unwrap().next().is_none());
        drop(program);
        pipes.hold.let_go();
        let mut text = String::new();
        pipes.from.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "answer");
    }
}
