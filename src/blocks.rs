//! Data that one thread reads ahead for another, in blocks: for what takes as long to unpack as to read.
//!
//! A block goes from the thread that fills it to the one that reads it, perhaps through others, and comes back empty, so
//! that memory stays flat. An empty block is the end of the data. Just as a file does, an error comes behind what was there
//! before it; a thread that is gone without a word is a defect of ours, and never passes for the end.

use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender};

/// Bytes in one block: 256 KiB was the best size between two threads. Smaller ones have them wake each other too often,
/// larger ones leave the processor's cache.
pub(crate) const BLOCK_BYTES: usize = 256 * 1024;

/// Data up to this size, in bytes, is read without a thread: starting one costs more.
pub(crate) const INLINE_BYTES_MAX: u64 = 512 * 1024;

/// What passes from thread to thread.
pub(crate) type Block = io::Result<Vec<u8>>;

/// Fills blocks until the data ends, or fails, or nobody takes them any more. Those in `returned` are used again.
pub(crate) fn fill_blocks(data: &mut dyn Read, returned: &Receiver<Vec<u8>>, onward: &SyncSender<Block>) {
    loop {
        let mut block = returned.try_recv().unwrap_or_default();
        block.resize(BLOCK_BYTES, 0);
        let (filled, error) = fill(data, &mut block);
        block.truncate(filled);
        let is_end = filled == 0 && error.is_none();
        if (filled > 0 || is_end) && onward.send(Ok(block)).is_err() {
            return;
        }
        if let Some(error) = error {
            // Nobody may be there to hear it.
            onward.send(Err(error)).ok();
            return;
        }
        if is_end {
            return;
        }
    }
}

/// Reads until the block is full, the data ends, or an error, which comes with what was read before it: a decoder gives a
/// little at a time, and one that has failed may say anything when it is asked again.
fn fill(data: &mut dyn Read, block: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while filled < block.len() {
        match data.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}

/// The reading end.
pub(crate) struct Blocks {
    incoming: Receiver<Block>,
    /// The way back for blocks that have been read.
    spent: Sender<Vec<u8>>,
    block: Vec<u8>,
    at: usize,
    state: State,
}

/// What was said last.
enum State {
    More,
    Ended,
    Failed,
}

impl Blocks {
    /// Reads what comes in, and gives blocks back.
    pub fn new(incoming: Receiver<Block>, spent: Sender<Vec<u8>>) -> Blocks {
        Blocks {
            incoming,
            spent,
            block: Vec::new(),
            at: 0,
            state: State::More,
        }
    }

    fn next_block(&mut self) -> io::Result<()> {
        // The thread may have ended: then nobody wants the block back.
        self.spent.send(std::mem::take(&mut self.block)).ok();
        self.at = 0;
        match self.incoming.recv() {
            Ok(Ok(block)) => {
                if block.is_empty() {
                    self.state = State::Ended;
                }
                self.block = block;
                Ok(())
            }
            Ok(Err(error)) => {
                self.state = State::Failed;
                Err(error)
            }
            // Its own panic is on stderr.
            Err(_) => panic!("the thread that reads ahead ended"),
        }
    }
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            match self.state {
                State::More => self.next_block()?,
                State::Ended => return Ok(0),
                State::Failed => return Err(io::Error::other("reading ahead failed before")),
            }
        }
        let count = buffer.len().min(self.block.len() - self.at);
        buffer[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Data for the tests of those who have it read ahead: so many bytes, in pieces of a size that fits no block, then what it ends
/// with.
#[cfg(test)]
pub(crate) struct Pieces {
    pub left: usize,
    pub end: fn() -> io::Result<usize>,
}

#[cfg(test)]
impl Pieces {
    /// Lengths that are of interest: within the first block, at its end, and at the end of all that are ahead.
    pub const LENGTHS: [usize; 6] = [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 6 * BLOCK_BYTES];

    /// All of it, where it has so many bytes.
    pub fn all(length: usize) -> Vec<u8> {
        (0..length).rev().map(|number| number as u8).collect()
    }
}

#[cfg(test)]
impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return (self.end)();
        }
        let count = buffer.len().min(self.left).min(10_007);
        for (byte, number) in buffer[..count].iter_mut().zip((0..self.left).rev()) {
            *byte = number as u8;
        }
        self.left -= count;
        Ok(count)
    }
}
