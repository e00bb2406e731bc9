//! Opening the ledger: pragmas first, then one transaction for set-up or upgrade.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use tokio::sync::Semaphore;

use super::{Job, Ledger, LedgerError, READERS_MAX};

/// The schema this program writes; SQLite's `user_version`.
pub const SCHEMA_VERSION: i64 = 4;

/// What brings a ledger from the version before to this one.
const UPGRADES: [(i64, &str); 3] = [
    (2, include_str!("upgrade_2.sql")),
    (3, include_str!("upgrade_3.sql")),
    (4, include_str!("upgrade_4.sql")),
];

/// How long a statement waits for another process (`feedgate retry` beside the daemon) before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

impl Ledger {
    /// Opens the ledger in `path`, makes it if it is not there, and upgrades an older one.
    pub fn open(path: &Path) -> Result<Ledger, LedgerError> {
        make(path).map_err(|error| opening(path, rusqlite::Error::ToSqlConversionFailure(Box::new(error))))?;
        let connection = connect(path, OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        set_up(connection, path)
    }

    /// Opens an existing ledger beside a daemon that may be running: nothing is made.
    pub fn open_beside(path: &Path) -> Result<Ledger, LedgerError> {
        if !path.exists() {
            return Err(LedgerError::Missing(path.to_owned()));
        }
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        set_up(connection, path)
    }

    /// Whether an existing ledger is of an older schema, which opening it would upgrade.
    pub fn is_older(path: &Path) -> Result<bool, LedgerError> {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let found = version(&connection).map_err(|why| opening(path, why))?;
        Ok(found < SCHEMA_VERSION)
    }
}

/// Makes an empty file that only its owner may read, if there is none: it comes to hold people's data, and the directory may
/// be one that others look into. SQLite gives the files beside it the same mode.
fn make(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn opening(path: &Path, why: rusqlite::Error) -> LedgerError {
    LedgerError::Sql {
        doing: format!("opening the ledger `{}`", path.display()),
        why,
    }
}

fn set_up(mut connection: Connection, path: &Path) -> Result<Ledger, LedgerError> {
    let doing = |why| opening(path, why);
    let found = version(&connection).map_err(doing)?;
    if found > SCHEMA_VERSION {
        return Err(LedgerError::Newer {
            path: path.to_owned(),
            found,
            known: SCHEMA_VERSION,
        });
    }
    if found < SCHEMA_VERSION {
        upgrade(&mut connection).map_err(doing)?;
    }
    let (writer, jobs) = mpsc::channel::<Job>();
    std::thread::Builder::new()
        .name("ledger".to_owned())
        .spawn(move || {
            for job in jobs {
                job(&mut connection);
            }
        })
        .map_err(|error| doing(rusqlite::Error::ToSqlConversionFailure(Box::new(error))))?;
    Ok(Ledger {
        path: path.to_owned(),
        writer,
        readers: Arc::new(Mutex::new(Vec::new())),
        reading: Arc::new(Semaphore::new(READERS_MAX)),
    })
}

/// Brings an older ledger, or an empty file, to the present schema: one step a version, all in one transaction.
fn upgrade(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
    // Asked again inside the transaction: another process may have been quicker.
    let found = version(&transaction)?;
    if found >= SCHEMA_VERSION {
        return Ok(());
    }
    if found < 1 {
        transaction.execute_batch(include_str!("schema.sql"))?;
    } else {
        for (version, step) in UPGRADES {
            if found < version {
                transaction.execute_batch(step)?;
            }
        }
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()
}

/// A connection that reads only.
pub(super) fn reader(path: &Path) -> Result<Connection, LedgerError> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(|connection| {
        connection
            .pragma_update(None, "query_only", true)
            .map_err(|why| LedgerError::Sql {
                doing: "opening a reader of the ledger".to_owned(),
                why,
            })?;
        Ok(connection)
    })
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, LedgerError> {
    let doing = |why| opening(path, why);
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(doing)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(doing)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(doing)?;
    // An archive may be moved only after a commit that is really on disk.
    connection.pragma_update(None, "synchronous", "FULL").map_err(doing)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(doing)?;
    // What is deleted here are people's data, mostly: dead letters, excerpts. Free pages must not keep them.
    connection.pragma_update(None, "secure_delete", true).map_err(doing)?;
    // In a container there may be no directory for temporary files: read-only root, no /tmp.
    connection.pragma_update(None, "temp_store", "MEMORY").map_err(doing)?;
    // Plans do not depend on what is bound. Without this, SQLite prepares a statement anew whenever the value of its LIMIT, or
    // one that a partial index might turn on, is bound: a quarter of all instructions when small archives are taken in.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map_err(doing)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use rusqlite::{StatementStatus, params};

    use super::*;

    #[test]
    fn a_statement_is_prepared_once_whatever_is_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        drop(Ledger::open(&path).unwrap());
        let connection = reader(&path).unwrap();
        let mut select = connection
            .prepare("SELECT id FROM imports WHERE source = ?1 LIMIT ?2")
            .unwrap();
        for limit in [1, 2, 3] {
            let found = select.query_map(params!["acme", limit], |_| Ok(())).unwrap();
            assert_eq!(found.count(), 0);
        }
        assert_eq!(select.get_status(StatementStatus::RePrepare), 0);
    }
}
