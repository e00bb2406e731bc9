//! NDJSON: a line per event, compressed with zstd or plain.
//!
//! Such a file can be ended and begun again (zstd frames may follow one another), so there is one per day however the days
//! are mixed, and only compressors are few.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use zstd::stream::write::Encoder;
use zstd::zstd_safe::CParameter;

use super::temporaries::{Error, Temporaries};
use super::{Writer, names};
use crate::events::{Event, push_line};

/// Most files of one import that are open at a time. Each has a compressor of two to three MiB, which is what this saves;
/// one that makes room for another ends its zstd frame, and begins a new one when there is more.
const OPEN_MAX: usize = 8;

/// Window of a compressor where there may be several, as a power of two: 1 MiB. The level's own could be many times that.
const WINDOW_LOG: u32 = 20;

/// What is gathered before it is written, in bytes.
const WRITE_BYTES: usize = 64 * 1024;

/// The NDJSON files of one import, by day.
pub(super) struct Ndjson {
    temporaries: Temporaries,
    level: i32,
    small_windows: bool,
    files: HashMap<String, Part>,
    /// Counts writes, so that the file not written to for longest can be found.
    clock: u64,
    line: Vec<u8>,
}

/// One file.
struct Part {
    path: PathBuf,
    used: u64,
    out: Option<Out>,
}

enum Out {
    Plain(BufWriter<File>),
    Zstd(Encoder<'static, BufWriter<File>>),
}

impl Ndjson {
    /// No file yet. Level 0 writes plain text.
    pub(super) fn new(temporaries: Temporaries, level: i32, small_windows: bool) -> Ndjson {
        Ndjson {
            temporaries,
            level,
            small_windows,
            files: HashMap::new(),
            clock: 0,
            line: Vec::new(),
        }
    }

    fn open(&mut self, day: &str) -> Result<(), Error> {
        if !self.files.contains_key(day) {
            let ending = match self.level {
                0 => names::NDJSON_PLAIN,
                _ => names::NDJSON_ZSTD,
            };
            let (path, _) = self.temporaries.begin(day, 1, ending)?;
            let part = Part {
                path,
                used: 0,
                out: None,
            };
            self.files.insert(day.to_owned(), part);
        }
        let (level, small_windows) = (self.level, self.small_windows);
        let Some(part) = self.files.get_mut(day) else {
            return Ok(());
        };
        part.out = Some(Out::append(&part.path, level, small_windows).map_err(|error| (part.path.clone(), error))?);
        Ok(())
    }

    /// Closes the file not written to for longest, if as many are open as may be.
    fn make_room(&mut self) -> Result<(), Error> {
        let open = self.files.values().filter(|part| part.out.is_some());
        if open.count() < OPEN_MAX {
            return Ok(());
        }
        let oldest = self
            .files
            .values_mut()
            .filter(|part| part.out.is_some())
            .min_by_key(|part| part.used);
        oldest.map_or(Ok(()), Part::close)
    }
}

impl Writer for Ndjson {
    fn write(&mut self, day: &str, event: &Event<'_>) -> Result<(), Error> {
        self.line.clear();
        push_line(&mut self.line, event);
        self.clock += 1;
        let is_open = self.files.get(day).is_some_and(|part| part.out.is_some());
        if !is_open {
            self.make_room()?;
            self.open(day)?;
        }
        let Some(part) = self.files.get_mut(day) else {
            return Ok(());
        };
        part.used = self.clock;
        match &mut part.out {
            Some(out) => out.write_all(&self.line).map_err(|error| (part.path.clone(), error)),
            None => Ok(()),
        }
    }

    fn finish(mut self: Box<Self>) -> Result<Temporaries, Error> {
        for part in self.files.values_mut() {
            part.close()?;
        }
        Ok(self.temporaries)
    }
}

impl Part {
    fn close(&mut self) -> Result<(), Error> {
        match self.out.take() {
            Some(out) => out.finish().map_err(|error| (self.path.clone(), error)),
            None => Ok(()),
        }
    }
}

impl Out {
    fn append(path: &Path, level: i32, small_window: bool) -> io::Result<Out> {
        let file = BufWriter::with_capacity(WRITE_BYTES, OpenOptions::new().append(true).open(path)?);
        if level == 0 {
            return Ok(Out::Plain(file));
        }
        let mut encoder = Encoder::new(file, level)?;
        encoder.include_checksum(true)?;
        if small_window {
            encoder.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
        }
        Ok(Out::Zstd(encoder))
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Out::Plain(file) => file.write_all(bytes),
            Out::Zstd(encoder) => encoder.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<()> {
        let mut file = match self {
            Out::Plain(file) => file,
            Out::Zstd(encoder) => encoder.finish()?,
        };
        file.flush()
    }
}
