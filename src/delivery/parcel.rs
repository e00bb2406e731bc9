//! A parcel: events that are sent to a receiver together, and what has become of each so far.
//!
//! It remembers what the receiver forgets: where each event is from, and its body, should it become a dead letter. Verdicts
//! come in order, from the front; [`Part`] is what follows from some of them, for the ledger.

use std::ops::Range;
use std::sync::Arc;

use super::narrow::Narrow;
use crate::destination::receiver::{Added, Call, Verdict};
use crate::events::{Batch, Event, EventId, push_line};
use crate::ledger::people::{LookedUp, Who};
use crate::ledger::{Cursor, Import, KeptLetter, LetterKind, LetterRange, NewLetter, NewTicket};

/// An event that a receiver wants later is sent again after this long, in milliseconds.
const DEFERRED_MS: i64 = 10 * 60 * 1_000;

/// What is said of a dead letter whose copy of the event is none.
const UNREADABLE: &str =
    "the copy of the event in the ledger cannot be read; `feedgate events` has it while the spool does";

/// Events that are sent together.
pub(super) struct Parcel {
    /// Where it begins, if it is of events ahead.
    pub(super) begin: Cursor,
    /// The cursor once all of it has its verdict.
    pub(super) end: Cursor,
    /// The dead letters in it; `None`: it is of events ahead.
    pub(super) letters: Option<Vec<i64>>,
    /// The one dead letter, of a range of events, that it is of.
    range_letter: Option<i64>,
    /// Dead letters whose copy cannot be read.
    lost: Vec<i64>,
    /// Of the calls that go before it, those that were answered.
    pub(super) calls_before: usize,
    /// The search for events at fault.
    pub(super) narrow: Narrow,
    /// The next call was made before, and no answer came.
    pub(super) is_unsure: bool,
    /// That its events are sent again is counted already.
    pub(super) is_counted: bool,
    /// Times that no answer came.
    pub(super) unanswered: u32,
    /// What its entries lack, as it was known of people when they were put in.
    pub(super) looked_up: LookedUp,
    /// Whether no more events fit into it.
    pub(super) is_full: bool,
    /// Events the receiver took in any call, or wants later.
    wanted: u64,
    /// What was taken into the receiver's parcel, in order.
    items: Vec<Item>,
    /// What was not, and why: each with the number of items before it.
    asides: Vec<(usize, Aside)>,
    /// Items that have their verdict.
    settled: usize,
    /// Bodies, one after the other.
    text: String,
}

/// An event of the parcel.
struct Item {
    import: Arc<Import>,
    key: Arc<str>,
    index: u64,
    /// Number among the events made of the entry; 0: it is the entry itself.
    item: u32,
    event: String,
    body: Range<usize>,
    /// The dead letter it is from, if that is of this event alone.
    letter: Option<i64>,
    /// The person whom it may have to wait for.
    waits_for: Option<Who>,
}

/// An event that is not sent.
enum Aside {
    Dropped(Option<i64>),
    Buried(Box<Item>, LetterKind, String),
}

/// What follows from some verdicts.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Part {
    pub(super) cursor: Option<Cursor>,
    pub(super) delivered: u64,
    pub(super) dropped: u64,
    pub(super) letters: Vec<NewLetter>,
    pub(super) letters_gone: Vec<i64>,
    pub(super) letters_kept: Vec<KeptLetter>,
    pub(super) tickets: Vec<NewTicket>,
}

impl Parcel {
    /// Of events ahead, from a cursor on. Nothing is in it yet.
    pub(super) fn ahead(begin: Cursor) -> Parcel {
        Parcel {
            begin,
            end: begin,
            letters: None,
            range_letter: None,
            lost: Vec::new(),
            calls_before: 0,
            narrow: Narrow::default(),
            is_unsure: false,
            is_counted: false,
            unanswered: 0,
            looked_up: LookedUp::new(),
            is_full: false,
            wanted: 0,
            items: Vec::new(),
            asides: Vec::new(),
            settled: 0,
            text: String::new(),
        }
    }

