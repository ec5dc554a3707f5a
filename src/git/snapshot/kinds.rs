//! Folders that are made anew, renamed, or take a file's place, against git itself.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use super::tests::scene;
use crate::git::fixture::Fixture;

#[test]
pub(super) fn folders_made_anew_renamed_or_of_another_kind_are_as_git_has_them() {
    let fixture = Fixture::small();
    for path in ["old/a", "old/b/c", "two/x", "two/y/z", "deep/in/it", "moved/f"] {
        fixture.write(path, path.as_bytes());
    }
    fixture.commit("folders");
    let scene = scene(fixture);
    let mut tracker = scene.tracker();
    let at = |path: &str| scene.tree.join(path);
    fs::remove_dir_all(at("old")).unwrap();
    scene.write("old/new", b"made anew");
    scene.write("old/b/other", b"so is this");
    fs::remove_dir_all(at("two/y")).unwrap();
    scene.write("two/y", b"a file now");
    fs::remove_file(at("two/x")).unwrap();
    scene.write("two/x/in", b"a folder now");
    let _ = fs::rename(at("moved"), at("deep/moved")).or_else(|_| {
        // An overlay does not rename a folder that lies below it; programs copy it then.
        fs::create_dir(at("deep/moved"))?;
        fs::rename(at("moved/f"), at("deep/moved/f"))?;
        fs::remove_dir(at("moved"))
    });
    fs::set_permissions(at("deep/in/it"), Permissions::from_mode(0o755)).unwrap();
    let tree = tracker.current().unwrap();
    assert_eq!(tree, scene.by_git());
    let names = scene.fixture.git(&["ls-tree", "-r", "--name-only", tree.as_str()]);
    for (name, is_there) in [("old/new", true), ("old/a", false), ("old/b/c", false)] {
        assert_eq!(names.lines().any(|line| line == name), is_there, "{name} in\n{names}");
    }
    tracker.restore(&scene.base).unwrap();
    assert_eq!(scene.by_git(), scene.repo.tree_of(&scene.base).unwrap());
}
