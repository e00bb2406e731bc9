//! Where a zip ends: the end record, its zip64 relatives, and the directory that they point to.
//!
//! One search serves both askers: [`end`], which sees the last bytes of a file that may still be arriving, and
//! `inspect`, which has the whole. Only an end record exactly at the end counts, whose directory ends right before it.

use super::records::{self, END_BYTES, END64_BYTES, End64, IN_ZIP64, IN_ZIP64_SHORT, LOCATOR_BYTES, Locator};
use super::{End, fault};
use crate::verdict::{Violation, ViolationCode};

/// Largest directory that is read. Without it a hostile archive would fill the memory with names.
pub(super) const DIRECTORY_BYTES_MAX: u64 = 1024 * 1024;

/// As far from the end as the end records can begin: behind them a comment of 65,535 bytes.
pub(super) const ENDS_BYTES_MAX: u64 = (u16::MAX as usize + END_BYTES + LOCATOR_BYTES + END64_BYTES) as u64;

/// The directory, as the end records have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Directory {
    pub offset: u64,
    pub size: u64,
    pub entries: u64,
}

/// Why there is no directory to be found.
#[derive(Debug)]
pub(super) enum Lost {
    /// No end record ends exactly at the end.
    NoEnd,
    /// The end records say something impossible.
    Fault(Violation),
}

/// Says from the last bytes of a file of `size` bytes whether it ends as a zip does.
///
/// It is `Whole` only if the directory is where the end record says, begins as one, and follows the data of the members
/// that it lists. An upload that was cut where a zip inside the data ends is not: offsets in there count from elsewhere.
pub fn end(tail: &[u8], size: u64) -> End {
    let Some(start) = size.checked_sub(tail.len() as u64) else {
        return End::Missing;
    };
    let directory = match locate(tail, size) {
        Ok(directory) => directory,
        // A long comment may have pushed the records out of what was read first.
        Err(_) if start > 0 && (tail.len() as u64) < ENDS_BYTES_MAX => {
            return End::Needs {
                from: size.saturating_sub(ENDS_BYTES_MAX),
            };
        }
        Err(_) => return End::Missing,
    };
    if directory.offset < start {
        return match size - directory.offset > DIRECTORY_BYTES_MAX {
            true => End::Whole, // it is where it says, and too large: `inspect` explains
            false => End::Needs { from: directory.offset },
        };
    }
    let from = (directory.offset - start) as usize;
    match plausible(&tail[from..from + directory.size as usize], &directory) {
        true => End::Whole,
        false => End::Missing,
    }
}

/// Whether these bytes begin as a directory does, and their members' data ends before it.
fn plausible(bytes: &[u8], directory: &Directory) -> bool {
    if bytes.is_empty() {
        return directory.offset == 0;
    }
    let mut rest = bytes;
    while let Some(entry) = records::Central::parse(rest) {
        let sizes_here = entry.header.compressed_size != IN_ZIP64 && entry.header_offset != IN_ZIP64;
        let end = u64::from(entry.header_offset)
            + records::LOCAL_BYTES as u64
            + entry.header.name.len() as u64
            + u64::from(entry.header.compressed_size);
        if sizes_here && end > directory.offset {
            return false;
        }
        rest = &rest[entry.len..];
    }
    rest.len() < bytes.len()
}

/// Finds the directory from the last bytes of a file of `size` bytes.
pub(super) fn locate(tail: &[u8], size: u64) -> Result<Directory, Lost> {
    let start = size - tail.len() as u64;
    let candidates: Vec<usize> = memchr::memmem::find_iter(tail, &records::END)
        .filter(|&at| reaches_the_end(&tail[at..]))
        .collect();
    let mut found: Option<Directory> = None;
    let mut first_fault = None;
    for &at in &candidates {
        match resolve(&tail[..at], &tail[at..], start) {
            Ok(_) if found.is_some() => return Err(Lost::Fault(two_ends())),
            Ok(directory) => {
                // A reader that searches backwards would find the record in the comment first.
                if memchr::memmem::find(&tail[at + END_BYTES..], &records::END).is_some() {
                    return Err(Lost::Fault(two_ends()));
                }
                found = Some(directory);
            }
            Err(fault) => first_fault = first_fault.or(Some(fault)),
        }
    }
    match (found, first_fault) {
        (Some(directory), _) => Ok(directory),
        (None, Some(fault)) => Err(Lost::Fault(fault)),
        (None, None) => Err(Lost::NoEnd),
    }
}

