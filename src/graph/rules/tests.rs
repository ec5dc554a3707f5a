//! Every rule of one node has a wrong workflow, and the message its author sees.

use crate::graph::fixture::problems;

#[test]
fn unknown_key() {
    let text = r"
  - id: a
    phase: research
    role: r
    nedes: [b]
";
    insta::assert_snapshot!(problems(text), @"
    w.yaml:7:5: unknown key `nedes`; did you mean `needs`? (known: id, phase, work, role, kind, tools, needs, each, ask, gives, takes, when, on_failure, optional, mode, max_turns, limits, temperature, edit_format, worker)
    7 |     nedes: [b]
      |     ^
    ");
}

#[test]
fn unknown_phase() {
    let text = r"
  - { id: a, phase: verify, role: r }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:21: unknown value `verify` (known: research, synthesis, implementation, verification)
    4 |   - { id: a, phase: verify, role: r }
      |                     ^
    ");
}

#[test]
fn unknown_kind() {
    let text = r"
  - { id: a, phase: research, role: r, kind: treework }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:46: unknown value `treework` (known: fork, teammate, worktree)
    4 |   - { id: a, phase: research, role: r, kind: treework }
      |                                              ^
    ");
}

#[test]
fn missing_phase() {
    let text = r"
  - { id: a, role: r }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:14: key `phase` is missing
    4 |   - { id: a, role: r }
      |              ^
    ");
}

#[test]
fn missing_role() {
    let text = r"
  - { id: a, phase: research }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:5: node `a` needs a `role`, or `work: checks`
    4 |   - { id: a, phase: research }
      |     ^
    ");
}

#[test]
fn role_with_odd_characters() {
    let text = r"
  - { id: a, phase: research, role: ../../etc/passwd }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:37: role `../../etc/passwd` must be 1 to 40 lower-case letters, digits and inner hyphens
    4 |   - { id: a, phase: research, role: ../../etc/passwd }
      |                                     ^
    ");
}

#[test]
fn unknown_tool() {
    let text = r"
  - { id: a, phase: research, role: r, tools: [read, gerp, finish] }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:54: there is no tool `gerp`; did you mean `grep`?
    4 |   - { id: a, phase: research, role: r, tools: [read, gerp, finish] }
      |                                                      ^
    ");
}

#[test]
fn write_tool_in_a_read_phase() {
    let text = r"
  - { id: a, phase: research, role: r, tools: [read, edit] }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:54: tool `edit` writes; a research node may only read
    4 |   - { id: a, phase: research, role: r, tools: [read, edit] }
      |                                                      ^
    ");
}

#[test]
fn shell_in_synthesis() {
    let text = r"
  - { id: a, phase: synthesis, role: r, tools: [bash] }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:49: tool `bash` is for implementation, verification, not for synthesis
    4 |   - { id: a, phase: synthesis, role: r, tools: [bash] }
      |                                                 ^
    ");
}

#[test]
fn writing_without_a_worktree() {
    let text = r"
  - { id: a, phase: implementation, role: r, kind: teammate }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:52: an implementation node writes, so its kind is `worktree`
    4 |   - { id: a, phase: implementation, role: r, kind: teammate }
      |                                                    ^
    ");
}

#[test]
fn worktree_in_a_read_phase() {
    let text = r"
  - { id: a, phase: research, role: r, kind: worktree }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:46: kind `worktree` writes; a research node may only read
    4 |   - { id: a, phase: research, role: r, kind: worktree }
      |                                              ^
    ");
}

#[test]
fn fan_out_of_writers() {
    let text = r"
  - { id: a, phase: implementation, role: r, each: 31 }
  - { id: b, phase: implementation, role: r, needs: [a], each: [{ id: x, text: y, after: [z] }] }
";
    insta::assert_snapshot!(problems(text), @"
    w.yaml:4:52: `each` makes 1 to 30 instances, not 31
    4 |   - { id: a, phase: implementation, role: r, each: 31 }
      |                                                    ^
    w.yaml:5:64: part 1: no part before it is called `z`; `after` names ids of parts that stand before this one
    5 |   - { id: b, phase: implementation, role: r, needs: [a], each: [{ id: x, text: y, after: [z] }] }
      |                                                                ^
    ");
    let flow =
        "name: w\nversion: 1\nnodes:\n  - { id: a, phase: implementation, role: r, each: 30 }\n";
    assert!(crate::graph::fixture::graph(flow).nodes[0].is_split());
}

#[test]
fn fan_out_of_nothing() {
    let text = r"
  - { id: a, phase: research, role: r, each: [] }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:46: `each` makes 1 to 8 instances, not 0
    4 |   - { id: a, phase: research, role: r, each: [] }
      |                                              ^
    ");
}

#[test]
fn fan_out_too_wide() {
    let text = r"
  - { id: a, phase: research, role: r, each: 900 }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:46: `each` makes 1 to 8 instances, not 900
    4 |   - { id: a, phase: research, role: r, each: 900 }
      |                                              ^
    ");
}

#[test]
fn fan_out_of_a_word() {
    let text = r"
  - { id: a, phase: research, role: r, each: many }
";
    insta::assert_snapshot!(problems(text), @r#"
    w.yaml:4:40: invalid type: string "many", expected a number, a list, or `{ from: NODE, carry: NAME }`
    4 |   - { id: a, phase: research, role: r, each: many }
      |                                        ^
    "#);
}

#[test]
fn fan_out_giving_text() {
    let text = r"
  - { id: a, phase: research, role: r, each: 2, gives: { plan: text } }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:64: `plan`: with `each` only lists and findings can be joined, not a text
    4 |   - { id: a, phase: research, role: r, each: 2, gives: { plan: text } }
      |                                                                ^
    ");
}

#[test]
fn fan_out_with_an_unknown_key() {
    let text = r"
  - { id: a, phase: research, role: r, each: { form: b, carry: c } }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:48: unknown key `form`; did you mean `from`? (known: from, carry)
    4 |   - { id: a, phase: research, role: r, each: { form: b, carry: c } }
      |                                                ^
    ");
}

#[test]
fn checks_with_agent_keys() {
    let text = r"
  - { id: a, phase: research, work: checks, role: r, each: 2 }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:21: `work: checks` belongs to the verification phase
    4 |   - { id: a, phase: research, work: checks, role: r, each: 2 }
      |                     ^
    w.yaml:4:51: `role` is for agents; `work: checks` runs no model
    4 |   - { id: a, phase: research, work: checks, role: r, each: 2 }
      |                                                   ^
    w.yaml:4:60: `each` is for agents; `work: checks` runs no model
    4 |   - { id: a, phase: research, work: checks, role: r, each: 2 }
      |                                                            ^
    ");
}

#[test]
fn a_mode_that_no_workflow_may_name() {
    let text = r"
  - { id: a, phase: research, role: r, mode: yolo }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:46: `mode` can only be stricter than the run's, and nothing is freer than yolo
    4 |   - { id: a, phase: research, role: r, mode: yolo }
      |                                              ^
    ");
}

#[test]
fn edit_format_of_a_reader() {
    let text = r"
  - { id: a, phase: research, role: r, edit_format: blocks }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:53: `edit_format` is for implementation nodes; others change nothing
    4 |   - { id: a, phase: research, role: r, edit_format: blocks }
      |                                                     ^
    ");
}

#[test]
fn temperature_out_of_range() {
    let text = r"
  - { id: a, phase: research, role: r, temperature: [0.0, 9] }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:53: `temperature` must be 1 to 10 numbers between 0 and 2
    4 |   - { id: a, phase: research, role: r, temperature: [0.0, 9] }
      |                                                     ^
    ");
}

#[test]
fn no_turns() {
    let text = r"
  - { id: a, phase: research, role: r, max_turns: 0 }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:51: `max_turns` must be at least 1
    4 |   - { id: a, phase: research, role: r, max_turns: 0 }
      |                                                   ^
    ");
}

#[test]
fn unknown_carry_type() {
    let text = r"
  - { id: a, phase: research, role: r, gives: { plan: txt } }
";
    insta::assert_snapshot!(problems(text), @"
    w.yaml:4:55: unknown value `txt`; did you mean `text`? (known: text, number, bool, list, findings, parts)
    4 |   - { id: a, phase: research, role: r, gives: { plan: txt } }
      |                                                       ^
    ");
}

#[test]
fn carry_with_odd_characters() {
    let text = r"
  - { id: a, phase: research, role: r, gives: { Plan!: text } }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:49: gives: `Plan!` must be lower-case letters, digits and underscores
    4 |   - { id: a, phase: research, role: r, gives: { Plan!: text } }
      |                                                 ^
    ");
}

#[test]
fn failure_edge_without_max() {
    let text = r"
  - { id: code, phase: implementation, role: solo }
  - { id: c, phase: verification, work: checks, needs: [code], on_failure: { to: code } }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:5:76: `on_failure` needs `max` (1 to 5), or the loop has no end
    5 |   - { id: c, phase: verification, work: checks, needs: [code], on_failure: { to: code } }
      |                                                                            ^
    ");
}

#[test]
fn failure_edge_with_too_many_rounds() {
    let text = r"
  - { id: code, phase: implementation, role: solo }
  - { id: c, phase: verification, work: checks, needs: [code], on_failure: { to: code, max: 6 } }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:5:93: `max` must be between 1 and 5
    5 |   - { id: c, phase: verification, work: checks, needs: [code], on_failure: { to: code, max: 6 } }
      |                                                                                             ^
    ");
}

#[test]
fn condition_without_a_test() {
    let text = r"
  - { id: a, phase: research, role: r, when: { carry: c } }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:46: `when` needs exactly one of `equals`, `not_equals`, `exists` and `at_least`
    4 |   - { id: a, phase: research, role: r, when: { carry: c } }
      |                                              ^
    ");
}

#[test]
fn condition_with_two_tests() {
    let text = r"
  - { id: a, phase: research, role: r, when: { carry: c, exists: true, at_least: 1 } }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:46: `when` needs exactly one of `equals`, `not_equals`, `exists` and `at_least`
    4 |   - { id: a, phase: research, role: r, when: { carry: c, exists: true, at_least: 1 } }
      |                                              ^
    ");
}
