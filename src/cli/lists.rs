//! `grafter tools` and `grafter models`: what there is to work with.

use std::{env, path::Path, process::ExitCode};

use crate::{
    cli::{
        args::ToolsArgs,
        context::Context,
        exit::{Failure, Kind, OrFail},
    },
    protocol::tool::Risk,
    provider::{
        known,
        table::{self, KeyState},
    },
    tools::catalogue::catalogue,
    ui::{
        tables::{Align, render},
        text::{Colour, tokens},
    },
};

fn risk(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "low",
        Risk::Medium => "medium",
        Risk::High => "high",
    }
}

/// Lists the tools.
pub(super) fn tools(args: &ToolsArgs) -> Result<ExitCode, Failure> {
    let wanted = |name: &str| args.risk.as_deref().is_none_or(|risk| risk == name);
    if let Some(name) = &args.risk
        && !["low", "medium", "high"].contains(&name.as_str())
    {
        return Err(Failure::usage(format!("`{name}` is no risk: low, medium or high")));
    }
    let specs: Vec<_> =
        catalogue().0.iter().filter(|spec| wanted(risk(spec.risk))).cloned().collect();
    if args.json {
        say!("{}", serde_json::to_string_pretty(&specs).or_fail(Kind::Infrastructure)?);
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = specs
        .iter()
        .map(|spec| {
            let phases: Vec<&str> = spec.phases.iter().map(|phase| phase.name()).collect();
            let first = spec.description.split_inclusive(". ").next().unwrap_or_default().trim();
            let class = format!("{:?}", spec.class).to_lowercase();
            vec![spec.name.clone(), class, risk(spec.risk).into(), phases.join(" "), first.into()]
        })
        .collect();
    let columns =
        ["TOOL", "CLASS", "RISK", "PHASES", "WHAT IT DOES"].map(|name| (name, Align::Left));
    put!("{}", render(&columns, &rows, Colour::Never));
    Ok(ExitCode::SUCCESS)
}

/// Lists the models that are known, and whether their keys are set.
pub(super) fn models(dir: Option<&Path>) -> Result<ExitCode, Failure> {
    // Outside a repository the user's own settings are not looked at, only what is built in.
    let options = match Context::open(dir) {
        Ok(context) => context.settings.section::<known::Options>().or_fail(Kind::Usage)?,
        Err(_) => known::Options::default(),
    };
    let var = |name: &str| env::var(name).ok();
    let rows: Vec<Vec<String>> = table::providers(&options, &var)
        .into_iter()
        .map(|row| vec![row.name, row.protocol.to_owned(), key(&row.key), row.base_url])
        .collect();
    let columns = ["PROVIDER", "PROTOCOL", "KEY", "ADDRESS"].map(|name| (name, Align::Left));
    say!("{}", render(&columns, &rows, Colour::Never));
    let rows: Vec<Vec<String>> = table::models(&options)
        .into_iter()
        .map(|row| {
            let window = tokens(row.window);
            let price = table::price_text(row.price);
            vec![row.names, window, row.edit_format.name().to_owned(), price]
        })
        .collect();
    let columns = ["KNOWN MODELS", "WINDOW", "EDITS", "PRICE PER MILLION TOKENS"];
    say!("{}", render(&columns.map(|name| (name, Align::Left)), &rows, Colour::Never));
    say!("without a provider: chat+URL#MODEL, anthropic+URL#MODEL, responses+URL#MODEL");
    say!("without a model: scripted:FILE plays a session, gold:PATCH applies a patch");
    Ok(ExitCode::SUCCESS)
}

/// Returns what is known about a provider's key.
pub(super) fn key(state: &KeyState) -> String {
    match state {
        KeyState::Set => "set".to_owned(),
        KeyState::Unset(variable) => format!("{variable} is not set"),
        KeyState::Command => "from a command".to_owned(),
        KeyState::NotNeeded => "not needed".to_owned(),
    }
}
