//! What a run looks like on a terminal, with and without colours, and where there is none.

use crate::{
    env::Env,
    solo::{GATE, Story, at_gate, open_gate, solo},
};

/// The line of the agent at work, as only bars have it.
const BAR: &str = "implementation solve";

fn world() -> (Env, String) {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.commit("start");
    (env, Story::new().bash(GATE).write("new.txt", "new\n").finish())
}

/// Returns what a run writes on a terminal, which shows the agent before its work is done.
fn on_terminal(no_color: &str) -> String {
    let (env, story) = world();
    let run = solo(&env, &story, &["true"], &[]);
    let run = run.env("TERM", "xterm-256color").env("NO_COLOR", no_color);
    let mut run = run.start_on_terminal();
    let tree = at_gate(&env, "writer");
    run.wait_for(BAR);
    open_gate(&tree);
    let output = run.finish();
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    output.stdout
}

/// Returns how often a terminal is told to move or erase, and how often to change its colours.
fn sequences(text: &str) -> (usize, usize) {
    let all = text.split("\x1b[").skip(1);
    let ends = all.filter_map(|rest| rest.chars().find(char::is_ascii_alphabetic));
    let (colours, moves): (Vec<_>, Vec<_>) = ends.partition(|end| *end == 'm');
    (moves.len(), colours.len())
}

#[test]
fn a_terminal_shows_bars_in_colour() {
    let shown = on_terminal("");
    let (moves, colours) = sequences(&shown);
    assert!(moves > 0 && colours > 0, "{shown:?}");
    assert!(shown.contains("landed"), "{shown:?}");
}

#[test]
fn no_color_leaves_the_bars_and_takes_the_colours() {
    let shown = on_terminal("1");
    let (moves, colours) = sequences(&shown);
    assert!(moves > 0 && colours == 0, "{shown:?}");
    assert!(shown.contains("landed"), "{shown:?}");
}

#[test]
fn without_a_terminal_there_are_plain_lines() {
    let (env, story) = world();
    let run = solo(&env, &story, &["true"], &[]).env("TERM", "xterm-256color").env("NO_COLOR", "");
    let run = run.start();
    open_gate(&at_gate(&env, "writer"));
    let output = run.finish();
    assert_eq!(output.status.code(), Some(0), "{}", output.text());
    let text = output.text();
    assert!(!text.contains('\x1b') && !text.contains('\r') && !text.contains(BAR), "{text:?}");
    assert!(output.stderr.lines().all(|line| line.starts_with('[')), "{}", output.stderr);
}
