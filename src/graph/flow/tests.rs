//! Every rule between nodes has a wrong workflow, and the message its author sees.

use crate::graph::fixture::problems;

#[test]
fn unknown_need() {
    let text = r"
  - { id: code, phase: implementation, role: r, needs: [loook] }
  - { id: look, phase: research, role: r, gives: { found: findings, size: number, plan: text } }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:57: there is no node `loook`; did you mean `look`?
    4 |   - { id: code, phase: implementation, role: r, needs: [loook] }
      |                                                         ^
    ");
}

#[test]
fn need_twice() {
    let text = r"
  - { id: look, phase: research, role: r, gives: { found: findings, size: number, plan: text } }
  - { id: code, phase: implementation, role: r, needs: [look, look] }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:5:63: `look` is needed twice
    5 |   - { id: code, phase: implementation, role: r, needs: [look, look] }
      |                                                               ^
    ");
}

#[test]
fn need_of_itself() {
    let text = r"
  - { id: code, phase: implementation, role: r, needs: [code] }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:57: these need each other: `code`; a way back is written `on_failure`
    4 |   - { id: code, phase: implementation, role: r, needs: [code] }
      |                                                         ^
    ");
}

#[test]
fn circle() {
    let text = r"
  - { id: a, phase: research, role: r, needs: [b] }
  - { id: b, phase: research, role: r, needs: [a] }
  - { id: code, phase: implementation, role: r, needs: [b] }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:48: these need each other: `a`, `b`; a way back is written `on_failure`
    4 |   - { id: a, phase: research, role: r, needs: [b] }
      |                                                ^
    w.yaml:6:11: `code` can never be reached: it waits for `a`
    6 |   - { id: code, phase: implementation, role: r, needs: [b] }
      |           ^
    ");
}

#[test]
fn carry_that_nobody_gives() {
    let text = r"
  - { id: look, phase: research, role: r, gives: { found: findings, size: number, plan: text } }
  - { id: code, phase: implementation, role: r, needs: [look], takes: { foudn: findings } }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:5:73: no node before this one gives `foudn`; did you mean `found`?
    5 |   - { id: code, phase: implementation, role: r, needs: [look], takes: { foudn: findings } }
      |                                                                         ^
    ");
}

#[test]
fn carry_of_a_node_that_does_not_come_before() {
    let text = r"
  - { id: look, phase: research, role: r, gives: { found: findings, size: number, plan: text } }
  - { id: code, phase: implementation, role: r, takes: { plan: text } }
  - { id: c, phase: synthesis, role: r, needs: [look, code] }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:5:58: no node before this one gives `plan`
    5 |   - { id: code, phase: implementation, role: r, takes: { plan: text } }
      |                                                          ^
    w.yaml:6:11: nothing needs `c`, so its work would be lost
    6 |   - { id: c, phase: synthesis, role: r, needs: [look, code] }
      |           ^
    ");
}

#[test]
fn carry_of_another_type() {
    let text = r"
  - { id: look, phase: research, role: r, gives: { found: findings, size: number, plan: text } }
  - { id: code, phase: implementation, role: r, needs: [look], takes: { size: text } }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:5:79: `size` is given as number, not as text
    5 |   - { id: code, phase: implementation, role: r, needs: [look], takes: { size: text } }
      |                                                                               ^
    ");
}

#[test]
fn two_givers_of_one_text() {
    let text = r"
  - { id: look, phase: research, role: r, gives: { found: findings, size: number, plan: text } }
  - { id: code, phase: implementation, role: r, needs: [look], gives: { plan: text } }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:5:73: `plan` is already given by `look`, and a text has one giver
    5 |   - { id: code, phase: implementation, role: r, needs: [look], gives: { plan: text } }
      |                                                                         ^
    ");
}

