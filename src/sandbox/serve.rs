//! The command server: takes orders from its socket, one command at a time.
//!
//! Each command is a shell, or the programs of a plan, in its own process group, both outputs in one
//! pipe, standard input empty. The server waits in one `poll` for the command, its output, the socket and the deadline,
//! so an answer leaves the moment the command ends. When the socket closes, everything ends.

use std::{
    collections::BTreeSet,
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_setfl},
};

use crate::sandbox::{
    kin::{self, Reach},
    launcher::{Base, Launcher},
    running::Running,
    watch::Watch,
    wire::{End, Order, Reply, Request, Setup},
};

/// What a background process may still print before its pipe is closed.
const LEFTOVER_BYTES: u64 = 16 << 20;

/// What runs on between commands is looked at this often.
const IDLE_LOOK: Duration = Duration::from_secs(1);

/// A pipe that a background process of an earlier command still writes to.
///
/// It is emptied, because a full pipe would stop the process and a closed one would end it.
struct Leftover {
    pipe: io::PipeReader,
    left: u64,
}

/// The state of a serving child.
pub(super) struct Server {
    socket: UnixStream,
    inbox: Vec<u8>,
    shell: PathBuf,
    setup: Setup,
    reach: Reach,
    watch: Watch,
    leftovers: Vec<Leftover>,
}

/// Whether the other end is still there.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Peer {
    /// It is.
    There,
    /// It closed the socket.
    Gone,
}

impl Server {
    /// Returns a server on this socket, whose peer sent this setup.
    pub(super) fn new(socket: UnixStream, setup: Setup, reach: Reach) -> Self {
        let shell = shell_in(&setup);
        let watch = Watch::new(setup.limits.clone(), reach);
        Self { socket, inbox: Vec::new(), shell, setup, reach, watch, leftovers: Vec::new() }
    }

    /// Serves until the peer is gone, then ends whatever is still running.
    pub(super) fn serve(mut self) {
        loop {
            let peer = match self.next_order() {
                Some(Order::Run(request)) => self.obey(&request),
                // Whatever it meant has ended already.
                Some(Order::Cancel(_)) => Peer::There,
                None => self.wait_idle(),
            };
            if peer == Peer::Gone {
                break;
            }
        }
        kin::end_all_but(&BTreeSet::new(), self.reach);
    }

    /// Returns the next order that has arrived whole; a line that is none is passed over.
    pub(super) fn next_order(&mut self) -> Option<Order> {
        let end = self.inbox.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.inbox.drain(..=end).collect();
        serde_json::from_slice(&line).ok()
    }

