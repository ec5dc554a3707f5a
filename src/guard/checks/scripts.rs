//! Checks on find, sed and awk: each has a language of its own that can run and write.

use crate::guard::{
    gate::{Findings, Sight, Verdict},
    scene::{
        arg::Arg,
        call::Call,
        options::{Table, split},
    },
};

/// Actions of find that run or write; `+` and `;` end the ones that run.
const RUNS: [&str; 7] = ["-exec", "-execdir", "-ok", "-okdir", "-fprint", "-fprintf", "-fls"];
/// Tests and actions of find that only look.
const KNOWN: [&str; 62] = [
    "-name",
    "-iname",
    "-path",
    "-ipath",
    "-wholename",
    "-regex",
    "-iregex",
    "-type",
    "-xtype",
    "-size",
    "-empty",
    "-newer",
    "-anewer",
    "-cnewer",
    "-mtime",
    "-mmin",
    "-atime",
    "-amin",
    "-ctime",
    "-cmin",
    "-perm",
    "-user",
    "-group",
    "-uid",
    "-gid",
    "-maxdepth",
    "-mindepth",
    "-depth",
    "-prune",
    "-print",
    "-print0",
    "-printf",
    "-ls",
    "-quit",
    "-not",
    "-and",
    "-or",
    "-a",
    "-o",
    "-L",
    "-H",
    "-P",
    "-follow",
    "-xdev",
    "-mount",
    "-links",
    "-inum",
    "-samefile",
    "-executable",
    "-readable",
    "-writable",
    "-true",
    "-false",
    "-regextype",
    "-daystart",
    "-nouser",
    "-nogroup",
    "-lname",
    "-ilname",
    "-used",
    "-newermt",
    "-files0-from",
];
/// Tests of find whose value may look like an action.
const VALUED: [&str; 12] = [
    "-name",
    "-iname",
    "-path",
    "-ipath",
    "-wholename",
    "-regex",
    "-iregex",
    "-lname",
    "-newermt",
    "-printf",
    "-perm",
    "-ilname",
];

/// K14.
pub(super) fn find(sight: &Sight<'_>, findings: &mut Findings) {
    for call in sight.scene.calls.iter().filter(|call| call.name == "find") {
        let mut args = call.args.iter();
        while let Some(arg) = args.next() {
            let text = arg.text.as_str();
            if text == "-delete" {
                findings.add(Verdict::Ask, "`find -delete` removes what it finds");
            } else if text == "-fprint0" || RUNS.contains(&text) {
                let writes = text.starts_with("-f");
                let program = args.clone().next().map_or("", |arg| arg.text.as_str());
                // Programs that only look are as harmless as find itself.
                let harmless = !writes && super::interpret::LOOKERS.contains(&program);
                if !harmless {
                    findings
                        .add(Verdict::Deny, format!("`find {text}` runs or writes for each file"));
                }
                while !writes && args.next().is_some_and(|a| a.text != ";" && a.text != "+") {}
            } else if VALUED.contains(&text) {
                args.next();
            } else if arg.is_option()
                && !KNOWN.contains(&text)
                && !text.starts_with("-newer")
                && !is_number(text)
            {
                findings.add(Verdict::Ask, format!("`find {text}` is not known"));
            }
        }
    }
}

fn is_number(text: &str) -> bool {
    text.trim_start_matches('-').chars().all(|c| c.is_ascii_digit() || "kMGcwb".contains(c))
}

const SED: Table = Table {
    short: "nErszuib",
    valued: "efl",
    long: &[
        "quiet",
        "silent",
        "expression=",
        "file=",
        "in-place?=",
        "line-length=",
        "null-data",
        "posix",
        "regexp-extended",
        "separate",
        "unbuffered",
        "zero-terminated",
        "sandbox",
        "debug",
        "follow-symlinks",
        "version",
        "help",
    ],
    stops: false,
};

/// K15.
pub(super) fn sed(sight: &Sight<'_>, findings: &mut Findings) {
    for call in sight.scene.calls.iter().filter(|call| call.is(&["sed", "gsed"])) {
        // A suffix belongs to `-i` and is no bundle of letters.
        let args: Vec<_> = call
            .args
            .iter()
            .filter(|arg| !(arg.text.starts_with("-i") && arg.text.len() > 2))
            .cloned()
            .collect();
        let split = split(&args, &SED);
        for option in &split.unknown {
            findings.add(Verdict::Ask, format!("`sed {option}` is not known"));
        }
        if split.any(&["-f", "--file"]) {
            findings.add(Verdict::Ask, "`sed -f` takes a script from a file");
        }
        let given: Vec<&str> = split
            .options
            .iter()
            .filter(|(name, _)| name == "-e" || name == "--expression")
            .filter_map(|(_, value)| value.as_deref())
            .collect();
        let operand =
            split.operands.first().filter(|_| given.is_empty() && !split.any(&["-f", "--file"]));
        for script in given.into_iter().chain(operand.map(|arg| arg.text.as_str())) {
            if let Some((verdict, why)) = sed_script(script) {
                findings.add(verdict, why);
            }
        }
        if operand.is_some_and(|arg| arg.expanded && !arg.text.starts_with("s/")) {
            findings.add(Verdict::Ask, "a sed script that is known only when it runs");
        }
    }
}

