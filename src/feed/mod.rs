//! The data file: a JSON array, read as a stream, entry by entry.
//!
//! [`Walk`] splits the array into entries and holds every byte against the JSON grammar (RFC 8259), UTF-8 and the depth
//! rule, in constant memory: what it keeps is one block, or one entry if that is larger. [`judge`] says whether an entry
//! is an event or a reject. [`extract`] takes an accepted entry's keys out again, for deliveries, without judging.
//!
//! | in reading order | |
//! |---|---|
//! | `walk`, `window` | the array, entry by entry; what of the data is in memory |
//! | `scan`, `members` | the grammar; where the five keys lie |
//! | `judge`, `fields`, `reasons` | the rules and the verdict; the five keys, read; the words for what is wrong |
//! | `order`, `items` | the rules of an order feed; an event for each product of an order |
//! | `columns`, `user` | the header of a user feed; the rules of its rows |
//! | `parts` | members and elements, for what is looked at beyond the five keys |
//! | `timestamp`, `text` | times as feeds write them; strings without their escapes |
//! | `fault`, `explain`, `root` | faults as violations; the words for them; what a data file is that is no array |
//! | `position` | lines and columns, counted when asked for |
//! | `excerpt`, `mask` | what is shown of a feed; what never is |
//!
//! Bytes in, values out: this room has not heard of zip, SFTP, SQL, configuration or the clock.

mod columns;
mod excerpt;
mod explain;
mod fault;
mod fields;
mod items;
mod judge;
mod mask;
mod members;
mod order;
mod parts;
mod position;
mod reasons;
mod root;
mod scan;
mod text;
mod timestamp;
mod user;
mod walk;
mod window;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::verdict::{FeedKind, Reject, Violation, Warning};

pub use columns::{Columns, HEADER_BYTES_MAX};
pub use items::{ORDERED_ITEM, items};
pub use judge::{Weighed, extract, judge, weigh, weigh_user};
pub use walk::{RawEntry, Walk};

/// Version of the reading: it is frozen with each import, and raised when the same bytes would be read otherwise.
pub const READER_VERSION: u32 = 1;

/// How a feed is read. Frozen with each import, so that deliveries read it the same way for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Unit for entries that have an e-mail and no unit.
    pub default_business_unit: Option<String>,
    /// What to do when one of the five keys is there twice with different values.
    pub duplicate_keys: DuplicateKeys,
    /// Largest entry, in bytes of its text. Without a limit one entry could fill the memory.
    pub entry_bytes_max: u64,
    /// Most open containers, the root array included. Without a limit a parser overflows its stack.
    pub depth_max: u32,
    /// Whose rules hold for its entries. What was imported before there was a choice is an event feed.
    #[serde(default)]
    pub kind: FeedKind,
    /// Whether each product of a completed order is an event of its own, behind the order.
    #[serde(default)]
    pub ordered_items: bool,
}

/// Policy for a key that is there twice with different values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DuplicateKeys {
    /// The entry is rejected.
    #[default]
    Reject,
    /// The last value counts; a warning is kept.
    Last,
}

/// The five keys that are looked at.
pub const KEYS: [&str; 5] = ["event", "id", "email", "businessUnit", "timestamp"];

/// What an entry says of itself: its keys, unescaped. Strings borrow from the entry where nothing had to be unescaped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry<'a> {
    /// Name of the event.
    pub event: Cow<'a, str>,
    /// The customer's id, if it is a valid one; an integer as its text.
    pub id: Option<Cow<'a, str>>,
    /// The e-mail address, if it is one.
    pub email: Option<Cow<'a, str>>,
    /// The business unit, the default one included.
    pub business_unit: Option<Cow<'a, str>>,
    /// UTC milliseconds; `None` where the entry does not say (the time of import counts).
    pub timestamp: Option<i64>,
}

/// What judging an entry came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// An event, with what is odd about it.
    Accepted(Entry<'a>, Vec<Warning>),
    /// Not accepted.
    Rejected(Reject),
}

/// Why reading stopped before the end of the array.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The data file's own fault: a value for the receipt.
    #[error("{}: {}", .0.code, .0.detail)]
    Fault(Violation),
    /// The reader beneath failed.
    #[error(transparent)]
    Read(#[from] std::io::Error),
}
