//! The table of checks: one row is one id.

use crate::guard::{
    checks::{
        destroy, elsewhere, environment, expand, git, inline, interpret, paths, programs, raw,
        scripts, structure,
    },
    gate::{Findings, Sight},
};

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its stable name.
    pub id: &'static str,
    /// What it catches.
    pub catches: &'static str,
    /// Adds what it finds.
    pub rule: fn(&Sight<'_>, &mut Findings),
}

const fn row(id: &'static str, catches: &'static str, rule: fn(&Sight<'_>, &mut Findings)) -> Row {
    Row { id, catches, rule }
}

/// All checks, in the order of their ids. Every one of them looks at every command.
pub const ROWS: [Row; 40] = [
    row(
        "K01",
        "more than 64 commands, 16 KiB or 8 levels, NUL, text that is not understood",
        raw::caps,
    ),
    row("K02", "a command inside a word: `$(…)` and backticks", expand::substitution),
    row("K03", "process substitution", expand::process),
    row("K04", "a program named by a variable, `$IFS`, indirect expansion", expand::variable),
    row("K05", "braces that make several words", expand::braces),
    row("K06", "characters that nobody sees or takes for others", raw::unicode),
    row("K07", "control characters and carriage returns", raw::control),
    row("K08", "words spelled in codes: `$'…'` and `$\"…\"`", expand::coded),
    row("K09", "here-documents that expand, or feed an interpreter", structure::here),
    row("K10", "redirections out of the tree", paths::redirection),
    row("K11", "files with secrets, and files that decide what runs", paths::sensitive),
    row("K12", "variables that change what programs do or load", environment::hijack),
    row("K13", "git as a runner of programs, and what it cannot take back", git::git),
    row("K14", "find that runs, deletes or writes", scripts::find),
    row("K15", "sed that runs, reads or writes files", scripts::sed),
    row("K16", "programs that run what they read: xargs and its kin", interpret::feeders),
    row("K17", "awk that runs programs or writes files", scripts::awk),
    row("K18", "archivers that run programs or leave the tree", programs::archives),
    row("K19", "options of everyday programs that run others", programs::options),
    row("K20", "wrappers, privileges, options that no table knows", interpret::wrappers),
    row("K21", "quotes and backslashes inside a program's or option's name", expand::spliced),
    row("K22", "comments that hide what follows", structure::comments),
    row("K23", "shell builtins that run or rebind code", structure::builtins),
    row("K24", "expansions that evaluate what they hold", expand::evaluating),
    row("K25", "arithmetic and subscripts that evaluate what they hold", expand::arithmetic),
    row("K26", "functions, coprocesses, the background, fork bombs", structure::lasting),
    row("K27", "the shell's own history, options and limits", structure::state),
    row("K28", "programs given as text to an interpreter", inline::inline),
    row("K29", "the network, uploads, packages from outside", elsewhere::network),
    row("K30", "what only zsh does", structure::zsh),
    row("K31", "paths that leave the tree, however they are written", paths::traversal),
    row("K32", "links out of the tree", paths::links),
    row("K33", "code that something loads or runs later by itself", paths::autorun),
    row("K34", "what destroys more than single files", destroy::destroy),
    row("K35", "build tools as interpreters", interpret::build),
    row("K36", "decoded text that is run, and long coded text", interpret::obfuscated),
    row("K37", "containers, namespaces, privileges", elsewhere::containers),
    row("K38", "grafter's own files and processes", paths::own),
    row("K39", "looking for credentials", environment::credentials),
    row("K40", "verification skipped on what others share", elsewhere::skipping),
];
