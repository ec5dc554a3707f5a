//! Snapshots against git itself: odd names, types, huge files, filters.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
};

use proptest::{
    prelude::{Strategy, any, prop_oneof},
    test_runner::{Config, TestRunner},
};

use super::*;
use crate::{
    git::{
        fixture::Fixture,
        layers, private,
        tree::{Shape, TreeSpec},
    },
    sandbox::overlay,
};

pub(super) struct Scene {
    pub(super) fixture: Fixture,
    pub(super) repo: Repo,
    pub(super) tree: PathBuf,
    pub(super) base: Oid,
}

thread_local! {
    /// Whether the trees of this thread's tests are overlays.
    static OVERLAYS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

fn shape(fixture: &Fixture) -> Shape {
    match OVERLAYS.get() {
        true => Shape::Overlay(fixture.beside("templates")),
        false => Shape::Plain,
    }
}

pub(super) fn scene(fixture: Fixture) -> Scene {
    let repo = fixture.repo();
    let tree = fixture.beside("trees/t1");
    let base = fixture.oid("HEAD");
    let branch = Some("grafter/r/t1".to_owned());
    let spec = TreeSpec { path: tree.clone(), commit: base.clone(), branch };
    tree::make_as(&repo, &spec, &shape(&fixture)).unwrap();
    let fits = layers::is_fit(&repo, &base).unwrap();
    assert_eq!(overlay::is_laid(&tree), OVERLAYS.get() && fits);
    Scene { fixture, repo, tree, base }
}

impl Scene {
    pub(super) fn tracker(&self) -> Tracker {
        Tracker::new(&self.repo, &self.tree, &self.base).unwrap()
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.tree.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// What git itself makes of the tree, by an index that starts at the base.
    pub(super) fn by_git(&self) -> Oid {
        let index = self.fixture.beside("check.index");
        let _ = fs::remove_file(&index);
        let site = Site { index, ..tree::site(&self.repo, &self.tree) };
        Git::tree(&site, "read-tree").args([self.base.as_str()]).ok().unwrap();
        Git::tree(&site, "add").args(["-A"]).ok().unwrap();
        Oid::new(Git::tree(&site, "write-tree").line().unwrap())
    }

    fn blob(&self, tree: &Oid, path: &str) -> Vec<u8> {
        let name = format!("{tree}:{path}");
        Git::objects(&self.repo, "cat-file").args(["blob", &name]).ok().unwrap()
    }
}

#[test]
fn nothing_changed_is_none_and_each_change_is_told_once() {
    let scene = scene(Fixture::small());
    let mut tracker = scene.tracker();
    assert_eq!(tracker.snapshot().unwrap(), None);
    scene.write("src/new.rs", b"new\n");
    fs::remove_file(scene.tree.join("a.txt")).unwrap();
    let snapshot = tracker.snapshot().unwrap().unwrap();
    assert_eq!(snapshot.changed, ["a.txt", "src/new.rs"]);
    assert_eq!(snapshot.tree, scene.by_git());
    assert_eq!(tracker.snapshot().unwrap(), None);
}

#[test]
fn same_size_edits_in_the_same_moment_are_seen() {
    let scene = scene(Fixture::small());
    let mut tracker = scene.tracker();
    for round in 0..50u8 {
        scene.write("a.txt", &[b'a' + round % 26, b'\n']);
        let tree = tracker.current().unwrap();
        assert_eq!(scene.blob(&tree, "a.txt"), [b'a' + round % 26, b'\n']);
    }
}

#[test]
fn current_does_not_swallow_a_snapshot() {
    let scene = scene(Fixture::small());
    let mut tracker = scene.tracker();
    scene.write("a.txt", b"two\n");
    let tree = tracker.current().unwrap();
    assert_eq!(tracker.snapshot().unwrap().unwrap().tree, tree);
}

#[test]
fn ignored_files_stay_out_but_tracked_ones_are_followed() {
    let fixture = Fixture::small();
    fixture.write("build/kept.txt", b"1");
    fixture.write("deep/.gitignore", b"!keep.log\n*.tmp\n");
    fixture.write(".gitignore", b"/build/\n*.log\r\n\xff\xfe\n");
    fixture.git(&["add", "-f", "build/kept.txt"]);
    fixture.commit("rules");
    fixture.write(".git/info/exclude", b"secret\n");
    let scene = scene(fixture);
    let mut tracker = scene.tracker();
    scene.write("build/kept.txt", b"2");
    for name in ["build/out.o", "x.log", "deep/x.log", "deep/keep.log", "deep/a.tmp", "secret"] {
        scene.write(name, b"x");
    }
    let snapshot = tracker.snapshot().unwrap().unwrap();
    assert_eq!(snapshot.changed, ["build/kept.txt", "deep/keep.log"]);
    assert_eq!(snapshot.tree, scene.by_git());
}

#[test]
fn odd_names_links_and_kinds_come_out_as_git_has_them() {
    let scene = scene(Fixture::small());
    let mut tracker = scene.tracker();
    let odd = OsStr::from_bytes(b"dir\xff/line\nend\xfe");
    fs::create_dir(scene.tree.join(OsStr::from_bytes(b"dir\xff"))).unwrap();
    fs::write(scene.tree.join(odd), b"odd").unwrap();
    symlink("loop-b", scene.tree.join("loop-a")).unwrap();
    symlink("loop-a", scene.tree.join("loop-b")).unwrap();
    symlink("/etc", scene.tree.join("outside")).unwrap();
    fs::remove_file(scene.tree.join("a.txt")).unwrap();
    scene.write("a.txt/now/deep", b"x");
    fs::remove_dir_all(scene.tree.join("src")).unwrap();
    scene.write("src", b"a file now");
    fs::set_permissions(scene.tree.join("src"), fs::Permissions::from_mode(0o755)).unwrap();
    let snapshot = tracker.snapshot().unwrap().unwrap();
    assert_eq!(snapshot.tree, scene.by_git());
    assert!(snapshot.changed.contains(&"dir\u{fffd}/line\nend\u{fffd}".to_owned()));
    // A tracker that begins at such a tree reads it back the same.
    let mut again = Tracker::new(&scene.repo, &scene.tree, &snapshot.tree).unwrap();
    assert_eq!(again.snapshot().unwrap(), None);
}

#[test]
fn carriage_returns_stay_without_attributes_and_follow_git_with_them() {
    let fixture = Fixture::small();
    fixture.write("dos.txt", b"a\r\nb\r\n");
    fixture.commit("dos");
    let scene = scene(fixture);
    let mut tracker = scene.tracker();
    scene.write("dos.txt", b"a\r\nB\r\n");
    let plain = tracker.snapshot().unwrap().unwrap();
    assert_eq!(scene.blob(&plain.tree, "dos.txt"), b"a\r\nB\r\n");
    let fixture = Fixture::small();
    fixture.write(".gitattributes", b"* text=auto\n");
    fixture.commit("attributes");
    let scene = self::scene(fixture);
    let mut tracker = scene.tracker();
    scene.write("new.txt", b"x\r\ny\r\n");
    let normal = tracker.snapshot().unwrap().unwrap();
    assert_eq!(scene.blob(&normal.tree, "new.txt"), b"x\ny\n");
}

#[test]
fn a_filter_of_the_users_is_applied_both_ways() {
    let fixture = Fixture::small();
    fixture.git(&["config", "filter.shout.clean", "tr a-z A-Z"]);
    fixture.git(&["config", "filter.shout.smudge", "tr A-Z a-z"]);
    fixture.write(".gitattributes", b"*.shout filter=shout\n");
    fixture.write("x.shout", b"hello\n");
    fixture.commit("filter");
    let scene = scene(fixture);
    assert_eq!(fs::read(scene.tree.join("x.shout")).unwrap(), b"hello\n");
    let mut tracker = scene.tracker();
    assert_eq!(tracker.snapshot().unwrap(), None);
    scene.write("x.shout", b"bye\n");
    scene.write("plain.txt", b"as it is\n");
    let snapshot = tracker.snapshot().unwrap().unwrap();
    assert_eq!(scene.blob(&snapshot.tree, "x.shout"), b"BYE\n");
    assert_eq!(scene.blob(&snapshot.tree, "plain.txt"), b"as it is\n");
    assert_eq!(snapshot.tree, scene.by_git());
}

#[test]
fn an_agents_attributes_do_not_choose_which_filter_runs() {
    let fixture = Fixture::small();
    let ran = fixture.beside("ran");
    for way in ["clean", "smudge"] {
        let command = format!("touch {}; cat", ran.display());
        fixture.git(&["config", &format!("filter.pwn.{way}"), &command]);
    }
    let scene = scene(fixture);
    let mut tracker = scene.tracker();
    scene.write(".gitattributes", b"* filter=pwn\n");
    scene.write("a.txt", b"by the agent\n");
    let snapshot = tracker.snapshot().unwrap().unwrap();
    assert_eq!(scene.blob(&snapshot.tree, "a.txt"), b"by the agent\n");
    tracker.restore(&scene.base).unwrap();
    tracker.restore(&snapshot.tree).unwrap();
    // Nor when its work is checked out for whoever verifies it.
    let tip = scene.fixture.git(&["commit-tree", snapshot.tree.as_str(), "-m", "mine"]);
    let tip = Oid::new(tip.trim());
    let path = scene.fixture.beside("trees/v1");
    let spec = TreeSpec { path: path.clone(), commit: tip, branch: None };
    tree::make(&scene.repo, &spec).unwrap();
    assert_eq!(fs::read(path.join("a.txt")).unwrap(), b"by the agent\n");
    assert!(!ran.exists(), "a filter ran on the host");
}

#[test]
fn nested_repositories_are_saved_as_plain_files() {
    let scene = scene(Fixture::small());
    let mut tracker = scene.tracker();
    scene.write("inner/file.txt", b"x");
    scene.fixture.git_in(&scene.tree.join("inner"), &["init", "-q"]);
    let snapshot = tracker.snapshot().unwrap().unwrap();
    assert_eq!(snapshot.changed, ["inner/file.txt"]);
    tracker.restore(&scene.base).unwrap();
    assert!(!scene.tree.join("inner/file.txt").exists());
    tracker.restore(&snapshot.tree).unwrap();
    assert_eq!(fs::read(scene.tree.join("inner/file.txt")).unwrap(), b"x");
}

#[test]
fn names_that_git_refuses_are_skipped_and_said() {
    let scene = scene(Fixture::small());
    let mut tracker = scene.tracker();
    scene.write("d/.GIT/config", b"x");
    scene.write("d/ok", b"x");
    let snapshot = tracker.snapshot().unwrap().unwrap();
    assert_eq!(snapshot.changed, ["d/ok"]);
    assert_eq!(snapshot.skipped, ["d/.GIT"]);
}

#[test]
fn a_file_of_200_mb_goes_beside_and_comes_back() {
    let scene = scene(Fixture::small());
    let mut tracker = scene.tracker();
    let big = scene.tree.join("big.bin");
    fs::File::create(&big).unwrap().set_len(200 << 20).unwrap();
    let snapshot = tracker.snapshot().unwrap().unwrap();
    assert_eq!(snapshot.large, ["big.bin"]);
    let pointer = scene.blob(&snapshot.tree, "big.bin");
    assert!(pointer.len() < 200 && pointer.starts_with(b"grafter large file v1\n"));
    tracker.restore(&scene.base).unwrap();
    assert!(!big.exists());
    tracker.restore(&snapshot.tree).unwrap();
    assert_eq!(fs::metadata(&big).unwrap().len(), 200 << 20);
    assert_eq!(tracker.snapshot().unwrap(), None);
    let whole = tracker.whole().unwrap();
    let size = scene.fixture.git(&["cat-file", "-s", &format!("{whole}:big.bin")]);
    assert_eq!(size.trim(), (200 << 20).to_string());
}

#[test]
fn restore_brings_back_files_modes_and_links_and_leaves_ignored_ones() {
    let fixture = Fixture::small();
    fixture.write(".gitignore", b"*.log\n");
    fixture.commit("rules");
    let scene = scene(fixture);
    let mut tracker = scene.tracker();
    scene.write("src/lib.rs", b"changed\n");
    symlink("a.txt", scene.tree.join("link")).unwrap();
    fs::set_permissions(scene.tree.join("a.txt"), fs::Permissions::from_mode(0o755)).unwrap();
    let first = tracker.snapshot().unwrap().unwrap();
    scene.write("x.log", b"kept");
    fs::remove_dir_all(scene.tree.join("src")).unwrap();
    scene.write("src", b"file");
    fs::remove_file(scene.tree.join("link")).unwrap();
    scene.write("extra/deep/file", b"x");
    tracker.snapshot().unwrap().unwrap();
    tracker.restore(&first.tree).unwrap();
    assert_eq!(tracker.snapshot().unwrap(), None);
    assert_eq!(scene.by_git(), first.tree);
    assert!(!scene.tree.join("extra").exists());
    assert_eq!(fs::read(scene.tree.join("x.log")).unwrap(), b"kept");
}

#[test]
fn a_restarted_tracker_finds_what_was_written_meanwhile() {
    let scene = scene(Fixture::small());
    let mut tracker = scene.tracker();
    scene.write("one", b"1");
    let first = tracker.snapshot().unwrap().unwrap();
    drop(tracker);
    scene.write("two", b"2");
    let mut tracker = Tracker::new(&scene.repo, &scene.tree, &first.tree).unwrap();
    assert_eq!(tracker.snapshot().unwrap().unwrap().changed, ["two"]);
}

#[test]
fn a_sparse_checkout_deletes_nothing() {
    let fixture = Fixture::small();
    fixture.write("left/out.txt", b"x");
    fixture.commit("more");
    fixture.git(&["sparse-checkout", "set", "--cone", "src"]);
    let before = fixture.picture();
    let scene = scene(fixture);
    assert!(!scene.tree.join("left").exists());
    let mut tracker = scene.tracker();
    assert_eq!(tracker.snapshot().unwrap(), None);
    scene.write("src/lib.rs", b"changed\n");
    assert_eq!(tracker.snapshot().unwrap().unwrap().changed, ["src/lib.rs"]);
    tracker.restore(&scene.base).unwrap();
    assert!(!scene.tree.join("left").exists());
    assert_eq!(tracker.snapshot().unwrap(), None);
    assert_eq!(scene.fixture.picture(), before);
}

#[test]
fn submodules_are_filled_and_keep_their_commit() {
    let fixture = Fixture::small();
    let other = Fixture::small();
    let url = other.root.to_str().unwrap();
    fixture.git(&["-c", "protocol.file.allow=always", "submodule", "add", "-q", url, "sub"]);
    fixture.commit("submodule");
    let scene = scene(fixture);
    assert_eq!(fs::read(scene.tree.join("sub/a.txt")).unwrap(), b"one\n");
    let mut tracker = scene.tracker();
    scene.write("sub/a.txt", b"changed inside");
    assert_eq!(tracker.snapshot().unwrap(), None);
    scene.write("a.txt", b"changed outside");
    assert_eq!(tracker.snapshot().unwrap().unwrap().changed, ["a.txt"]);
}

#[test]
fn a_throw_away_tree_can_be_followed_too() {
    let fixture = Fixture::small();
    let repo = fixture.repo();
    let (path, commit) = (fixture.beside("trees/v1"), fixture.oid("HEAD"));
    let spec = TreeSpec { path: path.clone(), commit: commit.clone(), branch: None };
    tree::make(&repo, &spec).unwrap();
    assert_eq!(fs::read_to_string(path.join(".git")).unwrap(), private::GITFILE);
    let mut tracker = Tracker::new(&repo, &path, &commit).unwrap();
    assert_eq!(tracker.snapshot().unwrap(), None);
    fs::write(path.join("a.txt"), b"dirty").unwrap();
    assert_eq!(tracker.snapshot().unwrap().unwrap().changed, ["a.txt"]);
}

#[derive(Clone, Debug)]
enum Edit {
    Write(usize, u8),
    Delete(usize),
    Rename(usize, usize),
    Chmod(usize, bool),
    Link(usize, usize),
    Folder(usize),
}

const PATHS: [&str; 12] = [
    "a.txt",
    "src",
    "src/lib.rs",
    "src/x",
    "src.rs",
    "b",
    "b/c",
    "b/c/d",
    "b.c",
    "log/.gitignore",
    "log/x.log",
    "log/keep",
];

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = || 0..PATHS.len();
    let edit = prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(path, byte)| Edit::Write(path, byte)),
        2 => at().prop_map(Edit::Delete),
        2 => (at(), at()).prop_map(|(from, to)| Edit::Rename(from, to)),
        1 => (at(), any::<bool>()).prop_map(|(path, on)| Edit::Chmod(path, on)),
        1 => (at(), at()).prop_map(|(path, to)| Edit::Link(path, to)),
        1 => at().prop_map(Edit::Folder),
    ];
    proptest::collection::vec(edit, 1..12)
}

