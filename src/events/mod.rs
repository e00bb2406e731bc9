//! The accepted events of an import: its archive in the spool, read again, less its exceptions.
//!
//! The archive is the log, so there is nothing to look up: [`Events`] opens the spooled bytes as the import's frozen reading
//! says, leaves out the entries that were rejected then, and hands out the others in [`Batch`]es, in constant memory. It
//! never validates again and has not heard of today's configuration: what a delivery sends in a year is what was imported.

mod batch;
mod beside;
mod id;
mod line;
mod people;
mod read;
mod route;
mod utc;

pub use batch::{Batch, Event, Names};
pub use id::{EventId, item_of, key};
pub use line::{push_line, push_message};
pub use people::{People, Person};
pub use read::{Bounds, Events, EventsError, one};
pub use route::Route;
pub use utc::{push_date, push_utc};

/// An import of nothing, for the tests of rooms that need one.
#[cfg(test)]
pub(crate) fn an_import() -> std::sync::Arc<crate::ledger::Import> {
    use crate::{archive, feed, ledger};
    std::sync::Arc::new(ledger::Import {
        id: 1,
        seq: 1,
        source: "acme".to_owned(),
        archive: "event_history_20191118170500.json.zip".to_owned(),
        sha256: [7; 32],
        imported_at: 1_574_096_700_000,
        entries: 0,
        accepted: 0,
        asks: ledger::Asks::Deliver,
        reading: ledger::Reading {
            reader: feed::READER_VERSION,
            member: archive::Member {
                name: "event_history_20191118170500.json".to_owned(),
                index: 0,
                method: 8,
                header_offset: 0,
                data_offset: 0,
                compressed_size: 0,
                size: 0,
                crc32: 0,
            },
            options: feed::Options {
                default_business_unit: None,
                duplicate_keys: feed::DuplicateKeys::Reject,
                entry_bytes_max: 16 * 1024 * 1024,
                depth_max: 128,
                kind: crate::verdict::FeedKind::Events,
                ordered_items: false,
                order_unique: false,
            },
            limits: archive::Limits {
                unpacked_bytes: 1 << 34,
                ratio: 200,
            },
            definitions: None,
        },
        left_out: roaring::RoaringTreemap::new(),
        stored: None,
        pruned_at: None,
        definitions: None,
        history: None,
    })
}
