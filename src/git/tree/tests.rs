//! Trees that are made, kept, moved aside and removed, in real repositories.

use std::{
    collections::BTreeMap,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    thread,
};

use super::*;
use crate::git::{fixture::Fixture, private::PrivateSpec};

fn spec(fixture: &Fixture, name: &str, branch: Option<&str>) -> TreeSpec {
    let path = fixture.beside("trees").join(name);
    TreeSpec { path, commit: fixture.oid("HEAD"), branch: branch.map(str::to_owned) }
}

fn status(fixture: &Fixture, tree: &Path) -> String {
    fixture.git_in(tree, &["status", "--porcelain", "--branch"])
}

#[test]
fn a_writers_tree_is_a_clean_worktree_and_the_checkout_is_untouched() {
    let fixture = Fixture::small();
    fixture.write("a.txt", b"staged by the user\n");
    fixture.git(&["add", "a.txt"]);
    fixture.write("a.txt", b"not staged\n");
    let (repo, before) = (fixture.repo(), fixture.picture());
    let spec = spec(&fixture, "t", Some("grafter/r/t"));
    make(&repo, &spec).unwrap();
    assert_eq!(fixture.picture(), before);
    assert_eq!(status(&fixture, &spec.path), "## grafter/r/t\n");
    assert_eq!(fs::read(spec.path.join("a.txt")).unwrap(), b"one\n");
    assert_eq!(repo.branch_checked_out("grafter/r/t"), Some(spec.path.clone()));
    remove(&repo, &spec.path).unwrap();
    remove_branch(&repo, "grafter/r/t").unwrap();
    assert_eq!(fixture.picture(), before);
    assert_eq!(fixture.git(&["worktree", "list"]).lines().count(), 1);
    assert_eq!(fs::read_dir(fixture.beside("trees")).unwrap().count(), 0);
}

