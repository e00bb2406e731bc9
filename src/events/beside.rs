//! Unpacking on a thread of its own, a few blocks ahead of whoever reads.
//!
//! Half of what reading an import again costs is unpacking it, and nothing else waits for it: on another core it takes none
//! of the reader's time.

use std::io::Read;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

use crate::blocks::{Blocks, INLINE_BYTES_MAX, fill_blocks};

/// Blocks that are ready and not taken yet.
const BLOCKS_AHEAD: usize = 4;

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
        if let Ok(mut data) = handed.recv() {
            fill_blocks(&mut *data, &returned, &ready);
        }
    });
    if started.is_err() {
        return data;
    }
    match hand_over.send(data) {
        Ok(()) => Box::new(Blocks::new(blocks, spent)),
        Err(unsent) => unsent.0,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::mpsc::Sender;

    use super::*;
    use crate::blocks::Pieces;

    fn beside(left: usize, end: fn() -> io::Result<usize>) -> Box<dyn Read + Send> {
        unpacked(Box::new(Pieces { left, end }), u64::MAX)
    }

    #[test]
    fn what_is_unpacked_beside_is_the_same() {
        for length in Pieces::LENGTHS {
            let mut got = Vec::new();
            let mut data = beside(length, || Ok(0));
            data.read_to_end(&mut got).expect("no error");
            assert!(got == Pieces::all(length), "{length}");
            assert_eq!(data.read(&mut [0; 8]).expect("the end"), 0, "an end lasts");
        }
    }

    #[test]
    fn an_error_comes_behind_what_was_there_before_it() {
        for length in Pieces::LENGTHS {
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
        for length in Pieces::LENGTHS {
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
