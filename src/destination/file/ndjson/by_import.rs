//! All events of an import in one file, written as they come.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use zstd::stream::write::Encoder;

use super::super::Writer;
use super::super::temporaries::{Error, Temporaries};
use super::{WRITE_BYTES, ending};
use crate::events::{Event, push_line};
use crate::large;

/// The one file of an import, which has one day.
pub(super) struct ByImport {
    temporaries: Temporaries,
    level: i32,
    /// From the first event on.
    file: Option<(PathBuf, Out)>,
    line: Vec<u8>,
}

enum Out {
    Plain(BufWriter<File>),
    Zstd(Encoder<'static, BufWriter<File>>),
}

impl ByImport {
    /// No file yet. Level 0 writes plain text.
    pub(super) fn new(temporaries: Temporaries, level: i32) -> ByImport {
        ByImport {
            temporaries,
            level,
            file: None,
            line: Vec::new(),
        }
    }
}

impl Writer for ByImport {
    fn write(&mut self, day: &str, event: &Event<'_>) -> Result<(), Error> {
        push_line(&mut self.line, event);
        let (path, out) = match &mut self.file {
            Some(file) => file,
            None => {
                let (path, file) = self.temporaries.begin(day, 1, ending(self.level))?;
                let out = Out::new(file, self.level).map_err(|error| (path.clone(), error))?;
                self.file.insert((path, out))
            }
        };
        out.write_all(&self.line).map_err(|error| (path.clone(), error))?;
        large::clear(&mut self.line);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Temporaries, Error> {
        if let Some((path, out)) = self.file {
            out.finish().map_err(|error| (path, error))?;
        }
        Ok(self.temporaries)
    }
}

impl Out {
    fn new(file: File, level: i32) -> io::Result<Out> {
        let file = BufWriter::with_capacity(WRITE_BYTES, file);
        if level == 0 {
            return Ok(Out::Plain(file));
        }
        let mut encoder = Encoder::new(file, level)?;
        encoder.include_checksum(true)?;
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
