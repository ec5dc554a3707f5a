//! Files of a tree that agents and a hostile repository try to break out of.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
};

use insta::assert_snapshot;
use tempfile::TempDir;

use super::{FileError, Files, Kind, Path, READ_CAP};
use crate::sandbox::beneath::{Beneath, By};

/// A tree with links of all kinds, and something outside that they want to reach.
fn tree() -> TempDir {
    let dir = TempDir::new().expect("a folder");
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, dir.path().join("tree").join(name)).expect("a link");
    };
    fs::create_dir_all(dir.path().join("tree/src/deep")).expect("made");
    fs::create_dir_all(dir.path().join("tree/sub/.git/hooks")).expect("made");
    fs::write(dir.path().join("tree/src/a"), "in a").expect("made");
    fs::write(dir.path().join("secret"), "outside").expect("made");
    link("src/a", "inside");
    link("src", "dir");
    link("../a", "src/deep/up");
    link("../secret", "out");
    link("..", "parent");
    link("/etc/hostname", "absolute");
    link("/proc/self/root", "magic");
    link("loop-b", "loop-a");
    link("loop-a", "loop-b");
    link("nowhere", "dangling");
    link("sub/.git", "sneaky");
    dir
}

fn files(dir: &TempDir, by: By) -> Files {
    let mut beneath = Beneath::open(&dir.path().join("tree")).expect("it opens");
    beneath.by = by;
    Files::new(beneath)
}

#[test]
fn the_kernel_and_the_walk_read_alike() {
    let dir = tree();
    let said = [By::Kernel, By::Walk].map(|by| {
        let files = files(&dir, by);
        let paths = [
            "src/a",
            "inside",
            "dir/a",
            "src/deep/up",
            "src/../src/a",
            "./src//a",
            "src",
            "gone",
            "src/a/b",
            "../secret",
            "src/../../secret",
            "/etc/hostname",
            "out",
            "parent/secret",
            "absolute",
            "magic/etc/hostname",
            "loop-a",
            "dangling",
            "",
            "nul\0byte",
        ];
        let read = |path: &&str| match files.read(path) {
            Ok(bytes) => format!("{path}: {}", String::from_utf8_lossy(&bytes)),
            Err(error) => error.to_string(),
        };
        paths.iter().map(read).collect::<Vec<_>>().join("\n")
    });
    assert_eq!(said[0], said[1]);
    assert_snapshot!(said[0].replace('\0', "^@"), @r#"
    src/a: in a
    inside: in a
    dir/a: in a
    src/deep/up: in a
    src/../src/a: in a
    ./src//a: in a
    `src` is a directory
    `gone` does not exist
    `src/a/b` is not a directory or leads through a file
    `../secret` leads out of the tree
    `src/../../secret` leads out of the tree
    `/etc/hostname` leads out of the tree
    `out` leads out of the tree
    `parent/secret` leads out of the tree
    `absolute` leads out of the tree
    `magic/etc/hostname` leads out of the tree
    `loop-a` goes through too many symbolic links
    `dangling` does not exist
    `` is a directory
    cannot read `nul^@byte`: Invalid argument (os error 22)
    "#);
}

#[test]
fn nothing_outside_is_changed_whatever_the_path() {
    let dir = tree();
    let files = files(&dir, By::Kernel);
    for path in ["../x", "/tmp/x", "out", "parent/x", "absolute", "src/../../x", "magic/tmp/x"] {
        let error = files.write(path, b"x").expect_err(path);
        assert!(matches!(error, FileError::Outside { .. }), "{error}");
    }
    for path in ["parent/secret", "../secret", "magic/tmp"] {
        assert!(matches!(files.remove(path), Err(FileError::Outside { .. })), "{path}");
        assert!(matches!(files.rename("src/a", path), Err(FileError::Outside { .. })), "{path}");
        assert!(matches!(files.rename(path, "src/b"), Err(FileError::Outside { .. })), "{path}");
    }
    assert!(matches!(files.write("loop-a", b"x"), Err(FileError::Loop { .. })));
    assert_eq!(fs::read(dir.path().join("secret")).expect("there"), b"outside");
    assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 2);
}

