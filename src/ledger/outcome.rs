//! What goes into the ledger when an import is closed, and what comes out.

use roaring::RoaringTreemap;

use super::{Reading, Stored};
use crate::verdict::{Class, Reject, RejectCode, Violation, Warning, WarningCode};

/// Most rejects of one import whose details are kept.
pub const REJECTS_KEPT: usize = 10_000;

/// Most warnings of one import that are kept.
pub const WARNINGS_KEPT: usize = 100;

/// What reading an archive came to. The ledger adds what only it knows: whether the same was seen before.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judged {
    /// Archive rules that were not observed, in the order found.
    pub violations: Vec<Violation>,
    /// The frozen reading; `None` where there was nothing to read.
    pub reading: Option<Reading>,
    /// SHA-256 of the data file, if it was read whole.
    pub data_sha256: Option<[u8; 32]>,
    /// Bytes of the data file that were read.
    pub data_bytes: u64,
    /// Elements of the array, as far as it was read.
    pub entries: u64,
    /// Valid ones.
    pub valid: u64,
    /// The others.
    pub rejected: u64,
    /// Details of the first [`REJECTS_KEPT`].
    pub rejects: Vec<Reject>,
    /// Indices of all.
    pub rejected_set: RoaringTreemap,
    /// How many rejects have each code as their first reason.
    pub reject_counts: Vec<(RejectCode, u64)>,
    /// The first [`WARNINGS_KEPT`].
    pub warnings: Vec<Warning>,
    /// How many warnings there are of each code.
    pub warning_counts: Vec<(WarningCode, u64)>,
    /// Whether packaging violations are let pass.
    pub lenient: bool,
    /// Whether any event is of somebody whom it does not name in both ways, so that it matters which user feeds came before.
    pub needs_user_feed: bool,
    /// Whether it had waited for a user feed that is still not whole, and waits no longer.
    pub user_feed_pending: bool,
    /// Whether it is of a user feed that was not read, for a newer one is there.
    pub superseded: bool,
}

impl Judged {
    /// An archive that was not read: its name, its size or its end said enough.
    pub fn unread(violation: Violation) -> Judged {
        Judged {
            violations: vec![violation],
            ..Judged::default()
        }
    }

    /// Whether the rules are observed.
    pub fn observed(&self) -> bool {
        self.violations.is_empty()
    }

    /// Whether its events may be taken in, as far as the archive itself goes.
    pub fn importable(&self) -> bool {
        let forgiven = |class| class == Class::Packaging && self.lenient;
        self.reading.is_some() && self.violations.iter().all(|violation| forgiven(violation.code.class()))
    }
}

/// What happens to an archive on its source, by configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disposal {
    /// One that was processed (or is a duplicate).
    pub good: Action,
    /// One that failed.
    pub failed: Action,
    /// Whether the partner gets a receipt.
    pub receipt: bool,
}

/// What to do with an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Rename it to this path.
    Move(String),
    /// Remove it.
    Delete,
    /// Nothing.
    Leave,
}

/// One claimed archive, and what it came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The id given by the claim.
    pub id: i64,
    /// SHA-256 of the archive; `None` where it was not downloaded.
    pub sha256: Option<[u8; 32]>,
    /// Where it lies in the spool.
    pub stored: Option<Stored>,
    /// What reading it came to.
    pub judged: Judged,
    /// What then happens to it.
    pub disposal: Disposal,
    /// The clock reading that stands for absent timestamps, UTC milliseconds.
    pub imported_at: i64,
    /// When the file is to be looked at once more where it was left, even if it seems unchanged; UTC milliseconds.
    pub look_again_at: Option<i64>,
}

/// A closed import that is still to be put away.
#[derive(Debug, Clone, PartialEq)]
pub struct Unmoved {
    /// The import.
    pub id: i64,
    /// File name in the root.
    pub archive: String,
    /// Size when it was read, in bytes.
    pub size: u64,
    /// Mtime when it was read, UTC milliseconds.
    pub mtime: i64,
    /// When it was first listed, UTC milliseconds.
    pub first_seen_at: i64,
    /// When it was claimed, UTC milliseconds: it was read after that.
    pub claimed_at: i64,
    /// SHA-256, for a name that is free.
    pub sha256: Option<[u8; 32]>,
    /// What to do.
    pub action: Action,
    /// Whether a receipt is still due.
    pub receipt_due: bool,
    /// Where it is, as far as is known.
    pub path: String,
    /// Whether it was moved already, and only wants another look.
    pub recheck: bool,
    /// Attempts in vain so far.
    pub attempts: u32,
}
