//! An entry taken apart: its members, with their values spelt as the feed spells them.
//!
//! Values are never read into numbers or trees. Money written `5.00` leaves as `5.00`, and no key of a feed, whatever it is
//! called, means anything to a parser on the way. Only what is asked for is looked into, and only as deep as it is asked for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object, in the order of the feed. Where a key is there twice, its last value counts.
pub(super) struct Entry<'a> {
    members: Vec<(String, Value<'a>)>,
}

/// A JSON value, as it is spelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Value<'a>(&'a str);

impl<'a> Entry<'a> {
    /// Takes an object apart; `None` if the text is none.
    pub(super) fn of(text: &'a str) -> Option<Entry<'a>> {
        serde_json::from_str(text).ok()
    }

    /// Its members.
    pub(super) fn members(&self) -> impl Iterator<Item = (&str, Value<'a>)> {
        self.members.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// Whether it has a member of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(known, _)| known == name)
    }

    /// A member's value, unless it is null.
    pub(super) fn get(&self, name: &str) -> Option<Value<'a>> {
        let (_, value) = self.members.iter().find(|(known, _)| known == name)?;
        Some(*value).filter(|value| !value.is_null())
    }

    /// What is at a place: at a key of its root, or where a JSON Pointer (it begins with `/`) points to. Null is nothing.
    pub(super) fn at(&self, place: &str) -> Option<Value<'a>> {
        let Some(pointer) = place.strip_prefix('/') else {
            return self.get(place);
        };
        let mut steps = pointer.split('/').map(unescaped);
        let mut value = self.get(&steps.next()?)?;
        for step in steps {
            value = match value.0.as_bytes().first() {
                Some(b'{') => value.entry()?.get(&step)?,
                Some(b'[') => *value.elements()?.get(index(&step)?)?,
                _ => return None,
            };
        }
        Some(value).filter(|value| !value.is_null())
    }
}

impl<'a> Value<'a> {
    /// Its JSON.
    pub(super) fn as_json(self) -> &'a str {
        self.0
    }

    /// Whether it is neither an object nor an array.
    pub(super) fn is_scalar(self) -> bool {
        !self.0.starts_with(['{', '['])
    }

    fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// A string without its escapes, or a number as it is spelt. `None` for everything else, and for what is blank.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        let text = match self.0.as_bytes().first()? {
            b'"' => self.string()?,
            b'-' | b'0'..=b'9' => Cow::Borrowed(self.0),
            _ => return None,
        };
        Some(text).filter(|text| !text.trim().is_empty())
    }

    fn string(self) -> Option<Cow<'a, str>> {
        if self.0.contains('\\') {
            return serde_json::from_str(self.0).ok().map(Cow::Owned);
        }
        self.0.strip_prefix('"')?.strip_suffix('"').map(Cow::Borrowed)
    }

    /// Its members, if it is an object.
    pub(super) fn entry(self) -> Option<Entry<'a>> {
        Entry::of(self.0)
    }

    /// Its elements, if it is an array.
    pub(super) fn elements(self) -> Option<Vec<Value<'a>>> {
        let elements: Vec<&RawValue> = serde_json::from_str(self.0).ok()?;
        Some(elements.into_iter().map(|element| Value(element.get())).collect())
    }
}

impl<'de> Deserialize<'de> for Entry<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Entry<'de>, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Entry<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry<'de>, A::Error> {
        let mut members: Vec<(String, Value<'de>)> = Vec::new();
        // An entry may have a million keys: a look through all before would take its square.
        let mut places: HashMap<String, usize> = HashMap::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            let value = Value(value.get());
            match places.get(&name) {
                Some(&place) => members[place].1 = value,
                None => {
                    places.insert(name.clone(), members.len());
                    members.push((name, value));
                }
            }
        }
        Ok(Entry { members })
    }
}

/// A step of a JSON Pointer without its escapes (RFC 6901, section 4).
fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

/// An element's index, as RFC 6901 spells it: without leading zeros.
fn index(step: &str) -> Option<usize> {
    let is_index = step == "0" || (!step.starts_with('0') && step.bytes().all(|byte| byte.is_ascii_digit()));
    if is_index { step.parse().ok() } else { None }
}