#[test]
fn two_givers_of_different_types() {
    let text = r"
  - { id: look, phase: research, role: r, gives: { found: findings, size: number, plan: text } }
  - { id: code, phase: implementation, role: r, needs: [look], gives: { found: list } }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:5:80: `found` is findings where `look` gives it, not list
    5 |   - { id: code, phase: implementation, role: r, needs: [look], gives: { found: list } }
      |                                                                                ^
    ");
}

#[test]
fn fan_out_over_text() {
    let text = r"
  - { id: look, phase: research, role: r, gives: { found: findings, size: number, plan: text } }
  - { id: more, phase: research, role: r, needs: [look], each: { from: look, carry: plan } }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:5:85: `plan` is text; `each` needs a list or findings
    5 |   - { id: more, phase: research, role: r, needs: [look], each: { from: look, carry: plan } }
      |                                                                                     ^
    ");
}

#[test]
fn fan_out_over_an_unknown_carry() {
    let text = r"
  - { id: look, phase: research, role: r, gives: { found: findings, size: number, plan: text } }
  - { id: more, phase: research, role: r, needs: [look], each: { from: look, carry: fuond } }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:5:85: no node before this one gives `fuond`; did you mean `found`?
    5 |   - { id: more, phase: research, role: r, needs: [look], each: { from: look, carry: fuond } }
      |                                                                                     ^
    ");
}

#[test]
fn fan_out_over_an_unknown_node() {
    let text = r"
  - { id: look, phase: research, role: r, gives: { found: findings, size: number, plan: text } }
  - { id: more, phase: research, role: r, needs: [look], each: { from: lok, carry: found } }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:5:72: there is no node `lok`; did you mean `look`?
    5 |   - { id: more, phase: research, role: r, needs: [look], each: { from: lok, carry: found } }
      |                                                                        ^
    ");
}

#[test]
fn fan_out_over_a_later_node() {
    let text = r"
  - { id: more, phase: research, role: r, each: { from: look, carry: found } }
  - { id: look, phase: research, role: r, gives: { found: findings, size: number, plan: text } }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:57: `look` does not come before `more`
    4 |   - { id: more, phase: research, role: r, each: { from: look, carry: found } }
      |                                                         ^
    ");
}

#[test]
fn condition_on_an_unknown_carry() {
    let text = r"
  - { id: look, phase: research, role: r, gives: { found: findings, size: number, plan: text } }
  - { id: more, phase: research, role: r, needs: [look], when: { carry: pln, exists: true } }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:5:73: no node before this one gives `pln`; did you mean `plan`?
    5 |   - { id: more, phase: research, role: r, needs: [look], when: { carry: pln, exists: true } }
      |                                                                         ^
    ");
}

