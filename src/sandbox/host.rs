//! Programs on the host's side: git and the user's setup commands, never anything an agent wrote.
//!
//! Each runs in its own process group with a deadline, a cap on what it may print and an
//! environment that holds only what is named here. Blocking: callers use `spawn_blocking`.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
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
    let feeder = child.stdin.take().map(|mut pipe| {
        let bytes = command.stdin.clone();
        thread::spawn(move || pipe.write_all(&bytes))
    });
    let (send, receive) = mpsc::channel();
    if let Some(pipe) = child.stdout.take() {
        collect(Stream::Out, pipe, command.max_output, send.clone());
    }
    if let Some(pipe) = child.stderr.take() {
        collect(Stream::Err, pipe, 64 << 10, send);
    }
    let result = gather(command, &mut child, &receive);
    if result.is_err() {
        end_group(&mut child);
    }
    drop(feeder);
    result
}

/// Runs a program for the user on the user's own terminal and returns its exit code.
pub fn interactive(program: &str, dir: &Path) -> Result<i32, HostError> {
    let status = Command::new(program).current_dir(dir).status();
    let status =
        status.map_err(|source| HostError::Start { program: program.to_owned(), source })?;
    Ok(status.code().unwrap_or(1))
}

fn start(command: &HostCommand) -> Result<Child, HostError> {
    let mut os = Command::new(&command.program);
    os.args(&command.args).env_clear().process_group(0);
    for name in KEPT {
        if let Some(value) = std::env::var_os(name) {
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

#[derive(Clone, Copy, PartialEq)]
enum Stream {
    Out,
    Err,
}

type Collected = (Stream, io::Result<(Vec<u8>, bool)>);

fn collect(
    stream: Stream,
    pipe: impl Read + Send + 'static,
    cap: usize,
    to: mpsc::Sender<Collected>,
) {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let mut pipe = pipe;
        let read = pipe.by_ref().take(cap as u64 + 1).read_to_end(&mut bytes);
        let over = bytes.len() > cap;
        // Standard error beyond its cap is of no use, but the program must not block on it.
        if over && stream == Stream::Err {
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        bytes.truncate(cap);
        let _ = to.send((stream, read.map(|_| (bytes, over))));
    });
}

fn gather(
    command: &HostCommand,
    child: &mut Child,
    from: &mpsc::Receiver<Collected>,
) -> Result<HostOutput, HostError> {
    let program = || command.program.clone();
    let end = Instant::now() + command.deadline;
    let late =
        || HostError::Deadline { program: program(), seconds: command.deadline.as_secs().max(1) };
    let mut output = HostOutput { code: None, stdout: Vec::new(), stderr: Vec::new() };
    for _ in 0..2 {
        let left = end.saturating_duration_since(Instant::now());
        let (stream, read) = from.recv_timeout(left).map_err(|_| late())?;
        let (bytes, over) =
            read.map_err(|source| HostError::Pipe { program: program(), source })?;
        match stream {
            Stream::Out if over => {
                return Err(HostError::TooMuch { program: program(), cap: command.max_output });
            }
            Stream::Out => output.stdout = bytes,
            Stream::Err => output.stderr = bytes,
        }
    }
    // Both pipes are closed, so the program is about to end; one that lingers meets the deadline.
    loop {
        match child.try_wait() {
            Ok(Some(status)) => {
                output.code = status.code().or(status.signal().map(|signal| 128 + signal));
                return Ok(output);
            }
            Ok(None) if Instant::now() >= end => return Err(late()),
            Ok(None) => thread::sleep(Duration::from_micros(200)),
            Err(source) => return Err(HostError::Pipe { program: program(), source }),
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
