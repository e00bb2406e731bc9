//! Excerpts of a feed that may be shown: short, masked, escaped.
//!
//! The values of `email` and `id` are never shown, at whatever depth, and also where the text around a fault is no JSON
//! any more: quotation marks may be missing, curly or single, a colon forgotten. So this reads tokens, not grammar: a
//! word or string that spells a sensitive name makes what follows it, up to the next comma or bracket, its value.

use std::fmt::Write as _;
use std::ops::Range;

use super::scan::{is_blank, skip_blanks};
use super::text::unescaped;
use super::window::LOOK_AHEAD;

/// Characters of a reject's excerpt.
const ENTRY_CHARS: usize = 120;

/// Characters of a fault's excerpt on either side of the place.
const SIDE_CHARS: usize = 40;

const MASK: &str = "\"***\"";

/// The beginning of an entry, masked, at most about 120 characters.
pub(super) fn of_entry(raw: &str) -> String {
    let text = raw.as_bytes();
    // Escaping and masking never make room: four bytes are the longest character.
    let window = 0..whole_character(text, 4 * ENTRY_CHARS);
    let cut = window.end < text.len();
    head(&shown(text, window, text.len()), ENTRY_CHARS, cut)
}

/// A value in a message: masked within, at most about 40 characters.
pub(super) fn of_value(value: &[u8]) -> String {
    let end = whole_character(value, 4 * SIDE_CHARS);
    head(&shown(value, 0..end, value.len()), SIDE_CHARS, end < value.len())
}

