//! Fields of people's profiles: what an operator picks from entries.

use crate::destination::entry::Entry;
use crate::destination::json::push_text;
use crate::events::Event;

/// A field of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field<'a> {
    /// Where in the entry it is from; empty: from what every event has.
    place: &'a str,
    /// What Bento calls it.
    pub(super) name: &'a str,
    /// Its value.
    pub(super) json: String,
}

impl Field<'_> {
    /// Whether it is the whole of a key at the entry's root.
    pub(super) fn is_of(&self, name: &str) -> bool {
        match self.place.strip_prefix('/') {
            None => self.place == name && !name.is_empty(),
            Some(step) => !step.contains('/') && step.replace("~1", "/").replace("~0", "~") == name,
        }
    }
}

/// What an event writes to its person's profile: what every event has, and then what the operator maps, which wins.
pub(super) fn of_event<'s>(event: &Event<'_>, entry: &Entry<'_>, places: &'s [(String, String)]) -> Vec<Field<'s>> {
    let mut fields = Vec::new();
    for (name, value) in [("external_id", event.user_id), ("business_unit", event.business_unit)] {
        if let Some(value) = value {
            let mut json = String::new();
            push_text(&mut json, value);
            set(&mut fields, Field { place: "", name, json });
        }
    }
    for field in mapped(places, entry) {
        set(&mut fields, field);
    }
    fields
}

/// What an operator maps (place in the entry, field), as far as the entry has it. What is not a scalar is left out, for Bento
/// wants profiles flat; and so is null, which would empty a field that was never meant.
pub(super) fn mapped<'s>(places: &'s [(String, String)], entry: &Entry<'_>) -> Vec<Field<'s>> {
    let mut fields = Vec::new();
    for (place, name) in places {
        if let Some(value) = entry.at(place).filter(|value| value.is_scalar()) {
            let json = value.as_json().to_owned();
            set(&mut fields, Field { place, name, json });
        }
    }
    fields
}

/// Sets a field; the last one of a name counts.
fn set<'a>(fields: &mut Vec<Field<'a>>, field: Field<'a>) {
    match fields.iter_mut().find(|known| known.name == field.name) {
        Some(known) => *known = field,
        None => fields.push(field),
    }
}
