//! The one integration binary: every file beside this one is a module of it.

mod architecture;
mod crash;
mod env;
mod sandbox;
mod story;
