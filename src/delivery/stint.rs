//! What is done on a blocking thread between two looks at the ledger: read, hand over, make good.
//!
//! A stint takes in several small imports, or a piece of a large one. It flushes whenever the destination has as much as it
//! takes in one transaction, while the reader goes on, and at its end, so that a transactional destination holds no
//! transaction while the loop waits for anything.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::reader::{Read, Reader, STORE_BATCH};
use crate::destination::{Reply, Store};
use crate::events::{Batch, EventsError};
use crate::ledger::{Asks, Cursor, Import};

#[cfg(test)]
mod tests;

/// After this long a stint is ended, so that the ledger's cursor, the log and whoever reads the destination do not wait
/// long.
const STINT_MAX: Duration = Duration::from_millis(500);

/// A destination at work: the destination, what is read for it, and how far it is.
pub(super) struct Worker {
    reader: Reader,
    hand: Hand,
}

/// The destination, and what it has had.
struct Hand {
    store: Box<dyn Store>,
    /// Everything before this is at the destination for good.
    confirmed: Cursor,
    /// Everything before this was handed over.
    handed: Cursor,
    /// Events handed over and not confirmed.
    unconfirmed: u64,
}

/// What a stint came to.
pub(super) struct Stint {
    /// Events confirmed in it.
    pub(super) delivered: u64,
    /// The import it was in last, if it handed anything over.
    pub(super) last: Option<Arc<Import>>,
    /// How it ended.
    pub(super) ending: Ending,
}

/// How a stint ended.
pub(super) enum Ending {
    /// Every import given was handed over.
    Done,
    /// It was long enough, or it was told to stop.
    Paused,
    /// The destination stands elsewhere than was thought.
    Moved,
    /// The destination answered with [`Reply::Unavailable`].
    Unavailable(String),
    /// The destination answered with [`Reply::Barred`].
    Barred(String),
    /// An import cannot be read again.
    Unreadable(Arc<Import>, EventsError),
}

impl Worker {
    /// Sets a store to work at a cursor.
    pub(super) fn new(store: Box<dyn Store>, reader: Reader, at: Cursor) -> Worker {
        Worker {
            reader,
            hand: Hand {
                store,
                confirmed: at,
                handed: at,
                unconfirmed: 0,
            },
        }
    }

    /// Everything before this is at the destination for good.
    pub(super) fn confirmed(&self) -> Cursor {
        self.hand.confirmed
    }

    /// What is to be handed over next.
    pub(super) fn handed(&self) -> Cursor {
        self.hand.handed
    }

    /// Passes over imports that nothing is wanted of. What was handed over and is not confirmed keeps the cursor back.
    pub(super) fn pass_over(&mut self, to: Cursor) {
        if self.hand.handed == self.hand.confirmed {
            self.hand.confirmed = self.hand.confirmed.max(to);
            self.hand.handed = self.hand.confirmed;
        }
    }

    /// The import that is half handed over will not be gone on with, since it was undone meanwhile: what of it is not there for
    /// good is given up.
    pub(super) fn let_go_unless(&mut self, next: &Import) {
        let (confirmed, handed) = (self.hand.confirmed, self.hand.handed);
        if handed > confirmed && handed.index > 0 && handed.seq != next.seq {
            self.hand.handed = confirmed;
            self.hand.unconfirmed = 0;
        }
    }

    /// What was read ahead is not what lies there any more.
    pub(super) fn forget(&mut self) {
        self.reader.forget();
    }

    /// Hands imports over, in order, each from where it was left.
    pub(super) fn stint(&mut self, imports: &[Arc<Import>], stop: &CancellationToken) -> Stint {
        let mut stint = Stint::default();
        let (reader, hand) = (&mut self.reader, &mut self.hand);
        let at = hand.handed;
        let untaken: Vec<Batch> = thread::scope(|scope| {
            let (ready, batches) = channel();
            let (done, taken) = channel();
            let reading = thread::Builder::new()
                .name("reading ahead".to_owned())
                .spawn_scoped(scope, move || reader.read(imports, at, &ready, &taken));
            match reading {
                Ok(_) => hand.take(&batches, done, stop, &mut stint),
                Err(error) => {
                    stint.ending = Ending::Unavailable(format!("starting a thread to read the spool: {error}"))
                }
            }
            // Ends when the reader does. An error among them is met again by whoever goes on.
            batches.iter().filter_map(Result::ok).collect()
        });
        self.reader.keep(untaken);
        if matches!(stint.ending, Ending::Moved | Ending::Unavailable(_) | Ending::Barred(_)) {
            self.reader.forget();
        }
        stint
    }

