//! What commands stand on: the user's folders, the settings of all layers, whether the repository's
//! own settings count, and, for most commands, the repository itself.

use std::{
    env,
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::{
    cli::{
        batch::settings::BatchSettings,
        exit::{Failure, Kind, OrFail},
        settings::RunSettings,
    },
    external,
    git::repo::Repo,
    guard,
    prompt::set::PromptSet,
    protocol::event::Level,
    provider::known,
    sandbox,
    settings::{
        load::{Section, Settings, Sources},
        paths::Paths,
        trust,
    },
    subagent::{ladder, setup},
};

/// The tables a `config.toml` may have.
pub(super) const SECTIONS: [&str; 8] = [
    RunSettings::NAME,
    BatchSettings::NAME,
    known::Options::NAME,
    sandbox::options::Options::NAME,
    guard::options::Options::NAME,
    external::options::Options::NAME,
    ladder::Options::NAME,
    setup::Options::NAME,
];

/// What is set up for a folder, be it in a repository or not.
pub(super) struct Setup {
    /// The user's folders.
    pub(super) paths: Paths,
    /// The repository's `.grafter` folder, if it is trusted.
    pub(super) trusted: Option<PathBuf>,
    /// What the user should know.
    pub(super) notes: Vec<(Level, String)>,
    settings: Settings,
}

impl Setup {
    /// Returns what is set up for `dir`; outside a repository that is the user's own.
    pub(super) fn open(dir: Option<&Path>) -> Result<Self, Failure> {
        let repo = Repo::discover(&folder(dir)?).ok();
        Self::of(repo.as_ref())
    }

    fn of(repo: Option<&Repo>) -> Result<Self, Failure> {
        let paths = Paths::from_env().or_fail(Kind::Usage)?;
        let mut notes = Vec::new();
        let trusted = match repo {
            Some(repo) => trusted(repo, &paths, &mut notes),
            None => None,
        };
        let settings = Settings::load(Sources {
            user: Some(paths.config.join("config.toml")),
            repo: trusted.as_ref().map(|own| own.join("config.toml")),
            env: env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            flags: Vec::new(),
        })
        .or_fail(Kind::Usage)?;
        Ok(Self { paths, trusted, notes, settings })
    }

    /// Returns one table of the settings; a table that nobody knows is refused on the way.
    pub(super) fn section<T: Section>(&self) -> Result<T, Failure> {
        self.settings.refuse_unknown(&SECTIONS).or_fail(Kind::Usage)?;
        self.settings.section().or_fail(Kind::Usage)
    }

    /// Says on standard error what the user should know.
    pub(super) fn warn(&self) {
        for (_, text) in &self.notes {
            // Whoever closed standard error does not want to know.
            let _ = writeln!(io::stderr(), "warning: {text}");
        }
    }

    /// Returns the folders that may hold `name` files: the user's, which wins, then the trusted
    /// repository's.
    pub(super) fn layers(&self, name: &str) -> Vec<PathBuf> {
        let user = Some(self.paths.config.join(name));
        let own = self.trusted.as_ref().map(|own| own.join(name));
        user.into_iter().chain(own).filter(|dir| dir.is_dir()).collect()
    }

    /// Returns the prompts: what ships, overlaid by the trusted repository's and the user's own.
    pub(super) fn prompts(&self) -> Result<PromptSet, Failure> {
        let mut layers = self.layers("prompts");
        layers.reverse();
        PromptSet::load(&layers).or_fail(Kind::Usage)
    }
}

/// What a command on a repository stands on.
pub(super) struct Context {
    /// The repository.
    pub(super) repo: Repo,
    /// What is set up for it.
    pub(super) setup: Setup,
}

impl Context {
    /// Returns the context of the repository around `dir`.
    pub(super) fn open(dir: Option<&Path>) -> Result<Self, Failure> {
        let repo = Repo::discover(&folder(dir)?).map_err(|error| {
            let hint = error.hint();
            Failure::new(Kind::Usage, error).hint(hint)
        })?;
        let setup = Setup::of(Some(&repo))?;
        Ok(Self { repo, setup })
    }

    /// Returns the folder of this repository's trees.
    pub(super) fn trees(&self) -> PathBuf {
        self.setup.paths.state.join(self.repo.key())
    }
}

fn folder(dir: Option<&Path>) -> Result<PathBuf, Failure> {
    match dir {
        Some(dir) => Ok(dir.to_path_buf()),
        None => env::current_dir().or_fail(Kind::Infrastructure),
    }
}

fn trusted(repo: &Repo, paths: &Paths, notes: &mut Vec<(Level, String)>) -> Option<PathBuf> {
    let own = repo.checkout().join(".grafter");
    let text = match trust::content_hash(&own) {
        Ok(None) => return None,
        Ok(Some(hash)) if trust::is_trusted(&paths.state, &repo.key(), &hash) => return Some(own),
        Ok(Some(_)) => {
            let state = match trust::was_trusted(&paths.state, &repo.key()) {
                true => "has changed since it was trusted",
                false => "is not trusted",
            };
            format!(
                "this repository's .grafter folder {state} and has no effect; look at it, then run \
                 `grafter trust`"
            )
        }
        // Whatever a repository puts there must not keep its user from working.
        Err(error) => format!(
            "this repository's .grafter folder cannot be trusted and has no effect: {error}"
        ),
    };
    notes.push((Level::Warning, text));
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::{Paths, trusted};
    use crate::git::fixture::Fixture;

    #[test]
    fn an_untrusted_grafter_folder_with_a_link_disables_nothing() {
        let fixture = Fixture::small();
        fixture.write(".grafter/config.toml", b"[run]\n");
        symlink("/etc", fixture.root.join(".grafter/prompts")).unwrap();
        let paths = Paths {
            config: fixture.beside("config"),
            state: fixture.beside("state"),
            runtime: fixture.beside("run"),
            home: fixture.beside("home"),
        };
        let mut notes = Vec::new();
        assert_eq!(trusted(&fixture.repo(), &paths, &mut notes), None);
        assert!(notes[0].1.contains("no plain file or folder"), "{notes:?}");
    }
}
