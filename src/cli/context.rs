//! What every command that works on a repository needs: the repository, the user's folders, the
//! settings of all layers, and whether the repository's own settings count.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::{
    cli::{
        exit::{Failure, Kind, OrFail},
        settings::RunSettings,
    },
    git::repo::Repo,
    prompt::set::PromptSet,
    protocol::event::Level,
    provider::known,
    settings::{
        load::{Section, Settings, Sources},
        paths::Paths,
        trust,
    },
};

/// The tables of `config.toml`.
const SECTIONS: [&str; 2] = [RunSettings::NAME, known::Options::NAME];

/// The ground a command stands on.
pub(super) struct Context {
    /// The repository.
    pub(super) repo: Repo,
    /// The user's folders.
    pub(super) paths: Paths,
    /// All layers of settings.
    pub(super) settings: Settings,
    /// The repository's `.grafter` folder, if it is trusted.
    pub(super) trusted: Option<PathBuf>,
    /// What the user should know.
    pub(super) notes: Vec<(Level, String)>,
}

impl Context {
    /// Returns the context of the repository around `dir`.
    pub(super) fn open(dir: Option<&Path>) -> Result<Self, Failure> {
        let dir = match dir {
            Some(dir) => dir.to_path_buf(),
            None => env::current_dir().or_fail(Kind::Infrastructure)?,
        };
        let repo = Repo::discover(&dir).map_err(|error| {
            let hint = error.hint();
            Failure::new(Kind::Usage, error).hint(hint)
        })?;
        let paths = Paths::from_env().or_fail(Kind::Usage)?;
        let own = repo.checkout().join(".grafter");
        let hash = trust::content_hash(&own).or_fail(Kind::Usage)?;
        let is_trusted = |hash: &String| trust::is_trusted(&paths.state, &repo.key(), hash);
        let mut notes = Vec::new();
        let trusted = match &hash {
            Some(hash) if is_trusted(hash) => Some(own),
            Some(_) => {
                let state = match trust::was_trusted(&paths.state, &repo.key()) {
                    true => "has changed since it was trusted",
                    false => "is not trusted",
                };
                let text = format!(
                    "this repository's .grafter folder {state} and has no effect; look at it, \
                     then run `grafter trust`"
                );
                notes.push((Level::Warning, text));
                None
            }
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
        settings.refuse_unknown(&SECTIONS).or_fail(Kind::Usage)?;
        Ok(Self { repo, paths, settings, trusted, notes })
    }

    /// Says on standard error what the user should know.
    pub(super) fn warn(&self) {
        for (_, text) in &self.notes {
            complain!("warning: {text}");
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

    /// Returns the folder of this repository's trees.
    pub(super) fn trees(&self) -> PathBuf {
        self.paths.state.join(self.repo.key())
    }
}