    /// Hands over that nothing comes of an import, so that a destination with a cursor of its own moves it as well.
    pub(super) fn skip(&mut self, import: &Arc<Import>) -> Stint {
        let mut stint = Stint::default();
        self.reader.forget();
        let batch = Batch::nothing_of(Arc::clone(import), self.hand.handed);
        let skipped = self
            .hand
            .hand_over(&batch, &mut stint.delivered)
            .and_then(|()| self.hand.flush(&mut stint.delivered));
        if let Err(ending) = skipped {
            stint.ending = ending;
        }
        stint
    }
}

impl Default for Stint {
    fn default() -> Stint {
        Stint {
            delivered: 0,
            last: None,
            ending: Ending::Done,
        }
    }
}

impl Hand {
    /// Hands over what is read until there is no more or the stint is long enough, and has it made good. The reader goes on
    /// until `done` is dropped, and so while a transaction is committed.
    fn take(&mut self, batches: &Receiver<Read>, done: Sender<usize>, stop: &CancellationToken, stint: &mut Stint) {
        if let Err(ending) = self.try_take(batches, &done, stop, stint) {
            stint.ending = ending;
        }
    }

    fn try_take(
        &mut self,
        batches: &Receiver<Read>,
        done: &Sender<usize>,
        stop: &CancellationToken,
        stint: &mut Stint,
    ) -> Result<(), Ending> {
        let began = Instant::now();
        let most = self.store.transaction();
        let (mut events, mut bytes) = (0, 0);
        stint.ending = loop {
            if began.elapsed() >= STINT_MAX || stop.is_cancelled() {
                break Ending::Paused;
            }
            let would_be_too_large =
                events + STORE_BATCH.events > most.events || bytes + STORE_BATCH.bytes > most.bytes;
            if would_be_too_large && events > 0 {
                self.flush(&mut stint.delivered)?;
                (events, bytes) = (0, 0);
                continue;
            }
            let batch = match batches.recv() {
                Ok(Ok(batch)) => batch,
                // What was handed over before is still worth confirming.
                Ok(Err((import, error))) => break Ending::Unreadable(import, error),
                // The reader is through.
                Err(_) => break Ending::Done,
            };
            if matches!(batch.import.asks, Asks::TakeBack | Asks::Forget(_)) {
                self.flush(&mut stint.delivered)?;
            }
            events += batch.len();
            bytes += batch.bytes();
            stint.last = Some(Arc::clone(&batch.import));
            self.hand_over(&batch, &mut stint.delivered)?;
            // The reader may be through.
            done.send(batch.bytes()).ok();
        };
        self.flush(&mut stint.delivered)
    }

    /// `Err` if the stint is over.
    fn hand_over(&mut self, batch: &Batch, delivered: &mut u64) -> Result<(), Ending> {
        match self.store.deliver(batch) {
            Reply::Held => {
                self.handed = batch.end;
                self.unconfirmed += batch.len() as u64;
                Ok(())
            }
            Reply::Durable(cursor) if cursor == batch.end => {
                self.handed = batch.end;
                self.unconfirmed += batch.len() as u64;
                self.confirm(delivered);
                Ok(())
            }
            // The next stint hands the same over again.
            Reply::Underway => Err(Ending::Paused),
            other => Err(self.fall_back(other)),
        }
    }

    /// `Err` if the stint is over otherwise than it would be.
    fn flush(&mut self, delivered: &mut u64) -> Result<(), Ending> {
        match self.store.flush() {
            Reply::Held => Ok(()),
            Reply::Durable(cursor) if cursor == self.handed => {
                self.confirm(delivered);
                Ok(())
            }
            other => Err(self.fall_back(other)),
        }
    }

    fn confirm(&mut self, delivered: &mut u64) {
        self.confirmed = self.handed;
        *delivered += std::mem::take(&mut self.unconfirmed);
    }

    /// Nothing since the last confirmation counts.
    fn fall_back(&mut self, reply: Reply) -> Ending {
        self.unconfirmed = 0;
        let ending = match reply {
            Reply::Durable(cursor) => {
                self.confirmed = cursor;
                Ending::Moved
            }
            Reply::Held | Reply::Underway => Ending::Paused,
            Reply::Unavailable { reason } => Ending::Unavailable(reason),
            Reply::Barred { reason } => Ending::Barred(reason),
        };
        self.handed = self.confirmed;
        ending
    }
}
