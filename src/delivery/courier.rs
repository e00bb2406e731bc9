//! A receiver at work: what is read for it, and the parcel in hand. Everything here blocks, and runs off the runtime.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ahead::ReadAhead;
use super::lookup::{Lookup, completed};
use super::parcel::Parcel;
use crate::destination::Receiver;
use crate::destination::receiver::{Added, Answer, Call};
use crate::events::{self, Batch, Event, EventsError, Names};
use crate::ledger::people::{LookedUp, Who};
use crate::ledger::{Ahead, Cursor, DueLetter, Import, LedgerError};

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
    /// What its entries lack.
    pub(super) lookup: Lookup,
    /// The people of what is ahead have not been read yet.
    pub(super) waits_for_people: bool,
    /// Everything before this has its verdict.
    pub(super) at: Cursor,
    /// The parcel in hand.
    pub(super) parcel: Option<Parcel>,
    /// Most events in one call, since the receiver called more of them too large.
    pub(super) limit: usize,
    /// Dead letters there are, as far as is known.
    pub(super) letters: u64,
    /// The last request in the log when the ledger said what is ahead.
    pub(super) asked: i64,
    /// Imports ahead, as the ledger said last.
    imports: VecDeque<Arc<Import>>,
    /// Events read ahead, the number of the next one, and where that is.
    batch: Option<(Batch, usize, Cursor)>,
}

/// Why a parcel cannot be filled.
pub(super) enum Unfilled {
    /// An import cannot be read again, and why.
    Unreadable(Arc<Import>, EventsError),
    /// Nobody could be looked up.
    NoLookup(LedgerError),
}

impl From<LedgerError> for Unfilled {
    fn from(error: LedgerError) -> Unfilled {
        Unfilled::NoLookup(error)
    }
}

impl Courier {
    /// Sets a receiver to work at a cursor.
    pub(super) fn new(
        receiver: Box<dyn Receiver>,
        reader: ReadAhead,
        names: Arc<Names>,
        lookup: Lookup,
        at: Cursor,
    ) -> Courier {
        Courier {
            receiver,
            reader,
            names,
            lookup,
            waits_for_people: false,
            at,
            parcel: None,
            limit: usize::MAX,
            letters: 0,
            asked: 0,
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

    /// Forgets what the ledger said is ahead: it is not so any more.
    pub(super) fn look_anew(&mut self) {
        self.imports.clear();
        self.forget();
    }

    /// Gives a parcel up that nothing was sent of, so that it can be filled anew.
    pub(super) fn unpack(&mut self) {
        self.parcel = None;
        self.forget();
    }

    /// Fills a parcel with events ahead. Where it is one that was in flight before: with those before `until`, and with what was
    /// looked up for them then. It may come out empty, and move the cursor all the same.
    pub(super) fn fill(&mut self, again: Option<(Cursor, LookedUp)>) -> Result<(), Unfilled> {
        let (until, looked_up) = again.unzip();
        self.receiver.clear();
        self.lookup.begin(looked_up);
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
                Err(Unfilled::Unreadable(..)) if parcel.looked_at() > 0 || parcel.begin < at => break,
                Err(why) => {
                    self.forget();
                    return Err(why);
                }
            }
        }
        parcel.end = at;
        parcel.looked_up = self.lookup.end();
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
    ) -> Result<bool, Unfilled> {
        while *at < import.end() {
            let (batch, mut number) = match self.batch.take() {
                Some((batch, number, place)) if place == *at => (batch, number),
                _ => match self.reader.next(import, *at) {
                    Ok(batch) => (batch, 0),
                    Err(error) => return Err(Unfilled::Unreadable(Arc::clone(import), error)),
                },
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
                    let (added, who) = self.add(event)?;
                    parcel.put(&batch, &event, added, None, who);
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

    /// Adds an event to the receiver's parcel, with what it lacks if that is known; and who was looked up for it.
    fn add(&mut self, event: Event<'_>) -> Result<(Added, Option<Who>), LedgerError> {
        let Some(who) = self.lookup.who(&event) else {
            return Ok((self.receiver.add(&event), None));
        };
        let added = match self.lookup.find(&who)? {
            Some(known) => self.receiver.add(&completed(event, &known)),
            None => self.receiver.add(&event),
        };
        Ok((added, Some(who)))
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

    /// Packs dead letters that are to be delivered again; where they were in flight before, with what was looked up for them
    /// then.
    pub(super) fn fill_with_letters(
        &mut self,
        letters: &[DueLetter],
        again: Option<LookedUp>,
    ) -> Result<(), LedgerError> {
        self.receiver.clear();
        self.lookup.begin(again);
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
                    let (added, who) = self.add(event)?;
                    let single = range.is_none().then_some(letter.id);
                    parcel.put(&batch, &event, added, single, who);
                }
            }
        }
        parcel.looked_up = self.lookup.end();
        self.parcel = Some(parcel);
        Ok(())
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

    /// The ticket that the receiver gave for what it took last.
    pub(super) fn ticket(&mut self) -> Option<String> {
        self.receiver.ticket()
    }

    fn forget(&mut self) {
        self.batch = None;
        self.reader.forget();
    }
}
