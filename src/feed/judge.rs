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

#[cfg(test)]
mod tests {
    use super::super::Walk;
    use super::*;

    fn options(default: Option<&str>, duplicate_keys: DuplicateKeys) -> Options {
        Options {
            default_business_unit: default.map(str::to_owned),
            duplicate_keys,
            entry_bytes_max: 1 << 20,
            depth_max: 128,
        }
    }

    /// What an entry comes to: `+` and its warnings, or `-` and its reasons, with the places of both.
    fn outline(raw: &str, options: &Options) -> String {
        let feed = format!("[{raw}]");
        let mut walk = Walk::new(feed.as_bytes(), options);
        let entry = walk.next().expect("no fault").expect("an entry");
        match judge(&entry, options) {
            Verdict::Accepted(event, warnings) => {
                assert_eq!(extract(&entry, options), event, "{raw}");
                let warnings = warnings
                    .iter()
                    .map(|warning| format!(" {}{}", warning.code, warning.pointer));
                format!("+{}", warnings.collect::<String>())
            }
            Verdict::Rejected(reject) => {
                let reasons = reject.reasons.iter().map(|reason| {
                    // Less the bracket: an offset in the entry.
                    format!(" {}{}@{}", reason.code, reason.pointer, reason.at.byte - 1)
                });
                format!("-{}", reasons.collect::<String>())
            }
        }
    }

    fn check(raw: &str, expect: &str) {
        assert_eq!(outline(raw, &options(None, DuplicateKeys::Reject)), expect, "{raw}");
    }

