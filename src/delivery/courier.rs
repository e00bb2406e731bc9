//! A receiver at work: what is read for it, and the parcel in hand. Everything here blocks, and runs off the runtime.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ahead::ReadAhead;
use super::parcel::Parcel;
use crate::destination::Receiver;
use crate::destination::receiver::{Answer, Call};
use crate::events::{self, Batch, EventsError, Names};
use crate::ledger::{Ahead, Cursor, DueLetter, Import};

/// Most events that are looked at for one parcel: where nearly all are left out, the cursor moves all the same.
const LOOKED_AT_MAX: usize = 20_000;

/// Most bytes of bodies in one parcel, those that are put aside included.
const BODIES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Imports that are known to be ahead below which the ledger is asked for more.
const IMPORTS_MIN: usize = 64;

/// A receiver, what is read for it, and how far it is.
pub(super) struct Courier {
    receiver: Box<dyn Receiver>,
    reader: ReadAhead,
    names: Arc<Names>,
    /// Everything before this has its verdict.
    pub(super) at: Cursor,
    /// The parcel in hand.
    pub(super) parcel: Option<Parcel>,
    /// Most events in one call, since the receiver called more of them too large.
    pub(super) limit: usize,
    /// Dead letters there are, as far as is known.
    pub(super) letters: u64,
    /// Imports ahead, as the ledger said last.
    imports: VecDeque<Arc<Import>>,
    /// Events read ahead, the number of the next one, and where that is.
    batch: Option<(Batch, usize, Cursor)>,
}

/// An import that cannot be read again, and why.
pub(super) type Unreadable = (Arc<Import>, EventsError);

impl Courier {
    /// Sets a receiver to work at a cursor.
    pub(super) fn new(receiver: Box<dyn Receiver>, reader: ReadAhead, names: Arc<Names>, at: Cursor) -> Courier {
        Courier {
            receiver,
            reader,
            names,
            at,
            parcel: None,
            limit: usize::MAX,
            letters: 0,
            imports: VecDeque::new(),
            batch: None,
        }
    }

    /// The receiver.
    pub(super) fn receiver(&self) -> &dyn Receiver {
        &*self.receiver
    }

    /// Whether the ledger is to be asked for what is ahead.
    pub(super) fn wants_imports(&self) -> bool {
        self.imports.iter().filter(|import| import.end() > self.at).count() < IMPORTS_MIN
    }

    /// What the ledger says is ahead.
    pub(super) fn look(&mut self, ahead: Ahead) {
        self.imports = ahead.imports.into_iter().map(Arc::new).collect();
        if self.imports.is_empty() {
            self.at = self.at.max(ahead.end);
        }
    }

    /// Whether there is something ahead.
    pub(super) fn has_imports(&self) -> bool {
        self.imports.iter().any(|import| import.end() > self.at)
    }

    /// Passes over an import that cannot be read again.
    pub(super) fn skip(&mut self, import: &Import) {
        self.at = import.end();
        self.forget();
    }

    /// Gives a parcel up that nothing was sent of, so that it can be filled anew.
    pub(super) fn unpack(&mut self) {
        self.parcel = None;
        self.forget();
    }

    /// Fills a parcel with events ahead; with those before `until`, where it is one that was in flight before. It may come out
    /// empty, and move the cursor all the same.
    pub(super) fn fill(&mut self, until: Option<Cursor>) -> Result<(), Unreadable> {
        self.receiver.clear();
        let mut parcel = Parcel::ahead(self.at);
        while self.imports.front().is_some_and(|import| import.end() <= self.at) {
            self.imports.pop_front();
        }
        let imports: Vec<Arc<Import>> = self.imports.iter().cloned().collect();
        let mut at = self.at;
        for import in &imports {
            at = at.max(import.start());
            let filled = self.fill_from(import, &mut parcel, &mut at, until);
            match filled {
                Ok(true) => {}
                Ok(false) => break,
                // What was packed before it is sent first.
                Err(_) if parcel.looked_at() > 0 || parcel.begin < at => break,
                Err(error) => {
                    self.forget();
                    return Err((Arc::clone(import), error));
                }
            }
        }
        parcel.end = at;
        self.parcel = Some(parcel);
        Ok(())
    }

