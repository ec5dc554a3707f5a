//! The file system inside: the host's, read-only, with the layers of a [`View`] over it.
//!
//! The order matters. Writable folders are taken hold of first, while they are writable and can
//! be reached. Then secrets are covered and every mount is made read-only; what is shared is taken
//! hold of only now, so that it brings the covers and the read-only flags along, below it too. Then
//! the layers are laid. Mount points are made only in layers: everything else is read-only by then.

use std::{
    collections::BTreeMap,
    ffi::{CString, OsString},
    fs, io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, FileType, fstat, symlink},
    io::Errno,
    mount::{
        MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount, mount_bind,
        mount_change, mount_remount, move_mount, open_tree,
    },
};
use thiserror::Error;

use crate::sandbox::{
    limits::{self, Numbered},
    mountinfo,
    options::Limits,
    wire::{Fill, Layer, View},
};

/// Devices that programs need; the rest of the host's are not there.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Parts of `/proc` that change the machine: root's files, and root inside may be root outside.
pub(super) const KERNEL_KNOBS: [&str; 6] = ["sys", "sysrq-trigger", "irq", "bus", "fs", "acpi"];

/// A step of the building that failed.
#[derive(Debug, Error)]
#[error("cannot {step} {}: {source}", path.display())]
pub(super) struct MountError {
    step: &'static str,
    path: PathBuf,
    source: io::Error,
}

type Result<T> = std::result::Result<T, MountError>;

fn failed(step: &'static str, path: &Path) -> impl FnOnce(Errno) -> MountError {
    move |errno| MountError { step, path: path.to_owned(), source: errno.into() }
}

/// Builds the view in this process's mount namespace; returns what had to be left out, and whether
/// the number of processes is limited on the way.
pub(super) fn build(view: &View, limits: &Limits) -> Result<(Vec<String>, Numbered)> {
    let root = Path::new("/");
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change(root, private).map_err(failed("separate", root))?;
    let mut held = BTreeMap::new();
    hold(view, &mut held, Hold::Own)?;
    let devices = hold_devices();
    mount_proc()?;
    // Through this very `/proc`, before that part of it can no longer be written.
    let numbered = limits::number(limits);
    protect_knobs()?;
    for secret in view.secrets.iter().map(Path::new).filter(|path| path.exists()) {
        hide(secret)?;
    }
    make_all_read_only()?;
    hold(view, &mut held, Hold::Shared)?;
    lay_devices(devices, limits)?;
    let mut notes = Vec::new();
    for layer in &view.layers {
        lay(layer, &mut held, (limits, &mut notes))?;
    }
    Ok((notes, numbered))
}

#[derive(Clone, Copy, PartialEq)]
enum Hold {
    Own,
    Shared,
}

/// Detached copies of mounts, by the path they were taken from.
type Held = BTreeMap<OsString, OwnedFd>;