    fn accepted<R>(raw: &str, options: &Options, look: impl FnOnce(Entry<'_>) -> R) -> R {
        let feed = format!("[{raw}]");
        let mut walk = Walk::new(feed.as_bytes(), options);
        let entry = walk.next().expect("no fault").expect("an entry");
        match judge(&entry, options) {
            Verdict::Accepted(event, _) => look(event),
            Verdict::Rejected(reject) => panic!("{raw}: {reject:?}"),
        }
    }

    #[test]
    fn an_entry_is_an_object() {
        check("1", "- not_an_object@0");
        check("\"event\"", "- not_an_object@0");
        check("[{}]", "- not_an_object@0");
        check("null", "- not_an_object@0");
        check("{}", "- event_missing/event@0 identity_missing@0");
    }

    #[test]
    fn event() {
        check(r#"{"event":"a","id":"1"}"#, "+");
        check(r#"{"\u0065vent":"\u0061","id":"1"}"#, "+");
        check(r#"{"Event":"a","id":"1"}"#, "- event_missing/event@0");
        check(r#"{"id":"1"}"#, "- event_missing/event@0");
        check(r#"{"event":null,"id":"1"}"#, "- event_missing/event@9");
        for bad in [
            r#""""#,
            r#"" ""#,
            r#""\u00a0\t\u2003""#,
            "1",
            "true",
            "[]",
            "{}",
            r#""a\u0000""#,
            r#""\ud800""#,
            r#""\udc00x""#,
        ] {
            check(&format!(r#"{{"event":{bad},"id":"1"}}"#), "- event_invalid/event@9");
        }
        let long = |count: usize| format!(r#"{{"event":"{}","id":"1"}}"#, "é".repeat(count));
        check(&long(255), "+");
        check(&long(256), "- event_invalid/event@9");
        // What it holds within does not count.
        check(r#"{"event":"a","x":{"event":"b","id":7},"id":"1"}"#, "+");
    }

    #[test]
    fn id() {
        for absent in [r#""""#, "null", r#"" \t ""#] {
            check(&format!(r#"{{"event":"a","id":{absent}}}"#), "- identity_missing@0");
            check(
                &format!(r#"{{"event":"a","id":{absent},"email":"x@y","businessUnit":"DE"}}"#),
                "+",
            );
        }
        for number in ["0", "-0", "-17", "85328", "123456789012345678901234567890"] {
            check(&format!(r#"{{"event":"a","id":{number}}}"#), "+ id_number/id");
        }
        for bad in ["1.0", "1e3", "1E3", "true", "[]", "{}", r#""\u0000""#, r#""\ud800""#] {
            check(&format!(r#"{{"event":"a","id":{bad}}}"#), "- id_invalid/id@18");
            check(
                &format!(r#"{{"event":"a","id":{bad},"email":"x@y","businessUnit":"DE"}}"#),
                "- id_invalid/id@18",
            );
        }
        check(
            &format!(r#"{{"event":"a","id":{}}}"#, "7".repeat(255)),
            "+ id_number/id",
        );
        check(
            &format!(r#"{{"event":"a","id":{}}}"#, "7".repeat(256)),
            "- id_invalid/id@18",
        );
        check(&format!(r#"{{"event":"a","id":"{}"}}"#, "😀".repeat(255)), "+");
        check(
            &format!(r#"{{"event":"a","id":"{}"}}"#, "😀".repeat(256)),
            "- id_invalid/id@18",
        );
    }

    #[test]
    fn email_and_unit() {
        check(r#"{"event":"a","email":"x@y","businessUnit":"DE"}"#, "+");
        check(r#"{"event":"a","email":"x@y"}"#, "- identity_missing@0");
        check(r#"{"event":"a","businessUnit":"DE"}"#, "- identity_missing@0");
        check(
            r#"{"event":"a","email":"","businessUnit":"DE"}"#,
            "- identity_missing@0",
        );
        check(
            r#"{"event":"a","email":"x@y","businessUnit":" "}"#,
            "- identity_missing@0",
        );
        check(
            r#"{"event":"a","email":"bad"}"#,
            "- email_invalid/email@21 identity_missing@0",
        );
        check(
            r#"{"event":"a","businessUnit":7}"#,
            "- business_unit_invalid/businessUnit@28 identity_missing@0",
        );
        check(
            r#"{"event":"a","email":1,"businessUnit":2}"#,
            "- email_invalid/email@21 business_unit_invalid/businessUnit@38",
        );
        for bad in [
            r#""x""#,
            r#""@""#,
            r#""x@""#,
            r#""@y""#,
            r#""x@y@z""#,
            r#""x y@z""#,
            r#"" x@y""#,
            r#""x@y\n""#,
            r#""x@y\u00a0""#,
            r#""x@y\u0007""#,
            r#""x\u0000@y""#,
            r#""x\ud800@y""#,
            "1",
            "{}",
            "[\"x@y\"]",
            "false",
        ] {
            check(
                &format!(r#"{{"event":"a","email":{bad},"businessUnit":"DE"}}"#),
                "- email_invalid/email@21",
            );
            check(
                &format!(r#"{{"event":"a","email":{bad},"id":"1"}}"#),
                "+ email_invalid/email",
            );
        }
        let long = |count: usize| {
            format!(
                r#"{{"event":"a","businessUnit":"DE","email":"{}@y"}}"#,
                "x".repeat(count)
            )
        };
        check(&long(252), "+");
        check(&long(253), "- email_invalid/email@41");
        for bad in ["1", "{}", "[]", "true", r#""D\u0000""#, r#""\ud800""#] {
            check(
                &format!(r#"{{"event":"a","email":"x@y","businessUnit":{bad}}}"#),
                "- business_unit_invalid/businessUnit@42",
            );
            check(
                &format!(r#"{{"event":"a","id":"1","businessUnit":{bad}}}"#),
                "+ business_unit_invalid/businessUnit",
            );
        }
    }

    #[test]
    fn a_default_unit_fills_the_gap_beside_an_email() {
        let options = options(Some("shop"), DuplicateKeys::Reject);
        let unit = |raw: &str| accepted(raw, &options, |event| event.business_unit.map(|unit| unit.into_owned()));
        assert_eq!(unit(r#"{"event":"a","email":"x@y"}"#).as_deref(), Some("shop"));
        assert_eq!(
            unit(r#"{"event":"a","email":"x@y","businessUnit":""}"#).as_deref(),
            Some("shop")
        );
        assert_eq!(unit(r#"{"event":"a","email":"x@y","id":"1"}"#).as_deref(), Some("shop"));
        assert_eq!(
            unit(r#"{"event":"a","email":"x@y","businessUnit":"DE"}"#).as_deref(),
            Some("DE")
        );
        assert_eq!(unit(r#"{"event":"a","id":"1"}"#), None);
        assert_eq!(unit(r#"{"event":"a","id":"1","email":"bad"}"#), None);
        assert_eq!(unit(r#"{"event":"a","id":"1","email":"x@y","businessUnit":7}"#), None);
        assert_eq!(outline(r#"{"event":"a"}"#, &options), "- identity_missing@0");
        assert_eq!(
            outline(r#"{"event":"a","email":"bad"}"#, &options),
            "- email_invalid/email@21"
        );
    }

    #[test]
    fn timestamp() {
        let time = |value: &str| {
            let raw = format!(r#"{{"event":"a","id":"1","timestamp":{value}}}"#);
            accepted(&raw, &options(None, DuplicateKeys::Reject), |event| event.timestamp)
        };
        assert_eq!(time("null"), None);
        assert_eq!(time(r#""1970-01-01T00:00:01.5Z""#), Some(1500));
        assert_eq!(time(r#""1970-01-01\u002000:00""#), Some(0));
        for bad in [
            r#""""#,
            r#"" ""#,
            r#""soon""#,
            "0",
            "true",
            "[]",
            "{}",
            r#""2018-05-22\u0000""#,
            r#""\ud800""#,
        ] {
            check(
                &format!(r#"{{"event":"a","id":"1","timestamp":{bad}}}"#),
                "- timestamp_invalid/timestamp@34",
            );
        }
    }

    #[test]
    fn keys_that_are_there_twice() {
        check(r#"{"event":"a","id":"1","id":"2"}"#, "- duplicate_key/id@22");
        check(r#"{"event":"a","id":"1","id":"1"}"#, "+ duplicate_key/id");
        check(r#"{"event":"a","id":"1","\u0069d":"\u0031"}"#, "+ duplicate_key/id");
        check(
            r#"{"event":"a","id":"1","id":"1","id":"2","id":"3"}"#,
            "- duplicate_key/id@31",
        );
        check(r#"{"event":"a","id":"1","id":"2","id":"1"}"#, "- duplicate_key/id@22");
        check(r#"{"event":"a","id":1,"id":"1"}"#, "- duplicate_key/id@20");
        check(r#"{"event":"a","id":null,"id":"1"}"#, "- duplicate_key/id@23");
        check(
            r#"{"event":"a","event":7,"id":"1"}"#,
            "- duplicate_key/event@13 event_invalid/event@21",
        );
        check(r#"{"event":"a","id":"1","x":1,"x":2}"#, "+");
        check(r#"{"event":"a","id":"1","x":{"id":1,"id":2}}"#, "+");
    }

    #[test]
    fn where_the_last_one_counts_it_counts_everywhere() {
        let options = options(None, DuplicateKeys::Last);
        let raw = r#"{"event":"a","event":"b","id":"1","id":"2","email":7,"email":"x@y"}"#;
        assert_eq!(
            outline(raw, &options),
            "+ duplicate_key/event duplicate_key/id duplicate_key/email"
        );
        accepted(raw, &options, |event| {
            assert_eq!(
                (&*event.event, event.id.as_deref(), event.email.as_deref()),
                ("b", Some("2"), Some("x@y"))
            );
        });
        assert_eq!(
            outline(r#"{"event":"a","event":null,"id":"1"}"#, &options),
            "- event_missing/event@21"
        );
    }

    #[test]
    fn values_come_out_as_they_are() {
        let raw = r#"{"event":" a ","id":900719925474099299999,"email":"X@y"}"#;
        accepted(raw, &options(None, DuplicateKeys::Reject), |event| {
            assert_eq!(event.event, " a ");
            assert_eq!(event.id.as_deref(), Some("900719925474099299999"));
            assert_eq!(event.email.as_deref(), Some("X@y"));
            assert_eq!(event.business_unit, None);
        });
    }

    #[test]
    fn no_message_shows_an_email_or_an_id() {
        for raw in [
            r#"{"event":"a","id":{"k":"secret"},"email":"secret","businessUnit":{"id":"secret"}}"#,
            r#"{"event":"a","id":"secret","id":"secret2","email":"secret","email":["secret"]}"#,
            r#"{"event":"a","email":"secret@secret@","businessUnit":{"id":"secret"},"businessUnit":{"email":"secret"}}"#,
            r#"{"event":{"id":"secret"},"timestamp":{"email":["secret"]},"\u0065mail":"secret secret"}"#,
        ] {
            let feed = format!("[{raw}]");
            for policy in [DuplicateKeys::Reject, DuplicateKeys::Last] {
                let options = options(None, policy);
                let mut walk = Walk::new(feed.as_bytes(), &options);
                let entry = walk.next().expect("no fault").expect("an entry");
                let Verdict::Rejected(reject) = judge(&entry, &options) else {
                    continue;
                };
                let said = format!("{reject:?}");
                assert!(!said.contains("secret"), "{said}");
            }
        }
    }
}
