//! An archive that is read while it arrives.
//!
//! Its bytes come in order into a spool file, and whoever reads it waits for those that are not there yet. Names, sizes and
//! the method stand at the end of a zip, which was looked at before anything was downloaded: that end is laid over what
//! is still missing, so that unpacking can begin with the first bytes, and the verdict is there with the last one.
//!
//! What is read here is no more than a promise: the spool confirms, when all has come, that the end is what was laid over.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::slice::sought;

/// The archive, for whoever reads it. Reads wait; an archive that stops coming is an error of kind `ConnectionAborted`.
pub struct Arriving {
    size: u64,
    /// The last bytes of the archive.
    end: Arc<[u8]>,
    at: u64,
    news: Arc<News>,
}

/// The other side: told what has come. Dropping it says that no more will.
pub struct Arrivals {
    end: Arc<[u8]>,
    news: Arc<News>,
}

#[derive(Default)]
struct News {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The spool file, once there is one.
    file: Option<Arc<File>>,
    /// Bytes of the archive in it.
    arrived: u64,
    over: bool,
}

/// The two sides of an archive of `size` bytes that ends with `end`.
pub fn arriving(size: u64, end: Vec<u8>) -> (Arriving, Arrivals) {
    debug_assert!(end.len() as u64 <= size);
    let end: Arc<[u8]> = end.into();
    let news = Arc::new(News::default());
    let arriving = Arriving {
        size,
        end: end.clone(),
        at: 0,
        news: news.clone(),
    };
    (arriving, Arrivals { end, news })
}

impl News {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// Waits for more than `at` bytes: the spool file, and how many there are by then.
    fn wait(&self, at: u64) -> io::Result<(Arc<File>, u64)> {
        let waiting = |state: &mut State| !state.over && (state.file.is_none() || state.arrived <= at);
        let state = self.changed.wait_while(self.state(), waiting);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        match &state.file {
            Some(file) if state.arrived > at => Ok((file.clone(), state.arrived)),
            _ => Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the archive stopped coming",
            )),
        }
    }
}

impl Arrivals {
    /// The bytes go to this file, from its beginning.
    pub(super) fn begin(&self, file: File) {
        self.news.tell(|state| state.file = Some(Arc::new(file)));
    }

    /// So many bytes of the archive are in the file.
    pub(super) fn have(&self, arrived: u64) {
        self.news.tell(|state| state.arrived = arrived);
    }

    /// Whether a piece of the archive, which has `size` bytes, is what was foretold, as far as its end was.
    pub(super) fn foretold(&self, offset: u64, piece: &[u8], size: u64) -> bool {
        let from = size - self.end.len() as u64;
        let skipped = usize::try_from(from.saturating_sub(offset)).unwrap_or(usize::MAX);
        let Some(last) = piece.get(skipped..).filter(|last| !last.is_empty()) else {
            return true;
        };
        // Not negative: what was skipped goes up to `from`.
        let begin = (offset + skipped as u64 - from) as usize;
        self.end.get(begin..begin + last.len()) == Some(last)
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.news.tell(|state| state.over = true);
    }
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size.saturating_sub(self.at);
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let end_from = self.size - self.end.len() as u64;
        let count = if self.at >= end_from {
            let foretold = &self.end[(self.at - end_from) as usize..][..most];
            buffer[..most].copy_from_slice(foretold);
            most
        } else {
            let (file, arrived) = self.news.wait(self.at)?;
            let there = usize::try_from(arrived - self.at).unwrap_or(usize::MAX);
            file.read_at(&mut buffer[..most.min(there)], self.at)?
        };
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Arriving {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = sought(to, self.at, self.size)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const ARCHIVE: &[u8] = b"0123456789abcdefghijklmnopqrstuv";

    fn both_sides(end: usize) -> (Arriving, Arrivals, File) {
        let file = tempfile::tempfile().expect("a file");
        let (arriving, arrivals) = arriving(ARCHIVE.len() as u64, ARCHIVE[ARCHIVE.len() - end..].to_vec());
        (arriving, arrivals, file)
    }

    #[test]
    fn the_end_is_there_before_anything_has_come() {
        let (mut arriving, _arrivals, _) = both_sides(8);
        arriving.seek(SeekFrom::End(-6)).expect("within");
        let mut end = Vec::new();
        arriving.read_to_end(&mut end).expect("foretold");
        assert_eq!(end, &ARCHIVE[26..]);
    }

    #[test]
    fn reading_waits_for_what_has_not_come() {
        let (mut arriving, arrivals, mut file) = both_sides(8);
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            arriving.read_to_end(&mut all).map(|_| all)
        });
        arrivals.begin(file.try_clone().expect("another"));
        for (index, piece) in ARCHIVE.chunks(5).enumerate() {
            file.write_all(piece).expect("written");
            arrivals.have(index as u64 * 5 + piece.len() as u64);
            std::thread::yield_now();
        }
        drop(arrivals);
        assert_eq!(reader.join().expect("no panic").expect("all of it"), ARCHIVE);
    }

    #[test]
    fn what_stops_coming_is_an_error_and_what_came_is_not() {
        let (mut arriving, arrivals, mut file) = both_sides(8);
        file.write_all(&ARCHIVE[..10]).expect("written");
        arrivals.begin(file);
        arrivals.have(10);
        drop(arrivals);
        let mut some = [0; 10];
        arriving.read_exact(&mut some).expect("it has come");
        assert_eq!(some, ARCHIVE[..10]);
        let error = arriving.read(&mut some).expect_err("it stopped coming");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }

    #[test]
    fn one_that_never_begins_is_an_error() {
        let (mut arriving, arrivals, _) = both_sides(8);
        drop(arrivals);
        assert!(arriving.read(&mut [0; 4]).is_err());
    }

    #[test]
    fn every_piece_is_held_against_the_end_that_was_foretold() {
        for end in 0..=ARCHIVE.len() {
            let (_, arrivals, _) = both_sides(end);
            let from = ARCHIVE.len() - end;
            for first in 0..ARCHIVE.len() {
                for last in first + 1..=ARCHIVE.len() {
                    let mut piece = ARCHIVE[first..last].to_vec();
                    let foretold = |piece: &[u8]| arrivals.foretold(first as u64, piece, ARCHIVE.len() as u64);
                    assert!(foretold(&piece), "{end} {first} {last}");
                    // The last byte changed shows if it belongs to the end, and not if it does not.
                    *piece.last_mut().expect("not empty") ^= 1;
                    assert_eq!(foretold(&piece), last <= from, "{end} {first} {last}");
                }
            }
        }
    }
}
