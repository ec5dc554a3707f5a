//! The weaker backends, forced.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use grafter::sandbox::{
    options::Options,
    probe::{Backend, probe_with},
    run::RanEnd,
};

use super::{HELPER, Host, eventually, skip};

#[tokio::test]
async fn landlock_alone_keeps_writes_and_secrets() {
    let caps = probe_with(Path::new(HELPER), &Options::default());
    if caps.landlock_abi.is_none_or(|abi| abi < 3) {
        skip("landlock is not there or too old");
        return;
    }
    let host = Host::new(Backend::Landlock).await;
    let said =
        host.says("pwd; cat src/which.py; echo x > made; echo ok > /dev/null; echo $?").await;
    let tree = host.path("tree").canonicalize().expect("there");
    assert_eq!(said, format!("{}\nwhich = 'tree'\n0\n", tree.display()));
    assert!(!host.place.notes().is_empty());
    let (outside, secret) = (host.path("outside/file"), host.path("state/secret"));
    let checkout = host.path("checkout/src/which.py");
    for script in [
        format!("echo x > {}", outside.display()),
        format!("rm {}", outside.display()),
        format!("ln {} linked", outside.display()),
        format!("cat {}", secret.display()),
        format!("cat {}", checkout.display()),
        "cat /etc/shadow".to_owned(),
        "ls /dev/ || head -c 1 /dev/kmsg".to_owned(),
        "touch /tmp/grafter-was-here".to_owned(),
        ": >> /proc/sys/kernel/core_pattern".to_owned(),
        format!("cat /proc/{}/environ", std::process::id()),
        format!("kill -CONT {}", std::process::id()),
    ] {
        assert_ne!(host.run(&script).await.end, RanEnd::Exit(0), "{script}");
    }
    assert_eq!(fs::read_to_string(&outside).expect("there"), "untouched\n");
    host.run("setsid sh -c 'while :; do date +%s%N > beat; sleep 0.01; done' &").await;
    eventually("the first beat", || host.path("tree/beat").exists()).await;
    host.place.close().await;
    let last = fs::read(host.path("tree/beat")).expect("there");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(fs::read(host.path("tree/beat")).expect("there"), last);
}

#[tokio::test]
async fn without_confinement_the_environment_is_scrubbed_all_the_same() {
    let host = Host::new(Backend::None).await;
    let said = host.says("pwd; echo $HOME; env | grep -c CARGO_MANIFEST").await;
    let (tree, home) = (host.path("tree"), host.path("state/home"));
    let real = |path: PathBuf| path.canonicalize().expect("there").display().to_string();
    assert_eq!(said, format!("{}\n{}\n0\n", real(tree), real(home)));
    assert_eq!(host.place.notes(), ["commands are not confined at all"]);
}
