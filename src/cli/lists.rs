//! `grafter tools` and `grafter models`: what there is to work with.

use std::{env, path::Path, process::ExitCode};

use crate::{
    cli::{
        args::{RiskName, ToolsArgs},
        context::Setup,
        exit::{Failure, Kind, OrFail},
        out,
    },
    protocol::tool::{Risk, ToolSpec},
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

fn of(risk: Risk) -> RiskName {
    match risk {
        Risk::Low => RiskName::Low,
        Risk::Medium => RiskName::Medium,
        Risk::High => RiskName::High,
    }
}

/// Lists the tools.
pub(super) fn tools(args: &ToolsArgs) -> Result<ExitCode, Failure> {
    let wanted = |spec: &&ToolSpec| args.risk.is_none_or(|risk| risk == of(spec.risk));
    let specs: Vec<_> = catalogue().0.iter().filter(wanted).cloned().collect();
    if args.json {
        say!("{}", serde_json::to_string_pretty(&specs).or_fail(Kind::Infrastructure)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = specs
        .iter()
        .map(|spec| {
            let phases: Vec<&str> = spec.phases.iter().map(|phase| phase.name()).collect();
            let first = spec.description.split_inclusive(". ").next().unwrap_or_default().trim();
            let class = format!("{:?}", spec.class).to_lowercase();
            let risk = format!("{:?}", spec.risk).to_lowercase();
            vec![spec.name.clone(), class, risk, phases.join(" "), first.into()]
        })
        .collect();
    let columns =
        ["TOOL", "CLASS", "RISK", "PHASES", "WHAT IT DOES"].map(|name| (name, Align::Left));
    out::write(format_args!("{}", render(&columns, &rows, Colour::Never)))?;
    Ok(ExitCode::SUCCESS)
}

/// Lists the models that are known, and whether their keys are set.
pub(super) fn models(dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let options = Setup::open(dir)?.section::<known::Options>()?;
    let var = |name: &str| env::var(name).ok();
    let rows: Vec<Vec<String>> = table::providers(&options, &var)
        .into_iter()
        .map(|row| vec![row.name, row.protocol.to_owned(), key(&row.key), row.base_url])
        .collect();
    let columns = ["PROVIDER", "PROTOCOL", "KEY", "ADDRESS"].map(|name| (name, Align::Left));
    say!("{}", render(&columns, &rows, Colour::Never))?;
    let rows: Vec<Vec<String>> = table::models(&options)
        .into_iter()
        .map(|row| {
            let window = tokens(row.window);
            let price = table::price_text(row.price);
            vec![row.names, window, row.edit_format.name().to_owned(), price]
        })
        .collect();
    let columns = ["KNOWN MODELS", "WINDOW", "EDITS", "PRICE PER MILLION TOKENS"];
    say!("{}", render(&columns.map(|name| (name, Align::Left)), &rows, Colour::Never))?;
    say!("without a provider: chat+URL#MODEL, anthropic+URL#MODEL, responses+URL#MODEL")?;
    say!("without a model: scripted:FILE plays a session, gold:PATCH applies a patch")?;
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
