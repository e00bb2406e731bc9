//! Whose entries are where: archives in the spool read again, every element of them, rejected ones as well.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::path::Path;

use roaring::RoaringTreemap;

use crate::archive;
use crate::feed::{self, Entry, RawEntry, Stop, Walk};
use crate::ledger::{Import, Spooled, Whom};
use crate::spool::Slice;

/// Buffer for the zip's small records, in bytes.
const RECORDS_BYTES: usize = 8 * 1024;

/// Other units that are named, at most.
const UNITS_MAX: usize = 20;

/// What there is of somebody in the spool.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Found {
    /// Archives looked into.
    pub searched: u64,
    /// Archives with entries of theirs.
    pub archives: u64,
    /// Entries of theirs.
    pub entries: u64,
    /// Entries with the same e-mail address in other business units, by unit: those are somebody else.
    pub in_other_units: BTreeMap<String, u64>,
    /// Archives that cannot be read.
    pub unreadable: u64,
}

/// Why an archive cannot be looked into: it is not there, or not what it was.
pub struct Unread(pub String);

/// The entries of an archive that are a person's, and are not blank yet.
pub(super) fn entries_of(
    spool_dir: &Path,
    archive: &Spooled,
    whom: &Whom,
) -> io::Result<Result<RoaringTreemap, Unread>> {
    let mut theirs = RoaringTreemap::new();
    let read = each_entry(spool_dir, archive, |entry| {
        if is_of(&keys(entry, &archive.import), whom) {
            theirs.insert(entry.index);
        }
        Ok(())
    })?;
    Ok(read.map(|()| theirs))
}

/// Adds what there is of a person in an archive.
pub(super) fn count(spool_dir: &Path, archive: &Spooled, whom: &Whom, found: &mut Found) -> io::Result<()> {
    let mut entries = 0;
    let read = each_entry(spool_dir, archive, |entry| {
        let keys = keys(entry, &archive.import);
        if is_of(&keys, whom) {
            entries += 1;
        } else if let Some(email) = &keys.email
            && whom.has_in_another_unit(email)
        {
            let unit = keys.business_unit.unwrap_or_default().into_owned();
            if found.in_other_units.len() < UNITS_MAX || found.in_other_units.contains_key(&unit) {
                *found.in_other_units.entry(unit).or_default() += 1;
            }
        }
        Ok(())
    })?;
    found.searched += 1;
    found.entries += entries;
    found.archives += u64::from(entries > 0);
    found.unreadable += u64::from(read.is_err());
    Ok(())
}

/// Hands out every element of an archive's array, in order. An error of `take` ends it.
pub(super) fn each_entry(
    spool_dir: &Path,
    archive: &Spooled,
    mut take: impl FnMut(&RawEntry<'_>) -> io::Result<()>,
) -> io::Result<Result<(), Unread>> {
    let import = &archive.import;
    let Some(stored) = &import.stored else {
        return Ok(Err(Unread("it has left the spool".to_owned())));
    };
    let slice = match Slice::open(spool_dir, stored) {
        Ok(slice) => BufReader::with_capacity(RECORDS_BYTES, slice),
        Err(error) => return damage(error),
    };
    let member = &import.reading.member;
    let (size, data): (u64, Box<dyn Read + Send>) = match archive.is_plain {
        true => (stored.len, Box::new(slice)),
        false => match archive::open(slice, member, &import.reading.limits) {
            Ok(data) => (member.size, data),
            Err(archive::Error::Io(error)) => return damage(error),
            Err(archive::Error::Fault(fault)) => return Ok(Err(Unread(fault.detail))),
        },
    };
    let mut walk = Walk::expecting(size, data, &import.reading.options);
    loop {
        match walk.next() {
            Ok(Some(entry)) => take(&entry)?,
            Ok(None) => return Ok(Ok(())),
            Err(Stop::Fault(fault)) => return Ok(Err(Unread(fault.detail))),
            Err(Stop::Read(error)) => match archive::fault_in(&error) {
                Some(fault) => return Ok(Err(Unread(fault.detail.clone()))),
                None => return damage(error),
            },
        }
    }
}

/// What is not there, or is cut short, stays so; all else is the disk's, and may pass.
fn damage<T>(error: io::Error) -> io::Result<Result<T, Unread>> {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => Ok(Err(Unread(error.to_string()))),
        _ => Err(error),
    }
}

fn keys<'a>(entry: &RawEntry<'a>, import: &Import) -> Entry<'a> {
    feed::extract(entry, &import.reading.options)
}

fn is_of(keys: &Entry<'_>, whom: &Whom) -> bool {
    whom.is(keys.id.as_deref(), keys.email.as_deref(), keys.business_unit.as_deref())
}
