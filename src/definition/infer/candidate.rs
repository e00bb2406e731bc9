//! A place that may become a field: its type, by what was seen there, and what its name suggests.

use serde_json::{Map, Value, json};

use super::draft::DraftField;
use super::place::{Place, Scalars};
use crate::definition::FieldType;

/// So many values of a few different ones are an enumeration; of fewer it is not told.
const ENUM_VALUES_MIN: u64 = 100;

/// Keys of an entry that are no fields: what happened, to whom, and when is told otherwise.
const TOLD_OTHERWISE: [&str; 4] = ["event", "id", "email", "timestamp"];

/// Words that the last key of an identifier ends with.
const IDENTIFYING: [&str; 11] = [
    "id",
    "number",
    "no",
    "nr",
    "key",
    "code",
    "ref",
    "reference",
    "uuid",
    "guid",
    "token",
];

/// What is in keys whose values may be sensitive.
const DELICATE: [&str; 23] = [
    "mail",
    "phone",
    "mobile",
    "firstname",
    "lastname",
    "surname",
    "fullname",
    "birth",
    "dob",
    "address",
    "street",
    "zip",
    "postcode",
    "postal",
    "iban",
    "card",
    "ssn",
    "passport",
    "gender",
    "salutation",
    "lat",
    "lng",
    "ipaddress",
];

/// A place that may become a field.
pub(super) struct Candidate<'s> {
    pub path: String,
    pub keys: Vec<&'s str>,
    scalars: &'s Scalars,
    there: u64,
    of: u64,
    /// It was there in every entry, in every element of every array on the way.
    pub is_always_there: bool,
    is_plural: bool,
    /// Its type, or why it can be no field.
    pub kind: Result<FieldType, &'static str>,
    types: String,
}

/// The places of an event's entries, in the order in which they were seen first.
pub(super) fn candidates(root: &Place) -> Vec<Candidate<'_>> {
    let mut found = Vec::new();
    members(root, &[], "", (true, false), &mut found);
    found
}

impl Candidate<'_> {
    /// Whether it is always there, and never twice the same.
    pub(super) fn tells_apart(&self, entries: u64) -> bool {
        let kind = self.kind.unwrap_or(FieldType::Double);
        entries >= 2
            && self.is_always_there
            && !self.is_plural
            && matches!(kind, FieldType::String | FieldType::Integer)
            && self.scalars.distinct.are_all_different()
    }

    /// Whether, besides, it is called as what identifies something is.
    pub(super) fn is_identifying(&self, entries: u64) -> bool {
        let last = self.keys.last().copied().unwrap_or_default();
        let is_called_so = words(last)
            .last()
            .is_some_and(|word| IDENTIFYING.contains(&word.as_str()));
        is_called_so && self.tells_apart(entries)
    }

    /// Whether what lies there may be sensitive, by what it is called.
    pub(super) fn is_delicate(&self) -> bool {
        let words: Vec<String> = self.keys.last().into_iter().flat_map(|key| words(key)).collect();
        let key = words.concat();
        DELICATE.iter().any(|part| match part.len() {
            // Short ones are in too many words.
            ..=3 => words.iter().any(|word| word == part),
            _ => key.contains(part),
        })
    }

    /// As a field of a definition.
    pub(super) fn field(&self, name: &str, is_unique: bool) -> Value {
        let mut attributes = Map::new();
        if self.is_always_there {
            attributes.insert("isRequired".to_owned(), flag());
        }
        if is_unique {
            attributes.insert("isUniqueKeyField".to_owned(), flag());
        }
        let kind = self.kind.unwrap_or(FieldType::String);
        if let (FieldType::Enum, Some(values)) = (kind, self.scalars.distinct.few()) {
            let values = json!({ "values": values, "valueType": "LIST" });
            attributes.insert("possibleValues".to_owned(), values);
        }
        json!({ "name": name, "type": kind.as_str(), "attributes": attributes })
    }

    /// As it is told.
    pub(super) fn row(&self) -> DraftField {
        DraftField {
            path: self.path.clone(),
            field: None,
            types: self.types.clone(),
            there: self.there,
            of: self.of,
            distinct: match self.scalars.distinct.count() {
                Ok(count) => count.to_string(),
                Err(count) => format!("more than {count}"),
            },
            remark: String::new(),
        }
    }
}

