//! Some events of one import, in order, in one buffer.
//!
//! A batch owns one text and remembers where in it each event's parts lie, so that an event costs no allocation of its own.

use std::collections::HashMap;
use std::sync::Arc;

use crate::feed;
use crate::large::room_for;
use crate::ledger::{Cursor, Import};

use super::EventId;

/// Some events of one import, in order.
pub struct Batch {
    /// The import they are from.
    pub import: Arc<Import>,
    /// What the ids of its events begin with.
    pub key: Arc<str>,
    /// Where the batch begins: everything before this was in earlier batches.
    pub begin: Cursor,
    /// The cursor once the batch is delivered: (seq, index of the next entry), or (seq + 1, 0) after the last.
    pub end: Cursor,
    /// Whether this is the import's last batch.
    pub last: bool,
    text: String,
    rows: Vec<Row>,
    names: Arc<Names>,
}

/// What events are called at a destination: the name as given, and the name there. The others keep theirs.
pub type Names = HashMap<String, String>;

/// An accepted entry, on its way to destinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// What names it for ever.
    pub id: EventId<'a>,
    /// Its import's id in the ledger.
    pub import: i64,
    /// The source's configured name.
    pub source: &'a str,
    /// The archive's file name.
    pub archive: &'a str,
    /// Index of the entry in the feed, from 0; for an event that was made of an entry, that entry's.
    pub index: u64,
    /// Name of the event, as given.
    pub event: &'a str,
    /// What the destination's configuration calls it; `None`: the same. See [`Event::name`].
    pub renamed: Option<&'a str>,
    /// The customer's id.
    pub user_id: Option<&'a str>,
    /// The customer's e-mail address.
    pub email: Option<&'a str>,
    /// The business unit.
    pub business_unit: Option<&'a str>,
    /// When it happened, UTC milliseconds: the entry's own time, or that of the import.
    pub at: i64,
    /// The entry as given, byte for byte; see [`crate::feed::items`] for what was made of one.
    pub body: &'a str,
}

impl<'a> Event<'a> {
    /// What the event is called where it goes.
    pub fn name(&self) -> &'a str {
        self.renamed.unwrap_or(self.event)
    }
}

/// Where an event's parts lie in the batch's text.
struct Row {
    index: u64,
    item: u32,
    at: i64,
    body: Span,
    event: Span,
    user_id: Option<Span>,
    email: Option<Span>,
    business_unit: Option<Span>,
}

#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

impl Batch {
    /// A batch that nothing is in yet. It covers nothing: its end is its beginning.
    pub(super) fn empty(import: Arc<Import>, key: Arc<str>, begin: Cursor) -> Batch {
        Batch {
            import,
            key,
            begin,
            end: begin,
            last: false,
            text: String::new(),
            rows: Vec::new(),
            names: Arc::default(),
        }
    }

    /// Makes room for as much as another batch of the same import has, and a little more.
    pub(super) fn with_room_of(mut self, (bytes, events): (usize, usize)) -> Batch {
        self.text.reserve(bytes + bytes / 16);
        self.rows.reserve(events + events / 16);
        self
    }

    /// What it takes of room: bytes of text, and events.
    pub(super) fn room(&self) -> (usize, usize) {
        (self.text.len(), self.rows.len())
    }

    /// The batch that stands for an import nothing is delivered of: it is empty, and the import's last.
    pub fn nothing_of(import: Arc<Import>, begin: Cursor) -> Batch {
        let key = super::key(&import.source, &import.archive, &import.sha256).into();
        let end = import.end();
        Batch {
            end,
            last: true,
            ..Batch::empty(import, key, begin)
        }
    }

    /// Calls its events what a destination calls them.
    pub fn rename(&mut self, names: Arc<Names>) {
        self.names = names;
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Memory that its events take, in bytes.
    pub fn bytes(&self) -> usize {
        self.text.len() + self.rows.len() * size_of::<Row>()
    }

    /// The event of this number, from 0.
    pub fn get(&self, number: usize) -> Option<Event<'_>> {
        self.rows.get(number).map(|row| self.event(row))
    }

    /// The events, in the order of the feed.
    pub fn events(&self) -> impl ExactSizeIterator<Item = Event<'_>> {
        self.rows.iter().map(|row| self.event(row))
    }

    /// What each event is called where it goes, in the order of the feed.
    pub fn event_names(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(|row| self.name(row))
    }

    /// Number of the events from this number on, at least one, that are of the same entry: they stay together.
    pub fn of_one_entry(&self, number: usize) -> usize {
        let rest = self.rows.get(number..).unwrap_or_default();
        let index = rest.first().map(|row| row.index);
        rest.iter().take_while(|row| Some(row.index) == index).count()
    }

    /// Takes in an entry with what it says of itself, or what was made of one: as number `item`, from 1.
    pub(super) fn push(&mut self, index: u64, item: u32, body: &str, entry: &feed::Entry<'_>) {
        let start = self.text.len();
        self.text.reserve_exact(room_for(start, body.len()));
        self.text.push_str(body);
        let body_span = Span {
            start,
            end: self.text.len(),
        };
        let at = entry.timestamp.unwrap_or(self.import.imported_at);
        let mut place = |part: &str| self.place(part, body, start);
        let row = Row {
            index,
            item,
            at,
            body: body_span,
            event: place(&entry.event),
            user_id: entry.id.as_deref().map(&mut place),
            email: entry.email.as_deref().map(&mut place),
            business_unit: entry.business_unit.as_deref().map(&mut place),
        };
        self.rows.push(row);
    }

    /// Where a part lies: inside the body, if it was borrowed from there, or else appended behind it.
    fn place(&mut self, part: &str, body: &str, body_start: usize) -> Span {
        let offset = (part.as_ptr() as usize).wrapping_sub(body.as_ptr() as usize);
        let borrowed = offset <= body.len() && part.len() <= body.len() - offset;
        let start = if borrowed { body_start + offset } else { self.text.len() };
        if !borrowed {
            self.text.push_str(part);
        }
        Span {
            start,
            end: start + part.len(),
        }
    }

    fn name(&self, row: &Row) -> &str {
        let given = &self.text[row.event.start..row.event.end];
        self.names.get(given).map_or(given, String::as_str)
    }

    fn event(&self, row: &Row) -> Event<'_> {
        let part = |span: Span| &self.text[span.start..span.end];
        let event = part(row.event);
        Event {
            id: EventId {
                key: &self.key,
                index: row.index,
                item: row.item,
            },
            import: self.import.id,
            source: &self.import.source,
            archive: &self.import.archive,
            index: row.index,
            event,
            renamed: self.names.get(event).map(String::as_str),
            user_id: row.user_id.map(part),
            email: row.email.map(part),
            business_unit: row.business_unit.map(part),
            at: row.at,
            body: part(row.body),
        }
    }
}
