//! A sample, event by event.

use std::collections::HashMap;

use super::distinct::Room;
use super::place::{Bounds, Place};
use crate::definition::kind::letters;

/// Most events that are told apart.
const EVENTS_MAX: usize = 200;

/// Most places that are told apart, in all events together.
const PLACES_MAX: usize = 20_000;

/// Most values that are remembered to be told apart: some 40 MB.
const VALUES_MAX: usize = 2_000_000;

/// Most spellings of one event's name that are kept.
const SPELLINGS_MAX: usize = 16;

/// What was seen of a sample.
#[derive(Debug)]
pub struct Seen {
    events: Vec<SeenEvent>,
    by_letters: HashMap<String, usize>,
    /// Entries of events beyond those that are told apart.
    pub passed_over: u64,
    bounds: Bounds,
}

/// What was seen of one event.
#[derive(Debug)]
pub(super) struct SeenEvent {
    /// Its name as the feed gives it, in all its spellings, the first one first.
    pub names: Vec<String>,
    /// Entries of it.
    pub entries: u64,
    /// Of these, with an `id`, and with an `email`.
    pub with_id: u64,
    pub with_email: u64,
    /// Their root.
    pub root: Place,
}

impl Seen {
    /// Nothing was seen yet.
    #[allow(clippy::new_without_default, reason = "it begins an account; it is no empty value")]
    pub fn new() -> Seen {
        Seen {
            events: Vec::new(),
            by_letters: HashMap::new(),
            passed_over: 0,
            bounds: Bounds {
                places: PLACES_MAX,
                room: Room::new(VALUES_MAX),
            },
        }
    }

    /// Takes in an entry that is an event: its name, who it is of, its text.
    pub fn see(&mut self, event: &str, id: Option<&str>, email: Option<&str>, entry: &str) {
        let Some(index) = self.event(event) else {
            self.passed_over += 1;
            return;
        };
        let seen = &mut self.events[index];
        seen.entries += 1;
        seen.with_id += u64::from(id.is_some());
        seen.with_email += u64::from(email.is_some());
        seen.root.see(entry, 0, entry.len(), 0, &mut self.bounds);
    }

    pub(super) fn events(&self) -> &[SeenEvent] {
        &self.events
    }

    /// Where an event is kept. Names of the same letters are one event: a definition would meet them all.
    fn event(&mut self, name: &str) -> Option<usize> {
        let mut key: String = letters(name).collect();
        if key.is_empty() {
            key = name.to_owned();
        }
        if let Some(&index) = self.by_letters.get(&key) {
            let names = &mut self.events[index].names;
            if !names.iter().any(|known| known == name) && names.len() < SPELLINGS_MAX {
                names.push(name.to_owned());
            }
            return Some(index);
        }
        if self.events.len() >= EVENTS_MAX {
            return None;
        }
        self.by_letters.insert(key, self.events.len());
        self.events.push(SeenEvent {
            names: vec![name.to_owned()],
            entries: 0,
            with_id: 0,
            with_email: 0,
            root: Place::default(),
        });
        Some(self.events.len() - 1)
    }
}
