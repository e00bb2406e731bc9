//! What is true of every archive: SQLite, one writer, many readers.
//!
//! The only room with the ledger's SQL. It has not heard of SFTP or of any wire format. Each verb is one transaction; the
//! closing one gives an import its `seq`. `schema.sql` says what is kept, for people with `sqlite3`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use roaring::RoaringTreemap;
use rusqlite::{Connection, Transaction};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::archive::{Limits, Member};
use crate::definition::Definitions;
use crate::feed::Options;
use crate::verdict::FeedKind;

mod again;
mod close;
mod dead_letters;
mod deliveries;
mod dropping;
mod erase;
mod flight;
mod frozen; // event definitions as they were
#[cfg(test)]
mod growth_tests;
mod history; // what tells one past from another
mod import;
mod keyed;
pub mod letters;
pub mod listing;
mod log;
pub mod moves;
mod open;
pub mod outcome;
pub mod people;
pub mod report;
pub mod retention;
pub mod retry;
#[cfg(test)]
mod tests;
mod tickets;
mod undo;
mod whom;

pub use again::{Asked, Refused, Replay};
pub use close::Closed;
pub use dead_letters::{DueLetter, KeptLetter, LetterEntry, LetterKind, LetterRange, NewLetter};
pub use deliveries::{Ahead, DestinationRow, DestinationState, Gap, Registration, Standing, Wanted};
pub use erase::{Cleared, Erasure, Rewritten, Slot, Spooled};
pub use flight::{Budget, Flight, Leave, Sending, Settlement};
pub use keyed::{AsForetold, Keyed, KeyedImport};
pub use log::LogLine;
pub use open::SCHEMA_VERSION;
pub use tickets::{NewTicket, TicketReport, TicketsWanted};
pub use undo::{UndoAt, UndoPlan};
pub use whom::{Address, DefaultUnit, Whom};

/// A place in everything ever imported: the next event is number `index` of the import that was closed as number `seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Cursor {
    /// Order of commit, from 1.
    pub seq: i64,
    /// Index of the entry in the feed, from 0.
    pub index: u64,
}

/// All that reading an archive depended on, frozen when it is closed: deliveries use this, never today's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// [`crate::feed::READER_VERSION`] at the time.
    pub reader: u32,
    /// The data file and where it lies.
    pub member: Member,
    /// How its entries were read.
    pub options: Options,
    /// Bounds on unpacking.
    pub limits: Limits,
    /// SHA-256 of the event definitions that were in force, in hex; `None` where there were none.
    pub definitions: Option<String>,
}

impl Reading {
    /// The reading of a row that no archive belongs to.
    fn of_nothing() -> Reading {
        Reading {
            reader: crate::feed::READER_VERSION,
            member: Member {
                name: String::new(),
                index: 0,
                method: 0,
                header_offset: 0,
                data_offset: 0,
                compressed_size: 0,
                size: 0,
                crc32: 0,
            },
            options: Options {
                default_business_unit: None,
                duplicate_keys: crate::feed::DuplicateKeys::Reject,
                entry_bytes_max: 0,
                depth_max: 0,
                kind: FeedKind::Events,
                ordered_items: false,
                order_unique: false,
            },
            limits: Limits {
                unpacked_bytes: 0,
                ratio: 0,
            },
            definitions: None,
        }
    }
}

/// Where an archive's bytes lie in the spool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The spool file, relative to the spool's directory.
    pub file: String,
    /// Offset of the archive's first byte in it.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
}

/// What a row of the log asks of whoever comes to it in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asks {
    /// An import took events in: they are to be delivered.
    Deliver,
    /// Somebody wants the events of an import delivered once more, with the same ids.
    DeliverAgain,
    /// An import was undone: its events are to be taken back, wherever that can be done.
    TakeBack,
    /// Somebody is to be forgotten. `None` when all were past it that were known then: whom is not known any more.
    Forget(Option<Arc<Whom>>),
}

/// An import that took events in, with all that is needed to read them again; or what somebody asked, which is a row of the
/// same log (see [`Import::asks`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// Its name for people. Of a replay and of an undo: the name of the import that they are of.
    pub id: i64,
    /// Its place in the order of commits.
    pub seq: i64,
    /// The source's configured name.
    pub source: String,
    /// The archive's file name.
    pub archive: String,
    /// SHA-256 of the archive.
    pub sha256: [u8; 32],
    /// The time that stands for absent timestamps, UTC milliseconds.
    pub imported_at: i64,
    /// Elements of the array.
    pub entries: u64,
    /// Of these, events.
    pub accepted: u64,
    /// What is to be done with it.
    pub asks: Asks,
    /// The frozen reading.
    pub reading: Reading,
    /// Indices of the entries that are no events: rejected, seen before by a unique key, or erased since.
    pub left_out: RoaringTreemap,
    /// Where its bytes lie; `None` when they left the spool at [`Import::pruned_at`].
    pub stored: Option<Stored>,
    /// When its bytes left the spool.
    pub pruned_at: Option<i64>,
    /// The definitions of [`Reading::definitions`], for whoever needs them and has looked them up.
    pub definitions: Option<Arc<Definitions>>,
    /// What tells everything that was closed up to it from any other past; `None` for what is older than that.
    pub history: Option<[u8; 32]>,
}

