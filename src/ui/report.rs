//! Reports of runs and batches as one page of HTML that needs nothing else, or as markdown.
//!
//! All that they show is a fold of records; what stands only in git or in blobs (diffs, transcripts)
//! is given along. Every text from outside is escaped here, on its way into the page.

mod batch;
mod hunks;
mod page;
mod run;
mod svg;

pub use self::{
    batch::{BatchReport, Packet},
    run::{RunReport, Span, spans},
};
