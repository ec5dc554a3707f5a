//! Options of programs, read by a table: bundles taken apart, abbreviations resolved, what the
//! table does not know kept apart.

use crate::guard::scene::arg::Arg;

/// The options of one program.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Letters without a value.
    pub short: &'static str,
    /// Letters with a value, in the same word or the next one.
    pub valued: &'static str,
    /// Long names; one that ends in `=` has a value, in `?=` only after a sign.
    pub long: &'static [&'static str],
    /// Whether the options end at the first operand.
    pub stops: bool,
}

/// Options and operands, apart.
#[derive(Debug, Default)]
pub struct Split<'a> {
    /// Names, `-x` or `--name` in full, with their values.
    pub options: Vec<(String, Option<String>)>,
    /// The operands.
    pub operands: Vec<&'a Arg>,
    /// How many arguments were read when the operands began.
    pub read: usize,
    /// Options that the table does not know, or that could be several.
    pub unknown: Vec<String>,
}

impl Split<'_> {
    /// Returns the value of an option that is there; an option without one has the empty value.
    pub fn value(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().find(|(option, _)| option == name);
        found.map(|(_, value)| value.as_deref().unwrap_or_default())
    }

    /// Returns whether one of the options is there.
    pub fn any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.value(name).is_some())
    }
}

/// Reads arguments by the table.
pub fn split<'a>(args: &'a [Arg], table: &Table) -> Split<'a> {
    let mut split = Split::default();
    let mut at = 0;
    while let Some(arg) = args.get(at) {
        if arg.text == "--" {
            at += 1;
            break;
        }
        if !arg.is_option() {
            if table.stops {
                break;
            }
            split.operands.push(arg);
            at += 1;
            continue;
        }
        at += 1;
        let next = args.get(at);
        let took = match arg.text.strip_prefix("--") {
            Some(name) => long(&mut split, table, (name, next)),
            None => letters(&mut split, table, (&arg.text[1..], next)),
        };
        at += usize::from(took);
    }
    split.read = at.min(args.len());
    split.operands.extend(&args[split.read..]);
    split
}

/// Reads a long option and returns whether it took the next argument as its value.
fn long(split: &mut Split<'_>, table: &Table, (text, next): (&str, Option<&Arg>)) -> bool {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    let bare = |known: &&&str| known.trim_end_matches(['=', '?']).len();
    let mut fitting: Vec<&&str> =
        table.long.iter().filter(|known| known.starts_with(name)).collect();
    if let Some(exact) = fitting.iter().find(|known| bare(known) == name.len()) {
        fitting = vec![*exact];
    }
    let [known] = fitting.as_slice() else {
        split.unknown.push(format!("--{name}"));
        return false;
    };
    let takes = known.ends_with('=') && !known.ends_with("?=") && value.is_none();
    let full = format!("--{}", known.trim_end_matches(['=', '?']));
    let value = if takes { next.map(|arg| arg.text.clone()) } else { value };
    split.options.push((full, value));
    takes
}

/// Reads a bundle of letters and returns whether its last one took the next argument.
fn letters(split: &mut Split<'_>, table: &Table, (text, next): (&str, Option<&Arg>)) -> bool {
    for (at, letter) in text.char_indices() {
        let name = format!("-{letter}");
        if table.valued.contains(letter) {
            let rest = &text[at + letter.len_utf8()..];
            let own = (!rest.is_empty()).then(|| rest.to_owned());
            let took = own.is_none();
            split.options.push((name, own.or_else(|| next.map(|arg| arg.text.clone()))));
            return took;
        }
        if table.short.contains(letter) {
            split.options.push((name, None));
        } else {
            split.unknown.push(name);
        }
    }
    false
}
