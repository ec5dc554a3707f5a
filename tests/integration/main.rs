//! The one integration binary: every file beside this one is a module of it.

mod architecture;
mod budget;
mod caps;
mod chain;
mod checks;
mod control;
mod crash;
mod env;
mod examples;
mod front;
mod hostile;
mod landing;
mod lists;
mod models;
mod printed;
mod prompts;
mod protocols;
mod readme;
mod recorded;
mod repositories;
mod reuse;
mod sandbox;
mod server;
mod solo;
mod story;
mod trust;
