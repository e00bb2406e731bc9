//! Excerpts of a feed that may be shown: short, masked, escaped.
//!
//! Everything in them is somebody else's text: control characters and what changes the direction of writing are escaped,
//! bytes that are no text are spelt out, and no cut goes through a character.

use std::fmt::Write as _;

use super::mask::{MASK, Sensitive, may_hold_sensitive, shown};
use super::text::inner;
use super::window::LOOK_AHEAD;
use crate::hidden::is_hidden;

/// Characters of a reject's excerpt.
const ENTRY_CHARS: usize = 120;

/// Characters of a fault's excerpt on either side of the place.
const SIDE_CHARS: usize = 40;

/// The beginning of an entry, masked, at most about 120 characters.
pub(super) fn of_entry(raw: &str, sensitive: &Sensitive) -> String {
    let text = raw.as_bytes();
    // Masking may shorten it: twice as much text is enough to fill the excerpt in all but odd cases.
    let window = 0..whole_character(text, 2 * ENTRY_CHARS);
    let cut = window.end < text.len();
    head(&shown(text, window, text.len(), sensitive), ENTRY_CHARS, cut)
}

/// A value in a message: masked within, at most about 40 characters.
///
/// A whole value, from valid JSON: a text in it is shown, but for one that may hold what belongs under another name.
pub(super) fn of_value(value: &[u8], sensitive: &Sensitive) -> String {
    if let Some(inner) = inner(value) {
        return match may_hold_sensitive(inner, sensitive) {
            true => MASK.to_owned(),
            false => quoted(value),
        };
    }
    let end = whole_character(value, 4 * SIDE_CHARS);
    head(
        &shown(value, 0..end, value.len(), sensitive),
        SIDE_CHARS,
        end < value.len(),
    )
}

/// The text around a fault. `text` begins where a token does; the place is `at`.
///
/// What follows the place is shown up to the next colon only: behind it stands a value, of a name that may be garbled.
pub(super) fn around(text: &[u8], at: usize, sensitive: &Sensitive) -> String {
    let from = whole_character(text, at.saturating_sub(4 * SIDE_CHARS));
    let mut to = whole_character(text, at + LOOK_AHEAD);
    if let Some(colon) = memchr::memchr(b':', &text[at..to]) {
        to = at + colon + 1;
    }
    let before = tail(&shown(text, from..at, at, sensitive), SIDE_CHARS, from > 0);
    let after = head(&shown(text, at..to, at, sensitive), SIDE_CHARS, to < text.len());
    (before + &after).trim().to_owned()
}

/// A short piece of text in a message: escaped, at most about 40 characters.
pub(super) fn quoted(text: &[u8]) -> String {
    let end = whole_character(text, 4 * SIDE_CHARS);
    let mut escaped = String::new();
    escape(&text[..end], &mut escaped);
    head(&escaped, SIDE_CHARS, end < text.len())
}

/// The first characters, and a sign if there are more.
fn head(text: &str, chars: usize, cut: bool) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None if cut => format!("{text}…"),
        None => text.to_owned(),
    }
}

/// The last characters, and a sign if there are more.
fn tail(text: &str, chars: usize, cut: bool) -> String {
    let over = text.chars().count().saturating_sub(chars);
    let rest: String = text.chars().skip(over).collect();
    if over > 0 || cut { format!("…{rest}") } else { rest }
}

/// The largest index up to `at` that does not cut a character.
fn whole_character(text: &[u8], at: usize) -> usize {
    let at = at.min(text.len());
    let continues = |index: &usize| text.get(*index).is_some_and(|byte| byte & 0xc0 == 0x80);
    // A character has at most three continuation bytes; more of them are no text at all.
    (at.saturating_sub(3)..=at)
        .rev()
        .find(|index| !continues(index))
        .unwrap_or(at)
}

