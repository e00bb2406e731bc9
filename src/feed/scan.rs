//! The grammar: one JSON value (RFC 8259), every byte looked at once.
//!
//! Accepts what serde_json's `RawValue` accepts, and adds the depth rule; `tests/it/feeds.rs` holds the two against each
//! other. Lone surrogates and numbers of any size are text here. UTF-8 is checked elsewhere, by the entry.
//!
//! There is no recursion, so no depth of nesting can overflow the stack, and no state between two calls: a value that is
//! not complete yet is scanned again when there is more of it.

use super::members::{Key, Members, Span};

/// What the grammar wants at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A value: after `:`, or after `,` in an array.
    Value,
    /// A value or `]`: after `[`.
    ValueOrEnd,
    /// A name: after `,` in an object.
    Name,
    /// A name or `}`: after `{`.
    NameOrEnd,
    /// The colon after a name.
    Colon,
    /// `,` or `}` after a member.
    CommaOrBrace,
    /// `,` or `]` after an element.
    CommaOrBracket,
    /// The rest of `true`, `false` or `null`.
    Literal(&'static str),
    /// A digit of a number.
    Digit,
    /// The rest of a string: a character that is allowed in one, or the quotation mark.
    StringEnd,
    /// One of the letters after a backslash.
    Escape,
    /// One of the four digits after `\u`.
    HexDigit,
    /// Less nesting.
    LessDepth,
}

/// Why a value was not passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Halt {
    /// The text ends before the value does.
    More(Wanted),
    /// The byte at this offset cannot stand there.
    Wrong(usize, Wanted),
}

/// Scans values, one at a time.
#[derive(Debug)]
pub(super) struct Scanner {
    /// The containers that are open within the value, from the outside in: whether each is an object.
    open: Vec<bool>,
    /// Most open containers, the root array included.
    depth_max: u32,
    /// The five keys of the last value that was passed.
    pub members: Members,
}

impl Scanner {
    pub fn new(depth_max: u32) -> Scanner {
        Scanner {
            open: Vec::new(),
            depth_max,
            members: Members::default(),
        }
    }

    /// Passes the value that `text` begins with, notes its members, and gives its length.
    pub fn scan(&mut self, text: &[u8]) -> Result<usize, Halt> {
        self.open.clear();
        self.members = Members::default();

        let mut wanted = Wanted::Value;
        let mut noted: Option<(Key, usize)> = None; // one of the five, while its value is passed
        let mut value_from = 0;
        let mut at = 0;
        loop {
            at = skip_blanks(text, at);
            let byte = *text.get(at).ok_or(Halt::More(wanted))?;
            if self.open.len() == 1 {
                value_from = at;
            }
            at = match byte {
                b'"' => {
                    let string = passed_string(text, at)?;
                    self.members.escapes |= string.escapes && noted.is_some();
                    string.end
                }
                b'-' | b'0'..=b'9' => number(text, at)?,
                b'{' => {
                    self.enter(at, true)?;
                    at = skip_blanks(text, at + 1);
                    if text.get(at) != Some(&b'}') {
                        at = self.name(text, at, Wanted::NameOrEnd, &mut noted)?;
                        wanted = Wanted::Value;
                        continue;
                    }
                    self.open.pop();
                    at + 1
                }
                b'[' => {
                    self.enter(at, false)?;
                    wanted = Wanted::ValueOrEnd;
                    at += 1;
                    continue;
                }
                b']' if wanted == Wanted::ValueOrEnd => {
                    self.open.pop();
                    at + 1
                }
                b't' => literal(text, at, "true")?,
                b'f' => literal(text, at, "false")?,
                b'n' => literal(text, at, "null")?,
                _ => return Err(Halt::Wrong(at, wanted)),
            };
            wanted = Wanted::Value;

            // A value lies behind; what closes a container ends another one.
            loop {
                let Some(&object) = self.open.last() else {
                    return Ok(at);
                };
                if self.open.len() == 1
                    && let Some((key, place)) = noted.take()
                {
                    let value = Span {
                        from: value_from,
                        to: at,
                    };
                    self.members.note(text, key, place, value);
                }
                at = skip_blanks(text, at);
                let missed = if object {
                    Wanted::CommaOrBrace
                } else {
                    Wanted::CommaOrBracket
                };
                match (*text.get(at).ok_or(Halt::More(missed))?, object) {
                    (b',', true) => {
                        at = skip_blanks(text, at + 1);
                        at = self.name(text, at, Wanted::Name, &mut noted)?;
                        break;
                    }
                    (b',', false) => {
                        at += 1;
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        self.open.pop();
                        at += 1;
                    }
                    _ => return Err(Halt::Wrong(at, missed)),
                }
            }
        }
    }

