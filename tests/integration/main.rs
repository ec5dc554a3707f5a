//! The one integration binary: every file beside this one is a module of it.

mod architecture;
mod budget;
mod crash;
mod env;
mod models;
mod sandbox;
mod server;
mod story;