/// The text around a fault. `text` begins where a token does; the place is `at`.
///
/// What follows the place is shown up to the next colon only: behind it stands a value, of a name that may be garbled.
pub(super) fn around(text: &[u8], at: usize) -> String {
    let from = whole_character(text, at.saturating_sub(4 * SIDE_CHARS));
    let mut to = whole_character(text, at + LOOK_AHEAD);
    if let Some(colon) = memchr::memchr(b':', &text[at..to]) {
        to = at + colon + 1;
    }
    let before = tail(&shown(text, from..at, at), SIDE_CHARS, from > 0);
    let after = head(&shown(text, at..to, at), SIDE_CHARS, to < text.len());
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

/// What of `text[window]` may be shown. Tokens are told apart from the beginning of `text` on; from `broken` on they are
/// no JSON, and a value may be more than one of them.
fn shown(text: &[u8], window: Range<usize>, broken: usize) -> String {
    let mut out = String::new();
    let mut state = State::Elsewhere;
    let mut at = 0;
    while at < window.end.min(text.len()) {
        let token = token_at(text, at);
        let mut end = token.end();
        let covered = match (state, token) {
            (State::Awaited, Token::Blank(_) | Token::Sign(b':' | b'=', _)) => false,
            (State::Awaited, Token::Sign(b'{' | b'[', _)) => {
                end = container_end(text, at);
                state = State::Elsewhere;
                true
            }
            // A comma or bracket in place of the colon.
            (State::Awaited, Token::Sign(..)) if at >= broken => false,
            (State::Awaited, Token::Quoted(_) | Token::Word(_)) => {
                if at >= broken {
                    end = stretch_end(text, end);
                }
                state = State::Covered;
                true
            }
            // The rest of a value: its quotation mark came too early, or a blank is in it that it cannot hold.
            (State::Covered, Token::Blank(_)) => false,
            (State::Covered, Token::Sign(..)) if skip_blanks(text, end) >= broken => false,
            (State::Covered, Token::Word(_)) => {
                end = stretch_end(text, end);
                true
            }
            (State::Covered, Token::Quoted(_)) if !is_blank(text[at - 1]) => {
                end = stretch_end(text, end);
                true
            }
            // Right behind a quotation mark that ended a text too early, or began one too late: it may be any value.
            (State::Elsewhere, Token::Word(_)) if at >= broken && text[..at].ends_with(b"\"") => {
                end = stretch_end(text, end);
                true
            }
            (_, Token::Blank(_) | Token::Sign(..)) => {
                state = State::Elsewhere;
                false
            }
            // A text with a colon in it, right before the fault: a quotation mark that was lost or escaped made one text of
            // several, names and values alike.
            (State::Elsewhere, Token::Quoted(_))
                if at < broken
                    && skip_blanks(text, end) >= broken
                    && memchr::memchr(b':', &text[at..end]).is_some() =>
            {
                state = State::Covered;
                true
            }
            (_, Token::Quoted(_)) => {
                state = if is_sensitive(&text[at..end]) {
                    State::Awaited
                } else {
                    State::Elsewhere
                };
                false
            }
            (State::Elsewhere, Token::Word(_)) if is_sensitive(&text[at..end]) => {
                // A name without quotation marks: nothing up to the next comma can be trusted.
                emit(&mut out, text, at..end, &window);
                at = end;
                end = stretch_end(text, at);
                at < end
            }
            (State::Elsewhere, Token::Word(_)) => memchr::memchr(b'@', &text[at..end]).is_some(),
        };
        if covered {
            if window.contains(&at) {
                out.push_str(MASK);
            }
        } else if matches!(token, Token::Blank(_)) {
            if end > window.start {
                out.push(' ');
            }
        } else {
            emit(&mut out, text, at..end, &window);
        }
        at = end;
    }
    out
}

/// Where the values that may not be shown are.
#[derive(Clone, Copy)]
enum State {
    Elsewhere,
    /// A sensitive name was read: its value comes next.
    Awaited,
    /// Right behind such a value.
    Covered,
}

/// A token and its end.
#[derive(Clone, Copy)]
enum Token {
    Blank(usize),
    Quoted(usize),
    Sign(u8, usize),
    Word(usize),
}

impl Token {
    fn end(self) -> usize {
        match self {
            Token::Blank(end) | Token::Quoted(end) | Token::Sign(_, end) | Token::Word(end) => end,
        }
    }
}

fn token_at(text: &[u8], at: usize) -> Token {
    match text[at] {
        byte if is_blank(byte) => Token::Blank(skip_blanks(text, at)),
        byte @ (b'{' | b'}' | b'[' | b']' | b',' | b':' | b'=' | b';') => Token::Sign(byte, at + 1),
        b'"' => Token::Quoted(quoted_end(text, at)),
        b'\'' => Token::Quoted(closed_by(text, at + 1, &["'", "\n"])),
        _ if opens_curly(&text[at..]) => Token::Quoted(closed_by(text, at + 3, &["“", "”", "‘", "’", "\"", "\n"])),
        _ => {
            let ends = |index: &usize| {
                is_blank(text[*index])
                    || matches!(
                        text[*index],
                        b'{' | b'}' | b'[' | b']' | b',' | b':' | b'=' | b';' | b'"' | b'\''
                    )
                    || opens_curly(&text[*index..])
            };
            Token::Word((at + 1..text.len()).find(ends).unwrap_or(text.len()))
        }
    }
}

fn opens_curly(text: &[u8]) -> bool {
    ["“", "”", "„", "‘", "’"]
        .iter()
        .any(|mark| text.starts_with(mark.as_bytes()))
}

/// End of the string that begins at `at`, its quotation mark included; the end of the text if it has none.
fn quoted_end(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(offset) = memchr::memchr2(b'"', b'\\', &text[at..]) {
        at += offset;
        if text[at] == b'"' {
            return at + 1;
        }
        at = (at + 2).min(text.len());
    }
    text.len()
}

/// End of the first of these marks.
fn closed_by(text: &[u8], from: usize, marks: &[&str]) -> usize {
    for at in from..text.len() {
        if let Some(mark) = marks.iter().find(|mark| text[at..].starts_with(mark.as_bytes())) {
            return at + mark.len();
        }
    }
    text.len()
}

/// End of the container that begins at `at`: behind its closing bracket, of whatever kind.
fn container_end(text: &[u8], mut at: usize) -> usize {
    let mut open = 0u64;
    while at < text.len() {
        match text[at] {
            b'"' => {
                at = quoted_end(text, at);
                continue;
            }
            b'{' | b'[' => open += 1,
            b'}' | b']' => open -= 1,
            _ => {}
        }
        at += 1;
        if open == 0 {
            return at;
        }
    }
    text.len()
}

/// Index of the next comma, bracket or line end.
fn stretch_end(text: &[u8], from: usize) -> usize {
    let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b'\n');
    text[from..]
        .iter()
        .position(ends)
        .map_or(text.len(), |offset| from + offset)
}

