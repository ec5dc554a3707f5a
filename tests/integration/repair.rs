//! Runs without a model: a small edit that a failing check asks for is found, verified and landed.

use std::process::Command;

use crate::env::Env;

const LIBRARY: &str = "pub fn small(a: u8, b: u8) -> bool {\n    a < b\n}\n";
const CHECK: &str = "grep -q 'a <= b' src/lib.rs";

fn world() -> Env {
    let env = Env::new();
    env.write("src/lib.rs", LIBRARY);
    env.write("src/other.rs", "pub fn large(a: u8) -> u8 {\n    a + 1\n}\n");
    env.commit("start");
    env
}

#[test]
fn without_a_model_a_small_edit_is_found_and_landed() {
    let env = world();
    let before = env.fingerprint();
    let run = ["run", "small is wrong for equal numbers", "--verify", CHECK, "--into", "fixed"];
    let said = env.grafter(run).ok();
    assert!(said.text().contains("no model is set up"), "{}", said.text());
    assert!(said.text().contains("`<` → `<=` (another comparison)"), "{}", said.text());
    assert_eq!(env.git(["show", "fixed:src/lib.rs"]), LIBRARY.replace('<', "<=").trim_end());
    assert_eq!(env.git(["diff", "--stat", "--name-only", "HEAD", "fixed"]), "src/lib.rs");
    assert_eq!(env.fingerprint(), before);
    let told = env.grafter(["logs", "latest", "--agent", "repair"]).ok().stdout;
    assert!(told.contains("suspect small (src/lib.rs:1)"), "{told}");
}

#[test]
fn what_no_small_edit_mends_is_left_as_it_was() {
    let env = world();
    let run =
        ["run", "small is wrong", "--verify", "grep -q nothing src/lib.rs", "--into", "fixed"];
    let said = env.grafter(run).code(1);
    assert!(said.text().contains("no small edit makes"), "{}", said.text());
    assert_eq!(env.git(["branch", "--list", "fixed"]), "");
    let run = ["run", "small is wrong", "--verify", "true", "--into", "fixed"];
    let said = env.grafter(run).code(1);
    assert!(said.text().contains("nothing pins a bug down"), "{}", said.text());
}

#[test]
#[expect(clippy::print_stderr, reason = "who runs the tests is told what was not")]
fn with_pytest_lines_lead_to_the_bug_and_many_edits_are_tried_at_once() {
    let has = Command::new("python3").args(["-m", "pytest", "--version"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: python3 has no pytest here");
        return;
    }
    let env = Env::new();
    let sound = "LIMIT = 3\n\n\nclass Box:\n    def __init__(self, room=1):\n        self.room = room\n\n    \
                 def fits(self, things):\n        return len(things) <= self.room\n\n\ndef spin(n):\n    \
                 while n > 0:\n        n -= 1\n    return n\n";
    for (old, new) in [("<= self.room", "< self.room"), ("n -= 1", "n -= 2"), ("room=1", "room=0")]
    {
        env.write("box.py", sound.replace(old, new));
        env.write("conftest.py", "");
        let tests = "from box import Box, spin\n\n\ndef test_fits():\n    assert Box(2).fits([1, 2])\n    \
                     assert not Box(1).fits([1, 2])\n\n\ndef test_spin():\n    assert spin(3) == 0\n\n\n\
                     def test_room():\n    assert Box().room == 1\n";
        env.write("test_box.py", tests);
        env.commit(old);
        let target = format!("fixed-{}", old.len());
        let run = ["run", "it is wrong", "--verify", "python3 -m pytest", "--into", &target];
        env.grafter(run).ok();
        let found = env.git(["show", &format!("{target}:box.py")]);
        assert!(found.contains(old) || found.contains("while n - 1 > 0"), "{found}");
    }
}
