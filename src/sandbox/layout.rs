//! What a sandbox shows of the machine: turns a place's description into a [`Setup`].
//!
//! The host's file system stays in sight, read-only, so that whatever is installed works. Over it:
//! an empty home with the toolchains in it, empty folders for temporary files and sockets, nothing
//! where grafter and the repository keep theirs, and the tree where the user's checkout is.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use crate::sandbox::{
    hosts::own_loopback,
    options::Limits,
    place::{OBJECTS, PlaceSpec},
    probe::Backend,
    toolchain::{self, Host, Toolchains},
    wire::{Access, Confine, Fill, Layer, Setup, View},
};

/// Folders that are empty and private inside.
pub(super) const SCRATCH: [&str; 3] = ["/tmp", "/var/tmp", "/run"];
/// Secrets of the machine, which matter when grafter runs as root.
const MACHINE_SECRETS: [&str; 6] = [
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/krb5.keytab",
    "/etc/ssl/private",
];
/// The home inside where the user's own path cannot be one.
const OTHER_HOME: &str = "/tmp/grafter-home";
/// The private git dir inside where it cannot be at the tree's `.git`.
const OTHER_GIT: &str = "/run/grafter/git";

/// Returns the setup of a place, whose paths are absolute and resolved.
pub(super) fn setup(spec: &PlaceSpec, host: &Host) -> Setup {
    let tools = toolchain::find(host, &spec.path_env, &spec.seen_as);
    let mut env: BTreeMap<OsString, OsString> = tools.vars.iter().cloned().collect();
    let fixed = [("TERM", "dumb"), ("CI", "1"), ("GIT_TERMINAL_PROMPT", "0")];
    env.extend(fixed.map(|(name, value)| (name.into(), value.into())));
    env.insert("PATH".into(), spec.path_env.clone());
    env.insert("LANG".into(), host.lang.clone().unwrap_or_else(|| "C.UTF-8".into()));
    let (confine, base) = match spec.backend {
        Backend::Namespaces | Backend::Bubblewrap => {
            let home = inside_home(spec, host);
            env.insert("TMPDIR".into(), "/tmp".into());
            env.insert("HOME".into(), home.clone().into());
            let view = view(spec, host, &tools, &home);
            let confine = match spec.backend {
                Backend::Bubblewrap => Confine::Bubblewrap(view),
                _ => Confine::Namespaces(view),
            };
            (confine, &spec.seen_as)
        }
        Backend::Landlock => {
            env.extend(open_env(spec));
            (Confine::Landlock(access(spec, host, &tools)), &spec.tree)
        }
        Backend::None => {
            env.extend(open_env(spec));
            (Confine::Nothing, &spec.tree)
        }
    };
    let limits = Limits::from(&spec.options);
    let hosts = &spec.options.hosts;
    let proxied = spec.backend.has_own_view() && !hosts.is_empty();
    let no_proxy = proxied.then(|| own_loopback(hosts));
    Setup { confine, base: base.clone().into(), env: env.into_iter().collect(), limits, no_proxy }
}

/// Returns what `objects/info/alternates` of the private git dir has to say inside.
pub(super) fn alternates(spec: &PlaceSpec) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    let lines = spec.objects.iter().enumerate().map(|(number, objects)| match spec.backend {
        backend if backend.has_own_view() => format!("{OBJECTS}/{number}\n").into_bytes(),
        _ => [objects.as_os_str().as_bytes(), b"\n"].concat(),
    });
    lines.collect::<Vec<_>>().concat()
}

/// Variables for commands that see the host's own paths.
fn open_env(spec: &PlaceSpec) -> Vec<(OsString, OsString)> {
    let mut env = vec![
        ("HOME".into(), spec.home.clone().into()),
        ("TMPDIR".into(), spec.home.join("tmp").into()),
    ];
    // Without a mount over `.git`, git would find the user's repository.
    if let Some(git) = &spec.private_git {
        env.push(("GIT_DIR".into(), git.clone().into()));
        env.push(("GIT_WORK_TREE".into(), spec.tree.clone().into()));
    }
    env
}

