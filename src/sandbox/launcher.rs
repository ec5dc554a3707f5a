//! What a command has still to start: one shell, or the pipelines of a plan, one after another.
//!
//! A plan is carried out as bash would carry out the same words: the same programs, the same files,
//! the same status and the same message where something cannot be started. All of it is one process
//! group; the first process gives it its number and is not collected before the command has ended.

use std::{
    collections::VecDeque,
    ffi::OsString,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};

use crate::{
    protocol::plan::{Act, Start, Step, When},
    sandbox::{
        program::{self, Unable},
        redirect::{self, Outlet, Outlets},
        run::Job,
    },
};

/// The status of a change of directory that failed, as bash has it.
const FAILED: i32 = 1;

/// A process of the pipeline that runs.
pub(super) struct Process {
    /// Its number.
    pub(super) pid: Pid,
    /// Its handle; none where the kernel has none.
    pub(super) handle: Option<OwnedFd>,
}

/// One program of a pipeline.
pub(super) enum Member {
    /// It runs.
    Started(Process),
    /// It could not be started; this is the status that says so.
    Failed(i32),
}

/// What every program of a command starts with.
pub(super) struct Base {
    /// The shell.
    pub(super) shell: PathBuf,
    /// The environment.
    pub(super) env: Vec<(OsString, OsString)>,
    /// The working directory.
    pub(super) dir: PathBuf,
}

/// What is still to be started.
pub(super) struct Launcher {
    base: Base,
    left: Left,
    pipe: Option<io::PipeWriter>,
    group: Option<Pid>,
}

enum Left {
    Script(Option<String>),
    Steps(VecDeque<Step>),
}

/// What came of starting the next thing.
pub(super) enum Next {
    /// A pipeline runs.
    Running(Vec<Member>),
    /// Nothing is left; the command ends with this status.
    Nothing(i32),
}

impl Launcher {
    /// Returns what this job has to start; all of it prints into the pipe.
    pub(super) fn new(base: Base, job: &Job, pipe: io::PipeWriter) -> Self {
        let left = match job {
            Job::Script(text) => Left::Script(Some(text.clone())),
            Job::Plan(plan) => Left::Steps(plan.steps.iter().cloned().collect()),
        };
        Self { base, left, pipe: Some(pipe), group: None }
    }

    /// Starts what is due after something ended with `status`; messages are added to `said`.
    pub(super) fn next(&mut self, mut status: i32, said: &mut Vec<u8>) -> io::Result<Next> {
        let Some(pipe) = self.pipe.take() else { return Ok(Next::Nothing(status)) };
        let script = match &mut self.left {
            Left::Script(text) => text.take(),
            Left::Steps(_) => None,
        };
        if let Some(text) = script {
            return self.shell(&text, pipe);
        }
        while let Some(step) = self.due(status) {
            match step.act {
                Act::Cd(to) => status = self.cd(&to, said),
                Act::Pipeline(starts) => {
                    let members = self.pipeline(&starts, (&pipe, said))?;
                    // Whoever reads the pipe sees its end once nothing more can be started.
                    if matches!(&self.left, Left::Steps(steps) if !steps.is_empty()) {
                        self.pipe = Some(pipe);
                    }
                    return Ok(Next::Running(members));
                }
            }
        }
        Ok(Next::Nothing(status))
    }

    /// Returns the next step whose condition the status meets; those before it are passed over.
    fn due(&mut self, status: i32) -> Option<Step> {
        let Left::Steps(steps) = &mut self.left else { return None };
        while let Some(step) = steps.pop_front() {
            let is_due = match step.when {
                When::Always => true,
                When::Success => status == 0,
                When::Failure => status != 0,
            };
            if is_due {
                return Some(step);
            }
        }
        None
    }

