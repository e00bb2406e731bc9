//! The data file, unpacked and hashed beside whoever reads it.
//!
//! One thread inflates, a second one hashes, and the reader of the feed is the third: a block of unpacked bytes goes from
//! one to the next and comes back empty. Hashing has a thread of its own because it is the one step that can be taken
//! off the others: at 1 GB/s beside an inflater of half that speed it would make the slowest of the three slower by a half.

use std::io::Read;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use sha2::{Digest, Sha256};

use crate::blocks::{Block, Blocks, fill_blocks};

/// Blocks that may wait for the next thread.
const BLOCKS_WAITING: usize = 2;

/// The threads that unpack and hash.
pub(super) struct Unpacking<'scope> {
    inflating: ScopedJoinHandle<'scope, ()>,
    hashing: Option<ScopedJoinHandle<'scope, Option<[u8; 32]>>>,
}

/// Begins to unpack `data`, and to hash it where that is wanted.
pub(super) fn unpack<'scope>(
    scope: &'scope Scope<'scope, '_>,
    mut data: Box<dyn Read + Send + 'scope>,
    hashed: bool,
) -> (Blocks, Unpacking<'scope>) {
    let (spent, returned) = channel();
    let (onward, mut incoming) = sync_channel(BLOCKS_WAITING);
    let inflating = scope.spawn(move || fill_blocks(&mut *data, &returned, &onward));
    let mut hashing = None;
    if hashed {
        let (onward, from_hashing) = sync_channel(BLOCKS_WAITING);
        let from_inflating = std::mem::replace(&mut incoming, from_hashing);
        hashing = Some(scope.spawn(move || hash(&from_inflating, &onward)));
    }
    (Blocks::new(incoming, spent), Unpacking { inflating, hashing })
}

impl Unpacking<'_> {
    /// The SHA-256 of all of the data, where it was wanted and the data went to its end. Drop the blocks first.
    pub fn data_sha256(self) -> Option<[u8; 32]> {
        if let Err(defect) = self.inflating.join() {
            resume_unwind(defect);
        }
        self.hashing?.join().unwrap_or_else(|defect| resume_unwind(defect))
    }
}

/// Hashes what passes. No hash of a part: it would be taken for that of the whole.
fn hash(incoming: &Receiver<Block>, onward: &SyncSender<Block>) -> Option<[u8; 32]> {
    let mut hash = Sha256::new();
    for block in incoming {
        let is_end = block.as_ref().is_ok_and(Vec::is_empty);
        if let Ok(bytes) = &block {
            hash.update(bytes);
        }
        // The end is known whether anybody still hears of it or not.
        let heard = onward.send(block).is_ok();
        if is_end {
            return Some(hash.finalize().into());
        }
        if !heard {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::blocks::{BLOCK_BYTES, Pieces};

    /// How many bytes come out before the end or an error, and the hash.
    fn read(left: usize, end: fn() -> io::Result<usize>, hashed: bool) -> (usize, bool, Option<[u8; 32]>) {
        std::thread::scope(|scope| {
            let (mut blocks, unpacking) = unpack(scope, Box::new(Pieces { left, end }), hashed);
            let mut bytes = Vec::new();
            let failed = blocks.read_to_end(&mut bytes).is_err();
            drop(blocks);
            (bytes.len(), failed, unpacking.data_sha256())
        })
    }

    #[test]
    fn everything_comes_out_and_is_hashed() {
        for left in Pieces::LENGTHS {
            let expect = Sha256::digest(Pieces::all(left)).into();
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
            let (mut blocks, unpacking) = unpack(scope, endless, true);
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
