//! How far the ledger had got when this spool was used last.
//!
//! What no import refers to is swept from the spool. After a ledger was put back from a backup that would be every archive
//! imported since, and perhaps the last copy of each. So the number of the last commit stands in a file beside the spool, and
//! a ledger that ends before it is known for an older one.
//!
//! The file is written in place, by one call of always the same length, and is empty only before the first: a program killed meanwhile leaves
//! the number before or the one after. It is not synced. What a power cut takes from it only makes it say less.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// The number, and the file it stands in. Cheap to clone.
#[derive(Clone)]
pub(super) struct Extent(Arc<Mutex<Noted>>);

struct Noted {
    file: File,
    seq: i64,
}

impl Extent {
    /// The one of the spool in `dir`; a spool that has none says nothing.
    pub(super) fn open(dir: &Path) -> io::Result<Extent> {
        let path = path_beside(dir);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        let text = fs::read_to_string(&path)?;
        let seq = text.trim().parse().unwrap_or(0);
        Ok(Extent(Arc::new(Mutex::new(Noted { file, seq }))))
    }

    /// Removes the one of the spool in `dir`, which belongs to another ledger from now on.
    pub(super) fn forget(dir: &Path) -> io::Result<()> {
        match fs::remove_file(path_beside(dir)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The last number that was noted.
    pub(super) fn reached(&self) -> i64 {
        self.noted().seq
    }

    /// Notes a number, unless a later one is noted already: sources commit side by side.
    pub(super) fn reach(&self, seq: i64) -> io::Result<()> {
        let mut noted = self.noted();
        match seq > noted.seq {
            true => noted.write(seq),
            false => Ok(()),
        }
    }

    /// Notes a number, also an earlier one.
    pub(super) fn begin_anew(&self, seq: i64) -> io::Result<()> {
        self.noted().write(seq)
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Noted {
    fn write(&mut self, seq: i64) -> io::Result<()> {
        self.file.write_all_at(format!("{seq:>20}\n").as_bytes(), 0)?;
        self.seq = seq;
        Ok(())
    }
}

/// `spool.commits`, beside the spool.
fn path_beside(dir: &Path) -> PathBuf {
    dir.with_extension("commits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_furthest_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let spool = dir.path().join("spool");
        let extent = Extent::open(&spool).unwrap();
        assert_eq!(extent.reached(), 0);
        extent.reach(12).unwrap();
        extent.reach(9).unwrap();
        assert_eq!(Extent::open(&spool).unwrap().reached(), 12);
        extent.begin_anew(3).unwrap();
        assert_eq!(Extent::open(&spool).unwrap().reached(), 3);
        Extent::forget(&spool).unwrap();
        Extent::forget(&spool).unwrap();
        assert_eq!(Extent::open(&spool).unwrap().reached(), 0);
    }
}
