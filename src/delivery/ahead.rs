//! Reading ahead for a receiver: the next batch of an import is unpacked while parcels of the one before are sent.
//!
//! One batch is read ahead and no more. Whoever goes on somewhere else has it thrown away.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::reader::Reader;
use crate::events::{Batch, EventsError};
use crate::ledger::{Cursor, Import};

/// A reader on a thread of its own, which ends with this.
pub(super) struct ReadAhead {
    asks: Sender<(Arc<Import>, Cursor)>,
    read: Receiver<Result<Batch, EventsError>>,
    /// Where the batch begins that is being read.
    asked: Option<Cursor>,
}

impl ReadAhead {
    /// Nothing is read before it is asked for.
    pub(super) fn new(mut reader: Reader) -> io::Result<ReadAhead> {
        let (asks, asked) = channel::<(Arc<Import>, Cursor)>();
        let (ready, read) = channel();
        thread::Builder::new().name("reading ahead".to_owned()).spawn(move || {
            for (import, at) in asked {
                if ready.send(reader.next(&import, at)).is_err() {
                    return;
                }
            }
        })?;
        Ok(ReadAhead {
            asks,
            read,
            asked: None,
        })
    }

    /// The batch of an import that begins at a cursor. The one behind it is read from now on.
    pub(super) fn next(&mut self, import: &Arc<Import>, at: Cursor) -> Result<Batch, EventsError> {
        if self.asked != Some(at) {
            self.forget();
            self.ask(import, at);
        }
        let batch = self.take()?;
        if !batch.last {
            self.ask(import, batch.end);
        }
        Ok(batch)
    }

    /// What is being read is not wanted any more.
    pub(super) fn forget(&mut self) {
        if self.asked.is_some() {
            // Whatever it came to: it is not what is wanted.
            self.take().ok();
        }
    }

    fn ask(&mut self, import: &Arc<Import>, at: Cursor) {
        // A thread that ended is noticed when its batch is taken.
        self.asks.send((Arc::clone(import), at)).ok();
        self.asked = Some(at);
    }

    fn take(&mut self) -> Result<Batch, EventsError> {
        self.asked = None;
        match self.read.recv() {
            Ok(read) => read,
            // Its own panic is on stderr; this one has the destination opened anew.
            Err(_) => panic!("the thread that reads ahead ended"),
        }
    }
}