fn hold(view: &View, held: &mut Held, which: Hold) -> Result<()> {
    for layer in &view.layers {
        match &layer.fill {
            Fill::Own(source) if which == Hold::Own => {
                let path = Path::new(source);
                let copy = detached(path).map_err(failed("take hold of", path))?;
                held.insert(layer.at.clone(), copy);
            }
            Fill::Shared(source) if which == Hold::Shared => {
                if let Ok(copy) = detached(Path::new(source)) {
                    held.insert(layer.at.clone(), copy);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn detached(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    open_tree(CWD, path, flags)
}

fn attach(copy: &OwnedFd, at: &Path) -> rustix::io::Result<()> {
    move_mount(copy.as_fd(), "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

fn mount_proc() -> Result<()> {
    let proc = Path::new("/proc");
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", proc, "proc", flags, None).map_err(failed("mount", proc))
}

fn protect_knobs() -> Result<()> {
    let proc = Path::new("/proc");
    for knob in KERNEL_KNOBS.map(|name| proc.join(name)).iter().filter(|path| path.exists()) {
        // A mount of its own, which is then made read-only with all others.
        mount_bind(knob, knob).map_err(failed("protect", knob))?;
    }
    Ok(())
}

fn make_all_read_only() -> Result<()> {
    let info = Path::new("/proc/self/mountinfo");
    let unread = |source| MountError { step: "read", path: info.to_owned(), source };
    for (at, flags) in mountinfo::mounts(&fs::read(info).map_err(unread)?) {
        if at == Path::new("/proc") {
            continue;
        }
        let flags = flags | MountFlags::BIND | MountFlags::RDONLY;
        match mount_remount(&at, flags, "") {
            // Nothing can be reached there: another mount lies over it, or the way is barred.
            Ok(()) | Err(Errno::INVAL | Errno::NOENT | Errno::ACCESS | Errno::NOTDIR) => {}
            Err(errno) => return Err(failed("make read-only", &at)(errno)),
        }
    }
    Ok(())
}

fn hold_devices() -> Vec<(PathBuf, OwnedFd)> {
    let paths = DEVICES.map(|name| Path::new("/dev").join(name));
    paths.into_iter().filter_map(|path| detached(&path).ok().map(|copy| (path, copy))).collect()
}

fn lay_devices(devices: Vec<(PathBuf, OwnedFd)>, limits: &Limits) -> Result<()> {
    let dev = Path::new("/dev");
    scratch(dev, &format!("mode=0755,size={}", limits.tmp))?;
    for (path, copy) in devices {
        create_file(&path, b"").map_err(failed("make", &path))?;
        attach(&copy, &path).map_err(failed("bind", &path))?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        let path = dev.join(name);
        symlink(target, &path).map_err(failed("make", &path))?;
    }
    for name in ["shm", "pts"] {
        let path = dev.join(name);
        rustix::fs::mkdir(&path, 0o1777.into()).map_err(failed("make", &path))?;
    }
    let (pts, flags) = (dev.join("pts"), MountFlags::NOSUID | MountFlags::NOEXEC);
    let options = c"newinstance,ptmxmode=0666,mode=620";
    mount("devpts", &pts, "devpts", flags, options).map_err(failed("mount", &pts))
}

fn scratch(at: &Path, options: &str) -> Result<()> {
    let options = CString::new(options).unwrap_or_default();
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", at, "tmpfs", flags, options.as_c_str())
        .map_err(failed("mount a folder over", at))
}

fn lay(layer: &Layer, held: &mut Held, (limits, notes): (&Limits, &mut Vec<String>)) -> Result<()> {
    let at = Path::new(&layer.at);
    match &layer.fill {
        Fill::Scratch if at.is_dir() => scratch(at, &format!("mode=1777,size={}", limits.tmp)),
        Fill::Hidden if at.exists() => hide(at),
        // What is not there needs no cover.
        Fill::Scratch | Fill::Hidden => Ok(()),
        Fill::Text(text) => lay_text(text, at).map_err(failed("write", at)),
        Fill::Own(_) => {
            let copy = held.remove(&layer.at).ok_or(Errno::NOENT);
            copy.and_then(|copy| lay_copy(&copy, at)).map_err(failed("bind a folder at", at))
        }
        Fill::Shared(_) => {
            let copy = held.remove(&layer.at).ok_or(Errno::NOENT);
            if let Err(errno) = copy.and_then(|copy| lay_copy(&copy, at)) {
                notes.push(format!("{} is not shared: {errno}", at.display()));
            }
            Ok(())
        }
    }
}

/// Covers a folder with an empty one and a file with the null device.
fn hide(at: &Path) -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::RDONLY;
    let hidden = if at.is_dir() {
        mount("tmpfs", at, "tmpfs", flags, c"mode=0555,size=4k")
    } else {
        mount_bind("/dev/null", at)
    };
    match hidden {
        // A socket that has gone meanwhile, as that of another run does when it ends.
        Err(Errno::NOENT) if !at.exists() => Ok(()),
        hidden => hidden.map_err(failed("hide", at)),
    }
}

fn lay_copy(copy: &OwnedFd, at: &Path) -> rustix::io::Result<()> {
    let kind = FileType::from_raw_mode(fstat(copy)?.st_mode);
    if kind == FileType::Directory {
        fs::create_dir_all(at).map_err(|error| errno(&error))?;
    } else if !at.exists() {
        fs::create_dir_all(at.parent().unwrap_or(at)).map_err(|error| errno(&error))?;
        create_file(at, b"")?;
    }
    attach(copy, at)
}

/// Lays a file over another; its text lives in memory and has no other name.
fn lay_text(text: &str, at: &Path) -> rustix::io::Result<()> {
    let made = Path::new("/dev/text");
    create_file(made, text.as_bytes())?;
    mount_bind(made, at)?;
    rustix::fs::unlink(made)
}

fn create_file(path: &Path, bytes: &[u8]) -> rustix::io::Result<()> {
    fs::write(path, bytes).map_err(|error| errno(&error))
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_went_away_before_it_was_hidden_stopped_the_sandbox() {
        assert!(hide(Path::new("/nowhere/1123-0517.sock")).is_ok());
    }
}
