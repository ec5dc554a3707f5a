//! `grafter cost`: what the agents of a run used.

use std::process::ExitCode;

use serde_json::json;

use crate::{
    cli::{args::CostArgs, context::Context, exit::Failure, history, out},
    ui::{cost, text::Colour},
};

/// Shows tokens and money by agent.
pub(super) fn cost(context: &Context, args: &CostArgs) -> Result<ExitCode, Failure> {
    let (found, events) = history::events(context, &args.run)?;
    let spent = cost::spent(&events);
    if args.json {
        say!("{}", json!({ "run": found.id, "agents": spent }))?;
    } else {
        out::write(format_args!("{}", cost::table(&spent, Colour::Never)))?;
    }
    Ok(ExitCode::SUCCESS)
}