/// Returns what in a script of sed's runs, reads or writes.
fn sed_script(script: &str) -> Option<(Verdict, String)> {
    let mut rest = script;
    let mut worst = None;
    let not_understood = Some((Verdict::Ask, "a sed script that is not understood".to_owned()));
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', ';', '{', '}']);
        let Some(after) = address(rest) else { return not_understood };
        rest = after.trim_start_matches([' ', '\t', '!', ',']);
        let Some(command) = rest.chars().next() else { return worst };
        let after = &rest[command.len_utf8()..];
        rest = match command {
            's' | 'y' => {
                let Some((flags, after)) = substitution(after) else { return not_understood };
                if command == 's' && flags.contains(['e', 'w', 'W']) {
                    let why = format!("the flag in `s…/{flags}` of sed runs or writes");
                    return Some((Verdict::Deny, why));
                }
                after
            }
            'e' => return Some((Verdict::Deny, "`e` of sed runs a program".to_owned())),
            'w' | 'W' => return Some((Verdict::Deny, "`w` of sed writes a file".to_owned())),
            'r' | 'R' => {
                worst = Some((Verdict::Ask, "`r` of sed reads a file".to_owned()));
                after.find('\n').map_or("", |at| &after[at..])
            }
            'a' | 'i' | 'c' | '#' => after.find('\n').map_or("", |at| &after[at..]),
            ':' | 'b' | 't' | 'T' => after.find(['\n', ';']).map_or("", |at| &after[at..]),
            'p' | 'P' | 'd' | 'D' | 'n' | 'N' | 'g' | 'G' | 'h' | 'H' | 'x' | '=' | 'l' | 'q'
            | 'Q' | 'z' | 'F' | '{' | '}' => after.trim_start_matches(|c: char| c.is_ascii_digit()),
            ',' | '0'..='9' | '/' | '$' | '+' | '~' => rest,
            _ => return not_understood,
        };
    }
}

/// Moves past addresses; none if a pattern does not end.
fn address(mut rest: &str) -> Option<&str> {
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || " \t,$+~!".contains(c));
        let (open, begin) = match rest.as_bytes() {
            [b'/', ..] => ('/', 1),
            [b'\\', ..] => (rest[1..].chars().next()?, 1 + rest[1..].chars().next()?.len_utf8()),
            _ => return Some(rest),
        };
        rest = until(&rest[begin..], open)?.1.trim_start_matches(['I', 'M']);
    }
}

/// Returns the flags of a substitution and what stands after it.
fn substitution(rest: &str) -> Option<(&str, &str)> {
    let open = rest.chars().next()?;
    let (_, rest) = until(&rest[open.len_utf8()..], open)?;
    let (_, rest) = until(rest, open)?;
    let end = rest.find([';', '\n', '}', ' ']).unwrap_or(rest.len());
    let (flags, after) = rest.split_at(end);
    // A `w` flag is followed by a file's name, blanks included.
    Some((flags, after))
}

/// Splits at the first `end` that is not escaped.
fn until(text: &str, end: char) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if !escaped && c == end {
            return Some((&text[..at], &text[at + c.len_utf8()..]));
        }
        escaped = !escaped && c == '\\';
    }
    None
}

/// K17.
pub(super) fn awk(sight: &Sight<'_>, findings: &mut Findings) {
    for call in sight.scene.calls.iter().filter(|c| c.is(&["awk", "gawk", "mawk", "nawk"])) {
        if call.args.iter().any(|arg| {
            matches!(arg.text.as_str(), "-f" | "-i" | "-l" | "-E")
                || ["--file", "--include", "--load", "--exec"]
                    .iter()
                    .any(|o| arg.text.starts_with(o))
                || arg.text.starts_with("-f")
        }) {
            findings.add(Verdict::Ask, "awk takes a script or a library from a file");
        }
        let Some(program) = awk_program(call) else { continue };
        let code = without_strings(&program.text);
        for (sign, why) in
            [("system", "runs a program"), ("|", "pipes"), ("@", "loads or calls by name")]
        {
            let or = code.replace("||", "  ");
            if or.contains(sign) {
                findings.add(Verdict::Deny, format!("`{sign}` of awk {why}"));
            }
        }
        if code.contains("getline") {
            findings.add(Verdict::Ask, "`getline` of awk reads another file");
        }
        if code.match_indices("print").any(|(at, _)| writes(&code[at..])) {
            findings.add(Verdict::Deny, "`print >` of awk writes a file");
        }
    }
}

/// Returns whether a statement that prints has a sign outside its parentheses that sends it on.
fn writes(print: &str) -> bool {
    let mut open = 0_i32;
    for c in print.chars() {
        match c {
            '(' => open += 1,
            ')' => open -= 1,
            '>' if open == 0 => return true,
            '}' | ';' | '\n' => return false,
            _ => {}
        }
    }
    false
}

fn awk_program(call: &Call) -> Option<&Arg> {
    let mut args = call.args.iter();
    while let Some(arg) = args.next() {
        match arg.text.as_str() {
            "-F" | "-v" => {
                args.next();
            }
            "--" => return args.next(),
            text if text.starts_with('-') && text.len() > 1 => {}
            _ => return Some(arg),
        }
    }
    None
}

/// Returns a program of awk's with its strings and patterns emptied.
fn without_strings(text: &str) -> String {
    let (mut code, mut quote, mut escaped, mut last) = (String::new(), None, false, ' ');
    for c in text.chars() {
        match quote {
            Some(open) if c == open && !escaped => quote = None,
            Some(_) => {}
            None if c == '"' => quote = Some('"'),
            None if c == '/' && ("({,~!&|;".contains(last) || code.trim().is_empty()) => {
                quote = Some('/');
            }
            None => code.push(c),
        }
        escaped = !escaped && c == '\\';
        if !c.is_whitespace() {
            last = c;
        }
    }
    code
}