/// What can go wrong with the ledger. None of it is ever an archive's fault.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// There is no ledger yet.
    #[error("opening the ledger `{}`: there is none; `feedgate run` or `feedgate once` makes it (is `state_dir` right?)", .0.display())]
    Missing(PathBuf),
    /// It was written by a newer program.
    #[error("opening the ledger `{}`: its schema is version {found}, this program knows up to {known}; use the newer feedgate", path.display())]
    Newer {
        /// Where it lies.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// SQLite says otherwise: disk full, locked, damaged.
    #[error("{doing}: {why}{}", hint(.why))]
    Sql {
        /// What was being done.
        doing: String,
        /// What SQLite said.
        why: rusqlite::Error,
    },
    /// The writing thread is gone: the program is ending.
    #[error("{doing}: the ledger is closed")]
    Closed {
        /// What was being done.
        doing: String,
    },
}

/// What to do about it, where the words of SQLite leave that open.
fn hint(why: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode::{CannotOpen, DatabaseBusy, DatabaseCorrupt, DiskFull, NotADatabase, ReadOnly};
    match why.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => {
            "; stop feedgate, keep a copy of the file, and put a backup in its place or salvage it with `sqlite3 ledger.db .recover`"
        }
        Some(DiskFull) => "; make room on the disk of the state directory",
        Some(CannotOpen) => {
            "; the user that this runs as must be allowed to write there, and the disk must have room and inodes left"
        }
        Some(ReadOnly) => {
            "; the user that this runs as must be allowed to write the ledger and the directory it lies in"
        }
        Some(DatabaseBusy) => "; another program holds the ledger: end it",
        _ => "",
    }
}

/// Reading connections at a time: each has a page cache and a thread, and the disk is the same for all.
const READERS_MAX: usize = 4;

/// No file waits longer than this for its next try, in milliseconds: what is to wait longer was written down before somebody
/// set the clock back, and its time has come.
pub(crate) const WAIT_MAX_MS: i64 = 60 * 60 * 1_000;

/// One piece of work for the writing thread.
type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The ledger. Cheap to clone; the file is closed when the last clone is gone.
#[derive(Clone)]
pub struct Ledger {
    path: PathBuf,
    writer: std::sync::mpsc::Sender<Job>,
    readers: Arc<Mutex<Vec<Connection>>>,
    reading: Arc<Semaphore>,
}

impl Ledger {
    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `f` in one immediate transaction on the writing thread; it is on disk when this returns `Ok`.
    pub async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        f: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.job(doing, |connection| in_transaction(connection, f)).await
    }

    /// As [`Ledger::write`], to delete rows that nothing refers to: imports that were only claimed. SQLite does not believe
    /// that, and looks through every table that could refer to them. With a million imports this takes two seconds for each.
    async fn write_unreferred<T: Send + 'static>(
        &self,
        doing: &'static str,
        f: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.job(doing, |connection| {
            connection.pragma_update(None, "foreign_keys", false)?;
            let result = in_transaction(connection, f);
            connection.pragma_update(None, "foreign_keys", true)?;
            result
        })
        .await
    }

    /// Runs `f` on the writing thread.
    async fn job<T: Send + 'static>(
        &self,
        doing: &'static str,
        f: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let result = f(connection).map_err(|why| LedgerError::Sql {
                doing: doing.to_owned(),
                why,
            });
            // Whoever asked may have gone; the transaction stands all the same.
            answer.send(result).ok();
        });
        let closed = || LedgerError::Closed {
            doing: doing.to_owned(),
        };
        self.writer.send(job).map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Runs `f` on a reading connection, off the runtime.
    pub async fn read<T: Send + 'static>(
        &self,
        doing: &'static str,
        f: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let this = self.clone();
        // Refused only when the semaphore is closed, and nobody closes it.
        let permit = self.reading.clone().acquire_owned().await;
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let pooled = this.readers.lock().map(|mut readers| readers.pop()).unwrap_or_default();
            let connection = match pooled {
                Some(connection) => connection,
                None => open::reader(&this.path)?,
            };
            let result = f(&connection).map_err(|why| LedgerError::Sql {
                doing: doing.to_owned(),
                why,
            });
            if let Ok(mut readers) = this.readers.lock() {
                readers.push(connection);
            }
            result
        });
        work.await.map_err(|_| LedgerError::Closed {
            doing: doing.to_owned(),
        })?
    }
}

fn in_transaction<T>(
    connection: &mut Connection,
    f: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let value = f(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

/// Milliseconds since 1970, UTC: the clock, where a room that must not know it is handed a reading.
pub fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
