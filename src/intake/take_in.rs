//! Reading an archive: what it comes to, and nothing else.
//!
//! Pure but for reading the file: `check` runs the same code. A data file of some size is unpacked and hashed by threads of
//! their own, see [`super::unpacking`].

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};

use sha2::{Digest, Sha256};

use super::rejected_set::RejectedSet;
use super::unpacking::unpack;
use crate::archive::{self, FeedName, Limits};
use crate::blocks::INLINE_BYTES_MAX;
use crate::config::resolve::{LimitSettings, MaxRejected, Packaging, SourceSettings};
use crate::feed::{self, Columns, Options, READER_VERSION, Stop, Verdict, Walk};
use crate::ledger::Reading;
use crate::ledger::outcome::{Judged, REJECTS_KEPT, WARNINGS_KEPT};
use crate::verdict::{FeedKind, Reject, RejectCode, Violation, ViolationCode, WarningCode};

/// Bytes of reject details that are kept of one archive, beside the limit on their number: a feed may be wrong in long words.
const REJECT_BYTES_KEPT: usize = 4 * 1024 * 1024;

/// What an archive is held against.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Whether packaging violations are let pass.
    pub packaging: Packaging,
    /// Bounds on unpacking.
    pub limits: Limits,
    /// How the feed is read.
    pub options: Options,
    /// More rejects than this and nothing is imported.
    pub max_rejected: Option<MaxRejected>,
    /// Whether the data file's SHA-256 is wanted, by which one import is told from another. It costs nearly half as much as
    /// unpacking, so that who only vets does without.
    pub hash_data: bool,
}

impl Rules {
    /// The rules of a source.
    pub fn of(source: &SourceSettings, limits: &LimitSettings) -> Rules {
        Rules {
            packaging: source.packaging,
            limits: Limits {
                unpacked_bytes: limits.unpacked_bytes,
                ratio: limits.ratio,
            },
            options: Options {
                default_business_unit: source.default_business_unit.clone(),
                duplicate_keys: source.duplicate_keys,
                entry_bytes_max: limits.entry_bytes,
                depth_max: limits.depth,
                kind: FeedKind::Events,
                ordered_items: source.ordered_items,
            },
            max_rejected: source.max_rejected,
            hash_data: true,
        }
    }
}

/// Reads an archive of `size` bytes to its end. An `Err` is the local disk's fault, never the archive's.
///
/// `progress` is told now and then how many bytes of the data file have been read, and how many it is said to have; when it
/// answers `false`, reading stops with an error of kind `Interrupted`.
pub fn take_in<R: Read + Seek + Send>(
    mut archive: R,
    size: u64,
    name: &FeedName,
    rules: &Rules,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> io::Result<Judged> {
    let mut judged = Judged {
        lenient: rules.packaging == Packaging::Lenient,
        ..Judged::default()
    };
    let contents = match archive::inspect(&mut archive, size, name, &rules.limits) {
        Ok(contents) => contents,
        Err(archive::Error::Fault(violation)) => {
            judged.violations.push(violation);
            return Ok(judged);
        }
        Err(archive::Error::Io(error)) => return Err(error),
    };
    judged.violations = contents.violations;
    let Some(member) = contents.member else {
        return Ok(judged);
    };
    let expected = member.size;
    let data = match archive::open(archive, &member, &rules.limits) {
        Ok(data) => data,
        Err(archive::Error::Fault(violation)) => {
            judged.violations.push(violation);
            return Ok(judged);
        }
        Err(archive::Error::Io(error)) => return Err(error),
    };
    let options = Options {
        kind: name.kind(),
        ..rules.options.clone()
    };
    judged.reading = Some(Reading {
        reader: READER_VERSION,
        member,
        options: options.clone(),
        limits: rules.limits,
        definitions: None,
    });
    let mut tell = |bytes| progress(bytes, expected);
    let (read, data_sha256) = match expected <= INLINE_BYTES_MAX {
        true => read_inline(data, expected, &options, rules.hash_data, &mut judged, &mut tell),
        false => read_beside(data, expected, &options, rules.hash_data, &mut judged, &mut tell),
    };
    judged.data_sha256 = data_sha256;
    match read {
        Ok(()) => hold_to_budget(&mut judged, rules.max_rejected),
        Err(Stop::Fault(violation)) => judged.violations.push(violation),
        Err(Stop::Read(error)) => match archive::fault_in(&error) {
            Some(violation) => judged.violations.push(violation.clone()),
            None => return Err(error),
        },
    }
    Ok(judged)
}

/// Reads a small data file where we are: threads would cost more than they save.
fn read_inline<'a>(
    data: Box<dyn Read + Send + 'a>,
    expected: u64,
    options: &Options,
    hashed: bool,
    judged: &mut Judged,
    progress: &mut dyn FnMut(u64) -> bool,
) -> (Result<(), Stop>, Option<[u8; 32]>) {
    let mut data = Hashed {
        data,
        hash: hashed.then(Sha256::new),
    };
    let mut read = read_feed(&mut data, expected, options, None, judged, progress);
    if matches!(read, Err(Stop::Fault(_))) {
        // Damage to the zip is the better explanation for JSON that stops making sense: the rest is unpacked for that.
        read = io::copy(&mut data, &mut io::sink()).map_err(Stop::Read).and(read);
    }
    let whole = !matches!(read, Err(Stop::Read(_)));
    let hash = data.hash.filter(|_| whole);
    (read, hash.map(|hash| hash.finalize().into()))
}