/// Returns the home of commands in a view of their own.
pub(super) fn inside_home(spec: &PlaceSpec, host: &Host) -> PathBuf {
    let home = host.home.as_ref().and_then(|home| home.canonicalize().ok());
    // A checkout that holds the home, as some keep their settings, is the tree inside.
    home.filter(|home| home.is_dir() && home.parent().is_some())
        .filter(|home| !home.starts_with(&spec.seen_as))
        .unwrap_or_else(|| OTHER_HOME.into())
}

fn view(spec: &PlaceSpec, host: &Host, tools: &Toolchains, home: &Path) -> View {
    let mut scratch: BTreeSet<PathBuf> =
        SCRATCH.iter().filter_map(|path| Path::new(path).canonicalize().ok()).collect();
    scratch.extend(host.account_home.as_ref().and_then(|home| home.canonicalize().ok()));
    scratch.retain(|path| path.parent().is_some() && !path.starts_with(&spec.seen_as));
    scratch.remove(home);
    let hide: Vec<&PathBuf> =
        spec.hide.iter().filter(|path| !path.starts_with(&spec.seen_as)).collect();
    let mut over: BTreeMap<PathBuf, Fill> =
        hide.iter().map(|path| ((*path).clone(), Fill::Hidden)).collect();
    let masked = |path: &Path| {
        path.starts_with(home)
            || scratch.iter().chain(hide.iter().copied()).any(|folder| path.starts_with(folder))
    };
    for root in &tools.roots {
        let at = at_real_home(root, host.home.as_deref());
        if masked(&at) || at.starts_with(&spec.seen_as) {
            over.insert(at, Fill::Shared(resolved(root).into()));
        }
    }
    over.insert(home.to_owned(), Fill::Own(spec.home.clone().into()));
    over.insert(spec.seen_as.clone(), Fill::Own(spec.tree.clone().into()));
    over.extend(git_layers(spec));
    for (from, at) in spec.share.iter().filter(|(from, _)| from.exists()) {
        over.insert(at.clone(), Fill::Shared(resolved(from).into()));
    }
    // Whoever sees a socket can talk to what listens there, who has more rights.
    let sockets = host.sockets.iter().filter(|at| !masked(at) && !at.starts_with(&spec.seen_as));
    over.extend(sockets.map(|at| (at.clone(), Fill::Hidden)));
    // What is hidden in something hidden is not there, so nothing can be mounted on it.
    let beneath = |path: &Path| path.ancestors().skip(1).find_map(|at| over.get(at));
    let gone = |(path, fill): &(&PathBuf, &Fill)| {
        **fill == Fill::Hidden && beneath(path) == Some(&Fill::Hidden)
    };
    let gone: Vec<PathBuf> = over.iter().filter(gone).map(|(path, _)| path.clone()).collect();
    over.retain(|path, _| !gone.contains(path));
    for path in &spec.write {
        over.insert(path.clone(), Fill::Own(resolved(path).into()));
    }
    // A mount point can be made in an empty folder only if that one can be written.
    for path in hide {
        let around = over
            .iter()
            .any(|(at, fill)| at != path && at.starts_with(path) && *fill != Fill::Hidden);
        if around && over.get(path) == Some(&Fill::Hidden) {
            over.insert(path.clone(), Fill::Scratch);
        }
    }

    let scratch = scratch.iter().map(|path| (path.clone(), Fill::Scratch));
    let layers = scratch.chain(over).map(|(at, fill)| Layer { at: at.into(), fill }).collect();
    View { secrets: secrets(tools).into_iter().map(Into::into).collect(), layers }
}

fn git_layers(spec: &PlaceSpec) -> Vec<(PathBuf, Fill)> {
    let Some(git) = &spec.private_git else { return Vec::new() };
    let dot_git = spec.seen_as.join(".git");
    // A folder cannot be laid over a file, and a registered worktree has a file there.
    let is_file = fs::symlink_metadata(spec.tree.join(".git")).is_ok_and(|meta| meta.is_file());
    let inside = if is_file { PathBuf::from(OTHER_GIT) } else { dot_git.clone() };
    let mut layers = vec![(inside.clone(), Fill::Own(git.clone().into()))];
    if is_file {
        layers.push((dot_git, Fill::Text(format!("gitdir: {OTHER_GIT}\n"))));
    }
    for (number, objects) in spec.objects.iter().enumerate() {
        let at = Path::new(OBJECTS).join(number.to_string());
        layers.push((at, Fill::Shared(objects.clone().into())));
    }
    layers
}

