//! Models that fail, refuse and talk nonsense, end to end: a clear word, and nothing is lost.

use std::thread;

use serde_json::json;

use crate::{
    env::Env,
    server::{
        Answer, Closed, Server, call, calls, finish, landed, mend, object, refusal, say, solo,
        world,
    },
    solo::Story,
};

/// The answer to the second request fails for good; returns what the run says.
///
/// Then the server is mended and the run goes on, without a second word about the first turn.
fn broken_then_mended(fault: Answer) -> String {
    let env = world();
    let waits = "[providers]\nstall_seconds = 1\n";
    std::fs::create_dir_all(env.root().join("config/grafter")).expect("a new folder");
    std::fs::write(env.root().join("config/grafter/config.toml"), waits).expect("a new file");
    let before = env.fingerprint();
    let server = Server::new([mend(), fault]);
    let end = object(solo(&env, &server.model(), &["--output", "json"]), 6);
    assert_eq!((&end["turns"], &end["landed"]), (&json!(1), &json!(false)));

    let asked = server.received().len();
    server.answers([finish()]);
    let resumed = object(env.grafter(["resume", "--output", "json"]), 0);
    assert_eq!((&resumed["turns"], &resumed["paid_twice"]), (&json!(2), &json!(0)));
    let requests = server.received();
    assert_eq!(requests.len(), asked + 1, "only the failed call is made again");
    assert!(requests[asked].body == requests[1].body, "it is the same request as before");
    assert_eq!(landed(&env, "value.txt"), "right");
    assert_eq!(env.fingerprint(), before);
    end["message"].as_str().expect("words").replace(&server.url(), "URL")
}

