//! The tree of a parsed command: lists of pipelines of commands made of words.
//!
//! Positions are byte offsets into the parsed text.

use crate::guard::shell::word::Word;

/// Why a text is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} (byte {at})")]
pub struct ParseError {
    /// Byte offset of the trouble.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
    /// Whether it is a cap that was passed, which no approval heals.
    pub over_cap: bool,
}

/// A list of pipelines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// In the order of the text.
    pub items: Vec<Item>,
    /// The comments in it, each with its beginning; those of the outermost list only.
    pub comments: Vec<(usize, String)>,
}

/// A pipeline and what stands after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// The operator after it.
    pub then: Then,
}

/// The operator after a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// `&&`
    And,
    /// `||`
    Or,
    /// `;`, a newline, or the end of the list.
    Next,
    /// `&`
    Background,
}

/// Commands joined by `|`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Whether a `!`, `time` or `|&` makes it more than plain pipes.
    pub adorned: bool,
    /// At least one.
    pub commands: Vec<Command>,
}

/// One command of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Assignments, words and redirections.
    Simple(Simple),
    /// Everything with a script inside.
    Compound(Compound),
}

/// A simple command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Simple {
    /// The assignments before the program.
    pub assigns: Vec<Assign>,
    /// The program and its arguments; may be empty.
    pub words: Vec<Word>,
    /// The redirections, in order.
    pub redirects: Vec<Redirect>,
}

/// `NAME=value` before a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assign {
    /// The variable.
    pub name: String,
    /// Whether the sign is `+=`.
    pub adds: bool,
    /// What stands after the sign.
    pub value: Word,
}

/// What kind of compound command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `( … )`
    Subshell,
    /// `{ …; }`
    Group,
    /// `if`, `while`, `until`, `for`, `select`, `case`.
    Flow,
    /// `name() …`
    Function,
    /// `coproc …`
    Coprocess,
    /// `[[ … ]]`
    Test,
    /// `(( … ))`
    Arithmetic,
}

/// A compound command; it always needs a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compound {
    /// Its kind.
    pub kind: Kind,
    /// Its words: what `for` iterates over, what `case` matches, a function's name.
    pub words: Vec<Word>,
    /// The scripts inside, in the order of the text.
    pub bodies: Vec<Script>,
    /// The redirections after it.
    pub redirects: Vec<Redirect>,
}

/// What a redirection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectKind {
    /// `<`
    Read,
    /// `>` and `>|`
    Write,
    /// `>>`
    Append,
    /// `<>`
    ReadWrite,
    /// `<&` and `>&` with a number or `-`
    Duplicate,
    /// `&>`, `&>>` and `>&` with a file
    Both,
    /// `<<` and `<<-`
    Here,
    /// `<<<`
    HereString,
}

/// A redirection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// What it does.
    pub kind: RedirectKind,
    /// The file descriptor before it; `{name}` forms are errors.
    pub fd: Option<u32>,
    /// File, number, delimiter or text.
    pub target: Word,
    /// A here-document's text; parts are empty of expansions if the delimiter was quoted.
    pub body: Option<Word>,
}
