//! The rules of one node, seen alone. Pure.

use std::collections::BTreeSet;

use crate::{
    graph::{
        condition::{Condition, Test},
        dag::Limits,
        node::{AgentWork, Back, CarryType, Each, Node, Work},
        spec::{BackSpec, EachSpec, LimitsSpec, NodeSpec, WhenSpec, WorkSpec},
        validate::{self, Problems},
    },
    protocol::{
        part,
        task::{AgentKind, Mode, Phase},
        tool::{Catalogue, Class, ToolSpec},
    },
    settings::{
        nearest,
        spot::quoted,
        yaml::{At, Entries},
    },
};

/// Longest identifier; ids become parts of branch names and paths.
const MAX_ID: usize = 40;
/// Most rounds of a failure edge.
const MAX_ROUNDS: u32 = 5;
/// Stands among `tools` for all that a node has which lists none.
pub const DEFAULT: &str = "default";
/// The tool without which an agent cannot end.
const FINISH: &str = "finish";

/// Returns the node made of its written form; what is wrong goes to `problems`.
pub(crate) fn node(spec: &At<NodeSpec>, catalogue: &Catalogue, problems: &mut Problems) -> Node {
    let written = &spec.value;
    let phase = written.phase.value;
    let work = match written.work.as_ref().map(|work| work.value) {
        Some(WorkSpec::Checks) => checks(written, problems),
        Some(WorkSpec::Agent) | None => agent(spec, catalogue, problems),
    };
    let node = Node {
        id: written.id.value.clone(),
        phase,
        kind: kind(written, problems),
        work,
        needs: written.needs.iter().map(|need| need.value.clone()).collect(),
        each: None,
        ask: ask(written, problems),
        takes: carries("takes", &written.takes, problems),
        gives: carries("gives", &written.gives, problems).into_iter().collect(),
        when: written.when.as_ref().and_then(|when| condition(when, problems)),
        limits: written.limits.as_ref().map(|limits| share(limits, problems)),
        on_failure: written.on_failure.as_ref().and_then(|back| failure_edge(back, problems)),
        optional: written.optional,
    };
    let each = written.each.as_ref();
    let each = each.and_then(|each| fan_out(written, (each, node.most()), problems));
    Node { each, ..node }
}

/// Adds a problem unless the text can safely be part of a branch name and a path.
pub(crate) fn identifier(what: &str, id: &At<String>, problems: &mut Problems) {
    let text = id.value.as_str();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends = text.starts_with('-') || text.ends_with('-');
    if text.is_empty() || text.len() > MAX_ID || ends || !text.chars().all(plain) {
        problems.add(
            id.at,
            format!(
                "{what} {} must be 1 to {MAX_ID} lower-case letters, digits and inner hyphens",
                quoted(text)
            ),
        );
    }
}

fn checks(spec: &NodeSpec, problems: &mut Problems) -> Work {
    if spec.phase.value != Phase::Verification {
        problems.add(spec.phase.at, "`work: checks` belongs to the verification phase");
    }
    let given = [
        ("role", spec.role.as_ref().map(|it| it.at)),
        ("kind", spec.kind.as_ref().map(|it| it.at)),
        ("tools", spec.tools.as_ref().map(|it| it.at)),
        ("each", spec.each.as_ref().map(|it| it.at)),
        ("ask", spec.ask.as_ref().map(|it| it.at)),
        ("gives", spec.gives.0.first().map(|(name, _)| name.at)),
        ("takes", spec.takes.0.first().map(|(name, _)| name.at)),
        ("mode", spec.mode.as_ref().map(|it| it.at)),
        ("max_turns", spec.max_turns.as_ref().map(|it| it.at)),
        ("temperature", spec.temperature.as_ref().map(|it| it.at)),
        ("edit_format", spec.edit_format.as_ref().map(|it| it.at)),
        ("worker", spec.worker.as_ref().map(|it| it.at)),
        ("limits", spec.limits.as_ref().map(|it| it.at)),
    ];
    for (key, at) in given {
        if let Some(at) = at {
            problems.add(at, format!("`{key}` is for agents; `work: checks` runs no model"));
        }
    }
    Work::Checks
}