    /// Of dead letters; `range_letter` is the only one, where it has several events.
    pub(super) fn of_letters(at: Cursor, letters: Vec<i64>, range_letter: Option<i64>) -> Parcel {
        Parcel {
            letters: Some(letters),
            range_letter,
            ..Parcel::ahead(at)
        }
    }

    /// Puts an event in, or aside, as the receiver said. `letter` is the dead letter that is of this event alone, `who` the
    /// person who was looked up for it.
    pub(super) fn put(
        &mut self,
        batch: &Batch,
        event: &Event<'_>,
        added: Added,
        letter: Option<i64>,
        who: Option<Who>,
    ) {
        let (kind, reason) = match added {
            Added::Taken => {
                let item = self.item(batch, event, letter, None);
                self.items.push(item);
                return;
            }
            Added::Dropped => {
                self.asides.push((self.items.len(), Aside::Dropped(letter)));
                return;
            }
            Added::Held { reason } => (LetterKind::Held, reason),
            Added::Refused { reason } => (LetterKind::Refused, reason),
        };
        let waits_for = who.filter(|_| kind == LetterKind::Held);
        let item = self.item(batch, event, letter, waits_for);
        let aside = Aside::Buried(Box::new(item), kind, reason);
        self.asides.push((self.items.len(), aside));
    }

    /// A dead letter's copy cannot be read: it stays, and says so.
    pub(super) fn lose(&mut self, letter: i64) {
        self.range_letter = self.range_letter.filter(|range| *range != letter);
        self.lost.push(letter);
    }

    /// Number of events that are sent.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Number of events looked at for it.
    pub(super) fn looked_at(&self) -> usize {
        self.items.len() + self.asides.len()
    }

    /// Bytes of bodies in it.
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Events that have their verdict.
    pub(super) fn settled(&self) -> usize {
        self.settled
    }

    /// Whether all have their verdict.
    pub(super) fn is_done(&self) -> bool {
        self.settled == self.items.len()
    }

    /// Whether all have their verdict, and the receiver wants none of them, now or later.
    pub(super) fn is_refused_whole(&self) -> bool {
        self.is_done() && self.len() > 0 && self.wanted == 0
    }

    /// The next events have these verdicts.
    pub(super) fn judge(&mut self, verdicts: &[Verdict], now: i64) -> Part {
        let mut part = Part::default();
        for verdict in verdicts {
            self.set_aside(&mut part);
            let item = &self.items[self.settled];
            let (kind, reason, retry_at) = match verdict {
                Verdict::Delivered => {
                    part.delivered += 1;
                    part.letters_gone.extend(item.letter);
                    self.settled += 1;
                    continue;
                }
                Verdict::Deferred { reason } => {
                    self.wanted += 1;
                    (LetterKind::Deferred, reason, Some(now + DEFERRED_MS))
                }
                Verdict::Refused { reason } => (LetterKind::Refused, reason, None),
            };
            self.bury(item, kind, reason, retry_at, &mut part);
            self.settled += 1;
        }
        match verdicts.iter().all(|verdict| *verdict == Verdict::Delivered) {
            true => self.narrow.settled(verdicts.len()),
            false => self.narrow.found(),
        }
        self.close(part)
    }

    /// The next `count` events were taken, and the receiver gave this ticket for them.
    pub(super) fn ticketed(&self, count: usize, ticket: &str) -> Vec<NewTicket> {
        let items = self.items[self.settled..].iter().take(count);
        items
            .map(|item| NewTicket {
                place: (item.import.id, item.index),
                event_id: item.id().to_string(),
                ticket: ticket.to_owned(),
            })
            .collect()
    }

    /// Of the next `count` events so many were not taken, and nobody says which.
    pub(super) fn judge_unidentified(&mut self, count: usize, failed: u64, reason: &str, now: i64) -> Part {
        if failed >= count as u64 {
            let refused = Verdict::Refused {
                reason: reason.to_owned(),
            };
            return self.judge(&vec![refused; count], now);
        }
        let range = self.settled..self.settled + count;
        let letter = self.unidentified(range, failed, reason);
        let mut part = self.judge(&vec![Verdict::Delivered; count], now);
        part.delivered -= failed;
        part.letters.push(letter);
        part
    }