/// Whether the end record at the start of `bytes`, comment included, is all of them.
pub(super) fn reaches_the_end(bytes: &[u8]) -> bool {
    records::End::parse(bytes).is_some_and(|end| END_BYTES + usize::from(end.comment_len) == bytes.len())
}

fn two_ends() -> Violation {
    inconsistent("its comment holds a second end record: readers disagree about which one counts")
}

fn inconsistent(detail: impl Into<String>) -> Violation {
    fault(ViolationCode::ZipInconsistent, detail)
}

/// The directory that the end record at the start of `from_end` points to; `before` is what precedes it, from `start`.
fn resolve(before: &[u8], from_end: &[u8], start: u64) -> Result<Directory, Violation> {
    let Some(end) = records::End::parse(from_end) else {
        return Err(inconsistent("its end record is cut short"));
    };
    let locator = before
        .len()
        .checked_sub(LOCATOR_BYTES)
        .and_then(|at| Locator::parse(&before[at..]));
    let (directory, directory_end) = match locator {
        Some(locator) => resolve_zip64(&before[..before.len() - LOCATOR_BYTES], locator, &end, start)?,
        None => (resolve_plain(&end)?, start + before.len() as u64),
    };
    if directory.offset.checked_add(directory.size) != Some(directory_end) {
        return Err(inconsistent(format!(
            "its end record puts the directory at byte {} with {} bytes, but it ends at byte {directory_end}",
            directory.offset, directory.size
        )));
    }
    Ok(directory)
}

fn resolve_plain(end: &records::End) -> Result<Directory, Violation> {
    if end.disk != end.directory_disk || end.disk != 0 || end.entries_here != end.entries {
        return Err(split());
    }
    Ok(Directory {
        offset: u64::from(end.directory_offset),
        size: u64::from(end.directory_size),
        entries: u64::from(end.entries),
    })
}

/// One part of several: only the whole can be read.
fn split() -> Violation {
    fault(
        ViolationCode::ZipUnreadable,
        "is one part of a zip split over several files: send it in one piece",
    )
}