#[test]
fn git_dirs_are_not_changed_by_any_name() {
    let dir = tree();
    let files = files(&dir, By::Kernel);
    for path in
        [".git", ".git/config", "sub/.git/hooks/x", "sneaky/hooks/x", ".GIT/x", "new/.git/x"]
    {
        let error = files.write(path, b"x").expect_err(path);
        assert!(matches!(error, FileError::Protected { .. }), "{error}");
        let error = files.rename("src/a", path).expect_err(path);
        assert!(matches!(error, FileError::Protected { .. }), "{error}");
    }
    assert!(matches!(files.remove("sneaky/hooks"), Err(FileError::Protected { .. })));
    files.remove("sneaky").expect("the link itself is nobody's");
    files.write(".gitignore", b"x").expect("not a git dir");
}

#[test]
fn a_write_makes_folders_keeps_the_mode_and_goes_through_links() {
    let dir = tree();
    let files = files(&dir, By::Kernel);
    let at = |path: &str| dir.path().join("tree").join(path);
    files.write("x/y/z", b"new").expect("written");
    assert_eq!(fs::read(at("x/y/z")).expect("there"), b"new");
    fs::set_permissions(at("src/a"), fs::Permissions::from_mode(0o755)).expect("set");
    files.write("inside", b"changed").expect("written");
    assert_eq!(fs::read(at("src/a")).expect("there"), b"changed");
    assert_eq!(files.metadata("src/a").expect("there").mode, 0o755);
    assert!(fs::symlink_metadata(at("inside")).expect("there").is_symlink());
    files.write("dangling", b"made").expect("written");
    assert_eq!(fs::read(at("nowhere")).expect("there"), b"made");
    assert!(matches!(files.write("src", b"x"), Err(FileError::IsDirectory { .. })));
    assert!(matches!(files.write("src/a/x", b"x"), Err(FileError::NotADirectory { .. })));
    assert!(
        fs::read_dir(at(""))
            .expect("listed")
            .flatten()
            .all(|entry| { !entry.file_name().to_string_lossy().ends_with(".tmp") })
    );
}

#[test]
fn moves_and_removals_take_the_link_not_its_target() {
    let dir = tree();
    let files = files(&dir, By::Kernel);
    files.rename("inside", "moved/link").expect("moved");
    let moved = dir.path().join("tree/moved/link");
    assert!(fs::symlink_metadata(&moved).expect("there").is_symlink());
    files.remove("moved/link").expect("removed");
    assert!(matches!(files.rename("src/a", "src/deep"), Err(FileError::Exists { .. })));
    assert!(matches!(files.rename("gone", "new/x"), Err(FileError::NotFound { .. })));
    assert!(!dir.path().join("tree/new").exists());
    assert!(matches!(files.remove("src"), Err(FileError::Exists { .. } | FileError::Io { .. })));
    files.remove("moved").expect("an empty folder");
    files.read("src/a").expect("still there");
    for path in ["", ".", "src/.."] {
        assert!(files.remove(path).is_err(), "{path}");
    }
}

#[test]
fn odd_things_are_errors_not_waits() {
    let dir = tree();
    let files = files(&dir, By::Kernel);
    let pipe = dir.path().join("tree/pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .expect("a pipe");
    assert!(matches!(files.read("pipe"), Err(FileError::NotAFile { .. })));
    assert!(matches!(files.write("pipe", b"x"), Err(FileError::NotAFile { .. })));
    let large = fs::File::create(dir.path().join("tree/large")).expect("made");
    large.set_len(200 << 20).expect("set");
    let error = files.read("large").expect_err("too large").to_string();
    assert_snapshot!(error, @r#"
    `large` has 209715200 bytes, more than the 33554432 that are read at once
    "#);
    large.set_len(READ_CAP).expect("set");
    assert_eq!(files.read("large").expect("just small enough").len() as u64, READ_CAP);
}

#[test]
fn names_that_are_no_text_are_listed() {
    let dir = tree();
    let odd = OsStr::from_bytes(b"odd\xff\n");
    fs::write(dir.path().join("tree").join(Path::new(odd)), "x").expect("made");
    let files = files(&dir, By::Kernel);
    let names = files.list(".").expect("listed");
    let odd = names.iter().find(|entry| entry.name == odd).expect("listed");
    assert_eq!(odd.kind, Kind::File);
    assert!(names.is_sorted_by(|a, b| a.name < b.name));
    let kind = |name: &str| names.iter().find(|entry| entry.name == name).map(|e| e.kind);
    assert_eq!((kind("src"), kind("out")), (Some(Kind::Directory), Some(Kind::Link)));
    assert!(matches!(files.list("src/a"), Err(FileError::NotADirectory { .. })));
    assert!(matches!(files.list("parent"), Err(FileError::Outside { .. })));
}
