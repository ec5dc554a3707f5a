//! Starting and ending the helper process of a sandbox.

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    net::Shutdown,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

use crate::sandbox::{
    bubblewrap, child,
    wire::{Confine, Setup},
};

/// How long a helper may take to end by itself.
const PATIENCE: Timespec = Timespec { tv_sec: 3, tv_nsec: 0 };

/// A started helper. Dropping it ends it, and waits until everything inside has ended.
#[derive(Debug)]
pub(super) struct Launched {
    /// Where it listens.
    pub(super) socket: UnixStream,
    child: Child,
}

/// Starts the helper and tells it what to build; does not wait for its answer.
///
/// `outlet` is where the helper hands out the socket that commands reach the proxy through, `hold` is
/// kept open, in the place of a standard error that nobody reads, until all inside has ended.
pub(super) fn start(
    helper: &Path,
    setup: &Setup,
    (outlet, hold): (Stdio, Stdio),
) -> io::Result<Launched> {
    refuse_self(helper)?;
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(helper);
    // No variable at all: the environment of the helper can be read from inside.
    command.arg(child::NAME).args(mode(helper, setup)?).env_clear();
    command.stdin(OwnedFd::from(theirs)).stdout(outlet).stderr(hold);
    let child = command.spawn()?;
    let mut launched = Launched { socket: ours, child };
    launched.socket.write_all(&setup_line(setup)?)?;
    Ok(launched)
}

/// Returns what the helper is asked for.
fn mode(helper: &Path, setup: &Setup) -> io::Result<Vec<OsString>> {
    Ok(match &setup.confine {
        Confine::Namespaces(_) => vec![child::NAMESPACES.into()],
        Confine::Landlock(_) | Confine::Nothing => vec![child::LANDLOCK.into()],
        Confine::Bubblewrap(view) => {
            let missing = || io::Error::new(io::ErrorKind::NotFound, "bubblewrap is not installed");
            let program = bubblewrap::find().ok_or_else(missing)?;
            let words = bubblewrap::command(program, view, (&setup.limits, helper));
            [vec![child::BUBBLEWRAP.into()], words].concat()
        }
    })
}

/// A program that does not call [`child::dispatch`] would run its own `main` in place of a helper's.
fn refuse_self(helper: &Path) -> io::Result<()> {
    if child::dispatches() || env::current_exe().is_ok_and(|own| own != helper) {
        return Ok(());
    }
    let why = "this program is no sandbox helper: it must call \
               `grafter::sandbox::child::dispatch()` first in `main`, or name a `grafter` program \
               as helper";
    Err(io::Error::new(io::ErrorKind::Unsupported, why))
}

/// Returns the first line for a child.
pub(super) fn setup_line(setup: &Setup) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(setup)?;
    line.push(b'\n');
    Ok(line)
}

impl Launched {
    /// Tells it to end everything inside and then itself; does not wait for it.
    pub(super) fn end(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        self.end();
        // Only a helper that does not obey is killed: without a pid namespace its kin would
        // survive it.
        if let Ok(handle) = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()) {
            let _ = poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&PATIENCE));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::options::{Limits, Options};

    #[test]
    fn a_program_that_does_not_dispatch_is_never_started_as_its_own_helper() {
        let own = env::current_exe().unwrap();
        let limits = Limits::from(&Options::default());
        let setup = Setup {
            confine: Confine::Nothing,
            base: "/".into(),
            env: Vec::new(),
            limits,
            no_proxy: None,
        };
        let error = start(&own, &setup, (Stdio::null(), Stdio::null())).unwrap_err();
        assert!(error.to_string().contains("child::dispatch()"), "{error}");
    }
}
