//! One running command: waiting for it, stopping it, and what it printed.

use std::{
    collections::BTreeSet,
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{
        Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, waitid, waitpid,
    },
};

use crate::sandbox::{
    capture::Capture,
    kin::{self, Reach},
    launcher::{Launcher, Member, Next, Process},
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

/// The status of a command of which a later part finds no room.
const NO_ROOM: i32 = 254;

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
    /// All processes that were started for it; the first gives the group its number.
    all: Vec<Pid>,
    /// The pipeline that runs.
    now: Vec<Member>,
    /// Starts what comes after it.
    launcher: Launcher,
    /// How it ended, once nothing is left to run.
    end: Option<RanEnd>,
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
    /// Starts a command that prints into this pipe.
    pub(super) fn start(
        launcher: Launcher,
        pipe: io::PipeReader,
        (deadline, max_output): (Instant, usize),
    ) -> io::Result<Self> {
        let mut running = Self {
            all: Vec::new(),
            now: Vec::new(),
            launcher,
            end: None,
            pipe: Some(pipe),
            capture: Capture::new(max_output),
            deadline,
            earlier: BTreeSet::new(),
            stop: None,
            reaped: Instant::now(),
        };
        running.go_on(RanEnd::Exit(0))?;
        Ok(running)
    }

    /// Starts what is due after the last pipeline, or takes down how the command ended.
    fn go_on(&mut self, last: RanEnd) -> io::Result<()> {
        let mut said = Vec::new();
        let next = self.launcher.next(status(last), &mut said);
        self.capture.push(&said);
        match next? {
            Next::Running(members) => {
                let started = members.iter().filter_map(Member::process);
                self.all.extend(started.map(|process| process.pid));
                self.now = members;
            }
            Next::Nothing(code) if code == status(last) => self.end = Some(last),
            Next::Nothing(code) => self.end = Some(RanEnd::Exit(code)),
        }
        Ok(())
    }

    /// Keeps these children of the server alive when the command is stopped.
    pub(super) fn keeping(mut self, earlier: BTreeSet<i32>) -> Self {
        self.earlier = earlier;
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
        let running = || self.now.iter().filter(|member| member.end().is_none());
        let handles = || running().filter_map(|member| member.process()?.handle.as_ref());
        fds.extend(handles().map(|handle| PollFd::new(handle, PollFlags::IN)));
        let next = self.stop.map_or(self.deadline, |(_, since)| since + GRACE);
        let all_seen = handles().count() == running().count();
        let most = if all_seen { watch::EVERY } else { LOOK_EVERY };
        // A process that cannot be killed at once must not make this a busy wait.
        let left = next.saturating_duration_since(Instant::now()).clamp(LOOK_LEAST, most);
        let _ = poll(&mut fds, Some(&timespec(left)));
        let ready = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
        Woken { socket: ready(0), output: self.pipe.is_some() && ready(1) }
    }

    /// Reads once; returns whether there may be more at once.
    fn read_output(&mut self) -> bool {
        let Some(pipe) = &mut self.pipe else { return false };
        // The stack stays resident as long as the sandbox waits.
        let mut chunk = [0; 16 << 10];
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
        if let Some(first) = self.all.first() {
            let _ = kill_process_group(*first, signal);
        }
    }

    /// Whether nothing of it runs or is to run; what has ended is not collected, so the group's
    /// number stays taken.
    fn has_ended(&mut self) -> bool {
        while self.end.is_none() {
            let ends: Option<Vec<RanEnd>> = self.now.iter().map(Member::end).collect();
            let Some(ends) = ends else { return false };
            let last = match ends.as_slice() {
                [only] => *only,
                several => RanEnd::Exit(several.last().map_or(0, |last| status(*last))),
            };
            if self.stop.is_some() {
                self.end = Some(last);
                break;
            }
            // What it printed comes before what the next one prints.
            while self.read_output() {}
            if let Err(error) = self.go_on(last) {
                self.capture.push(format!("cannot go on: {error}\n").as_bytes());
                self.end = Some(RanEnd::Exit(NO_ROOM));
            }
        }
        true
    }

    /// Collects orphans now and then, but never the command itself.
    fn reap_others(&mut self) {
        if self.reaped.elapsed() >= REAP_EVERY {
            self.reaped = Instant::now();
            kin::reap_all_but(&self.all);
        }
    }

    fn conclude(mut self, server: &mut Server) -> (End, Vec<u8>, u64) {
        let stopped = self.stop.map(|(why, _)| why);
        if stopped.is_some() || server.reach() == Reach::Group {
            self.kill_group(Signal::KILL);
        }
        for pid in &self.all {
            let _ = waitpid(Some(*pid), WaitOptions::empty());
        }
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
            None => End::Ran(self.end.unwrap_or(RanEnd::Exit(255))),
        };
        let (output, dropped) = self.capture.finish();
        (end, output, dropped)
    }
}

impl Member {
    fn process(&self) -> Option<&Process> {
        match self {
            Self::Started(process) => Some(process),
            Self::Failed(_) => None,
        }
    }

    /// Returns how it ended, if it has; it is not collected.
    fn end(&self) -> Option<RanEnd> {
        let pid = match self {
            Self::Started(process) => process.pid,
            Self::Failed(status) => return Some(RanEnd::Exit(*status)),
        };
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = match waitid(WaitId::Pid(pid), look) {
            Ok(None) => return None,
            Ok(Some(status)) => (status.exit_status(), status.terminating_signal()),
            Err(_) => (None, None),
        };
        Some(match status {
            (Some(code), _) => RanEnd::Exit(code),
            (None, Some(signal)) => RanEnd::Signal(signal),
            // It was collected by somebody else, which cannot be told from a failure.
            (None, None) => RanEnd::Exit(255),
        })
    }
}

/// Returns the status that a shell gives an end.
fn status(end: RanEnd) -> i32 {
    match end {
        RanEnd::Exit(code) => code,
        RanEnd::Signal(signal) => 128 + signal,
        RanEnd::Deadline => 255,
    }
}
