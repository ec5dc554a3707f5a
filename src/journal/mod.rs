//! The append-only record of a run.
//!
//! Hash-chained JSON lines, blobs by content, reusable results, one writer.
