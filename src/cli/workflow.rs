//! `grafter workflow` and `grafter prompt`: looking at the texts that steer a run.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::{
    cli::{
        args::{Picture, PromptCommand, WorkflowCommand},
        context::Setup,
        exit::{Failure, Kind, OrFail},
        out,
        run::edit_format,
        workflows,
    },
    graph::{lookup, picture},
    prompt::{
        assemble::{Scene, assemble},
        lint::lint,
    },
    protocol::task::Phase,
};

/// Lists, checks or draws workflows.
pub(super) fn workflow(setup: &Setup, command: &WorkflowCommand) -> Result<ExitCode, Failure> {
    setup.warn();
    match command {
        WorkflowCommand::Ls => {
            for found in lookup::list(&workflows::folders(setup)).or_fail(Kind::Usage)? {
                say!("{:<16} {}", found.name, found.origin)?;
            }
        }
        WorkflowCommand::Check { file } => {
            let found = workflows::find(setup, file)?;
            let graph = workflows::graph(&found, &setup.prompts()?)?;
            say!("{}: {} nodes, valid", found.origin, graph.nodes.len())?;
        }
        WorkflowCommand::Show { file, format } => {
            let graph = workflows::graph(&workflows::find(setup, file)?, &setup.prompts()?)?;
            let text = match format {
                Picture::Text => picture::text(&graph),
                Picture::Dot => picture::dot(&graph),
                Picture::Mermaid => picture::mermaid(&graph),
            };
            out::write(format_args!("{text}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows or checks prompts.
pub(super) fn prompt(setup: &Setup, command: &PromptCommand) -> Result<ExitCode, Failure> {
    let set = setup.prompts()?;
    match command {
        PromptCommand::Show { words: true, .. } => {
            for (name, text) in set.words().by_name() {
                say!("{name}: {}", Value::from(text))?;
            }
        }
        PromptCommand::Show { role, edit_format: format, .. } => {
            let scene = Scene {
                role: role.clone(),
                phase: phase(role),
                edit_format: edit_format(*format),
                vars: sample(),
            };
            let shown = assemble(&set, &scene).or_fail(Kind::Usage)?;
            for segment in &shown.system {
                say!("--- {} ({:?})\n{}", segment.id, segment.cache, segment.text)?;
            }
            say!("--- first message\n{}", shown.opening)?;
        }
        PromptCommand::Lint => {
            let faults = lint(&set);
            for fault in &faults {
                say!("{fault}")?;
            }
            if !faults.is_empty() {
                return Err(Failure::usage(format!("{} faults in the prompts", faults.len())));
            }
            say!("all prompts are sound")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The phase a role is shipped for; a role of the user's own is shown as a writer.
fn phase(role: &str) -> Phase {
    match role {
        "researcher" | "delegate" => Phase::Research,
        "coordinator" | "lead" => Phase::Synthesis,
        "reviewer" => Phase::Verification,
        _ => Phase::Implementation,
    }
}

/// Stand-ins for the variables, so that a prompt can be looked at without a run.
fn sample() -> Map<String, Value> {
    let value = json!({
        "task": "(the issue's text)", "workflow": "(workflow)", "repo_facts": "(facts)",
        "carries": {}, "findings": [], "feedback": "", "item": "(question)", "index": 0,
        "checks": ["(check command)"], "diff": "", "tests_touched": [], "files": [],
        "base_failures": "",
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
