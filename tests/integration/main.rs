//! The one integration binary: every file beside this one is a module of it.

mod architecture;
mod budget;
mod checks;
mod crash;
mod env;
<<<<<<< HEAD
mod landing;
mod models;
mod repositories;
=======
mod examples;
mod front;
mod models;
mod readme;
>>>>>>> 5b0c41c (readme, security, changelog: written, checked by tests; agents of a linked worktree no longer see its git dir)
mod sandbox;
mod server;
mod solo;
mod story;