fn agent(spec: &At<NodeSpec>, catalogue: &Catalogue, problems: &mut Problems) -> Work {
    let written = &spec.value;
    match &written.role {
        Some(role) => identifier("role", role, problems),
        None => problems.add(
            spec.at,
            format!("node {} needs a `role`, or `work: checks`", quoted(&written.id.value)),
        ),
    }
    if let Some(format) = &written.edit_format
        && written.phase.value != Phase::Implementation
    {
        problems.add(format.at, "`edit_format` is for implementation nodes; others change nothing");
    }
    if let Some(worker) = &written.worker
        && written.phase.value != Phase::Implementation
    {
        problems.add(
            worker.at,
            "`worker` is for implementation nodes; what others find out, their agents hand over",
        );
    }
    if let Some(turns) = written.max_turns.as_ref().filter(|turns| turns.value == 0) {
        problems.add(turns.at, "`max_turns` must be at least 1");
    }
    if let Some(mode) = written.mode.as_ref().filter(|mode| mode.value == Mode::Yolo) {
        problems.add(
            mode.at,
            "`mode` can only be stricter than the run's, and nothing is freer than yolo",
        );
    }
    Work::Agent(AgentWork {
        role: written.role.as_ref().map(|role| role.value.clone()).unwrap_or_default(),
        tools: tools(written, catalogue, problems),
        edit_format: written.edit_format.as_ref().map(|format| format.value),
        temperatures: temperatures(written, problems),
        mode: written.mode.as_ref().map(|mode| mode.value),
        max_turns: written.max_turns.as_ref().map(|turns| turns.value),
        worker: written.worker.as_ref().map(|worker| worker.value.clone()),
    })
}

fn tools(spec: &NodeSpec, catalogue: &Catalogue, problems: &mut Problems) -> Vec<String> {
    let phase = spec.phase.value;
    let offered = || catalogue.0.iter().filter(|tool| suits(tool, phase) && !tool.named);
    let Some(listed) = &spec.tools else {
        return offered().map(|tool| tool.name.clone()).collect();
    };
    let mut chosen = BTreeSet::from([FINISH]);
    for tool in &listed.value {
        let name = tool.value.as_str();
        match catalogue.get(name) {
            _ if name == DEFAULT => chosen.extend(offered().map(|tool| tool.name.as_str())),
            None => {
                let near = nearest::hint(name, catalogue.names());
                problems.add(tool.at, format!("there is no tool {}{near}", quoted(name)));
            }
            Some(found) if !suits(found, phase) => problems.add(tool.at, misplaced(found, phase)),
            Some(_) => {
                chosen.insert(name);
            }
        }
    }
    catalogue.names().filter(|name| chosen.contains(name)).map(str::to_owned).collect()
}

/// The catalogue says in which phases a tool may be used; that only implementation writes holds
/// whatever the catalogue says.
fn suits(tool: &ToolSpec, phase: Phase) -> bool {
    let writes = tool.class == Class::Write && phase != Phase::Implementation;
    tool.phases.contains(&phase) && !writes
}

fn misplaced(tool: &ToolSpec, phase: Phase) -> String {
    let (name, phase) = (quoted(&tool.name), phase.name());
    if tool.class == Class::Write {
        return format!("tool {name} writes; a {phase} node may only read");
    }
    let phases: Vec<_> = tool.phases.iter().map(|phase| phase.name()).collect();
    format!("tool {name} is for {}, not for {phase}", phases.join(", "))
}

fn temperatures(spec: &NodeSpec, problems: &mut Problems) -> Vec<f32> {
    let Some(written) = &spec.temperature else { return Vec::new() };
    let numbers = &written.value.0;
    let in_range = |number: &f64| (0.0..=2.0).contains(number);
    if numbers.is_empty() || numbers.len() > 10 || !numbers.iter().all(in_range) {
        problems.add(written.at, "`temperature` must be 1 to 10 numbers between 0 and 2");
    }
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and 2; digits may be lost")]
    numbers.iter().map(|number| *number as f32).collect()
}

fn kind(spec: &NodeSpec, problems: &mut Problems) -> AgentKind {
    let writes = spec.phase.value == Phase::Implementation;
    let natural = if writes { AgentKind::Worktree } else { AgentKind::Teammate };
    let Some(kind) = &spec.kind else { return natural };
    match (writes, kind.value) {
        (true, AgentKind::Fork | AgentKind::Teammate) => {
            problems.add(kind.at, "an implementation node writes, so its kind is `worktree`");
        }
        (false, AgentKind::Worktree) => {
            let phase = spec.phase.value.name();
            problems.add(kind.at, format!("kind `worktree` writes; a {phase} node may only read"));
        }
        _ => {}
    }
    kind.value
}

