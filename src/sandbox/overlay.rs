//! Overlay mounts, and the mount namespace of this process in which they are made.
//!
//! A mount of ours is seen by this process and what it starts, by nobody else, and ends with it: a
//! kill leaves nothing behind that somebody would have to unmount. The user inside is the user
//! outside. Marks of the overlay are in the `user.overlay.` attributes for root too, so that an
//! upper folder reads the same whoever made it. Source of the options:
//! <https://docs.kernel.org/filesystems/overlayfs.html>.

use std::{
    ffi::CString,
    fmt::Write as _,
    fs::{self, File},
    io,
    os::fd::AsRawFd,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{
    fs::{CWD, Mode, OFlags, fgetxattr, openat, statfs},
    io::Errno,
    mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount},
    process::{getegid, geteuid},
    thread::UnshareFlags,
};

use crate::sandbox::namespaces::unshare;

/// What `statfs` says of an overlay.
const MAGIC: i64 = 0x794c_7630;
/// The attribute of a folder that hides what lies below it in lower layers.
const OPAQUE: &str = "user.overlay.opaque";

static OWN: AtomicBool = AtomicBool::new(false);

/// Gives this process a mount namespace of its own, once; must be called before it has a second
/// thread. Fails where the kernel or its administrator does not let an ordinary user have one.
pub fn enter() -> Result<(), String> {
    let (uid, gid) = (geteuid(), getegid());
    match uid.is_root() && unshare(UnshareFlags::NEWNS).is_ok() {
        true => {}
        false => {
            unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)
                .map_err(|error| format!("cannot make a mount namespace: {error}"))?;
            let (uid, gid) = (uid.as_raw(), gid.as_raw());
            for (file, text) in [
                ("setgroups", "deny".to_owned()),
                ("uid_map", format!("{uid} {uid} 1")),
                ("gid_map", format!("{gid} {gid} 1")),
            ] {
                fs::write(format!("/proc/self/{file}"), text)
                    .map_err(|error| format!("cannot write {file}: {error}"))?;
            }
        }
    }
    // What others mount is still seen here, what is mounted here is seen by nobody else.
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(|error| format!("cannot separate the mounts: {error}"))?;
    OWN.store(true, Ordering::Relaxed);
    Ok(())
}

/// Returns whether this process has a mount namespace of its own.
pub fn is_entered() -> bool {
    OWN.load(Ordering::Relaxed)
}

/// Lays an overlay over a folder: `lower` folders, the uppermost first, and what changes in `upper`.
/// `work` is the kernel's; it lies on the same file system as `upper`.
pub fn lay(lower: &[impl AsRef<Path>], upper: &Path, work: &Path, at: &Path) -> io::Result<()> {
    let open = |path: &Path| {
        openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    };
    let lower: Vec<_> = lower.iter().map(|path| open(path.as_ref())).collect::<Result<_, _>>()?;
    let (upper, work) = (open(upper)?, open(work)?);
    // Named by descriptor: paths may hold what the options cannot, and be too long for them.
    let named = |fd: &rustix::fd::OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let lower: Vec<_> = lower.iter().map(named).collect();
    let mut options = format!("lowerdir={}", lower.join(":"));
    let _ = write!(options, ",upperdir={},workdir={},userxattr", named(&upper), named(&work));
    let options = CString::new(options).map_err(|_| Errno::INVAL)?;
    Ok(mount("overlay", at, "overlay", MountFlags::empty(), options.as_c_str())?)
}

/// Takes an overlay away; a folder without one is left alone.
pub fn lift(at: &Path) -> io::Result<()> {
    match is_laid(at) {
        true => Ok(unmount(at, UnmountFlags::DETACH)?),
        false => Ok(()),
    }
}

/// Returns whether an overlay of ours lies over a folder.
pub fn is_laid(at: &Path) -> bool {
    let is_overlay = |path: &Path| statfs(path).is_ok_and(|found| found.f_type == MAGIC);
    let device = |path: &Path| rustix::fs::lstat(path).map(|found| found.st_dev);
    let above = at.parent().unwrap_or(at);
    is_overlay(at) && device(at).ok() != device(above).ok()
}

/// Returns whether an open folder of an upper layer hides what lies below it.
pub fn is_opaque(folder: impl rustix::fd::AsFd) -> bool {
    let mut value = [0_u8; 1];
    fgetxattr(folder, OPAQUE, &mut value[..]).is_ok_and(|len| len == 1) && value == *b"y"
}

/// Lays an overlay in a folder once, to see whether it can be done there; fails with what was
/// answered.
pub fn probe(folder: &Path) -> Result<(), String> {
    let dir = tempfile::TempDir::new_in(folder).map_err(|error| error.to_string())?;
    let [lower, upper, work, at] = ["l", "u", "w", "m"].map(|name| dir.path().join(name));
    for path in [&lower, &upper, &work, &at] {
        fs::create_dir(path).map_err(|error| error.to_string())?;
    }
    let tried = File::create(lower.join("f")).and_then(|_| lay(&[&lower], &upper, &work, &at));
    let seen = tried.and_then(|()| {
        fs::remove_file(at.join("f"))?;
        fs::create_dir(at.join("d"))
    });
    let lifted = lift(&at);
    // The kernel's own folder below it may not be entered by others.
    seen.and(lifted)
        .map_err(|error| format!("no overlay can be laid in {}: {error}", folder.display()))
}

/// Runs something in a thread that can lay overlays, which only root may have; says so elsewhere.
#[cfg(test)]
#[expect(clippy::print_stderr, reason = "a test that shows nothing says so")]
pub(crate) fn in_a_thread(run: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let run = move || match enter_thread() {
            Err(why) => eprintln!("skipped, since no overlay can be laid here: {why}"),
            Ok(()) => run(),
        };
        if let Err(failed) = scope.spawn(run).join() {
            std::panic::resume_unwind(failed);
        }
    });
}

/// Gives the calling thread a mount namespace of its own.
#[cfg(test)]
fn enter_thread() -> Result<(), String> {
    unshare(UnshareFlags::NEWNS).map_err(|error| error.to_string())?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(|error| error.to_string())?;
    probe(&std::env::temp_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlay_is_laid_and_lifted_in_a_namespace_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let tried = std::thread::scope(|scope| {
            // A thread of its own may have a mount namespace of its own, if it is root.
            let tried = scope.spawn(|| enter_thread().and_then(|()| probe(dir.path())));
            tried.join().unwrap()
        });
        match geteuid().is_root() {
            true => assert_eq!(tried, Ok(())),
            false => assert!(tried.is_err()),
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
    }
}
