//! Following a live journal, as `logs --follow` does.
//!
//! It looks at the file ten times a second, which costs one `read` that returns nothing; it needs
//! no watch on the file system, whose limits differ from machine to machine.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{sync::mpsc::UnboundedSender, task::spawn_blocking, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    journal::{
        lock,
        read::{FILE, ReadError, check_lines},
        record::Chain,
    },
    protocol::event::{Event, What},
};

const PAUSE: Duration = Duration::from_millis(100);

/// Why following ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// The run has ended.
    Finished,
    /// No process writes the journal any more, though the run has not ended.
    Abandoned,
    /// The caller cancelled, or nobody listens any more.
    Stopped,
}

/// Sends each record from number `from` on, those already written first, until the run ends, its
/// writer is gone, or the token is cancelled.
///
/// The channel has no limit because a journal is small and its reader may be a slow terminal.
pub async fn follow(
    run_dir: &Path,
    from: u64,
    to: UnboundedSender<Event>,
    cancel: &CancellationToken,
) -> Result<Followed, ReadError> {
    let mut tail = Tail { run_dir: run_dir.to_owned(), chain: Chain::default(), at: 0 };
    let mut ended = false;
    loop {
        let alive = lock::holder(run_dir).is_some();
        let (moved, read) = spawn_blocking(move || {
            let read = tail.read();
            (tail, read)
        })
        .await
        .expect("reading a journal does not panic");
        tail = moved;
        let events = read?;
        let quiet = events.is_empty();
        for event in events {
            ended = match event.what {
                What::RunFinished { .. } => true,
                What::RunResumed { .. } => false,
                _ => ended,
            };
            if event.seq >= from && to.send(event).is_err() {
                return Ok(Followed::Stopped);
            }
        }
        // The lock was looked at before the file, so that a writer's last words are not missed.
        if quiet && !alive {
            return Ok(if ended { Followed::Finished } else { Followed::Abandoned });
        }
        tokio::select! {
            () = cancel.cancelled() => return Ok(Followed::Stopped),
            () = sleep(if quiet { PAUSE } else { Duration::ZERO }) => {}
        }
    }
}

/// The part of a journal that is not read yet.
struct Tail {
    run_dir: PathBuf,
    chain: Chain,
    at: u64,
}

impl Tail {
    /// Returns the records that are new and whole.
    fn read(&mut self) -> Result<Vec<Event>, ReadError> {
        let path = self.run_dir.join(FILE);
        let bytes = match self.bytes(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ReadError::Missing { run_dir: self.run_dir.clone() });
            }
            Err(source) => return Err(ReadError::Io { path, source }),
        };
        match check_lines(&mut self.chain, &bytes) {
            Ok((events, len)) => {
                self.at += len as u64;
                Ok(events)
            }
            Err(why) => Err(ReadError::Broken { path, seq: self.chain.next, why }),
        }
    }

    fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(self.at))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::{
        journal::writer::Journal,
        protocol::{
            ids::RunId,
            report::RunEnd,
            usage::{Micros, Usage},
        },
    };

    #[tokio::test]
    async fn a_live_run_is_followed_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let run_dir = dir.path().join("runs/r1");
        let (sink, _sunk) = unbounded_channel();
        let journal = Journal::create(&run_dir, RunId::new("r1"), sink).unwrap();
        journal.append(None, None, What::CancelAsked).await.unwrap();
        journal
            .append(None, None, What::RunResumed { pid: 1, model: None, options: None })
            .await
            .unwrap();
        let (to, mut events) = unbounded_channel();
        let cancel = CancellationToken::new();
        let following = tokio::spawn(async move { follow(&run_dir, 1, to, &cancel).await });
        assert_eq!(
            events.recv().await.unwrap().what,
            What::RunResumed { pid: 1, model: None, options: None }
        );
        let end = What::RunFinished {
            end: RunEnd::Interrupted,
            usage: Usage::default(),
            cost: Micros(0),
            took_ms: 1,
        };
        let last = journal.append(None, None, end).await.unwrap();
        assert_eq!(events.recv().await, Some(last));
        journal.close().await.unwrap();
        assert_eq!(following.await.unwrap().unwrap(), Followed::Finished);
        assert_eq!(events.recv().await, None);
    }

    #[tokio::test]
    async fn following_ends_when_the_writer_is_gone_or_the_caller_cancels() {
        let dir = tempfile::tempdir().unwrap();
        let run_dir = dir.path().join("runs/r1");
        let cancel = CancellationToken::new();
        let (to, _events) = unbounded_channel();
        let missing = follow(&run_dir, 0, to.clone(), &cancel).await;
        assert!(matches!(missing, Err(ReadError::Missing { .. })));
        let (sink, _sunk) = unbounded_channel();
        let journal = Journal::create(&run_dir, RunId::new("r1"), sink).unwrap();
        let canceled = CancellationToken::new();
        canceled.cancel();
        let stopped = follow(&run_dir, 0, to.clone(), &canceled).await;
        assert_eq!(stopped.unwrap(), Followed::Stopped);
        journal.append(None, None, What::CancelAsked).await.unwrap();
        journal.close().await.unwrap();
        let abandoned = follow(&run_dir, 0, to, &cancel).await;
        assert_eq!(abandoned.unwrap(), Followed::Abandoned);
    }
}