    fn shell(&mut self, text: &str, pipe: io::PipeWriter) -> io::Result<Next> {
        let mut command = Command::new(&self.base.shell);
        command.arg("-c").arg(text).current_dir(&self.base.dir).env_clear();
        command.envs(self.base.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(pipe.try_clone()?).stderr(pipe);
        Ok(Next::Running(vec![Member::Started(self.spawn(command)?)]))
    }

    fn cd(&mut self, to: &str, said: &mut Vec<u8>) -> i32 {
        let dir = self.base.dir.join(to);
        // Looking in is what a change of directory needs: the right to search it.
        match dir.join(".").metadata() {
            Ok(_) => {
                self.base.dir = dir;
                0
            }
            Err(error) => {
                said.extend(self.message(&format!("cd: {to}: {}", program::words(&error))));
                FAILED
            }
        }
    }

    fn pipeline(
        &mut self,
        starts: &[Start],
        (pipe, said): (&io::PipeWriter, &mut Vec<u8>),
    ) -> io::Result<Vec<Member>> {
        let mut members = Vec::with_capacity(starts.len());
        let mut input: Option<OwnedFd> = None;
        for (n, start) in starts.iter().enumerate() {
            let stdin = input.take().map_or(Outlet::Nothing, Outlet::File);
            let stdout = if n + 1 < starts.len() {
                let (reader, writer) = io::pipe()?;
                input = Some(reader.into());
                Outlet::File(writer.into())
            } else {
                Outlet::Pipe
            };
            let outlets = Outlets([stdin, stdout, Outlet::Pipe]);
            members.push(self.member(start, outlets, (pipe, said))?);
        }
        Ok(members)
    }

    fn member(
        &mut self,
        start: &Start,
        mut outlets: Outlets,
        (pipe, said): (&io::PipeWriter, &mut Vec<u8>),
    ) -> io::Result<Member> {
        for open in &start.redirects {
            if let Err(why) = redirect::apply(&mut outlets, open, &self.base.dir) {
                self.complain(&why, &outlets, said);
                return Ok(Member::Failed(FAILED));
            }
        }
        match self.try_start(start, &outlets, pipe) {
            Ok(process) => Ok(Member::Started(process)),
            // Without room for the first process there may be after some cleaning.
            Err(Unable::System(error)) if self.group.is_none() => Err(error),
            Err(unable) => {
                let (why, status) = unable.told(&start.argv[0]);
                self.complain(&why, &outlets, said);
                Ok(Member::Failed(status))
            }
        }
    }

    fn try_start(
        &mut self,
        start: &Start,
        outlets: &Outlets,
        pipe: &io::PipeWriter,
    ) -> Result<Process, Unable> {
        let mut env = self.base.env.clone();
        env.push(("PWD".into(), self.base.dir.clone().into()));
        env.extend(start.env.iter().map(|(name, value)| (name.into(), value.into())));
        let path = program::find(&start.argv[0], (&self.base.dir, &env))?;
        let set = (env.as_slice(), outlets, pipe);
        let mut direct = self.prepared(&path, set)?;
        direct.arg0(&start.argv[0]).args(&start.argv[1..]);
        match self.spawn(direct) {
            Ok(process) => Ok(process),
            // A text without a first line that names its program is the shell's.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOEXEC) => {
                let mut shell = self.prepared(&self.base.shell, set)?;
                shell.arg(&path).args(&start.argv[1..]);
                self.spawn(shell).map_err(Unable::System)
            }
            Err(error) => Err(Unable::of(error, &self.base.dir.join(&path))),
        }
    }

    fn prepared(
        &self,
        program: &Path,
        (env, outlets, pipe): (&[(OsString, OsString)], &Outlets, &io::PipeWriter),
    ) -> Result<Command, Unable> {
        let mut command = Command::new(program);
        command.current_dir(&self.base.dir).env_clear();
        command.envs(env.iter().map(|(name, value)| (name, value)));
        let [stdin, stdout, stderr] = outlets.opened(pipe).map_err(Unable::System)?;
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        Ok(command)
    }

    fn spawn(&mut self, mut command: Command) -> io::Result<Process> {
        let group = self.group.map_or(0, |pid| pid.as_raw_nonzero().get());
        // The handle is dropped at once: ended children are collected by id, with the orphans.
        let child = command.process_group(group).spawn()?;
        let pid = Pid::from_child(&child);
        self.group.get_or_insert(pid);
        Ok(Process { pid, handle: pidfd_open(pid, PidfdFlags::empty()).ok() })
    }

    /// Says why something was not started, where its errors go.
    fn complain(&self, why: &str, outlets: &Outlets, said: &mut Vec<u8>) {
        let message = self.message(why);
        match &outlets.0[2] {
            Outlet::Pipe => said.extend(message),
            // Short enough for a pipe that is still empty; whoever closed it does not read it.
            Outlet::File(file) => {
                let _ = rustix::io::write(file.as_fd(), &message);
            }
            Outlet::Nothing => {}
        }
    }

    fn message(&self, why: &str) -> Vec<u8> {
        format!("{}: line 1: {why}\n", self.base.shell.display()).into_bytes()
    }
}
