//! A writer whose process is killed while it writes: its tree is free once nothing of it runs any
//! more, and whoever goes on finds it as it was saved last.

use std::{fs, process, thread, time::Duration};

use grafter::sandbox::lock::TreeLock;
use rustix::process::Signal;
use tokio::runtime::Builder;

use crate::{
    env::Env,
    solo::{Story, at_gate, open_gate, solo},
    steer::waits_until,
};

/// Writes without end until the gate is open.
const WRITES: &str = "echo half > half.txt; touch waiting; until test -e go; do echo half >> half.txt; done; \
                      rm half.txt waiting go";

#[test]
fn a_writer_killed_in_mid_write_holds_its_tree_until_the_last_of_it_is_dead() {
    let env = Env::new();
    env.write("a.txt", "a\n");
    env.commit("start");
    let story = Story::new().write("kept.txt", "kept\n").bash(WRITES).finish();
    let running = solo(&env, &story, &["true"], &["--into", "target"]).start();
    let tree = at_gate(&env, "writer");
    running.signal(Signal::KILL);
    let taken = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let lock = taken.block_on(TreeLock::acquire(&tree, "test", Duration::from_secs(60)));
    let length = || fs::metadata(tree.join("half.txt")).expect("it wrote").len();
    let before = length();
    thread::sleep(Duration::from_millis(100));
    assert_eq!(length(), before, "somebody writes in a tree that is free");
    running.finish();
    fs::remove_file(tree.join("waiting")).expect("it waited");
    let resumed = env.grafter(["resume"]).start();
    let holder = format!("process {}, or what it has started, holds it", process::id());
    waits_until(&env, "solve", &format!("{holder}; after 120 s that is E_BUSY"));
    drop(lock.expect("the tree is free"));
    let tree = at_gate(&env, "writer");
    assert_eq!(fs::read_to_string(tree.join("kept.txt")).expect("the last snapshot"), "kept\n");
    open_gate(&tree);
    let output = resumed.finish();
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    assert_eq!(env.git(["diff", "--name-only", "main", "target"]), "kept.txt");
}