fn share(written: &At<LimitsSpec>, problems: &mut Problems) -> Limits {
    if let Some(minutes) = &written.value.minutes {
        problems.add(minutes.at, "`minutes` are the whole run's; a node has `usd` and `turns`");
    }
    validate::limits(&written.value, problems)
}

fn ask(spec: &NodeSpec, problems: &mut Problems) -> Option<String> {
    let ask = spec.ask.as_ref()?;
    if spec.each.is_some() {
        problems.add(ask.at, "`ask` is for one agent; with `each` every item is what one is asked");
    }
    Some(ask.value.clone())
}

fn fan_out(
    spec: &NodeSpec,
    (each, most): (&At<EachSpec>, usize),
    problems: &mut Problems,
) -> Option<Each> {
    for (name, kind) in spec.gives.0.iter().filter(|(_, kind)| !kind.value.joins()) {
        let (name, kind) = (quoted(&name.value), (kind.at, kind.value));
        problems.add(
            kind.0,
            format!("{name}: with `each` only lists and findings can be joined, not a {}", kind.1),
        );
    }
    if let (EachSpec::Items(items), Phase::Implementation) = (&each.value, spec.phase.value)
        && let Err(why) = part::read(items)
    {
        problems.add(each.at, why);
    }
    match &each.value {
        EachSpec::Number(n) => match usize::try_from(*n) {
            Ok(n) if (1..=most).contains(&n) => return Some(Each::Number(n)),
            _ => problems.add(each.at, format!("`each` makes 1 to {most} instances, not {n}")),
        },
        EachSpec::Items(items) if (1..=most).contains(&items.len()) => {
            return Some(Each::Items(items.clone()));
        }
        EachSpec::Items(items) => {
            let n = items.len();
            problems.add(each.at, format!("`each` makes 1 to {most} instances, not {n}"));
        }
        EachSpec::Carry(carry) => {
            let (node, name) = (carry.from.value.clone(), carry.carry.value.clone());
            return Some(Each::Carry { node, name });
        }
    }
    None
}

fn carries(
    key: &str,
    entries: &Entries<CarryType>,
    problems: &mut Problems,
) -> Vec<(String, CarryType)> {
    for (name, _) in &entries.0 {
        let text = name.value.as_str();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if text.is_empty() || text.len() > MAX_ID || !text.chars().all(plain) {
            let name_shown = quoted(text);
            problems.add(
                name.at,
                format!("{key}: {name_shown} must be lower-case letters, digits and underscores"),
            );
        }
    }
    entries.0.iter().map(|(name, kind)| (name.value.clone(), kind.value)).collect()
}

fn condition(when: &At<WhenSpec>, problems: &mut Problems) -> Option<Condition> {
    let spec = &when.value;
    let mut tests: Vec<Test> = [
        spec.equals.as_ref().map(|it| Test::Equals(it.value.clone())),
        spec.not_equals.as_ref().map(|it| Test::NotEquals(it.value.clone())),
        spec.exists.as_ref().map(|it| Test::Exists(it.value)),
        spec.at_least.as_ref().map(|it| Test::AtLeast(it.value)),
    ]
    .into_iter()
    .flatten()
    .collect();
    match (tests.pop(), tests.is_empty()) {
        (Some(test), true) => Some(Condition { carry: spec.carry.value.clone(), test }),
        _ => {
            let tests = "`equals`, `not_equals`, `exists` and `at_least`";
            problems.add(when.at, format!("`when` needs exactly one of {tests}"));
            None
        }
    }
}

fn failure_edge(back: &At<BackSpec>, problems: &mut Problems) -> Option<Back> {
    let to = back.value.to.value.clone();
    match &back.value.max {
        None => problems.add(
            back.at,
            format!("`on_failure` needs `max` (1 to {MAX_ROUNDS}), or the loop has no end"),
        ),
        Some(max) if !(1..=MAX_ROUNDS).contains(&max.value) => {
            problems.add(max.at, format!("`max` must be between 1 and {MAX_ROUNDS}"));
        }
        Some(max) => return Some(Back { to, max: max.value }),
    }
    None
}

#[cfg(test)]
mod tests;
