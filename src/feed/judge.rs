//! Is an entry an event? The rules of the specification's section 5, each with its code.
//!
//! Finding what is wrong and saying it are two steps: a feed of a gigabyte can hold half a billion entries that are wrong,
//! and of all but the first few thousand only the code and the index are kept. The words are in `reasons`.

use std::borrow::Cow;

use super::fields::{Bad, Field, Fields};
use super::members::{Key, Repeat};
use super::order::OrderWhy;
use super::user::UserWhy;
use super::{Columns, DuplicateKeys, Entry, Options, RawEntry, Verdict, items, order, reasons, user};
use crate::verdict::{FeedKind, RejectCode, WarningCode};

/// Says whether an entry is an event, or why not.
///
/// Several things wrong give several reasons: keys that are there twice first, since mending those may mend the rest, then
/// in the order event, identity, time.
pub fn judge<'a>(entry: &RawEntry<'a>, options: &Options) -> Verdict<'a> {
    weigh(entry, options).in_words()
}

/// Judges an entry without a word about it.
pub fn weigh<'e, 'a>(entry: &'e RawEntry<'a>, options: &'e Options) -> Weighed<'e, 'a> {
    let mut weighed = Weighed::new(entry, options);
    if weighed.is_no_object() {
        return weighed;
    }
    let fields = Fields::of(entry, options.kind);
    weighed.look_at_repeats();
    weighed.look_at(&fields);
    if options.kind == FeedKind::Orders {
        weighed.look_at_order(&fields);
    }
    if options.ordered_items && items::are_too_many(entry.raw, &fields.event) {
        weighed.reasons.push((RejectCode::ItemsTooMany, Why::TooManyItems));
    }
    weighed.fields = Some(fields);
    weighed
}

/// Judges a row of a user feed by the columns of its header, without a word about it.
pub fn weigh_user<'e, 'a>(entry: &'e RawEntry<'a>, options: &'e Options, columns: &'e Columns) -> Weighed<'e, 'a> {
    let mut weighed = Weighed::new(entry, options);
    weighed.columns = Some(columns);
    if weighed.is_no_object() {
        return weighed;
    }
    let fields = Fields::of(entry, options.kind);
    weighed.look_at_repeats();
    user::look(entry, &fields, columns, &mut weighed.reasons);
    if fields.id_is_number && matches!(fields.id, Field::Good(_)) {
        weighed.warnings.push((WarningCode::IdNumber, Why::NumberForId));
    }
    weighed.fields = Some(fields);
    weighed
}

/// Takes the keys of an entry that was accepted out again: what [`judge`] gave for it under the same options.
pub fn extract<'a>(entry: &RawEntry<'a>, options: &Options) -> Entry<'a> {
    Fields::of(entry, options.kind).into_entry(options)
}

/// An entry that was judged.
#[derive(Debug)]
pub struct Weighed<'e, 'a> {
    entry: &'e RawEntry<'a>,
    options: &'e Options,
    /// What its keys say; `None` if it is no object.
    fields: Option<Fields<'a>>,
    /// Why it is no event; none: it is one.
    reasons: Vec<(RejectCode, Why)>,
    /// What is odd about it.
    warnings: Vec<(WarningCode, Why)>,
    /// `orderId` of a completed order in an order feed.
    order_id: Option<Cow<'a, str>>,
    /// What it was held against, if it is a row of a user feed.
    columns: Option<&'e Columns>,
}

/// What is the matter with an entry, or with one of its keys.
#[derive(Debug, Clone, Copy)]
pub(super) enum Why {
    NotAnObject,
    /// The key is there again.
    Repeated(Key, Repeat),
    /// The name of the event is not there, or null.
    NoEvent,
    Bad(Key, Bad),
    /// The same, where it does no harm.
    LeftOut(Key, Bad),
    NumberForId,
    NoIdentity {
        /// Whether there is an e-mail address without a unit.
        email: bool,
        /// Whether there is a unit without an e-mail address.
        unit: bool,
    },
    /// One of the keys of an order.
    Order(OrderWhy),
    /// A value of a user.
    User(UserWhy),
    /// More products than items are made of.
    TooManyItems,
}

impl Why {
    /// The key that it is about; `None`: the entry.
    pub fn key(self) -> Option<Key> {
        match self {
            Why::NotAnObject | Why::NoIdentity { .. } | Why::Order(_) | Why::User(_) | Why::TooManyItems => None,
            Why::NoEvent => Some(Key::Event),
            Why::NumberForId => Some(Key::Id),
            Why::Repeated(key, _) | Why::Bad(key, _) | Why::LeftOut(key, _) => Some(key),
        }
    }
}

impl<'e, 'a> Weighed<'e, 'a> {
    /// Nothing is said of it yet.
    fn new(entry: &'e RawEntry<'a>, options: &'e Options) -> Weighed<'e, 'a> {
        Weighed {
            entry,
            options,
            fields: None,
            reasons: Vec::new(),
            warnings: Vec::new(),
            order_id: None,
            columns: None,
        }
    }

    fn is_no_object(&mut self) -> bool {
        let is_none = !self.entry.raw.starts_with('{');
        if is_none {
            self.reasons.push((RejectCode::NotAnObject, Why::NotAnObject));
        }
        is_none
    }

    /// The first reason, if it is rejected.
    pub fn rejected(&self) -> Option<RejectCode> {
        self.reasons.first().map(|(code, _)| *code)
    }