#[test]
fn a_failing_provider_is_explained_and_the_run_goes_on_when_it_is_mended() {
    let body = || String::from("{}");
    let faults = [
        ("wrong key", refusal("401 Unauthorized", "authentication_error", "invalid x-api-key")),
        ("no credit", refusal("402 Payment Required", "billing_error", "balance is 0")),
        ("unknown model", refusal("404 Not Found", "not_found_error", "model `m` not found")),
        ("429", Answer::Status("429 Too Many Requests", "retry-after: 0\r\n", body())),
        ("429 for long", Answer::Status("429 Too Many Requests", "retry-after: 3600\r\n", body())),
        ("529", refusal("529 Overloaded", "overloaded_error", "Overloaded")),
        ("500", Answer::Status("500 Oops", "", "<html>\u{1b}[2Jboom</html>".to_owned())),
        ("nonsense", Answer::Status("200 OK", "content-type: application/json\r\n", "?".into())),
        ("cut", Answer::Cut(vec![json!({ "choices": [{ "delta": { "content": "He" } }] })])),
        ("stalled", Answer::Stalled(vec![json!({ "choices": [] })])),
    ];
    // Each waits for its retries; side by side they wait together.
    let said = thread::scope(|scope| {
        let told =
            faults.map(|(name, fault)| (name, scope.spawn(move || broken_then_mended(fault))));
        told.map(|(name, told)| format!("{name}: {}", told.join().expect("no panic")))
    });
    insta::assert_snapshot!(said.join("\n"), @r#"
    wrong key: could not go on: chat+URL#m: the key was refused: status 401: invalid x-api-key; hint: the server wants a key: set GRAFTER_API_KEY, then resume
    no credit: could not go on: chat+URL#m: the account's credit or quota is used up: status 402: balance is 0; hint: top up the provider's account, then resume; `grafter resume --model NAME` goes on with another model
    unknown model: could not go on: chat+URL#m: the server does not know this model or address: status 404: model `m` not found; hint: check the name and the address (`grafter models` lists known ones); `grafter resume --model NAME` goes on with another model
    429: could not go on: chat+URL#m: too many requests: status 429: no explanation (4 attempts); hint: wait, or run with fewer agents at once, then resume
    429 for long: could not go on: chat+URL#m: too many requests: status 429: no explanation; hint: the provider asks to wait 3600 s; resume after that
    529: could not go on: chat+URL#m: the provider is overloaded: status 529: Overloaded (4 attempts); hint: wait a little, then resume
    500: could not go on: chat+URL#m: the provider failed: status 500: <html>\u{1b}[2Jboom</html> (4 attempts); hint: wait a little, then resume
    nonsense: could not go on: chat+URL#m: the answer cannot be understood: the answer is no complete JSON: expected value at line 1 column 1; hint: check that the address speaks the chosen protocol (chat, anthropic, responses)
    cut: could not go on: chat+URL#m: the answer broke off before its end (2 attempts); hint: resume; for a slow server raise `stall_seconds` in the [providers] table of your config.toml
    stalled: could not go on: chat+URL#m: no byte came for 1 s (2 attempts); hint: resume; for a slow server raise `stall_seconds` in the [providers] table of your config.toml
    "#);
}

#[test]
fn what_a_retry_can_help_does_not_end_a_run() {
    let (env, busy) = (world(), "retry-after: 0\r\n");
    let server = Server::new([
        Answer::Status("429 Too Many Requests", busy, String::new()),
        mend(),
        Answer::Status("529 Overloaded", busy, String::new()),
        Answer::Cut(vec![json!({ "choices": [] })]),
        finish(),
    ]);
    let end = object(solo(&env, &server.model(), &["--output", "json"]), 0);
    assert_eq!((&end["turns"], server.received().len()), (&json!(2), 5));
    let notes = end["notes"].as_array().expect("notes").iter();
    let notes: Vec<_> = notes.filter_map(|note| note["text"].as_str()).collect();
    let waits = notes.iter().filter(|text| text.starts_with("a model call failed"));
    assert_eq!(waits.count(), 3, "each wait is told: {notes:?}");
    assert_eq!(landed(&env, "value.txt"), "right");
}

#[test]
fn a_server_on_this_machine_needs_no_flags_and_costs_nothing() {
    let (env, server) = (world(), Server::new([mend(), finish().whole()]));
    let before = env.fingerprint();
    let end = object(solo(&env, &server.model(), &["--output", "json"]), 0);
    assert_eq!((&end["cost"], &end["usage"]["input"]), (&json!(0), &json!(2000)));
    assert_eq!(
        (&end["scripted"], &end["end"]["landed"]["grade"]),
        (&json!(false), &json!("fixed"))
    );
    assert_eq!(env.fingerprint(), before);
}

#[test]
fn a_provider_that_is_down_is_named_and_the_run_goes_on_when_it_is_up() {
    let (env, port) = (world(), Closed::new());
    let model = port.model();
    let end = object(solo(&env, &model, &["--output", "json"]), 6);
    insta::assert_snapshot!(end["message"].as_str().expect("words").replace(&port.url(), "URL"), @"could not go on: chat+URL#m: cannot reach URL/chat/completions: Connection refused (os error 111) (4 attempts); hint: start the server or mend the network and the address, then resume");
    let server = port.open([mend(), finish()]);
    let end = object(env.grafter(["resume", "--output", "json"]), 0);
    assert_eq!((&end["turns"], server.received().len()), (&json!(2), 2));
    assert_eq!(landed(&env, "value.txt"), "right");
}

/// Returns what the model is told after a turn of nonsense; the run lands all the same.
fn told_after(nonsense: Answer) -> String {
    let (env, server) = (world(), Server::new([nonsense, mend(), finish()]));
    solo(&env, &server.model(), &[]).ok();
    assert_eq!(landed(&env, "value.txt"), "right");
    let body = server.received()[1].json();
    let messages = body["messages"].as_array().expect("messages");
    let asked = messages.iter().rposition(|message| message["role"] == "assistant");
    let answered = messages[asked.expect("an answer") + 1..].iter();
    let told = answered.map(|message| message["content"].as_str().expect("words").to_owned());
    told.collect::<Vec<_>>().join("\n")
}

#[test]
fn unknown_and_malformed_calls_are_answered_with_what_to_do() {
    let read = r#"{"path": "value.txt"}"#;
    insta::assert_snapshot!(told_after(calls(&[("reed", read)])), @"E_UNKNOWN_TOOL: there is no tool `reed`; did you mean `read`? You have: apply_patch, bash, delegate, delete, edit, finish, git, glob, grep, move, outline, read, read_many, run_tests, tree, write");
    insta::assert_snapshot!(told_after(calls(&[("read", r#"{"path": "value"#)])), @r#"E_ARGUMENTS: the arguments are no valid JSON object (`read` takes required: path; optional: offset, limit); they begin: {"path": "value"#);
    insta::assert_snapshot!(told_after(calls(&[("read", r#"{"file": "value.txt"}"#)])), @"E_ARGUMENTS: there is no field `file` (`read` takes required: path; optional: offset, limit)");
    insta::assert_snapshot!(told_after(calls(&[("read", read), ("", "][")])), @"
    1	wrong

    E_UNKNOWN_TOOL: the call names no tool. You have: apply_patch, bash, delegate, delete, edit, finish, git, glob, grep, move, outline, read, read_many, run_tests, tree, write
    ");
    insta::assert_snapshot!(told_after(say("I would read the file.")), @"Your answer called no tool, so nothing happened. Call a tool to go on, or call `finish` when you are done.");
    insta::assert_snapshot!(told_after(say("")), @"Your answer called no tool, so nothing happened. Call a tool to go on, or call `finish` when you are done.");
}

#[test]
fn an_argument_of_five_megabytes_is_refused_and_does_not_stay_in_the_conversation() {
    let (env, big) = (world(), "x".repeat(5 << 20));
    let huge = json!({ "path": "big.txt", "content": big });
    let server = Server::new([call("write", &huge), mend(), finish()]);
    solo(&env, &server.model(), &[]).ok();
    assert_eq!(landed(&env, "value.txt"), "right");
    let requests = server.received();
    insta::assert_snapshot!(requests[1].told(), @"E_ARGUMENTS: the arguments hold 5242898 bytes of text, at most 1048576 are taken; send less at once, for example write the file's start and add the rest with edit");
    assert!(requests[1].body.len() < 1 << 20, "{}", requests[1].body.len());
}

#[test]
fn a_run_with_a_wrong_model_goes_on_with_another() {
    let env = world();
    let (wrong, right) =
        (Server::new([refusal("404 Nope", "", "no such model")]), Server::new([mend(), finish()]));
    let end = object(solo(&env, &wrong.model(), &["--output", "json"]), 6);
    assert!(end["message"].as_str().expect("words").contains("grafter resume --model NAME"));
    let resume = ["resume", "--model", &right.model(), "--output", "json"];
    let end = object(env.grafter(resume), 0);
    assert_eq!((&end["model"], &end["resumed"]), (&json!(right.model()), &json!(1)));
    assert_eq!(landed(&env, "value.txt"), "right");
}

/// The refusal of a request that is longer than the server's window.
fn too_long() -> Answer {
    let error = json!({ "error": {
        "code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 9021, "n_ctx": 8192,
        "message": "request (9021 tokens) exceeds the available context size (8192 tokens)",
    } });
    let json = "content-type: application/json\r\n";
    Answer::Status("400 Bad Request", json, error.to_string())
}

#[test]
fn a_conversation_that_is_too_long_is_shortened_and_goes_on() {
    let env = world();
    env.write("long.txt", "a line of some length\n".repeat(400));
    env.commit("long");
    let look = || call("read", &json!({ "path": "long.txt" }));
    let server = Server::new([look(), mend(), too_long(), finish()]);
    object(solo(&env, &server.model(), &["--output", "json"]), 0);
    assert_eq!(landed(&env, "value.txt"), "right");
    let requests = server.received();
    let [before, after] = [&requests[2].body, &requests[3].body];
    assert!(before.contains("a line of some length") && !after.contains("a line of some length"));
    assert!(after.contains("[old result left out to save room"), "and it says so");
}

#[test]
fn a_conversation_that_cannot_be_shortened_is_explained() {
    let (env, server) = (world(), Server::new([too_long()]));
    let end = object(solo(&env, &server.model(), &["--output", "json"]), 6);
    let message = end["message"].as_str().expect("words").replace(&server.url(), "URL");
    insta::assert_snapshot!(message, @"could not go on: chat+URL#m: the conversation is too long for the model: status 400: request (9021 tokens) exceeds the available context size (8192 tokens); hint: resume with a model that has a larger window, or state the true window: `?window=N` after an address, or a row in [[providers.models]]");
    server.answers([mend(), finish()]);
    object(env.grafter(["resume", "--output", "json"]), 0);
    assert_eq!(landed(&env, "value.txt"), "right");
}

#[test]
fn a_changed_script_behind_the_same_name_replayed_the_old_result() {
    let env = world();
    let file = env.root().join("same.yaml");
    let model = format!("scripted:{}", file.display());
    for note in ["first", "second"] {
        let story = Story::new().call("read", json!({ "path": "value.txt" }));
        let story = story.write("value.txt", "right\n").write("note.txt", note);
        std::fs::write(&file, story.finish()).expect("a file of the test");
        solo(&env, &model, &[]).ok();
        assert_eq!(landed(&env, "note.txt"), note);
    }
}

#[test]
fn a_known_solution_of_many_files_was_taken_for_a_copy_of_its_own_finding() {
    let env = Env::new();
    let paths: Vec<_> = (0..40).map(|n| format!("src/file{n}.txt")).collect();
    paths.iter().for_each(|path| env.write(path, "wrong\n"));
    env.commit("start");
    paths.iter().for_each(|path| env.write(path, "right\n"));
    let patch = env.git(["diff"]) + "\n";
    env.git(["checkout", "-q", "."]);
    let file = env.root().join("gold.patch");
    std::fs::write(&file, patch).expect("a new file");
    let model = format!("gold:{}", file.display());
    let check = "! grep -rq wrong src";
    let run = ["run", "put it right", "--model", &model, "--verify", check, "--output", "json"];
    let end = object(env.grafter(run), 0);
    let nodes = end["nodes"].as_array().expect("nodes").iter();
    let synthesis = nodes.clone().find(|node| node["node"] == "synthesis").expect("a synthesis");
    assert_eq!(synthesis["turns"], 2, "nothing was sent back: {synthesis}");
}
