//! A decoder of each method that is supported, over an archive on the disk.
//!
//! They are the decoders that the `zip` crate uses, built here with bounds on their memory and asked at the end what they
//! left over.

use std::io::{self, BufReader, Read, Seek, SeekFrom, Take};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::escape::shown;
use super::window::{self, WINDOW_BYTES_MAX};
use super::{Error, Member, fault};
use crate::verdict::{Violation, ViolationCode};

/// What an xz decoder needs beside its dictionary, in KiB, as it counts itself.
const XZ_OVERHEAD_KIB: u32 = 128;

/// Where the disk's own error is kept apart, since decoders dress it up as damaged data.
#[derive(Clone, Default)]
pub(super) struct Failed(Arc<Mutex<Option<io::Error>>>);

impl Failed {
    fn slot(&self) -> MutexGuard<'_, Option<io::Error>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk's own error, if there was one.
    pub fn take(&self) -> Option<io::Error> {
        self.slot().take()
    }

    /// Notes the error, and passes it on.
    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                let copy = match error.raw_os_error() {
                    Some(code) => io::Error::from_raw_os_error(code),
                    None => io::Error::new(error.kind(), error.to_string()),
                };
                *self.slot() = Some(copy);
            }
        })
    }
}

/// The archive on the disk.
pub(super) struct Disk<R> {
    pub archive: R,
    pub failed: Failed,
}

impl<R: Read> Read for Disk<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.failed.note(self.archive.read(buffer))
    }
}

impl<R: Seek> Seek for Disk<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        // A place before the beginning is asked for by what stands in an archive, and no trouble of the disk.
        match self.archive.seek(to) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(error),
            result => self.failed.note(result),
        }
    }
}

pub(super) type Input<R> = BufReader<Take<Disk<R>>>;

/// A decoder of each method that is supported.
pub(super) enum Decoder<R: Read> {
    Stored(Input<R>),
    Deflate(flate2::bufread::DeflateDecoder<Input<R>>),
    Deflate64(Box<deflate64::Deflate64Decoder<Input<R>>>),
    Bzip2(bzip2::bufread::BzDecoder<Input<R>>),
    Zstd(zstd::Decoder<'static, Input<R>>),
    Lzma(Box<lzma_rust2::LzmaReader<Input<R>>>),
    Xz(Box<lzma_rust2::XzReader<Input<R>>>),
}

impl<R: Read> Decoder<R> {
    /// The decoder of a member whose window was judged.
    pub fn new(mut input: Input<R>, member: &Member, end_marker: bool) -> Result<Decoder<R>, Error> {
        Ok(match member.method {
            0 => Decoder::Stored(input),
            8 => Decoder::Deflate(flate2::bufread::DeflateDecoder::new(input)),
            9 => Decoder::Deflate64(Box::new(deflate64::Deflate64Decoder::with_buffer(input))),
            12 => Decoder::Bzip2(bzip2::bufread::BzDecoder::new(input)),
            93 => {
                let mut decoder = zstd::Decoder::with_buffer(input)?;
                decoder.window_log_max(WINDOW_BYTES_MAX.ilog2())?;
                Decoder::Zstd(decoder)
            }
            14 => {
                let mut head = [0; 9];
                input.read_exact(&mut head).map_err(|error| damaged(&error))?;
                let dictionary = u32::from_le_bytes([head[5], head[6], head[7], head[8]]);
                if head[2..4] != [5, 0] {
                    return Err(damaged(&"no LZMA properties").into());
                }
                let size = if end_marker { u64::MAX } else { member.size };
                let reader = lzma_rust2::LzmaReader::new_with_props(input, size, head[4], dictionary, None);
                Decoder::Lzma(Box::new(reader.map_err(|error| damaged(&error))?))
            }
            95 => {
                let kib = (WINDOW_BYTES_MAX / 1024) as u32 + XZ_OVERHEAD_KIB;
                Decoder::Xz(Box::new(lzma_rust2::XzReader::new_mem_limit(input, false, kib)))
            }
            method => return Err(window::judge(method, &[]).expect_err("is not supported").into()),
        })
    }

    /// The next bytes, unpacked; 0 at the end of the stream.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Decoder::Stored(decoder) => decoder.read(buffer),
            Decoder::Deflate(decoder) => decoder.read(buffer),
            Decoder::Deflate64(decoder) => decoder.read(buffer),
            Decoder::Bzip2(decoder) => decoder.read(buffer),
            Decoder::Zstd(decoder) => decoder.read(buffer),
            Decoder::Lzma(decoder) => decoder.read(buffer),
            Decoder::Xz(decoder) => decoder.read(buffer),
        }
    }

    /// Packed bytes that the decoder did not need.
    pub fn left_over(self) -> u64 {
        let (input, ahead) = match self {
            Decoder::Stored(input) => (input, 0),
            Decoder::Deflate(decoder) => (decoder.into_inner(), 0),
            Decoder::Deflate64(decoder) => (decoder.into_inner(), 0),
            Decoder::Bzip2(decoder) => (decoder.into_inner(), 0),
            Decoder::Zstd(decoder) => (decoder.finish(), 0),
            Decoder::Lzma(decoder) => {
                let (input, ahead) = decoder.into_parts();
                (input, ahead.len())
            }
            Decoder::Xz(decoder) => (decoder.into_inner(), 0),
        };
        input.get_ref().limit() + (input.buffer().len() + ahead) as u64
    }
}

/// Data that no decoder makes sense of.
pub(super) fn damaged(why: &dyn std::fmt::Display) -> Violation {
    let detail = format!(
        "damaged: the packed data cannot be unpacked ({})",
        shown(&why.to_string())
    );
    fault(ViolationCode::ZipUnreadable, detail)
}
