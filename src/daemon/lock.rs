//! One daemon to a state directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::on_disk;

/// Holds the state directory while it lives. The system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct StateLock {
    // Held for its lock alone.
    _file: File,
}

/// Why the state directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "locking the state directory `{}`: another feedgate is using it ({holder}); stop it first, or give this one a state_dir of its own",
        dir.display()
    )]
    Held {
        /// The directory.
        dir: PathBuf,
        /// What the other wrote into the lock file: host name and process id.
        holder: String,
    },
    /// The directory or the file cannot be used.
    #[error("locking the state directory `{}`: {source}{}", dir.display(), hint(source))]
    Io {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What to do about it, where the system's words leave that open.
fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "; the user that feedgate runs as must own it, or be allowed to make it; or name another `state_dir`"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "; mount a volume there that can be written to, or name another `state_dir`"
        }
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            "; something that is no directory is in its way (a file, or a link that leads nowhere): move that away, or name another `state_dir`"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room there",
        _ => "",
    }
}

impl StateLock {
    /// Makes the directory if it is absent, and takes it.
    pub fn take(dir: &Path) -> Result<StateLock, LockError> {
        let failed = |source| LockError::Io {
            dir: dir.to_owned(),
            source,
        };
        // What comes to lie in it are people's data: for nobody else's eyes.
        on_disk::make_dir_with_mode(dir, 0o700).map_err(failed)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(dir.join("lock"))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // What it says is for people: if it cannot be read, the refusal stands all the same.
                file.take(200).read_to_string(&mut holder).ok();
                return Err(LockError::Held {
                    dir: dir.to_owned(),
                    holder: holder.trim().escape_debug().to_string(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy();
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "host {host}, process {}", std::process::id()));
        written.map_err(failed)?;
        Ok(StateLock { _file: file })
    }
}