/// Appends text with everything escaped that a terminal or a page might act upon, and bytes that are no text as `\xNN`.
pub(super) fn escape(text: &[u8], out: &mut String) {
    for chunk in text.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                _ if is_hidden(char) => {
                    for half in char.encode_utf16(&mut [0; 2]) {
                        write!(out, "\\u{half:04x}").expect("a String takes everything");
                    }
                }
                _ => out.push(char),
            }
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}").expect("a String takes everything");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emails_and_ids_are_masked_at_any_depth() {
        let check = |raw: &str, expect: &str| assert_eq!(of_entry(raw, &Sensitive::default()), expect, "{raw}");
        check(
            r#"{"id":"7","email":"ada@example.com"}"#,
            r#"{"id":"***","email":"***"}"#,
        );
        check(r#"{"id":7,"email":null}"#, r#"{"id":"***","email":"***"}"#);
        check(r#"{"\u0069d" : "a\"b", "x":1}"#, r#"{"\u0069d" : "***", "x":1}"#);
        check(
            r#"{"cart":{"products":[{"id":"A1","price":5.00}]}}"#,
            r#"{"cart":{"products":[{"id":"***","price":5.00}]}}"#,
        );
        check(
            r#"{"email":{"a":["x@y.de"],"b":"}"},"c":1}"#,
            r#"{"email":"***","c":1}"#,
        );
        check(r#"{"kind":"email","value":"v"}"#, r#"{"kind":"email","value":"v"}"#);
        check(r#"["id","x",{"k":"id"}]"#, r#"["id","x",{"k":"id"}]"#);
        check(r#"{"userId":"7","email2":"x"}"#, r#"{"userId":"7","email2":"x"}"#);
        check("{\n  \"a\": 1\n}", "{ \"a\": 1 }");
    }

    #[test]
    fn a_cut_never_shows_what_it_cuts() {
        let long = format!(r#"{{"a":"{}","email":"ada@example.com"}}"#, "ü".repeat(300));
        let excerpt = of_entry(&long, &Sensitive::default());
        assert_eq!(excerpt.chars().count(), ENTRY_CHARS + 1);
        assert!(excerpt.ends_with("ü…"), "{excerpt}");

        let long = format!(r#"{{"email":"{}"}}"#, "ada@example.com".repeat(100));
        assert_eq!(of_entry(&long, &Sensitive::default()), r#"{"email":"***"…"#);
    }

    #[test]
    fn a_text_in_a_message_is_shown_unless_it_may_be_an_email_or_id() {
        let check = |value: &str, expect: &str| {
            assert_eq!(of_value(value.as_bytes(), &Sensitive::default()), expect, "{value}")
        };
        check("\"2020-01-01T24:00:00Z\"", "\"2020-01-01T24:00:00Z\"");
        check("\"Mon, 06 Jan 2020 10:00:00 GMT\"", "\"Mon, 06 Jan 2020 10:00:00 GMT\"");
        check("\"middle: idle\"", "\"middle: idle\"");
        check("\"\u{1b}[2J:\"", "\"\\u001b[2J:\"");
        check(
            &format!("\"{}\"", "1:".repeat(500)),
            &format!("\"{}1…", "1:".repeat(19)),
        );
        for masked in [
            "ada@example.com",
            "ada\\u0040x",
            "id: 4711",
            "x,\\\"Email\\\":ada",
            "ID=4711",
        ] {
            check(&format!("\"{masked}\""), "\"***\"");
        }
        check(&format!("\"{}@example.com\"", "a".repeat(500)), "\"***\"");
    }

    #[test]
    fn what_a_terminal_acts_upon_is_escaped() {
        let check = |text: &[u8], expect: &str| assert_eq!(quoted(text), expect);
        check(b"\x1b[31m", "\\u001b[31m");
        check("a\u{202e}b\u{9b}\u{61c}".as_bytes(), "a\\u202eb\\u009b\\u061c");
        check(b"M\xfcller", "M\\xfcller");
        check("a\nb".as_bytes(), "a\\nb");
    }
}