fn secrets(tools: &Toolchains) -> Vec<PathBuf> {
    let machine = MACHINE_SECRETS.iter().map(PathBuf::from).filter(|path| path.exists());
    machine.chain(tools.secrets.iter().cloned()).collect()
}

/// Moves a path in the home as HOME names it to the home as it really is.
fn at_real_home(path: &Path, home: Option<&Path>) -> PathBuf {
    let moved = home.and_then(|home| Some(resolved(home).join(path.strip_prefix(home).ok()?)));
    moved.unwrap_or_else(|| path.to_owned())
}

fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn access(spec: &PlaceSpec, host: &Host, tools: &Toolchains) -> Access {
    let mut hidden: BTreeSet<PathBuf> = secrets(tools).into_iter().collect();
    hidden.extend(SCRATCH.iter().filter_map(|path| Path::new(path).canonicalize().ok()));
    let homes = host.home.iter().chain(&host.account_home);
    hidden.extend(homes.filter_map(|home| home.canonicalize().ok()));
    hidden.extend(spec.hide.iter().cloned());
    hidden.extend([spec.seen_as.clone(), "/dev".into()]);
    hidden.retain(|path| path.parent().is_some());

    let mut read = readable("/".into(), &hidden);
    let shared = tools.roots.iter().map(|root| resolved(root));
    let shared = shared.chain(spec.share.iter().map(|(from, _)| resolved(from)));
    let secrets: BTreeSet<PathBuf> = secrets(tools).into_iter().collect();
    read.extend(shared.chain(spec.objects.clone()).flat_map(|root| readable(root, &secrets)));
    let write = [&spec.tree, &spec.home].into_iter().chain(&spec.private_git).chain(&spec.write);
    Access {
        read: read.into_iter().map(Into::into).collect(),
        write: write.map(|path| path.clone().into()).collect(),
    }
}

