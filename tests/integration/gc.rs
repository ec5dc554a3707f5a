//! `grafter worktree gc`: what a branch has in some form goes, and nothing else.

use std::{fs, path::PathBuf};

use crate::{
    env::Env,
    solo::{newest, solo, trees, writes},
};

/// A repository in which one run has landed and one has a commit that no check lets land.
struct Ground {
    env: Env,
    landed: String,
    parked: String,
    tree: PathBuf,
}

fn ground() -> Ground {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.commit("start");
    solo(&env, &writes("new.txt", "new\n"), &["true"], &[]).ok();
    let landed = newest(&env);
    let check = "test ! -e other.txt";
    solo(&env, &writes("other.txt", "x\n"), &[check], &["--max-turns", "2"]).start().finish();
    let parked = newest(&env);
    let tree = trees(&env, "writer").remove(0);
    Ground { env, landed, parked, tree }
}

impl Ground {
    fn gc(&self, more: &[&str]) -> String {
        let said = self.env.grafter([&["worktree", "gc"], more].concat()).ok().stdout;
        let said = said.replace(&self.landed, "<landed>").replace(&self.parked, "<parked>");
        self.env.clean(&said)
    }

    fn refs(&self) -> String {
        self.env.git(["for-each-ref", "--format=%(refname)", "refs/heads/grafter", "refs/grafter"])
    }
}

/// Asserts that a line begins and ends so.
#[track_caller]
fn says(said: &str, begin: &str, end: &str) {
    let is = |line: &str| line.starts_with(begin) && line.ends_with(end);
    assert!(said.lines().any(is), "no `{begin} … {end}` in\n{said}");
}

#[test]
fn what_was_squashed_goes_and_what_did_not_land_stays() {
    let ground = ground();
    let Ground { env, landed, tree, .. } = &ground;
    let before = ground.refs();
    let said = ground.gc(&[]);
    says(&said, "kept branch grafter/<landed>/landed", ": main does not have it");
    assert_eq!(ground.refs(), before);
    // The user takes the work over by hand, and goes on with the same file.
    env.git(["merge", "-q", "--squash", &format!("grafter/{landed}/landed")]);
    env.commit("taken over");
    env.write("new.txt", "gone on\n");
    env.commit("more");
    let said = ground.gc(&["--dry-run"]);
    says(
        &said,
        "would remove branch grafter/<landed>/landed",
        ": main has each of its commits, replayed",
    );
    says(
        &said,
        "would remove branch grafter/<landed>/do-it",
        ": main has each of its commits, replayed",
    );
    assert!(said.ends_with("would remove 2, keep 2\n"), "{said}");
    assert_eq!(ground.refs(), before);
    let said = ground.gc(&[]);
    assert!(said.ends_with("removed 2, kept 2\n"), "{said}");
    says(&said, "kept tree <root>/state", ": main does not have it");
    assert_eq!(env.git(["branch", "--list", &format!("grafter/{landed}/*")]), "");
    assert!(tree.join("other.txt").exists());
}

#[test]
fn a_tree_goes_with_its_branch_and_what_was_saved_of_it() {
    let ground = ground();
    let Ground { env, parked, tree, .. } = &ground;
    let branch = format!("grafter/{parked}/do-it");
    // Saved as if it had been cleaned away before.
    env.git(["update-ref", "refs/grafter/orphan/0123", &branch]);
    env.git(["update-ref", "refs/remotes/origin/main", "main"]);
    env.git(["cherry-pick", &branch]);
    let said = ground.gc(&["--into", "origin/main"]);
    assert!(said.ends_with("removed 0, kept 5\n"), "{said}");
    fs::write(tree.join("more.txt"), "not committed\n").expect("a file");
    let said = ground.gc(&[]);
    says(&said, "kept tree <root>", ": it holds changes that are not committed");
    says(&said, "kept branch grafter/<parked>/do-it", "has it checked out");
    says(&said, "removed ref refs/grafter/orphan/0123", ": main has the same files");
    fs::remove_file(tree.join("more.txt")).expect("it is there");
    let said = ground.gc(&[]);
    says(&said, "removed tree <root>", ": main has the same files");
    assert!(said.ends_with("removed 2, kept 2\n"), "{said}");
    assert!(!tree.exists() && env.git(["branch", "--list", &branch]).is_empty());
    let failed = env.grafter(["worktree", "gc", "--into", "nowhere"]).code(2).stderr;
    assert!(failed.contains("there is no branch `nowhere`"), "{failed}");
}

#[test]
fn what_is_locked_foreign_or_cannot_be_looked_at_is_left_alone() {
    let ground = ground();
    let Ground { env, landed, parked, tree } = &ground;
    let path = |name: &str| env.root().join(name).display().to_string();
    for run in [landed, parked] {
        env.git(["merge", "-q", "-m", "merge", &format!("grafter/{run}/do-it")]);
    }
    env.git(["branch", "grafter/mine/idea"]);
    env.git(["worktree", "lock", "--reason", "on a stick", tree.to_str().expect("text")]);
    let foreign = path("foreign");
    env.git(["worktree", "add", "-q", &foreign, &format!("grafter/{landed}/do-it")]);
    let before = ground.refs();
    let said = ground.gc(&["--dry-run"]);
    says(&said, "would keep tree <root>", ": it is locked: on a stick");
    says(&said, "would keep branch grafter/mine/idea", ": no run of that name is known");
    says(&said, "would keep branch grafter/<landed>/do-it", "<root>/foreign has it checked out");
    says(&said, "would remove branch grafter/<landed>/landed", "");
    // Another tool cannot say what is checked out in its worktree.
    let head = env.path(".git/worktrees/foreign/HEAD");
    let text = fs::read(&head).expect("a head");
    fs::remove_file(&head).expect("a head");
    fs::create_dir(&head).expect("no head");
    let said = ground.gc(&[]);
    assert!(said.contains("it cannot be told whether it may go: cannot read"), "{said}");
    assert!(said.lines().last().is_some_and(|line| line.starts_with("removed 0, ")), "{said}");
    fs::remove_dir(&head).expect("it is empty");
    fs::write(&head, text).expect("a head");
    assert_eq!(ground.refs(), before);
    assert!(tree.exists() && env.root().join("foreign/a.txt").exists());
    // Nor does the older order take what is locked.
    let said = env.grafter(["worktree", "clean", "--all"]).ok().stdout;
    assert!(said.contains("is locked: on a stick") && tree.exists(), "{said}");
}
