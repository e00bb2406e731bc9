//! What can go wrong with the unique keys. None of it is ever an archive's fault.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// What can go wrong with the unique keys.
#[derive(Debug, thiserror::Error)]
pub enum UniqueError {
    /// The file is not what was written: it is set aside and built anew.
    #[error("{doing}: the file `{}` is damaged: {detail}", path.display())]
    Damaged {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// It was written by a newer program.
    #[error(
        "opening the unique keys `{}`: its schema is version {found}, this program knows version {known}; use the newer \
         feedgate, or remove the file while feedgate is stopped: it is built anew from the spool",
        path.display()
    )]
    Newer {
        /// Where it lies.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// SQLite says otherwise: disk full, locked.
    #[error("{doing}, in `{}`: {why}{}", path.display(), hint(why))]
    Sql {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        why: rusqlite::Error,
    },
    /// The disk does.
    #[error("{doing}: {source}")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The writing thread is gone: the program is ending.
    #[error("{doing}: the unique keys are closed")]
    Closed {
        /// What was being done.
        doing: &'static str,
    },
}

/// What went wrong beneath, before it is known what was being done.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(rusqlite::Error),
    Disk(io::Error),
    Damaged(String),
}

impl Fault {
    pub fn when(self, doing: &'static str, path: &Path) -> UniqueError {
        let path = path.to_owned();
        match self {
            Fault::Damaged(detail) => UniqueError::Damaged { doing, path, detail },
            Fault::Disk(source) => UniqueError::Disk { doing, source },
            Fault::Sql(why) => match why.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => UniqueError::Damaged {
                    doing,
                    path,
                    detail: why.to_string(),
                },
                _ => UniqueError::Sql { doing, path, why },
            },
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(why: rusqlite::Error) -> Fault {
        Fault::Sql(why)
    }
}

impl From<io::Error> for Fault {
    fn from(source: io::Error) -> Fault {
        Fault::Disk(source)
    }
}

/// What to do about it, where the words of SQLite leave that open.
fn hint(why: &rusqlite::Error) -> &'static str {
    match why.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "; make room on the disk of the state directory",
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
            "; the user that this runs as must be allowed to write the file and the directory it lies in"
        }
        Some(ErrorCode::DatabaseBusy) => "; another program holds the file: end it",
        _ => "",
    }
}
