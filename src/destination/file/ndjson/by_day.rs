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
use crate::large;

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
        large::clear(&mut self.line);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::names;
    use super::*;
    use crate::events::EventId;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    /// What a day's file should say, and what it is.
    #[derive(Default)]
    struct Found {
        lines: String,
        bytes: Vec<u8>,
    }

    /// Writes events of the given days, with bodies of the given lengths, and reads the files back.
    fn written(level: i32, events: &[(usize, usize)]) -> BTreeMap<String, Found> {
        let dir = tempfile::tempdir().expect("a directory");
        let mut writer = Box::new(ByDay::new(Temporaries::new(dir.path(), KEY), level));
        let mut days: BTreeMap<String, Found> = BTreeMap::new();
        let mut random = fastrand::Rng::with_seed(7);
        let letters: String = (0..4_096).map(|_| random.lowercase()).collect();
        for (index, &(day, length)) in events.iter().enumerate() {
            let start = index * 31 % letters.len();
            let text = letters.repeat((start + length).div_ceil(letters.len()));
            let body = format!("\"{}\"", &text[start..start + length]);
            let event = Event {
                id: EventId {
                    key: KEY,
                    index: index as u64,
                    item: 0,
                },
                import: 1,
                source: "acme",
                archive: "archive",
                index: index as u64,
                event: "e",
                renamed: None,
                user_id: None,
                email: None,
                business_unit: None,
                at: 0,
                body: &body,
            };
            let day = format!("day-{day}");
            writer.write(&day, &event).expect("written");
            // Looking at thousands of days takes a while.
            if index % 1_000 == 0 || length > 100_000 {
                let held: usize = writer.days.iter().map(|day| day.text.pieces()).sum();
                assert_eq!(writer.pieces, held);
                assert!(
                    held <= PIECES_MAX.max(length / PIECE_BYTES + 2),
                    "{held} pieces are held"
                );
            }
            let mut line = Vec::new();
            push_line(&mut line, &event);
            let found = days.entry(day).or_default();
            found.lines.push_str(std::str::from_utf8(&line).expect("text"));
        }
        let temporaries = writer.finish().expect("finished");
        // Not kept: to sync thousands of files takes a while.
        let name = names::temporary_name(&names::file_name(KEY, 1, ending(level)));
        for (day, found) in &mut days {
            let path = dir.path().join(day).join(&name);
            found.bytes = std::fs::read(path).expect("the day's file");
        }
        drop(temporaries);
        days
    }

    /// How many zstd frames follow one another.
    fn frames(mut bytes: &[u8]) -> usize {
        let mut count = 0;
        while !bytes.is_empty() {
            let size = zstd::zstd_safe::find_frame_compressed_size(bytes).expect("a whole frame");
            bytes = &bytes[size..];
            count += 1;
        }
        count
    }

    /// The events come to files that say what they should, twice the same; by day, in so many frames at most.
    #[track_caller]
    fn check(level: i32, events: &[(usize, usize)], frames_max: usize) {
        let once = written(level, events);
        let again = written(level, events);
        for (day, found) in &once {
            assert!(found.bytes == again[day].bytes, "{day} is another the second time");
            let lines = match level {
                0 => found.bytes.clone(),
                _ => zstd::decode_all(&found.bytes[..]).expect("zstd"),
            };
            assert!(lines == found.lines.as_bytes(), "{day} says something else");
            if level > 0 {
                let frames = frames(&found.bytes);
                assert!(frames <= frames_max, "{day} has {frames} frames");
            }
        }
    }

    /// So many events, with bodies of the given length, of so many days by turns.
    fn by_turns(count: usize, days: usize, length: usize) -> Vec<(usize, usize)> {
        (0..count).map(|n| (n % days, length)).collect()
    }

    #[test]
    fn what_fits_into_memory_is_a_frame_a_day() {
        for level in [0, 3, 22] {
            check(level, &[], 0);
            check(level, &[(1, 0)], 1);
            check(level, &by_turns(3_000, 40, 100), 1);
        }
    }

    #[test]
    fn what_does_not_is_written_by_the_largest_day() {
        for level in [0, 6] {
            // 12 MiB of 64 days, a frame of which has 128 KiB at least.
            check(level, &by_turns(6_000, 64, 2_000), 2);
        }
        // A day that has most goes again and again, and the thin ones by its side stay until the end.
        let mut events = by_turns(10_000, 1_000, 100);
        for (n, event) in events.iter_mut().enumerate().filter(|(n, _)| n % 5 == 0) {
            *event = (1_000 + n % 2, 10_000);
        }
        let found = written(3, &events);
        for (day, found) in found {
            let thick = day == "day-1000" || day == "day-1001";
            let frames = frames(&found.bytes);
            assert!(
                if thick { frames > 1 } else { frames == 1 },
                "{day} has {frames} frames"
            );
        }
    }

    #[test]
    fn thousands_of_days_by_turns() {
        // 12 MiB: 6 KiB for each day, in lines of some 200 bytes.
        check(3, &by_turns(60_000, 2_000, 100), 2);
    }

    #[test]
    fn lines_larger_than_all_that_may_be_held() {
        let large = PIECES_MAX * PIECE_BYTES;
        check(1, &[(1, 10), (2, large), (1, 10), (2, 10), (2, large), (2, 10)], 4);
    }
}
