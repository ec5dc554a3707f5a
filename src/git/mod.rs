//! The repository.
//!
//! The only room that touches git2; working trees are made and asked through the git program.