#[test]
fn condition_that_never_holds() {
    let text = r"
  - { id: look, phase: research, role: r, gives: { found: findings, size: number, plan: text } }
  - { id: more, phase: research, role: r, needs: [look], when: { carry: size, equals: big } }
";
    insta::assert_snapshot!(problems(text), @r#"
    w.yaml:5:87: `size` is number and never equals `"big"`
    5 |   - { id: more, phase: research, role: r, needs: [look], when: { carry: size, equals: big } }
      |                                                                                       ^
    "#);
}

#[test]
fn size_of_a_text() {
    let text = r"
  - { id: look, phase: research, role: r, gives: { found: findings, size: number, plan: text } }
  - { id: more, phase: research, role: r, needs: [look], when: { carry: plan, at_least: 3 } }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:5:89: `plan` is text; `at_least` is for numbers and lists
    5 |   - { id: more, phase: research, role: r, needs: [look], when: { carry: plan, at_least: 3 } }
      |                                                                                         ^
    ");
}

#[test]
fn failure_edge_to_nowhere() {
    let text = r"
  - { id: code, phase: implementation, role: solo }
  - { id: c, phase: verification, work: checks, needs: [code], on_failure: { to: coed, max: 1 } }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:5:82: there is no node `coed`; did you mean `code`?
    5 |   - { id: c, phase: verification, work: checks, needs: [code], on_failure: { to: coed, max: 1 } }
      |                                                                                  ^
    ");
}

#[test]
fn failure_edge_forward() {
    let text = r"
  - { id: look, phase: research, role: r, gives: { found: findings, size: number, plan: text } }
  - { id: code, phase: implementation, role: r, needs: [look], on_failure: { to: c, max: 1 } }
  - { id: c, phase: verification, work: checks, needs: [code] }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:5:82: `on_failure` leads back, and `c` does not come before `code`
    5 |   - { id: code, phase: implementation, role: r, needs: [look], on_failure: { to: c, max: 1 } }
      |                                                                                  ^
    ");
}

#[test]
fn failure_edge_to_itself() {
    let text = r"
  - { id: code, phase: implementation, role: r, on_failure: { to: code, max: 1 } }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:67: `on_failure` leads back, and `code` does not come before `code`
    4 |   - { id: code, phase: implementation, role: r, on_failure: { to: code, max: 1 } }
      |                                                                   ^
    ");
}

#[test]
fn nothing_to_verify() {
    let text = r"
  - { id: look, phase: research, role: r, gives: { found: findings, size: number, plan: text } }
  - { id: c, phase: verification, work: checks, needs: [look] }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:5:21: `c` has nothing to verify: it needs no implementation node
    5 |   - { id: c, phase: verification, work: checks, needs: [look] }
      |                     ^
    ");
}

#[test]
fn two_writers_at_once() {
    let text = r"
  - { id: code, phase: implementation, role: solo }
  - { id: docs, phase: implementation, role: solo }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:5:11: `code` and `docs` could write at once; let one of them need the other
    5 |   - { id: docs, phase: implementation, role: solo }
      |           ^
    ");
}

#[test]
fn work_that_nobody_uses() {
    let text = r"
  - { id: look, phase: research, role: r, gives: { found: findings, size: number, plan: text } }
  - { id: code, phase: implementation, role: solo }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:4:11: nothing needs `look`, so its work would be lost
    4 |   - { id: look, phase: research, role: r, gives: { found: findings, size: number, plan: text } }
      |           ^
    ");
}

#[test]
fn fork_of_two() {
    let text = r"
  - { id: look, phase: research, role: r, gives: { found: findings, size: number, plan: text } }
  - { id: seek, phase: research, role: r, gives: { found: findings } }
  - { id: f, phase: research, role: r, kind: fork, needs: [look, seek] }
";
    insta::assert_snapshot!(problems(text), @r"
    w.yaml:6:46: a fork needs exactly one node: the agent (without `each`) it forks from
    6 |   - { id: f, phase: research, role: r, kind: fork, needs: [look, seek] }
      |                                              ^
    ");
}

#[test]
fn writers_of_parts() {
    let text = r"
  - { id: plan, phase: synthesis, role: r, gives: { parts: parts, names: list } }
  - { id: a, phase: implementation, role: r, needs: [plan], each: { from: plan, carry: names } }
  - { id: b, phase: implementation, role: r, needs: [a], each: { from: plan, carry: parts } }
  - { id: c, phase: implementation, role: r, needs: [plan] }
  - { id: d, phase: verification, work: checks, needs: [b, c], on_failure: { to: b, max: 1 } }
";
    insta::assert_snapshot!(problems(text), @"
    w.yaml:5:88: `names` is list; `each` of a writer needs parts, one for each
    5 |   - { id: a, phase: implementation, role: r, needs: [plan], each: { from: plan, carry: names } }
      |                                                                                        ^
    w.yaml:7:11: `a` and `c` could write at once; let one of them need the other
    7 |   - { id: c, phase: implementation, role: r, needs: [plan] }
      |           ^
    w.yaml:7:11: `b` and `c` could write at once; let one of them need the other
    7 |   - { id: c, phase: implementation, role: r, needs: [plan] }
      |           ^
    w.yaml:8:82: `b` has many writers: let one writer after it mend what they made
    8 |   - { id: d, phase: verification, work: checks, needs: [b, c], on_failure: { to: b, max: 1 } }
      |                                                                                  ^
    ");
}
