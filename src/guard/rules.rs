//! The user's rules on commands.
//!
//! A rule is matched against programs and words as the parser found them, so no quoting and no
//! second command on the line gets around it. To be allowed, every program of a command must match
//! a rule, and no shell may be needed to start it; to be denied, one match is enough.

use crate::{
    guard::{
        gate::{Judgement, Words},
        options::Options,
        scene::call::{SHELLS, is_interpreter},
    },
    protocol::rule::Rule,
};

/// Wrappers that change nothing about what may run.
const HARMLESS: [&str; 6] = ["timeout", "nice", "ionice", "stdbuf", "time", "nohup"];

/// Programs whose first word says what they do; of those marked, the second does, too.
const SUBCOMMANDS: [(&str, bool); 21] = [
    ("apt", false),
    ("bundle", true),
    ("cargo", false),
    ("docker", false),
    ("dotnet", false),
    ("gh", true),
    ("git", false),
    ("go", false),
    ("gradle", false),
    ("./gradlew", false),
    ("hatch", true),
    ("just", false),
    ("make", false),
    ("mvn", false),
    ("npm", true),
    ("pip", false),
    ("pnpm", true),
    ("poetry", true),
    ("task", false),
    ("uv", true),
    ("yarn", true),
];

/// Returns the rule that denies something of this command.
pub fn denied<'o>(options: &'o Options, judgement: &Judgement) -> Option<&'o Rule> {
    let hit = |rule: &&Rule| judgement.starts.iter().any(|words| denies(rule, words));
    options.deny.iter().find(hit)
}

/// Returns whether rules allow all of this command.
pub fn allowed(options: &Options, judgement: &Judgement) -> bool {
    let mut all = judgement.starts.iter().filter(|words| !is_harmless(words)).peekable();
    judgement.direct.is_some()
        && all.peek().is_some()
        && all.all(|words| is_cd(words) || options.allow.iter().any(|rule| allows(rule, words)))
}

/// Returns the rules that would allow this command from now on; none where they would allow more
/// than can be seen.
pub fn suggest(judgement: &Judgement) -> Vec<Rule> {
    let all = judgement.starts.iter().filter(|words| !is_harmless(words) && !is_cd(words));
    let rules: Option<Vec<Rule>> = match judgement.direct {
        Some(_) => all.map(rule_of).collect(),
        None => None,
    };
    let mut rules = rules.unwrap_or_default();
    rules.dedup();
    rules
}

fn rule_of(words: &Words) -> Option<Rule> {
    let name = words.program.rsplit('/').next().unwrap_or_default();
    // What these run is in their arguments.
    if words.wraps || SHELLS.contains(&name) || is_interpreter(name) || name == "xargs" {
        return None;
    }
    let (options, operands) = parts(words);
    let depth = SUBCOMMANDS.iter().find(|(program, _)| *program == words.program);
    let depth = depth.map_or(0, |(_, two)| if *two { 2 } else { 1 });
    let mut flags: Vec<String> = options.into_iter().map(str::to_owned).collect();
    flags.sort_unstable();
    flags.dedup();
    let subcommand = operands.iter().take(depth).copied().collect::<Vec<_>>().join(" ");
    // A rule without a subcommand would allow all of them.
    let whole = depth == 0 || !subcommand.is_empty();
    whole.then(|| Rule { program: words.program.clone(), subcommand, flags })
}

fn is_harmless(words: &Words) -> bool {
    words.wraps && HARMLESS.contains(&words.program.as_str())
}

fn is_cd(words: &Words) -> bool {
    words.program == "cd"
}

/// Returns the options without their values, and the rest.
fn parts(words: &Words) -> (Vec<&str>, Vec<&str>) {
    let end = words.args.iter().position(|arg| arg == "--").unwrap_or(words.args.len());
    let is_option = |arg: &&String| arg.len() > 1 && arg.starts_with('-');
    let options = words.args[..end].iter().filter(is_option);
    let options = options.map(|arg| arg.split('=').next().unwrap_or(arg)).collect();
    let before = words.args[..end].iter().filter(|arg| !is_option(arg));
    let after = words.args[end..].iter().skip(1);
    (options, before.chain(after).map(String::as_str).collect())
}

fn named(rule: &Rule, program: &str, operands: &[&str]) -> bool {
    let mut wanted = rule.subcommand.split_whitespace().enumerate();
    rule.program == program && wanted.all(|(n, word)| operands.get(n) == Some(&word))
}

