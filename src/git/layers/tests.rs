//! Templates and the overlays above them, on a real kernel; skipped where no overlay can be laid.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::{
    git::{
        fixture::Fixture,
        refs,
        snapshot::Tracker,
        tree::{Shape, State, TreeSpec, make_as},
    },
    sandbox::overlay::in_a_thread,
};

struct Scene {
    fixture: Fixture,
    repo: Repo,
    store: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let fixture = Fixture::small();
        let (repo, store) = (fixture.repo(), fixture.beside("templates"));
        Self { fixture, repo, store }
    }

    fn spec(&self, name: &str, branch: Option<&str>) -> TreeSpec {
        let (path, commit) = (self.fixture.beside("trees").join(name), self.fixture.oid("HEAD"));
        TreeSpec { path, commit, branch: branch.map(str::to_owned) }
    }

    fn make(&self, name: &str, branch: Option<&str>) -> PathBuf {
        let spec = self.spec(name, branch);
        make_as(&self.repo, &spec, &Shape::Overlay(self.store.clone())).unwrap();
        assert!(overlay::is_laid(&spec.path));
        spec.path
    }

    fn templates(&self) -> Vec<usize> {
        let mut layers: Vec<_> = all(&self.store).iter().map(|it| it.layers.len()).collect();
        layers.sort_unstable();
        layers
    }

    /// Makes the process forget which templates it uses, as another one would not know.
    fn anew(&self) {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|home, _| !home.starts_with(&self.store));
    }
}

#[test]
fn a_moving_tip_costs_layers_and_at_last_a_whole_template_again() {
    in_a_thread(|| {
        let scene = Scene::new();
        for round in 0..12 {
            scene.fixture.write("a.txt", format!("round {round}\n").as_bytes());
            scene.fixture.write(&format!("new/{round}"), b"x");
            scene.fixture.git(&["rm", "-q", "--cached", "--ignore-unmatch", "new/3"]);
            scene.fixture.commit("next");
            let tree = scene.make(&format!("t{round}"), Some(&format!("grafter/r/t{round}")));
            let text = fs::read_to_string(tree.join("a.txt")).unwrap();
            assert_eq!(text, format!("round {round}\n"));
            let mut tracker = Tracker::new(&scene.repo, &tree, &scene.fixture.oid("HEAD")).unwrap();
            assert_eq!(tracker.snapshot().unwrap(), None, "round {round}");
            assert_eq!(fs::read_dir(Over::of(&tree).unwrap().upper()).unwrap().count(), 1);
        }
        let layers = scene.templates();
        assert_eq!(layers.iter().filter(|count| **count == 1).count(), 2, "{layers:?}");
        assert_eq!(layers.iter().max(), Some(&(MOST_LAYERS + 1)), "{layers:?}");
        // One that is alone with its commit takes what is near.
        scene.fixture.write("a.txt", b"last\n");
        scene.fixture.commit("last");
        let tree = scene.make("check", None);
        assert_eq!(fs::read(tree.join("a.txt")).unwrap(), b"last\n");
        assert_eq!(scene.templates(), layers);
    });
}

#[test]
fn a_template_that_was_changed_by_hand_is_made_again() {
    in_a_thread(|| {
        let scene = Scene::new();
        let harm: [fn(&Path); 4] = [
            |files| fs::write(files.join("a.txt"), b"not so").unwrap(),
            |files| fs::remove_file(files.join("a.txt")).unwrap(),
            |files| fs::write(files.join("more.txt"), b"more").unwrap(),
            |files| fs::remove_dir_all(files).unwrap(),
        ];
        let whole = scene.make("first", None);
        let before = fs::read(whole.join("a.txt")).unwrap();
        for (round, harm) in harm.iter().enumerate() {
            let home = all(&scene.store).remove(0).layers.remove(0);
            harm(&home);
            scene.anew();
            let tree = scene.make(&format!("t{round}"), None);
            assert_eq!(fs::read(tree.join("a.txt")).unwrap(), before, "{round}");
            assert!(!tree.join("more.txt").exists(), "{round}");
        }
    });
}

#[test]
fn templates_that_nobody_uses_go_but_the_last_few() {
    in_a_thread(|| {
        let scene = Scene::new();
        let mut kept = None;
        for round in 0..6 {
            scene.fixture.git(&["checkout", "-q", "--orphan", &format!("o{round}")]);
            // Too far from each other for a layer.
            for file in 0..=MOST_CHANGES {
                scene.fixture.write(&format!("d{round}/{file}"), b"x");
            }
            scene.fixture.commit("far");
            let tree = scene.make(&format!("t{round}"), None);
            match round {
                0 => kept = Some(tree),
                _ => tree::discard(&scene.repo, &tree).unwrap(),
            }
            scene.anew();
        }
        let used = Over::of(&kept.unwrap()).unwrap().lower;
        assert!(used.iter().all(|layer| layer.is_dir()), "what is used stays");
        let left = all(&scene.store).len();
        assert!((SPARE..=SPARE + 2).contains(&left), "{left}");
    });
}

#[test]
fn what_is_written_above_a_template_that_is_gone_is_not_lost() {
    in_a_thread(|| {
        let scene = Scene::new();
        let tree = scene.make("w", Some("grafter/r/w"));
        fs::write(tree.join("mine.txt"), b"mine").unwrap();
        fs::remove_file(tree.join("a.txt")).unwrap();
        // Its process ends, and somebody takes the templates away.
        overlay::lift(&tree).unwrap();
        scene.anew();
        fs::remove_dir_all(&scene.store).unwrap();
        let [info] = &tree::list(&scene.repo)[..] else { panic!("one tree") };
        assert_eq!(info.dirty, State::Dirty);
        for shape in [Shape::Overlay(scene.store.clone()), Shape::Plain] {
            make_as(&scene.repo, &scene.spec("w", Some("grafter/r/w")), &shape).unwrap();
            assert_eq!(fs::read(tree.join("mine.txt")).unwrap(), b"mine");
            assert!(!tree.join("a.txt").exists() && tree.join("src").is_dir());
        }
        assert!(!overlay::is_laid(&tree) && Over::of(&tree).is_none(), "it has files of its own");
    });
}

#[test]
fn an_overlay_that_is_not_laid_is_saved_before_it_is_removed() {
    in_a_thread(|| {
        let scene = Scene::new();
        let tree = scene.make("w", Some("grafter/r/w"));
        fs::write(tree.join("mine.txt"), b"mine").unwrap();
        fs::set_permissions(tree.join("mine.txt"), fs::Permissions::from_mode(0o000)).unwrap();
        overlay::lift(&tree).unwrap();
        assert!(!tree::release(&scene.repo, &tree).unwrap(), "there is work in it");
        let orphan = tree::remove(&scene.repo, &tree).unwrap().orphan.expect("it was saved");
        let saved = refs::value(&scene.repo, &orphan).unwrap().expect("the ref is there");
        assert_eq!(scene.fixture.git(&["show", &format!("{saved}:mine.txt")]), "mine");
        assert!(!tree.exists() && !beside(&tree).exists());
    });
}
