//! A full disk: a clear error, nothing lost, and a resume once there is space.
//!
//! The full disk is a small tmpfs in a mount namespace of the test's own, so no right is needed
//! but to make namespaces.

use std::io::Write;

use crate::{
    env::{Env, Output},
    solo::{Story, writes},
};

/// Runs a shell script as the root of a namespace, with a disk of that size at `disk`.
fn with_disk(env: &Env, size: &str, script: &str) -> Option<Output> {
    let allowed = env.program("unshare", ["-rm", "true"]).start().finish();
    if !allowed.status.success() {
        let _ = writeln!(std::io::stderr(), "not tested here: {}", allowed.stderr);
        return None;
    }
    let grafter = env!("CARGO_BIN_EXE_grafter");
    let script = format!(
        "set -u; disk={0}/disk; mkdir -p $disk; mount -t tmpfs -o size={size} none $disk; \
         grafter={grafter}; code() {{ echo \"code $?\"; }}; {script}",
        env.root().display()
    );
    Some(env.program("unshare", ["-rm", "bash", "-c", &script]).ok())
}

fn script(env: &Env, text: &str) -> String {
    let file = env.root().join("told.yaml");
    std::fs::write(&file, text).expect("a new file");
    format!("--workflow solo --mode bypass --model scripted:{}", file.display())
}

/// Runs on a disk that is full but for little, and once more when there is space.
fn fails_and_goes_on(
    env: &Env,
    (story, check): (&str, &str),
    disk: (&str, &str),
) -> Option<Output> {
    let before = env.fingerprint();
    let flags = script(env, story);
    let (filler, room) = disk;
    let output = with_disk(
        env,
        "8m",
        &format!(
            "export XDG_STATE_HOME=$disk; head -c {filler} /dev/zero > $disk/filler; \
             $grafter run 'do it' {flags} --verify '{check}'; code; \
             {room} rm $disk/filler; $grafter resume; code"
        ),
    )?;
    let codes: Vec<_> = output.stdout.lines().filter(|line| line.starts_with("code")).collect();
    assert_eq!(codes, ["code 6", "code 0"], "{}", output.text());
    assert!(output.stdout.contains("grafter resume"), "{}", output.text());
    assert_eq!(env.fingerprint(), before);
    Some(output)
}

/// Beside what fills the disk another write may be the first to fail, and a program that fails may
/// say so itself.
fn tells_of_the_full_disk(output: &Output) {
    let told = ["left on the disk", "No space left on device"];
    assert!(told.iter().any(|told| output.stderr.contains(told)), "{}", output.text());
}

#[test]
fn no_space_for_a_tree() {
    let env = Env::new();
    env.write("large.txt", "0123456789abcde\n".repeat(40_000));
    env.commit("start");
    let story = writes("new.txt", "new\n");
    let output = fails_and_goes_on(&env, (&story, "test -f new.txt"), ("7900K", ""));
    let Some(output) = output else { return };
    tells_of_the_full_disk(&output);
}

#[test]
fn no_space_for_what_the_agent_writes() {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.commit("start");
    let story = Story::new().write("large.txt", &"0123456789abcde\n".repeat(40_000)).finish();
    let output = fails_and_goes_on(&env, (&story, "test -f large.txt"), ("7900K", ""));
    let Some(output) = output else { return };
    assert!(output.text().contains("No space left on device"), "{}", output.text());
}

/// An agent's command, or a check of what it made (the check on the base, which runs beside the
/// agent, leaves the disk alone).
#[test]
fn no_space_for_what_a_command_writes() {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.commit("start");
    let fill = "head -c 9M /dev/zero > large.bin && echo done > small.txt && rm large.bin";
    for (story, check) in [
        (Story::new().bash(fill), "test -f small.txt"),
        (
            Story::new().write("small.txt", "x\n"),
            "test ! -f small.txt || head -c 2M /dev/zero > large.bin",
        ),
    ] {
        let larger = ("6400K", "mount -o remount,size=64m $disk;");
        let output = fails_and_goes_on(&env, (&story.finish(), check), larger);
        let Some(output) = output else { return };
        tells_of_the_full_disk(&output);
    }
}

/// The repository itself, with its objects and the journal, is on the full disk: wherever in the
/// run the space ends, the run says so, and goes on when there is space.
#[test]
fn no_space_for_the_journal_wherever_it_ends() {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.commit("start");
    let flags = script(&env, &Story::new().write("b.txt", &"x\n".repeat(9000)).finish());
    let output = with_disk(
        &env,
        "24m",
        &format!(
            "start=$PWD; for free in 0 8 24 48 64 96 100 112 128 192; do \
               git clone -q $start $disk/repo; cd $disk/repo; \
               git config user.name A; git config user.email a@b; \
               used=$(df --output=used -k $disk | tail -1); \
               head -c $((24 * 1024 - used - free))K /dev/zero > $disk/filler; \
               echo \"free $free\"; \
               $grafter run 'do it' {flags} --verify 'test -f b.txt' > $disk/../out 2>&1; code=$?; \
               grep -qE 'No space left on device|left on the disk' $disk/../out && said=yes || said=no; \
               rm $disk/filler; \
               test $code = 0 || $grafter resume > $disk/../again 2>&1 || \
                 $grafter run 'do it' {flags} --verify 'test -f b.txt' > $disk/../again 2>&1; \
               after=$?; git fsck --no-dangling > $disk/../fsck 2>&1 || after=9; \
               landed=$(git for-each-ref 'refs/heads/grafter/*/landed' | wc -l); \
               dirt=$(git status --porcelain | wc -l); \
               echo \"ended $code $said $after $landed $dirt\"; \
               test $after = 0 || cat $disk/../out $disk/../again; \
               cd $disk; rm -rf $disk/repo; done"
        ),
    );
    let Some(output) = output else { return };
    let mut full = 0;
    for line in output.stdout.lines().filter(|line| line.starts_with("ended")) {
        let good = ["ended 0 no 0 1 0", "ended 6 yes 0 1 0"].contains(&line);
        assert!(good, "{line}\n{}", output.text());
        full += usize::from(line.starts_with("ended 6"));
    }
    assert!(full >= 4, "{}", output.text());
}