/// Does an edit as far as it is possible.
fn perform(root: &Path, edit: &Edit) {
    let path = |at: usize| root.join(PATHS[at]);
    let clear = |at: usize| {
        if path(at).symlink_metadata().is_ok_and(|found| found.is_dir()) {
            let _ = fs::remove_dir_all(path(at));
        } else {
            let _ = fs::remove_file(path(at));
        }
        let _ = fs::create_dir_all(path(at).parent().unwrap());
    };
    match *edit {
        Edit::Write(at, byte) => {
            clear(at);
            let text = if PATHS[at].ends_with("ignore") { b"*.log\n" } else { &[byte, b'\n'][..] };
            let _ = fs::write(path(at), text);
        }
        Edit::Delete(at) => clear(at),
        Edit::Rename(from, to) => {
            let _ = fs::rename(path(from), path(to));
        }
        Edit::Chmod(at, on) => {
            let mode = if on { 0o755 } else { 0o644 };
            if path(at).symlink_metadata().is_ok_and(|found| found.is_file()) {
                let _ = fs::set_permissions(path(at), fs::Permissions::from_mode(mode));
            }
        }
        Edit::Link(at, to) => {
            clear(at);
            let _ = symlink(PATHS[to], path(at));
        }
        Edit::Folder(at) => {
            clear(at);
            let _ = fs::create_dir(path(at));
        }
    }
}

