//! Reading a user feed: the header says what the columns are, and each row of the other file is held against them.
//!
//! Neither file is of use alone, so that what is wrong with one fails both: a header that was put away would leave a mended
//! data file without its half. The data file lies in the spool as it came, and is read again from there.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::Rules;
use super::take_in::{hold_to_budget, read_feed};
use crate::archive::Member;
use crate::feed::{Columns, HEADER_BYTES_MAX, READER_VERSION, Stop};
use crate::ledger::Reading;
use crate::ledger::outcome::Judged;
use crate::verdict::{FeedKind, Violation, ViolationCode};

/// A file of a user feed, in the spool.
pub struct PlainFile<'a, R> {
    /// Its name.
    pub name: &'a str,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Its bytes.
    pub data: R,
}

/// What the two files come to: header, people. An `Err` is the local disk's fault.
pub fn take_in_users<R: Read>(
    header: PlainFile<'_, R>,
    users: PlainFile<'_, R>,
    rules: &Rules,
) -> io::Result<(Judged, Judged)> {
    let both: [u8; 32] = Sha256::new()
        .chain_update(header.sha256)
        .chain_update(users.sha256)
        .finalize()
        .into();
    let mut of_header = begun(&header, FeedKind::Header, both, rules);
    let mut of_users = begun(&users, FeedKind::Users, both, rules);
    match columns(header, rules)? {
        Ok(columns) => {
            of_header.entries = columns.count();
            of_header.valid = columns.count();
            read_users(users, &columns, rules, &mut of_users)?;
        }
        Err(faults) => of_header.violations = faults,
    }
    blame(&mut of_header, &of_users, "the data file");
    blame(&mut of_users, &of_header, "the header");
    Ok((of_header, of_users))
}

/// What is wrong with the other file fails this one too.
fn blame(one: &mut Judged, other: &Judged, what: &str) {
    if let (true, Some(fault)) = (one.violations.is_empty(), other.violations.first()) {
        let detail = format!(
            "{what} of this user feed is at fault ({}), so nothing is imported",
            fault.code
        );
        one.violations
            .push(Violation::new(ViolationCode::UserFeedOther, detail));
    }
}

/// What is known of a file before it is read. A plain file is its own member: all of it, as it is.
fn begun<R>(file: &PlainFile<'_, R>, kind: FeedKind, both: [u8; 32], rules: &Rules) -> Judged {
    Judged {
        lenient: true,
        data_sha256: Some(both),
        data_bytes: file.size,
        reading: Some(Reading {
            reader: READER_VERSION,
            member: Member {
                name: file.name.to_owned(),
                index: 0,
                method: 0,
                header_offset: 0,
                data_offset: 0,
                compressed_size: file.size,
                size: file.size,
                crc32: 0,
            },
            options: rules.for_kind(kind).options,
            limits: rules.limits,
            definitions: None,
        }),
        ..Judged::default()
    }
}

/// The columns that a header names, or all that is wrong with it.
fn columns<R: Read>(header: PlainFile<'_, R>, rules: &Rules) -> io::Result<Result<Columns, Vec<Violation>>> {
    if header.size > HEADER_BYTES_MAX {
        let detail = format!("the header has {} bytes; {HEADER_BYTES_MAX} are the most", header.size);
        return Ok(Err(vec![Violation::new(ViolationCode::TooLarge, detail)]));
    }
    let mut text = Vec::new();
    header.data.take(HEADER_BYTES_MAX).read_to_end(&mut text)?;
    Ok(Columns::read(&text, &rules.for_kind(FeedKind::Header).options))
}

fn read_users<R: Read>(
    mut users: PlainFile<'_, R>,
    columns: &Columns,
    rules: &Rules,
    judged: &mut Judged,
) -> io::Result<()> {
    let rules = &rules.for_kind(FeedKind::Users);
    match read_feed(&mut users.data, users.size, rules, Some(columns), judged, &mut |_| true) {
        Ok(()) => hold_to_budget(judged, rules.max_rejected),
        Err(Stop::Fault(fault)) => judged.violations.push(fault),
        Err(Stop::Read(error)) => return Err(error),
    }
    Ok(())
}

/// Whether what was read ends before it should: the upload may not be whole.
pub(super) fn is_cut_short(judged: &Judged, size: u64) -> bool {
    let ends_there = |fault: &Violation| {
        let is_at_the_end = fault.at.is_none_or(|at| at.byte >= size);
        fault.code == ViolationCode::JsonSyntax && is_at_the_end
    };
    judged.violations.iter().any(ends_there)
}
