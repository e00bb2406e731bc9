//! A spool file that is written anew: under another name, since the old one is read until the ledger says otherwise.

use std::fs::File;
use std::io::{self, Read};

use super::pins::Pin;
use super::temporary::Temporary;
use super::{Slice, Spool, SpoolError, disk};
use crate::ledger::Stored;

/// How much is copied at a time, in bytes.
const COPY_BYTES: usize = 256 * 1024;

/// Characters that a new name takes over from the old one: a SHA-256 in hex.
const STEM_MAX: usize = 64;

/// A spool file that takes another's place. It is not there until it is kept.
pub struct Rewriting {
    spool: Spool,
    temporary: Temporary,
    name: String,
    len: u64,
    pin: Pin,
}

/// A file of no name, beside the spool's files, for what goes into one later.
pub struct Scratch(Temporary);

impl Spool {
    /// Begins the successor of a spool file. Its name begins with the same hash: that of what the partner sent.
    pub fn rewrite(&self, old: &str) -> Result<Rewriting, SpoolError> {
        let (stem, ending) = old.rsplit_once('.').unwrap_or((old, "zip"));
        let stem: String = stem.chars().take(STEM_MAX).collect();
        let name = format!("{stem}-{:016x}.{ending}", fastrand::u64(..));
        Ok(Rewriting {
            pin: self.pins.pin(&name),
            temporary: Temporary::create(&self.dir)?,
            spool: self.clone(),
            name,
            len: 0,
        })
    }

    /// An empty file that goes when it is let go of.
    pub fn scratch(&self) -> Result<Scratch, SpoolError> {
        Temporary::create(&self.dir).map(Scratch)
    }
}

impl Scratch {
    /// The file, to be written and read.
    pub fn file(&self) -> Result<File, SpoolError> {
        self.0.reader()
    }
}

impl Rewriting {
    /// Takes an archive over as it is; says where it lies now.
    pub fn copy(&mut self, stored: &Stored) -> Result<Stored, SpoolError> {
        let slice = Slice::open(&self.spool.dir, stored)
            .map_err(|error| disk(format!("reading `{}` in the spool", stored.file), error))?;
        self.append(slice)
    }

    /// Appends an archive; says where it lies.
    pub fn append(&mut self, mut archive: impl Read) -> Result<Stored, SpoolError> {
        let offset = self.len;
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            let count = match archive.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(disk(format!("reading for `{}` in the spool", self.name), error)),
            };
            self.temporary.write(&buffer[..count])?;
            self.len += count as u64;
        }
        Ok(Stored {
            file: self.name.clone(),
            offset,
            len: self.len - offset,
        })
    }

    /// Gives it its name: on disk, name and all, when this returns `Ok`. It is not swept while the pin lives.
    pub fn keep(self) -> Result<Pin, SpoolError> {
        self.temporary.keep(&self.name)?;
        Ok(self.pin)
    }
}
