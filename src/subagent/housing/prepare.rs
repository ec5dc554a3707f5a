//! What a place is made of: the tree, its private home and git dir, and all that is seen beside.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use crate::{
    git::{
        include,
        private::{self, PrivateSpec},
        tree::{self, TreeSpec},
        worktrees,
    },
    guard::tripwire,
    protocol::cause::chain,
    sandbox::place::PlaceSpec,
    subagent::{
        housing::{HousingError, Site, Wish},
        setup::Made,
        share, sweep,
    },
};

/// Where a place comes to be, and of what.
pub(super) struct Room {
    /// Its folder.
    pub(super) path: PathBuf,
    /// A tree that was given up, to make it from.
    pub(super) spare: Option<PathBuf>,
    /// What was made for its commit.
    pub(super) made: Made,
}

/// Makes the tree of a place with all that belongs to it, and returns what the place is made of.
pub(super) fn prepare(site: &Site, wish: &Wish, room: &Room) -> Result<PlaceSpec, HousingError> {
    let path = room.path.as_path();
    let tree_error = |cause: String| HousingError::Tree { path: path.to_path_buf(), cause };
    let io_error = |error: std::io::Error| tree_error(error.to_string());
    let spec = TreeSpec {
        path: path.to_path_buf(),
        commit: wish.commit.clone(),
        branch: wish.branch.clone(),
    };
    let private = |folder: &Path| DirBuilder::new().recursive(true).mode(0o700).create(folder);
    private(&site.root).map_err(io_error)?;
    let made = match &room.spare {
        Some(spare) => tree::remake(&site.repo, spare, &spec),
        None => tree::make_as(&site.repo, &spec, &site.shape),
    };
    made.map_err(|error| tree_error(chain(&error)))?;
    let (shown, copied) = room.made.split(site.backend);
    let copied = include::of_checkout(&site.repo, &site.include).into_iter().chain(copied);
    let copied = Vec::from_iter(copied);
    include::copy(path, &copied).map_err(|error| tree_error(chain(&error)))?;
    let home = sweep::belonging(path, "home");
    private(&home).map_err(io_error)?;
    if let Some(text) = &site.canary {
        fs::write(home.join(tripwire::FILE), text).map_err(io_error)?;
    }
    let branch = wish.branch.as_deref().unwrap_or("work");
    let spec = PrivateSpec {
        tree: path,
        dir: sweep::belonging(path, "git"),
        commit: &wish.commit,
        branch,
    };
    let git = private::make(&site.repo, &spec).map_err(|error| tree_error(chain(&error)))?;
    let checkout = site.repo.checkout().to_path_buf();
    let share = shared(site, wish, shown);
    let mut options = site.sandbox.clone();
    options.hosts.extend(wish.grants.hosts.iter().cloned());
    // In a linked worktree they lie outside the checkout, so the tree over that covers them not.
    let hide = site.hide.iter().cloned().chain(worktrees::of_others(&site.repo)).collect();
    Ok(PlaceSpec {
        tree: path.to_path_buf(),
        seen_as: checkout,
        private_git: Some(git.dir),
        objects: git.objects,
        home,
        hide,
        share,
        write: wish.grants.write.clone(),
        path_env: std::env::var_os("PATH").unwrap_or_default(),
        backend: site.backend,
        options,
        contacts: None,
        helper: site.helper.clone(),
    })
}

/// Returns the folders of the host that a place shows, and where.
fn shared(site: &Site, wish: &Wish, made: Vec<(PathBuf, PathBuf)>) -> Vec<(PathBuf, PathBuf)> {
    let checkout = site.repo.checkout();
    let made = Vec::from_iter(made.into_iter().map(|(from, name)| (from, checkout.join(name))));
    let mut share = share::folders(&site.repo, &site.share, &wish.commit);
    // What was made for this commit is nearer to it than what the checkout has.
    share.retain(|(_, at)| !made.iter().any(|(_, other)| other == at));
    share.extend(made);
    share.extend(wish.grants.read.iter().map(|path| (path.clone(), path.clone())));
    share
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        git::{fixture::Fixture, repo::Repo, tree::Shape},
        sandbox::{grants::Grants, options::Options, probe::Backend},
        subagent::setup,
    };

    #[test]
    fn an_agent_of_a_linked_worktree_does_not_see_the_repositorys_git_dir() {
        let fixture = Fixture::small();
        let linked = fixture.beside("linked");
        fixture.git(&["worktree", "add", "-q", "-b", "other", &linked.to_string_lossy()]);
        let repo = Repo::discover(&linked).unwrap();
        let site = Site {
            root: fixture.beside("trees"),
            backend: Backend::None,
            sandbox: Options::default(),
            helper: PathBuf::new(),
            share: Vec::new(),
            canary: None,
            hide: Vec::new(),
            shape: Shape::Plain,
            include: Vec::new(),
            setup: setup::Options::default(),
            setups: fixture.beside("setups"),
            repo,
        };
        let commit = site.repo.resolve("HEAD").unwrap();
        let wish =
            Wish { name: "base".to_owned(), commit, branch: None, grants: Grants::default() };
        let room = Room { path: site.root.join("base"), spare: None, made: Made::default() };
        let spec = prepare(&site, &wish, &room).unwrap();
        assert!(!site.repo.common_dir().starts_with(&spec.seen_as), "or the test shows nothing");
        for hidden in [site.repo.common_dir(), site.repo.git_dir(), &fixture.root] {
            assert!(spec.hide.iter().any(|path| path == hidden), "{}", hidden.display());
        }
    }
}
