//! What judging a command costs: `cargo run --release --example judge_cost`.
//!
//! Prints the median of many judgements for typical commands, in microseconds.

use std::time::Instant;

use grafter::guard::gate::{ShellFacts, judge};

const ROUNDS: usize = 1_000;
const COMMANDS: [&str; 6] = [
    "ls",
    "cargo test --workspace -- --nocapture",
    "git -C sub log --oneline -5 -- src/lib.rs",
    "cd sub && make -j4 2>&1 | tee build.log | tail -20",
    "find . -name '*.rs' -print0 | xargs -0 grep -n 'fn main' | sort | uniq -c | head",
    "for f in src/*.rs; do sed -n '1,20p' \"$f\"; echo \"$(wc -l < \"$f\")\"; done",
];

#[expect(clippy::print_stdout, reason = "an example's result is what it prints")]
fn main() {
    let facts = ShellFacts {
        root: "/repo".to_owned(),
        cwd: "/repo".to_owned(),
        home: "/home/ada".to_owned(),
        scratch: vec!["/tmp".to_owned()],
        ..ShellFacts::default()
    };
    for command in COMMANDS {
        let mut times: Vec<u128> = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let begin = Instant::now();
            std::hint::black_box(judge(std::hint::black_box(command), &facts));
            times.push(begin.elapsed().as_nanos());
        }
        times.sort_unstable();
        let (median, slow) = (times[ROUNDS / 2] / 1_000, times[ROUNDS * 99 / 100] / 1_000);
        println!("{median:>5} µs (99 %: {slow:>5} µs)  {command}");
    }
}
