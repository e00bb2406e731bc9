//! Opening a database of events, and leaving alone what is none.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior};

use super::Reply;
use crate::events::Bounds;

/// SQLite's `application_id` of our databases: `FGev`.
const APPLICATION_ID: i32 = 0x4647_6576;

/// Version of `schema.sql`: SQLite's `user_version`.
const SCHEMA_VERSION: i32 = 1;

/// Page size of a new file, in bytes: the largest there is. Rows are appended, and read in long runs.
const PAGE_BYTES: u32 = 65_536;

/// SQLite's page cache, in KiB. What a transaction has beyond that goes to the file early, which is allowed; but readers are
/// locked out from then on until the commit, so that a transaction is to fit in here.
const CACHE_KIB: i32 = 16 * 1024;

/// Bounds of a transaction, so that its rows fit in the cache but for odd ones (tiny bodies, giant ones). Readers are locked out
/// only while it is committed, for some hundredths of a second; every commit waits for the disk, so smaller ones cost time.
pub(super) const TRANSACTION: Bounds = Bounds {
    events: 50_000,
    bytes: 12 * 1024 * 1024,
};

/// How long a statement waits for a reader to finish before it gives up. A shutdown has to wait as long.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Opens a database for one destination, and makes it if it is not there. A file that is not ours is not touched.
pub(super) fn open(path: &Path, destination: &str, was: Option<&str>) -> Result<Connection, Reply> {
    if let Some(parent) = path.parent() {
        let doing = || format!("making the directory of the database `{}`", path.display());
        crate::on_disk::make_dir(parent).map_err(|error| crate::destination::of_io(&doing(), &error))?;
    }
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    look(&connection, path, destination, was)?;
    set_up(&mut connection, destination).map_err(|error| of_sql(path, "opening", error))?;
    Ok(connection)
}

/// Says whether [`open`] would succeed, and changes nothing.
pub(in crate::destination) fn check(path: &Path, destination: &str, was: Option<&str>) -> Result<(), Reply> {
    if !path.exists() {
        return crate::destination::check_place(path);
    }
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    look(&connection, path, destination, was)?;
    crate::destination::check_writable(path)
}

/// Device and inode of the file at a path.
pub(super) fn identity(path: &Path) -> Result<(u64, u64), Reply> {
    let metadata = std::fs::metadata(path)
        .map_err(|error| crate::destination::of_io(&format!("looking at the database `{}`", path.display()), &error))?;
    Ok((metadata.dev(), metadata.ino()))
}

/// The name of the destination that a database belongs to.
pub(super) fn owner(connection: &Connection) -> rusqlite::Result<Option<String>> {
    connection
        .query_row("SELECT destination FROM feedgate", [], |row| row.get(0))
        .optional()
}

/// Bars a destination from the database of another.
pub(super) fn belongs_to_another(path: &Path, owner: &str) -> Reply {
    Reply::Barred {
        reason: format!(
            "the database `{}` belongs to the destination `{owner}`: give this one another `path`, or say `was = \"{owner}\"` \
             if it was renamed",
            path.display()
        ),
    }
}

/// What SQLite said, as a reply: what passes by itself is waited for, what somebody has to mend bars the destination.
pub(super) fn of_sql(path: &Path, doing: &str, error: rusqlite::Error) -> Reply {
    let reason = format!("{doing} the database `{}`: {error}", path.display());
    let advice = match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::OutOfMemory
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OperationInterrupted,
        ) => return Reply::Unavailable { reason },
        // Or there is no room for it, say. SQLite does not tell these apart.
        Some(ErrorCode::CannotOpen) if could_be_opened(path) => return Reply::Unavailable { reason },
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            "give the program's user the right to write there, or name another `path`"
        }
        Some(ErrorCode::NotADatabase) => "name another `path`",
        Some(ErrorCode::DatabaseCorrupt) => {
            "restore it from a backup, or move it away: a new one is filled from the spool"
        }
        _ => "undo what was changed in it, or move it away: a new one is filled from the spool",
    };
    Reply::Barred {
        reason: format!("{reason}; {advice}"),
    }
}

