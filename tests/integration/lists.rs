//! What can be looked at without a run: workflows, tools, models, settings to start from.

use crate::env::Env;

fn world() -> Env {
    let env = Env::new();
    env.write("Cargo.toml", "[package]\nname = \"x\"\nversion = \"0.1.0\"\n");
    env.commit("start");
    env
}

#[test]
fn shipped_workflows_are_listed_checked_and_drawn() {
    let env = world();
    insta::assert_snapshot!(env.grafter(["workflow", "ls"]).ok().stdout, @"
    coordinator      shipped/coordinator.yaml
    refactor         shipped/refactor.yaml
    repair           shipped/repair.yaml
    resolve          shipped/resolve.yaml
    review           shipped/review.yaml
    small            shipped/small.yaml
    solo             shipped/solo.yaml
    ");
    for name in ["coordinator", "resolve", "small", "solo"] {
        let said = env.grafter(["workflow", "check", name]).ok().stdout;
        assert!(said.ends_with("nodes, valid\n"), "{said}");
    }
    let show = |name: &str, format: &str| {
        env.grafter(["workflow", "show", name, "--format", format]).ok().stdout
    };
    insta::assert_snapshot!(show("resolve", "text"), @"
    resolve (version 1): at most $3.0000, 60 min, 250 turns
      orient (optional)       research        researcher
      research x3 (optional)  research        researcher, fork  after orient
      synthesis               synthesis       coordinator       after orient, research
      implement               implementation  implementer       after synthesis
      checks                  verification    checks            after implement; on failure to implement (3x)
      inspect                 verification    reviewer          after implement; on failure to implement (2x)
      review x2               verification    reviewer, fork    after inspect; on failure to implement (2x)
    ");
    insta::assert_snapshot!(show("solo", "dot"), @r#"
    digraph "solo" {
      rankdir=LR;
      node [shape=box];
      "solve" [label="solve\nsolo"];
      "checks" [label="checks\nchecks"];
      "solve" -> "checks";
      "checks" -> "solve" [style=dashed, label="on failure, 3x"];
    }
    "#);
    insta::assert_snapshot!(show("solo", "mermaid"), @r#"
    flowchart LR
      n_solve["solve<br/>solo"]
      n_checks["checks<br/>checks"]
      n_solve --> n_checks
      n_checks -. "on failure, 3x" .-> n_solve
    "#);
}

#[test]
fn a_workflow_with_a_wrong_tool_or_role_is_refused() {
    let env = world();
    let flow = |role: &str, tool: &str| {
        let text = format!(
            "name: mine\nversion: 1\nnodes:\n  - id: solve\n    phase: implementation\n    \
             role: {role}\n    kind: worktree\n    tools: [read, {tool}]\n"
        );
        env.write("mine.yaml", text);
        let said = env.grafter(["workflow", "check", "mine.yaml"]).code(2).stderr;
        let words = ["run", "x", "--model", "ollama/m", "-w", "./mine.yaml"];
        let run = env.grafter(words).code(2).stderr;
        assert_eq!(run.replace("./mine", "mine"), said, "a run says the same at its start");
        said
    };
    insta::assert_snapshot!(flow("solo", "wirte"), @"
    error: mine.yaml:8:19: there is no tool `wirte`; did you mean `write`?
    8 |     tools: [read, wirte]
      |                   ^
    ");
    insta::assert_snapshot!(flow("implementor", "write"), @"
    error: mine.yaml: node `solve` has the role `implementor`, for which there is no prompt; did you mean `implementer`? (known: coordinator, critic, delegate, editor, implementer, joiner, lead, part, planner, researcher, reviewer, solo)
      hint: write roles/implementor.md into the prompts folder of your configuration or of a trusted .grafter
    ");
}

#[test]
fn tools_and_models_are_tables() {
    let env = world();
    insta::assert_snapshot!(env.grafter(["tools"]).ok().stdout, @"
    TOOL            CLASS    RISK    PHASES                                          WHAT IT DOES
    apply_patch     write    medium  implementation                                  Apply a unified diff to one or more files, all or nothing.
    bash            exec     medium  implementation verification                     Run a command with bash in the sandbox, without network.
    delegate        control  low     research synthesis implementation               Have a read-only helper with its own context find something out, and get its answer.
    delete          write    medium  implementation                                  Delete a file.
    edit            write    medium  implementation                                  Replace a piece of a file you have read.
    finish          control  low     research synthesis implementation verification  End your work and hand in the result.
    git             read     low     research synthesis implementation verification  Look at history and changes.
    glob            read     low     research synthesis implementation verification  List files whose path matches, such as **/*.py or src/**/test_*.rs.
    grep            read     low     research synthesis implementation verification  Search file contents with a regular expression (Rust syntax), line by line.
    merge_enqueue   control  low     synthesis                                       Put a worktree agent's commit up for landing: the checks run on it, merged with the target, and you hear what they say.
    move            write    medium  implementation                                  Rename a file.
    outline         read     low     research synthesis implementation verification  List the definitions of a source file with their lines (Python, Rust, JS, TS, Go).
    plan_select     control  low     synthesis                                       Have a whole workflow work on the task, by its name; wait for its nodes by theirs.
    read            read     low     research synthesis implementation verification  Read a text file as `number<tab>line`.
    read_finding    control  low     synthesis                                       Read a finding whole, by its id.
    read_many       read     low     research synthesis implementation verification  Read up to 20 small files at once.
    receive         control  low     research synthesis implementation verification  Wait until somebody writes to you; you see the message right after this call.
    report_finding  control  low     research verification                           Report one claim with the lines that show it.
    run_tests       exec     medium  implementation verification                     Run the repository's checks, all or one by number from 1.
    send            control  low     research synthesis implementation verification  Write to another agent of this run, by its name; it reads that before its next step.
    spawn           control  low     synthesis                                       Ask for another agent; it begins at once, beside you.
    tasks           control  low     research synthesis implementation verification  The task list that all agents of this run share: list; add (text); claim (id, or the first open one) before you work on it, so that nobody else does; done (id, text: what came of it); drop (id) gives it back.
    tree            read     low     research synthesis implementation verification  Show folders and files, ignored ones left out.
    wait            control  low     synthesis                                       Wait until these agents have ended, and hear what they say.
    write           write    medium  implementation                                  Write a whole file.
    ");
    let tools = env.grafter(["tools", "--json", "--risk", "high"]).ok().stdout;
    let tools: serde_json::Value = serde_json::from_str(&tools).expect("JSON");
    assert_eq!(tools, serde_json::json!([]), "a command's risk is judged with its text");
    insta::assert_snapshot!(env.grafter(["tools", "--risk", "huge"]).code(2).stderr, @"
    error: invalid value 'huge' for '--risk <RISK>'
      [possible values: low, medium, high]

    For more information, try '--help'.
    ");
    let models = env.grafter(["models"]).env("OPENAI_API_KEY", "k").ok().stdout;
    let providers: Vec<_> = models.lines().take_while(|line| !line.is_empty()).collect();
    insta::assert_snapshot!(providers.join("\n"), @"
    PROVIDER    PROTOCOL   KEY                            ADDRESS
    anthropic   anthropic  ANTHROPIC_API_KEY is not set   https://api.anthropic.com
    deepseek    chat       DEEPSEEK_API_KEY is not set    https://api.deepseek.com/v1
    llamacpp    chat       not needed                     http://127.0.0.1:8080/v1
    ollama      chat       not needed                     http://127.0.0.1:11434/v1
    openai      responses  set                            https://api.openai.com/v1
    openrouter  chat       OPENROUTER_API_KEY is not set  https://openrouter.ai/api/v1
    qwen        chat       DASHSCOPE_API_KEY is not set   https://dashscope-intl.aliyuncs.com/compatible-mode/v1
    vllm        chat       not needed                     http://127.0.0.1:8000/v1
    ");
    assert!(models.contains("chat+URL#MODEL") && !models.contains('\u{1b}'));
}

#[test]
fn doctor_says_what_this_machine_and_this_repository_allow() {
    let env = world();
    let said = env.clean(&env.grafter(["doctor"]).ok().stdout);
    for part in ["grafter      0", "git          2", "sandbox      ", "repository   <root>/repo"] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    for part in
        ["identity   Ada Example <ada@example.com>", "check      cargo test", "  .grafter   none"]
    {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    let outside = env.grafter(["doctor"]).dir("home").ok().stdout;
    assert!(outside.contains("repository   none usable here"), "{outside}");
}

#[test]
fn doctor_named_detected_checks_where_the_settings_name_others() {
    let env = world();
    env.write(".grafter/config.toml", "[run]\nverify = [\"make lint\"]\n");
    env.grafter(["trust"]).ok();
    let said = env.grafter(["doctor"]).ok().stdout;
    assert!(said.contains("  check      make lint\n"), "{said}");
    assert!(!said.contains("cargo test"), "{said}");
}

#[test]
fn init_writes_settings_that_hold_and_never_over_others() {
    let env = world();
    env.grafter(["init"]).ok();
    let text = std::fs::read_to_string(env.path(".grafter/config.toml")).expect("a file");
    assert!(text.contains("verify = [\"cargo test"), "{text}");
    let said = env.clean(&env.grafter(["init"]).code(2).stderr);
    insta::assert_snapshot!(said, @"error: <root>/repo/.grafter/config.toml is there already and stays as it is");
    env.grafter(["trust"]).ok();
    env.grafter(["workflow", "ls"]).ok();
}
