//! A repository's own settings, workflows and prompts count only as long as the user trusts them.

use serde_json::Value;

use crate::{
    env::Env,
    server::{Server, finish, landed, mend, object, world},
};

/// The shipped plain loop under the name of the default workflow.
const OWN_WORKFLOW: &str = "name: resolve\nversion: 1\nnodes:\n  - id: mine\n    phase: implementation\n    role: solo\n    kind: worktree\n  - id: checks\n    phase: verification\n    work: checks\n    needs: [mine]\n";

fn repository() -> Env {
    let env = world();
    env.write(".grafter/config.toml", "[run]\nverify = ['grep -q right value.txt']\n");
    env.write(".grafter/workflows/resolve.yaml", OWN_WORKFLOW);
    let role = "---\nid: role.solo\ncache: static\nwhen: { role: [solo] }\nmax_tokens: 100\n---\n# Role: the tame one\n";
    env.write(".grafter/prompts/roles/solo.md", role);
    env.commit("own settings");
    env
}

/// Returns how many checks, nodes and own prompts take effect.
fn effect(env: &Env) -> (String, bool, bool) {
    let list = env.grafter(["workflow", "ls"]).ok();
    let own = list.stdout.contains(".grafter/workflows/resolve.yaml");
    let prompt = env.grafter(["prompt", "show", "--role", "solo"]).ok().stdout;
    (list.stderr, own, prompt.contains("the tame one"))
}

#[test]
fn nothing_of_a_repository_counts_before_it_is_trusted_and_after_it_changed() {
    let env = repository();
    let (said, workflow, prompt) = effect(&env);
    insta::assert_snapshot!(said, @"warning: this repository's .grafter folder is not trusted and has no effect; look at it, then run `grafter trust`");
    assert!(!workflow && !prompt);
    let doctor = env.grafter(["doctor"]).ok().stdout;
    assert!(doctor.contains(".grafter   not trusted, no effect"), "{doctor}");

    env.grafter(["trust"]).ok();
    assert_eq!(effect(&env), (String::new(), true, true));

    env.write(".grafter/config.toml", "[run]\nverify = ['true']\n");
    let (said, workflow, prompt) = effect(&env);
    insta::assert_snapshot!(said, @"warning: this repository's .grafter folder has changed since it was trusted and has no effect; look at it, then run `grafter trust`");
    assert!(!workflow && !prompt);

    env.grafter(["trust"]).ok();
    env.grafter(["trust", "--revoke"]).ok();
    assert!(effect(&env).0.contains("is not trusted"));
}

#[test]
fn a_run_uses_the_repositorys_workflow_and_checks_only_when_trusted() {
    let env = repository();
    let server = Server::new([finish()]);
    let model = server.model();
    let run = || ["run", "x", "--model", &model, "--output", "json", "--max-turns", "1"];
    let nodes = |end: &Value| {
        let nodes = end["nodes"].as_array().expect("nodes").iter();
        nodes.map(|node| node["node"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    let end = object(env.grafter(run()), 4);
    assert!(nodes(&end).iter().all(|node| *node == "orient"), "{end}");
    assert_eq!(end["checks"], serde_json::json!([]), "its checks do not count");
    let note = end["notes"][0]["text"].as_str().expect("a note");
    assert!(note.contains("is not trusted and has no effect"), "{note}");

    env.grafter(["trust"]).ok();
    server.answers([mend(), finish()]);
    let end = object(env.grafter(["run", "x", "--model", &model, "--output", "json"]), 0);
    assert_eq!(nodes(&end), ["mine", "checks"]);
    assert_eq!(end["checks"][0]["command"], "grep -q right value.txt");
    let note = env.clean(end["notes"][0]["text"].as_str().expect("a note"));
    assert_eq!(note, "the workflow `resolve` is <root>/repo/.grafter/workflows/resolve.yaml");
    assert_eq!(landed(&env, "value.txt"), "right");
    assert!(server.received().last().expect("a request").body.contains("the tame one"));
}

#[test]
fn what_no_repository_may_set_is_refused_with_file_and_line() {
    let env = world();
    let refused = |text: &str| {
        env.write(".grafter/config.toml", text);
        env.clean(&env.grafter(["trust"]).code(2).stderr)
    };
    insta::assert_snapshot!(refused("[run]\nworkflow = 'solo'\nmode = 'bypass'\n"), @"
    error: <root>/repo/.grafter/config.toml:3:1: a repository may not set `run.mode`; put it into your own config.toml
    3 | mode = 'bypass'
      | ^
    ");
    insta::assert_snapshot!(refused("[providers.custom.x]\nprotocol = 'chat'\nbase_url = 'http://evil'\n"), @"
    error: <root>/repo/.grafter/config.toml:1:12: a repository may not set `providers.custom`; put it into your own config.toml
    1 | [providers.custom.x]
      |            ^
    ");
    for key in ["model = 'x'", "max_cost = '99'", "max_turns = 9", "allow_unverified = true"] {
        let said = refused(&format!("[run]\n{key}\n"));
        assert!(said.contains("config.toml:2:1: a repository may not set"), "{said}");
    }
    assert!(refused("[rum]\nmode = 'x'\n").contains("did you mean `run`?"));
}

/// Only that there was no such workflow was said, which its author could not understand.
#[test]
fn a_workflow_that_is_missing_for_want_of_trust_says_so() {
    let env = repository();
    env.write(".grafter/workflows/mine.yaml", OWN_WORKFLOW.replace("resolve", "mine"));
    let run = env.grafter(["run", "x", "--workflow", "mine"]).script("entries: []\n");
    let said = run.code(2).stderr;
    assert!(said.contains("no workflow `mine`") && said.contains("is not trusted"), "{said}");
}
