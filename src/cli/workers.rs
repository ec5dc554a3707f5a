//! Workers of the user's settings: which a run calls, whether they can be called, and the list.

use std::{
    collections::BTreeSet,
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    cli::{
        context::{Context, Setup},
        exit::{Failure, Kind},
        live, out,
    },
    coordinator::options::Options,
    external::{
        options::{Hired, Options as Workers, WorkerError},
        preset::{Preset, Protocol},
    },
    graph::{
        dag::Graph,
        node::{AgentWork, Node, Work},
    },
    guard::modes,
    protocol::{event::Level, task::Mode},
    sandbox::probe::Backend,
    ui::{
        tables::{Align, render},
        text::Colour,
    },
};

/// Returns the workers that a run calls, ready to be called; whatever one lacks is said before
/// anything is spent.
pub(super) fn hire(
    context: &Context,
    (graph, options): (&Graph, &Options),
) -> Result<Vec<Hired>, Failure> {
    let mut names = BTreeSet::new();
    for (node, agent, name) in
        graph.nodes.iter().filter_map(|node| worked(node, options.worker.as_deref()))
    {
        suits(node, modes::inherited(options.mode, agent.mode), name)?;
        names.insert(name);
    }
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let workers = context.setup.section::<Workers>()?;
    names.into_iter().map(|name| one(context, &workers, name)).collect()
}

/// Returns whether any node asks a model.
pub(super) fn need_model(graph: &Graph, worker: Option<&str>) -> bool {
    let asks = |node: &&Node| matches!(node.work, Work::Agent(_));
    graph.nodes.iter().filter(asks).any(|node| worked(node, worker).is_none())
}

/// Refuses the embedded worker where no check could tell it what is wrong.
pub(super) fn checked(workers: &[Hired], options: &Options) -> Result<(), Failure> {
    let embedded = workers.iter().any(|worker| worker.protocol == Protocol::Embedded);
    if !embedded || !options.checks.is_empty() {
        return Ok(());
    }
    let text = "no model is set up, and without one a check must fail that says what is wrong; none \
                was found";
    Err(Failure::usage(text)
        .hint("name a check with --verify CMD, or a model with --model (`grafter models`)"))
}

/// Returns what a user should know of workers before they begin.
pub(super) fn remark(workers: &[Hired]) -> Option<(Level, String)> {
    let others = workers.iter().filter(|worker| worker.protocol != Protocol::Embedded);
    let names: Vec<&str> = others.map(|worker| worker.name.as_str()).collect();
    let text = || {
        format!(
            "worker {}: nobody is asked about what it runs inside its sandbox; its time is \
             limited, its money only once it has reported it",
            names.join(", ")
        )
    };
    (!names.is_empty()).then(|| (Level::Info, text()))
}

/// Lists the workers of the user's settings.
pub(super) fn workers(dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let setup = Setup::open(dir)?;
    let workers = setup.section::<Workers>()?;
    let rows: Vec<Vec<String>> = workers
        .names()
        .map(|name| match workers.hire(name, &setup.paths.home) {
            Ok(worker) => row(&worker),
            Err(error) => {
                let (none, why) = (String::new(), error.to_string());
                vec![name.to_owned(), none.clone(), none.clone(), why, none]
            }
        })
        .collect();
    if rows.is_empty() {
        say!("no worker is set up: write a [workers.NAME] table into your config.toml")?;
    } else {
        let columns = ["WORKER", "PRESET", "PROTOCOL", "PROGRAM", "IT IS GRANTED"]
            .map(|name| (name, Align::Left));
        out::write(format_args!("{}", render(&columns, &rows, Colour::Never)))?;
    }
    let presets = |protocol| {
        let all = Preset::names().filter_map(Preset::named);
        let names = all.filter(|preset| preset.command(protocol, &[]).is_some()).map(Preset::name);
        names.collect::<Vec<_>>().join(", ")
    };
    say!("presets: {}", presets(Protocol::Command))?;
    say!("with protocol = \"acp\": {}", presets(Protocol::Acp))?;
    Ok(ExitCode::SUCCESS)
}

