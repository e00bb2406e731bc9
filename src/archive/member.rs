//! The data file, unpacked under limits: what is declared is not believed.
//!
//! The `zip` crate opens the archive too, and has to find the very member that `inspect` found. The decoders are the ones
//! it uses itself, driven from here: its own readers borrow from the archive, read in small pieces, do not say what is left
//! over behind a stream, and let a stream ask for as much memory as it likes.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::decoder::{Decoder, Disk, Failed, damaged};
use super::escape::{decoded, shown};
use super::inspect::within;
use super::{Error, Limits, Member, fault, window};
use crate::verdict::{Violation, ViolationCode};

/// How much packed data is read at a time.
const INPUT_BYTES: usize = 128 * 1024;

/// Opens the data file for reading. Size, ratio and CRC-32 are checked while it is read; a fault found then comes as an
/// [`io::Error`] that [`fault_in`] recognises. Read to the end: only there the CRC-32 and the size are known to be right.
///
/// Reads give what one step of the decoder gives, up to the whole buffer; give it large ones. A fault is said again if one
/// reads on; after an error of the disk the reader is of no more use.
pub fn open<'a, R: Read + Seek + Send + 'a>(
    archive: R,
    member: &Member,
    limits: &Limits,
) -> Result<Box<dyn Read + Send + 'a>, Error> {
    within(member.size, member.compressed_size, limits)?;
    let failed = Failed::default();
    let archive = Disk {
        archive,
        failed: failed.clone(),
    };
    // Only the disk's own errors are the disk's: an end that comes too early is the archive's.
    let decoder = decoder(archive, member).map_err(|error| match (failed.take(), error) {
        (Some(error), _) => Error::Io(error),
        (None, Error::Io(error)) => damaged(&error).into(),
        (None, fault) => fault,
    })?;
    Ok(Box::new(Unpacking {
        decoder: Some(decoder),
        hasher: crc32fast::Hasher::new(),
        done: 0,
        fault: None,
        failed,
        member: member.clone(),
        limits: *limits,
    }))
}

/// The decoder of the member, once a second reader agrees about it and its window is within bounds.
fn decoder<R: Read + Seek>(mut archive: Disk<R>, member: &Member) -> Result<Decoder<R>, Error> {
    same_for_zip_crate(&mut archive, member)?;
    let end_marker = has_end_marker(&mut archive, member)?;
    archive.seek(SeekFrom::Start(member.data_offset))?;
    let mut head = Vec::new();
    (&mut archive)
        .take(member.compressed_size.min(window::HEAD_BYTES))
        .read_to_end(&mut head)?;
    window::judge(member.method, &head)?;
    archive.seek(SeekFrom::Start(member.data_offset))?;
    let input = BufReader::with_capacity(INPUT_BYTES, archive.take(member.compressed_size));
    Decoder::new(input, member, end_marker)
}

/// The archive's fault inside an error of the reader that [`open`] returned; `None` if it is the disk's.
pub fn fault_in(error: &io::Error) -> Option<&Violation> {
    let mut inner: &(dyn std::error::Error + 'static) = error.get_ref()?;
    loop {
        if let Some(Carried(violation)) = inner.downcast_ref() {
            return Some(violation);
        }
        inner = match inner.downcast_ref::<io::Error>() {
            Some(wrapped) => wrapped.get_ref()?,
            None => inner.source()?,
        };
    }
}

/// A fault on its way through an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{}: {}", .0.code, .0.detail)]
struct Carried(Violation);

fn carried(violation: Violation) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Carried(violation))
}

/// Holds the `zip` crate's view of the archive against ours.
fn same_for_zip_crate<R: Read + Seek>(archive: &mut R, member: &Member) -> Result<(), Error> {
    let differs = |how: String| fault(ViolationCode::ZipInconsistent, format!("a second reader {how}"));
    let refuses = |error| match error {
        zip::result::ZipError::Io(error) => Error::Io(error),
        error => differs(format!("refuses it: {}", shown(&error.to_string()))).into(),
    };
    let mut zip = zip::ZipArchive::new(archive).map_err(refuses)?;
    let index = (0..zip.len())
        .find(|&index| {
            zip.by_index_data(index)
                .is_ok_and(|entry| entry.header_start() == member.header_offset)
        })
        .ok_or_else(|| differs("does not find the data file".into()))?;
    let found = zip.by_index_raw(index).map_err(refuses)?;
    // It follows a Unicode Path field, which says the same as the name or the same in other letters than ASCII's: 7-Zip on
    // Windows writes one. See `same_unicode_name`.
    let same_name = decoded(found.name_raw()) == member.name || !found.name_raw().is_ascii();
    let same = found.data_start() == Some(member.data_offset)
        && same_name
        && number(found.compression()) == Some(member.method)
        && found.compressed_size() == member.compressed_size
        && found.size() == member.size
        && found.crc32() == member.crc32;
    match same {
        true => Ok(()),
        false => Err(differs("finds another member in its place".into()).into()),
    }
}

