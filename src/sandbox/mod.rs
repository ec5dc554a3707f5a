//! Child processes and places.
//!
//! The only room that starts processes; a place is a tree with what confines its agent.
//!
//! A [`place::Place`] opens a tree and offers its files beneath one descriptor. Its first command
//! starts a helper (`grafter __sandbox`, [`child`]), which confines itself as [`probe`] found the
//! machine to allow and then serves commands over a socket. [`host`] runs grafter's own programs,
//! such as git, which need no confinement but a deadline. [`disk`] says when what failed had no space.
//!
//! The helper is the running program itself, so a program that uses this library begins its `main`
//! with [`child::dispatch`]. On grafter's side `layout` says what a sandbox shows (and not, such as `sockets`), `launch` and
//! `client` start and ask the helper; on the helper's side `namespaces` and `mounts`, or
//! `bubblewrap` in their place, and `landlock`, `limits` and `seccomp` confine; `serve` and `running`
//! run commands, which `watch` looks at; `launcher`, with `program` and `redirect`, starts them,
//! by a shell or without one, and `port` is theirs to listen on. `wire` is what passes between them.
//! [`pipes`] are how grafter talks with a program while it runs. `hosts`,
//! `proxy`, `ask` and `outlet` are the way to the hosts that the user named; [`grants`] is what one
//! place has beyond the others.

mod ask;
mod beneath;
mod bubblewrap;
mod capture;
pub mod child;
mod client;
pub mod disk;
pub mod file_error;
pub mod files;
pub mod grants;
pub mod host;
pub mod hosts;
mod kin;
mod landlock;
mod launch;
mod launcher;
mod layout;
mod limits;
pub mod lock;
mod loopback;
mod mountinfo;
mod mounts;
mod namespaces;
pub mod options;
pub mod order;
mod outlet;
pub mod overlay;
pub mod pipes;
pub mod place;
mod port;
pub mod probe;
mod program;
pub mod proxy;
mod redirect;
pub mod run;
mod running;
pub mod seatbelt;
mod seccomp;
mod serve;
mod sockets;
mod toolchain;
mod watch;
mod wire;