fn row(worker: &Hired) -> Vec<String> {
    let program = worker.command.first().map_or("", String::as_str);
    let found = match found(program) {
        Some(path) => path.display().to_string(),
        None => format!("`{program}` is not on PATH"),
    };
    let unset = |name: &String| if env::var_os(name).is_some() { "" } else { " (not set)" };
    let env = worker.env.iter().map(|name| format!("{name}{}", unset(name)));
    let folders = worker.grants.read.iter().map(|path| format!("reads {}", path.display()));
    let written = worker.grants.write.iter().map(|path| format!("writes {}", path.display()));
    let hosts = worker.grants.hosts.iter().map(ToString::to_string);
    let granted: Vec<String> = env.chain(folders).chain(written).chain(hosts).collect();
    let preset = worker.preset.map_or("", Preset::name);
    let protocol = worker.protocol.name().to_owned();
    vec![worker.name.clone(), preset.to_owned(), protocol, found, granted.join(", ")]
}

/// Returns the worker of a node, if it has one.
fn worked<'a>(node: &'a Node, all: Option<&'a str>) -> Option<(&'a Node, &'a AgentWork, &'a str)> {
    let Work::Agent(agent) = &node.work else { return None };
    let name = all.or(agent.worker.as_deref()).filter(|_| node.writes())?;
    Some((node, agent, name))
}

/// Refuses nodes whose work is more than a tree, and users who want to be asked.
fn suits(node: &Node, mode: Mode, name: &str) -> Result<(), Failure> {
    if let Some(carry) = node.gives.keys().next() {
        let text = format!(
            "node `{}` gives `{carry}`, which worker `{name}` cannot: its work is its tree",
            node.id
        );
        return Err(Failure::usage(text).hint("let an agent do this node, or give it nothing"));
    }
    if mode > Mode::Default {
        return Ok(());
    }
    let text = format!(
        "mode default asks before each write and command, and worker `{name}` cannot be asked"
    );
    Err(Failure::new(Kind::Refused, anyhow::anyhow!(text)).hint("say --mode allow-edits"))
}

fn one(context: &Context, workers: &Workers, name: &str) -> Result<Hired, Failure> {
    let worker = workers.hire(name, &context.setup.paths.home).map_err(|error| {
        let hint = match &error {
            WorkerError::Unknown { .. } => {
                "write a [workers.NAME] table into your config.toml; `grafter workers` lists them"
            }
            WorkerError::Wrong { .. } => "mend its [workers.NAME] table in your config.toml",
        };
        Failure::new(Kind::Usage, error).hint(hint)
    })?;
    let program = worker.command.first().map_or("", String::as_str);
    if worker.protocol != Protocol::Embedded && found(program).is_none() {
        let text = format!("worker `{name}`: there is no program `{program}` on PATH");
        return Err(Failure::usage(text).hint("install it, or name its path in `command`"));
    }
    if let Some(unset) = worker.env.iter().find(|name| env::var(name).is_err()) {
        let text = format!("worker `{name}` is to get the variable {unset}, which is not set");
        return Err(Failure::usage(text).hint(format!("export {unset}=…")));
    }
    kept(context, &worker)?;
    can(live::backend(context).0, &worker)?;
    Ok(worker)
}

/// Refuses grants that would open the checkout or what grafter keeps.
fn kept(context: &Context, worker: &Hired) -> Result<(), Failure> {
    let (repo, paths) = (&context.repo, &context.setup.paths);
    let own = [repo.checkout(), repo.common_dir(), &paths.state, &paths.config];
    let real: Vec<PathBuf> =
        own.iter().map(|path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf())).collect();
    let real: Vec<&Path> = real.iter().map(PathBuf::as_path).collect();
    let Some((path, own)) = worker.grants.overlap(&real) else { return Ok(()) };
    let text = format!(
        "worker `{}` may not be granted {}: {} is the repository's or grafter's own",
        worker.name,
        path.display(),
        own.display()
    );
    Err(Failure::new(Kind::Refused, anyhow::anyhow!(text)).hint("grant the one folder it needs"))
}

/// Refuses grants that nothing on this machine can give.
fn can(backend: Backend, worker: &Hired) -> Result<(), Failure> {
    let hosts = backend == Backend::Landlock && !worker.grants.hosts.is_empty();
    if backend.has_own_view() || (worker.grants.is_closed() && !hosts) {
        return Ok(());
    }
    let text = format!(
        "worker `{}` is granted folders or hosts, which the sandbox of this machine ({backend}) \
         cannot give",
        worker.name
    );
    Err(Failure::new(Kind::Refused, anyhow::anyhow!(text))
        .hint("`grafter doctor` says what is missing here"))
}

/// Returns where a program is; one that is named by a path need only be there.
pub(super) fn found(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| path.is_file());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let mut files = env::split_paths(&path).map(|folder| folder.join(program));
    files.find(|file| !program.is_empty() && file.is_file())
}
