//! NDJSON: a line per event, compressed with zstd or plain, and a file per day.
//!
//! By the day of import all lines go into one file, through one compressor, as they come. By the events' own days there are
//! as many files as days, however mixed: lines are gathered in memory, and written a frame at a time. zstd frames may follow
//! one another in a file, so none is ever continued under another name.

use super::temporaries::Temporaries;
use super::{Writer, names};
use by_day::ByDay;
use by_import::ByImport;

mod by_day;
mod by_import;
mod text;
mod without;

pub(super) use without::without;

/// What is gathered before the system is asked to write it, in bytes.
const WRITE_BYTES: usize = 64 * 1024;

/// The NDJSON files of one import; none yet. Level 0 writes plain text.
pub(super) fn writer(temporaries: Temporaries, level: i32, by_event_date: bool) -> Box<dyn Writer> {
    match by_event_date {
        true => Box::new(ByDay::new(temporaries, level)),
        false => Box::new(ByImport::new(temporaries, level)),
    }
}

/// How a file's name ends.
fn ending(level: i32) -> &'static str {
    match level {
        0 => names::NDJSON_PLAIN,
        _ => names::NDJSON_ZSTD,
    }
}
