//! The file: opened, made, and asked which runs there are.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};

use super::block::{Block, Record};
use super::error::{Fault, UniqueError};

/// The schema this program writes; SQLite's `user_version`.
const SCHEMA_VERSION: i64 = 1;

/// What tells the file from those of other programs: "FGuk".
const APPLICATION_ID: i64 = 0x4647_756b;

/// Page size in bytes: a block takes one.
const PAGE_BYTES: i64 = 16 * 1024;

/// Page cache, in KiB.
const CACHE_KIB: i64 = 2 * 1024;

/// How long a statement waits for another process (`feedgate erase` beside the daemon) before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Blocks to a transaction: about a megabyte. Whoever waits for the file waits for no more than that, and the journal stays small.
pub(super) const BLOCKS_PER_STEP: usize = 64;

/// The store, with the one connection that there is to it.
pub(super) struct Store {
    pub connection: Connection,
    /// The directory whose disk must have room for what is merged, and how many bytes of it.
    room: (PathBuf, u64),
    /// Imports whose keys do not count any more, as was told last; `None`: nobody has told yet, and nothing is merged.
    pub void: Option<HashSet<u32>>,
    /// What was done so far: for the tests, which count instead of taking the time.
    pub work: Work,
}

/// How much was read and written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Blocks read.
    pub blocks_read: u64,
    /// Blocks written.
    pub blocks_written: u64,
    /// Blocks removed.
    pub blocks_removed: u64,
    /// Most blocks that were written in one step of merging.
    pub blocks_at_once: u64,
}

/// An import as far as the store has to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its id in the ledger.
    pub import: i64,
    /// Its place in the order of commits.
    pub seq: i64,
    /// When it was closed, UTC milliseconds.
    pub closed_at: i64,
}

/// What the store says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Up to which import everything is in it; `None`: nothing is.
    pub cursor: Option<Place>,
    /// Imports that brought keys, and of which it does not know whether they were closed.
    pub staged: Vec<i64>,
}

/// A run that keys are looked for in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub id: i64,
    pub keys: u64,
    pub blocks: u64,
}

impl Store {
    /// Opens the file, and makes it if it is not there. Nothing is merged that leaves the disk with less than so many bytes.
    pub fn open(path: &Path, free_bytes_min: u64) -> Result<Store, UniqueError> {
        let doing = "opening the unique keys";
        let failed = |fault: Fault| fault.when(doing, path);
        make(path).map_err(|error| failed(error.into()))?;
        let mut connection = connect(path).map_err(|error| failed(error.into()))?;
        match set_up(&mut connection).map_err(|error| failed(error.into()))? {
            SetUp::Done => Ok(Store {
                connection,
                room: (path.parent().unwrap_or(Path::new(".")).to_owned(), free_bytes_min),
                void: None,
                work: Work::default(),
            }),
            SetUp::Newer(found) => Err(UniqueError::Newer {
                path: path.to_owned(),
                found,
                known: SCHEMA_VERSION,
            }),
            SetUp::AnotherProgram => Err(failed(Fault::Damaged(
                "it is the database of another program".to_owned(),
            ))),
        }
    }

    /// Whether there is room for a step: on the disk, or in pages of the file that nothing is in. Merging can wait; whoever
    /// else has to write cannot.
    pub fn has_room(&self) -> Result<bool, Fault> {
        let step = 2 * BLOCKS_PER_STEP as u64;
        let unused: u64 = self
            .connection
            .pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        if unused >= step {
            return Ok(true);
        }
        let stats = rustix::fs::statvfs(&self.room.0).map_err(io::Error::from)?;
        let free = stats.f_bavail.saturating_mul(stats.f_frsize);
        Ok(free >= self.room.1.saturating_add(step * PAGE_BYTES as u64))
    }

    /// What the store says of itself.
    pub fn standing(&self) -> rusqlite::Result<Standing> {
        let cursor = self
            .connection
            .prepare_cached("SELECT import, seq, closed_at FROM cursor")?
            .query_row([], |row| {
                Ok(Place {
                    import: row.get(0)?,
                    seq: row.get(1)?,
                    closed_at: row.get(2)?,
                })
            })
            .optional()?;
        let mut select = self
            .connection
            .prepare_cached("SELECT import FROM runs WHERE state = 'staged' AND import IS NOT NULL ORDER BY id")?;
        let staged = select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(Standing { cursor, staged })
    }

    /// What was staged counts if its import is among these, and is dropped if not.
    pub fn settle(&mut self, closed: &[Place]) -> rusqlite::Result<()> {
        let transaction = begin(&mut self.connection)?;
        let mut update = transaction.prepare_cached(
            "UPDATE runs SET state = 'settled', import = NULL WHERE import = ?1 AND state = 'staged'",
        )?;
        for place in closed {
            update.execute([place.import])?;
            pass(&transaction, *place)?;
        }
        drop(update);
        transaction.execute(
            "UPDATE runs SET state = 'dropped', import = NULL WHERE state = 'staged'",
            [],
        )?;
        transaction.commit()
    }

