//! Any file as an archive: what is said of its end, what is refused and in which words, and that whatever is imported, two
//! other readers find as well.

use std::io::{Cursor, Read};

use feedgate::archive::{self, Contents, End, FeedName, Limits, Member, NameClass, TAIL_BYTES, classify};
use feedgate::verdict::{Violation, ViolationCode};

use super::may_be_shown;

/// Small, so that a bomb is found by the limit and not by the clock.
pub const LIMITS: Limits = Limits {
    unpacked_bytes: 1 << 20,
    ratio: 200,
};

/// The archive's name in all of these.
pub const ARCHIVE: &str = "event_history_20191118170500.json.zip";

/// Holds one file against everything that must be true of any.
pub fn run(bytes: &[u8]) {
    let end = end_of(bytes, TAIL_BYTES);
    // How much is read at first must not matter.
    for tail in [0, 21, 22, 100, 1000] {
        assert_eq!(end_of(bytes, tail), end, "with a tail of {tail} bytes");
    }
    match import(bytes) {
        Ok((contents, data)) => {
            assert_eq!(end, End::Whole, "imported, and would have been waited for");
            contents.violations.iter().for_each(shown);
            contents.files.iter().for_each(|file| may_be_shown(file));
            if let (Some(member), Some(data)) = (&contents.member, data) {
                assert_eq!(data.len() as u64, member.size);
                found_by_the_zip_crate(bytes, member, &data);
                found_from_the_front(bytes, member);
            }
        }
        Err(violation) => {
            shown(&violation);
            // What waits for its end must not be called whole, or it would be failed while it grows.
            let truncated = violation.code == ViolationCode::ZipTruncated;
            assert!(!(truncated && end == End::Whole), "{violation:?}");
        }
    }
}

/// The name of the archive, as the daemon knows it.
pub fn name() -> FeedName {
    match classify(ARCHIVE) {
        NameClass::Feed(name) => name,
        other => panic!("{other:?}"),
    }
}

/// What it holds, and the data file's bytes.
pub fn import(bytes: &[u8]) -> Result<(Contents, Option<Vec<u8>>), Violation> {
    let contents =
        archive::inspect(&mut Cursor::new(bytes), bytes.len() as u64, &name(), &LIMITS).map_err(its_fault)?;
    let Some(member) = &contents.member else {
        return Ok((contents, None));
    };
    let data = unpack(bytes, member)?;
    Ok((contents, Some(data)))
}

/// The member's bytes, of which there are never more than the limit allows.
fn unpack(bytes: &[u8], member: &Member) -> Result<Vec<u8>, Violation> {
    let mut reader = archive::open(Cursor::new(bytes), member, &LIMITS).map_err(its_fault)?;
    let mut data = Vec::new();
    let mut block = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut block) {
            Ok(0) => return Ok(data),
            Ok(count) => data.extend_from_slice(&block[..count]),
            Err(error) => {
                let fault = archive::fault_in(&error)
                    .unwrap_or_else(|| panic!("no fault: {error}"))
                    .clone();
                // A fault is final.
                let again = reader.read(&mut block).expect_err("the fault is forgotten");
                assert_eq!(archive::fault_in(&again), Some(&fault));
                return Err(fault);
            }
        }
        assert!(
            data.len() as u64 <= member.size.min(LIMITS.unpacked_bytes),
            "more than was declared"
        );
    }
}

fn its_fault(error: archive::Error) -> Violation {
    match error {
        archive::Error::Fault(violation) => violation,
        archive::Error::Io(error) => panic!("the disk is in memory: {error}"),
    }
}

#[track_caller]
fn shown(violation: &Violation) {
    may_be_shown(&violation.detail);
    assert!(violation.detail.len() < 2_000, "{violation:?}");
}

/// What the end says, read as a source reads it: the tail first, then what it asks for.
pub fn end_of(bytes: &[u8], tail: u64) -> End {
    let size = bytes.len() as u64;
    let mut from = size.saturating_sub(tail);
    for _ in 0..4 {
        match archive::end(&bytes[from as usize..], size) {
            End::Needs { from: earlier } => {
                assert!(
                    earlier < from && size - earlier <= 1 << 20,
                    "{earlier} of {size}, after {from}"
                );
                from = earlier;
            }
            said => return said,
        }
    }
    panic!("it never has enough");
}

/// The `zip` crate unpacks the same bytes.
fn found_by_the_zip_crate(bytes: &[u8], member: &Member, data: &[u8]) {
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).expect("a second reader opens it");
    let index = (0..zip.len()).find(|&index| {
        let entry = zip.by_index_raw(index).expect("a second reader has the entry");
        entry.header_start() == member.header_offset
    });
    let mut theirs = Vec::new();
    zip.by_index(index.expect("a second reader finds it"))
        .and_then(|entry| Ok(entry.take(LIMITS.unpacked_bytes + 1).read_to_end(&mut theirs)?))
        .expect("a second reader unpacks it");
    assert!(theirs == data, "a second reader unpacks other bytes");
}

/// A reader that begins at the front and has never heard of a directory comes by the member too, and by nothing that is not
/// a member. Where sizes stand elsewhere than in the header (streamed, zip64) it cannot go on, and stops.
fn found_from_the_front(bytes: &[u8], member: &Member) {
    let short = |at: usize| u64::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let long = |at: usize| short(at) | short(at + 2) << 16;
    let mut at = 0;
    while bytes[at..].starts_with(b"PK\x03\x04") {
        let (flags, packed, size) = (short(at + 6), long(at + 18), long(at + 22));
        if flags & 8 != 0 || packed == u64::from(u32::MAX) || size == u64::from(u32::MAX) {
            return;
        }
        let data_at = at + 30 + (short(at + 26) + short(at + 28)) as usize;
        if at as u64 == member.header_offset {
            let found = (data_at as u64, packed, size, long(at + 14), short(at + 8));
            let ours = (
                member.data_offset,
                member.compressed_size,
                member.size,
                u64::from(member.crc32),
                u64::from(member.method),
            );
            assert_eq!(found, ours);
            return;
        }
        at = data_at + packed as usize;
    }
    panic!("from the front it is never come by");
}
