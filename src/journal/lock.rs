//! One writer per run: an advisory lock on `lock` in the run's folder, which dies with its process.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process, thread,
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

/// The lock's file name.
const NAME: &str = "lock";
/// `holder` takes the lock for a moment to see whether it is free; a writer tries again meanwhile.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(10);

/// The right to write a run's journal; given back when dropped.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

/// What came of the attempt to take a lock.
#[derive(Debug)]
pub enum Taken {
    /// It is ours.
    Ours(RunLock),
    /// The process with this id has it; 0 when it has not written its id yet.
    Busy(u32),
}

/// Takes the lock of a run's folder and leaves this process's id in it.
pub fn take(run_dir: &Path) -> io::Result<Taken> {
    let mut file = open(run_dir)?;
    for _ in 0..TRIES {
        if try_lock(&file, FlockOperation::NonBlockingLockExclusive)? {
            file.set_len(0)?;
            file.write_all(process::id().to_string().as_bytes())?;
            return Ok(Taken::Ours(RunLock { _file: file }));
        }
        thread::sleep(PAUSE);
    }
    Ok(Taken::Busy(read_pid(&mut file)))
}

/// Returns the process that writes a run's journal, or nothing if none does.
pub fn holder(run_dir: &Path) -> Option<u32> {
    let mut file = File::open(run_dir.join(NAME)).ok()?;
    match try_lock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(false) => Some(read_pid(&mut file)),
        _ => None,
    }
}

fn open(run_dir: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(run_dir.join(NAME))
}

fn try_lock(file: &File, operation: FlockOperation) -> io::Result<bool> {
    match flock(file, operation) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn read_pid(file: &mut File) -> u32 {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(16).read_to_string(&mut text));
    read.ok().and_then(|_| text.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_writer_is_told_who_has_it_and_readers_see_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(holder(dir.path()), None);
        let Taken::Ours(lock) = take(dir.path()).unwrap() else { panic!("the lock is free") };
        assert!(matches!(take(dir.path()).unwrap(), Taken::Busy(pid) if pid == process::id()));
        assert_eq!(holder(dir.path()), Some(process::id()));
        drop(lock);
        assert_eq!(holder(dir.path()), None);
        assert!(matches!(take(dir.path()).unwrap(), Taken::Ours(_)));
    }
}
