//! Layered settings and the two text formats.
//!
//! default < user < trusted repository < environment < flag; YAML and TOML are read here only.
