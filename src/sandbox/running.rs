//! One running command: waiting for it, stopping it, and what it printed.

use std::{
    collections::BTreeSet,
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{
        Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, kill_process_group, waitid,
        waitpid,
    },
};

use crate::sandbox::{
    capture::Capture,
    kin::{self, Reach},
    run::RanEnd,
    serve::{Peer, Server, timespec},
    watch,
    wire::{End, Order},
};

/// Between the request to end and the end.
pub(super) const GRACE: Duration = Duration::from_millis(500);
/// Orphans are collected at least this often while a command runs.
const REAP_EVERY: Duration = Duration::from_secs(1);
/// Where the kernel has no process handles, the end is looked for this often.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The shortest wait.
const LOOK_LEAST: Duration = Duration::from_millis(1);
/// What is read of a pipe after its command has ended, at most.
const LAST_READS: usize = 16;

/// What a command's output ends with that went beyond a limit.
const ENDED: &str = "ended with all it had started: ";

/// Why a command is being stopped.
#[derive(Clone, Copy, PartialEq)]
enum Stop {
    Deadline,
    Cancel,
    Limit,
}

/// A command that has been started and not yet collected.
pub(super) struct Running {
    pid: Pid,
    handle: Option<OwnedFd>,
    pipe: Option<io::PipeReader>,
    capture: Capture,
    deadline: Instant,
    earlier: BTreeSet<i32>,
    stop: Option<(Stop, Instant)>,
    reaped: Instant,
}

/// What woke the wait.
struct Woken {
    socket: bool,
    output: bool,
}

impl Running {
    /// Returns the command with this process; it keeps no output yet.
    pub(super) fn new(
        pid: Pid,
        handle: Option<OwnedFd>,
        pipe: io::PipeReader,
        deadline: Instant,
    ) -> Self {
        Self {
            pid,
            handle,
            pipe: Some(pipe),
            capture: Capture::new(0),
            deadline,
            earlier: BTreeSet::new(),
            stop: None,
            reaped: Instant::now(),
        }
    }

    /// Keeps these children of the server alive when the command is stopped.
    pub(super) fn keeping(mut self, earlier: BTreeSet<i32>) -> Self {
        self.earlier = earlier;
        self
    }

    /// Keeps so many bytes of output.
    pub(super) fn capped(mut self, bytes: usize) -> Self {
        self.capture = Capture::new(bytes);
        self
    }

    /// Waits for the command, or stops it; returns nothing when the peer is gone.
    pub(super) fn finish(mut self, server: &mut Server) -> Option<(End, Vec<u8>, u64)> {
        while !self.has_ended() {
            let woken = self.wait(server.socket().as_fd());
            if woken.output {
                self.read_output();
            }
            if woken.socket && server.receive() == Peer::Gone {
                self.kill_group(Signal::KILL);
                return None;
            }
            while let Some(order) = server.next_order() {
                if matches!(order, Order::Cancel(_)) {
                    self.stop(Stop::Cancel);
                }
            }
            self.mind_the_clock();
            if let Some(beyond) = server.enforce() {
                self.capture.push(format!("\n[{ENDED}{beyond} of [sandbox]]\n").as_bytes());
                self.stop.get_or_insert((Stop::Limit, Instant::now()));
            }
            if server.reach() != Reach::Group {
                self.reap_others();
            }
        }
        Some(self.conclude(server))
    }

    fn wait(&self, socket: BorrowedFd<'_>) -> Woken {
        let mut fds = vec![PollFd::from_borrowed_fd(socket, PollFlags::IN)];
        if let Some(pipe) = &self.pipe {
            fds.push(PollFd::new(pipe, PollFlags::IN));
        }
        if let Some(handle) = &self.handle {
            fds.push(PollFd::new(handle, PollFlags::IN));
        }
        let next = self.stop.map_or(self.deadline, |(_, since)| since + GRACE);
        let most = if self.handle.is_some() { watch::EVERY } else { LOOK_EVERY };
        // A process that cannot be killed at once must not make this a busy wait.
        let left = next.saturating_duration_since(Instant::now()).clamp(LOOK_LEAST, most);
        let _ = poll(&mut fds, Some(&timespec(left)));
        let ready = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
        Woken { socket: ready(0), output: self.pipe.is_some() && ready(1) }
    }

    /// Reads once; returns whether there may be more at once.
    fn read_output(&mut self) -> bool {
        let Some(pipe) = &mut self.pipe else { return false };
        let mut chunk = [0; 64 << 10];
        match pipe.read(&mut chunk) {
            Ok(0) => self.pipe = None,
            Ok(count) => {
                self.capture.push(&chunk[..count]);
                return true;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.pipe = None,
        }
        false
    }

    fn mind_the_clock(&mut self) {
        let now = Instant::now();
        match self.stop {
            None if now >= self.deadline => self.stop(Stop::Deadline),
            Some((_, since)) if now >= since + GRACE => self.kill_group(Signal::KILL),
            _ => {}
        }
    }

    fn stop(&mut self, why: Stop) {
        if self.stop.is_none() {
            self.stop = Some((why, Instant::now()));
            self.kill_group(Signal::TERM);
        }
    }

    fn kill_group(&self, signal: Signal) {
        let _ = kill_process_group(self.pid, signal);
    }

    /// Whether the shell has ended; it is not collected, so its group's number stays taken.
    fn has_ended(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.pid), look), Ok(None))
    }

    /// Collects orphans now and then, but never the command itself.
    fn reap_others(&mut self) {
        if self.reaped.elapsed() >= REAP_EVERY {
            self.reaped = Instant::now();
            kin::reap_all_but(self.pid);
        }
    }

    fn conclude(mut self, server: &mut Server) -> (End, Vec<u8>, u64) {
        let stopped = self.stop.map(|(why, _)| why);
        if stopped.is_some() || server.reach() == Reach::Group {
            self.kill_group(Signal::KILL);
        }
        let status = waitpid(Some(self.pid), WaitOptions::empty());
        if stopped.is_some() {
            kin::end_all_but(&self.earlier, server.reach());
        }
        for _ in 0..LAST_READS {
            if !self.read_output() {
                break;
            }
        }
        if let Some(pipe) = self.pipe.take()
            && stopped.is_none()
            && server.reach() != Reach::Group
        {
            server.keep_pipe(pipe);
        }
        let end = match stopped {
            Some(Stop::Deadline) => End::Ran(RanEnd::Deadline),
            Some(Stop::Cancel) => End::Cancelled,
            // As the system does it when memory is short; it may be collected already.
            Some(Stop::Limit) => End::Ran(RanEnd::Signal(Signal::KILL.as_raw())),
            None => End::Ran(ended(status)),
        };
        let (output, dropped) = self.capture.finish();
        (end, output, dropped)
    }
}

fn ended(status: rustix::io::Result<Option<(Pid, WaitStatus)>>) -> RanEnd {
    let status = status.ok().flatten().map(|(_, status)| status);
    match status.map(|status| (status.exit_status(), status.terminating_signal())) {
        Some((Some(code), _)) => RanEnd::Exit(code),
        Some((None, Some(signal))) => RanEnd::Signal(signal),
        // It was collected by somebody else, which cannot be told from a failure.
        _ => RanEnd::Exit(255),
    }
}
