//! The accepted events of an import: its archive in the spool, read again, less its exceptions.
//!
//! The archive is the log, so there is nothing to look up: [`Events`] opens the spooled bytes as the import's frozen reading
//! says, leaves out the entries that were rejected then, and hands out the others in [`Batch`]es, in constant memory. It
//! never validates again and has not heard of today's configuration: what a delivery sends in a year is what was imported.

mod batch;
mod id;
mod line;
mod read;
mod utc;

pub use batch::{Batch, Event};
pub use id::{EventId, key};
pub use line::push_line;
pub use read::{Bounds, Events, EventsError};
pub use utc::{push_date, push_utc};
