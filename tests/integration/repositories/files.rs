//! Files of every kind: their bytes reach the landed commit as they are.

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::{ffi::OsStrExt, fs::symlink},
};

use serde_json::json;

use super::{changed, lands, small};
use crate::{
    env::Env,
    solo::{Story, landed, solo},
};

#[test]
fn names_with_a_newline_or_invalid_utf8() {
    let env = small();
    env.write("line\nbreak.txt", "n\n");
    env.write(OsStr::from_bytes(b"latin-\xe9.txt"), "l\n");
    let head = env.commit("odd names");
    let before = env.fingerprint();
    // The agent changes both and makes more of the kind.
    let story = Story::new()
        .bash("printf x >> $'line\\nbreak.txt'; printf x >> $'latin-\\xe9.txt'; : > $'new\\n\\xff'")
        .finish();
    solo(&env, &story, &["test -e $'new\\n\\xff'"], &[]).ok();
    assert_eq!(env.fingerprint(), before);
    let diff = ["diff", "--name-status", &head, &landed(&env)];
    let wanted = "M\t\"latin-\\351.txt\"\nM\t\"line\\nbreak.txt\"\nA\t\"new\\n\\377\"";
    assert_eq!(env.git(diff), wanted);
}

#[test]
fn crlf_files_keep_their_line_ends() {
    let env = Env::new();
    env.write("dos.txt", "one\r\ntwo\r\nthree\r\n");
    let head = env.commit("start");
    let story = Story::new()
        .call("read", json!({ "path": "dos.txt" }))
        .call("edit", json!({ "path": "dos.txt", "old": "two", "new": "2\nand more" }))
        .finish();
    let before = env.fingerprint();
    solo(&env, &story, &["test $(grep -c $'\\r$' dos.txt) = 4"], &[]).ok();
    assert_eq!(env.fingerprint(), before);
    assert_eq!(env.git(["diff", "--numstat", &head, &landed(&env)]), "2\t1\tdos.txt");
    let bytes = env.program("git", ["cat-file", "blob", &format!("{}:dos.txt", landed(&env))]);
    assert_eq!(bytes.ok().stdout, "one\r\n2\r\nand more\r\nthree\r\n");
}

#[test]
fn autocrlf_and_attributes_are_git_s_own_business() {
    let env = Env::new();
    env.write(".gitattributes", "*.txt text eol=crlf\n");
    env.write("a.txt", "one\r\n");
    let head = env.commit("start");
    lands(&env, &["grep -q $'\\r$' a.txt"], &[]);
    assert_eq!(changed(&env, &head), "A\tnew.txt");
}

#[test]
fn a_file_of_200_megabytes() {
    let env = small();
    let big = File::create(env.path("big.bin")).expect("a file");
    big.set_len(200 << 20).expect("a sparse file");
    let head = env.commit("big");
    let before = env.fingerprint();
    // The agent makes another of the kind, which must land whole and not as a pointer.
    let story = Story::new().bash("truncate -s 60M big2.bin; echo x >> big2.bin").finish();
    let check = "test $(stat -c %s big2.bin) = 62914562 && test $(stat -c %s big.bin) = 209715200";
    solo(&env, &story, &[check], &[]).ok();
    assert_eq!(env.fingerprint(), before);
    assert_eq!(changed(&env, &head), "A\tbig2.bin");
    let size = env.git(["cat-file", "-s", &format!("{}:big2.bin", landed(&env))]);
    assert_eq!(size, "62914562");
}

#[test]
fn links_that_go_round_or_lead_out() {
    let env = small();
    symlink("round", env.path("loop")).expect("a link");
    symlink("loop", env.path("round")).expect("a link");
    symlink("..", env.path("src/up")).expect("a link");
    symlink("/etc/hostname", env.path("out")).expect("a link");
    symlink("nowhere", env.path("dangling")).expect("a link");
    let head = env.commit("links");
    let before = env.fingerprint();
    let story = Story::new()
        .call("read", json!({ "path": "loop" }))
        .call("read", json!({ "path": "out" }))
        .call("grep", json!({ "pattern": "one" }))
        .call("write", json!({ "path": "out", "content": "x" }))
        .call("write", json!({ "path": "new.txt", "content": "new\n" }))
        .finish();
    solo(&env, &story, &["test -L loop && test -L out && test -f new.txt"], &[]).ok();
    assert_eq!(env.fingerprint(), before);
    assert_eq!(changed(&env, &head), "A\tnew.txt");
}

#[test]
fn modes_links_and_empty_files_land_as_they_are() {
    let env = small();
    let head = env.git(["rev-parse", "HEAD"]);
    let story = Story::new()
        .bash("chmod +x a.txt; ln -s a.txt link; : > empty; mkdir nothing; mkfifo pipe")
        .finish();
    let before = env.fingerprint();
    solo(&env, &story, &["test -x a.txt && test -L link && test -f empty"], &[]).ok();
    assert_eq!(env.fingerprint(), before);
    assert_eq!(changed(&env, &head), "M\ta.txt\nA\tempty\nA\tlink");
    let modes = env.git(["ls-tree", "-r", "--format=%(objectmode) %(path)", &landed(&env)]);
    assert_eq!(modes, "100755 a.txt\n100644 empty\n120000 link\n100644 src/deep/b.txt");
    assert!(fs::symlink_metadata(env.path("link")).is_err());
}
