//! An entry against the definition of its event.
//!
//! It was accepted before: it is an object of valid JSON with an event and an identity. Like the feed's own rules this finds
//! what is wrong without a word about it; the words are in `words`, and are found only for what is kept.

use std::borrow::Cow;
use std::ops::Range;

use super::tree::{Found, Scratch, walk};
use super::value::{Fit, Unfit, fits, text_of};
use super::{Definition, Definitions};
use crate::verdict::RejectCode;

/// Most reasons that are given for one entry. Without a limit an array of a million wrong elements gives a million.
const REASONS_MAX: usize = 100;

/// Names of events that are remembered, so that they need not be looked up anew for every entry.
const NAMES_MAX: usize = 32;

/// What becomes of an event that has no definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownEvents {
    /// It is none of the definitions' business.
    #[default]
    Accept,
    /// It is rejected.
    Reject,
}

/// Holds entries against definitions, one after the other, with memory of its own for all of them.
#[derive(Debug)]
pub struct Holder<'d> {
    definitions: &'d Definitions,
    unknown_events: UnknownEvents,
    /// Names as the feed gives them, and their definitions.
    names: Vec<(String, Option<usize>)>,
    scratch: Scratch,
    broken: Vec<Broken>,
    /// The values of unique fields: the field, and where it lies.
    unique: Vec<(usize, Range<usize>)>,
}

/// What holding an entry came to. It lives until the next entry is held.
#[derive(Debug)]
pub struct Held<'h> {
    pub(super) definitions: &'h Definitions,
    /// The definition of its event, if there is one.
    pub definition: Option<&'h Definition>,
    pub(super) entry: &'h str,
    pub(super) broken: &'h [Broken],
    unique: &'h [(usize, Range<usize>)],
}

/// How an entry breaks its definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    /// The field, by its index; the first of several that lie there.
    pub field: usize,
    pub why: Why,
    /// Where in the entry: the value; where there is none, what should have it.
    pub at: usize,
    /// How many steps of the field's path lead there.
    pub steps: usize,
    /// The indices in the arrays on the way.
    pub indices: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The event has no definition.
    Unknown,
    Missing,
    Type,
    /// Something else than the object or array that the path goes through.
    Misfit,
    Unfit(Unfit),
}

impl Why {
    pub fn code(self) -> RejectCode {
        match self {
            Why::Unknown => RejectCode::DefinitionUnknownEvent,
            Why::Missing => RejectCode::DefinitionFieldMissing,
            Why::Type | Why::Misfit => RejectCode::DefinitionFieldType,
            Why::Unfit(_) => RejectCode::DefinitionValue,
        }
    }
}

impl<'d> Holder<'d> {
    /// A holder that has seen nothing.
    pub fn new(definitions: &'d Definitions, unknown_events: UnknownEvents) -> Holder<'d> {
        Holder {
            definitions,
            unknown_events,
            names: Vec::new(),
            scratch: Scratch::default(),
            broken: Vec::new(),
            unique: Vec::new(),
        }
    }

    /// Holds an accepted entry, the text of a JSON object, whose event has this name.
    pub fn hold<'h>(&'h mut self, entry: &'h str, event: &str) -> Held<'h> {
        self.broken.clear();
        self.unique.clear();
        let definition = self.definition(event);
        match definition {
            Some(definition) => self.look_at(definition, entry),
            None if self.unknown_events == UnknownEvents::Reject => self.broken.push(Broken {
                field: 0,
                why: Why::Unknown,
                at: 0,
                steps: 0,
                indices: Vec::new(),
            }),
            None => {}
        }
        Held {
            definitions: self.definitions,
            definition,
            entry,
            broken: &self.broken,
            unique: &self.unique,
        }
    }

    fn definition(&mut self, event: &str) -> Option<&'d Definition> {
        let remembered = self.names.iter().find(|(name, _)| name == event);
        let at = match remembered {
            Some((_, at)) => *at,
            None => {
                let at = self.definitions.index_of(event);
                if self.names.len() < NAMES_MAX {
                    self.names.push((event.to_owned(), at));
                }
                at
            }
        };
        at.map(|at| &self.definitions.all[at])
    }

    fn look_at(&mut self, definition: &Definition, entry: &str) {
        let (broken, unique) = (&mut self.broken, &mut self.unique);
        let mut note = |field: usize, why: Why, at: usize, steps: usize, indices: &[u64]| {
            if broken.len() < REASONS_MAX {
                broken.push(Broken {
                    field,
                    why,
                    at,
                    steps,
                    indices: indices.to_vec(),
                });
            }
        };
        walk(
            &definition.tree,
            entry.as_bytes(),
            &mut self.scratch,
            &mut |found, indices| match found {
                Found::Value(node, value) => {
                    for &index in &node.fields {
                        let field = &definition.fields[index];
                        let why = match fits(field, &entry[value.clone()]) {
                            Fit::Good => {
                                if field.unique {
                                    unique.push((index, value.clone()));
                                }
                                continue;
                            }
                            Fit::Absent if field.required => Why::Missing,
                            Fit::Absent => continue,
                            Fit::Type => Why::Type,
                            Fit::Value(unfit) => Why::Unfit(unfit),
                        };
                        note(index, why, value.start, node.depth, indices);
                    }
                }
                Found::Absent(node, at) => {
                    let required = node.fields.iter().filter(|&&index| definition.fields[index].required);
                    for &index in required {
                        note(index, Why::Missing, at, usize::MAX, indices);
                    }
                }
                Found::Misfit(node, value) => {
                    // Nothing below can be right then: it is said once.
                    if let Some(&first) = node.fields.first() {
                        note(first, Why::Misfit, value.start, node.depth, indices);
                    }
                }
            },
        );
        // Entries and definitions have their keys in orders of their own: the definition's counts.
        self.broken.sort_by_key(|broken| broken.field);
        self.unique.sort_by_key(|(field, _)| *field);
    }
}

impl Held<'_> {
    /// The first reason, if the entry breaks its definition.
    pub fn broken(&self) -> Option<RejectCode> {
        self.broken.first().map(|broken| broken.why.code())
    }

    /// The parts of the unique key that the entry itself has, for who adds the event's name and the identity and puts a
    /// length before each; `None` if its definition has no unique fields. Only of an entry that breaks nothing.
    ///
    /// In the order of the definition, for each unique field: its value as text, strings without quotation marks and escapes,
    /// numbers as they are written (`5` and `5.0` are two). Of a field in an array, first how many values there are, then each.
    pub fn unique_parts(&self) -> Option<impl Iterator<Item = Cow<'_, str>>> {
        let definition = self.definition.filter(|definition| definition.has_unique_key())?;
        let mut counted = None;
        Some(self.unique.iter().flat_map(move |(field, value)| {
            let is_first_of_many = definition.fields[*field].path.is_plural() && counted != Some(*field);
            counted = Some(*field);
            let count = is_first_of_many.then(|| {
                let same = self.unique.iter().filter(|(other, _)| other == field);
                Cow::Owned(same.count().to_string())
            });
            // What has no text was rejected.
            let text = text_of(&self.entry[value.clone()]).unwrap_or_default();
            count.into_iter().chain([text])
        }))
    }
}
