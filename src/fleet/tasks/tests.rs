//! What a backlog may look like, and what is said of a wrong one.

use super::*;

fn wrong(text: &str) -> String {
    let form = Form::of("tasks", text);
    read("tasks", text, form).expect_err("it is wrong").to_string()
}

#[test]
fn all_forms_hold_the_same() {
    let yaml = "- id: a\n  title: Fix a\n  body: It is wrong.\n  verify: make a\n\
                - id: b\n  title: Fix b\n  needs: [a]\n  budget: 0.5\n";
    let table = format!("# a backlog\ntasks:\n{yaml}");
    let lines = "{\"id\":\"a\",\"title\":\"Fix a\",\"body\":\"It is wrong.\",\"verify\":[\"make a\"]}\n\
                 {\"id\":\"b\",\"title\":\"Fix b\",\"needs\":[\"a\"],\"budget\":0.5}\n";
    let files = [
        ("a.md".to_owned(), "---\nverify: make a\n---\n# Fix a\n\nIt is wrong.\n".to_owned()),
        ("b.md".to_owned(), "---\nneeds: a\nbudget: 0.5\n---\n# Fix b\n".to_owned()),
    ];
    let tasks = read("t.yaml", yaml, Form::Yaml).expect("a list");
    assert_eq!(tasks[0].text(), "Fix a\n\nIt is wrong.");
    assert_eq!(tasks[1].budget, Some(Micros(500_000)));
    assert_eq!(read("t.yaml", &table, Form::of("t.yaml", &table)).expect("a table"), tasks);
    assert_eq!(read("-", lines, Form::of("-", lines)).expect("lines"), tasks);
    assert_eq!(read_markdown("folder", &files).expect("files"), tasks);
}

#[test]
fn what_is_wrong_is_said_with_its_task() {
    let said = [
        wrong("[]"),
        wrong("- id: a\n  title: x\n- id: a\n  title: y\n"),
        wrong("- id: a\n  title: x\n  needs: [b]\n- id: bb\n  title: y\n  needs: [bb]\n"),
        wrong(
            "- {id: a, title: x, needs: [b]}\n- {id: b, title: x, needs: [c]}\n\
             - {id: c, title: x, needs: [b]}\n",
        ),
        wrong("- id: -x y\n  scope: [../a]\n  verify: ['']\n  budget: -1\n"),
        wrong("- id: a\n  titel: x\n"),
        wrong("tasks:\n- id: a\n  titel: x\n"),
        wrong("7"),
        wrong("{\"id\":\"a\",\"title\":\"x\"}\n{\"id\":\n"),
    ];
    insta::assert_snapshot!(said.join("\n"), @"
    tasks: there is no task in it
    tasks: the id `a` is used twice
    tasks: task `a` needs `b`, which is no task; did you mean `a`?
    tasks: tasks need each other in a ring: b → c → b
    tasks: task 1 (`-x y`): its id must be 1 to 64 letters, digits, `-`, `_` and `.`
      task 1 (`-x y`): neither `title` nor `body` says what is to be done
      task 1 (`-x y`): a command of `verify` is empty
      task 1 (`-x y`): `../a` in `scope` is no glob relative to the repository's root
      task 1 (`-x y`): its budget cannot be -1
    tasks:2:3: unknown key `titel`; did you mean `title`? (known: id, title, body, scope, needs, verify, repo, branch, model, workflow, budget)
    2 |   titel: x
      |   ^
    tasks:3:3: unknown key `titel`; did you mean `title`? (known: id, title, body, scope, needs, verify, repo, branch, model, workflow, budget)
    3 |   titel: x
      |   ^
    tasks:1:1: keys with values are expected here
    1 | 7
      | ^
    tasks: line 2: EOF while parsing a value at line 1 column 6
    ");
}

#[test]
fn tasks_of_other_repositories_are_left_out_unless_one_needs_them() {
    let text = "- {id: a, title: x}\n- {id: b, title: x, repo: o/here, needs: [a]}\n\
                - {id: c, title: x, repo: o/there}\n";
    let all = read("t", text, Form::Yaml).expect("a list");
    let here = |named: &str| names_place(named, "git@example.org:o/here.git");
    let (ours, others) = of_repo("t", all.clone(), &here).expect("they are apart");
    let ids: Vec<_> = ours.iter().map(|task| task.id.as_str()).collect();
    assert_eq!((ids, others), (vec!["a", "b"], 1));
    let needs = "- {id: a, title: x, needs: [c]}\n- {id: c, title: x, repo: o/there}\n";
    let all = read("t", needs, Form::Yaml).expect("a list");
    let said = of_repo("t", all, &here).expect_err("it cannot be").to_string();
    assert_eq!(said, "t: task `a` needs `c`, which is for another repository");
}

#[test]
fn a_repository_is_named_by_its_place_or_the_end_of_it() {
    let place = "ssh://git@example.org/o/here.git";
    let names = ["o/here", "here", "https://example.org/o/here", "git@example.org:o/here.git"];
    assert!(names.iter().all(|name| names_place(name, place)));
    let others = ["", "ere", "o/there", "p/here", "https://example.com/o/here", "/"];
    assert!(!others.iter().any(|name| names_place(name, place)));
}

#[test]
fn ten_thousand_tasks_in_a_row_are_read() {
    let line = |n: usize| match n {
        0 => "{\"id\":\"t0\",\"title\":\"x\"}\n".to_owned(),
        _ => format!("{{\"id\":\"t{n}\",\"title\":\"x\",\"needs\":[\"t0\"]}}\n"),
    };
    let text: String = (0..10_000).map(line).collect();
    assert_eq!(read("t.jsonl", &text, Form::Lines).expect("all right").len(), 10_000);
}

#[test]
fn a_long_chain_is_no_ring() {
    let mut tasks: Vec<_> = (0..500)
        .map(|n| BatchTask {
            id: format!("t{n}"),
            needs: vec![format!("t{}", n + 1)],
            ..BatchTask::default()
        })
        .collect();
    tasks.push(BatchTask { id: "t500".to_owned(), ..BatchTask::default() });
    assert_eq!(ring(&tasks), None);
    tasks[500].needs = vec!["t499".to_owned()];
    assert_eq!(ring(&tasks), Some(vec!["t499".into(), "t500".into(), "t499".into()]));
}
