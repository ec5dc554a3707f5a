//! Programs on the host's side: git and the user's setup commands, never anything an agent wrote.
//!
//! Each runs in its own process group with a deadline, a cap on what it may print and an
//! environment that holds only what is named here. Blocking: callers use `spawn_blocking`.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Read, Write},
    os::{
        fd::AsFd,
        unix::{
            fs::MetadataExt,
            process::{CommandExt, ExitStatusExt},
        },
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_setfl},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open},
};
use thiserror::Error;

/// Names taken over from grafter's own environment; everything else is dropped.
const KEPT: [&str; 8] =
    ["PATH", "HOME", "LANG", "LC_ALL", "USER", "LOGNAME", "TMPDIR", "XDG_CONFIG_HOME"];

/// A program to run on the host.
#[derive(Clone, Debug)]
pub struct HostCommand {
    /// The program's name or path.
    pub program: String,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its working directory; grafter's own when absent.
    pub dir: Option<PathBuf>,
    /// Variables added to the scrubbed environment.
    pub env: Vec<(String, OsString)>,
    /// Bytes for its standard input.
    pub stdin: Vec<u8>,
    /// How long it may take.
    pub deadline: Duration,
    /// Cap on standard output, in bytes; more is an error, because a cut answer would mislead.
    pub max_output: usize,
}

impl HostCommand {
    /// Returns a command with a deadline of two minutes and a cap of 256 MiB.
    pub fn new(program: &str) -> Self {
        Self {
            program: program.to_owned(),
            args: Vec::new(),
            dir: None,
            env: Vec::new(),
            stdin: Vec::new(),
            deadline: Duration::from_secs(120),
            max_output: 256 << 20,
        }
    }
}

/// What a program said.
#[derive(Clone, Debug)]
pub struct HostOutput {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error, the first 64 KiB.
    pub stderr: Vec<u8>,
}

/// Why a program could not be run to its end.
#[derive(Debug, Error)]
pub enum HostError {
    /// It is not there or not executable.
    #[error("cannot start `{program}`")]
    Start {
        /// The program.
        program: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// It took too long and was ended with its whole group.
    #[error("`{program}` did not end within {seconds} s and was stopped")]
    Deadline {
        /// The program.
        program: String,
        /// The deadline.
        seconds: u64,
    },
    /// It printed more than its cap.
    #[error("`{program}` printed more than {cap} bytes")]
    TooMuch {
        /// The program.
        program: String,
        /// The cap.
        cap: usize,
    },
    /// Its pipes broke.
    #[error("cannot talk to `{program}`")]
    Pipe {
        /// The program.
        program: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// Runs a program to its end and returns what it said, whatever its exit code.
pub fn run(command: &HostCommand) -> Result<HostOutput, HostError> {
    let mut child = start(command)?;
    let end = Instant::now() + command.deadline;
    let said = talk(command, &mut child, end).and_then(|(stdout, stderr)| {
        let status = finish(command, &mut child, end)?;
        let code = status.code().or(status.signal().map(|signal| 128 + signal));
        Ok(HostOutput { code, stdout, stderr })
    });
    if said.is_err() {
        end_group(&mut child);
    }
    said
}

/// Runs a program for the user on the user's own terminal and returns its exit code.
pub fn interactive(program: &str, dir: &Path) -> Result<i32, HostError> {
    let status = Command::new(program).current_dir(dir).status();
    let status =
        status.map_err(|source| HostError::Start { program: program.to_owned(), source })?;
    Ok(status.code().unwrap_or(1))
}

fn start(command: &HostCommand) -> Result<Child, HostError> {
    let mut os = Command::new(on_path(&command.program));
    os.args(&command.args).env_clear().process_group(0);
    for name in KEPT {
        if let Some(value) = env::var_os(name) {
            os.env(name, value);
        }
    }
    os.envs(command.env.iter().map(|(name, value)| (name, value)));
    if let Some(dir) = &command.dir {
        os.current_dir(dir);
    }
    let stdin = if command.stdin.is_empty() { Stdio::null() } else { Stdio::piped() };
    os.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    os.spawn().map_err(|source| HostError::Start { program: command.program.clone(), source })
}

/// Returns where a program lies.
///
/// A name that the system has to look up in a changed PATH costs a copy of this whole process.
fn on_path(program: &str) -> PathBuf {
    let path = env::var_os("PATH").filter(|_| !program.contains('/')).unwrap_or_default();
    let is_program = |file: &PathBuf| {
        fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0)
    };
    let mut files = env::split_paths(&path).map(|dir| dir.join(program));
    files.find(is_program).unwrap_or_else(|| program.into())
}

/// A stream of the program's, until it is closed.
struct Stream<P> {
    pipe: Option<P>,
    bytes: Vec<u8>,
    cap: usize,
}

impl<P: Read + AsFd> Stream<P> {
    fn new(pipe: Option<P>, cap: usize) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            fcntl_setfl(pipe, OFlags::NONBLOCK)?;
        }
        Ok(Self { pipe, bytes: Vec::new(), cap })
    }

