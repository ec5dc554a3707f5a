//! Bringing written bytes to the disk, in groups and beside the writer.
//!
//! A record is safe from a killed process once `write` has returned; it is safe from a lost power
//! supply after the next flush, at most 50 ms later. `barrier` waits for that where something
//! outside the journal is about to move. A flush that failed is never forgotten: the system
//! reports lost pages once only, so every later barrier repeats the error.

use std::{
    fs::File,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

/// The longest time a record stays in memory only.
const GROUP: Duration = Duration::from_millis(50);

/// The outcome of all flushes so far.
type Flushed = Result<(), (io::ErrorKind, String)>;

/// A handle to the flushing thread, which ends with its last handle.
#[derive(Clone, Debug)]
pub(super) struct Flusher {
    // Without a limit: a `Dirty` is sent once per group, the rest once per blob or ref move.
    orders: Sender<Order>,
    dirty: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Order {
    /// The journal has grown.
    Dirty,
    /// A blob or folder must be on the disk before the journal that names it.
    First(File),
    /// Somebody waits.
    Barrier(oneshot::Sender<Flushed>),
}

impl Flusher {
    /// Starts the thread for a journal's file.
    pub(super) fn start(journal: File) -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let dirty = Arc::new(AtomicBool::new(false));
        let flush = Flush { journal, dirty: Arc::clone(&dirty), flushed: Ok(()) };
        thread::Builder::new()
            .name("journal-flush".to_owned())
            .spawn(move || flush.serve(&inbox))?;
        Ok(Self { orders, dirty })
    }

    /// Says that the journal has grown.
    pub(super) fn grown(&self) {
        if !self.dirty.swap(true, Ordering::AcqRel) {
            self.orders.send(Order::Dirty).ok();
        }
    }

    /// Has a file or folder flushed before the journal is.
    pub(super) fn first(&self, file: File) {
        self.orders.send(Order::First(file)).ok();
    }

    /// Waits until all that was written before is on the disk.
    pub(super) async fn barrier(&self) -> io::Result<()> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(Order::Barrier(reply)).ok();
        let flushed = answer.await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        flushed.map_err(|(kind, text)| io::Error::new(kind, text))
    }
}

struct Flush {
    journal: File,
    dirty: Arc<AtomicBool>,
    flushed: Flushed,
}

impl Flush {
    fn serve(mut self, inbox: &Receiver<Order>) {
        while let Ok(order) = inbox.recv() {
            let mut group = Group::default();
            group.add(order);
            group.gather(inbox);
            self.flush(&group.files);
            for waiting in group.waiting {
                waiting.send(self.flushed.clone()).ok();
            }
        }
    }

    fn flush(&mut self, files: &[File]) {
        // Cleared before the flush, so that a record written meanwhile asks for the next one.
        if !self.dirty.swap(false, Ordering::AcqRel) && files.is_empty() {
            return;
        }
        let all = files.iter().try_for_each(File::sync_all);
        if let (Ok(()), Err(error)) = (&self.flushed, all.and_then(|()| self.journal.sync_data())) {
            tracing::error!(%error, "the journal cannot be brought to the disk");
            self.flushed = Err((error.kind(), error.to_string()));
        }
    }
}

/// What one flush serves.
#[derive(Default)]
struct Group {
    files: Vec<File>,
    waiting: Vec<oneshot::Sender<Flushed>>,
}

impl Group {
    fn add(&mut self, order: Order) {
        match order {
            Order::Dirty => {}
            Order::First(file) => self.files.push(file),
            Order::Barrier(reply) => self.waiting.push(reply),
        }
    }

    /// Gathers for the length of a group, or until somebody waits; then takes all that is there.
    fn gather(&mut self, inbox: &Receiver<Order>) {
        let end = Instant::now() + GROUP;
        while self.waiting.is_empty() {
            match inbox.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(order) => self.add(order),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        inbox.try_iter().for_each(|order| self.add(order));
    }
}
