//! What an entry says in its five keys: each value read into what it is, or into what is wrong with it.
//!
//! Judging an entry and taking an accepted one apart again for a delivery both begin here, and so cannot disagree.

use std::borrow::Cow;

use super::members::Key;
use super::{Entry, Options, RawEntry, order, text, timestamp};
use crate::verdict::FeedKind;

/// Most characters of an event's name, an id and a business unit.
pub(super) const CHARS_MAX: usize = 255;

/// Most bytes of an e-mail address: what an SMTP path holds (RFC 5321, section 4.5.3.1.3, less its brackets).
pub(super) const EMAIL_BYTES_MAX: usize = 254;

/// A key's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field<T> {
    /// Not there, or null; for the parts of an identity also blank.
    Absent,
    Good(T),
    Bad(Bad),
}

impl<T> Field<T> {
    pub fn good(self) -> Option<T> {
        match self {
            Field::Good(value) => Some(value),
            _ => None,
        }
    }
}

/// What is wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bad {
    /// Of another JSON type: which.
    Type(&'static str),
    Blank,
    /// So many characters, or bytes for an e-mail address.
    TooLong(usize),
    LoneSurrogate,
    Nul,
    /// Not of the form that the key wants: what is wrong.
    Form(&'static str),
}

/// The five keys, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    pub event: Field<Cow<'a, str>>,
    pub id: Field<Cow<'a, str>>,
    /// Whether `id` is an integer.
    pub id_is_number: bool,
    pub email: Field<Cow<'a, str>>,
    /// The default unit is not in it.
    pub business_unit: Field<Cow<'a, str>>,
    pub timestamp: Field<i64>,
}

impl<'a> Fields<'a> {
    /// Reads an entry's keys, in a feed of this kind. Where one is there twice, the last one counts.
    pub fn of(entry: &RawEntry<'a>, kind: FeedKind) -> Fields<'a> {
        let raw = entry.raw;
        let value = |key: Key| {
            let member = entry.members.get(key)?;
            Some(&raw[member.last.from..member.last.to])
        };
        let text = |key: Key| string(value(key), entry.members.escapes);
        let id = value(Key::Id);
        let id_is_number = id.is_some_and(is_integer);
        let event = text(Key::Event).and_then(|text| match text {
            text if is_blank(&text) => Field::Bad(Bad::Blank),
            text => short(text),
        });
        Fields {
            event: order::event_of(event, kind),
            id: match id {
                Some(number) if id_is_number => short(Cow::Borrowed(number)),
                _ => text(Key::Id).and_then(unless_blank).and_then(short),
            },
            id_is_number,
            email: text(Key::Email).and_then(unless_blank).and_then(address),
            business_unit: text(Key::BusinessUnit).and_then(unless_blank).and_then(short),
            timestamp: text(Key::Timestamp).and_then(|text| match timestamp::parse(&text) {
                Ok(time) => Field::Good(time),
                Err(why) => Field::Bad(Bad::Form(why)),
            }),
        }
    }

    /// Whether the default unit is to be filled in: there is an e-mail address and no unit.
    pub fn takes_default_unit(&self) -> bool {
        matches!((&self.email, &self.business_unit), (Field::Good(_), Field::Absent))
    }

    /// The entry as an event. What is bad is left out.
    pub fn into_entry(self, options: &Options) -> Entry<'a> {
        let default = self
            .takes_default_unit()
            .then(|| options.default_business_unit.clone())
            .flatten();
        Entry {
            event: self.event.good().unwrap_or_default(),
            id: self.id.good(),
            email: self.email.good(),
            business_unit: self.business_unit.good().or(default.map(Cow::Owned)),
            timestamp: self.timestamp.good(),
        }
    }
}

impl<T> Field<T> {
    pub fn and_then<U>(self, next: impl FnOnce(T) -> Field<U>) -> Field<U> {
        match self {
            Field::Absent => Field::Absent,
            Field::Good(value) => next(value),
            Field::Bad(bad) => Field::Bad(bad),
        }
    }
}

/// The JSON type of a value, as a noun.
pub(super) fn type_of(value: &str) -> &'static str {
    match value.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// A value as a text. `escapes`: whether there may be any in it.
pub(super) fn string(value: Option<&str>, escapes: bool) -> Field<Cow<'_, str>> {
    let Some(value) = value else {
        return Field::Absent;
    };
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return match value {
            "null" => Field::Absent,
            _ => Field::Bad(Bad::Type(type_of(value))),
        };
    };
    if !escapes {
        return Field::Good(Cow::Borrowed(inner));
    }
    match text::decode(inner) {
        None => Field::Bad(Bad::LoneSurrogate),
        // A NUL can only come from an escape.
        Some(Cow::Owned(text)) if text.contains('\0') => Field::Bad(Bad::Nul),
        Some(text) => Field::Good(text),
    }
}

fn is_blank(text: &str) -> bool {
    text.chars().all(char::is_whitespace)
}

/// Blank is absent, for the parts of an identity.
fn unless_blank(text: Cow<'_, str>) -> Field<Cow<'_, str>> {
    if is_blank(&text) {
        Field::Absent
    } else {
        Field::Good(text)
    }
}

pub(super) fn short(text: Cow<'_, str>) -> Field<Cow<'_, str>> {
    if text.len() <= CHARS_MAX {
        return Field::Good(text);
    }
    match text.chars().count() {
        count if count > CHARS_MAX => Field::Bad(Bad::TooLong(count)),
        _ => Field::Good(text),
    }
}

/// A JSON number without fraction and exponent.
pub(super) fn is_integer(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// An e-mail address, as far as anyone can tell without writing to it.
fn address(text: Cow<'_, str>) -> Field<Cow<'_, str>> {
    match wrong_with_address(&text) {
        None => Field::Good(text),
        Some(bad) => Field::Bad(bad),
    }
}

fn wrong_with_address(text: &str) -> Option<Bad> {
    if is_plain_address(text.as_bytes()) {
        return None;
    }
    let bad = match text.split_once('@') {
        _ if text.len() > EMAIL_BYTES_MAX => Bad::TooLong(text.len()),
        _ if !is_printable(text) => match text.contains(char::is_whitespace) {
            true => Bad::Form("a blank is in it"),
            false => Bad::Form("a control character is in it"),
        },
        None => Bad::Form("it has no `@`"),
        Some((_, domain)) if domain.contains('@') => Bad::Form("it has more than one `@`"),
        Some(("", _)) => Bad::Form("nothing stands before the `@`"),
        Some((_, "")) => Bad::Form("nothing stands after the `@`"),
        Some(_) => return None,
    };
    Some(bad)
}

/// Whether it is an address of printable ASCII, as nearly all are: told in one pass.
fn is_plain_address(text: &[u8]) -> bool {
    let (mut ats, mut odd) = (0u8, 0u8);
    for &byte in text {
        ats = ats.wrapping_add(u8::from(byte == b'@'));
        odd |= u8::from(byte.wrapping_sub(0x21) > 0x5d);
    }
    odd == 0 && ats == 1 && text.len() <= EMAIL_BYTES_MAX && text[0] != b'@' && text[text.len() - 1] != b'@'
}

/// Whether no blank and no control character is in it.
fn is_printable(text: &str) -> bool {
    match text.is_ascii() {
        true => text.bytes().all(|byte| byte.is_ascii_graphic()),
        false => !text.contains(|char: char| char.is_whitespace() || char.is_control()),
    }
}
