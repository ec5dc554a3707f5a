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

/// Runs tests of this binary as an ordinary user, if this is root and the machine lets one start
/// it; returns what they printed.
fn tests_as_nobody(words: &[&str]) -> Option<String> {
    if !rustix::process::getuid().is_root() {
        // Then all other tests show it.
        return None;
    }
    let own = std::env::current_exe().expect("known");
    // Root's own folders may be closed to others, and then there is nothing to start.
    for program in [&own, Path::new(super::HELPER)] {
        let reached = as_nobody(Path::new("/usr/bin/test")).arg("-x").arg(program).status();
        if !reached.is_ok_and(|status| status.success()) {
            skip(&format!("an ordinary user cannot start {}", program.display()));
            return None;
        }
    }
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let home = folder.path().join("home");
    fs::create_dir(&home).expect("made");
    for path in [folder.path(), &home] {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("given away");
    }
    let out = as_nobody(&own)
        .args(words)
        .env("HOME", &home)
        .env(FOLDER, folder.path())
        .current_dir(folder.path())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{said}\n{}", String::from_utf8_lossy(&out.stderr));
    Some(said)
}

/// Returns the names of tests that did not pass; a filter that fits nothing is a success, too.
fn missing<'a>(said: &str, names: &[&'a str]) -> Vec<&'a str> {
    let passed = |name: &&str| said.contains(&format!("test {name} ... ok"));
    names.iter().filter(|name| !passed(name)).copied().collect()
}

#[test]
fn an_ordinary_user_is_held_in_the_same_way() {
    // What is left out says nothing of who may do what, or has a step of its own.
    let words = ["sandbox::", "hostile::", "landing::confined::", "--skip", "sandbox::real"];
    let Some(said) = tests_as_nobody(&[&words[..], &["--skip", "sandbox::ordinary"]].concat())
    else {
        return;
    };
    let names = [
        "hostile::what_an_agent_made_unreadable_lands_all_the_same",
        "sandbox::escapes::calls_that_attack_the_kernel_are_refused",
        "sandbox::limits::a_fork_bomb_is_held_and_the_next_command_has_room",
        "sandbox::told::doctor_tells_the_truth_where_something_is_missing",
    ];
    assert_eq!(missing(&said, &names), [""; 0]);
}

#[test]
#[ignore = "the kernel counts an ordinary user's processes together: .ci/run starts it alone"]
fn a_hostile_model_let_loose_by_an_ordinary_user_comes_through_nowhere() {
    let Some(said) = tests_as_nobody(&["letloose::", "poison::", "--test-threads=1"]) else {
        return;
    };
    let names = [
        "letloose::a_hostile_model_comes_through_nowhere_in_bypass_and_yolo",
        "letloose::in_weaker_sandboxes_a_hostile_model_comes_through_where_that_is_said",
        "poison::a_model_that_obeys_a_poisoned_issue_readme_or_output_is_stopped_in_bypass_and_yolo",
    ];
    assert_eq!(missing(&said, &names), [""; 0]);
}