/// The members of objects at a place, as far as something was ever there.
fn members<'s>(
    place: &'s Place,
    keys: &[&'s str],
    path: &str,
    (is_always_there, is_plural): (bool, bool),
    into: &mut Vec<Candidate<'s>>,
) {
    for (key, member) in &place.members {
        if keys.is_empty() && TOLD_OTHERWISE.contains(&key.as_str()) {
            continue;
        }
        let path = match path {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        let keys: Vec<&str> = keys.iter().copied().chain([key.as_str()]).collect();
        let is_always_there = is_always_there && member.there == place.objects;
        collect(member, keys, path, place.objects, (is_always_there, is_plural), into);
    }
}

fn collect<'s>(
    place: &'s Place,
    keys: Vec<&'s str>,
    path: String,
    of: u64,
    (is_always_there, is_plural): (bool, bool),
    into: &mut Vec<Candidate<'s>>,
) {
    match (place.objects, place.arrays, place.scalars.count) {
        (0, 0, 0) => {}
        (_, 0, 0) => members(place, &keys, &path, (is_always_there, is_plural), into),
        (0, _, 0) => {
            let Some(each) = &place.each else { return };
            let is_always_there =
                is_always_there && place.empty_arrays == 0 && each.there == place.elements && place.passed_over == 0;
            let path = format!("{path}[]");
            collect(each, keys, path, place.elements, (is_always_there, true), into);
        }
        (objects, arrays, _) => {
            let is_mixed = objects > 0 || arrays > 0;
            into.push(Candidate {
                path,
                keys,
                scalars: &place.scalars,
                there: place.there,
                of,
                is_always_there,
                is_plural,
                kind: match is_mixed {
                    true => Err("it is an object or an array in some entries, and something else in others"),
                    false => kind(&place.scalars),
                },
                types: types(place),
            });
        }
    }
}

/// The type of a field that takes all of these values; or why there is none.
fn kind(scalars: &Scalars) -> Result<FieldType, &'static str> {
    let numbers = scalars.integers + scalars.doubles;
    if scalars.broken > 0 {
        return Err("some of its texts hold half of a character, or a NUL");
    }
    if scalars.huge > 0 {
        return Err("some of its numbers are larger than any field holds");
    }
    match (scalars.texts, numbers, scalars.booleans) {
        (texts, 0, 0) if scalars.dates == texts => Ok(FieldType::Date),
        (_, 0, 0) if is_enumeration(scalars) => Ok(FieldType::Enum),
        (_, 0, 0) => Ok(FieldType::String),
        (0, _, 0) if scalars.doubles == 0 => Ok(FieldType::Integer),
        (0, _, 0) => Ok(FieldType::Double),
        (0, 0, _) => Ok(FieldType::Boolean),
        _ => Err("its values are of several types"),
    }
}

/// A few texts that come again and again. The vendor writes them with commas between.
fn is_enumeration(scalars: &Scalars) -> bool {
    let is_plain = |text: &&str| text.trim() == *text && !text.contains(',') && !text.contains(char::is_control);
    scalars.count >= ENUM_VALUES_MIN && scalars.distinct.few().is_some_and(|few| few.iter().all(is_plain))
}

/// The types that were seen, in words.
fn types(place: &Place) -> String {
    let scalars = &place.scalars;
    let texts = scalars.texts - scalars.dates;
    let seen = [
        (texts, "text"),
        (scalars.dates, "date"),
        (scalars.integers, "integer"),
        (scalars.doubles + scalars.huge, "number"),
        (scalars.booleans, "boolean"),
        (place.objects, "object"),
        (place.arrays, "array"),
    ];
    let seen: Vec<&str> = seen
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(_, word)| word)
        .collect();
    seen.join(", ")
}

/// The words of a key, in small letters: of `orderId` they are `order` and `id`.
fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for letter in key.chars() {
        if !letter.is_alphanumeric() || (letter.is_uppercase() && was_small) {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
        was_small = letter.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// An attribute that is on.
pub(super) fn flag() -> Value {
    json!({ "value": "true", "valueType": "Boolean" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_keys() {
        let check = |key: &str, expect: &[&str]| assert_eq!(words(key), expect, "{key}");
        check("orderId", &["order", "id"]);
        check("order_id", &["order", "id"]);
        check("orderID", &["order", "id"]);
        check("SKU", &["sku"]);
        check("Größe (cm)", &["größe", "cm"]);
        check("--", &[]);
    }
}