#[test]
fn hooks_do_not_run() {
    let fixture = Fixture::small();
    let mark = fixture.beside("ran");
    for hook in ["post-checkout", "reference-transaction", "post-index-change"] {
        let path = fixture.root.join(".git/hooks").join(hook);
        fixture.write(&format!(".git/hooks/{hook}"), b"");
        fs::write(&path, format!("#!/bin/sh\ntouch {}\n", mark.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    make(&fixture.repo(), &spec(&fixture, "t", Some("grafter/r/t"))).unwrap();
    make(&fixture.repo(), &spec(&fixture, "v", None)).unwrap();
    assert!(!mark.exists());
}

#[test]
fn a_throw_away_tree_is_not_registered() {
    let fixture = Fixture::small();
    let (repo, spec) = (fixture.repo(), spec(&fixture, "v", None));
    let before = fixture.picture();
    make(&repo, &spec).unwrap();
    assert_eq!(fixture.git(&["worktree", "list"]).lines().count(), 1);
    assert_eq!(fs::read(spec.path.join("src/lib.rs")).unwrap(), b"fn main() {}\n");
    assert_eq!(list(&repo)[0].dirty, State::Clean);
    assert_eq!(remove(&repo, &spec.path).unwrap(), Removed { orphan: None });
    assert_eq!(fs::read_dir(fixture.beside("trees")).unwrap().count(), 0);
    assert_eq!(fixture.picture(), before);
}

#[test]
fn a_throw_away_tree_is_discarded_without_keeping_what_checks_left_in_it() {
    let fixture = Fixture::small();
    let (repo, spec) = (fixture.repo(), spec(&fixture, "v", None));
    discard(&repo, &spec.path).unwrap();
    make(&repo, &spec).unwrap();
    fs::write(spec.path.join("a.txt"), b"left by a check\n").unwrap();
    discard(&repo, &spec.path).unwrap();
    assert!(!spec.path.exists() && list(&repo).is_empty());
    assert_eq!(fixture.git(&["for-each-ref", "refs/grafter/orphan"]), "");
    let own = self::spec(&fixture, "t", Some("grafter/r/t"));
    make(&repo, &own).unwrap();
    assert!(matches!(discard(&repo, &own.path), Err(TreeError::Foreign(_))));
}

#[test]
fn making_again_keeps_what_was_written() {
    let fixture = Fixture::small();
    let repo = fixture.repo();
    for spec in [spec(&fixture, "t", Some("grafter/r/t")), spec(&fixture, "v", None)] {
        make(&repo, &spec).unwrap();
        fs::write(spec.path.join("a.txt"), b"written\n").unwrap();
        make(&repo, &spec).unwrap();
        assert_eq!(fs::read(spec.path.join("a.txt")).unwrap(), b"written\n");
    }
}

#[test]
fn a_tree_that_was_half_made_or_lost_is_made_again() {
    let fixture = Fixture::small();
    let repo = fixture.repo();
    for spec in [spec(&fixture, "t", Some("grafter/r/t")), spec(&fixture, "v", None)] {
        make(&repo, &spec).unwrap();
        let index = site(&repo, &spec.path).index;
        fs::rename(&index, beside(&index, ".half")).unwrap();
        fs::remove_file(spec.path.join("a.txt")).unwrap();
        make(&repo, &spec).unwrap();
        assert!(spec.path.join("a.txt").exists());
        fs::remove_dir_all(&spec.path).unwrap();
        assert_eq!(list(&repo)[0].dirty, State::Missing);
        make(&repo, &spec).unwrap();
        assert!(spec.path.join("a.txt").exists());
        remove(&repo, &spec.path).unwrap();
    }
}

#[test]
fn what_is_not_grafters_is_left_alone() {
    let fixture = Fixture::small();
    let (repo, mut spec) = (fixture.repo(), spec(&fixture, "t", Some("grafter/r/t")));
    fs::create_dir_all(&spec.path).unwrap();
    assert!(matches!(make(&repo, &spec), Err(TreeError::Foreign(_))));
    assert!(matches!(remove(&repo, &spec.path), Err(TreeError::Foreign(_))));
    let theirs = fixture.beside("theirs");
    fixture.git(&["worktree", "add", "-q", "-b", "theirs", theirs.to_str().unwrap()]);
    assert!(matches!(remove(&repo, &theirs), Err(TreeError::Foreign(_))));
    assert!(matches!(remove_branch(&repo, "theirs"), Err(TreeError::Foreign(_))));
    assert!(theirs.join("a.txt").exists() && list(&repo).is_empty());
    spec.path = "relative".into();
    assert!(matches!(make(&repo, &spec), Err(TreeError::Path(_))));
}

#[test]
fn a_taken_branch_is_refused() {
    let fixture = Fixture::small();
    let spec = spec(&fixture, "t", Some("grafter/r/t"));
    fixture.git(&["checkout", "-q", "--orphan", "other"]);
    let other = fixture.commit("unrelated");
    fixture.git(&["branch", "grafter/r/t"]);
    let taken = make(&fixture.repo(), &spec);
    assert!(matches!(taken, Err(TreeError::BranchTaken { tip, .. }) if tip == other));
}

#[test]
fn unsaved_work_is_kept_by_a_ref_before_a_tree_goes() {
    let fixture = Fixture::small();
    let (repo, spec) = (fixture.repo(), spec(&fixture, "t", Some("grafter/r/t")));
    make(&repo, &spec).unwrap();
    fs::write(spec.path.join("new.txt"), b"precious\n").unwrap();
    let info = list(&repo).remove(0);
    assert_eq!((info.dirty, info.integrated), (State::Dirty, true));
    let kept = remove(&repo, &spec.path).unwrap().orphan.unwrap();
    assert!(kept.starts_with("refs/grafter/orphan/") && !spec.path.exists());
    assert_eq!(fixture.git(&["show", &format!("{kept}:new.txt")]), "precious\n");
}

#[test]
fn a_probe_that_fails_stops_the_removal() {
    let fixture = Fixture::small();
    let (repo, spec) = (fixture.repo(), spec(&fixture, "t", Some("grafter/r/t")));
    make(&repo, &spec).unwrap();
    let head = site(&repo, &spec.path).git_dir.join("HEAD");
    fs::write(head, "broken").unwrap();
    assert!(remove(&repo, &spec.path).is_err());
    assert!(spec.path.join("a.txt").exists());
}

#[test]
fn an_unmerged_branch_is_kept_and_a_merged_one_is_not() {
    let fixture = Fixture::small();
    let repo = fixture.repo();
    let base = fixture.oid("HEAD");
    fixture.git(&["checkout", "-q", "-b", "grafter/r/t"]);
    fixture.write("work.txt", b"work\n");
    let work = fixture.commit("work");
    fixture.git(&["checkout", "-q", "main"]);
    let kept = remove_branch(&repo, "grafter/r/t").unwrap().orphan.unwrap();
    assert_eq!((fixture.oid(&kept), repo.tip("grafter/r/t").unwrap()), (work.clone(), None));
    // The same work, landed as another commit, counts as merged.
    fixture.git(&["branch", "grafter/r/t", work.as_str()]);
    fixture.write("work.txt", b"work\n");
    fixture.commit("squashed");
    assert_ne!(fixture.oid("main"), base);
    assert_eq!(remove_branch(&repo, "grafter/r/t").unwrap(), Removed { orphan: None });
}

#[test]
fn many_handles_make_trees_side_by_side() {
    let fixture = Fixture::small();
    thread::scope(|scope| {
        for n in 0..8 {
            let fixture = &fixture;
            scope.spawn(move || {
                let repo = fixture.repo();
                let branch = format!("grafter/r/t{n}");
                let branch = Some(branch.as_str()).filter(|_| n != 3);
                make(&repo, &spec(fixture, &format!("t{n}"), branch)).unwrap();
            });
        }
    });
    let trees = list(&fixture.repo());
    assert_eq!(trees.len(), 8);
    assert!(trees.iter().all(|tree| tree.dirty == State::Clean));
    assert_eq!(fixture.git(&["worktree", "list"]).lines().count(), 8);
}

#[test]
fn a_tree_can_be_made_from_a_linked_worktree_and_in_a_shallow_clone() {
    let fixture = Fixture::small();
    fixture.write("a.txt", b"two\n");
    fixture.commit("second");
    let url = format!("file://{}", fixture.root.display());
    fixture.git_in(fixture.dir.path(), &["clone", "-q", "--depth=1", &url, "shallow"]);
    let linked = fixture.beside("linked");
    fixture.git(&["worktree", "add", "-q", "--detach", linked.to_str().unwrap()]);
    for (name, root) in [("l", linked), ("s", fixture.beside("shallow"))] {
        let repo = Repo::discover(&root).unwrap();
        let branch = format!("grafter/{name}/t");
        make(&repo, &spec(&fixture, &format!("{name}t"), Some(&branch))).unwrap();
        make(&repo, &spec(&fixture, &format!("{name}v"), None)).unwrap();
        assert_eq!(list(&repo).len(), 2);
    }
}

#[test]
fn the_private_git_directory_is_a_repository_of_its_own() {
    let fixture = Fixture::small();
    fixture.git(&["config", "remote.origin.url", "https://user:secret@example.org/x"]);
    fixture.git(&["stash", "list"]);
    let (repo, spec) = (fixture.repo(), spec(&fixture, "t", Some("grafter/r/t")));
    make(&repo, &spec).unwrap();
    let dir = fixture.beside("private");
    let order = PrivateSpec {
        tree: &spec.path,
        dir: dir.clone(),
        commit: &spec.commit,
        branch: "grafter/r/t",
    };
    let made = private::make(&repo, &order).unwrap();
    assert_eq!(made.objects, [repo.common_dir().join("objects")]);
    // What the sandbox does, which knows where the objects are seen.
    let alternates = dir.join("objects/info/alternates");
    fs::write(&alternates, format!("{}\n", made.objects[0].display())).unwrap();
    let (dir, tree) = (dir.to_str().unwrap(), spec.path.to_str().unwrap());
    let git = |args: &[&str]| {
        let at = ["--git-dir", dir, "--work-tree", tree];
        fixture.git_in(&spec.path, &[&at, args].concat())
    };
    let before = fixture.git(&["for-each-ref"]);
    assert_eq!(git(&["status", "--porcelain", "--branch"]), "## grafter/r/t\n");
    fs::write(spec.path.join("a.txt"), b"by the agent\n").unwrap();
    git(&["commit", "-q", "-a", "-m", "mine"]);
    assert_eq!(git(&["log", "--format=%an %s"]), "Ann mine\nAnn first\n");
    assert!(!git(&["config", "--list"]).contains("secret"));
    assert_eq!(fixture.git(&["for-each-ref"]), before);
    // A resumed agent finds its own again.
    private::make(&repo, &order).unwrap();
    assert_eq!(git(&["log", "--format=%s", "-n1"]), "mine\n");
}

#[test]
fn links_that_an_agent_planted_in_its_git_directory_are_not_followed() {
    let fixture = Fixture::small();
    let (repo, spec) = (fixture.repo(), spec(&fixture, "t", Some("grafter/r/t")));
    make(&repo, &spec).unwrap();
    let dir = fixture.beside("private");
    let order =
        PrivateSpec { tree: &spec.path, dir: dir.clone(), commit: &spec.commit, branch: "x" };
    private::make(&repo, &order).unwrap();
    let victim = fixture.beside("victim");
    fs::write(&victim, "precious").unwrap();
    let planted = ["HEAD", "config", "index", "info/exclude", "refs/heads/x"];
    for name in planted {
        fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
        let _ = fs::remove_file(dir.join(name));
        fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&victim, dir.join(name)).unwrap();
    }
    private::make(&repo, &order).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(planted.iter().all(|name| !dir.join(name).is_symlink()), "it was made anew");
    fs::remove_dir_all(&dir).unwrap();
    let others = fixture.beside("others");
    fs::create_dir(&others).unwrap();
    std::os::unix::fs::symlink(&others, &dir).unwrap();
    private::make(&repo, &order).unwrap();
    assert!(dir.join("HEAD").is_file() && !dir.is_symlink());
    assert_eq!(fs::read_dir(&others).unwrap().count(), 0);
}

#[test]
fn alternates_of_alternates_are_followed_once() {
    let fixture = Fixture::small();
    fixture.git_in(fixture.dir.path(), &["clone", "-q", "--shared", "repo", "two"]);
    fixture.git_in(fixture.dir.path(), &["clone", "-q", "--shared", "two", "three"]);
    let repo = Repo::discover(&fixture.beside("three")).unwrap();
    let path = fixture.beside("trees/t");
    let commit = fixture.oid("HEAD");
    make(&repo, &TreeSpec { path: path.clone(), commit: commit.clone(), branch: None }).unwrap();
    let dir = fixture.beside("private");
    let order = PrivateSpec { tree: &path, dir, commit: &commit, branch: "x" };
    let objects = private::make(&repo, &order).unwrap().objects;
    let of = |name: &str| fixture.beside(name).join(".git/objects");
    assert_eq!(objects, [of("three"), of("two"), of("repo")]);
    let bad = PrivateSpec { dir: fixture.beside("p2"), branch: "../x", ..order };
    assert!(private::make(&repo, &bad).is_err());
}

/// Everything in a tree but its `.git`: path, mode and content, or a link's target.
fn files_of(root: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let content = match () {
                () if kind.is_dir() => Vec::new(),
                () if kind.is_symlink() => {
                    fs::read_link(&path).unwrap().as_os_str().as_bytes().into()
                }
                () => fs::read(&path).unwrap(),
            };
            let mode = entry.metadata().unwrap().permissions().mode();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            found.insert(name, (mode, content));
            open.extend(kind.is_dir().then_some(path));
        }
    }
    found.retain(|name, _| name != ".git");
    found
}