/// Whether nothing that somebody has to mend is in the way of a database.
fn could_be_opened(path: &Path) -> bool {
    let reachable = match path.exists() {
        true => crate::destination::check_writable(path),
        false => crate::destination::check_place(path),
    };
    reachable.is_ok() && !path.is_dir()
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Reply> {
    Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .and_then(|connection| {
            connection.busy_timeout(BUSY_TIMEOUT)?;
            Ok(connection)
        })
        .map_err(|error| of_sql(path, "opening", error))
}

/// Whether a database is ours and this destination's, or empty.
fn look(connection: &Connection, path: &Path, destination: &str, was: Option<&str>) -> Result<(), Reply> {
    let looking = |error| of_sql(path, "looking at", error);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(looking)?;
    let application: i32 = pragma(connection, "application_id").map_err(looking)?;
    let version: i32 = pragma(connection, "user_version").map_err(looking)?;
    if tables == 0 && application == 0 && version == 0 {
        return Ok(());
    }
    if application != APPLICATION_ID {
        return Err(Reply::Barred {
            reason: format!(
                "the database `{}` was not made by feedgate and is left alone: name another `path`",
                path.display()
            ),
        });
    }
    if version != SCHEMA_VERSION {
        return Err(Reply::Barred {
            reason: format!(
                "the database `{}` has schema version {version}, and this program knows version {SCHEMA_VERSION}: use the \
                 feedgate that made it, or name another `path`",
                path.display()
            ),
        });
    }
    match owner(connection).map_err(looking)? {
        Some(owner) if owner == destination || Some(owner.as_str()) == was => Ok(()),
        Some(owner) => Err(belongs_to_another(path, &owner)),
        None => Err(Reply::Barred {
            reason: format!(
                "the table `feedgate` in the database `{}` was emptied, so that nobody knows what is in it: move the file \
                 away, and a new one is filled from the spool",
                path.display()
            ),
        }),
    }
}

fn set_up(connection: &mut Connection, destination: &str) -> rusqlite::Result<()> {
    // Takes effect on an empty file only, and before anything else is written.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Rows are deleted only when they are to be gone, and for somebody who is erased that means gone from the file.
    connection.pragma_update(None, "secure_delete", true)?;
    // Where the root is read-only and there is no /tmp, SQLite finds no place for temporary files, and says "disk I/O error".
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    let journal: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    // Somebody who reads all day may have switched the file to a write-ahead log; that is theirs to choose.
    if journal != "wal" {
        connection.query_row("PRAGMA journal_mode = TRUNCATE", [], |_| Ok(()))?;
    }
    connection.set_prepared_statement_cache_capacity(8);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if pragma(&transaction, "user_version")? == 0 {
        transaction.execute_batch(include_str!("schema.sql"))?;
        transaction.execute("INSERT INTO feedgate (one, destination) VALUES (1, ?1)", [destination])?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    } else {
        transaction.execute(
            "UPDATE feedgate SET destination = ?1 WHERE destination <> ?1",
            [destination],
        )?;
    }
    transaction.commit()
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cannot_open(path: &Path) -> Reply {
        let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
        of_sql(path, "opening", rusqlite::Error::SqliteFailure(error, None))
    }

    #[test]
    fn a_database_that_nothing_is_in_the_way_of_is_tried_again_soon() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("events.db");
        assert!(
            matches!(cannot_open(&path), Reply::Unavailable { .. }),
            "no room, perhaps"
        );
        std::fs::write(&path, "").expect("a file");
        assert!(
            matches!(cannot_open(&path), Reply::Unavailable { .. }),
            "too many open files, perhaps"
        );
        assert!(matches!(cannot_open(dir.path()), Reply::Barred { .. }), "a directory");
    }
}
