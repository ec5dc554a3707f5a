//! The write lock of trees, by one task and by many.

use std::process::Command;

use super::*;

const NOW: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(60);

/// Takes the lock in a task of its own, as agents do.
async fn acquire(tree: &Path, patience: Duration) -> Result<WriteGuard, LockError> {
    let tree = tree.to_owned();
    let taken = tokio::spawn(async move {
        TreeLock::acquire(&tree, "solve@1 of run r\u{1b}[1m", patience).await
    });
    taken.await.expect("no panic")
}

#[tokio::test]
async fn the_second_writer_is_refused_until_the_first_lets_go() {
    let tree = tempfile::tempdir().expect("a folder");
    let link = tree.path().join("link");
    std::os::unix::fs::symlink(tree.path(), &link).expect("a link");
    let first = acquire(tree.path(), NOW).await.expect("free");
    let error = acquire(&link, NOW).await.expect_err("it is held");
    let said = format!(
        "E_BUSY: solve@1 of run r\\u{{1b}}[1m holds the tree {}, for longer than 0ns",
        link.display()
    );
    assert_eq!(error.to_string(), said);
    drop(first);
    assert_eq!(TreeLock::holder(&link), None);
    acquire(&link, NOW).await.expect("free again");
}

#[tokio::test]
async fn a_tree_that_is_not_there_is_an_error() {
    let error = acquire(Path::new("/nonexistent/tree"), NOW).await.expect_err("none");
    assert_eq!(error.to_string(), "cannot lock the tree /nonexistent/tree");
}

#[tokio::test]
async fn a_write_that_comes_late_is_refused() {
    let tree = tempfile::tempdir().expect("a folder");
    let first = acquire(tree.path(), NOW).await.expect("free");
    let late = first.pass();
    assert!(late.enter().is_ok());
    drop(first);
    assert_eq!(late.enter().map(drop), Err(Fenced), "nobody holds it now");
    let second = acquire(tree.path(), NOW).await.expect("free");
    assert_eq!(late.enter().map(drop), Err(Fenced), "somebody else holds it");
    assert!(second.pass().enter().is_ok() && late.hold().is_err());
}

#[tokio::test]
async fn what_a_writer_has_started_holds_the_lock_until_it_has_ended() {
    let tree = tempfile::tempdir().expect("a folder");
    let first = acquire(tree.path(), NOW).await.expect("free");
    let hold = first.pass().hold().expect("it holds the tree");
    let mut child = Command::new("sleep").arg("600").stderr(hold).spawn().expect("a child");
    drop(first);
    let error = acquire(tree.path(), NOW).await.expect_err("it is held").to_string();
    let holder = format!("process {}, or what it has started, holds", std::process::id());
    assert!(error.contains(&holder) || !cfg!(target_os = "linux"), "{error}");
    child.kill().expect("it runs");
    child.wait().expect("it has ended");
    acquire(tree.path(), NOW).await.expect("free with its last process");
}

/// Reads, changes and writes without any care of its own, as an agent's tools would.
async fn adds_one(tree: &Path, served: &Mutex<Vec<usize>>, who: usize) {
    let guard = acquire(tree, LONG).await.expect("its turn comes");
    let pass = guard.pass();
    let _writing = pass.enter().expect("it holds the tree");
    let file = tree.join("count");
    let count: usize = fs::read_to_string(&file).expect("a file").parse().expect("a count");
    tokio::task::yield_now().await;
    fs::write(&file, (count + 1).to_string()).expect("a file");
    served.lock().expect("no panic").push(who);
}

#[tokio::test]
async fn a_hundred_writers_of_one_tree_lose_no_update_and_come_in_their_order() {
    let tree = tempfile::tempdir().expect("a folder");
    fs::write(tree.path().join("count"), "0").expect("a file");
    let served = Mutex::default();
    let all = (0..100).map(|who| adds_one(tree.path(), &served, who));
    futures_util::future::join_all(all).await;
    let count = fs::read_to_string(tree.path().join("count")).expect("a file");
    assert_eq!(count, "100");
    assert_eq!(served.into_inner().expect("no panic"), (0..100).collect::<Vec<_>>());
}

#[test]
fn the_systems_list_of_locks_says_which_process_holds_a_tree() {
    let locks = "1: POSIX  ADVISORY  WRITE 7 fe:00:42 0 EOF\n\
                 2: FLOCK  ADVISORY  WRITE 8 fe:00:421 0 EOF\n\
                 3: -> FLOCK ADVISORY WRITE 9 fe:00:42 0 EOF\n\
                 4: FLOCK  ADVISORY  WRITE 10 fe:00:42 0 EOF\nnonsense\n\n5:";
    let device = rustix::fs::makedev(0xfe, 0);
    assert_eq!(holder_in(locks, (device, 42)), Some(10));
    assert_eq!(holder_in(locks, (device, 4)), None);
}
