//! Is an entry an event? The rules of the specification's section 5, each with its code, and the words for it.
//!
//! Nothing here shows the text of an `email` or `id`: messages give type and length.

use super::excerpt;
use super::fields::{Bad, CHARS_MAX, EMAIL_BYTES_MAX, Field, Fields, type_of};
use super::members::{Key, Repeat};
use super::{DuplicateKeys, Entry, Options, RawEntry, Verdict, timestamp};
use crate::verdict::{Position, Reason, Reject, RejectCode, Warning, WarningCode};

/// Says whether an entry is an event, or why not.
///
/// Several things wrong give several reasons: keys that are there twice first, since mending those may mend the rest, then
/// in the order event, identity, time.
pub fn judge<'a>(entry: &RawEntry<'a>, options: &Options) -> Verdict<'a> {
    if !entry.raw.starts_with('{') {
        let message = format!("the entry is {}; an object is wanted", type_of(entry.raw));
        return reject(entry, vec![reason(entry, RejectCode::NotAnObject, None, message)]);
    }
    let fields = Fields::of(entry);
    let mut reasons = Vec::new();
    let mut warnings = Vec::new();
    let mut warn = |code, key: Key, message| warnings.push((code, key, message));

    for key in Key::ALL {
        let Some(repeat) = entry.members.get(key).and_then(|member| member.repeat) else {
            continue;
        };
        let message = duplicate_message(entry, key, repeat, options.duplicate_keys);
        if repeat.differs && options.duplicate_keys == DuplicateKeys::Reject {
            reasons.push(Reason {
                at: entry.position_of(repeat.key),
                ..reason(entry, RejectCode::DuplicateKey, Some(key), message)
            });
        } else {
            warn(WarningCode::DuplicateKey, key, message);
        }
    }

    match &fields.event {
        Field::Good(_) => {}
        Field::Absent => {
            let message = match entry.members.get(Key::Event) {
                None => "`event`, the name of the event, is missing",
                Some(_) => "`event` is null; the name of the event is wanted",
            };
            reasons.push(reason(
                entry,
                RejectCode::EventMissing,
                Some(Key::Event),
                message.to_owned(),
            ));
        }
        Field::Bad(bad) => reasons.push(bad_value(entry, Key::Event, *bad)),
    }

    if let Field::Bad(bad) = fields.id {
        reasons.push(bad_value(entry, Key::Id, bad));
    }
    if fields.id_is_number && matches!(fields.id, Field::Good(_)) {
        let message = "`id` is a number and was taken as text; write it in double quotes".to_owned();
        warn(WarningCode::IdNumber, Key::Id, message);
    }
    let has_id = matches!(fields.id, Field::Good(_));
    for (key, field, code) in [
        (Key::Email, &fields.email, WarningCode::EmailInvalid),
        (
            Key::BusinessUnit,
            &fields.business_unit,
            WarningCode::BusinessUnitInvalid,
        ),
    ] {
        match field {
            Field::Bad(bad) if has_id => {
                let message = format!(
                    "{}; it was left out, since `id` says who it is",
                    describe(entry, key, *bad)
                );
                warn(code, key, message);
            }
            Field::Bad(bad) => reasons.push(bad_value(entry, key, *bad)),
            _ => {}
        }
    }
    if let Some(message) = missing_identity(&fields, options) {
        reasons.push(reason(entry, RejectCode::IdentityMissing, None, message));
    }

    if let Field::Bad(bad) = fields.timestamp {
        reasons.push(bad_value(entry, Key::Timestamp, bad));
    }

    if !reasons.is_empty() {
        return reject(entry, reasons);
    }
    let warnings = warnings.into_iter().map(|(code, key, message)| Warning {
        index: entry.index,
        at: entry.position(),
        code,
        pointer: pointer(key),
        message,
    });
    let warnings = warnings.collect();
    Verdict::Accepted(fields.into_entry(options), warnings)
}

/// Takes the keys of an entry that was accepted out again: what [`judge`] gave for it under the same options.
pub fn extract<'a>(entry: &RawEntry<'a>, options: &Options) -> Entry<'a> {
    Fields::of(entry).into_entry(options)
}

/// What is missing of an identity. What is there and bad has a reason of its own, and is taken as mended here.
fn missing_identity(fields: &Fields<'_>, options: &Options) -> Option<String> {
    let wanted = "an entry needs `id`, or `email` and `businessUnit` together";
    if fields.id != Field::Absent {
        return None;
    }
    let email = fields.email != Field::Absent;
    let unit = fields.business_unit != Field::Absent;
    match (email, unit || options.default_business_unit.is_some()) {
        (true, true) => None,
        (true, false) => Some(format!("`businessUnit` is missing beside the e-mail address; {wanted}")),
        (false, _) if unit => Some(format!("`email` is missing beside the business unit; {wanted}")),
        (false, _) => Some(format!("nothing says whose event it is; {wanted}")),
    }
}

