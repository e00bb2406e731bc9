//! Reading an archive: what it comes to, and nothing else.
//!
//! Pure but for reading the file: `check` runs the same code. Inflating runs on a thread of its own beside the reader of
//! the feed, with a few blocks between them, so that two cores are used and memory stays flat.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};
use std::sync::mpsc;

use sha2::{Digest, Sha256};

use crate::archive::{self, FeedName, Limits};
use crate::config::resolve::{LimitSettings, MaxRejected, Packaging, SourceSettings};
use crate::feed::{self, Options, READER_VERSION, Stop, Verdict, Walk};
use crate::ledger::Reading;
use crate::ledger::outcome::{Judged, REJECTS_KEPT, WARNINGS_KEPT};
use crate::verdict::{Reject, RejectCode, Violation, ViolationCode, WarningCode};

/// Bytes in one block between the inflating thread and the reader of the feed.
const BLOCK_BYTES: usize = 256 * 1024;

/// Blocks under way between the two.
const BLOCKS_IN_FLIGHT: usize = 4;

/// Data files up to this size, in bytes unpacked, are unpacked without a thread of their own.
const INLINE_BYTES_MAX: u64 = 512 * 1024;

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
            },
            max_rejected: source.max_rejected,
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
    judged.reading = Some(Reading {
        reader: READER_VERSION,
        member,
        options: rules.options.clone(),
        limits: rules.limits,
        definitions: None,
    });
    let mut tell = |bytes| progress(bytes, expected);
    let (read, data_sha256) = match expected <= INLINE_BYTES_MAX {
        true => read_inline(data, &rules.options, &mut judged, &mut tell),
        false => read_beside(data, &rules.options, &mut judged, &mut tell),
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

/// Reads a small data file where we are: a thread would cost more than it saves.
fn read_inline<'a>(
    data: Box<dyn Read + Send + 'a>,
    options: &Options,
    judged: &mut Judged,
    progress: &mut dyn FnMut(u64) -> bool,
) -> (Result<(), Stop>, Option<[u8; 32]>) {
    let mut data = Hashed {
        data,
        hash: Sha256::new(),
    };
    let mut read = read_feed(&mut data, options, judged, progress);
    if matches!(read, Err(Stop::Fault(_))) {
        // Damage to the zip is the better explanation for JSON that stops making sense: the rest is unpacked for that.
        read = io::copy(&mut data, &mut io::sink()).map_err(Stop::Read).and(read);
    }
    let whole = !matches!(read, Err(Stop::Read(_)));
    (read, whole.then(|| data.hash.finalize().into()))
}

/// Reads a data file that is unpacked by a thread beside us.
fn read_beside<'a>(
    data: Box<dyn Read + Send + 'a>,
    options: &Options,
    judged: &mut Judged,
    progress: &mut dyn FnMut(u64) -> bool,
) -> (Result<(), Stop>, Option<[u8; 32]>) {
    std::thread::scope(|scope| {
        let (mut blocks, hash) = inflate_beside(scope, data);
        let mut read = read_feed(&mut blocks, options, judged, progress);
        if matches!(read, Err(Stop::Fault(_))) {
            read = blocks.drain().map_err(Stop::Read).and(read);
        }
        drop(blocks);
        // A thread that ended by a defect of ours looks like the end of the data from here: it must not pass for that.
        let data_sha256 = hash.join().unwrap_or_else(|defect| std::panic::resume_unwind(defect));
        (read, data_sha256)
    })
}

