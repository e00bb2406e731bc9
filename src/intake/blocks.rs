//! The data file, unpacked beside whoever reads it.
//!
//! One thread inflates, a second one hashes, and the reader of the feed is the third: a block of unpacked bytes goes from
//! one to the next and comes back empty, so that as many cores are used as there are and memory stays flat. Hashing
//! has a thread of its own because it is the one step that can be taken off the others: at 1 GB/s beside an inflater of
//! half that speed it would make the slowest of the three slower by a half.

use std::io::{self, Read};
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use sha2::{Digest, Sha256};

/// Bytes in one block: 256 KiB was the best size between two threads. Smaller ones cost wake-ups, larger ones the cache.
const BLOCK_BYTES: usize = 256 * 1024;

/// Blocks that may wait for the next thread.
const BLOCKS_WAITING: usize = 2;

/// A block, or why there are no more; an end without an error is the end of the channel.
type Unpacked = io::Result<Vec<u8>>;

/// The reading end.
pub(super) struct Blocks {
    incoming: Receiver<Unpacked>,
    /// The way back for blocks that have been read.
    spent: Sender<Vec<u8>>,
    block: Vec<u8>,
    at: usize,
}

/// The threads that unpack and hash.
pub(super) struct Unpacking<'scope> {
    inflating: ScopedJoinHandle<'scope, ()>,
    hashing: Option<ScopedJoinHandle<'scope, Option<[u8; 32]>>>,
}

impl Blocks {
    /// Begins to unpack `data`, and to hash it where that is wanted.
    pub fn of<'scope>(
        scope: &'scope Scope<'scope, '_>,
        data: Box<dyn Read + Send + 'scope>,
        hashed: bool,
    ) -> (Blocks, Unpacking<'scope>) {
        let (spent, returned) = channel();
        let (sender, mut incoming) = sync_channel(BLOCKS_WAITING);
        let inflating = scope.spawn(move || inflate(data, &returned, &sender));
        let mut hashing = None;
        if hashed {
            let (onward, from_hashing) = sync_channel(BLOCKS_WAITING);
            let from_inflating = std::mem::replace(&mut incoming, from_hashing);
            hashing = Some(scope.spawn(move || hash(&from_inflating, &onward)));
        }
        let blocks = Blocks {
            incoming,
            spent,
            block: Vec::new(),
            at: 0,
        };
        (blocks, Unpacking { inflating, hashing })
    }

    /// Takes what is left and looks at none of it but for the errors.
    pub fn drain(&mut self) -> io::Result<()> {
        for block in &self.incoming {
            self.spent.send(block?).ok();
        }
        Ok(())
    }
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            let spent = std::mem::take(&mut self.block);
            // The thread may have ended: then nobody wants the block back.
            self.spent.send(spent).ok();
            self.at = 0;
            match self.incoming.recv() {
                Ok(block) => self.block = block?,
                Err(_) => return Ok(0),
            }
        }
        let count = buffer.len().min(self.block.len() - self.at);
        buffer[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

impl Unpacking<'_> {
    /// The SHA-256 of all of the data, where it was wanted and the data went to its end. Drop the blocks first.
    ///
    /// A thread that ended by a defect of ours looks like the end of the data to the reader, and must not pass for that: the
    /// panic goes on here.
    pub fn data_sha256(self) -> Option<[u8; 32]> {
        if let Err(defect) = self.inflating.join() {
            resume_unwind(defect);
        }
        self.hashing?.join().unwrap_or_else(|defect| resume_unwind(defect))
    }
}

/// Unpacks until the data ends, or fails, or nobody wants more.
fn inflate(mut data: Box<dyn Read + Send + '_>, returned: &Receiver<Vec<u8>>, onward: &SyncSender<Unpacked>) {
    loop {
        let mut block = returned.try_recv().unwrap_or_default();
        block.resize(BLOCK_BYTES, 0);
        let (count, error) = fill(&mut *data, &mut block);
        block.truncate(count);
        if count > 0 && onward.send(Ok(block)).is_err() {
            return;
        }
        if let Some(error) = error {
            onward.send(Err(error)).ok();
            return;
        }
        if count < BLOCK_BYTES {
            return;
        }
    }
}

/// Hashes what passes. No hash of a part: it would be taken for that of the whole.
fn hash(incoming: &Receiver<Unpacked>, onward: &SyncSender<Unpacked>) -> Option<[u8; 32]> {
    let mut hash = Sha256::new();
    for block in incoming {
        let failed = block.is_err();
        if let Ok(bytes) = &block {
            hash.update(bytes);
        }
        if onward.send(block).is_err() || failed {
            return None;
        }
    }
    Some(hash.finalize().into())
}

/// Reads until the block is full, the data ends, or an error, which comes with what was read before it: a decoder that
/// has failed once may say anything when it is asked again.
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

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    /// Gives so many bytes, then ends as it is told to.
    struct Scripted {
        left: usize,
        end: fn() -> io::Result<usize>,
    }

    impl Read for Scripted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.left == 0 {
                return (self.end)();
            }
            let count = buffer.len().min(self.left).min(100_000);
            buffer[..count].fill(b'x');
            self.left -= count;
            Ok(count)
        }
    }

    /// How many bytes come out before the end or an error, and the hash.
    fn read(left: usize, end: fn() -> io::Result<usize>, hashed: bool) -> (usize, bool, Option<[u8; 32]>) {
        std::thread::scope(|scope| {
            let (mut blocks, unpacking) = Blocks::of(scope, Box::new(Scripted { left, end }), hashed);
            let mut bytes = Vec::new();
            let failed = blocks.read_to_end(&mut bytes).is_err();
            drop(blocks);
            (bytes.len(), failed, unpacking.data_sha256())
        })
    }

    #[test]
    fn everything_comes_out_and_is_hashed() {
        for left in [
            0,
            1,
            BLOCK_BYTES - 1,
            BLOCK_BYTES,
            BLOCK_BYTES + 1,
            10 * BLOCK_BYTES + 7,
        ] {
            let expect = Sha256::digest(vec![b'x'; left]).into();
            assert_eq!(read(left, || Ok(0), true), (left, false, Some(expect)));
            assert_eq!(read(left, || Ok(0), false), (left, false, None));
        }
    }

    #[test]
    fn an_error_comes_after_what_was_read_before_it_and_leaves_no_hash() {
        let broken = || Err(io::ErrorKind::ConnectionReset.into());
        for hashed in [false, true] {
            assert_eq!(
                read(3 * BLOCK_BYTES + 5, broken, hashed),
                (3 * BLOCK_BYTES + 5, true, None)
            );
        }
    }

    #[test]
    fn a_reader_that_stops_ends_the_threads_and_gets_no_hash() {
        std::thread::scope(|scope| {
            let endless = Box::new(std::io::repeat(b'x'));
            let (mut blocks, unpacking) = Blocks::of(scope, endless, true);
            blocks.read_exact(&mut [0; 10]).expect("there is enough");
            drop(blocks);
            assert_eq!(unpacking.data_sha256(), None);
        });
    }

    #[test]
    fn a_defect_while_unpacking_does_not_pass_for_the_end_of_the_data() {
        for hashed in [false, true] {
            let reading = || read(BLOCK_BYTES, || panic!("a defect"), hashed);
            assert!(catch_unwind(AssertUnwindSafe(reading)).is_err());
        }
    }
}
