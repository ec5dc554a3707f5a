//! What a target has by now, and so may go: trees, task branches, and refs that kept work.
//!
//! `plan` decides over all of it and says why; `carry_out` removes one thing, if it still is as it
//! was found. Nothing goes that the target has not, that grafter did not make, that somebody locked
//! or has checked out, or of which that cannot be told.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::{
    git::{
        integrated,
        program::GitError,
        refs::{self, Cas},
        repo::Repo,
        tree::{self, State, TreeError, TreeInfo},
        worktrees::{self, Head},
    },
    journal::runs::{RunDir, RunState},
    protocol::{cause::chain, ids::Oid},
    subagent::sweep,
};

/// Where task branches are.
const BRANCHES: &str = "refs/heads/grafter/";
/// Where work is kept that was nowhere else.
const ORPHANS: &str = "refs/grafter/orphan/";

/// What must have all that goes.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name, for people.
    pub name: String,
    /// Its full name as a ref.
    pub full: String,
    /// Where it stands.
    pub tip: Oid,
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    /// A working tree, with its branch if it has one.
    Tree(PathBuf, Option<String>),
    /// A ref by its full name.
    Ref(String, Oid),
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes, because of this.
    Goes(String),
    /// It stays, because of this.
    Stays(String),
}

/// One thing that grafter made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub thing: Thing,
    /// What becomes of it.
    pub fate: Fate,
}

impl Item {
    /// Returns what it is in a few words.
    pub fn words(&self) -> String {
        match &self.thing {
            Thing::Tree(path, Some(_)) => format!("tree {}", path.display()),
            Thing::Tree(path, None) => format!("throw-away tree {}", path.display()),
            Thing::Ref(name, at) => {
                let short = name.strip_prefix("refs/heads/").map(|name| format!("branch {name}"));
                let short = short.unwrap_or_else(|| format!("ref {name}"));
                format!("{short} ({})", at.short())
            }
        }
    }

    fn goes(&self) -> bool {
        matches!(self.fate, Fate::Goes(_))
    }
}

/// Decides over all trees, task branches and kept work; `runs` are all runs and batches, whose trees
/// lie below `trees`.
pub fn plan(
    repo: &Repo,
    target: &Target,
    (runs, trees): (&[RunDir], &Path),
) -> Result<Vec<Item>, GitError> {
    let open = |run: &&RunDir| !matches!(run.state(), RunState::Finished(_));
    let look = Look {
        repo,
        target,
        known: runs.iter().map(|run| run.id.to_string()).collect(),
        open: runs.iter().filter(open).map(|run| run.id.to_string()).collect(),
    };
    let mut items = Vec::new();
    for tree in tree::list(repo) {
        let run = tree.path.strip_prefix(trees).ok().and_then(|path| path.iter().next());
        let open = run.is_some_and(|run| look.open.contains(&*run.to_string_lossy()));
        let fate = if open { unfinished() } else { look.tree(&tree) };
        items.push(Item { thing: Thing::Tree(tree.path, tree.branch), fate });
    }
    let gone: BTreeSet<String> = items.iter().filter(|item| item.goes()).filter_map(of).collect();
    for (name, at) in refs::list(repo, BRANCHES)? {
        let fate = look.branch(&name, &at, &gone);
        items.push(Item { thing: Thing::Ref(name, at), fate });
    }
    for (name, at) in refs::list(repo, ORPHANS)? {
        let fate = look.work(&at);
        items.push(Item { thing: Thing::Ref(name, at), fate });
    }
    Ok(items)
}

/// Removes one thing that may go; returns why it stays all the same, if it does.
pub fn carry_out(repo: &Repo, thing: &Thing) -> Result<Option<&'static str>, TreeError> {
    match thing {
        Thing::Tree(path, None) => sweep::discard(repo, path).map(|()| None),
        Thing::Tree(path, Some(_)) => match tree::release(repo, path)? {
            true => sweep::beside(path).map(|()| None),
            false => Ok(Some("it was written to meanwhile")),
        },
        Thing::Ref(name, at) => match refs::delete(repo, name, at)? {
            Cas::Moved => Ok(None),
            Cas::Missed { .. } => Ok(Some("it was moved meanwhile")),
        },
    }
}

fn of(item: &Item) -> Option<String> {
    match &item.thing {
        Thing::Tree(_, branch) => branch.clone(),
        Thing::Ref(..) => None,
    }
}

fn unfinished() -> Fate {
    Fate::Stays("its run is live or can go on".to_owned())
}

struct Look<'a> {
    repo: &'a Repo,
    target: &'a Target,
    /// All runs.
    known: BTreeSet<String>,
    /// Those that have not come to their end.
    open: BTreeSet<String>,
}

impl Look<'_> {
    fn tree(&self, tree: &TreeInfo) -> Fate {
        let stays = |why: &str| Fate::Stays(why.to_owned());
        let Some(branch) = &tree.branch else {
            return Fate::Goes("its run has ended".to_owned());
        };
        let site = worktrees::at(self.repo, &tree.path);
        match site.as_ref().map(worktrees::locked).transpose() {
            Err(error) => return unclear(&error),
            Ok(Some(Some(why))) if why.is_empty() => return stays("it is locked"),
            Ok(Some(Some(why))) => return Fate::Stays(format!("it is locked: {why}")),
            Ok(_) => {}
        }
        match site.map(|site| worktrees::head(&site.git_dir)) {
            Some(Some(Head::Branch(head))) if head == *branch => {}
            None if !tree.path.exists() => {}
            None => return stays("it is no worktree of this repository any more"),
            Some(_) => return stays("something else is checked out in it"),
        }
        match &tree.dirty {
            State::Clean | State::Missing => self.work(&tree.head),
            State::Dirty => stays("it holds changes that are not committed"),
            State::Unknown(why) => Fate::Stays(format!("it cannot be looked at: {why}")),
        }
    }

    fn branch(&self, name: &str, at: &Oid, gone: &BTreeSet<String>) -> Fate {
        let run = name[BRANCHES.len()..].split_once('/').map(|(run, _)| run);
        let Some(run) = run.filter(|run| self.known.contains(*run)) else {
            return Fate::Stays("no run of that name is known".to_owned());
        };
        if name == self.target.full {
            return Fate::Stays("it is the target".to_owned());
        }
        if self.open.contains(run) {
            return unfinished();
        }
        let branch = &name["refs/heads/".len()..];
        match worktrees::needing(self.repo, branch) {
            Err(error) => unclear(&error),
            Ok(Some(place)) if !gone.contains(branch) => {
                Fate::Stays(format!("{} has it checked out", place.display()))
            }
            Ok(_) => self.work(at),
        }
    }

    fn work(&self, at: &Oid) -> Fate {
        let name = &self.target.name;
        match integrated::way(self.repo, &self.target.tip, at) {
            Err(error) => unclear(&error),
            Ok(Some(way)) => Fate::Goes(format!("{name} {}", way.words())),
            Ok(None) => Fate::Stays(format!("{name} does not have it")),
        }
    }
}

fn unclear(error: &GitError) -> Fate {
    Fate::Stays(format!("it cannot be told whether it may go: {}", chain(error)))
}
