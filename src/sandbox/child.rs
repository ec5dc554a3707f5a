//! `grafter __sandbox`: the process that confines itself and then serves commands.
//!
//! Started with an empty environment and its socket as standard input. For namespaces there are
//! two processes: the first makes them and forks the second, which is process 1 of the new pid
//! namespace, mounts the view, gives up every capability and serves. When process 1 ends, the
//! kernel ends everything else inside; it ends when the socket closes or the first process dies.
//! Nothing here starts a thread before that, because a process with threads can neither make a user
//! namespace nor go on after a fork. It is forked, not started anew, so that both share what the
//! loader has made of the program: 0.5 MB for each sandbox.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{
    fs::Mode,
    process::{DumpableBehavior, Signal, set_child_subreaper, set_dumpable_behavior},
};

use crate::sandbox::{
    bubblewrap,
    kin::Reach,
    landlock,
    limits::{self, Numbered},
    loopback, mounts, namespaces, outlet,
    seccomp::{self, Sockets},
    serve::Server,
    wire::{Confine, Ready, Setup, Standing, View},
};

/// The hidden subcommand's name.
pub(super) const NAME: &str = "__sandbox";
/// Asks for namespaces: the first process.
pub(super) const NAMESPACES: &str = "namespaces";
/// Asks for Landlock alone.
pub(super) const LANDLOCK: &str = "landlock";
/// Asks for bubblewrap, whose further arguments follow.
pub(super) const BUBBLEWRAP: &str = "bubblewrap";
/// The second process, inside the namespaces that bubblewrap has made.
pub(super) const INSIDE: &str = "inside";

static DISPATCHES: AtomicBool = AtomicBool::new(false);

/// Makes the running program able to be its own sandbox helper.
///
/// A program that uses grafter as a library calls this as the first thing in `main`, before any
/// thread or runtime exists, and returns the code if there is one: then this process is the inside
/// of a sandbox, started by another process of the same program. Without the call the program
/// cannot be a helper, and every start of a sandbox says so instead of running `main` again.
pub fn dispatch() -> Option<ExitCode> {
    let args: Vec<OsString> = env::args_os().collect();
    if args.get(1).is_some_and(|arg| arg == NAME) {
        return Some(main(args.get(2..).unwrap_or_default()));
    }
    DISPATCHES.store(true, Ordering::Relaxed);
    None
}

/// Returns whether the running program would serve if it were started as a helper.
pub(super) fn dispatches() -> bool {
    DISPATCHES.load(Ordering::Relaxed)
}

/// Does the work of `grafter __sandbox`, whose further arguments these are.
fn main(args: &[OsString]) -> ExitCode {
    let mode = args.first().and_then(|arg| arg.to_str()).unwrap_or_default();
    let result = close_inherited().and_then(|()| match mode {
        NAMESPACES => outer(),
        INSIDE => serve_confined(Reach::Namespace),
        BUBBLEWRAP => bubblewrap::outer(args.get(1..).unwrap_or_default()),
        LANDLOCK => serve_confined(Reach::Kin),
        _ => Err(format!("`{NAME}` is started by grafter itself, not by hand")),
    });
    match result {
        Ok(code) => code,
        Err(why) => {
            let _ = answer(&Ready::Failed(why));
            ExitCode::FAILURE
        }
    }
}

/// Closes every file but the standard ones.
///
/// Whoever started grafter may have left files open in it, and through an open directory of the
/// host a command would get past all mounts.
fn close_inherited() -> Result<(), String> {
    let failed = |error: io::Error| format!("cannot list its open files: {error}");
    let names = fs::read_dir("/proc/self/fd").map_err(failed)?.flatten();
    // Listed first: the listing is itself an open file, which is gone when the numbers are used.
    let open: Vec<i32> = names.filter_map(|name| name.file_name().to_str()?.parse().ok()).collect();
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        let _ = nix::unistd::close(fd);
    }
    Ok(())
}

