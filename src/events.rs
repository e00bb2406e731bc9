//! The accepted events of an import: its archive in the spool, read again, less its exceptions.

use std::sync::Arc;

use crate::ledger::{Cursor, Import};

/// Some events of one import, in order.
pub struct Batch {
    /// The import they are from.
    pub import: Arc<Import>,
    /// The cursor once the batch is delivered: (seq, index of the next entry), or (seq + 1, 0) after the last.
    pub end: Cursor,
    /// Whether this is the import's last batch.
    pub last: bool,
}
