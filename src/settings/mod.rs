//! Layered settings and the two text formats.
//!
//! default < user < trusted repository < environment < flag (`load`); YAML and TOML are read here
//! only, and `store` adds to the user's file. `paths` knows the user's folders, `trust` whether a repository's own settings count.
//! What is wrong in a file is told with file, line, column, the line itself and the nearest word.

pub mod load;
pub mod nearest;
pub mod paths;
pub mod spot;
pub mod store;
pub mod toml;
pub mod trust;
pub mod yaml;
