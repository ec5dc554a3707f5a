//! Pictures of a graph: text for a terminal, DOT, Mermaid.
//!
//! All words in them are ids, roles and names that validation has let through, so nothing needs
//! escaping.

use std::fmt::Write as _;

use crate::{
    graph::{
        dag::Graph,
        node::{Back, Each, Node, Work},
    },
    protocol::task::AgentKind,
};

/// Returns one line per node: id, phase, who works, what it needs, where a failure leads.
pub fn text(graph: &Graph) -> String {
    let rows: Vec<[String; 4]> = graph.nodes.iter().map(row).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths = [0, 1, 2].map(|column| width(column).unwrap_or_default());
    let mut out = headline(graph);
    for [id, phase, who, links] in &rows {
        let [a, b, c] = widths;
        let line = format!("  {id:a$}  {phase:b$}  {who:c$}  {links}");
        let _ = write!(out, "\n{}", line.trim_end());
    }
    out.push('\n');
    out
}

/// Returns the graph in the language of Graphviz.
pub fn dot(graph: &Graph) -> String {
    let mut out = format!("digraph \"{}\" {{\n  rankdir=LR;\n  node [shape=box];\n", graph.name);
    for node in &graph.nodes {
        let _ = writeln!(out, "  \"{}\" [label=\"{}\\n{}\"];", node.id, title(node), who(node));
    }
    for (from, to) in needs(graph) {
        let _ = writeln!(out, "  \"{from}\" -> \"{to}\";");
    }
    for (from, Back { to, max }) in backs(graph) {
        let label = format!("[style=dashed, label=\"on failure, {max}x\"]");
        let _ = writeln!(out, "  \"{from}\" -> \"{to}\" {label};");
    }
    out.push_str("}\n");
    out
}

/// Returns the graph as a Mermaid flowchart.
pub fn mermaid(graph: &Graph) -> String {
    let mut out = "flowchart LR\n".to_owned();
    for node in &graph.nodes {
        let _ = writeln!(out, "  {}[\"{}<br/>{}\"]", key(&node.id), title(node), who(node));
    }
    for (from, to) in needs(graph) {
        let _ = writeln!(out, "  {} --> {}", key(from), key(to));
    }
    for (from, Back { to, max }) in backs(graph) {
        let _ = writeln!(out, "  {} -. \"on failure, {max}x\" .-> {}", key(from), key(to));
    }
    out
}

/// Mermaid takes some words (`end`) for its own, so no node is named by its bare id.
fn key(id: &str) -> String {
    format!("n_{}", id.replace('-', "_"))
}

