//! Reports: what a run or a batch came to, on one page that loads nothing.

use std::fs;

use serde_json::Value;

use crate::{
    env::Env,
    solo::{newest, solo, writes},
};

fn page(env: &Env, name: &str) -> String {
    let file = env.root().join("report.html");
    let path = file.display().to_string();
    env.grafter(["report", name, "--html", &path]).ok();
    fs::read_to_string(file).expect("a page")
}

/// Nothing of a page is fetched from anywhere, and no text became markup.
fn is_alone(page: &str) {
    for mark in ["<script", "http://", "https://", "src=", "@import", "<link", "<img", "url("] {
        assert!(!page.contains(mark), "{mark} in\n{page}");
    }
    assert_eq!(page.matches("<table>").count(), page.matches("</table>").count());
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
}

#[test]
fn a_run_is_reported_whole_and_its_texts_stay_texts() {
    let env = Env::new();
    env.write("a.txt", "one\n");
    env.commit("start");
    let hostile = "<script>alert(1)</script>\n<b>bold</b>\n";
    let script = writes("b.txt", hostile);
    solo(&env, &script, &["test -f b.txt"], &[]).ok();
    let run = newest(&env);
    let page = page(&env, &run);
    is_alone(&page);
    for word in
        ["landed (fixed)", "Time line", "solve@1", "test -f b.txt", "&lt;script&gt;", "b.txt"]
    {
        assert!(page.contains(word), "no {word} in\n{page}");
    }
    let text = env.grafter(["report"]).ok().stdout;
    assert!(text.contains("| solve | ✓ |") && text.contains("+<b>bold</b>"), "{text}");
    let json = env.grafter(["report", "--json"]).ok().stdout;
    let json: Value = serde_json::from_str(&json).expect("one object");
    assert_eq!(json["landed"], true);
    let refused = env.grafter(["report", "--html", "/no/such/folder/x"]).code(2).stderr;
    assert!(refused.contains("cannot write /no/such/folder/x"), "{refused}");
    let refused = env.grafter(["report", "9999"]).code(2).stderr;
    assert!(refused.contains("no run begins with `9999`"), "{refused}");
}

#[test]
fn a_batch_is_reported_with_what_there_is_to_review() {
    let env = Env::new();
    env.write("base.txt", "one\n");
    env.commit("start");
    for (name, files) in [("one", ["a.txt", "same.txt"]), ("two", ["b.txt", "same.txt"])] {
        env.git(["checkout", "-q", "-b", name, "main"]);
        files.iter().for_each(|file| env.write(file, "<i>x</i>\n"));
        env.commit(&format!("Add {name}"));
    }
    env.git(["checkout", "-q", "main"]);
    env.write(
        "../tasks.yaml",
        "- {id: one, branch: one}\n- {id: two, branch: two, needs: [one]}\n",
    );
    let file = env.root().join("tasks.yaml").display().to_string();
    env.grafter(["batch", &file, "--verify", "true", "--output", "json"]).ok();
    let list = env.grafter(["queue", "ls"]).ok().stdout;
    let batch = list.lines().nth(1).and_then(|line| line.split(' ').next()).expect("a batch");
    let page = page(&env, batch);
    is_alone(&page);
    for word in ["2 of 2 tasks landed", "The same files are changed by two", "&lt;i&gt;x&lt;/i&gt;"]
    {
        assert!(page.contains(word), "no {word} in\n{page}");
    }
    let text = env.grafter(["report", batch, "--markdown"]).ok().stdout;
    assert!(text.contains("| one | landed | one |"), "{text}");
}
