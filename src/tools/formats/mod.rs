//! Edit formats: changes that a model hands in as text, for models that call tools badly.
//!
//! Each file reads one format, tolerant of what small models do around it; what could mean two
//! things is refused with words that ask again.

pub mod apply;
pub mod blocks;
pub mod fence;
pub mod loose;
pub mod take;
pub mod whole_file;
pub mod whole_function;