fn reject<'a>(entry: &RawEntry<'a>, reasons: Vec<Reason>) -> Verdict<'a> {
    Verdict::Rejected(Reject {
        index: entry.index,
        at: entry.position(),
        reasons,
        excerpt: excerpt::of_entry(entry.raw),
    })
}

/// A reason whose place is the value of `key`, or the entry where there is none.
fn reason(entry: &RawEntry<'_>, code: RejectCode, key: Option<Key>, message: String) -> Reason {
    Reason {
        code,
        pointer: key.map(pointer).unwrap_or_default(),
        message,
        at: place_of(entry, key),
    }
}

fn place_of(entry: &RawEntry<'_>, key: Option<Key>) -> Position {
    match key.and_then(|key| entry.members.get(key)) {
        Some(member) => entry.position_of(member.last.from),
        None => entry.position(),
    }
}

/// The key as a JSON Pointer. None of the five has a character that RFC 6901 escapes.
fn pointer(key: Key) -> String {
    format!("/{}", key.name())
}

fn bad_value(entry: &RawEntry<'_>, key: Key, bad: Bad) -> Reason {
    let code = match key {
        Key::Event => RejectCode::EventInvalid,
        Key::Id => RejectCode::IdInvalid,
        Key::Email => RejectCode::EmailInvalid,
        Key::BusinessUnit => RejectCode::BusinessUnitInvalid,
        Key::Timestamp => RejectCode::TimestampInvalid,
    };
    reason(entry, code, Some(key), describe(entry, key, bad))
}

/// What was found and what is wanted.
fn describe(entry: &RawEntry<'_>, key: Key, bad: Bad) -> String {
    let name = key.name();
    let wanted = match key {
        Key::Event | Key::BusinessUnit => format!("a text of at most {CHARS_MAX} characters"),
        Key::Id => format!("a text of at most {CHARS_MAX} characters, or an integer,"),
        Key::Email => format!("an address of at most {EMAIL_BYTES_MAX} bytes"),
        Key::Timestamp => timestamp::WANTED.to_owned(),
    };
    let shown = match entry.members.get(key) {
        Some(member) if !key.is_sensitive() => {
            format!(" ({})", excerpt::of_value(member.last.of(entry.raw.as_bytes())))
        }
        _ => String::new(),
    };
    match bad {
        Bad::Type("a number") if key == Key::Id => {
            format!("`{name}` is a number with a fraction or an exponent; {wanted} is wanted")
        }
        Bad::Type(found) => format!("`{name}` is {found}; {wanted} is wanted"),
        Bad::Blank => format!("`{name}` is blank; {wanted} is wanted"),
        Bad::TooLong(count) if key == Key::Email => format!("`{name}` has {count} bytes; {wanted} is wanted"),
        Bad::TooLong(count) => format!("`{name}` has {count} characters; {wanted} is wanted"),
        Bad::LoneSurrogate => {
            format!(
                "`{name}` holds one half of a character (a `\\ud…` escape without its other half); {wanted} is wanted"
            )
        }
        Bad::Nul => format!("`{name}` holds a NUL character (`\\u0000`); {wanted} is wanted"),
        Bad::Form(why) if key == Key::Email => format!("`{name}` is no e-mail address: {why}"),
        Bad::Form(why) => format!("`{name}`{shown} {why}; {wanted} is wanted"),
    }
}

fn duplicate_message(entry: &RawEntry<'_>, key: Key, repeat: Repeat, policy: DuplicateKeys) -> String {
    let name = key.name();
    if !repeat.differs {
        return format!("`{name}` is there twice, with the same value; remove one");
    }
    let text = entry.raw.as_bytes();
    let values = match entry.members.get(key) {
        Some(member) if !key.is_sensitive() => {
            let (one, other) = (member.first.of(text), repeat.value.of(text));
            format!(" ({} and {})", excerpt::of_value(one), excerpt::of_value(other))
        }
        _ => String::new(),
    };
    match policy {
        DuplicateKeys::Reject => {
            format!("`{name}` is there twice, with different values{values}; remove the wrong one")
        }
        DuplicateKeys::Last => {
            format!("`{name}` is there twice, with different values{values}; the last one counts, remove the wrong one")
        }
    }
}