/// The directory as the zip64 end record has it, and where it ends. The record has to be where the locator says, right
/// before it, and the plain end record may differ from it only where it says "see there".
fn resolve_zip64(
    before: &[u8],
    locator: Locator,
    end: &records::End,
    start: u64,
) -> Result<(Directory, u64), Violation> {
    let locator_at = start + before.len() as u64;
    let end64_at = locator_at.checked_sub(END64_BYTES as u64);
    if end64_at != Some(locator.end64_offset) {
        return Err(inconsistent(
            "its zip64 locator does not point to a zip64 end record right before it",
        ));
    }
    let record = before
        .len()
        .checked_sub(END64_BYTES)
        .and_then(|at| End64::parse(&before[at..]));
    let Some(end64) = record else {
        return Err(inconsistent(
            "there is no zip64 end record where its zip64 locator points",
        ));
    };
    if end64.rest != END64_BYTES as u64 - 12 {
        return Err(inconsistent("its zip64 end record is of another length than it says"));
    }
    if locator.disks > 1 || locator.end64_disk != 0 || end64.disk != 0 || end64.directory_disk != 0 {
        return Err(split());
    }
    let agrees_short = |short: u16, long: u64| short == IN_ZIP64_SHORT || u64::from(short) == long;
    let agrees = |short: u32, long: u64| short == IN_ZIP64 || u64::from(short) == long;
    if end64.entries_here != end64.entries
        || !agrees_short(end.disk, 0)
        || !agrees_short(end.directory_disk, 0)
        || !agrees_short(end.entries_here, end64.entries)
        || !agrees_short(end.entries, end64.entries)
        || !agrees(end.directory_size, end64.directory_size)
        || !agrees(end.directory_offset, end64.directory_offset)
    {
        return Err(inconsistent("its end record and its zip64 end record disagree"));
    }
    let directory = Directory {
        offset: end64.directory_offset,
        size: end64.directory_size,
        entries: end64.entries,
    };
    Ok((directory, locator.end64_offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stored member of `data`, whole.
    fn zip(data: &[u8], comment: &[u8]) -> Vec<u8> {
        let mut fields = Vec::new();
        fields.extend([20, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        fields.extend(crc32fast::hash(data).to_le_bytes());
        fields.extend((data.len() as u32).to_le_bytes());
        fields.extend((data.len() as u32).to_le_bytes());
        fields.extend([1, 0, 0, 0]);
        let mut zip = [&records::LOCAL[..], &fields, b"a", data].concat();
        let directory = [&records::CENTRAL[..], &[20, 0], &fields, &[0; 14], b"a"].concat();
        let (at, len) = (zip.len() as u32, directory.len() as u32);
        zip.extend(directory);
        zip.extend(records::END);
        zip.extend([0, 0, 0, 0, 1, 0, 1, 0]);
        zip.extend(len.to_le_bytes());
        zip.extend(at.to_le_bytes());
        zip.extend((comment.len() as u16).to_le_bytes());
        zip.extend(comment);
        zip
    }

    #[test]
    fn only_the_whole_is_whole() {
        let whole = zip(b"[{\"event\":\"a\"}]", b"said by a partner");
        assert_eq!(end(&whole, whole.len() as u64), End::Whole);
        for cut in 0..whole.len() {
            assert_eq!(end(&whole[..cut], cut as u64), End::Missing, "cut at {cut}");
        }
    }

    #[test]
    fn an_upload_cut_where_a_zip_inside_it_ends_is_not_whole() {
        let inner = zip(b"[]", b"");
        let outer = zip(&inner, b"");
        let cut = records::LOCAL_BYTES + 1 + inner.len();
        assert!(outer[..cut].ends_with(&inner));
        assert_eq!(end(&outer[..cut], cut as u64), End::Missing);
        assert_eq!(end(&outer, outer.len() as u64), End::Whole);
    }

    #[test]
    fn what_lies_before_the_tail_is_asked_for() {
        let whole = zip(&[b' '; 5_000], b"");
        let size = whole.len() as u64;
        let directory_at = size - 22 - 47;
        let check = |tail: u64, expect: End| assert_eq!(end(&whole[(size - tail) as usize..], size), expect, "{tail}");
        check(22, End::Needs { from: directory_at });
        check(22 + 46, End::Needs { from: directory_at });
        check(22 + 47, End::Whole);
        check(21, End::Needs { from: 0 });
        check(0, End::Needs { from: 0 });

        let long_comment = zip(b"[]", &[b'-'; 65_535]);
        let size = long_comment.len() as u64;
        let tail = &long_comment[long_comment.len() - super::super::TAIL_BYTES as usize..];
        assert_eq!(
            end(tail, size),
            End::Needs {
                from: size - ENDS_BYTES_MAX
            }
        );
        assert_eq!(end(&long_comment, size), End::Whole);
    }

    #[test]
    fn rubbish_has_no_end() {
        let check = |tail: &[u8], size: u64| assert_eq!(end(tail, size), End::Missing, "{size}");
        check(b"", 0);
        check(b"PK\x05\x06", 4);
        check(b"longer than the file", 3);
        check(&[0; 200_000], 1 << 40);
        check(&[&b"PK\x05\x06"[..], &[0xff; 18]].concat(), 22);
        check(&[b"PK\x05\x06".repeat(100), vec![0; 18]].concat(), 418);
    }
}
