//! Where events go: one attempt per call.
//!
//! A destination does not sleep, retry or remember; `delivery` does. (One exception: a transactional destination keeps its
//! cursor beside its rows.) Destinations are plain synchronous code, called from a blocking thread.

use crate::events::Batch;
use crate::ledger::Cursor;

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The destination has everything before this cursor, for good. A destination that writes whole imports answers with
    /// where it was until an import is complete.
    Durable(Cursor),
    /// Nothing of the batch counts; to be tried again later.
    Unavailable {
        /// What happened, for people.
        reason: String,
    },
    /// Settings are wrong: this destination stops and says so; the others go on.
    Barred {
        /// What is wrong and what to do.
        reason: String,
    },
}

/// Somewhere events go.
pub trait Destination: Send {
    /// How far the destination itself says it has got, where it keeps that; `None` where the ledger's cursor counts.
    /// `Err` is a [`Reply`] other than `Durable`.
    fn cursor(&mut self) -> Result<Option<Cursor>, Reply>;

    /// Makes one attempt at a batch. Batches come in order, each from one import, and the last one of an import says so
    /// (an import whose events are all filtered out comes as one empty last batch).
    fn deliver(&mut self, batch: &Batch) -> Reply;

    /// Most events in one batch.
    fn batch_events_max(&self) -> usize {
        50_000
    }
}
