//! Wrappers: programs whose arguments are another command. They are taken off by a table, so that
//! `timeout 5 rm -rf ~` is judged as `rm -rf ~`.

use crate::guard::scene::{
    arg::Arg,
    call::{Call, SHELLS},
    options::{Split, Table, split},
};

/// A program that starts the command among its arguments.
struct Wrapper {
    name: &'static str,
    table: Table,
    /// Operands of its own before the command.
    operands: usize,
}

const fn wrapper(
    name: &'static str,
    (short, valued): (&'static str, &'static str),
    long: &'static [&'static str],
    operands: usize,
) -> Wrapper {
    Wrapper { name, table: Table { short, valued, long, stops: true }, operands }
}

const WRAPPERS: [Wrapper; 27] = [
    wrapper(
        "env",
        ("i0v", "uCS"),
        &["ignore-environment", "null", "unset=", "chdir=", "split-string=", "debug"],
        0,
    ),
    wrapper(
        "timeout",
        ("fv", "ks"),
        &["foreground", "kill-after=", "preserve-status", "signal=", "verbose"],
        1,
    ),
    wrapper("nice", ("0123456789", "n"), &["adjustment="], 0),
    wrapper("ionice", ("t", "cnpPu"), &["class=", "classdata=", "ignore", "pid="], 0),
    wrapper("nohup", ("", ""), &[], 0),
    wrapper("setsid", ("cfw", ""), &["ctty", "fork", "wait"], 0),
    wrapper("stdbuf", ("", "ioe"), &["input=", "output=", "error="], 0),
    wrapper("time", ("apvq", "fo"), &["append", "format=", "output=", "portability", "verbose"], 0),
    wrapper("command", ("pvV", ""), &[], 0),
    wrapper("builtin", ("", ""), &[], 0),
    wrapper("exec", ("cl", "a"), &[], 0),
    wrapper("noglob", ("", ""), &[], 0),
    wrapper("taskset", ("a", ""), &["all-tasks"], 1),
    wrapper("chrt", ("abfior", "TPD"), &["batch", "fifo", "idle", "other", "rr"], 1),
    wrapper("chroot", ("", ""), &["userspec=", "groups=", "skip-chdir"], 1),
    wrapper(
        "sudo",
        ("AbEHknPSi", "ugCDhprRtTU"),
        &["user=", "group=", "preserve-env?=", "stdin"],
        0,
    ),
    wrapper("doas", ("nLs", "aCu"), &[], 0),
    wrapper("xvfb-run", ("al", "efnpsw"), &["auto-servernum", "server-args=", "error-file="], 0),
    wrapper("unbuffer", ("p", ""), &[], 0),
    wrapper(
        "xargs",
        ("0oprtx", "aEeIiLlnPsd"),
        &[
            "null",
            "arg-file=",
            "delimiter=",
            "eof?=",
            "replace?=",
            "max-lines?=",
            "max-args=",
            "open-tty",
            "max-procs=",
            "interactive",
            "process-slot-var=",
            "no-run-if-empty",
            "max-chars=",
            "show-limits",
            "verbose",
            "exit",
        ],
        0,
    ),
    wrapper(
        "flock",
        ("enosuxF", "wEc"),
        &["nonblock", "exclusive", "shared", "timeout=", "command="],
        1,
    ),
    wrapper("busybox", ("", ""), &["list", "help"], 0),
    wrapper("strace", ("cCdfFhiknqrtTvVxyzZ", "abeEoOpPsSuUX"), &["follow-forks", "output="], 0),
    wrapper("ltrace", ("cCfhiLrStTV", "aADelnopsuxX"), &["output="], 0),
    wrapper(
        "valgrind",
        ("qv", ""),
        &[
            "tool=",
            "leak-check=",
            "show-leak-kinds=",
            "error-exitcode=",
            "track-origins=",
            "trace-children=",
            "num-callers=",
            "suppressions=",
            "log-file=",
            "quiet",
            "verbose",
        ],
        0,
    ),
    wrapper("catchsegv", ("", ""), &[], 0),
    wrapper("entr", ("acdnprsxz", ""), &[], 0),
];

/// Tools that start a program of their project: how many words stand before it.
const RUNNERS: [(&str, &[&str]); 16] = [
    ("rbenv", &["exec"]),
    ("pyenv", &["exec"]),
    ("asdf", &["exec"]),
    ("yarn", &["exec"]),
    ("poetry", &["run"]),
    ("uv", &["run"]),
    ("pipenv", &["run"]),
    ("hatch", &["run"]),
    ("pdm", &["run"]),
    ("rye", &["run"]),
    ("bundle", &["exec"]),
    ("pnpm", &["exec"]),
    ("conda", &["run"]),
    ("opam", &["exec"]),
    ("stack", &["exec"]),
    ("dotenv", &["run"]),
];

/// What is inside a call.
pub(super) enum Inside {
    /// Another call.
    Call(Box<Call>),
    /// A text that a shell runs.
    Script(String),
}

/// Returns what a call starts besides itself.
pub(super) fn peel(call: &Call) -> Vec<Inside> {
    let name = call.name.as_str();
    let mut inside = Vec::new();
    if let Some(wrapper) = WRAPPERS.iter().find(|wrapper| wrapper.name == name) {
        wrapped(call, wrapper, &mut inside);
    }
    for (_, words) in RUNNERS.iter().filter(|(runner, _)| *runner == name) {
        let begins = call.texts().take(words.len()).eq(words.iter().copied());
        let mut rest = call.args.iter().skip(words.len()).skip_while(|arg| arg.is_option());
        if begins && let Some(program) = rest.next() {
            inside.push(inner(call, program, rest.cloned().collect()));
        }
    }
    scripts(call, &mut inside);
    found(call, &mut inside);
    inside
}

