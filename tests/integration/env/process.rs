//! Processes of a test: each in a group of its own, with a deadline, its output in files.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::{
    process::{Pid, Signal, kill_process, kill_process_group},
    pty::{self, OpenptFlags},
    termios::{Winsize, tcsetwinsize},
};

use super::Env;

/// A process to run.
#[must_use]
pub(crate) struct Run<'a> {
    /// The world it runs in.
    pub(super) env: &'a Env,
    /// The program with its arguments and environment.
    pub(super) command: Command,
    /// What it reads.
    pub(super) stdin: Vec<u8>,
    /// How long it may take.
    pub(super) deadline: Duration,
}

/// What a process said.
#[derive(Debug)]
pub(crate) struct Output {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
}

impl Run<'_> {
    /// Adds a variable to the clean environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Feeds a text to the standard input, which is empty otherwise.
    pub(crate) fn stdin(mut self, text: &str) -> Self {
        self.stdin = text.as_bytes().to_vec();
        self
    }

    /// Runs it in another folder below the root.
    pub(crate) fn dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(self.env.root().join(folder));
        self
    }

    /// Lets the scripted model play these answers.
    #[track_caller]
    pub(crate) fn script(mut self, yaml: &str) -> Self {
        let file = self.env.new_file("script.yaml");
        fs::write(&file, yaml).expect("a new file");
        self.command.arg("--model").arg(format!("scripted:{}", file.display()));
        self
    }

    /// Lets it take longer or less long than other processes.
    pub(crate) fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs it to its end and expects success.
    #[track_caller]
    pub(crate) fn ok(self) -> Output {
        self.code(0)
    }

    /// Runs it to its end and expects this exit code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Output {
        let running = self.start();
        let line = running.line.clone();
        let output = running.finish();
        assert!(
            output.status.code() == Some(code),
            "{line}\nended with {}, not with {code}\n{}",
            output.status,
            output.text()
        );
        output
    }

    /// Starts it. Whatever is not finished is killed when dropped.
    #[track_caller]
    pub(crate) fn start(mut self) -> Running {
        let file = |name: &str| self.env.new_file(name);
        let (stdin, stdout, stderr) = (file("stdin"), file("stdout"), file("stderr"));
        fs::write(&stdin, &self.stdin).expect("a new file");
        // Files and not pipes: nobody has to read them for the process to go on.
        self.command
            .stdin(File::open(&stdin).expect("the file just written"))
            .stdout(File::create(&stdout).expect("a new file"))
            .stderr(File::create(&stderr).expect("a new file"));
        self.spawn((stdout, stderr), (None, None))
    }

    /// Starts it on a terminal of its own; all that is written there is its standard output.
    #[track_caller]
    pub(crate) fn start_on_terminal(mut self) -> Running {
        let (stdout, stderr) = (self.env.new_file("terminal"), self.env.new_file("stderr"));
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = pty::openpt(flags).expect("a terminal");
        pty::unlockpt(&ours).expect("an own terminal");
        let theirs = pty::ioctl_tiocgptpeer(&ours, flags).expect("its other end");
        let size = Winsize { ws_row: 40, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, size).expect("an own terminal");
        let end = || theirs.try_clone().expect("a copy of the descriptor");
        self.command.stdin(end()).stdout(end()).stderr(end());
        fs::write(&stderr, "").expect("a new file");
        let mut file = File::create(&stdout).expect("a new file");
        // It ends with an error once nobody holds the other end.
        let keys = File::from(ours.try_clone().expect("a copy of the descriptor"));
        let copy = thread::spawn(move || drop(io::copy(&mut File::from(ours), &mut file)));
        self.spawn((stdout, stderr), (Some(copy), Some(keys)))
    }

    #[track_caller]
    fn spawn(
        mut self,
        (stdout, stderr): (PathBuf, PathBuf),
        (copy, keys): (Option<JoinHandle<()>>, Option<File>),
    ) -> Running {
        let line = format!("{:?}", self.command.get_program());
        let line = self.command.get_args().fold(line, |line, arg| format!("{line} {arg:?}"));
        let child = self.command.process_group(0).spawn();
        let child = child.unwrap_or_else(|error| panic!("{line}: {error}"));
        let end = Instant::now() + self.deadline;
        Running { child, line, end, stdout, stderr, copy, keys, is_reaped: false }
    }
}

/// A process that was started, in a process group of its own.
pub(crate) struct Running {
    child: Child,
    line: String,
    end: Instant,
    stdout: PathBuf,
    stderr: PathBuf,
    /// What brings a terminal's text into the file.
    copy: Option<JoinHandle<()>>,
    /// Where its user types.
    keys: Option<File>,
    is_reaped: bool,
}

impl Running {
    /// Waits for its end, whatever it is.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Output {
        loop {
            if let Some(status) = self.child.try_wait().expect("an own child") {
                self.is_reaped = true;
                if let Some(copy) = self.copy.take() {
                    copy.join().expect("it only copies");
                }
                return self.output(status);
            }
            self.check_deadline();
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until a text stands in its standard output or error.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        while !self.said().contains(text) {
            let ended = self.child.try_wait().expect("an own child");
            // It may have said it just before it ended.
            if let Some(status) = ended.filter(|_| !self.said().contains(text)) {
                self.is_reaped = true;
                panic!("{} ended with {status} and without {text:?}\n{}", self.line, self.said());
            }
            self.check_deadline();
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Types a line at its terminal.
    #[track_caller]
    pub(crate) fn types(&mut self, line: &str) {
        let keys = self.keys.as_mut().expect("it was started on a terminal");
        writeln!(keys, "{line}").expect("somebody reads");
    }

    /// Sends a signal to the process alone, as `kill` does.
    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a live process");
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn said(&self) -> String {
        self.output(ExitStatus::default()).text()
    }

    #[track_caller]
    fn check_deadline(&self) {
        // Unwinding drops it, which kills the group.
        assert!(Instant::now() < self.end, "{} met its deadline\n{}", self.line, self.said());
    }

    fn output(&self, status: ExitStatus) -> Output {
        let read = |path: &Path| {
            String::from_utf8_lossy(&fs::read(path).expect("its output")).into_owned()
        };
        Output { status, stdout: read(&self.stdout), stderr: read(&self.stderr) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Once the leader is reaped its number may be somebody else's.
        if !self.is_reaped {
            let _ = kill_process_group(self.pid(), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

impl Output {
    /// Returns both streams for a message.
    pub(crate) fn text(&self) -> String {
        format!("--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr)
    }
}
