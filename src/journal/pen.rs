//! The pen that writes a journal's file, one record at a time.
//!
//! It gives each record its number and its time, writes it with one `write` and hands it to the
//! sink, in this order; so the sink sees the order of the file. A record that could not be
//! written whole is cut off again, and the next one takes its place in the chain.

use std::{
    fs::File,
    io::{self, Write},
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::mpsc::UnboundedSender;

use crate::{
    journal::{flush::Flusher, lock::RunLock, record::Chain, runs::Of, sign::Signer},
    protocol::{
        event::{Event, What},
        ids::{AgentId, NodeId, RunId},
    },
};

/// A record to be written.
pub(super) struct Entry {
    pub(super) node: Option<NodeId>,
    pub(super) agent: Option<AgentId>,
    pub(super) what: What,
}

/// A file that can lose its end again.
pub(super) trait Tape: Write + Send {
    /// Cuts it to a length.
    fn cut(&mut self, len: u64) -> io::Result<()>;
}

impl Tape for File {
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

/// The file and the place where the next record goes.
#[derive(Debug)]
pub(super) struct Pen<T> {
    pub(super) run: RunId,
    pub(super) tape: T,
    pub(super) chain: Chain,
    /// Bytes of the whole records.
    pub(super) len: u64,
    /// Whether the tape may hold a part of a record after them.
    pub(super) torn: bool,
}

impl<T: Tape> Pen<T> {
    /// Writes one record.
    pub(super) fn write(&mut self, entry: Entry, at: i64) -> io::Result<Event> {
        let Entry { node, agent, what } = entry;
        let run = self.run.clone();
        let event = Event { seq: self.chain.next, at, run, node, agent, what };
        self.put(&event).map(|()| event)
    }

    fn put(&mut self, event: &Event) -> io::Result<()> {
        let (line, chain) = self.chain.seal(event)?;
        if self.torn {
            self.tape.cut(self.len)?;
            self.torn = false;
        }
        if let Err(error) = self.tape.write_all(&line) {
            self.torn = self.tape.cut(self.len).is_err();
            return Err(error);
        }
        self.chain = chain;
        self.len += line.len() as u64;
        Ok(())
    }
}

/// A pen with all that takes note of what it writes.
#[derive(Debug)]
pub(super) struct Desk {
    pen: Pen<File>,
    sink: UnboundedSender<Event>,
    flusher: Flusher,
    failpoint: Failpoint,
    /// Signs checkpoints, if the user wants that.
    pub(super) signer: Option<Signer>,
    /// Held while the journal is open.
    _lock: RunLock,
}

impl Desk {
    /// Returns a desk at which this pen writes.
    pub(super) fn new(
        pen: Pen<File>,
        sink: UnboundedSender<Event>,
        flusher: Flusher,
        (lock, of): (RunLock, Of),
    ) -> Self {
        Self { pen, sink, flusher, failpoint: Failpoint::from_env(of), signer: None, _lock: lock }
    }

    /// Writes a record, and tells the sink.
    pub(super) fn append(&mut self, entry: Entry) -> io::Result<Event> {
        self.failpoint.pass("before");
        let event = self.pen.write(entry, now())?;
        self.failpoint.pass("after");
        self.failpoint.count += 1;
        self.flusher.grown();
        // Nobody has to listen: a run goes on when its view is gone.
        self.sink.send(event.clone()).ok();
        if let Some(signer) = self.signer.as_mut().filter(|_| Signer::is_due(&event)) {
            self.pen.tape.sync_data()?;
            signer.sign(&event, &self.pen.chain)?;
        }
        Ok(event)
    }
}

/// Milliseconds since the Unix epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A place to die, for tests of crashes, in builds with debug assertions only.
///
/// `GRAFTER_FAILPOINT=before:N` aborts the process just before record N is written, `after:N` just
/// after, before anyone hears of it; `hang:N` writes no record from N on, so that a test can kill
/// the process when it likes. N counts the records that this process writes, from 0. With `batch-`
/// before it, it is about the journals of batches only.
#[derive(Debug, Default)]
struct Failpoint {
    place: Option<(String, u64)>,
    count: u64,
}

impl Failpoint {
    #[cfg(debug_assertions)]
    fn from_env(of: Of) -> Self {
        let text = std::env::var("GRAFTER_FAILPOINT").unwrap_or_default();
        let text = match (text.strip_prefix("batch-"), of) {
            (Some(rest), Of::Batches) => rest,
            (Some(_), Of::Runs) => return Self::default(),
            (None, _) => &text,
        };
        let place = text.split_once(':').and_then(|(side, n)| Some((side.into(), n.parse().ok()?)));
        Self { place, count: 0 }
    }

    #[cfg(not(debug_assertions))]
    fn from_env(_: Of) -> Self {
        Self::default()
    }

    fn pass(&self, side: &str) {
        match &self.place {
            Some((at, n)) if *n == self.count && at == side => std::process::abort(),
            Some((at, n)) if *n == self.count && at == "hang" => loop {
                std::thread::park();
            },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{journal::read::check_lines, protocol::event::Level};

    /// A disk with so much room, whose files may refuse to shrink.
    struct Disk {
        bytes: Vec<u8>,
        room: usize,
        stuck: bool,
    }

    impl Write for Disk {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            let n = buf.len().min(self.room - self.bytes.len());
            if n == 0 && !buf.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.bytes.extend_from_slice(&buf[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Tape for Disk {
        fn cut(&mut self, len: u64) -> io::Result<()> {
            if self.stuck {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.bytes.truncate(usize::try_from(len).unwrap());
            Ok(())
        }
    }

    fn write(pen: &mut Pen<Disk>, text: &str) -> io::Result<Event> {
        let what = What::Note { level: Level::Info, text: text.to_owned() };
        pen.write(Entry { node: None, agent: None, what }, 0)
    }

    fn texts(bytes: &[u8]) -> Vec<u64> {
        let (events, _) = check_lines(&mut Chain::default(), bytes).unwrap();
        events.iter().map(|event| event.seq).collect()
    }

    #[test]
    fn a_full_disk_at_any_byte_leaves_a_sound_chain_that_goes_on_later() {
        let disk = |room| Disk { bytes: Vec::new(), room, stuck: false };
        let pen = |room| Pen {
            run: RunId::new("r"),
            tape: disk(room),
            chain: Chain::default(),
            len: 0,
            torn: false,
        };
        let mut first = pen(10_000);
        write(&mut first, "one").unwrap();
        let one = first.tape.bytes.len();
        for room in one..2 * one {
            for stuck in [false, true] {
                let mut pen = pen(room);
                write(&mut pen, "one").unwrap();
                pen.tape.stuck = stuck;
                assert_eq!(write(&mut pen, "two").unwrap_err().kind(), io::ErrorKind::StorageFull);
                assert_eq!(texts(&pen.tape.bytes), [0]);
                assert_eq!(pen.tape.bytes.len() == one, !stuck || room == one);
                pen.tape.room = 10_000;
                pen.tape.stuck = false;
                assert_eq!(write(&mut pen, "two").unwrap().seq, 1);
                assert_eq!(texts(&pen.tape.bytes), [0, 1]);
            }
        }
    }
}
