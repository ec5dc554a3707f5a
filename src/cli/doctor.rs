//! `grafter doctor`: what this machine and this repository allow, and what is set up.

use std::{env, fs::DirBuilder, os::unix::fs::DirBuilderExt, path::Path, process::ExitCode};

use crate::{
    cli::{
        context::{Context, Setup},
        exit::{Failure, Kind, OrFail},
        lists::key,
        live,
        settings::RunSettings,
    },
    external,
    git::version,
    guard,
    provider::{known, table},
    sandbox::{
        options::Options,
        overlay,
        probe::{self, Backend},
    },
    subagent::ladder::{self, Wanted},
    verify::detect,
};

/// Prints one line per fact; what is missing says what to do. Fails without a git that does.
pub(super) fn doctor(dir: Option<&Path>) -> Result<ExitCode, Failure> {
    say!("grafter      {}", env!("CARGO_PKG_VERSION"))?;
    let git = version::check();
    match &git {
        Ok(version) => say!("git          {version} ({} or newer is needed)", version::LEAST)?,
        Err(why) => say!("git          {why}\n  hint: {}", why.hint())?,
    }
    let setup = Setup::open(dir);
    // What cannot be read is told below; what the machine allows is worth knowing all the same.
    let limits = setup.as_ref().ok().and_then(|setup| setup.section().ok());
    sandbox(&limits.unwrap_or_default())?;
    let setup = setup?;
    say!("config       {}", present(&setup.paths.config.join("config.toml")))?;
    say!("trees        {}", setup.paths.state.display())?;
    shape(&setup)?;
    say!("tripwires    {}", tripwires(&setup)?)?;
    match Context::open(dir) {
        Ok(context) => repository(&context)?,
        Err(failure) => say!("repository   none usable here\n{failure}")?,
    }
    let known = setup.section::<known::Options>()?;
    say!("models")?;
    for row in table::providers(&known, &|name| env::var(name).ok()) {
        say!("  {:<10} {}", row.name, key(&row.key))?;
    }
    let workers = setup.section::<external::options::Options>()?;
    let names: Vec<&str> = workers.names().collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    say!("workers      {names} (`grafter workers` says more)")?;
    // Without git nothing works, wherever one stands.
    Ok(if git.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(6) })
}

/// Says whether runs have tripwires, and what of their gates is shut.
fn tripwires(setup: &Setup) -> Result<String, Failure> {
    let gates = live::gates(setup.section::<guard::options::Options>()?.tripwire);
    let word = |yes| if yes { "yes" } else { "no" };
    let state = if gates.armed() { "on" } else { "off" };
    let (built, wanted) = (word(gates.built), word(gates.wanted));
    Ok(format!("{state} (built with the feature: {built}; `tripwire` in [guard]: {wanted})"))
}

/// Says what the trees of this folder's repository are made of.
fn shape(setup: &Setup) -> Result<(), Failure> {
    let wanted = setup.section::<ladder::Options>()?.shape;
    let state = &setup.paths.state;
    // This process ends with it, so nothing is in its way.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(state);
    let tried = made.map_err(|error| error.to_string());
    match tried.and_then(|()| overlay::enter()).and_then(|()| overlay::probe(state)) {
        Ok(()) => say!(
            "  overlays   work; used {} (`shape` in [trees])",
            match wanted {
                Wanted::Auto => format!("from {} tracked files on", ladder::WORTH),
                Wanted::Overlay => "whatever the size of the repository".to_owned(),
                Wanted::Plain => "not at all".to_owned(),
            }
        ),
        Err(why) => say!("  overlays   {why}; trees get files of their own"),
    }
}

fn present(file: &Path) -> String {
    let state = if file.is_file() { "" } else { " (not there, which is fine)" };
    format!("{}{state}", file.display())
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
    let named = context.setup.section::<RunSettings>()?.verify;
    let detected = || detect::detect(repo.checkout()).into_iter().map(|check| check.command);
    let checks = if named.is_empty() { detected().collect() } else { named };
    for command in &checks {
        say!("  check      {command}")?;
    }
    if checks.is_empty() {
        say!("  check      none found: name one with --verify or in `verify` of [run]")?;
    }
    Ok(())
}
