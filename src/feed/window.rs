//! The part of the data file that is in memory: one block, or one entry where that is larger.
//!
//! It knows bytes, not JSON. What has been consumed is forgotten at the next read, but for a little context for messages.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read};

use super::position::{BEGINNING, Places};
use crate::large::room_for;
use crate::verdict::Position;

/// What is read at a time. 256 KiB was the best size between the inflating thread and this one.
const BLOCK: usize = 256 * 1024;

/// What is read at least, however little is expected: a page, and more than tells what kind of data it is.
const BLOCK_MIN: usize = 4 * 1024;

/// Bytes kept behind the place of reading, so that a fault between two entries can say what stood before it.
pub(super) const LOOK_BACK: usize = 160;

/// Bytes after a fault that are wanted for its excerpt: 40 characters of four bytes.
pub(super) const LOOK_AHEAD: usize = 160;

/// A sliding window over what `R` gives.
#[derive(Debug)]
pub(super) struct Window<R> {
    read: R,
    data: Vec<u8>,
    /// Offset of `data[0]` in the data file.
    base: u64,
    /// Where reading goes on, in `data`.
    start: usize,
    /// End of what has been read into `data`.
    end: usize,
    /// What is read at first: memory that a small data file would not fill is not made ready for it.
    block: usize,
    ended: bool,
    mark: Cell<Position>,
}

impl<R> Window<R> {
    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.base + self.end as u64
    }

    /// Whether nothing was consumed yet.
    pub fn is_fresh(&self) -> bool {
        self.base == 0 && self.start == 0
    }

    /// What has been read and not consumed.
    pub fn ahead(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    /// Everything in memory, and its places.
    pub fn places(&self) -> Places<'_> {
        Places {
            data: &self.data[..self.end],
            base: self.base,
            mark: &self.mark,
        }
    }

    /// Index, in the data of [`Window::places`], of the first byte ahead.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Goes past bytes ahead.
    pub fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.end - self.start);
        self.start += count;
    }

    /// Goes past a byte-order mark at the very beginning: it counts in bytes, not in columns.
    pub fn consume_mark(&mut self, count: usize) {
        self.consume(count);
        self.mark.set(Position {
            byte: count as u64,
            ..BEGINNING
        });
    }
}

impl<R: Read> Window<R> {
    /// A window over `read`, of which so many bytes are expected; nothing is read yet, and more may come.
    pub fn new(read: R, expected: u64) -> Window<R> {
        Window {
            read,
            data: Vec::new(),
            base: 0,
            start: 0,
            end: 0,
            // One more shows the end without another look.
            block: usize::try_from(expected)
                .unwrap_or(BLOCK)
                .saturating_add(1)
                .clamp(BLOCK_MIN, BLOCK),
            ended: false,
            mark: Cell::new(BEGINNING),
        }
    }

    /// Reads on until the window is full: a block, or twice what is ahead if that is more, but not over `most` bytes.
    ///
    /// Doubling keeps it linear when an entry has to be looked at again from its beginning, whatever sizes the reader hands
    /// out. Says whether anything came.
    pub fn fill(&mut self, most: usize) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        self.forget();

        let ahead = self.end - self.start;
        let room = ahead.saturating_mul(2).min(most).max(self.block).max(ahead);
        self.block = BLOCK;
        self.resize(LOOK_BACK + room);

        let before = self.end;
        while self.end < self.data.len() {
            match self.read.read(&mut self.data[self.end..]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(count) => self.end += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.end > before)
    }

    /// Gives back the memory that only a large entry needed, once it is consumed.
    pub fn shrink(&mut self) {
        if self.data.len() > LOOK_BACK + BLOCK {
            self.forget();
            self.resize(self.end.max(LOOK_BACK + BLOCK));
        }
    }

    /// Lets go of what was consumed. Its lines and columns are counted first.
    fn forget(&mut self) {
        let gone = self.start.saturating_sub(LOOK_BACK);
        if self.base + gone as u64 > self.mark.get().byte {
            self.places().settle(gone);
        }
        // The mark may be younger than `gone`, never older than what is kept.
        self.data.copy_within(gone..self.end, 0);
        self.base += gone as u64;
        self.start -= gone;
        self.end -= gone;
    }

    /// Grows for an entry that does not fit, and shrinks again after it.
    fn resize(&mut self, size: usize) {
        if self.data.is_empty() {
            self.data = vec![0; size]; // zeroed by the system, page by page, when touched
        } else if self.data.len() < size {
            let more = size - self.data.len();
            self.data.reserve_exact(room_for(self.data.len(), more).max(more));
            self.data.resize(size, 0);
        } else if self.data.len() > size {
            self.data.truncate(size);
            self.data.shrink_to_fit();
        }
    }

    /// Bytes of memory that were touched.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.data.len()
    }
}
