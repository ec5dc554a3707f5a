//! Every rule of the whole has a wrong workflow, and the message its author sees.

use crate::graph::fixture::whole_problems;

#[test]
fn no_nodes() {
    let text = r"
name: t
version: 1
nodes: []
";
    insta::assert_snapshot!(whole_problems(text), @r"
    w.yaml:3:8: a workflow needs at least one node
    3 | nodes: []
      |        ^
    ");
}

#[test]
fn odd_name() {
    let text = r"
name: Resolve It
version: 1
nodes:
  - { id: code, phase: implementation, role: solo }
";
    insta::assert_snapshot!(whole_problems(text), @r"
    w.yaml:1:7: workflow name `Resolve It` must be 1 to 40 lower-case letters, digits and inner hyphens
    1 | name: Resolve It
      |       ^
    ");
}

#[test]
fn other_version() {
    let text = r"
name: t
version: 2
nodes:
  - { id: code, phase: implementation, role: solo }
";
    insta::assert_snapshot!(whole_problems(text), @r"
    w.yaml:2:10: version 1 is the only one there is
    2 | version: 2
      |          ^
    ");
}

#[test]
fn odd_ids() {
    let text = r"
name: t
version: 1
nodes:
  - { id: 'a/../b', phase: implementation, role: r }
  - { id: -x, phase: implementation, role: r }
  - { id: raypalа, phase: implementation, role: r }
";
    insta::assert_snapshot!(whole_problems(text), @r"
    w.yaml:4:11: node id `a/../b` must be 1 to 40 lower-case letters, digits and inner hyphens
    4 |   - { id: 'a/../b', phase: implementation, role: r }
      |           ^
    w.yaml:5:11: node id `-x` must be 1 to 40 lower-case letters, digits and inner hyphens
    5 |   - { id: -x, phase: implementation, role: r }
      |           ^
    w.yaml:6:11: node id `raypalа` must be 1 to 40 lower-case letters, digits and inner hyphens
    6 |   - { id: raypalа, phase: implementation, role: r }
      |           ^
    ");
}

#[test]
fn long_id() {
    let text = r"
name: t
version: 1
nodes:
  - { id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, phase: implementation, role: r }
";
    insta::assert_snapshot!(whole_problems(text), @r"
    w.yaml:4:11: node id `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` must be 1 to 40 lower-case letters, digits and inner hyphens
    4 |   - { id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, phase: implementation, role: r }
      |           ^
    ");
}

#[test]
fn duplicate_ids() {
    let text = r"
name: t
version: 1
nodes:
  - { id: code, phase: implementation, role: solo }
  - { id: code, phase: implementation, role: solo }
";
    insta::assert_snapshot!(whole_problems(text), @r"
    w.yaml:5:11: node id `code` is already used in line 4
    5 |   - { id: code, phase: implementation, role: solo }
      |           ^
    ");
}

#[test]
fn duplicate_keys() {
    let text = r"
name: t
version: 1
name: u
nodes:
  - { id: code, phase: implementation, role: solo }
";
    insta::assert_snapshot!(whole_problems(text), @r"
    w.yaml:3:1: key `name` stands here a second time
    3 | name: u
      | ^
    ");
}

#[test]
fn limits_out_of_range() {
    let text = r"
name: t
version: 1
limits: { usd: -1, minutes: 0, turns: 0 }
nodes:
  - { id: code, phase: implementation, role: solo }
";
    insta::assert_snapshot!(whole_problems(text), @r"
    w.yaml:3:16: `usd` must be above 0 and at most 1000000
    3 | limits: { usd: -1, minutes: 0, turns: 0 }
      |                ^
    w.yaml:3:29: `minutes` must be between 1 and 100000
    3 | limits: { usd: -1, minutes: 0, turns: 0 }
      |                             ^
    w.yaml:3:39: `turns` must be at least 1
    3 | limits: { usd: -1, minutes: 0, turns: 0 }
      |                                       ^
    ");
}

#[test]
fn unknown_limit() {
    let text = r"
name: t
version: 1
limits: { dollars: 1 }
nodes:
  - { id: code, phase: implementation, role: solo }
";
    insta::assert_snapshot!(whole_problems(text), @r"
    w.yaml:3:11: unknown key `dollars` (known: usd, minutes, turns)
    3 | limits: { dollars: 1 }
      |           ^
    ");
}

#[test]
fn missing_nodes() {
    let text = r"
name: t
version: 1
";
    insta::assert_snapshot!(whole_problems(text), @r"
    w.yaml:2:1: key `nodes` is missing
    2 | version: 1
      | ^
    ");
}

#[test]
fn no_mapping() {
    let text = r"
- a
- b
";
    insta::assert_snapshot!(whole_problems(text), @r"
    w.yaml:1:1: keys with values are expected here
    1 | - a
      | ^
    ");
}
