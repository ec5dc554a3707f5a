//! Money, tokens, turns and time: nothing is spent beyond the caps, and the sums are exact.

use std::fs;

use serde_json::{Value, json};

use crate::{
    env::Env,
    server::{Answer, Server, finish, mend, object, solo, world},
};

/// A provider of the user's own on that server: 3 $ a million tokens in, 15 $ out.
fn priced(env: &Env, server: &Server) {
    let text = format!(
        "[providers.custom.mine]\nprotocol = 'chat'\nbase_url = '{}'\n\n[[providers.models]]\n\
         match = ['sized']\nprovider = 'mine'\nwindow = 100000\nmax_output = 1000\n\
         price = {{ input = 3000000, cache_write = 3000000, cache_read = 300000, output = 15000000 }}\n",
        server.url()
    );
    config(env, &text);
}

fn config(env: &Env, text: &str) {
    fs::create_dir_all(env.root().join("config/grafter")).expect("a new folder");
    fs::write(env.root().join("config/grafter/config.toml"), text).expect("a new file");
}

#[test]
fn a_cap_on_money_refuses_a_model_without_a_price_before_anything_is_spent() {
    let (env, server) = (world(), Server::new([mend(), finish()]));
    // A name that resolves to this machine is still somebody else's server to grafter.
    let config_text = format!(
        "[providers.custom.far]\nprotocol = 'chat'\nbase_url = '{}'\n",
        server.url().replace("127.0.0.1", "localhost.localdomain")
    );
    config(&env, &config_text);
    let refused = solo(&env, "far/unheard-of", &["--max-cost", "1"]).code(3);
    insta::assert_snapshot!(refused.stderr, @"
    error: no price is known for model `far/unheard-of`, so a money cap cannot be kept
      hint: state its price in a row of [[providers.models]] in your config.toml, or say --max-cost none
    ");
    assert_eq!((server.received().len(), refused.stdout.as_str()), (0, ""));
    let status = env.grafter(["status"]).ok().stdout;
    assert!(status.starts_with("no runs yet"), "{status}");
}

#[test]
fn usage_and_cost_are_exact() {
    let (env, server) = (world(), Server::new([mend(), finish()]));
    priced(&env, &server);
    let end = object(solo(&env, "mine/sized", &["--output", "json"]), 0);
    // Two calls of 1000 tokens in and 20 out.
    assert_eq!(
        end["usage"],
        json!({ "input": 2000, "cache_write": 0, "cache_read": 0, "output": 40 })
    );
    assert_eq!(end["cost"], json!(2 * (1000 * 3 + 20 * 15)));
    let solve = end["nodes"].as_array().expect("nodes").iter().find(|node| node["node"] == "solve");
    assert_eq!(solve.map(|node| &node["cost"]), Some(&json!(6600)));
    let run = end["run"].as_str().expect("a name");
    let text = env.grafter(["status", run]).ok().stdout;
    assert!(text.contains("2 turns · 2.0k tokens · $0.0066"), "{text}");
    let told: Value = serde_json::from_str(&env.grafter(["status", run, "--json"]).ok().stdout)
        .expect("one object");
    assert_eq!(told["cost"], end["cost"]);
}

#[test]
fn a_budget_is_reserved_before_it_is_spent_and_a_resume_may_raise_it() {
    let (env, server) = (world(), Server::new([mend(), finish()]));
    priced(&env, &server);
    // The answer alone may cost 0.015 $.
    let end = object(solo(&env, "mine/sized", &["--max-cost", "0.001", "--output", "json"]), 4);
    assert_eq!((server.received().len(), &end["cost"]), (0, &json!(0)));
    let message = end["message"].as_str().expect("words");
    assert!(message.contains("only $0.0010 of $0.0010 are left (--max-cost)"), "{message}");
    let end = object(env.grafter(["resume", "--max-cost", "1", "--output", "json"]), 0);
    assert_eq!(end["cost"], json!(6600));
}

#[test]
fn an_answer_that_broke_off_was_asked_for_again_beyond_the_cap() {
    let cut = Answer::Cut(vec![json!({ "choices": [{ "delta": { "content": "He" } }] })]);
    let (env, server) = (world(), Server::new([cut, mend(), finish()]));
    priced(&env, &server);
    // Room for one call, but not for a second one beside what the first may have cost.
    let end = object(solo(&env, "mine/sized", &["--max-cost", "0.05", "--output", "json"]), 4);
    assert_eq!(server.received().len(), 1);
    let message = end["message"].as_str().expect("words");
    assert!(message.contains("may have gone to calls that never answered"), "{message}");
    object(env.grafter(["resume", "--max-cost", "1", "--output", "json"]), 0);
    assert_eq!(server.received().len(), 3);
}

#[test]
fn turns_and_tokens_have_caps_of_their_own() {
    for cap in [["--max-turns", "1"], ["--max-tokens", "3000"]] {
        let (env, server) = (world(), Server::new([mend(), finish()]));
        priced(&env, &server);
        let more = [cap[0], cap[1], "--output", "json"];
        let end = object(solo(&env, "mine/sized", &more), 4);
        let message = end["message"].as_str().expect("words");
        assert!(message.contains(cap[0]), "{message}");
        assert!(server.received().len() < 2, "{cap:?}");
        let end = object(env.grafter(["resume", cap[0], "100000", "--output", "json"]), 0);
        assert_eq!((&end["turns"], server.received().len()), (&json!(2), 2));
    }
}

#[test]
fn amounts_that_are_none_are_refused() {
    let env = world();
    let refused = |cap: &[&str]| {
        let said = solo(&env, "ollama/m", cap).code(2);
        let resumed = env.grafter(["resume"].iter().chain(cap)).code(2);
        assert_eq!(said.stderr, resumed.stderr);
        said.stderr
    };
    insta::assert_snapshot!(refused(&["--max-cost", "-3"]), @"
    error: --max-cost cannot be `-3`
      cause: it is negative
      hint: give dollars such as 1.50, or none for no cap
    ");
    insta::assert_snapshot!(refused(&["--max-cost", "much"]), @"
    error: --max-cost cannot be `much`
      cause: it is no amount of money
      hint: give dollars such as 1.50, or none for no cap
    ");
    insta::assert_snapshot!(refused(&["--max-turns", "99999999999"]), @"
    error: --max-turns cannot be `99999999999`
      cause: it is too large
      hint: give a whole number, such as 60
    ");
    for (cap, value, cause) in [
        ("--max-cost", "-0.5", "it is negative"),
        ("--max-cost", "1e9", "it is no amount of money"),
        ("--max-cost", "", "it is no amount of money"),
        ("--max-cost", "99999999999999999999", "it is no amount of money"),
        ("--max-tokens", "-1", "it is negative"),
        ("--max-tokens", "1.5", "it is no whole number"),
        ("--max-turns", "-250", "it is negative"),
        ("--max-turns", "many", "it is no whole number"),
        ("--timeout", "-60", "it is negative"),
        ("--timeout", "1h", "it is no whole number"),
        ("--timeout", "99999999999999999999", "it is too large"),
    ] {
        let said = refused(&[cap, value]);
        let told = format!("error: {cap} cannot be `{value}`\n  cause: {cause}\n  hint: give ");
        assert!(said.starts_with(&told), "{cap} {value}: {said}");
    }
    let said = solo(&env, "ollama/m", &["--check-timeout", "0"]).code(2).stderr;
    assert!(said.contains("--check-timeout cannot be `0`"), "{said}");
    let said = solo(&env, "ollama/m", &["--max-cost", "-3", "--output", "json"]).code(2);
    let object: Value = serde_json::from_str(&said.stdout).expect("an object");
    assert_eq!(object["cause"], "it is negative");
}
