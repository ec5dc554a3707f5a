//! Child processes and places.
//!
//! The only room that starts processes; a place is a tree with what confines its agent.
//!
//! A [`place::Place`] opens a tree and offers its files beneath one descriptor. Its first command
//! starts a helper (`grafter __sandbox`, [`child`]), which confines itself as [`probe`] found the
//! machine to allow and then serves commands over a socket. [`host`] runs grafter's own programs,
//! such as git, which need no confinement but a deadline.

mod beneath;
mod capture;
pub mod child;
mod client;
pub mod file_error;
pub mod files;
pub mod host;
mod kin;
mod landlock;
mod launch;
mod layout;
pub mod lock;
mod loopback;
mod mountinfo;
mod mounts;
mod namespaces;
pub mod place;
pub mod probe;
pub mod run;
mod running;
mod serve;
mod toolchain;
mod wire;
