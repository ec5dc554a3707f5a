//! The tools `bash` and `run_tests`: commands in the agent's place.
//!
//! How long a command took is not told to the model: the same call then has the same result, which
//! is how an agent that goes in circles is noticed.

use std::time::Duration;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::{
    protocol::{
        plan::Plan,
        report::{Check, CheckEnd, CheckRun},
        task::Phase,
    },
    sandbox::{
        place::Place,
        run::{Cmd, Job, RanEnd, RunError},
    },
    tools::answer::{Done, Effect},
    verify::{run as verify, slots::slots},
};

/// Deadline of a command that names none.
const DEADLINE: Duration = Duration::from_secs(120);
/// Deadline of one check.
const CHECK_DEADLINE: Duration = Duration::from_secs(600);

/// Output kept of all checks of one call.
const MAX_TAIL: usize = 20_000;

const CANCELLED: &str = "the command was stopped because the run is cancelled";

/// Arguments of `bash`.
#[derive(Debug, Deserialize)]
pub(super) struct Bash {
    command: String,
    cwd: Option<String>,
    timeout: Option<u64>,
}

/// Arguments of `run_tests`.
#[derive(Debug, Deserialize)]
pub(super) struct RunTests {
    check: Option<usize>,
}

/// Runs a command.
pub(super) async fn bash(
    place: &Place,
    (args, plan): (&Bash, Option<&Plan>),
    max_output: usize,
    cancel: &CancellationToken,
) -> Result<Done, String> {
    if args.command.trim().is_empty() {
        return Err("`command` is empty".to_owned());
    }
    let job = match plan {
        Some(plan) => Job::Plan(plan.clone()),
        None => Job::Script(args.command.clone()),
    };
    let cmd = Cmd {
        job,
        cwd: args.cwd.clone().filter(|cwd| cwd != ".").unwrap_or_default(),
        env: Vec::new(),
        deadline: args.timeout.map_or(DEADLINE, Duration::from_secs),
        max_output,
    };
    let content = run(place, cmd, cancel).await?;
    let rest = "send the output to a file and read it, or filter it";
    Ok(Done { content, rest, effect: Effect::Ran, marks: Vec::new() })
}

/// Runs the checks, or one of them.
///
/// For a reviewer a failure counts as it does in the verdict: what fails is run again alone, and
/// what passes once of two times is told to be flaky. A writer wants to know at once.
pub(super) async fn run_tests(
    place: &Place,
    (args, phase): (&RunTests, Phase),
    checks: &[Check],
    cancel: &CancellationToken,
) -> Result<Done, String> {
    let chosen: &[Check] = match args.check {
        None => checks,
        Some(number) => {
            let one = number.checked_sub(1).and_then(|index| checks.get(index..=index));
            one.ok_or_else(|| format!("there is no check {number}; {}", list(checks)))?
        }
    };
    if chosen.is_empty() {
        return Err("no checks are known for this repository; verify by reading, or with bash \
                    where it is allowed"
            .to_owned());
    }
    let rest = "run one check by its number to see more of it";
    let done = |content| Done { content, rest, effect: Effect::Checked, marks: Vec::new() };
    if phase == Phase::Verification {
        let ran = verify::run(place, chosen, CHECK_DEADLINE, cancel).await;
        return ran.map(|report| done(report.runs.iter().map(told).collect())).map_err(|error| {
            match error.source {
                RunError::Cancelled => CANCELLED.to_owned(),
                other => format!("the command could not be run: {other}"),
            }
        });
    }
    let mut content = String::new();
    for check in chosen {
        let cmd = Cmd {
            job: Job::Script(check.command.clone()),
            cwd: String::new(),
            env: Vec::new(),
            deadline: CHECK_DEADLINE,
            max_output: MAX_TAIL / chosen.len(),
        };
        let slot = slots().one(cancel).await;
        let said = run(place, cmd, cancel).await?;
        drop(slot);
        content.push_str(&format!("$ {}\n{said}\n", check.command));
    }
    Ok(done(content))
}