/// Returns the paths that together are everything below `root` except what is hidden.
fn readable(root: PathBuf, hidden: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    if hidden.contains(&root) {
        return Vec::new();
    }
    if !hidden.iter().any(|path| path.starts_with(&root)) {
        return vec![root];
    }
    let children = fs::read_dir(&root).into_iter().flatten().flatten();
    // A link gives no right; what it leads to is met at its own place.
    let real = children.filter(|child| child.file_type().is_ok_and(|kind| !kind.is_symlink()));
    real.flat_map(|child| readable(child.path(), hidden)).collect()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use insta::assert_snapshot;

    use crate::sandbox::options::Options;

    use super::{BTreeSet, Backend, Confine, Host, PathBuf, PlaceSpec, fs, readable, setup};

    /// Sets up a place below a folder of its own and prints its layers, that folder as `@`.
    fn layers(change: impl FnOnce(&std::path::Path, &mut PlaceSpec, &mut Host)) -> String {
        let dir = tempfile::TempDir::new_in("/var/tmp").expect("a folder");
        let root = dir.path().canonicalize().expect("there");
        for path in ["home/.cargo/bin", "home/repo/bin", "home/state", "tree", "private", "deps"] {
            fs::create_dir_all(root.join(path)).expect("made");
        }
        let path_env = [root.join("home/.cargo/bin"), root.join("home/repo/bin")];
        let mut spec = PlaceSpec {
            tree: root.join("tree"),
            seen_as: root.join("home/repo"),
            private_git: Some(root.join("git")),
            objects: vec![root.join("home/repo/.git/objects")],
            home: root.join("private"),
            hide: vec![root.join("home/state"), root.join("home/repo/.git")],
            share: vec![(root.join("deps"), root.join("home/repo/.venv"))],
            write: Vec::new(),
            path_env: std::env::join_paths(path_env).expect("joins"),
            backend: Backend::Namespaces,
            options: Options::default(),
            contacts: None,
            helper: PathBuf::new(),
        };
        let mut host = Host { home: Some(root.join("home")), ..Host::default() };
        change(&root, &mut spec, &mut host);
        let setup = setup(&spec, &host);
        let Confine::Namespaces(view) = setup.confine else { panic!("namespaces were asked for") };
        let mut text = String::new();
        for layer in view.layers {
            writeln!(text, "{} {:?}", layer.at.display(), layer.fill).expect("written");
        }
        text.replace(&root.display().to_string(), "@")
    }

    #[test]
    fn the_tree_lies_over_the_private_home_and_what_is_shared_over_both() {
        assert_snapshot!(layers(|_, _, _| ()), @r#"
        /run Scratch
        /tmp Scratch
        /var/tmp Scratch
        /run/grafter/objects/0 Shared("@/home/repo/.git/objects")
        @/home Own("@/private")
        @/home/.cargo Shared("@/home/.cargo")
        @/home/repo Own("@/tree")
        @/home/repo/.git Own("@/git")
        @/home/repo/.venv Shared("@/deps")
        @/home/state Hidden
        "#);
    }

    #[test]
    fn a_registered_worktree_has_its_git_dir_elsewhere() {
        let text = layers(|root, spec, _| {
            fs::write(root.join("tree/.git"), "gitdir: /elsewhere").expect("made");
            spec.share.clear();
        });
        let lines: Vec<_> = text.lines().filter(|line| line.contains("git")).collect();
        assert_snapshot!(lines.join("\n"), @r#"
        /run/grafter/git Own("@/git")
        /run/grafter/objects/0 Shared("@/home/repo/.git/objects")
        @/home/repo/.git Text("gitdir: /run/grafter/git\n")
        "#);
    }

    #[test]
    fn a_linked_worktree_in_its_main_checkout_hides_that_and_still_has_its_place() {
        let text = layers(|root, spec, host| {
            host.home = None;
            spec.hide = ["home", "home/.git", "home/other"].map(|name| root.join(name)).into();
        });
        let lines: Vec<_> = text.lines().filter(|line| line.contains("@/home")).collect();
        assert_snapshot!(lines.join("\n"), @r#"
        /run/grafter/objects/0 Shared("@/home/repo/.git/objects")
        @/home Scratch
        @/home/.cargo Shared("@/home/.cargo")
        @/home/repo Own("@/tree")
        @/home/repo/.git Own("@/git")
        @/home/repo/.venv Shared("@/deps")
        "#);
    }

    #[test]
    fn a_tree_in_a_hidden_folder_kept_bubblewrap_from_starting() {
        let text = layers(|root, spec, host| {
            spec.hide.push(root.join("home/state/run/writer"));
            host.sockets = ["home/s", "home/state/s", "home/repo/s"].map(|s| root.join(s)).into();
            host.sockets.extend(["/run/docker.sock", "/srv/s"].map(PathBuf::from));
        });
        let lines: Vec<_> = text.lines().filter(|line| line.ends_with("Hidden")).collect();
        assert_eq!(lines, ["/srv/s Hidden", "@/home/state Hidden"]);
    }

    #[test]
    fn a_checkout_that_holds_the_home_leaves_another_home() {
        let text = layers(|root, spec, host| {
            spec.seen_as = root.join("home");
            host.account_home = Some(root.join("home"));
            spec.private_git = None;
        });
        assert_snapshot!(text, @r#"
        /run Scratch
        /tmp Scratch
        /var/tmp Scratch
        /tmp/grafter-home Own("@/private")
        @/home Own("@/tree")
        @/home/.cargo Shared("@/home/.cargo")
        @/home/repo Shared("@/home/repo")
        @/home/repo/.venv Shared("@/deps")
        "#);
        assert!(
            layers(|_, _, host| host.home = Some("/".into())).contains("/tmp/grafter-home Own")
        );
    }

    #[test]
    fn what_is_readable_goes_round_what_is_hidden() {
        let dir = tempfile::tempdir().expect("a folder");
        for path in ["a/b/secret", "a/c", "d"] {
            fs::create_dir_all(dir.path().join(path)).expect("made");
        }
        std::os::unix::fs::symlink("b/secret", dir.path().join("a/link")).expect("a link");
        let hidden: BTreeSet<_> = [dir.path().join("a/b/secret")].into();
        let mut found = readable(dir.path().to_owned(), &hidden);
        found.sort();
        assert_eq!(found, [dir.path().join("a/c"), dir.path().join("d")]);
    }
}
