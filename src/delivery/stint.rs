//! What is done on a blocking thread between two looks at the ledger: read, hand over, make good.
//!
//! A stint takes in several small imports, or a piece of a large one, and ends with a flush, so that a transactional
//! destination commits once for all of it and holds no transaction while the loop waits for anything.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::reader::{BATCH, Read, Reader};
use crate::destination::{Reply, Store};
use crate::events::{Batch, EventsError};
use crate::ledger::{Cursor, Import};

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

    /// Hands imports over, in order, each from where it was left.
    pub(super) fn stint(&mut self, imports: &[Arc<Import>], stop: &CancellationToken) -> Stint {
        let mut stint = Stint::default();
        let (reader, hand) = (&mut self.reader, &mut self.hand);
        let at = hand.handed;
        thread::scope(|scope| {
            // A rendezvous: what is read ahead is in the reader's hand, so that nothing of it is lost.
            let (ready, batches) = sync_channel(0);
            let reading = thread::Builder::new()
                .name("reading ahead".to_owned())
                .spawn_scoped(scope, move || reader.read(imports, at, &ready));
            match reading {
                Ok(_) => hand.take(batches, stop, &mut stint),
                Err(error) => {
                    stint.ending = Ending::Unavailable(format!("starting a thread to read the spool: {error}"))
                }
            }
        });
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
    /// Hands over what is read until there is no more or the stint is long enough, and has it made good.
    fn take(&mut self, batches: Receiver<Read>, stop: &CancellationToken, stint: &mut Stint) {
        let began = Instant::now();
        let events_max = self.store.events_max();
        let mut events = 0;
        stint.ending = loop {
            if events + BATCH.events > events_max.max(BATCH.events)
                || began.elapsed() >= STINT_MAX
                || stop.is_cancelled()
            {
                break Ending::Paused;
            }
            let batch = match batches.recv() {
                Ok(Ok(batch)) => batch,
                // What was handed over before is still worth confirming.
                Ok(Err((import, error))) => break Ending::Unreadable(import, error),
                // The reader is through.
                Err(_) => break Ending::Done,
            };
            events += batch.len();
            stint.last = Some(Arc::clone(&batch.import));
            if let Err(ending) = self.hand_over(&batch, &mut stint.delivered) {
                stint.ending = ending;
                return;
            }
        };
        if let Err(ending) = self.flush(&mut stint.delivered) {
            stint.ending = ending;
        }
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
            Reply::Held => Ending::Paused,
            Reply::Unavailable { reason } => Ending::Unavailable(reason),
            Reply::Barred { reason } => Ending::Barred(reason),
        };
        self.handed = self.confirmed;
        ending
    }
}