/// Reads a data file that is unpacked, and hashed, by threads beside us.
fn read_beside<'a>(
    data: Box<dyn Read + Send + 'a>,
    expected: u64,
    options: &Options,
    hashed: bool,
    judged: &mut Judged,
    progress: &mut dyn FnMut(u64) -> bool,
) -> (Result<(), Stop>, Option<[u8; 32]>) {
    std::thread::scope(|scope| {
        let (mut blocks, unpacking) = unpack(scope, data, hashed);
        let mut read = read_feed(&mut blocks, expected, options, None, judged, progress);
        if matches!(read, Err(Stop::Fault(_))) {
            read = io::copy(&mut blocks, &mut io::sink()).map_err(Stop::Read).and(read);
        }
        drop(blocks);
        (read, unpacking.data_sha256())
    })
}

/// A reader that hashes what goes through it, if that is wanted.
struct Hashed<R> {
    data: R,
    hash: Option<Sha256>,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.data.read(buffer)?;
        if let Some(hash) = &mut self.hash {
            hash.update(&buffer[..count]);
        }
        Ok(count)
    }
}

/// Judges every entry of a data file of about `expected` bytes, and counts. With columns, they are rows of a user feed.
pub(super) fn read_feed(
    data: &mut impl Read,
    expected: u64,
    options: &Options,
    columns: Option<&Columns>,
    judged: &mut Judged,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<(), Stop> {
    let mut walk = Walk::expecting(expected, data, options);
    let mut reject_counts = BTreeMap::<RejectCode, u64>::new();
    let mut warning_counts = BTreeMap::<WarningCode, u64>::new();
    let mut rejected_set = RejectedSet::default();
    let mut reject_bytes = 0;
    let mut told = 0;
    let result = loop {
        let entry = match walk.next() {
            Ok(Some(entry)) => entry,
            Ok(None) => break Ok(()),
            Err(stop) => break Err(stop),
        };
        judged.entries += 1;
        let weighed = match columns {
            None => feed::weigh(&entry, options),
            Some(columns) => feed::weigh_user(&entry, options, columns),
        };
        // Words cost many times what judging does: they are found only for what is kept.
        let wordy = match weighed.rejected() {
            Some(first) => {
                judged.rejected += 1;
                *reject_counts.entry(first).or_default() += 1;
                if let Err(violation) = rejected_set.push(entry.index) {
                    break Err(Stop::Fault(violation));
                }
                judged.rejects.len() < REJECTS_KEPT && reject_bytes < REJECT_BYTES_KEPT
            }
            None => {
                judged.valid += 1;
                judged.needs_user_feed |= weighed.needs_user_feed();
                weighed.warnings().fold(false, |_, code| {
                    *warning_counts.entry(code).or_default() += 1;
                    judged.warnings.len() < WARNINGS_KEPT
                })
            }
        };
        if wordy {
            match weighed.in_words() {
                Verdict::Accepted(_, warnings) => {
                    let room = WARNINGS_KEPT - judged.warnings.len();
                    judged.warnings.extend(warnings.into_iter().take(room));
                }
                Verdict::Rejected(reject) => {
                    reject_bytes += weight(&reject);
                    judged.rejects.push(reject);
                }
            }
        }
        let bytes = walk.bytes();
        if bytes >= told + 4 * 1024 * 1024 {
            told = bytes;
            if !progress(bytes) {
                break Err(Stop::Read(io::Error::new(io::ErrorKind::Interrupted, "asked to stop")));
            }
        }
    };
    judged.data_bytes = walk.bytes();
    judged.rejected_set = rejected_set.finish();
    judged.reject_counts = reject_counts.into_iter().collect();
    judged.warning_counts = warning_counts.into_iter().collect();
    result
}

/// About how many bytes of memory a reject takes.
fn weight(reject: &Reject) -> usize {
    let reasons = reject.reasons.iter();
    let texts: usize = reasons
        .map(|reason| 100 + reason.pointer.len() + reason.message.len())
        .sum();
    100 + texts + reject.excerpt.len()
}

/// Too few valid entries, and nothing is imported.
pub(super) fn hold_to_budget(judged: &mut Judged, max_rejected: Option<MaxRejected>) {
    let (entries, rejected) = (judged.entries, judged.rejected);
    if entries > 0 && rejected == entries {
        let detail = format!("none of the {entries} entries was valid, so nothing is imported");
        judged
            .violations
            .push(Violation::new(ViolationCode::AllRejected, detail));
        return;
    }
    let (too_many, limit) = match max_rejected {
        None => return,
        Some(MaxRejected::Count(most)) => (rejected > most, most.to_string()),
        Some(MaxRejected::Share(most)) => (rejected as f64 > most * entries as f64, format!("{} %", most * 100.0)),
    };
    if too_many {
        let detail = format!(
            "{rejected} of {entries} entries were not valid, more than the {limit} that this source allows, so nothing is imported"
        );
        judged
            .violations
            .push(Violation::new(ViolationCode::TooManyRejected, detail));
    }
}
