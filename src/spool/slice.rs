//! Reading an archive out of a spool file, which may hold others beside it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::ledger::Stored;

/// An archive in a spool file: the bytes from `offset` on, and no others.
pub struct Slice {
    file: File,
    start: u64,
    len: u64,
    at: u64,
}

impl Slice {
    /// Opens an archive in the spool's directory.
    pub fn open(spool_dir: &Path, stored: &Stored) -> io::Result<Slice> {
        let mut file = File::open(spool_dir.join(&stored.file))?;
        if file.metadata()?.len() < stored.offset + stored.len {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the spool file is shorter than the ledger says",
            ));
        }
        file.seek(SeekFrom::Start(stored.offset))?;
        Ok(Slice {
            file,
            start: stored.offset,
            len: stored.len,
            at: 0,
        })
    }
}

impl Read for Slice {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.len.saturating_sub(self.at);
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.file.read(&mut buffer[..most])?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Slice {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = sought(to, self.at, self.len)?;
        let absolute = self
            .start
            .checked_add(at)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.file.seek(SeekFrom::Start(absolute))?;
        self.at = at;
        Ok(at)
    }
}

/// Where a seek leads in an archive of `len` bytes, from `at`: behind its end it may, before its beginning not.
pub(super) fn sought(to: SeekFrom, at: u64, len: u64) -> io::Result<u64> {
    let sought = match to {
        SeekFrom::Start(from_start) => Some(from_start),
        SeekFrom::Current(by) => at.checked_add_signed(by),
        SeekFrom::End(by) => len.checked_add_signed(by),
    };
    sought.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek before the start"))
}