fn headline(graph: &Graph) -> String {
    let limits = &graph.limits;
    let parts = [
        limits.usd.map(|usd| usd.to_string()),
        limits.minutes.map(|minutes| format!("{minutes} min")),
        limits.turns.map(|turns| format!("{turns} turns")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let head = format!("{} (version {})", graph.name, graph.version);
    if parts.is_empty() { head } else { format!("{head}: at most {}", parts.join(", ")) }
}

fn row(node: &Node) -> [String; 4] {
    let mut links = Vec::new();
    if !node.needs.is_empty() {
        links.push(format!("after {}", node.needs.join(", ")));
    }
    links.extend(node.when.as_ref().map(|when| format!("when {when}")));
    let back = node.on_failure.as_ref();
    links.extend(back.map(|back| format!("on failure to {} ({}x)", back.to, back.max)));
    let id = format!("{}{}", title(node), if node.optional { " (optional)" } else { "" });
    [id, node.phase.name().to_owned(), who(node), links.join("; ")]
}

fn title(node: &Node) -> String {
    match &node.each {
        None => node.id.clone(),
        Some(Each::Number(n)) => format!("{} x{n}", node.id),
        Some(Each::Items(items)) => format!("{} x{}", node.id, items.len()),
        Some(Each::Carry { node: from, name }) => format!("{} x {from}.{name}", node.id),
    }
}

fn who(node: &Node) -> String {
    match &node.work {
        Work::Checks => "checks".to_owned(),
        Work::Agent(agent) if node.kind == AgentKind::Fork => format!("{}, fork", agent.role),
        Work::Agent(agent) => agent.role.clone(),
    }
}

fn needs(graph: &Graph) -> impl Iterator<Item = (&str, &str)> {
    graph
        .nodes
        .iter()
        .flat_map(|node| node.needs.iter().map(|need| (need.as_str(), node.id.as_str())))
}

fn backs(graph: &Graph) -> impl Iterator<Item = (&str, &Back)> {
    let backs = graph.nodes.iter().map(|node| (node.id.as_str(), node.on_failure.as_ref()));
    backs.filter_map(|(id, back)| back.map(|back| (id, back)))
}

#[cfg(test)]
mod tests {
    use crate::graph::{
        dag::Graph,
        fixture::graph,
        lookup::shipped,
        picture::{dot, mermaid, text},
    };

    fn resolve() -> Graph {
        let resolve = shipped().iter().find(|(name, _)| *name == "resolve");
        graph(resolve.expect("it is shipped").1)
    }

    #[test]
    fn words() {
        insta::assert_snapshot!(text(&resolve()), @r"
        resolve (version 1): at most $3.0000, 60 min, 250 turns
          orient (optional)       research        researcher
          research x3 (optional)  research        researcher, fork  after orient
          synthesis               synthesis       coordinator       after orient, research
          implement               implementation  implementer       after synthesis
          checks                  verification    checks            after implement; on failure to implement (3x)
          inspect                 verification    reviewer          after implement; on failure to implement (2x)
          review x2               verification    reviewer, fork    after inspect; on failure to implement (2x)
        ");
    }

    #[test]
    fn conditions_and_lists() {
        let text_of = text(&graph(
            "name: t\nversion: 1\nnodes:\n\
             \x20 - { id: a, phase: research, role: r, gives: { found: findings } }\n\
             \x20 - { id: b, phase: research, role: r, needs: [a], each: { from: a, carry: found }, when: { carry: found, at_least: 2 } }\n",
        ));
        insta::assert_snapshot!(text_of, @r"
        t (version 1)
          a            research  r
          b x a.found  research  r  after a; when found is at least 2
        ");
    }

    #[test]
    fn graphviz() {
        insta::assert_snapshot!(dot(&resolve()), @r#"
        digraph "resolve" {
          rankdir=LR;
          node [shape=box];
          "orient" [label="orient\nresearcher"];
          "research" [label="research x3\nresearcher, fork"];
          "synthesis" [label="synthesis\ncoordinator"];
          "implement" [label="implement\nimplementer"];
          "checks" [label="checks\nchecks"];
          "inspect" [label="inspect\nreviewer"];
          "review" [label="review x2\nreviewer, fork"];
          "orient" -> "research";
          "orient" -> "synthesis";
          "research" -> "synthesis";
          "synthesis" -> "implement";
          "implement" -> "checks";
          "implement" -> "inspect";
          "inspect" -> "review";
          "checks" -> "implement" [style=dashed, label="on failure, 3x"];
          "inspect" -> "implement" [style=dashed, label="on failure, 2x"];
          "review" -> "implement" [style=dashed, label="on failure, 2x"];
        }
        "#);
    }

    #[test]
    fn flowchart() {
        insta::assert_snapshot!(mermaid(&resolve()), @r#"
        flowchart LR
          n_orient["orient<br/>researcher"]
          n_research["research x3<br/>researcher, fork"]
          n_synthesis["synthesis<br/>coordinator"]
          n_implement["implement<br/>implementer"]
          n_checks["checks<br/>checks"]
          n_inspect["inspect<br/>reviewer"]
          n_review["review x2<br/>reviewer, fork"]
          n_orient --> n_research
          n_orient --> n_synthesis
          n_research --> n_synthesis
          n_synthesis --> n_implement
          n_implement --> n_checks
          n_implement --> n_inspect
          n_inspect --> n_review
          n_checks -. "on failure, 3x" .-> n_implement
          n_inspect -. "on failure, 2x" .-> n_implement
          n_review -. "on failure, 2x" .-> n_implement
        "#);
    }
}