    /// What is odd about it, if it is accepted.
    pub fn warnings(&self) -> impl Iterator<Item = WarningCode> {
        let accepted = self.reasons.is_empty();
        self.warnings.iter().filter(move |_| accepted).map(|(code, _)| *code)
    }

    /// The verdict, with places, sentences and an excerpt.
    pub fn in_words(self) -> Verdict<'a> {
        if !self.reasons.is_empty() {
            return Verdict::Rejected(reasons::reject(self.entry, &self.reasons, self.options, self.columns));
        }
        let warn = |&(code, why): &(WarningCode, Why)| reasons::warning(self.entry, code, why, self.options);
        let warnings = self.warnings.iter().map(warn).collect();
        let event = self.fields.map(|fields| fields.into_entry(self.options));
        Verdict::Accepted(event.unwrap_or_default(), warnings)
    }

    /// The unit, or none, and the `orderId` of a completed order in an order feed: with them it counts once only.
    pub fn completed_order(&self) -> Option<(Option<&str>, &str)> {
        let unit = match &self.fields.as_ref()?.business_unit {
            Field::Good(unit) => Some(&**unit),
            _ => self.options.default_business_unit.as_deref(),
        };
        Some((unit, self.order_id.as_deref()?))
    }

    /// Whether an event is of somebody whom it does not name in both ways: by an e-mail address and a unit.
    pub fn needs_user_feed(&self) -> bool {
        let Some(fields) = &self.fields else { return false };
        let has_unit = matches!(fields.business_unit, Field::Good(_)) || self.options.default_business_unit.is_some();
        !(matches!(fields.email, Field::Good(_)) && has_unit)
    }

    fn look_at_order(&mut self, fields: &Fields<'a>) {
        let Some(mut order) = order::look(self.entry, fields, self.options) else {
            return;
        };
        self.reasons.append(&mut order.reasons);
        self.warnings.append(&mut order.warnings);
        self.order_id = order.completed;
    }

    fn look_at_repeats(&mut self) {
        for key in Key::ALL {
            let Some(repeat) = self.entry.members.get(key).and_then(|member| member.repeat) else {
                continue;
            };
            let why = Why::Repeated(key, repeat);
            match repeat.differs && self.options.duplicate_keys == DuplicateKeys::Reject {
                true => self.reasons.push((RejectCode::DuplicateKey, why)),
                false => self.warnings.push((WarningCode::DuplicateKey, why)),
            }
        }
    }

    fn look_at(&mut self, fields: &Fields<'_>) {
        use RejectCode::*;
        match fields.event {
            Field::Good(_) => {}
            Field::Absent => self.reasons.push((EventMissing, Why::NoEvent)),
            Field::Bad(bad) => self.reasons.push((EventInvalid, Why::Bad(Key::Event, bad))),
        }

        if let Field::Bad(bad) = fields.id {
            self.reasons.push((IdInvalid, Why::Bad(Key::Id, bad)));
        }
        let has_id = matches!(fields.id, Field::Good(_));
        if fields.id_is_number && has_id {
            self.warnings.push((WarningCode::IdNumber, Why::NumberForId));
        }
        let (email, unit) = (&fields.email, &fields.business_unit);
        for (key, field, code, warning) in [
            (Key::Email, email, EmailInvalid, WarningCode::EmailInvalid),
            (
                Key::BusinessUnit,
                unit,
                BusinessUnitInvalid,
                WarningCode::BusinessUnitInvalid,
            ),
        ] {
            match *field {
                Field::Bad(bad) if has_id => self.warnings.push((warning, Why::LeftOut(key, bad))),
                Field::Bad(bad) => self.reasons.push((code, Why::Bad(key, bad))),
                _ => {}
            }
        }
        // What is there and bad has a reason of its own, and is taken as mended here.
        let (email, unit) = (*email != Field::Absent, *unit != Field::Absent);
        let has_both = email && (unit || self.options.default_business_unit.is_some());
        if fields.id == Field::Absent && !has_both {
            self.reasons.push((IdentityMissing, Why::NoIdentity { email, unit }));
        }

        if let Field::Bad(bad) = fields.timestamp {
            self.reasons.push((TimestampInvalid, Why::Bad(Key::Timestamp, bad)));
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
            kind: crate::verdict::FeedKind::Events,
            ordered_items: false,
        }
    }

    /// What an entry comes to: `+` and its warnings, or `-` and its reasons, with the places of both.
    fn outline(raw: &str, options: &Options) -> String {
        let feed = format!("[{raw}]");
        let mut walk = Walk::new(feed.as_bytes(), options);
        let entry = walk.next().expect("no fault").expect("an entry");
        let (rejected, warned) = {
            let weighed = weigh(&entry, options);
            (weighed.rejected(), weighed.warnings().collect::<Vec<_>>())
        };
        match judge(&entry, options) {
            Verdict::Accepted(event, warnings) => {
                assert_eq!(extract(&entry, options), event, "{raw}");
                let codes: Vec<_> = warnings.iter().map(|warning| warning.code).collect();
                assert_eq!((rejected, warned), (None, codes), "without words: {raw}");
                let warnings = warnings
                    .iter()
                    .map(|warning| format!(" {}{}", warning.code, warning.pointer));
                format!("+{}", warnings.collect::<String>())
            }
            Verdict::Rejected(reject) => {
                let first = Some(reject.reasons[0].code);
                assert_eq!((rejected, warned), (first, vec![]), "without words: {raw}");
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