/// The text with `\ufffd` in place of each half of a character (`\ud83d` alone, as programs write that cut strings anywhere).
///
/// JSON allows them, and they are no Unicode: many a receiver cannot read the whole request for one of them.
pub(super) fn whole_characters(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut whole = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(offset) = memchr::memchr(b'\\', &bytes[at..]) {
        at += offset;
        at += match (unit(&bytes[at..]), unit(bytes.get(at + 6..).unwrap_or_default())) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => 12,
            (Some(0xd800..0xe000), _) => {
                whole.push_str(&text[copied..at]);
                whole.push_str("\\ufffd");
                copied = at + 6;
                6
            }
            (Some(_), _) => 6,
            // A backslash and one more sign, which is ASCII.
            (None, _) => 2,
        };
    }
    match copied {
        0 => Cow::Borrowed(text),
        _ => Cow::Owned(whole + &text[copied..]),
    }
}

/// The code of `\uXXXX`, if the text begins with one.
fn unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    digits
        .iter()
        .try_fold(0, |code, &digit| Some(code << 4 | char::from(digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let check = |place: &str, expect: Option<&str>| {
            let entry = r#"{"a":5.00,"b":{"c":[1,{"d/e":"x"}],"~":true},"":0,"n":null,"a/b":2,"a":6.10,
                "$serde_json::private::RawValue":"7","$serde_json::private::Number":"8","\u0065":9}"#;
            let entry = Entry::of(entry).expect("an object");
            assert_eq!(entry.at(place).map(Value::as_json), expect, "{place}");
        };
        check("a", Some("6.10"));
        check("/a", Some("6.10"));
        check("a/b", Some("2"));
        check("/a~1b", Some("2"));
        check("/b/c/0", Some("1"));
        check("/b/c/1/d~1e", Some("\"x\""));
        check("/b/~0", Some("true"));
        check("/b/c/01", None);
        check("/b/c/+0", None);
        check("/b/c/2", None);
        check("/b/c/99999999999999999999", None);
        check("/b/c/-", None);
        check("/a/0", None);
        check("/", Some("0"));
        check("", Some("0"));
        check("n", None);
        check("none", None);
        check("e", Some("9"));
        check("$serde_json::private::RawValue", Some("\"7\""));
        check("$serde_json::private::Number", Some("\"8\""));
    }

    #[test]
    fn texts() {
        let check = |value: &str, expect: Option<&str>| assert_eq!(Value(value).text().as_deref(), expect, "{value}");
        check(r#""x""#, Some("x"));
        check(r#""\u0041\n""#, Some("A\n"));
        check("00.10", Some("00.10"));
        check("-1e9999999", Some("-1e9999999"));
        check(r#""""#, None);
        check(r#"" \t""#, None);
        check("true", None);
        check("null", None);
        check("[1]", None);
        check("{}", None);
    }

    #[test]
    fn halves_of_characters() {
        let check = |text: &str, expect: &str| assert_eq!(whole_characters(text), expect, "{text}");
        check("{}", "{}");
        check(r#""\ud83d\ude00""#, r#""\ud83d\ude00""#);
        check(r#""\ud83d""#, r#""\ufffd""#);
        check(r#""\uDE00\uD83D""#, r#""\ufffd\ufffd""#);
        check(r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#);
        check(r#""\\ud83d""#, r#""\\ud83d""#);
        check(r#""\\\ud83dé\n\u00e9""#, r#""\\\ufffdé\n\u00e9""#);
        check(r#""\ud83d\n""#, r#""\ufffd\n""#);
    }

    #[test]
    fn depth_is_no_matter() {
        let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
        let entry = Entry::of(&deep).expect("an object");
        assert_eq!(entry.get("a").map(|value| value.as_json().len()), Some(10_001));
    }

    #[test]
    fn many_keys_are_no_matter() {
        let members: Vec<String> = (0..200_000).map(|n| format!("\"k{n}\":{n}")).collect();
        let text = format!("{{{}}}", members.join(","));
        assert_eq!(Entry::of(&text).expect("an object").members().count(), 200_000);
    }
}
