//! Small work on files: what a user who allows edits need not be asked for.

use crate::{
    guard::{
        gate::{Judgement, Verdict, Words},
        path::beneath,
    },
    protocol::plan::{Act, Plan},
};

/// Returns whether a command that passed only makes, touches, moves, copies or removes single
/// files, and all it writes lies in the tree.
pub fn only_files(judgement: &Judgement, root: &str) -> bool {
    judgement.verdict == Verdict::Pass
        && judgement.direct.as_ref().is_some_and(has_program)
        && judgement.starts.iter().all(|words| words.program == "cd" || is_file_work(words))
        && judgement.writes.iter().all(|path| beneath(root, path))
}

fn has_program(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| matches!(step.act, Act::Pipeline(_)))
}

/// Returns whether a program makes, touches, moves, copies or removes single files.
pub fn is_file_work(words: &Words) -> bool {
    match words.program.as_str() {
        "mkdir" | "touch" | "mv" | "cp" => true,
        "rm" => is_single(&words.args),
        _ => false,
    }
}

/// One file and no folders.
fn is_single(args: &[String]) -> bool {
    let recursive = |arg: &String| {
        arg.starts_with("--r")
            || !arg.starts_with("--") && arg.starts_with('-') && arg.contains(['r', 'R'])
    };
    let files = args.iter().filter(|arg| !arg.starts_with('-')).count();
    files == 1 && !args.iter().any(recursive)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::gate::{ShellFacts, judge};

    #[test]
    fn single_files_of_the_tree_are_small_work() {
        let at = |path: &str| path.to_owned();
        let (root, cwd, home) = (at("/r"), at("/r"), at("/h"));
        let facts = ShellFacts { root, cwd, home, scratch: vec![at("/tmp")], ..Default::default() };
        let says = |command: &str| only_files(&judge(command, &facts), "/r");
        for command in [
            "mkdir -p a",
            "touch a b",
            "mv a b",
            "cp -r a b",
            "rm a",
            "rm -f a && touch a",
            "cd a && rm b",
        ] {
            assert!(says(command), "{command}");
        }
        for command in [
            "rm a b",
            "rm -rf a",
            "rm -R a",
            "rm --recursive a",
            "rm *",
            "cp a /tmp/b",
            "mv a ..",
            "cp a $X",
            "mkdir a; ls",
            "cd a",
            "touch a > b; cat b",
            "mv ../x a",
            "touch .git/hooks/x",
        ] {
            assert!(!says(command), "{command}");
        }
    }
}
