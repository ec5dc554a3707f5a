//! The same tests as an ordinary user, where they run as root: what root may is not what others may.

use std::{fs, os::unix::fs::chown, path::Path, process::Command};

use tempfile::TempDir;

use super::skip;

/// Names the folder in which an ordinary user's tests make theirs.
pub(super) const FOLDER: &str = "GRAFTER_TEST_FOLDER";
/// An account that every system has and that owns nothing.
const NOBODY: u32 = 65534;

/// Returns a program with its arguments, started as an ordinary user.
fn as_nobody(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    let id = NOBODY.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--inh-caps=-all"]);
    command.arg(program);
    command
}

#[test]
fn an_ordinary_user_is_held_in_the_same_way() {
    if !rustix::process::getuid().is_root() {
        // Then all other tests show it.
        return;
    }
    let own = std::env::current_exe().expect("known");
    // Root's own folders may be closed to others, and then there is nothing to start.
    for program in [&own, Path::new(super::HELPER)] {
        let reached = as_nobody(Path::new("/usr/bin/test")).arg("-x").arg(program).status();
        if !reached.is_ok_and(|status| status.success()) {
            skip(&format!("an ordinary user cannot start {}", program.display()));
            return;
        }
    }
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let home = folder.path().join("home");
    fs::create_dir(&home).expect("made");
    for path in [folder.path(), &home] {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("given away");
    }
    let out = as_nobody(&own)
        .args(["sandbox::", "hostile::", "landing::confined::"])
        // What is left out says nothing of who may do what.
        .args(["--skip", "sandbox::real", "--skip", "sandbox::ordinary"])
        .env("HOME", &home)
        .env(FOLDER, folder.path())
        .current_dir(folder.path())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{said}\n{}", String::from_utf8_lossy(&out.stderr));
    // A filter that fits nothing is a success, too.
    for name in [
        "sandbox::escapes::calls_that_attack_the_kernel_are_refused",
        "sandbox::limits::a_fork_bomb_is_held_and_the_next_command_has_room",
        "sandbox::told::doctor_tells_the_truth_where_something_is_missing",
    ] {
        assert!(said.contains(&format!("test {name} ... ok")), "{name}");
    }
}
