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
    println!("grafter      {}", env!("CARGO_PKG_VERSION"));
    println!("git          {}", git().unwrap_or_else(|why| format!("missing: {why}")));
    sandbox();
    let context = match Context::open(dir) {
        Ok(context) => context,
        Err(failure) => {
            println!("repository   none usable here: {failure}");
            return Ok(ExitCode::SUCCESS);
        }
    };
    repository(&context)?;
    let options = context.settings.section::<known::Options>().or_fail(Kind::Usage)?;
    println!("models");
    for row in table::providers(&options, &|name| env::var(name).ok()) {
        println!("  {:<10} {}", row.name, key(&row.key));
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
    println!("sandbox      {}", caps.backend.name());
    match &caps.userns {
        Ok(()) => println!("  namespaces enforced: own tree and home writable, no network"),
        Err(why) => println!("  namespaces not available: {why}"),
    }
    match caps.landlock_abi {
        Some(abi) => println!("  landlock   ABI {abi}"),
        None => println!("  landlock   not available"),
    }
    for note in &caps.notes {
        println!("  {note}");
    }
}

fn repository(context: &Context) -> Result<(), Failure> {
    let repo = &context.repo;
    println!("repository   {}", repo.checkout().display());
    println!("  branch     {}", repo.head_branch().unwrap_or_else(|| "detached HEAD".to_owned()));
    let identity = repo.identity();
    println!("  identity   {} <{}>", identity.name, identity.email);
    let dirty = repo.is_dirty().or_fail(Kind::Infrastructure)?;
    println!("  files      {} changed, {} untracked", dirty.tracked, dirty.untracked);
    let own = match (&context.trusted, repo.checkout().join(".grafter").is_dir()) {
        (Some(_), _) => "trusted",
        (None, true) => "not trusted, no effect: look at it, then `grafter trust`",
        (None, false) => "none",
    };
    println!("  .grafter   {own}");
    let checks = detect::detect(repo.checkout());
    for check in &checks {
        println!("  check      {}", check.command);
    }
    if checks.is_empty() {
        println!("  check      none found: name one with --verify or in `verify` of [run]");
    }
    Ok(())
}
