//! The archive's name: `event_history_` + `YYYYMMDDHHMMSS` + `.json.zip`.

use crate::verdict::Violation;

/// What a name in the root is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameClass {
    /// Somebody's upload in progress, by its dot or its ending: ignored.
    InProgress,
    /// No feed at all: ignored and counted.
    Other,
    /// A feed's archive.
    Feed(FeedName),
    /// A near miss that somebody waits for: `name_malformed` or `name_timestamp`.
    NearMiss(Violation),
}

/// The name of a feed's archive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedName {
    /// The time in it, UTC milliseconds.
    at: i64,
    /// The whole name.
    name: String,
}

impl FeedName {
    /// The time in the name, UTC milliseconds.
    pub fn at(&self) -> i64 {
        self.at
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The name that the data file in it must have: this one without `.zip`.
    pub fn member(&self) -> &str {
        self.name.strip_suffix(".zip").unwrap_or(&self.name)
    }
}

/// Says what a name in the root is.
pub fn classify(_name: &str) -> NameClass {
    unimplemented!()
}
