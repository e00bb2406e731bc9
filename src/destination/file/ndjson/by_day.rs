//! The events of an import by their own days: gathered in memory, and written a frame at a time.
//!
//! Days may come in any order, and by turns: a compressor for each would take megabytes a day, and one that makes room for
//! another ends a frame, however short. So what waits is plain text, of all days together up to a limit. Then the day that
//! has most is written, as one whole frame behind what its file has, and the others wait on. Between two frames no file is
//! open and there is no compressor.
//!
//! When a day is written follows from the lines and their order alone, and a frame's bytes follow from its text alone: each
//! has a compressor of its own, since one that is used again finds other matches. So an import comes to the same files, byte
//! for byte, whenever it is delivered.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use zstd::stream::write::Encoder;
use zstd::zstd_safe::CParameter;

use super::super::Writer;
use super::super::temporaries::{Error, Temporaries};
use super::text::{PIECE_BYTES, Text};
use super::{WRITE_BYTES, ending};
use crate::events::{Event, push_line};

/// Text is held in up to so many pieces of memory, 8 MiB in all, and one line alone if that one is larger. Evenly mixed, as many
/// days as there may be have frames of some KiB still.
const PIECES_MAX: usize = 8 * 1024 * 1024 / PIECE_BYTES;

/// Window of a compressor, as a power of two: 1 MiB. That of the highest levels could take hundreds of MiB with what belongs
/// to it.
const WINDOW_LOG: u32 = 20;

/// The files of one import, by day.
pub(super) struct ByDay {
    temporaries: Temporaries,
    level: i32,
    /// In the order they first came in, so that of two that have as much the same is taken always.
    days: Vec<Day>,
    /// Where among them each is.
    places: HashMap<String, usize>,
    /// Pieces of memory that all text takes.
    pieces: usize,
    line: Vec<u8>,
}

/// What there is of a day.
struct Day {
    name: String,
    /// Lines that are only in memory.
    text: Text,
    /// Its file, if there are lines in it.
    path: Option<PathBuf>,
}

impl ByDay {
    /// No file yet. Level 0 writes plain text.
    pub(super) fn new(temporaries: Temporaries, level: i32) -> ByDay {
        ByDay {
            temporaries,
            level,
            days: Vec::new(),
            places: HashMap::new(),
            pieces: 0,
            line: Vec::new(),
        }
    }

    /// Brings to disk what the day with the most text holds.
    fn relieve(&mut self) -> Result<(), Error> {
        let largest = (0..self.days.len()).max_by_key(|&place| self.days[place].text.len());
        largest.map_or(Ok(()), |place| self.write_text(place))
    }

    /// Brings to disk what a day holds.
    fn write_text(&mut self, place: usize) -> Result<(), Error> {
        let day = &mut self.days[place];
        let text = std::mem::take(&mut day.text);
        if text.len() == 0 {
            return Ok(());
        }
        self.pieces -= text.pieces();
        let (path, file) = match day.path.take() {
            Some(path) => {
                let file = append(&path).map_err(|error| (path.clone(), error))?;
                (path, file)
            }
            None => self.temporaries.begin(&day.name, 1, ending(self.level))?,
        };
        let path = day.path.insert(path);
        write_frame(file, self.level, &text).map_err(|error| (path.clone(), error))
    }

    fn place(&mut self, day: &str) -> usize {
        if let Some(&place) = self.places.get(day) {
            return place;
        }
        self.places.insert(day.to_owned(), self.days.len());
        self.days.push(Day {
            name: day.to_owned(),
            text: Text::default(),
            path: None,
        });
        self.days.len() - 1
    }
}

impl Writer for ByDay {
    fn write(&mut self, day: &str, event: &Event<'_>) -> Result<(), Error> {
        self.line.clear();
        push_line(&mut self.line, event);
        // It takes one less if there is room in the day's last, but that may be written right now.
        let needed = self.line.len().div_ceil(PIECE_BYTES);
        while self.pieces > 0 && self.pieces + needed > PIECES_MAX {
            self.relieve()?;
        }
        let place = self.place(day);
        let text = &mut self.days[place].text;
        self.pieces -= text.pieces();
        text.push(&self.line);
        self.pieces += text.pieces();
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Temporaries, Error> {
        for place in 0..self.days.len() {
            self.write_text(place)?;
        }
        Ok(self.temporaries)
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).open(path)
}

/// Writes a text as one zstd frame, or as it is.
fn write_frame(file: File, level: i32, text: &Text) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(WRITE_BYTES, file);
    if level == 0 {
        text.parts().try_for_each(|part| file.write_all(part))?;
        return file.flush();
    }
    let mut encoder = Encoder::new(file, level)?;
    encoder.include_checksum(true)?;
    encoder.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
    // A compressor that knows how little there will be takes no more memory than that needs.
    encoder.set_pledged_src_size(Some(text.len() as u64))?;
    text.parts().try_for_each(|part| encoder.write_all(part))?;
    encoder.finish()?.flush()
}
