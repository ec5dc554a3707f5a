//! An editable install points at the path of the user's checkout; an agent's tests must import the
//! agent's code all the same.

use crate::{
    env::Env,
    solo::{Story, solo},
};

const TEST: &str = "import site, sys, os\n\
     site.addsitedir(os.environ.get('SITE') or 'site')\n\
     import thing\n\
     print(thing.__file__, thing.WHAT)\n\
     sys.exit(thing.WHAT != 'mended')\n";

/// A package in `src/`, installed as `pip install -e` does: a `.pth` file with an absolute path.
fn package() -> Env {
    let env = Env::new();
    env.write("src/thing/__init__.py", "WHAT = 'broken'\n");
    env.write("check.py", TEST);
    env.write(".gitignore", "__pycache__/\n");
    env.write("site/thing.pth", format!("{}\n", env.path("src").display()));
    env.commit("start");
    env
}

fn mends() -> Story {
    Story::new().bash("python3 check.py").bash("echo \"WHAT = 'mended'\" > src/thing/__init__.py")
}

#[test]
fn an_editable_install_in_src_layout_imports_the_agents_code() {
    let env = package();
    let before = env.fingerprint();
    // The agent's own shell and the checks both see what the agent wrote.
    let story = mends().bash("python3 check.py && touch seen").finish();
    let output = solo(&env, &story, &["python3 check.py", "test -f seen"], &[]).ok();
    assert_eq!(env.fingerprint(), before);
    let lines = &output.stdout;
    assert!(lines.contains("python3 check.py  ✗ exit 1    ✓ passed"), "{}", output.text());
}

#[test]
fn so_does_a_path_in_the_environment_and_one_in_an_ignored_virtual_environment() {
    let env = package();
    env.write(".gitignore", "__pycache__/\n.venv/\n");
    env.write(".venv/lib/thing.pth", format!("{}\n", env.path("src").display()));
    env.commit("a virtual environment");
    let before = env.fingerprint();
    let by_path =
        format!("PYTHONPATH={} SITE=/nowhere python3 check.py", env.path("src").display());
    let by_venv = "SITE=.venv/lib python3 check.py";
    solo(&env, &mends().finish(), &[&by_path, by_venv], &[]).ok();
    assert_eq!(env.fingerprint(), before);
}