    /// Everything up to this import is in it, or cannot be had.
    pub fn pass(&mut self, place: Place) -> rusqlite::Result<()> {
        let transaction = begin(&mut self.connection)?;
        pass(&transaction, place)?;
        transaction.commit()
    }

    /// Whether the keys of an import do not count any more.
    pub fn is_void(&self, import: u32) -> bool {
        self.void.as_ref().is_some_and(|void| void.contains(&import))
    }

    /// Runs that count, the newest first: what comes twice mostly comes twice soon.
    pub fn settled(&self) -> rusqlite::Result<Vec<Run>> {
        let mut select = self
            .connection
            .prepare_cached("SELECT id, keys, blocks FROM runs WHERE state = 'settled' ORDER BY id DESC")?;
        let rows = select.query_map([], |row| {
            Ok(Run {
                id: row.get(0)?,
                keys: row.get(1)?,
                blocks: row.get(2)?,
            })
        })?;
        rows.collect()
    }
}

fn pass(transaction: &Transaction<'_>, place: Place) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO cursor VALUES (1, ?1, ?2, ?3)
             ON CONFLICT (one) DO UPDATE SET import = ?1, seq = ?2, closed_at = ?3 WHERE seq < ?2",
        )?
        .execute(params![place.import, place.seq, place.closed_at])
        .map(drop)
}

pub(super) fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// Sets a file aside that is not what was written, and what SQLite keeps beside it; the one that was set aside before goes.
pub(super) fn set_aside(path: &Path) -> io::Result<()> {
    let with = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    // Somebody may have removed it meanwhile.
    unless_gone(fs::rename(path, with(".aside")))?;
    unless_gone(fs::remove_file(with("-journal")))
}

fn unless_gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// What is being written of a run: a block at a time, each as soon as it is full.
pub(super) struct Writer {
    run: i64,
    next: i64,
    block: Block,
    keys: u64,
}

impl Writer {
    /// Writes on in a run that has so many blocks.
    pub fn of(run: i64, blocks: u64) -> Writer {
        Writer {
            run,
            next: blocks as i64,
            block: Block::default(),
            keys: 0,
        }
    }

    /// Takes the next record; answers with how many blocks were written for it.
    pub fn push(&mut self, transaction: &Connection, record: Record) -> rusqlite::Result<u64> {
        self.block.push(record);
        self.keys += 1;
        match self.block.is_full() {
            true => self.write(transaction),
            false => Ok(0),
        }
    }

    /// Writes what there is, full or not, and notes how long the run is now.
    pub fn note(&mut self, transaction: &Connection) -> rusqlite::Result<u64> {
        let written = match self.block.len() {
            0 => 0,
            _ => self.write(transaction)?,
        };
        transaction
            .prepare_cached("UPDATE runs SET keys = keys + ?2, blocks = ?3 WHERE id = ?1")?
            .execute(params![self.run, std::mem::take(&mut self.keys), self.next])?;
        Ok(written)
    }

    fn write(&mut self, transaction: &Connection) -> rusqlite::Result<u64> {
        let first = self.block.key(0).to_bytes();
        transaction
            .prepare_cached("INSERT INTO blocks (id, run, first, keys) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                block_id(self.run, self.next),
                self.run,
                first,
                self.block.take_row()
            ])?;
        self.next += 1;
        Ok(1)
    }
}

/// The row of a run's block.
pub(super) fn block_id(run: i64, number: i64) -> i64 {
    (run << 32) | number
}

/// Makes an empty file that only its owner may read, if there is none. SQLite gives the journal the same mode.
fn make(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Takes effect on an empty file only, and before anything else is written.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // What counts must not be lost while the ledger has the import that brought it. What is written here is written once, in
    // large pieces: a write-ahead log would write it twice.
    connection.query_row("PRAGMA journal_mode = TRUNCATE", [], |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // A key that was erased must not be found in a free page, where some run had it that was merged long ago.
    connection.pragma_update(None, "secure_delete", true)?;
    // In a container there may be no directory for temporary files: read-only root, no /tmp.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

enum SetUp {
    Done,
    Newer(i64),
    AnotherProgram,
}

fn set_up(connection: &mut Connection) -> rusqlite::Result<SetUp> {
    let transaction = begin(connection)?;
    let pragma = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    if (application, version) == (0, 0) {
        transaction.execute_batch(include_str!("schema.sql"))?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        transaction.commit()?;
        return Ok(SetUp::Done);
    }
    Ok(match (application, version) {
        (APPLICATION_ID, SCHEMA_VERSION) => SetUp::Done,
        (APPLICATION_ID, newer) => SetUp::Newer(newer),
        _ => SetUp::AnotherProgram,
    })
}
