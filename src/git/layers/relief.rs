//! Room on a disk that runs full: templates that nobody uses go, those of other repositories too.
//!
//! Only templates are taken, which can be made again: the one that was made longest ago first, until
//! there is room. One that a process uses is locked; one that a tree stands on which no process
//! serves, as after a kill, is named beside that tree. Whatever cannot be looked at stays.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{
    git::layers::{Over, Template, all, erase_unused},
    sandbox::disk,
};

/// Less free space than this is little, in bytes.
pub(super) const MARK: u64 = if cfg!(test) { 0 } else { 5 << 30 };
/// What the name of a folder of templates ends with.
const STORE: &str = ".templates";

/// Returns whether the disk of a folder has less than so much room.
pub(super) fn is_full(store: &Path, mark: u64) -> bool {
    disk::scarce(&[store.to_owned()], mark).is_some()
}

/// Takes templates of other repositories away until there is so much room; `store` is left alone.
pub(super) fn others(store: &Path, mark: u64) {
    let Some(parent) = store.parent() else { return };
    let mut found: Vec<(SystemTime, PathBuf, PathBuf)> = Vec::new();
    let mut turns = Vec::new();
    for other in fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = other.to_string_lossy().into_owned();
        let Some(trees) = name.strip_suffix(STORE).filter(|_| other != store) else { continue };
        // Somebody makes a template there just now.
        let Ok(turn) = File::open(other.join("lock")) else { continue };
        if turn.try_lock().is_err() {
            continue;
        }
        turns.push(turn);
        let Some(used) = used(Path::new(trees)) else { continue };
        let spare = all(&other).into_iter().filter(|one| !used.contains(&one.layers[0]));
        found.extend(spare.filter_map(|template| aged(&other, &template)));
    }
    found.sort();
    for (_, home, index) in found {
        if !is_full(store, mark) {
            return;
        }
        if let Err(error) = erase_unused(&home, &index) {
            tracing::warn!(%error, "a template stays behind");
        }
    }
}

fn aged(store: &Path, template: &Template) -> Option<(SystemTime, PathBuf, PathBuf)> {
    let made = fs::metadata(&template.index).and_then(|found| found.modified()).ok()?;
    Some((made, store.join(template.tree.as_str()), template.index.clone()))
}

/// Returns what the trees in a repository's folder stand on; none if that cannot be told.
fn used(trees: &Path) -> Option<Vec<PathBuf>> {
    let mut used = Vec::new();
    let runs = match fs::read_dir(trees) {
        Ok(runs) => runs,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(used),
        Err(_) => return None,
    };
    for run in runs {
        let run = run.ok()?.path();
        if !run.is_dir() {
            continue;
        }
        for beside in fs::read_dir(run).ok()? {
            let beside = beside.ok()?.path();
            let Some(tree) = beside.to_str().and_then(|name| name.strip_suffix(".over")) else {
                continue;
            };
            used.extend(Over::of(Path::new(tree))?.lower);
        }
    }
    Some(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(root: &Path, repo: &str, tree: &str) -> PathBuf {
        let home = root.join(format!("{repo}{STORE}")).join(tree);
        fs::create_dir_all(home.join("files")).unwrap();
        fs::write(home.join("index"), "").unwrap();
        fs::write(home.parent().unwrap().join("lock"), "").unwrap();
        home
    }

    #[test]
    fn on_a_full_disk_only_what_nobody_uses_and_can_be_made_again_goes() {
        let root = tempfile::tempdir().unwrap();
        let own = template(root.path(), "own", "t1");
        let [spare, held, stood_on] = ["t2", "t3", "t4"].map(|t| template(root.path(), "other", t));
        let lock = File::open(held.join("index")).unwrap();
        lock.lock_shared().unwrap();
        let beside = root.path().join("other/run/writer.over");
        fs::create_dir_all(&beside).unwrap();
        let files = stood_on.join("files").display().to_string();
        fs::write(beside.join("lower"), format!("base\0{files}\0")).unwrap();
        let busy = template(root.path(), "busy", "t5");
        let turn = File::open(busy.with_file_name("lock")).unwrap();
        turn.lock().unwrap();
        let source = root.path().join("other/run/writer/a.txt");
        fs::create_dir_all(source.parent().unwrap()).unwrap();
        fs::write(&source, "mine").unwrap();
        others(own.parent().unwrap(), 0);
        assert!(spare.exists(), "there is room");
        others(own.parent().unwrap(), u64::MAX);
        assert!(!spare.exists());
        for stays in [&own, &held, &stood_on, &busy, &source] {
            assert!(stays.exists(), "{}", stays.display());
        }
    }
}
