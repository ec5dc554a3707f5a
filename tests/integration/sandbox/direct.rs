//! Commands that are started without a shell do what bash makes of the same words.

use std::fs;

use grafter::{
    guard::shell::{direct::plan, parse::parse},
    sandbox::{
        probe::Backend,
        run::{Cmd, Job, Ran, RanEnd},
    },
};
use tokio_util::sync::CancellationToken;

use super::{Host, namespaces_work};

async fn directly(host: &Host, text: &str) -> Ran {
    let plan = parse(text).ok().and_then(|script| plan(&script));
    let plan = plan.unwrap_or_else(|| panic!("{text} needs a shell"));
    let cmd = Cmd { job: Job::Plan(plan), ..Cmd::new("") };
    host.place.run(cmd, &CancellationToken::new()).await.expect("it runs")
}

/// Each leaves nothing behind that the next one would see.
const COMMANDS: [&str; 31] = [
    "true 3",
    "false",
    "echo a 'b  c' \"d\"",
    "no-such-program x",
    "no-such-program 2>/dev/null",
    "no-such-program 2>/dev/null || echo rest",
    "no-such-program 2>&1 | cat",
    "./no-such-file",
    "./src",
    "./src/which.py",
    "./noexec",
    "./text a b",
    "./lost",
    "echo a; false; echo b",
    "false && echo a || echo b",
    "true || echo a && echo b",
    "true && false",
    "printf 'b\\na\\n' | sort | head -n 1",
    "cat src/which.py | wc -l",
    "false | true",
    "true | false",
    "cd src && ls",
    "cd nowhere || echo no",
    "cd src/which.py && ls",
    "cat < src/which.py",
    "cat < nowhere",
    "cat < src",
    "echo a > out; cat out; rm out",
    "echo a > out; echo b >> out; cat out; rm out",
    "ls nowhere 2>err; cat err; rm err",
    "A=1 B='x y' printenv A B",
];

#[tokio::test]
async fn direct_mode_ends_and_prints_as_bash_does() {
    let mut backends = vec![Backend::None];
    if namespaces_work() {
        backends.push(Backend::Namespaces);
    }
    for backend in backends {
        let host = Host::new(backend).await;
        let text = |name: &str, mode: &str, content: &str| {
            fs::write(host.path("tree").join(name), content).expect("a file");
            mode.to_owned()
        };
        let modes = [
            ("noexec", text("noexec", "644", "echo no\n")),
            ("text", text("text", "755", "echo \"$0\" \"$@\"\n")),
            ("lost", text("lost", "755", "#!/no/such/interpreter\n")),
        ];
        for (name, mode) in modes {
            host.run(&format!("chmod {mode} {name}")).await;
        }
        for command in COMMANDS {
            let (ours, theirs) = (directly(&host, command).await, host.run(command).await);
            let say = |ran: &Ran| (ran.end, String::from_utf8_lossy(&ran.output).into_owned());
            assert_eq!(say(&ours), say(&theirs), "{command:?} {backend:?}");
        }
    }
}

#[tokio::test]
async fn a_plan_starts_no_shell() {
    let host = Host::new(Backend::None).await;
    // The parent of what a shell starts is the shell.
    let ours = directly(&host, "readlink /proc/self/exe").await;
    assert!(!String::from_utf8_lossy(&ours.output).contains("bash"));
    let parents = "grep -c bash /proc/self/cmdline";
    assert_eq!(directly(&host, parents).await.end, RanEnd::Exit(0), "its own words name it");
    let group = directly(&host, "true && cat /proc/self/stat").await;
    assert_eq!(group.end, RanEnd::Exit(0));
}

#[tokio::test]
async fn a_redirection_opens_plain_files_only() {
    let host = Host::new(Backend::None).await;
    host.run("mkfifo pipe && ln -s /proc/self/fd/1 link").await;
    for command in ["cat < pipe", "echo x > pipe", "echo x > link", "cat < link"] {
        let ran = directly(&host, command).await;
        assert_eq!(ran.end, RanEnd::Exit(1), "{command}: {}", String::from_utf8_lossy(&ran.output));
    }
}

#[tokio::test]
async fn a_deadline_ends_every_program_of_a_plan() {
    let host = Host::new(Backend::None).await;
    let plan = parse("sleep 600 | sleep 600; touch later").ok().and_then(|script| plan(&script));
    let job = Job::Plan(plan.expect("a plan"));
    let cmd = Cmd { job, deadline: std::time::Duration::from_millis(200), ..Cmd::new("") };
    let ran = host.place.run(cmd, &CancellationToken::new()).await.expect("it runs");
    assert_eq!(ran.end, RanEnd::Deadline);
    assert!(!host.path("tree/later").exists());
    assert_eq!(directly(&host, "echo next").await.output, b"next\n");
}