    /// What is left is refused as a whole.
    pub(super) fn give_up(&mut self, reason: &str, now: i64) -> Part {
        let refused = Verdict::Refused {
            reason: reason.to_owned(),
        };
        self.judge(&vec![refused; self.items.len() - self.settled], now)
    }

    /// A call had no answer, or none that anybody understands: if it was that of the events, they may be there.
    pub(super) fn may_have_been_taken(&mut self, call: &Call) {
        if let Call::Parcel(_) = call {
            self.is_unsure = true;
            self.is_counted = false;
            self.unanswered += 1;
        }
    }

    /// What is left at the end, where nothing of it was sent.
    pub(super) fn finish(&mut self) -> Part {
        self.close(Part::default())
    }

    /// Where everything before has its verdict.
    pub(super) fn at(&self) -> Cursor {
        match self.items.get(self.settled) {
            None => self.end,
            Some(_) if self.settled == 0 => self.begin,
            Some(next) => next.cursor(),
        }
    }

    /// Brings a part up to date with what lies behind the last verdict.
    fn close(&mut self, mut part: Part) -> Part {
        self.wanted += part.delivered;
        // The cursor moves past what was put aside before the next event: after a crash nobody comes upon it again.
        if self.settled > 0 || self.is_done() {
            self.set_aside(&mut part);
        }
        if self.is_done() {
            // It goes when all of its events have their verdict; those refused anew have letters of their own.
            part.letters_gone.extend(self.range_letter.take());
            self.lost.dedup();
            let lost = std::mem::take(&mut self.lost).into_iter();
            part.letters_kept.extend(lost.map(|id| KeptLetter {
                id,
                kind: LetterKind::Refused,
                reason: UNREADABLE.to_owned(),
                retry_at: None,
                waits_for: None,
            }));
        }
        if self.letters.is_none() {
            part.cursor = Some(self.at());
        }
        part
    }

    /// Writes down what was put aside before the next event.
    fn set_aside(&mut self, part: &mut Part) {
        let count = self
            .asides
            .iter()
            .take_while(|(before, _)| *before <= self.settled)
            .count();
        let asides: Vec<(usize, Aside)> = self.asides.drain(..count).collect();
        for (_, aside) in asides {
            match aside {
                Aside::Dropped(letter) => {
                    part.dropped += 1;
                    part.letters_gone.extend(letter);
                }
                Aside::Buried(item, kind, reason) => self.bury(&item, kind, &reason, None, part),
            }
        }
    }

    fn bury(&self, item: &Item, kind: LetterKind, reason: &str, retry_at: Option<i64>, part: &mut Part) {
        match item.letter {
            Some(id) => part.letters_kept.push(KeptLetter {
                id,
                kind,
                reason: reason.to_owned(),
                retry_at,
                waits_for: item.waits_for.clone(),
            }),
            None => part.letters.push(NewLetter {
                kind,
                place: (item.import.id, item.index),
                event_id: item.id().to_string(),
                event: item.event.clone(),
                range: None,
                body: self.text[item.body.clone()].to_owned(),
                reason: reason.to_owned(),
                retry_at,
                waits_for: item.waits_for.clone(),
            }),
        }
    }

    /// Each event in it: its import, its name as given, and its body.
    pub(super) fn events(&self) -> impl Iterator<Item = (&Arc<Import>, &str, &str)> {
        let items = self.items.iter();
        items.map(|item| (&item.import, item.event.as_str(), &self.text[item.body.clone()]))
    }

    fn unidentified(&self, range: Range<usize>, failed: u64, reason: &str) -> NewLetter {
        let items = &self.items[range];
        let (first, last) = (&items[0], &items[items.len() - 1]);
        let mut lines = Vec::new();
        for item in items {
            push_line(&mut lines, &self.event(item));
        }
        NewLetter {
            kind: LetterKind::Unidentified,
            place: (first.import.id, first.index),
            event_id: first.id().to_string(),
            event: first.event.clone(),
            range: Some(LetterRange {
                last: (last.import.id, last.index),
                events: items.len() as u64,
                failed,
            }),
            // Lines of events are UTF-8, as the events are.
            body: String::from_utf8(lines).unwrap_or_default(),
            reason: reason.to_owned(),
            retry_at: None,
            waits_for: None,
        }
    }