/// The number of a method that is supported.
fn number(method: zip::CompressionMethod) -> Option<u16> {
    Some(match method {
        zip::CompressionMethod::Stored => 0,
        zip::CompressionMethod::Deflated => 8,
        zip::CompressionMethod::Deflate64 => 9,
        zip::CompressionMethod::Bzip2 => 12,
        zip::CompressionMethod::Lzma => 14,
        zip::CompressionMethod::Zstd => 93,
        zip::CompressionMethod::Xz => 95,
        _ => return None,
    })
}

/// Whether an LZMA stream ends with a marker, by flag 1 of the local header (APPNOTE 4.4.4). Most packers write one; then
/// the stream itself says where it ends, and what is declared is held against that.
fn has_end_marker<R: Read + Seek>(archive: &mut R, member: &Member) -> io::Result<bool> {
    let mut beginning = [0; 8];
    archive.seek(SeekFrom::Start(member.header_offset))?;
    archive.read_exact(&mut beginning)?;
    Ok(beginning[6] & 2 != 0)
}

/// The data file on its way out of the archive, counted and summed.
struct Unpacking<R: Read> {
    /// `None` after the end.
    decoder: Option<Decoder<R>>,
    hasher: crc32fast::Hasher,
    /// Bytes given so far.
    done: u64,
    /// Once found, it is said again: nobody reads past a fault.
    fault: Option<Violation>,
    failed: Failed,
    member: Member,
    limits: Limits,
}

impl<R: Read> Read for Unpacking<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(violation) = &self.fault {
            return Err(carried(violation.clone()));
        }
        let Some(decoder) = self.decoder.as_mut().filter(|_| !buffer.is_empty()) else {
            return Ok(0);
        };
        let read = match decoder.read(buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => return Err(self.failed.take().unwrap_or_else(|| self.fail(self.garbled(&error)))),
        };
        let checked = if read == 0 {
            self.end()
        } else {
            self.count(&buffer[..read])
        };
        checked.map_err(|violation| self.fail(violation))?;
        Ok(read)
    }
}

impl<R: Read> Unpacking<R> {
    fn fail(&mut self, violation: Violation) -> io::Error {
        self.fault = Some(violation.clone());
        carried(violation)
    }

    /// What an error of the decoder means.
    fn garbled(&self, error: &io::Error) -> Violation {
        let words = error.to_string();
        if error.kind() == io::ErrorKind::OutOfMemory || words.contains("too much memory") {
            return window::too_much_later(self.member.method);
        }
        // An LZMA decoder is told the declared size, and says itself when the stream goes on behind it.
        if self.member.method == 14 && words.contains("end reached but not decoder finished") {
            return self.other_size("more");
        }
        damaged(error)
    }

    fn other_size(&self, how: &str) -> Violation {
        let detail = format!(
            "the data file unpacks to {how} than the {} bytes that the zip declares",
            self.member.size
        );
        fault(ViolationCode::ZipInconsistent, detail)
    }

    fn count(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.done += bytes.len() as u64;
        if self.done > self.member.size {
            return Err(self.other_size("more"));
        }
        within(self.done, self.member.compressed_size, &self.limits)?;
        self.hasher.update(bytes);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Violation> {
        let left_over = self.decoder.take().map_or(0, Decoder::left_over);
        if self.done < self.member.size {
            return Err(self.other_size("less"));
        }
        if left_over > 0 {
            let detail = format!("has {left_over} bytes behind the packed data of the data file");
            return Err(fault(ViolationCode::ZipInconsistent, detail));
        }
        let crc32 = self.hasher.clone().finalize();
        if crc32 != self.member.crc32 {
            let detail = format!(
                "the data file has CRC-32 {crc32:08x} where the zip declares {:08x}: it was damaged on the way, send it again",
                self.member.crc32
            );
            return Err(fault(ViolationCode::ZipChecksum, detail));
        }
        Ok(())
    }
}
