//! The zip: its name, its end, its rules, and the one data file in it.
//!
//! [`classify`] judges names, [`end`] says from a file's last bytes whether the upload is whole, [`inspect`] holds the
//! archive against the packaging rules and against itself, and [`open`] reads the data file, under limits.
//!
//! The `zip` crate alone would not do: it keeps entries by name, so that duplicates vanish, and believes what is declared.
//! So our own check accounts for every byte first, and then the crate has to find the very member that we found.
//!
//! Bytes in, values out: this room has not heard of SFTP, SQL, configuration or the clock.

use std::io;

use serde::{Deserialize, Serialize};

use crate::verdict::{Violation, ViolationCode};

mod decoder; // a decoder of each method, over the disk
mod directory; // the directory, made into entries
mod ends; // where a zip ends, and whether it has
mod escape; // names from outside, fit to be shown
mod inspect; // the packaging rules, and the member to import
mod layout; // every byte of the archive accounted for
mod member; // the data file, unpacked under limits
pub mod name;
mod near_miss; // why a name is none
mod records; // the records of a zip, bytes to values
mod window; // how much memory a decoder would need

pub use ends::end;
pub use inspect::inspect;
pub use member::{fault_in, open};
pub use name::{FeedName, Glance, NameClass, classify, glance, kind_of, may_become_user_feed, named_at};

/// How much of a file's end is read first.
pub const TAIL_BYTES: u64 = 64 * 1024;

/// Bounds on what an archive may unpack to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest data file, in bytes. Without it a bomb fills the time until somebody notices.
    pub unpacked_bytes: u64,
    /// Largest ratio of unpacked to packed size; it counts only beyond 256 MiB unpacked.
    pub ratio: u64,
}

/// What the last bytes of a file say of the upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// A zip's end, and the directory it points to lies where it says.
    Whole,
    /// No zip's end: the upload is incomplete (or no zip at all).
    Missing,
    /// To be sure, the bytes from this offset on are needed as well (never more than 1 MiB from the end).
    Needs {
        /// Where to begin to read.
        from: u64,
    },
}

/// The data file in an archive, and where it lies: all that is needed to read it again. Frozen with each import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name as the central directory has it.
    pub name: String,
    /// Index in the central directory, from 0.
    pub index: usize,
    /// Compression method (APPNOTE 4.4.5).
    pub method: u16,
    /// Offset of the local header.
    pub header_offset: u64,
    /// Offset of the first byte of compressed data.
    pub data_offset: u64,
    /// Bytes, packed.
    pub compressed_size: u64,
    /// Bytes, unpacked, as declared.
    pub size: u64,
    /// CRC-32 of the unpacked bytes, as declared.
    pub crc32: u32,
}

/// What an archive holds, held against the packaging rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Names of the files in it (directories are not files), control characters escaped, at most the first 100.
    pub files: Vec<String>,
    /// Packaging rules that are not observed.
    pub violations: Vec<Violation>,
    /// The data file to import leniently: the one of the right name, else the only `.json`, else none.
    pub member: Option<Member>,
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The archive's own fault: a value for the receipt.
    #[error("{}: {}", .0.code, .0.detail)]
    Fault(Violation),
    /// The local disk's fault: to be tried again.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Error {
        Error::Fault(violation)
    }
}

/// A fault of the archive as a whole.
fn fault(code: ViolationCode, detail: impl Into<String>) -> Violation {
    Violation::new(code, detail)
}
