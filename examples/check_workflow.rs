//! Checks a workflow file and draws it: `cargo run --example check_workflow -- FILE`.
//!
//! Prints Mermaid for a valid workflow, and for another what is wrong in which line. Without a
//! file it draws the shipped `resolve`.

use std::{env, process::ExitCode};

use grafter::{
    graph::{load, lookup, picture},
    tools::catalogue::catalogue,
};

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example's result is what it prints"
)]
fn main() -> ExitCode {
    let name = env::args().nth(1).unwrap_or_else(|| "resolve".to_owned());
    match draw(&name) {
        Ok(mermaid) => {
            print!("{mermaid}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}

/// Returns the picture of a workflow: a file's, or a shipped one's by its name.
fn draw(name: &str) -> Result<String, String> {
    let source = lookup::find(name, &[]).map_err(|error| error.to_string())?;
    // A graph is valid from the moment it exists: whatever could be wrong is told here.
    let graph = load::load(&source.origin, &source.text, catalogue());
    Ok(picture::mermaid(&graph.map_err(|error| error.to_string())?))
}
