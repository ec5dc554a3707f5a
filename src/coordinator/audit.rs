//! The proof at the end of a run: what of the user's side of the repository is not as it was.

use crate::{
    git::{repo::Repo, witness::Print},
    protocol::{audit::Audit, event::What, report::DiffStat},
};

/// The most names of changed things that are kept.
const MAX_NAMED: usize = 200;

/// What a landing does to the user's side of the repository.
#[derive(Clone, Debug, Default)]
pub(super) struct Landings {
    expected: Vec<String>,
    ignores: bool,
}

impl Landings {
    /// Takes note of a landing; `here` is the branch that the user's checkout stands on.
    pub(super) fn note(&mut self, what: &What, here: Option<&str>) {
        let What::Landed { branch, stat: DiffStat { files }, .. } = what else { return };
        self.expected.push(format!("ref refs/heads/{branch}"));
        if here != Some(branch) {
            return;
        }
        self.ignores |= files.iter().any(|(path, ..)| path.ends_with(".gitignore"));
        for (path, ..) in files {
            self.expected.extend([format!("file {path}"), format!("index {path}")]);
        }
    }
}

/// Compares the repository with what it was; what landed is expected to differ.
pub(super) fn compare(repo: &Repo, before: &Print, landings: &Landings) -> Audit {
    let after = Print::of(repo);
    let mut changed = before.changed(&after);
    changed.retain(|name| !landings.expected.contains(name));
    let mut unseen = before.unseen.clone();
    if landings.ignores {
        // A file that an ignore rule hides or shows now was neither made nor deleted.
        changed.retain(|name| !name.starts_with("file ") || (before.has(name) && after.has(name)));
        unseen.push("new and deleted files, because the landing changed a .gitignore".to_owned());
    }
    unseen.extend(after.unseen.iter().filter(|why| !before.unseen.contains(why)).cloned());
    if changed.len() > MAX_NAMED {
        unseen.push(format!("the names of {} more changes", changed.len() - MAX_NAMED));
        changed.truncate(MAX_NAMED);
    }
    Audit {
        files: after.files,
        refs: after.refs,
        before: before.digest(),
        after: after.digest(),
        changed,
        unseen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    #[test]
    fn what_landed_in_the_checkout_is_expected_and_the_rest_is_not() {
        let fixture = Fixture::small();
        let repo = fixture.repo();
        let before = Print::of(&repo);
        assert_eq!(compare(&repo, &before, &Landings::default()).changed, Vec::<String>::new());
        let from = repo.tip("main").unwrap();
        fixture.write("a.txt", b"two\n");
        let to = fixture.commit("second");
        fixture.write("b.txt", b"b");
        let stat = DiffStat { files: vec![("a.txt".to_owned(), 1, 1)] };
        let landed = What::Landed { branch: "main".to_owned(), from, to, stat };
        let changed = |here| {
            let mut landings = Landings::default();
            landings.note(&landed, here);
            compare(&repo, &before, &landings).changed
        };
        assert_eq!(changed(Some("main")), ["file b.txt"]);
        assert_eq!(changed(Some("other")), ["file a.txt", "file b.txt", "index a.txt"]);
    }
}