/// A reader that hashes what goes through it.
struct Hashed<R> {
    data: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.data.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

/// Judges every entry and counts.
fn read_feed(
    data: &mut impl Read,
    options: &Options,
    judged: &mut Judged,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<(), Stop> {
    let mut walk = Walk::new(data, options);
    let mut reject_counts = BTreeMap::<RejectCode, u64>::new();
    let mut warning_counts = BTreeMap::<WarningCode, u64>::new();
    let mut reject_bytes = 0;
    let mut told = 0;
    let result = loop {
        let entry = match walk.next() {
            Ok(Some(entry)) => entry,
            Ok(None) => break Ok(()),
            Err(stop) => break Err(stop),
        };
        judged.entries += 1;
        match feed::judge(&entry, options) {
            Verdict::Accepted(_, warnings) => {
                judged.valid += 1;
                for warning in warnings {
                    *warning_counts.entry(warning.code).or_default() += 1;
                    if judged.warnings.len() < WARNINGS_KEPT {
                        judged.warnings.push(warning);
                    }
                }
            }
            Verdict::Rejected(reject) => {
                judged.rejected += 1;
                judged.rejected_set.insert(reject.index);
                if let Some(first) = reject.reasons.first() {
                    *reject_counts.entry(first.code).or_default() += 1;
                }
                if judged.rejects.len() < REJECTS_KEPT && reject_bytes < REJECT_BYTES_KEPT {
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
    judged.rejected_set.optimize();
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
fn hold_to_budget(judged: &mut Judged, max_rejected: Option<MaxRejected>) {
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

/// Inflates on a thread of its own; answers with the reading end, and the SHA-256 of all of it where it went to its end.
fn inflate_beside<'scope, 'env>(
    scope: &'scope std::thread::Scope<'scope, 'env>,
    mut data: Box<dyn Read + Send + 'scope>,
) -> (Blocks, std::thread::ScopedJoinHandle<'scope, Option<[u8; 32]>>) {
    let (sender, receiver) = mpsc::sync_channel::<io::Result<Vec<u8>>>(BLOCKS_IN_FLIGHT);
    let (spent, returned) = mpsc::channel::<Vec<u8>>();
    let thread = scope.spawn(move || {
        let mut hash = Sha256::new();
        loop {
            let mut block = returned.try_recv().unwrap_or_default();
            block.resize(BLOCK_BYTES, 0);
            let (count, error) = fill(&mut *data, &mut block);
            block.truncate(count);
            hash.update(&block);
            // A reader that stopped wants no more.
            if count > 0 && sender.send(Ok(block)).is_err() {
                return None;
            }
            if let Some(error) = error {
                sender.send(Err(error)).ok();
                return None;
            }
            if count < BLOCK_BYTES {
                return Some(hash.finalize().into());
            }
        }
    });
    (
        Blocks {
            receiver,
            spent,
            block: Vec::new(),
            at: 0,
        },
        thread,
    )
}

/// Reads until the block is full, the data ends, or an error, which comes with what was read before it: a decoder that
/// has failed once may say anything when it is asked again.
fn fill(data: &mut dyn Read, block: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while filled < block.len() {
        match data.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}

/// The reading end of the inflating thread.
struct Blocks {
    receiver: mpsc::Receiver<io::Result<Vec<u8>>>,
    spent: mpsc::Sender<Vec<u8>>,
    block: Vec<u8>,
    at: usize,
}

impl Blocks {
    /// Takes what is left and looks at none of it but for the errors.
    fn drain(&mut self) -> io::Result<()> {
        for block in &self.receiver {
            self.spent.send(block?).ok();
        }
        Ok(())
    }
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            let spent = std::mem::take(&mut self.block);
            // The thread may have ended: then nobody wants the block back.
            self.spent.send(spent).ok();
            self.at = 0;
            match self.receiver.recv() {
                Ok(block) => self.block = block?,
                Err(_) => return Ok(0),
            }
        }
        let count = buffer.len().min(self.block.len() - self.at);
        buffer[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    /// Gives a whole array, and panics where a checksum would be looked at.
    struct Defective(&'static [u8]);

    impl Read for Defective {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            assert!(!self.0.is_empty(), "a defect");
            // Whole blocks, so that the reader of the feed has all of it before the defect.
            let count = buffer.len().min(self.0.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn a_defect_while_unpacking_does_not_pass_for_the_end_of_the_data() {
        let options = Options {
            default_business_unit: None,
            duplicate_keys: feed::DuplicateKeys::Reject,
            entry_bytes_max: 1024,
            depth_max: 128,
        };
        let blanks = BLOCK_BYTES - 2;
        let feed: &'static [u8] = format!("[{}]", " ".repeat(blanks)).leak().as_bytes();
        let mut judged = Judged::default();
        let reading = || read_beside(Box::new(Defective(feed)), &options, &mut judged, &mut |_| true);
        assert!(catch_unwind(AssertUnwindSafe(reading)).is_err());
    }
}