    /// Passes a name and its colon, and notes whether it is one of the five of the entry.
    #[inline]
    fn name(&self, text: &[u8], at: usize, wanted: Wanted, noted: &mut Option<(Key, usize)>) -> Result<usize, Halt> {
        match text.get(at) {
            Some(b'"') => {}
            Some(_) => return Err(Halt::Wrong(at, wanted)),
            None => return Err(Halt::More(wanted)),
        }
        let name = passed_string(text, at)?;
        if self.open.len() == 1 {
            let quoted = &text[at..name.end];
            let key = match name.escapes {
                false => Key::plain(quoted),
                true => Key::of(quoted),
            };
            *noted = key.map(|key| (key, at));
        }
        let colon = skip_blanks(text, name.end);
        match text.get(colon) {
            Some(b':') => Ok(colon + 1),
            Some(_) => Err(Halt::Wrong(colon, Wanted::Colon)),
            None => Err(Halt::More(Wanted::Colon)),
        }
    }

    fn enter(&mut self, at: usize, object: bool) -> Result<(), Halt> {
        // One more for the container that begins here, one for the root array.
        if self.open.len() as u64 + 2 > u64::from(self.depth_max) {
            return Err(Halt::Wrong(at, Wanted::LessDepth));
        }
        self.open.push(object);
        Ok(())
    }
}

/// Whether JSON allows this byte between tokens.
#[inline]
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// Index of the first byte, from `at` on, that is not blank.
#[inline]
pub(super) fn skip_blanks(text: &[u8], mut at: usize) -> usize {
    while at < text.len() && is_blank(text[at]) {
        at += 1;
    }
    at
}

/// A string that was passed.
struct Passed {
    end: usize,
    /// Whether there are escapes in it.
    escapes: bool,
}

/// Passes the string that begins at `at`.
pub(super) fn string(text: &[u8], at: usize) -> Result<usize, Halt> {
    Ok(passed_string(text, at)?.end)
}

/// The same, and says what it came by.
#[inline(always)]
fn passed_string(text: &[u8], at: usize) -> Result<Passed, Halt> {
    let end = skip_plain(text, at + 1);
    if text.get(end) == Some(&b'"') {
        return Ok(Passed {
            end: end + 1,
            escapes: false,
        });
    }
    let end = special_string(text, end)?;
    Ok(Passed { end, escapes: true })
}

/// Passes the rest of a string with something in it that is not plain. Apart, so that the common case stays small.
#[inline(never)]
fn special_string(text: &[u8], mut at: usize) -> Result<usize, Halt> {
    loop {
        match text.get(at) {
            None => return Err(Halt::More(Wanted::StringEnd)),
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at = skip_plain(text, escape(text, at)?),
            Some(_) => return Err(Halt::Wrong(at, Wanted::StringEnd)),
        }
    }
}

/// Index of the first byte, from `at` on, that is `"`, `\` or a control character; the end of the text if there is none.
///
/// Looks at eight bytes at a time. In each of the three terms the lowest bit that is set is exact (a borrow only ever runs
/// upwards), so the lowest of all is too.
#[inline(always)]
fn skip_plain(text: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    while let Some(eight) = text[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let hits = controls | zeros(word ^ (ONES * b'"' as u64)) | zeros(word ^ (ONES * b'\\' as u64));
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while at < text.len() && !matches!(text[at], b'"' | b'\\' | 0..0x20) {
        at += 1;
    }
    at
}

/// Passes the escape that begins at `at`.
fn escape(text: &[u8], at: usize) -> Result<usize, Halt> {
    match text.get(at + 1) {
        None => Err(Halt::More(Wanted::StringEnd)),
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => {
            for digit in at + 2..at + 6 {
                match text.get(digit) {
                    None => return Err(Halt::More(Wanted::StringEnd)),
                    Some(byte) if byte.is_ascii_hexdigit() => {}
                    Some(_) => return Err(Halt::Wrong(digit, Wanted::HexDigit)),
                }
            }
            Ok(at + 6)
        }
        Some(_) => Err(Halt::Wrong(at + 1, Wanted::Escape)),
    }
}

/// Passes the number that begins at `at`. One that ends with the text may have more digits coming.
#[inline]
fn number(text: &[u8], at: usize) -> Result<usize, Halt> {
    let mut at = at;
    if text[at] == b'-' {
        at += 1;
    }
    at = match text.get(at) {
        Some(b'0') => at + 1,
        _ => digits(text, at)?,
    };
    if text.get(at) == Some(&b'.') {
        at = digits(text, at + 1)?;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(text.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        at = digits(text, at)?;
    }
    if at == text.len() {
        return Err(Halt::More(Wanted::Digit));
    }
    Ok(at)
}

/// Passes one digit or more.
#[inline]
fn digits(text: &[u8], from: usize) -> Result<usize, Halt> {
    let mut at = from;
    while at < text.len() && text[at].is_ascii_digit() {
        at += 1;
    }
    match (at == from, from == text.len()) {
        (true, true) => Err(Halt::More(Wanted::Digit)),
        (true, false) => Err(Halt::Wrong(from, Wanted::Digit)),
        _ => Ok(at),
    }
}

/// Passes `true`, `false` or `null`.
fn literal(text: &[u8], at: usize, word: &'static str) -> Result<usize, Halt> {
    for (offset, &letter) in word.as_bytes().iter().enumerate() {
        match text.get(at + offset) {
            None => return Err(Halt::More(Wanted::Literal(word))),
            Some(&byte) if byte == letter => {}
            Some(_) => return Err(Halt::Wrong(at + offset, Wanted::Literal(word))),
        }
    }
    Ok(at + word.len())
}