    /// Takes what the socket has to give without more waiting than one read.
    pub(super) fn receive(&mut self) -> Peer {
        let mut chunk = [0; 16 << 10];
        match self.socket.read(&mut chunk) {
            Ok(0) => Peer::Gone,
            Ok(count) => {
                self.inbox.extend_from_slice(&chunk[..count]);
                Peer::There
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Peer::There,
            Err(_) => Peer::Gone,
        }
    }

    /// Returns the socket, for `poll`.
    pub(super) fn socket(&self) -> &UnixStream {
        &self.socket
    }

    /// Returns how far the end of a command reaches.
    pub(super) fn reach(&self) -> Reach {
        self.reach
    }

    /// Keeps the pipe of a command that left something running.
    pub(super) fn keep_pipe(&mut self, pipe: io::PipeReader) {
        self.leftovers.push(Leftover { pipe, left: LEFTOVER_BYTES });
    }

    /// Ends everything inside if it has gone beyond a limit; returns which.
    pub(super) fn enforce(&mut self) -> Option<String> {
        let beyond = self.watch.beyond()?;
        kin::end_all_but(&BTreeSet::new(), self.reach);
        Some(beyond)
    }

    fn wait_idle(&mut self) -> Peer {
        // Only what an earlier command left running needs to be looked at.
        let busy = self.reach != Reach::Group && !kin::children().is_empty();
        let span = busy.then(|| timespec(IDLE_LOOK));
        let ready: Vec<bool> = {
            let mut fds = vec![PollFd::new(&self.socket, PollFlags::IN)];
            fds.extend(self.leftovers.iter().map(|old| PollFd::new(&old.pipe, PollFlags::IN)));
            let _ = poll(&mut fds, span.as_ref());
            fds.iter().map(|fd| !fd.revents().is_empty()).collect()
        };
        let mut ready = ready.into_iter();
        let socket = ready.next().unwrap_or(true);
        self.leftovers.retain_mut(|old| !ready.next().unwrap_or(false) || old.empty());
        if self.reach != Reach::Group {
            kin::reap_orphans();
        }
        if busy {
            let _ = self.enforce();
        }
        if socket { self.receive() } else { Peer::There }
    }

    /// Runs one command and answers.
    fn obey(&mut self, request: &Request) -> Peer {
        let started = Instant::now();
        let begun = self.start(request, started);
        let begun = begun.or_else(|error| self.start_with_room(error, (request, started)));
        let (end, output, dropped) = match begun {
            Ok(running) => match running.finish(self) {
                Some(finished) => finished,
                None => return Peer::Gone,
            },
            Err(error) => (End::Refused(error.to_string()), Vec::new(), 0),
        };
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let reply = Reply { id: request.id, end, dropped, took_ms, len: output.len() };
        let mut message = serde_json::to_vec(&reply).expect("a reply is plain data");
        message.push(b'\n');
        message.extend(output);
        if self.socket.write_all(&message).is_ok() { Peer::There } else { Peer::Gone }
    }

    /// Starts a command once more if it was a fork bomb's leftovers that left no room for it.
    fn start_with_room(
        &self,
        error: io::Error,
        (request, started): (&Request, Instant),
    ) -> io::Result<Running> {
        if error.kind() != io::ErrorKind::WouldBlock || self.reach == Reach::Group {
            return Err(error);
        }
        kin::end_all_but(&BTreeSet::new(), self.reach);
        self.start(request, started)
    }

    fn start(&self, request: &Request, started: Instant) -> io::Result<Running> {
        let dir = PathBuf::from(&self.setup.base).join(&request.cwd);
        if !dir.is_dir() {
            let text = format!("no directory `{}` in the tree", request.cwd);
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        let earlier = match self.reach {
            Reach::Group => BTreeSet::new(),
            Reach::Kin | Reach::Namespace => kin::children(),
        };
        let (pipe, writer) = io::pipe()?;
        fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
        let mut env = self.setup.env.clone();
        // A shell that does not find this looks itself up among the users, at every start.
        env.insert(0, ("SHELL".into(), self.shell.clone().into()));
        env.extend(request.env.iter().map(|(name, value)| (name.into(), value.into())));
        let base = Base { shell: self.shell.clone(), env, dir };
        let launcher = Launcher::new(base, &request.job, writer);
        // A span too long for the clock is as good as a day.
        let span = Duration::from_millis(request.deadline_ms).min(Duration::from_secs(86_400));
        let deadline = started + span;
        let running = Running::start(launcher, pipe, (deadline, request.max_output))?;
        Ok(running.keeping(earlier))
    }
}

impl Leftover {
    /// Empties the pipe and returns whether it is still of use.
    fn empty(&mut self) -> bool {
        let mut chunk = [0; 16 << 10];
        match self.pipe.read(&mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.left = self.left.saturating_sub(count as u64);
                self.left > 0
            }
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

/// Turns a span into what `poll` takes.
pub(super) fn timespec(span: Duration) -> Timespec {
    Timespec::try_from(span).unwrap_or(Timespec { tv_sec: 3600, tv_nsec: 0 })
}

fn shell_in(setup: &Setup) -> PathBuf {
    let path = setup.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone());
    let path = path.unwrap_or_default();
    let named = |name: &'static str| {
        let dirs: Vec<PathBuf> = ["/bin".into(), "/usr/bin".into()]
            .into_iter()
            .chain(std::env::split_paths(&path))
            .collect();
        dirs.into_iter().map(move |dir| dir.join(name))
    };
    let mut shells = named("bash").chain(named("sh"));
    shells.find(|shell| shell.is_file()).unwrap_or_else(|| PathBuf::from("/bin/sh"))
}