/// Returns what a reviewer is told about a check.
fn told(run: &CheckRun) -> String {
    let end = match &run.end {
        CheckEnd::Exit(code) => format!("exit {code}"),
        CheckEnd::Signal(signal) => format!("ended by signal {signal}"),
        CheckEnd::Deadline(ms) => format!("stopped at its deadline of {} s", ms / 1000),
        CheckEnd::NotStarted(why) => format!("could not be started: {why}"),
    };
    let flaky = match run.flaky {
        true if run.end.is_success() => " (flaky: what failed in one run passed in another)",
        true => " (some of what failed at first passed when it was run again alone)",
        false => "",
    };
    let output = if run.tail.trim().is_empty() { "(no output)" } else { run.tail.trim_end() };
    format!("$ {}\n{end}{flaky}\n{output}\n\n", run.check.command)
}

fn list(checks: &[Check]) -> String {
    let named = checks.iter().enumerate();
    let named: Vec<String> =
        named.map(|(index, check)| format!("{}: {}", index + 1, check.command)).collect();
    if named.is_empty() { "there are none".to_owned() } else { named.join(", ") }
}

async fn run(place: &Place, cmd: Cmd, cancel: &CancellationToken) -> Result<String, String> {
    let seconds = cmd.deadline.as_secs();
    let ran = place.run(cmd, cancel).await.map_err(|error| match error {
        RunError::Cancelled => CANCELLED.to_owned(),
        other => format!("the command could not be run: {other}"),
    })?;
    let end = match ran.end {
        RanEnd::Exit(code) => format!("exit {code}"),
        RanEnd::Signal(signal) => format!("ended by signal {signal}"),
        RanEnd::Deadline => format!(
            "stopped at its deadline of {seconds} s, with all it had started; give a longer \
             timeout or do less"
        ),
    };
    let output = String::from_utf8_lossy(&ran.output);
    let dropped = match ran.dropped {
        0 => String::new(),
        bytes => format!(" ({bytes} bytes of output left out in the middle)"),
    };
    let output = if output.trim().is_empty() { "(no output)" } else { output.trim_end() };
    Ok(format!("{end}{dropped}\n{output}\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{protocol::task::Phase, tools::testing::Bench};

    #[tokio::test]
    async fn a_command_says_how_it_ended() {
        let bench = Bench::new(&[("sub/a", "x")]).await;
        let said =
            bench.says("bash", json!({"command": "ls; echo e >&2; exit 3", "cwd": "sub"})).await;
        assert_eq!(said, "exit 3\na\ne\n");
        assert_eq!(bench.says("bash", json!({"command": "true"})).await, "exit 0\n(no output)\n");
        let red = bench.says("bash", json!({"command": "printf '\\033[31mred\\033[0m'"})).await;
        assert_eq!(red, "exit 0\nred\n");
        let late = bench.says("bash", json!({"command": "sleep 60", "timeout": 1})).await;
        assert!(late.starts_with("stopped at its deadline of 1 s"), "{late}");
    }

    #[tokio::test]
    async fn a_reviewers_check_is_run_again_before_it_counts() {
        let mut bench = Bench::new(&[]).await;
        bench.desk.policy.phase = Phase::Verification;
        // Another test fails each time, as on a machine that is overrun.
        let odd = "if test -e seen; then echo 'not ok 1 - a'; echo 'ok 2 - b'; else touch seen; \
                   echo 'ok 1 - a'; echo 'not ok 2 - b'; fi; exit 1";
        bench.checks(&[&format!("echo 1..2; {odd}"), "true", "kill -9 $$"]);
        let said = bench.says("run_tests", json!({})).await;
        let ends =
            said.lines().filter(|line| line.starts_with("exit") || line.starts_with("ended"));
        insta::assert_snapshot!(ends.collect::<Vec<_>>().join("\n"), @r"
        exit 0 (flaky: what failed in one run passed in another)
        exit 0
        ended by signal 9
        ");
    }

    #[tokio::test]
    async fn checks_run_all_or_one_by_number() {
        let mut bench = Bench::new(&[]).await;
        let none = bench.fails("run_tests", json!({})).await;
        assert!(none.contains("no checks are known"), "{none}");
        bench.checks(&["echo one", "echo two; false"]);
        insta::assert_snapshot!(bench.says("run_tests", json!({})).await, @"
        $ echo one
        exit 0
        one

        $ echo two; false
        exit 1
        two
        ");
        assert_eq!(
            bench.says("run_tests", json!({"check": 1})).await,
            "$ echo one\nexit 0\none\n\n"
        );
        let wrong = bench.fails("run_tests", json!({"check": 3})).await;
        assert!(wrong.contains("there is no check 3; 1: echo one, 2: echo two; false"), "{wrong}");
    }
}
