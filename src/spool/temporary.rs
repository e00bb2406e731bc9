//! A spool file while it is written.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{SpoolError, disk};

/// A file that is not there until it is kept.
pub(super) struct Temporary {
    dir: PathBuf,
    path: PathBuf,
    file: File,
    kept: bool,
}

impl Temporary {
    /// Whether a name is that of a temporary file.
    pub(super) fn is_name(name: &str) -> bool {
        name.starts_with('.') && name.ends_with(".part")
    }

    /// Begins one in the spool's directory.
    pub(super) fn create(dir: &Path) -> Result<Temporary, SpoolError> {
        let path = dir.join(format!(".{:016x}.part", fastrand::u64(..)));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| disk(format!("creating `{}` in the spool", path.display()), error))?;
        Ok(Temporary {
            dir: dir.to_owned(),
            path,
            file,
            kept: false,
        })
    }

    /// The same file for somebody who reads what was written so far.
    pub(super) fn reader(&self) -> Result<File, SpoolError> {
        let opened = self.file.try_clone();
        opened.map_err(|error| disk(format!("opening `{}` in the spool", self.path.display()), error))
    }

    /// Appends to it.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        self.file.write_all(bytes).map_err(|error| {
            disk(
                format!("writing `{}` in the spool (is the disk full?)", self.path.display()),
                error,
            )
        })
    }

    /// Gives it its name: on disk, name and all, when this returns `Ok`.
    pub(super) fn keep(mut self, name: &str) -> Result<(), SpoolError> {
        let synced = self
            .file
            .sync_all()
            .and_then(|()| fs::rename(&self.path, self.dir.join(name)))
            .and_then(|()| File::open(&self.dir)?.sync_all());
        self.kept = synced.is_ok();
        synced.map_err(|error| disk(format!("syncing `{name}` in the spool"), error))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed now is swept at the next start.
            fs::remove_file(&self.path).ok();
        }
    }
}