    /// Packs events of one import. `Ok(false)` if the parcel is full, or was filled for long enough.
    fn fill_from(
        &mut self,
        import: &Arc<Import>,
        parcel: &mut Parcel,
        at: &mut Cursor,
        until: Option<Cursor>,
    ) -> Result<bool, EventsError> {
        while *at < import.end() {
            let (batch, mut number) = match self.batch.take() {
                Some((batch, number, place)) if place == *at => (batch, number),
                _ => (self.reader.next(import, *at)?, 0),
            };
            while let Some(event) = batch.get(number) {
                let place = Cursor {
                    seq: import.seq,
                    index: event.index,
                };
                let is_beyond = until.is_some_and(|until| place >= until);
                // What was made of an entry goes with it: no cursor could tell the one from the others.
                let together = batch.of_one_entry(number);
                parcel.is_full = self.is_full(parcel, together);
                if is_beyond || parcel.is_full {
                    *at = place;
                    self.batch = Some((batch, number, place));
                    return Ok(false);
                }
                for event in (number..number + together).filter_map(|number| batch.get(number)) {
                    let added = self.receiver.add(&event);
                    parcel.put(&batch, &event, added, None);
                }
                number += together;
            }
            *at = batch.end;
            // Where a filter leaves out nearly everything, the cursor moves, and whoever wants us to stop is heard.
            if until.is_some_and(|until| *at >= until) || (batch.is_empty() && !batch.last) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a parcel takes no more, or not all of so many events that stay together and would fit into another.
    fn is_full(&self, parcel: &Parcel, together: usize) -> bool {
        let bounds = self.receiver.bounds();
        parcel.len() >= bounds.events
            || (parcel.len() > 0 && together <= bounds.events && parcel.len() + together > bounds.events)
            || (parcel.len() > 0 && self.receiver.bytes() >= bounds.bytes)
            || parcel.looked_at() >= LOOKED_AT_MAX
            || parcel.bytes() >= bounds.bytes.max(BODIES_BYTES_MAX)
    }

    /// Packs dead letters that are to be delivered again.
    pub(super) fn fill_with_letters(&mut self, letters: &[DueLetter]) {
        self.receiver.clear();
        let ids = letters.iter().map(|letter| letter.id).collect();
        let range = letters.first().filter(|letter| letter.entries.len() > 1);
        let mut parcel = Parcel::of_letters(self.at, ids, range.map(|letter| letter.id));
        for letter in letters {
            for entry in &letter.entries {
                let Some(mut batch) = events::one(&entry.import, entry.index, entry.item, &entry.body) else {
                    parcel.lose(letter.id);
                    continue;
                };
                batch.rename(Arc::clone(&self.names));
                if let Some(event) = batch.get(0) {
                    let added = self.receiver.add(&event);
                    let single = range.is_none().then_some(letter.id);
                    parcel.put(&batch, &event, added, single);
                }
            }
        }
        self.parcel = Some(parcel);
    }

    /// The next call of the parcel in hand; `None` if the search for events at fault was long enough.
    pub(super) fn next_call(&self, parcel: &Parcel) -> Option<Call> {
        if parcel.calls_before < self.receiver.calls_before() {
            return Some(Call::Before(parcel.calls_before));
        }
        parcel
            .narrow
            .next(
                parcel.settled(),
                parcel.len(),
                self.limit.min(self.receiver.bounds().events),
            )
            .map(Call::Parcel)
    }

    /// A call went through: the next may be larger again. It costs one call too many now and then; but a few large events must
    /// not make small calls of all that follow.
    pub(super) fn fitted(&mut self) {
        self.limit = self.limit.saturating_mul(2);
    }

    /// Makes a call.
    pub(super) fn make(&mut self, call: &Call) -> Answer {
        self.receiver.make(call)
    }

    fn forget(&mut self) {
        self.batch = None;
        self.reader.forget();
    }
}
