//! `grafter doctor`: what this machine and this repository allow, and what is set up.

use std::{env, path::Path, process::ExitCode};

use crate::{
    cli::{
        context::Context,
        exit::{Failure, Kind, OrFail},
        lists::key,
    },
    provider::{known, table},
    sandbox::{
        host::{self, HostCommand},
        probe,
    },
    verify::detect,
};

/// Prints one line per fact; what is missing says what to do.
pub(super) fn doctor(dir: Option<&Path>) -> Result<ExitCode, Failure> {
    say!("grafter      {}", env!("CARGO_PKG_VERSION"));
    say!("git          {}", git().unwrap_or_else(|why| format!("missing: {why}")));
    sandbox();
    let context = match Context::open(dir) {
        Ok(context) => context,
        Err(failure) => {
            say!("repository   none usable here: {failure}");
            return Ok(ExitCode::SUCCESS);
        }
    };
    repository(&context)?;
    let options = context.settings.section::<known::Options>().or_fail(Kind::Usage)?;
    say!("models");
    for row in table::providers(&options, &|name| env::var(name).ok()) {
        say!("  {:<10} {}", row.name, key(&row.key));
    }
    Ok(ExitCode::SUCCESS)
}

fn git() -> Result<String, String> {
    let mut command = HostCommand::new("git");
    command.args = vec!["--version".into()];
    let output = host::run(&command).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().trim_start_matches("git version ").to_owned())
}

fn sandbox() {
    let caps = probe::probe();
    say!("sandbox      {}", caps.backend.name());
    match &caps.userns {
        Ok(()) => say!("  namespaces enforced: own tree and home writable, no network"),
        Err(why) => say!("  namespaces not available: {why}"),
    }
    match caps.landlock_abi {
        Some(abi) => say!("  landlock   ABI {abi}"),
        None => say!("  landlock   not available"),
    }
    for note in &caps.notes {
        say!("  {note}");
    }
}

fn repository(context: &Context) -> Result<(), Failure> {
    let repo = &context.repo;
    say!("repository   {}", repo.checkout().display());
    say!("  branch     {}", repo.head_branch().unwrap_or_else(|| "detached HEAD".to_owned()));
    let identity = repo.identity();
    say!("  identity   {} <{}>", identity.name, identity.email);
    let dirty = repo.is_dirty().or_fail(Kind::Infrastructure)?;
    say!("  files      {} changed, {} untracked", dirty.tracked, dirty.untracked);
    let own = match (&context.trusted, repo.checkout().join(".grafter").is_dir()) {
        (Some(_), _) => "trusted",
        (None, true) => "not trusted, no effect: look at it, then `grafter trust`",
        (None, false) => "none",
    };
    say!("  .grafter   {own}");
    let checks = detect::detect(repo.checkout());
    for check in &checks {
        say!("  check      {}", check.command);
    }
    if checks.is_empty() {
        say!("  check      none found: name one with --verify or in `verify` of [run]");
    }
    Ok(())
}