fn outer() -> Result<ExitCode, String> {
    // Without a terminal of its own a command can neither read nor feed the user's.
    let _ = rustix::process::setsid();
    namespaces::enter()?;
    let inside = safe_fork::fork().map_err(|error| format!("cannot start inside: {error}"))?;
    let Some(inside) = inside else {
        // What the first process holds open is no business of the inside.
        let null = File::open("/dev/null").map_err(|error| format!("no /dev/null: {error}"))?;
        rustix::stdio::dup2_stderr(null).map_err(|error| format!("cannot use it: {error}"))?;
        return serve_confined(Reach::Namespace);
    };
    let status = inside.join().map_err(|error| format!("cannot wait for the inside: {error}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn serve_confined(reach: Reach) -> Result<ExitCode, String> {
    let death = rustix::process::set_parent_process_death_signal;
    if reach == Reach::Namespace {
        death(Some(Signal::KILL)).map_err(|error| format!("cannot bind to its parent: {error}"))?;
    } else {
        let _ = rustix::process::setsid();
        let adopt = set_child_subreaper(Some(rustix::process::getpid()));
        adopt.map_err(|error| format!("cannot adopt orphans: {error}"))?;
    }
    let socket = socket().map_err(|error| format!("cannot use its socket: {error}"))?;
    let mut setup = read_setup(&socket)?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let standing = confine(&setup, reach)?;
    if let Some(no_proxy) = &setup.no_proxy {
        let named = outlet::hand_out(no_proxy);
        setup.env.extend(named.map_err(|error| format!("cannot offer a proxy: {error}"))?);
    }
    // Its memory and environment are nobody's business, although commands run as the same user.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = env::set_current_dir(Path::new(&setup.base));
    answer(&Ready::Serving(standing)).map_err(|error| format!("cannot answer: {error}"))?;
    Server::new(socket, setup, reach).serve();
    Ok(ExitCode::SUCCESS)
}

fn confine(setup: &Setup, reach: Reach) -> Result<Standing, String> {
    match &setup.confine {
        Confine::Namespaces(view) => {
            let built = mounts::build(view, &setup.limits).map_err(|error| error.to_string())?;
            let (mut weaker, numbered) = built;
            if let Err(error) = loopback::up() {
                weaker.push(format!("127.0.0.1 does not answer inside: {error}"));
            }
            seal(setup, reach, (view, numbered)).map(|held| Standing { weaker, held })
        }
        Confine::Bubblewrap(view) => {
            let held = seal(setup, reach, (view, Numbered::No))?;
            Ok(Standing { weaker: Vec::new(), held })
        }
        Confine::Landlock(access) => {
            let mut held = limits::set(&setup.limits, reach, Numbered::No);
            // Root's capabilities reach past Landlock, to other processes' memory for one.
            namespaces::give_up_power()?;
            let weaker = landlock::restrict(access)?;
            held.extend(landlock::version().map(|abi| format!("landlock: ABI {abi}, alone")));
            held.push(filter(Sockets::None)?);
            Ok(Standing { weaker, held })
        }
        Confine::Nothing => Ok(Standing::default()),
    }
}

/// Closes everything behind mounts that are made: limits, capabilities, Landlock, system calls.
fn seal(
    setup: &Setup,
    reach: Reach,
    (view, numbered): (&View, Numbered),
) -> Result<Vec<String>, String> {
    let mut held = limits::set(&setup.limits, reach, numbered);
    namespaces::give_up_power()?;
    held.extend(
        landlock::beneath(view).map(|abi| format!("landlock: ABI {abi}, beneath the mounts")),
    );
    held.push(filter(Sockets::Local)?);
    Ok(held)
}

fn filter(sockets: Sockets) -> Result<String, String> {
    seccomp::set(sockets).map(|count| format!("seccomp: {count} system calls refused"))
}

fn socket() -> io::Result<UnixStream> {
    let fd: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    Ok(UnixStream::from(fd))
}

/// Reads the first line and no byte more; the next ones are the server's.
fn read_setup(socket: &UnixStream) -> Result<Setup, String> {
    let mut line = Vec::new();
    // One byte at a time would be slow and one large read could take too much, but grafter sends
    // nothing further before it has the answer.
    BufReader::new(socket.take(64 << 20))
        .read_until(b'\n', &mut line)
        .map_err(|error| format!("cannot read its setup: {error}"))?;
    serde_json::from_slice(&line).map_err(|error| format!("cannot read its setup: {error}"))
}

fn answer(ready: &Ready) -> io::Result<()> {
    let mut line = serde_json::to_vec(ready)?;
    line.push(b'\n');
    socket()?.write_all(&line)
}
