//! What grafter and its `__sandbox` child say to each other over their socket.
//!
//! Every message is one line of JSON; a [`Reply`] is followed by as many raw bytes as it names, so
//! that output need not be text. Both ends are the same program, so there is no version: a child
//! lives no longer than the process that started it.

use std::ffi::OsString;

use serde::{Deserialize, Serialize};

use crate::sandbox::{
    options::Limits,
    run::{Job, RanEnd},
};

/// The first line to the child: what to build before it serves.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Setup {
    /// How commands are confined.
    pub(super) confine: Confine,
    /// The tree as commands see it; working directories are relative to it.
    pub(super) base: OsString,
    /// The environment every command starts with.
    pub(super) env: Vec<(OsString, OsString)>,
    /// What all commands together may use.
    pub(super) limits: Limits,
    /// What commands shall not ask the proxy for; none if there is no proxy.
    pub(super) no_proxy: Option<String>,
}

/// What stands between a command and the machine.
#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Confine {
    /// Namespaces, with this view of the file system.
    Namespaces(View),
    /// The same view, made by bubblewrap.
    Bubblewrap(View),
    /// Landlock alone, with these paths.
    Landlock(Access),
    /// Nothing but the command's own process group.
    Nothing,
}

/// The file system as a sandbox sees it: the host's, read-only, with layers over it.
#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct View {
    /// Files of the host that nobody inside may read.
    pub(super) secrets: Vec<OsString>,
    /// What lies over the host's root, in the order of mounting.
    pub(super) layers: Vec<Layer>,
}

/// One thing mounted over the host's root.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Layer {
    /// Where, as an absolute path inside.
    pub(super) at: OsString,
    /// What.
    pub(super) fill: Fill,
}

/// What a layer consists of.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(super) enum Fill {
    /// A writable folder in memory.
    Scratch,
    /// Nothing: whatever is there is hidden.
    Hidden,
    /// A folder of the host, writable; without it there is no sandbox.
    Own(OsString),
    /// A folder or file of the host, read-only; left out where it cannot be bound.
    Shared(OsString),
    /// A file with this text.
    Text(String),
}

/// Paths that Landlock leaves open.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Access {
    /// To read and execute.
    pub(super) read: Vec<OsString>,
    /// To do anything with.
    pub(super) write: Vec<OsString>,
}

/// What a serving child is held to, for people.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Standing {
    /// What is weaker than asked for.
    pub(super) weaker: Vec<String>,
    /// What is enforced, and how.
    pub(super) held: Vec<String>,
}

/// The child's answer to a [`Setup`].
#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Ready {
    /// It serves.
    Serving(Standing),
    /// It could not be built.
    Failed(String),
}

/// A line to a serving child.
#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Order {
    /// Run a command.
    Run(Request),
    /// End the command of this id, if it still runs.
    Cancel(u64),
}

/// A command to run.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Request {
    /// Chosen by the asker and named in the reply.
    pub(super) id: u64,
    /// What is run.
    pub(super) job: Job,
    /// Relative to [`Setup::base`].
    pub(super) cwd: String,
    /// Added to [`Setup::env`].
    pub(super) env: Vec<(String, String)>,
    /// Milliseconds until the command is ended.
    pub(super) deadline_ms: u64,
    /// Bytes of output to keep.
    pub(super) max_output: usize,
}

/// How a command went; `len` bytes of output follow the line.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Reply {
    /// The request's.
    pub(super) id: u64,
    /// How it ended.
    pub(super) end: End,
    /// Bytes of output that were not kept.
    pub(super) dropped: u64,
    /// How long it ran.
    pub(super) took_ms: u64,
    /// Bytes of output that follow.
    pub(super) len: usize,
}

/// How a command ended, seen from the child.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) enum End {
    /// By itself or by its deadline.
    Ran(RanEnd),
    /// By a [`Order::Cancel`].
    Cancelled,
    /// It never started.
    Refused(String),
}