    /// Takes what is there; returns whether there was more than the cap.
    fn take(&mut self) -> io::Result<bool> {
        let Some(pipe) = &mut self.pipe else { return Ok(false) };
        let mut chunk = [0; 16 << 10];
        match pipe.read(&mut chunk) {
            Ok(0) => self.pipe = None,
            Ok(count) => {
                let room = self.cap - self.bytes.len();
                self.bytes.extend_from_slice(&chunk[..count.min(room)]);
                return Ok(count > room);
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(false)
    }
}

/// Feeds the program and reads both its streams until it has closed them.
fn talk(
    command: &HostCommand,
    child: &mut Child,
    end: Instant,
) -> Result<(Vec<u8>, Vec<u8>), HostError> {
    let broken = |source| HostError::Pipe { program: command.program.clone(), source };
    let mut input = child.stdin.take();
    if let Some(pipe) = &input {
        fcntl_setfl(pipe, OFlags::NONBLOCK).map_err(|errno| broken(errno.into()))?;
    }
    let mut rest = command.stdin.as_slice();
    let mut out = Stream::new(child.stdout.take(), command.max_output).map_err(broken)?;
    // Standard error beyond its cap is of no use, but the program must not block on it.
    let mut err = Stream::new(child.stderr.take(), 64 << 10).map_err(broken)?;
    while out.pipe.is_some() || err.pipe.is_some() {
        let mut fds = Vec::with_capacity(3);
        fds.extend(out.pipe.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        fds.extend(err.pipe.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        fds.extend(input.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        wait(&mut fds, left(command, end)?).map_err(broken)?;
        if out.take().map_err(broken)? {
            let (program, cap) = (command.program.clone(), command.max_output);
            return Err(HostError::TooMuch { program, cap });
        }
        err.take().map_err(broken)?;
        if let Some(pipe) = &mut input
            && feed(pipe, &mut rest).map_err(broken)?
        {
            input = None;
        }
    }
    Ok((out.bytes, err.bytes))
}

/// Returns the time until the deadline, or that it has passed.
fn left(command: &HostCommand, end: Instant) -> Result<Duration, HostError> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        let seconds = command.deadline.as_secs().max(1);
        return Err(HostError::Deadline { program: command.program.clone(), seconds });
    }
    Ok(left)
}

/// Writes what the pipe takes; returns whether nothing is left, or nobody reads any more.
fn feed(pipe: &mut ChildStdin, rest: &mut &[u8]) -> io::Result<bool> {
    match pipe.write(rest) {
        Ok(count) => {
            *rest = &rest[count..];
            Ok(rest.is_empty())
        }
        Err(error) if is_passing(&error) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(error),
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn wait(fds: &mut [PollFd<'_>], left: Duration) -> io::Result<()> {
    let left = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 3600, tv_nsec: 0 });
    match poll(fds, Some(&left)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waits for a program that has closed its streams and is about to end; a lingering one is late.
fn finish(command: &HostCommand, child: &mut Child, end: Instant) -> Result<ExitStatus, HostError> {
    let broken = |source| HostError::Pipe { program: command.program.clone(), source };
    let handle = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).ok();
    loop {
        if let Some(status) = child.try_wait().map_err(broken)? {
            return Ok(status);
        }
        let left = left(command, end)?;
        match &handle {
            Some(handle) => {
                wait(&mut [PollFd::new(handle, PollFlags::IN)], left).map_err(broken)?;
            }
            None => thread::sleep(Duration::from_micros(200)),
        }
    }
}

fn end_group(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> HostCommand {
        let mut command = HostCommand::new("sh");
        command.args = vec!["-c".into(), script.into()];
        command
    }

    #[test]
    fn stdout_stderr_and_code_come_back() {
        let output = run(&sh("echo out; echo err >&2; exit 3")).expect("sh runs");
        assert_eq!(output.code, Some(3));
        assert_eq!(
            (output.stdout.as_slice(), output.stderr.as_slice()),
            (&b"out\n"[..], &b"err\n"[..])
        );
    }

    #[test]
    fn input_reaches_the_program_and_the_environment_is_scrubbed() {
        let mut command = sh("cat; env | grep -c CARGO");
        command.stdin = b"fed".to_vec();
        let output = run(&command).expect("sh runs");
        assert_eq!(output.stdout, b"fed0\n");
    }

    #[test]
    fn much_is_fed_and_read_at_once_and_an_input_nobody_reads_is_dropped() {
        let mut command = HostCommand::new("cat");
        command.stdin = vec![b'x'; 3 << 20];
        assert_eq!(run(&command).expect("cat runs").stdout, command.stdin);
        let mut command = sh("exec <&-; head -c 200000 /dev/zero >&2; echo said");
        command.stdin = vec![b'x'; 3 << 20];
        let output = run(&command).expect("sh runs");
        assert_eq!((output.stdout.as_slice(), output.stderr.len()), (&b"said\n"[..], 64 << 10));
    }

    #[test]
    fn a_hanging_program_is_ended_with_its_group() {
        let mut command = sh("sleep 600 & sleep 600");
        command.deadline = Duration::from_millis(50);
        assert!(matches!(run(&command), Err(HostError::Deadline { .. })));
    }

    #[test]
    fn an_endless_program_is_ended_at_its_cap() {
        let mut command = sh("yes");
        command.max_output = 1000;
        assert!(matches!(run(&command), Err(HostError::TooMuch { cap: 1000, .. })));
    }
}
