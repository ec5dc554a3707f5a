//! `grafter doctor`: what this machine and this repository allow, and what is set up.

use std::{env, path::Path, process::ExitCode};

use crate::{
    cli::{
        context::{Context, Setup},
        exit::{Failure, Kind, OrFail},
        lists::key,
    },
    provider::{known, table},
    sandbox::{
        host::{self, HostCommand},
        options::Options,
        probe::{self, Backend},
    },
    verify::detect,
};

/// The oldest git that does all that is asked of it, `git merge-tree --write-tree --merge-base`
/// among it.
const LEAST_GIT: (u32, u32) = (2, 41);

/// Prints one line per fact; what is missing says what to do. Fails without a git that does.
pub(super) fn doctor(dir: Option<&Path>) -> Result<ExitCode, Failure> {
    say!("grafter      {}", env!("CARGO_PKG_VERSION"))?;
    let git = git_version();
    match &git {
        Ok(version) => say!("git          {version}")?,
        Err(why) => say!("git          {why}")?,
    }
    let setup = Setup::open(dir);
    // What cannot be read is told below; what the machine allows is worth knowing all the same.
    let limits = setup.as_ref().ok().and_then(|setup| setup.section().ok());
    sandbox(&limits.unwrap_or_default())?;
    let setup = setup?;
    say!("config       {}", present(&setup.paths.config.join("config.toml")))?;
    say!("trees        {}", setup.paths.state.display())?;
    match Context::open(dir) {
        Ok(context) => repository(&context)?,
        Err(failure) => say!("repository   none usable here\n{failure}")?,
    }
    let known = setup.section::<known::Options>()?;
    say!("models")?;
    for row in table::providers(&known, &|name| env::var(name).ok()) {
        say!("  {:<10} {}", row.name, key(&row.key))?;
    }
    // Without git nothing works, wherever one stands.
    Ok(if git.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(6) })
}

fn present(file: &Path) -> String {
    let state = if file.is_file() { "" } else { " (not there, which is fine)" };
    format!("{}{state}", file.display())
}

/// Returns the version of git, or why it does not do.
fn git_version() -> Result<String, String> {
    let mut command = HostCommand::new("git");
    command.args = vec!["--version".into()];
    let output = host::run(&command).map_err(|error| format!("missing: {error}"))?;
    judge(&String::from_utf8_lossy(&output.stdout))
}

fn judge(answer: &str) -> Result<String, String> {
    let version = answer.trim().trim_start_matches("git version ");
    let mut numbers = version.split(['.', ' ', '-']).map_while(|part| part.parse::<u32>().ok());
    let (major, minor) = LEAST_GIT;
    match (numbers.next(), numbers.next()) {
        (Some(first), Some(second)) if (first, second) >= LEAST_GIT => {
            Ok(format!("{version} ({major}.{minor} or newer is needed)"))
        }
        (Some(_), Some(_)) => {
            Err(format!("{version} is too old: {major}.{minor} or newer is needed"))
        }
        _ => Err(format!("`{version}` is no version; {major}.{minor} or newer is needed")),
    }
}

fn sandbox(options: &Options) -> Result<(), Failure> {
    let caps = probe::probe_with(&env::current_exe().or_fail(Kind::Infrastructure)?, options);
    say!("sandbox      {}", caps.backend.name())?;
    say!("  {}", promise(caps.backend))?;
    for held in &caps.held {
        say!("  {held}")?;
    }
    if caps.landlock_abi.is_none() {
        say!("  landlock: not available")?;
    }
    if caps.backend.has_own_view() {
        let hosts: Vec<String> = options.hosts.iter().map(ToString::to_string).collect();
        match hosts.is_empty() {
            true => say!("  network: loopback alone, no `hosts` in [sandbox]")?,
            false => say!("  network: through a proxy to {}", hosts.join(", "))?,
        }
    }
    for note in &caps.notes {
        say!("  {note}")?;
    }
    Ok(())
}

/// Says what holds for commands of agents and for checks.
fn promise(backend: Backend) -> &'static str {
    match backend {
        Backend::Namespaces | Backend::Bubblewrap => {
            "enforced: own tree and home writable, checkout not seen, no network beyond `hosts`"
        }
        Backend::Landlock => "weaker: own tree and home writable, no sockets at all",
        Backend::None => "commands run with your rights: nothing confines them",
    }
}

fn repository(context: &Context) -> Result<(), Failure> {
    let repo = &context.repo;
    say!("repository   {}", repo.checkout().display())?;
    say!("  branch     {}", repo.head_branch().unwrap_or_else(|| "detached HEAD".to_owned()))?;
    let identity = repo.identity();
    let stated = if identity.fallback { " (git knows no user.name and user.email)" } else { "" };
    say!("  identity   {} <{}>{stated}", identity.name, identity.email)?;
    let dirty = repo.is_dirty().or_fail(Kind::Infrastructure)?;
    say!("  files      {} changed, {} untracked", dirty.tracked, dirty.untracked)?;
    let own = match (&context.setup.trusted, repo.checkout().join(".grafter").is_dir()) {
        (Some(_), _) => "trusted",
        (None, true) => "not trusted, no effect: look at it, then `grafter trust`",
        (None, false) => "none",
    };
    say!("  .grafter   {own}")?;
    let checks = detect::detect(repo.checkout());
    for check in &checks {
        say!("  check      {}", check.command)?;
    }
    if checks.is_empty() {
        say!("  check      none found: name one with --verify or in `verify` of [run]")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_is_new_enough_too_old_or_unknown() {
        insta::assert_snapshot!(judge("git version 2.47.3\n").unwrap(), @"2.47.3 (2.41 or newer is needed)");
        assert!(judge("git version 2.41.1 (Apple Git-130)").is_ok());
        assert!(judge("git version 3.0").is_ok());
        insta::assert_snapshot!(judge("git version 2.39.5").unwrap_err(), @"2.39.5 is too old: 2.41 or newer is needed");
        insta::assert_snapshot!(judge("hello").unwrap_err(), @"`hello` is no version; 2.41 or newer is needed");
    }
}
