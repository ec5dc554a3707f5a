//! Reading a backlog: a file, a folder of markdown files, or standard input.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use crate::{
    cli::exit::{Failure, Kind, OrFail},
    fleet::tasks::{self, Form},
    git::repo::Repo,
    protocol::batch::BatchTask,
};

/// The largest backlog, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// Returns the tasks of a backlog that are for this repository, and how many are not.
pub(super) fn read(repo: &Repo, path: &Path) -> Result<(Vec<BatchTask>, usize), Failure> {
    let tasks = all(path)?;
    let mut places = repo.remotes().or_fail(Kind::Infrastructure)?;
    places.push(repo.checkout().display().to_string());
    let is = |named: &str| {
        // A path may be relative, or lead over a link.
        let found = fs::canonicalize(named).ok().filter(|_| named.starts_with(['.', '/']));
        let named = found.map_or_else(|| named.to_owned(), |path| path.display().to_string());
        places.iter().any(|place| tasks::names_place(&named, place))
    };
    let found = tasks::of_repo(&path.display().to_string(), tasks, &is);
    found.map_err(|error| {
        let failure = Failure::new(Kind::Usage, error);
        failure
            .hint("`repo` is a repository's folder, or the place of its remote, such as owner/name")
    })
}

fn all(path: &Path) -> Result<Vec<BatchTask>, Failure> {
    let name = path.display().to_string();
    let named = |error: io::Error| {
        let text = format!("cannot read the backlog {name}");
        Failure::new(Kind::Usage, anyhow::Error::new(error).context(text))
    };
    let tasks = if path == Path::new("-") {
        let text = capped(io::stdin()).map_err(named)?;
        tasks::read("standard input", &text, Form::of("", &text))
    } else if path.is_dir() {
        tasks::read_markdown(&name, &markdown(path).map_err(named)?)
    } else {
        let text = File::open(path).and_then(capped).map_err(named)?;
        tasks::read(&name, &text, Form::of(&name, &text))
    };
    tasks.map_err(|error| {
        let hint = error.hint();
        Failure::new(Kind::Usage, error).hint(hint)
    })
}

fn capped(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    match text.len() as u64 > MAX_BYTES {
        true => Err(io::Error::other("it is longer than 64 MiB")),
        false => Ok(text),
    }
}

fn markdown(folder: &Path) -> io::Result<Vec<(String, String)>> {
    let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    let paths = entries.into_iter().map(|entry| entry.path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|ending| ending == "md")).collect();
    paths.sort();
    let one = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, File::open(path).and_then(capped)?))
    };
    paths.iter().map(one).collect()
}
