//! Faults of the data file, as violations: code, place, excerpt. The words are in `explain`.

use super::excerpt;
use super::explain;
use super::mask::Sensitive;
use super::position::Places;
use super::scan::{Wanted, is_blank};
use super::window::{LOOK_AHEAD, LOOK_BACK};
use crate::verdict::{Violation, ViolationCode};

/// A place in what is in memory, with the text around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    places: Places<'a>,
    /// Where a token begins, from which on the text can be told apart and masked.
    from: usize,
    /// The byte in question.
    at: usize,
    /// Where the text that may be shown ends.
    to: usize,
    excerpt: bool,
}

impl<'a> Place<'a> {
    /// The byte at `at`, where a token begins.
    pub fn at(places: Places<'a>, at: usize) -> Place<'a> {
        Place {
            places,
            from: at,
            at,
            to: places.data.len(),
            excerpt: true,
        }
    }

    /// For what is no text.
    pub fn without_excerpt(self) -> Place<'a> {
        Place { excerpt: false, ..self }
    }

    /// What is wrong there.
    pub fn violation(self, code: ViolationCode, detail: impl Into<String>) -> Fault<'a> {
        Fault {
            place: self,
            code,
            detail: detail.into(),
            entry: None,
        }
    }
}

/// A fault in the making.
#[derive(Debug)]
pub(super) struct Fault<'a> {
    place: Place<'a>,
    code: ViolationCode,
    detail: String,
    entry: Option<u64>,
}

impl Fault<'_> {
    /// The entry that it lies in, if it does.
    pub fn within(self, entry: impl Into<Option<u64>>) -> Self {
        Fault {
            entry: entry.into(),
            ..self
        }
    }

    /// The violation, with an excerpt in which these are masked.
    pub fn build(self, sensitive: &Sensitive) -> Violation {
        let Place {
            places, from, at, to, ..
        } = self.place;
        let around = || excerpt::around(&places.data[from..to], at - from, sensitive);
        Violation {
            at: Some(places.at(at)),
            entry: self.entry,
            excerpt: self.place.excerpt.then(around).filter(|text| !text.is_empty()),
            ..Violation::new(self.code, self.detail)
        }
    }
}

/// The first byte of `data[from..to]` that is not UTF-8, if there is one. A character that is cut by the end is none.
pub(super) fn encoding(places: Places<'_>, from: usize, to: usize) -> Option<Fault<'_>> {
    let error = std::str::from_utf8(&places.data[from..to]).err()?;
    error.error_len()?;
    let place = Place {
        from,
        to,
        ..Place::at(places, from + error.valid_up_to())
    };
    let byte = places.data[place.at];
    Some(place.violation(ViolationCode::Encoding, explain::encoding(byte)))
}

/// The byte at `at` cannot stand there: it is not UTF-8, or not JSON. What was being read began at `from`.
pub(super) fn wrong(places: Places<'_>, from: usize, at: usize, wanted: Wanted, depth_max: u32) -> Fault<'_> {
    let before = token_before(places, at);
    let place = Place {
        // Between two entries, the sign before is worth showing; an entry's end could be a part of anything.
        from: match before {
            Some(before) if from == at && matches!(places.data[before], b'[' | b']' | b'}' | b',') => before,
            _ => from,
        },
        ..Place::at(places, at)
    };
    // The byte itself may begin a character that is none: then there is no use in calling it a wrong character.
    let text = &places.data[from..];
    if let Err(error) = std::str::from_utf8(text)
        && from + error.valid_up_to() <= at
    {
        let at = from + error.valid_up_to();
        let detail = explain::encoding(places.data[at]);
        return Place { at, ..place }.violation(ViolationCode::Encoding, detail);
    }
    if wanted == Wanted::LessDepth {
        return place.violation(ViolationCode::Depth, explain::depth(depth_max));
    }
    let lines = before.map(|before| (places.at(before).line, places.at(at).line));
    // Between two entries the text before is only what was kept of it, and the words must not depend on how much of what
    // follows happens to be in memory.
    let known = at.saturating_sub(LOOK_BACK).min(from);
    let ahead = places.data.len().min(at + LOOK_AHEAD);
    let detail = explain::syntax(&places.data[known..ahead], at - known, wanted, lines);
    place.violation(ViolationCode::JsonSyntax, detail)
}

/// The data begins with what is no JSON at all.
pub(super) fn not_json(places: Places<'_>, at: usize) -> Fault<'_> {
    let found = wrong(places, at, at, Wanted::Value, 0);
    if found.code == ViolationCode::Encoding {
        return found;
    }
    let detail = explain::not_json(&places.data[at..]);
    Fault { detail, ..found }
}

/// The data ends. What was being read began at `from`.
pub(super) fn cut_short(places: Places<'_>, from: usize, wanted: Wanted, entries: u64) -> Fault<'_> {
    let place = Place {
        from,
        ..Place::at(places, places.data.len())
    };
    place.violation(ViolationCode::JsonSyntax, explain::cut_short(wanted, entries))
}

/// The entry that begins at `from` is over the limit.
pub(super) fn too_large(places: Places<'_>, from: usize, entry_bytes_max: u64) -> Fault<'_> {
    Place::at(places, from).violation(ViolationCode::EntryTooLarge, explain::too_large(entry_bytes_max))
}

/// Something follows the array.
pub(super) fn trailing(places: Places<'_>, at: usize) -> Fault<'_> {
    let found = wrong(places, at, at, Wanted::Value, 0);
    if found.code == ViolationCode::Encoding {
        return found;
    }
    let detail = explain::trailing(&places.data[at..]);
    Fault {
        code: ViolationCode::TrailingContent,
        detail,
        ..found
    }
}

/// Index of the last byte of the token before `at`, if that is not too far away.
fn token_before(places: Places<'_>, at: usize) -> Option<usize> {
    // A byte-order mark lies before the first mark, and is no token.
    let known = (places.mark.get().byte - places.base) as usize;
    let from = at.saturating_sub(LOOK_BACK).max(known);
    let offset = places.data.get(from..at)?.iter().rposition(|&byte| !is_blank(byte))?;
    Some(from + offset)
}