fn wrapped(call: &Call, wrapper: &Wrapper, inside: &mut Vec<Inside>) {
    let split = split(&call.args, &wrapper.table);
    let mut operands = split.operands.iter().copied().skip(wrapper.operands).peekable();
    if wrapper.name == "command" && split.any(&["-v", "-V"]) {
        return;
    }
    let mut env = Vec::new();
    if wrapper.name == "env" {
        while let Some((name, value)) = operands.peek().and_then(|arg| arg.text.split_once('=')) {
            env.push((name.to_owned(), Arg::plain(value)));
            operands.next();
        }
        if let Some(text) = split.value("-S").or_else(|| split.value("--split-string")) {
            inside.push(Inside::Script(text.to_owned()));
        }
    }
    let Some(program) = operands.next() else { return };
    let Inside::Call(mut found) = inner(call, program, operands.cloned().collect()) else { return };
    found.env.extend(env);
    found.unclear.extend(split.unknown.iter().map(|option| format!("{} {option}", call.name)));
    elsewhere(&split, &mut found);
    inside.push(Inside::Call(found));
}

/// Applies `env -C`.
fn elsewhere(split: &Split<'_>, found: &mut Call) {
    if let Some(to) = split.value("-C").or_else(|| split.value("--chdir")) {
        found.places.iter_mut().for_each(|place| *place = format!("{place}/{to}"));
        if to.starts_with('/') {
            found.places = vec![to.to_owned()];
        }
    }
}

/// Returns the call of `program` inside `call`.
fn inner(call: &Call, program: &Arg, args: Vec<Arg>) -> Inside {
    let mut wrappers = call.wrappers.clone();
    wrappers.push(call.name.clone());
    Inside::Call(Box::new(Call {
        name: base_name(&program.text),
        program: program.clone(),
        args,
        env: call.env.clone(),
        // The redirections belong to the outermost call.
        redirects: Vec::new(),
        wrappers,
        ..call.clone()
    }))
}

/// Returns the last component of a program's path, without the version in names such as `gcc-12`.
pub(super) fn base_name(path: &str) -> String {
    const VERSIONED: [&str; 12] = [
        "cc", "gcc", "g++", "clang", "clang++", "pip", "pypy", "php", "ruby", "perl", "lua", "node",
    ];
    let name = path.rsplit('/').next().unwrap_or(path);
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let bare = bare.strip_suffix('-').unwrap_or(bare);
    match bare {
        "python" if name.contains('.') => "python3".to_owned(),
        _ if VERSIONED.contains(&bare) => bare.to_owned(),
        _ => name.to_owned(),
    }
}

/// Finds texts that a shell runs.
fn scripts(call: &Call, inside: &mut Vec<Inside>) {
    let name = call.name.as_str();
    let joined = |from: usize| {
        let words: Vec<&str> = call.texts().skip(from).collect();
        words.join(" ")
    };
    let mut push = |text: &str| inside.push(Inside::Script(text.to_owned()));
    let after = |option: &str| {
        let at = call.texts().position(|arg| arg == option)?;
        call.args.get(at + 1).map(|arg| arg.text.as_str())
    };
    if SHELLS.contains(&name) {
        // Short options come in bundles: `-lc`, `-ec`.
        let at = call.args.iter().position(|arg| arg.short('c'));
        if let Some(text) = at.and_then(|at| call.args.get(at + 1)) {
            push(&text.text);
        }
    }
    match name {
        "eval" => push(&joined(0)),
        "trap" => call.first().iter().for_each(|text| push(text)),
        "watch" => {
            let from = call.args.iter().take_while(|arg| arg.is_option() || is_number(&arg.text));
            push(&joined(from.count()));
        }
        "nix-shell" => after("--run").iter().for_each(|text| push(text)),
        "su" | "script" | "runuser" | "flock" => {
            after("-c").iter().for_each(|text| push(text));
        }
        "hyperfine" | "parallel" => {
            call.args.iter().filter(|arg| arg.text.contains(' ') || name == "hyperfine").for_each(
                |arg| {
                    if !arg.is_option() && !is_number(&arg.text) {
                        push(&arg.text);
                    }
                },
            );
            if name == "parallel" {
                let from = call.args.iter().take_while(|arg| arg.is_option()).count();
                let words: Vec<&str> =
                    call.texts().skip(from).take_while(|arg| !arg.starts_with(":::")).collect();
                push(&words.join(" "));
            }
        }
        _ => {}
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// Finds the commands of `find -exec` and `fd -x`.
fn found(call: &Call, inside: &mut Vec<Inside>) {
    let starts: &[&str] = match call.name.as_str() {
        "find" => &["-exec", "-execdir", "-ok", "-okdir"],
        "fd" | "fdfind" => &["-x", "-X", "--exec", "--exec-batch"],
        _ => return,
    };
    for (at, _) in call.args.iter().enumerate().filter(|(_, arg)| starts.contains(&&*arg.text)) {
        let mut words = call.args[at + 1..]
            .iter()
            .take_while(|arg| arg.text != ";" && arg.text != "+")
            .cloned();
        if let Some(program) = words.next() {
            inside.push(inner(call, &program, words.collect()));
        }
    }
}