    fn item(&mut self, batch: &Batch, event: &Event<'_>, letter: Option<i64>, waits_for: Option<Who>) -> Item {
        let start = self.text.len();
        self.text.push_str(event.body);
        Item {
            import: Arc::clone(&batch.import),
            key: Arc::clone(&batch.key),
            index: event.index,
            item: event.id.item,
            event: event.event.to_owned(),
            body: start..self.text.len(),
            letter,
            waits_for,
        }
    }

    /// As much of the event as its line needs.
    fn event<'a>(&'a self, item: &'a Item) -> Event<'a> {
        Event {
            id: item.id(),
            import: item.import.id,
            source: &item.import.source,
            archive: &item.import.archive,
            index: item.index,
            event: &item.event,
            renamed: None,
            user_id: None,
            email: None,
            business_unit: None,
            at: item.import.imported_at,
            body: &self.text[item.body.clone()],
        }
    }
}

impl Item {
    fn id(&self) -> EventId<'_> {
        EventId {
            key: &self.key,
            index: self.index,
            item: self.item,
        }
    }

    fn cursor(&self) -> Cursor {
        Cursor {
            seq: self.import.seq,
            index: self.index,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events;

    /// A parcel of the entries from 0 on that were added so, and ends before number 9.
    fn parcel(added: impl IntoIterator<Item = Added>) -> Parcel {
        let import = events::an_import();
        let mut parcel = Parcel::ahead(import.start());
        for (index, added) in added.into_iter().enumerate() {
            let batch = events::one(&import, index as u64, 0, r#"{"event":"e","id":"u"}"#).unwrap();
            parcel.put(&batch, &batch.get(0).unwrap(), added, None, None);
        }
        parcel.end = Cursor { seq: 1, index: 9 };
        parcel
    }

    fn held() -> Added {
        Added::Held {
            reason: "no address".to_owned(),
        }
    }

    /// Index of the next event, and those of the new dead letters.
    fn summary(part: &Part) -> (Option<u64>, Vec<u64>) {
        let letters = part.letters.iter().map(|letter| letter.place.1).collect();
        (part.cursor.map(|cursor| cursor.index), letters)
    }

    #[test]
    fn what_was_put_aside_is_written_down_no_later_than_the_cursor_passes_it() {
        use Added::{Dropped, Taken};
        let mut parcel = parcel([held(), Taken, held(), Dropped, Taken, Taken, held()]);
        let first = parcel.judge(&[Verdict::Delivered], 0);
        assert_eq!((summary(&first), first.dropped), ((Some(4), vec![0, 2]), 1));
        let second = parcel.judge(&[Verdict::Delivered], 0);
        assert_eq!(summary(&second), (Some(5), vec![]));
        let last = parcel.judge(&[Verdict::Delivered], 0);
        assert_eq!(summary(&last), (Some(9), vec![6]));
    }

    #[test]
    fn a_parcel_of_which_nothing_is_sent_moves_the_cursor() {
        assert_eq!(summary(&parcel([]).finish()), (Some(9), vec![]));
        assert_eq!(summary(&parcel([held(), Added::Dropped]).finish()), (Some(9), vec![0]));
    }

    #[test]
    fn wanted_later_is_not_refused() {
        let verdict = |is_deferred| match is_deferred {
            true => Verdict::Deferred { reason: String::new() },
            false => Verdict::Refused { reason: String::new() },
        };
        for (first, second, expect) in [(true, true, false), (false, true, false), (false, false, true)] {
            let mut parcel = parcel([Added::Taken, Added::Taken]);
            parcel.judge(&[verdict(first)], 0);
            assert!(!parcel.is_refused_whole(), "it is not over");
            parcel.judge(&[verdict(second)], 0);
            assert_eq!(parcel.is_refused_whole(), expect);
        }
    }
}
