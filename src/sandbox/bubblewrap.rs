//! Bubblewrap: another program makes the same view where this one is refused the namespaces.
//!
//! Some systems allow them to programs they know, and bubblewrap is one of these. It is started by
//! a helper of its own, which first gives up the capabilities that an ordinary user may have been
//! lent: bubblewrap takes them for a mistake. Inside it the same program serves as ever.

use std::{
    ffi::{OsStr, OsString},
    io::{Seek, Write},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use rustix::{
    fs::{MemfdFlags, memfd_create},
    thread::{CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities},
};

use crate::sandbox::{
    child, mounts,
    options::Limits,
    wire::{Fill, View},
};

/// Where bubblewrap may lie; PATH could name a folder of the repository.
const PLACES: [&str; 4] = [
    "/usr/bin/bwrap",
    "/usr/local/bin/bwrap",
    "/run/wrappers/bin/bwrap",
    "/run/current-system/sw/bin/bwrap",
];
/// Where the helper lies inside: the one folder that no other layer covers.
const HELPER: &str = "/dev/grafter";
/// What is given by its text; the helper that starts bubblewrap puts a file number in its place.
const TEXT: &str = "--ro-bind-data";

/// Returns where bubblewrap is.
pub(super) fn find() -> Option<&'static Path> {
    PLACES.map(Path::new).into_iter().find(|path| path.is_file())
}

/// Returns the program and arguments that build this view and start the helper in it.
pub(super) fn command(
    program: &Path,
    view: &View,
    (limits, helper): (&Limits, &Path),
) -> Vec<OsString> {
    let mut all: Vec<OsString> = vec![program.into()];
    all.extend(
        "--unshare-user-try --unshare-ipc --unshare-pid --unshare-net --unshare-uts --as-pid-1 \
         --die-with-parent --new-session --cap-drop ALL --ro-bind / / --dev /dev --proc /proc"
            .split_whitespace()
            .map(OsString::from),
    );
    let mut add = |words: &[&OsStr]| all.extend(words.iter().map(OsString::from));
    // Bubblewrap leaves those alone that it cannot write as a folder, but root can the files below.
    for knob in mounts::KERNEL_KNOBS.map(|name| Path::new("/proc").join(name)) {
        let knob = knob.as_os_str();
        add(&["--ro-bind-try".as_ref(), knob, knob]);
    }
    for secret in view.secrets.iter().filter(|secret| Path::new(secret).exists()) {
        hide(&mut add, secret);
    }
    let size = limits.tmp.to_string();
    let mut hidden = Vec::new();
    for layer in &view.layers {
        let at = layer.at.as_os_str();
        match &layer.fill {
            Fill::Scratch if Path::new(at).is_dir() => add(&[
                "--perms".as_ref(),
                "1777".as_ref(),
                "--size".as_ref(),
                size.as_ref(),
                "--tmpfs".as_ref(),
                at,
            ]),
            Fill::Hidden if Path::new(at).exists() => hide(&mut add, at),
            Fill::Scratch | Fill::Hidden => {}
            Fill::Own(from) => add(&["--bind".as_ref(), from, at]),
            Fill::Text(text) => add(&[TEXT.as_ref(), text.as_ref(), at]),
            Fill::Shared(from) => {
                add(&["--ro-bind-try".as_ref(), from, at]);
                let here = view.secrets.iter().filter(|secret| Path::new(secret).exists());
                hidden.extend(here.filter_map(|secret| {
                    let below = Path::new(secret).strip_prefix(from).ok()?;
                    Some(Path::new(at).join(below))
                }));
            }
        }
    }
    // What is shared was taken from the host, where nothing covers the secrets in it.
    for secret in hidden {
        hide(&mut add, secret.as_os_str());
    }
    add(&["--ro-bind".as_ref(), helper.as_ref(), HELPER.as_ref(), "--".as_ref()]);
    add(&[HELPER.as_ref(), child::NAME.as_ref(), child::INSIDE.as_ref()]);
    all
}

/// Returns what of the host is covered because it is there. It may go away before bubblewrap comes
/// to it, as a socket of another run does when that ends, and then bubblewrap gives up.
pub(super) fn covered(view: &View) -> Vec<PathBuf> {
    let layers = view.layers.iter().filter(|layer| layer.fill == Fill::Hidden);
    let all = layers.map(|layer| &layer.at).chain(&view.secrets).map(PathBuf::from);
    all.filter(|path| path.exists()).collect()
}

fn hide(add: &mut impl FnMut(&[&OsStr]), at: &OsStr) {
    match Path::new(at).is_dir() {
        true => add(&[
            "--perms".as_ref(),
            "0555".as_ref(),
            "--size".as_ref(),
            "4096".as_ref(),
            "--tmpfs".as_ref(),
            at,
            "--remount-ro".as_ref(),
            at,
        ]),
        false => add(&["--ro-bind".as_ref(), "/dev/null".as_ref(), at]),
    }
}

/// Starts bubblewrap with these words and waits for it; the work of a helper.
pub(super) fn outer(words: &[OsString]) -> Result<ExitCode, String> {
    let failed = |error: std::io::Error| format!("cannot start bubblewrap: {error}");
    let _ = rustix::process::setsid();
    give_up_lent().map_err(|errno| failed(errno.into()))?;
    let (program, words) = words.split_first().ok_or("no program was named")?;
    let (words, _texts) = with_texts(words).map_err(failed)?;
    let mut command = Command::new(PathBuf::from(program));
    // Its own environment can be read from inside, as that of process 1.
    command.args(words).env_clear().stdin(Stdio::inherit()).stderr(Stdio::null());
    let status = command.status().map_err(failed)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Puts a file in memory in the place of each text; the files must live until they are read.
fn with_texts(words: &[OsString]) -> std::io::Result<(Vec<OsString>, Vec<OwnedFd>)> {
    let (mut all, mut files) = (Vec::new(), Vec::new());
    let mut is_text = false;
    for word in words {
        if is_text {
            // It must pass to bubblewrap, so it is not closed when that is started.
            let mut file = std::fs::File::from(memfd_create("text", MemfdFlags::empty())?);
            file.write_all(word.as_encoded_bytes())?;
            file.rewind()?;
            all.push(file.as_raw_fd().to_string().into());
            files.push(file.into());
        } else {
            all.push(word.clone());
        }
        is_text = word == TEXT;
    }
    Ok((all, files))
}

fn give_up_lent() -> rustix::io::Result<()> {
    clear_ambient_capability_set()?;
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}
