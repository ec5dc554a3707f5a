//! Ground truth for the table of command checks: what must be stopped is run in a throw-away
//! sandbox and must do what it is stopped for, so that no check is about a thing that cannot be.
//!
//! The data says for each example what shows it, and for the others of a row why they are not run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use grafter::{
    sandbox::{probe::Backend, run::Cmd},
    settings::yaml,
};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{Host, namespaces_work, skip};

/// A small repository with scripts that leave the file `P`, and a file beside it.
const TREE: &str = "git init -q -b main; git config user.name A; git config user.email a@b; \
     mkdir -p sub src; echo a > f; git add f; git commit -qm start; \
     for file in a x y evil; do echo 'touch P' > $file; chmod +x $file; done; ";

#[derive(Deserialize)]
struct Row {
    deny: Vec<String>,
    ask: Vec<String>,
    real: Vec<Real>,
    /// Why the other examples are not run.
    rest: Option<String>,
}

/// An example that is run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Real {
    run: String,
    /// What is done first.
    after: Option<String>,
    /// The program without which there is nothing to see.
    needs: Option<String>,
    /// What it prints, which its own text does not hold.
    says: Option<String>,
    /// The command that fails before and succeeds after it.
    shows: Option<String>,
}

fn rows() -> Vec<(String, Row)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guard/checks");
    let files = fs::read_dir(folder).expect("the checks").map(|entry| entry.expect("one").path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    let load = |path: &PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(path).expect("text");
        let row = yaml::from_str(&name, &text).expect("valid");
        (name, row)
    };
    files.iter().map(load).collect()
}

/// Runs an example; an error is what was printed where it did not do what it is stopped for.
async fn fault(real: &Real) -> Result<(), String> {
    let host = Host::with(Backend::Namespaces, |root, spec| {
        for file in ["x", "outside/a"] {
            let file = root.join(file);
            fs::write(&file, "deep\n").expect("written");
            // Below `/tmp` a sandbox would hide them.
            spec.share.push((file.clone(), file));
        }
    })
    .await;
    let shows = real.shows.as_deref().unwrap_or("false");
    let script = format!(
        "{TREE} {}\n{shows} && echo '<before>'\nbash -c \"$COMMAND\" < /dev/null 2>&1\n\
         {shows} && echo '<after>'",
        real.after.as_deref().unwrap_or_default()
    );
    let mut command = Cmd::new(&script);
    command.env.push(("COMMAND".to_owned(), real.run.clone()));
    let ran = host.place.run(command, &CancellationToken::new()).await.expect("it runs");
    let said = String::from_utf8_lossy(&ran.output).into_owned();
    let is_real = match &real.says {
        Some(text) => !real.run.contains(text.as_str()) && said.contains(text.as_str()),
        None => said.contains("<after>") && !said.contains("<before>"),
    };
    if is_real { Ok(()) } else { Err(said) }
}

#[test]
fn every_example_that_must_be_stopped_is_run_or_says_why_not() {
    for (id, row) in rows() {
        let all: Vec<&String> = row.deny.iter().chain(&row.ask).collect();
        for real in &row.real {
            assert!(all.contains(&&real.run), "{id} has no {:?}", real.run);
            assert!(real.says.is_some() != real.shows.is_some(), "{id} {:?}", real.run);
        }
        assert_eq!(row.rest.is_some(), row.real.len() < all.len(), "{id}");
    }
}

#[tokio::test]
async fn what_must_be_stopped_does_what_it_is_stopped_for() {
    if !namespaces_work() {
        return;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = |name: &String| std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    let (mut faults, mut ran, mut left) = (Vec::new(), 0, 0);
    for (id, row) in rows() {
        let others = row.deny.len() + row.ask.len() - row.real.len();
        left += others;
        if let Some(why) = &row.rest {
            skip(&format!("{id}, {others} examples: {why}"));
        }
        for real in &row.real {
            if let Some(name) = real.needs.as_ref().filter(|name| !has(name)) {
                skip(&format!("{id} {:?}: {name} is missing", real.run));
                left += 1;
                continue;
            }
            ran += 1;
            if let Err(said) = fault(real).await {
                faults.push(format!("{id} {:?}: {said}", real.run));
            }
        }
    }
    skip(&format!("{left} examples, beside {ran} that were run"));
    assert!(faults.is_empty(), "{} of {ran}\n{}", faults.len(), faults.join("\n"));
}