fn allows(rule: &Rule, words: &Words) -> bool {
    let (options, operands) = parts(words);
    let known = |option: &&str| rule.flags.iter().any(|flag| flag == *option);
    named(rule, &words.program, &operands) && options.iter().all(known)
}

/// A program is denied by whatever path it is called; options between it and its subcommand may
/// take values, so the subcommand counts wherever its words stand.
fn denies(rule: &Rule, words: &Words) -> bool {
    let (options, operands) = parts(words);
    let name = words.program.rsplit('/').next().unwrap_or_default();
    let program = rule.program == words.program || rule.program == name;
    let wanted: Vec<&str> = rule.subcommand.split_whitespace().collect();
    let said = wanted.is_empty() || operands.windows(wanted.len()).any(|run| run == wanted);
    let has = |flag: &String| options.iter().any(|option| is_flag(option, flag));
    program && said && rule.flags.iter().all(has)
}

/// Short options may be bundled, long ones shortened.
fn is_flag(option: &str, flag: &str) -> bool {
    let short = flag.strip_prefix('-').filter(|rest| rest.chars().count() == 1);
    match short.and_then(|rest| rest.chars().next()) {
        Some(letter) if !option.starts_with("--") => option.contains(letter),
        _ => option == flag || option.len() > 3 && flag.starts_with(option),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::gate::{ShellFacts, judge};

    fn look(command: &str) -> Judgement {
        let at = |path: &str| path.to_owned();
        let facts =
            ShellFacts { root: at("/r"), cwd: at("/r"), home: at("/h"), ..Default::default() };
        judge(command, &facts)
    }

    fn rule(text: &str) -> Rule {
        let mut words = text.split(' ');
        let program = words.next().unwrap().to_owned();
        let (flags, subcommand): (Vec<&str>, Vec<&str>) = words.partition(|w| w.starts_with('-'));
        let flags = flags.into_iter().map(str::to_owned).collect();
        Rule { program, subcommand: subcommand.join(" "), flags }
    }

    fn allow(rules: &[&str]) -> Options {
        Options { allow: rules.iter().map(|text| rule(text)).collect(), ..Options::default() }
    }

    #[test]
    fn a_rule_allows_a_command_and_no_other() {
        let options = allow(&["cargo test --workspace -q", "wc -l"]);
        for command in [
            "cargo test",
            "cargo test -q parser",
            "timeout 60 cargo test --workspace",
            "cargo test -- name",
            "cd sub && cargo test | wc -l",
            "'cargo' test",
        ] {
            assert!(allowed(&options, &look(command)), "{command}");
        }
        for command in [
            "cargo testing",
            "cargo",
            "cargo run",
            "cargo --quiet test",
            "cargo test --release",
            "cargo test; rm x",
            "cargo test | sh",
            "cargo test $X",
            "cargo test > out; touch x",
            "./cargo test",
            "echo cargo test",
            "bash -c 'cargo test'",
            "",
        ] {
            assert!(!allowed(&options, &look(command)), "{command}");
        }
    }

    #[test]
    fn a_rule_denies_wherever_its_program_stands() {
        let rules = ["git push", "rm -r", "terraform"].map(rule);
        let options = Options { deny: rules.to_vec(), ..Options::default() };
        for command in [
            "git push",
            "git -C sub push origin",
            "true; /usr/bin/git push",
            "bash -c 'git push'",
            "rm -rf x",
            "for x in a; do terraform apply $x; done",
        ] {
            assert!(denied(&options, &look(command)).is_some(), "{command}");
        }
        for command in ["git log", "echo git push", "rm x", "ls -r"] {
            assert!(denied(&options, &look(command)).is_none(), "{command}");
        }
    }

    #[test]
    fn always_means_this_program_subcommand_and_options() {
        let suggested = |command: &str| {
            let rules = suggest(&look(command));
            rules.iter().map(Rule::to_string).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(suggested("cargo test --workspace -q name"), "cargo test --workspace -q");
        assert_eq!(suggested("npm run build -- --x"), "npm run build");
        assert_eq!(suggested("cd a && ls -l b | wc -l"), "ls -l; wc -l");
        for none in ["python3 x.py", "sh x.sh", "cargo test $X", "git", "xargs rm"] {
            assert_eq!(suggested(none), "", "{none}");
        }
        for command in ["cargo test --workspace -q name", "ls -l b | wc -l"] {
            let options = Options { allow: suggest(&look(command)), ..Options::default() };
            assert!(allowed(&options, &look(command)), "{command}");
        }
    }
}