/// Whether a word, or a string with its marks, spells a name whose value may not be shown.
fn is_sensitive(token: &[u8]) -> bool {
    let is_mark = |byte: &u8| matches!(byte, b'"' | b'\'' | b':' | b' ' | 0x80..);
    let Some(from) = token.iter().position(|byte| !is_mark(byte)) else {
        return false;
    };
    // An escape that is read as a mark (`\"`) belongs to a mark that came too early.
    let same = |name: &[u8]| {
        let mut spelt = unescaped(&token[from..]).map(|byte| byte.to_ascii_lowercase());
        name.iter().all(|&letter| spelt.next() == Some(letter)) && spelt.all(|byte| is_mark(&byte))
    };
    same(b"email") || same(b"id")
}

/// Appends what of a token lies in the window.
fn emit(out: &mut String, text: &[u8], token: Range<usize>, window: &Range<usize>) {
    let part = token.start.max(window.start)..token.end.min(window.end);
    if part.start < part.end {
        escape(&text[part], out);
    }
}

/// Appends text with everything escaped that a terminal or a page might act upon, and bytes that are no text as `\xNN`.
fn escape(text: &[u8], out: &mut String) {
    for chunk in text.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                _ if is_hidden(char) => write!(out, "\\u{:04x}", u32::from(char)).expect("a String takes everything"),
                _ => out.push(char),
            }
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}").expect("a String takes everything");
        }
    }
}

/// Control characters, and those that change the direction or the lines of the text around them.
pub(super) fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emails_and_ids_are_masked_at_any_depth() {
        let check = |raw: &str, expect: &str| assert_eq!(of_entry(raw), expect, "{raw}");
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
        let excerpt = of_entry(&long);
        assert_eq!(excerpt.chars().count(), ENTRY_CHARS + 1);
        assert!(excerpt.ends_with("ü…"), "{excerpt}");

        let long = format!(r#"{{"email":"{}"}}"#, "ada@example.com".repeat(100));
        assert_eq!(of_entry(&long), r#"{"email":"***"…"#);
    }

    #[test]
    fn what_a_terminal_acts_upon_is_escaped() {
        let check = |text: &[u8], expect: &str| assert_eq!(quoted(text), expect);
        check(b"\x1b[31m", "\\u001b[31m");
        check("a\u{202e}b\u{9b}".as_bytes(), "a\\u202eb\\u009b");
        check(b"M\xfcller", "M\\xfcller");
        check("a\nb".as_bytes(), "a\\nb");
    }

    #[test]
    fn broken_text_is_masked_too() {
        let check = |text: &str, expect: &str| {
            for at in 0..=text.len() {
                if text.is_char_boundary(at) {
                    let excerpt = around(text.as_bytes(), at);
                    assert!(
                        !excerpt.contains("ada") && !excerpt.contains("4711"),
                        "{text} at {at}: {excerpt}"
                    );
                }
            }
            let shown = shown(text.as_bytes(), 0..text.len(), 0);
            assert_eq!(shown, expect, "{text}");
        };
        check(
            "{'email': 'ada@example.com', 'id': '4711'}",
            "{'email': \"***\", 'id': \"***\"}",
        );
        check("{email: ada@example.com, id: 4711}", "{email\"***\", id\"***\"}");
        check("{“email”: “ada@example.com”}", "{“email”: \"***\"}");
        check("{\"email\" \"ada@example.com\"}", "{\"email\" \"***\"}");
        check("{\"email\": ada@example.com}", "{\"email\": \"***\"}");
        check("{\"email: \"ada@example.com\"}", "{\"email: \"\"***\"}");
        check("{\"id\\\": \"4711\"}", "{\"id\\\": \"\"***\"}");
        check("{\"id\" = 4711}", "{\"id\" = \"***\"}");
        check("{\"id\": \"4711", "{\"id\": \"***\"");
        check("{\"id\": \"47\n11", "{\"id\": \"***\"");
        check(
            "{\"name: \"x\", \"id\": \"4711\"}",
            "{\"name: \"\"***\", \"id\": \"***\"}",
        );
    }
}