#[test]
fn a_tree_made_of_a_used_one_is_like_a_new_one() {
    let fixture = Fixture::small();
    fixture.write(".gitignore", b"cache\n");
    fixture.write("gone/deep.txt", b"only in the first\n");
    let first = fixture.commit("first");
    fs::remove_dir_all(fixture.root.join("gone")).unwrap();
    fixture.write("src/lib.rs", b"fn second() {}\n");
    fixture.write("new/file.txt", b"only in the second\n");
    let second = fixture.commit("second");
    let repo = fixture.repo();
    let at = |name: &str, commit: &Oid| TreeSpec {
        commit: commit.clone(),
        ..spec(&fixture, name, None)
    };
    make(&repo, &at("used", &first)).unwrap();
    make(&repo, &at("fresh", &second)).unwrap();
    let used = at("used", &first).path;
    // What a check may leave: caches, changed, replaced, removed and linked files, other rights.
    fs::create_dir_all(used.join("cache/.git")).unwrap();
    fs::write(used.join("cache/.git/config"), b"x").unwrap();
    fs::write(used.join("src/made.o"), b"x").unwrap();
    let times = fs::metadata(used.join("a.txt")).unwrap().modified().unwrap();
    let size = fs::read(used.join("a.txt")).unwrap().len();
    fs::write(used.join("a.txt"), vec![b'!'; size]).unwrap();
    fs::File::options().write(true).open(used.join("a.txt")).unwrap().set_modified(times).unwrap();
    fs::remove_file(used.join(".gitignore")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", used.join(".gitignore")).unwrap();
    fs::remove_dir_all(used.join("gone")).unwrap();
    std::os::unix::fs::symlink("/", used.join("gone")).unwrap();
    assert!(tidy(&repo, &used));
    remake(&repo, &used, &at("again", &second)).unwrap();
    assert_eq!(files_of(&at("again", &second).path), files_of(&at("fresh", &second).path));
    let paths: Vec<_> = list(&repo).into_iter().map(|tree| tree.path).collect();
    assert_eq!(paths, [at("again", &second).path, at("fresh", &second).path]);
    assert!(list(&repo).iter().all(|tree| tree.dirty == State::Clean));
}

#[test]
fn a_tree_out_of_the_ordinary_is_not_used_again_but_made_anew() {
    let fixture = Fixture::small();
    let repo = fixture.repo();
    let (used, writer) = (spec(&fixture, "used", None), spec(&fixture, "w", Some("grafter/r/w")));
    make(&repo, &used).unwrap();
    make(&repo, &writer).unwrap();
    assert!(!tidy(&repo, &writer.path), "a writer's tree holds work");
    fs::write(used.path.join(".git"), "gitdir: /elsewhere\n").unwrap();
    assert!(!tidy(&repo, &used.path), "it points elsewhere");
    fs::remove_file(site(&repo, &used.path).index).unwrap();
    let next = spec(&fixture, "next", None);
    remake(&repo, &used.path, &next).unwrap();
    assert!(!used.path.exists() && next.path.join("a.txt").is_file());
    let left = fs::read_dir(next.path.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("used")).collect();
    assert!(left.is_empty(), "{left:?}");
}
