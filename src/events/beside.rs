//! Unpacking on a thread of its own, a few blocks ahead of whoever reads.
//!
//! Half of what reading an import again costs is unpacking it, and nothing else waits for it: on another core it takes none
//! of the reader's time. Memory stays flat: what is ahead is a few blocks, and they are used again.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

/// Bytes in one block. Smaller ones have the threads wake each other too often, larger ones leave the processor's cache.
const BLOCK_BYTES: usize = 256 * 1024;

/// Blocks that are ready and not taken yet.
const BLOCKS_AHEAD: usize = 4;

/// Data files up to this size, in bytes, are unpacked by their reader: starting a thread costs more.
const INLINE_BYTES_MAX: u64 = 512 * 1024;

/// The same data, of so many bytes, unpacked ahead. A thread that cannot be started is done without.
pub(super) fn unpacked(data: Box<dyn Read + Send>, size: u64) -> Box<dyn Read + Send> {
    if size <= INLINE_BYTES_MAX {
        return data;
    }
    let (ready, blocks) = sync_channel(BLOCKS_AHEAD);
    let (spent, returned) = channel();
    // Handed over once the thread is there, so that it is still ours if there is none.
    let (hand_over, handed) = channel::<Box<dyn Read + Send>>();
    let started = thread::Builder::new().name("unpacking".to_owned()).spawn(move || {
        if let Ok(data) = handed.recv() {
            unpack(data, &ready, &returned);
        }
    });
    if started.is_err() {
        return data;
    }
    if let Err(unsent) = hand_over.send(data) {
        return unsent.0;
    }
    Box::new(Blocks {
        blocks,
        spent,
        block: Vec::new(),
        at: 0,
        state: State::Unpacking,
    })
}

/// Unpacks to the end, which is an empty block, or to an error, which comes behind what was unpacked before it; or until
/// nobody takes any more.
fn unpack(mut data: Box<dyn Read + Send>, ready: &SyncSender<io::Result<Vec<u8>>>, returned: &Receiver<Vec<u8>>) {
    loop {
        let mut block = returned.try_recv().unwrap_or_default();
        block.resize(BLOCK_BYTES, 0);
        let (filled, error) = fill(&mut *data, &mut block);
        block.truncate(filled);
        let is_end = filled == 0 && error.is_none();
        if (filled > 0 || is_end) && ready.send(Ok(block)).is_err() {
            return;
        }
        if let Some(error) = error {
            // Nobody may be there to hear it.
            ready.send(Err(error)).ok();
            return;
        }
        if is_end {
            return;
        }
    }
}

/// Reads until the block is full, the data ends, or an error. A decoder gives a little at a time.
fn fill(data: &mut dyn Read, block: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while filled < block.len() {
        match data.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}

/// The reading end.
struct Blocks {
    blocks: Receiver<io::Result<Vec<u8>>>,
    spent: Sender<Vec<u8>>,
    block: Vec<u8>,
    at: usize,
    state: State,
}

/// What the thread said last.
enum State {
    Unpacking,
    Ended,
    Failed,
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            match self.state {
                State::Unpacking => self.next_block()?,
                State::Ended => return Ok(0),
                State::Failed => return Err(io::Error::other("unpacking failed before")),
            }
        }
        let count = buffer.len().min(self.block.len() - self.at);
        buffer[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

impl Blocks {
    fn next_block(&mut self) -> io::Result<()> {
        // The thread may have ended: then nobody wants the block back.
        self.spent.send(std::mem::take(&mut self.block)).ok();
        self.at = 0;
        match self.blocks.recv() {
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
            // Its own panic is on stderr. It must not pass for the end of the data.
            Err(_) => panic!("the thread that unpacks ended"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    /// Gives so many bytes in pieces of a size that fits no block, then what it ends with.
    struct Pieces {
        left: usize,
        end: fn() -> io::Result<usize>,
    }

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

    /// The lengths that are of interest: within the first block, at its end, and at the end of all that are ahead.
    const LENGTHS: [usize; 5] = [1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 6 * BLOCK_BYTES];

    fn beside(left: usize, end: fn() -> io::Result<usize>) -> Box<dyn Read + Send> {
        unpacked(Box::new(Pieces { left, end }), u64::MAX)
    }

    #[test]
    fn what_is_unpacked_beside_is_the_same() {
        for length in LENGTHS {
            let mut got = Vec::new();
            let mut data = beside(length, || Ok(0));
            data.read_to_end(&mut got).expect("no error");
            let expect: Vec<u8> = (0..length).rev().map(|number| number as u8).collect();
            assert!(got == expect, "{length}");
            assert_eq!(data.read(&mut [0; 8]).expect("the end"), 0, "an end lasts");
        }
    }

    #[test]
    fn an_error_comes_behind_what_was_there_before_it() {
        for length in LENGTHS {
            let mut got = Vec::new();
            let mut data = beside(length, || Err(io::Error::other("as a test wants it")));
            let error = data.read_to_end(&mut got).expect_err("an error");
            assert_eq!((got.len(), error.to_string().as_str()), (length, "as a test wants it"));
            assert!(
                data.read(&mut [0; 8]).is_err(),
                "it does not pass for an end afterwards"
            );
        }
    }

    #[test]
    fn a_defect_does_not_pass_for_the_end_of_the_data() {
        for length in LENGTHS {
            let mut data = beside(length, || panic!("as a test wants it"));
            assert!(catch_unwind(AssertUnwindSafe(|| data.read_to_end(&mut Vec::new()))).is_err());
        }
    }

    #[test]
    fn whoever_stops_reading_stops_the_thread() {
        let (gone, is_gone) = channel::<()>();
        struct Endless(#[expect(dead_code, reason = "dropped with the thread")] Sender<()>);
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                Ok(buffer.len())
            }
        }
        let mut data = unpacked(Box::new(Endless(gone)), u64::MAX);
        data.read_exact(&mut [0; 8]).expect("there is no end of it");
        drop(data);
        // The thread lets go of the sender when it ends, and the test hangs if it does not.
        assert!(is_gone.recv().is_err());
    }
}