#[test]
fn any_edits_give_the_tree_that_git_gives() {
    let fixture = Fixture::small();
    fixture.write("b/c/d", b"x");
    fixture.write("log/kept.log", b"x");
    fixture.commit("more");
    let scene = scene(fixture);
    let mut tracker = scene.tracker();
    let mut runner =
        TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let tracker = std::cell::RefCell::new(&mut tracker);
    runner
        .run(&edits(), |edits| {
            let mut tracker = tracker.borrow_mut();
            tracker.restore(&scene.base).unwrap();
            proptest::prop_assert_eq!(tracker.snapshot().unwrap(), None);
            for edit in &edits {
                perform(&scene.tree, edit);
            }
            let (ours, theirs) = (tracker.current().unwrap(), scene.by_git());
            let differ = diff::changed_paths(&scene.repo, &theirs, &ours).unwrap();
            proptest::prop_assert!(ours == theirs, "{:?}", differ);
            Ok(())
        })
        .unwrap();
}

#[test]
fn all_of_this_holds_for_overlays_too() {
    overlay::in_a_thread(|| {
        OVERLAYS.set(true);
        nothing_changed_is_none_and_each_change_is_told_once();
        same_size_edits_in_the_same_moment_are_seen();
        current_does_not_swallow_a_snapshot();
        ignored_files_stay_out_but_tracked_ones_are_followed();
        odd_names_links_and_kinds_come_out_as_git_has_them();
        carriage_returns_stay_without_attributes_and_follow_git_with_them();
        a_filter_of_the_users_is_applied_both_ways();
        an_agents_attributes_do_not_choose_which_filter_runs();
        nested_repositories_are_saved_as_plain_files();
        names_that_git_refuses_are_skipped_and_said();
        a_file_of_200_mb_goes_beside_and_comes_back();
        restore_brings_back_files_modes_and_links_and_leaves_ignored_ones();
        a_restarted_tracker_finds_what_was_written_meanwhile();
        a_sparse_checkout_deletes_nothing();
        submodules_are_filled_and_keep_their_commit();
        kinds::folders_made_anew_renamed_or_of_another_kind_are_as_git_has_them();
        any_edits_give_the_tree_that_git_gives();
    });
}
