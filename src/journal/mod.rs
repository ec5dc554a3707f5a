//! The append-only record of a run, and everything that outlives one: blobs and results.
//!
//! One JSON record a line, each sealed with a hash over the one before it (`record`). A thread
//! owns the file and writes (`writer`, `pen`), another brings it to the disk in groups (`flush`);
//! a lock on the run's folder keeps a second writer out (`lock`). Readers need no lock (`read`,
//! `follow`). Nothing here knows what a record means: that is the fold's business.
//!
//! ```text
//! <state>/runs/<run>/journal.jsonl    the records
//! <state>/runs/<run>/signatures.jsonl  signed checkpoints, on request (`sign`)
//! <state>/runs/<run>/lock             held by the writer, holds its process id
//! <state>/blobs/<blake3>              texts too long for a record
//! <state>/results/<key>               outcomes that another run may use again
//! ```

pub mod blobs;
mod flush;
mod folder;
pub mod follow;
pub mod lock;
mod pen;
pub mod read;
pub mod record;
pub mod results;
pub mod runs;
pub mod sign;
pub mod writer;
