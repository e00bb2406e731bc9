//! JSON strings as text: escapes taken out, two spellings compared.
//!
//! Works on strings that the scanner has passed. Lone surrogates (`\ud800`) are legal JSON and no Unicode: they come out
//! as the three bytes that UTF-8 would have for them, so that they compare like everything else and never turn into text.

use std::borrow::Cow;

/// The bytes of a JSON string, escapes taken out. Takes what stands between the quotation marks.
pub(crate) struct Unescaped<'a> {
    rest: &'a [u8],
    /// Bytes of the last escape that are still to come, from the back.
    pending: [u8; 4],
    count: usize,
}

/// Reads what stands between the quotation marks of a string.
pub(crate) fn unescaped(inner: &[u8]) -> Unescaped<'_> {
    Unescaped {
        rest: inner,
        pending: [0; 4],
        count: 0,
    }
}

impl Iterator for Unescaped<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.count > 0 {
            self.count -= 1;
            return Some(self.pending[self.count]);
        }
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        if byte != b'\\' {
            return Some(byte);
        }
        let (&letter, rest) = self.rest.split_first()?;
        self.rest = rest;
        match letter {
            b'b' => Some(0x08),
            b'f' => Some(0x0c),
            b'n' => Some(b'\n'),
            b'r' => Some(b'\r'),
            b't' => Some(b'\t'),
            b'u' => self.code_point(),
            other => Some(other),
        }
    }
}

impl Unescaped<'_> {
    /// The first byte of what `\uXXXX` (and a second half, if it has one) stands for; the others become pending.
    fn code_point(&mut self) -> Option<u8> {
        let mut code = self.hex()?;
        if (0xd800..0xdc00).contains(&code) && self.rest.starts_with(b"\\u") {
            let ahead = self.rest;
            self.rest = &self.rest[2..];
            match self.hex() {
                Some(low) if (0xdc00..0xe000).contains(&low) => {
                    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00)
                }
                _ => self.rest = ahead,
            }
        }
        let tail = |shift: u32| 0x80 | (code >> shift & 0x3f) as u8;
        let (bytes, count) = match code {
            0..0x80 => ([code as u8, 0, 0, 0], 1),
            0x80..0x800 => ([tail(0), 0xc0 | (code >> 6) as u8, 0, 0], 2),
            0x800..0x10000 => ([tail(0), tail(6), 0xe0 | (code >> 12) as u8, 0], 3),
            _ => ([tail(0), tail(6), tail(12), 0xf0 | (code >> 18) as u8], 4),
        };
        self.pending = bytes;
        self.count = count;
        self.next()
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.rest.get(..4)?;
        self.rest = &self.rest[4..];
        digits
            .iter()
            .try_fold(0, |code, &digit| Some(code << 4 | char::from(digit).to_digit(16)?))
    }
}

/// The text of a string, from what stands between its quotation marks; `None` if a lone surrogate is in it.
pub(super) fn decode(inner: &str) -> Option<Cow<'_, str>> {
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    let bytes: Vec<u8> = unescaped(inner.as_bytes()).collect();
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// What stands between the quotation marks, if the value is a string.
pub(super) fn inner(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// Whether two values are the same: strings after unescaping, everything else by its spelling.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    if one == other {
        return true;
    }
    match (inner(one), inner(other)) {
        (Some(one), Some(other)) => unescaped(one).eq(unescaped(other)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_taken_out() {
        let check = |inner: &str, expect: Option<&str>| assert_eq!(decode(inner).as_deref(), expect, "{inner}");
        check("", Some(""));
        check("plain", Some("plain"));
        check(r#"\"\\\/\b\f\n\r\t"#, Some("\"\\/\u{8}\u{c}\n\r\t"));
        check(r"\u0041\u00e9\u20AC", Some("Aé€"));
        check(r"x\ud83d\ude00y", Some("x😀y"));
        check(r"\u0000", Some("\0"));
        check(r"\ud83d", None);
        check(r"\ude00\ud83d", None);
        check(r"\ud83d\ud83d\ude00", None);
        check(r"\ud83dA", None);
        check(r"\ud83d\u0041", None);
    }

    #[test]
    fn every_code_point_comes_back() {
        for code in (0..=0x10ffff).step_by(37).filter_map(char::from_u32) {
            let mut units = [0; 2];
            let spelt: String = code
                .encode_utf16(&mut units)
                .iter()
                .map(|unit| format!("\\u{unit:04x}"))
                .collect();
            assert_eq!(decode(&spelt).as_deref(), Some(code.to_string().as_str()));
        }
    }

    #[test]
    fn values_are_compared_by_meaning_if_they_are_strings() {
        let check = |one: &str, other: &str, expect: bool| {
            assert_eq!(same(one.as_bytes(), other.as_bytes()), expect, "{one} {other}");
            assert_eq!(same(other.as_bytes(), one.as_bytes()), expect, "{other} {one}");
        };
        check(r#""DE""#, r#""DE""#, true);
        check(r#""DE""#, r#""\u0044E""#, true);
        check(r#""é""#, r#""\u00e9""#, true);
        check(r#""\ud800""#, r#""\uD800""#, true);
        check(r#""DE""#, r#""de""#, false);
        check(r#""DE""#, r#""DE ""#, false);
        check("1", "1.0", false);
        check("1", r#""1""#, false);
        check("null", "null", true);
        check("[1]", "[1]", true);
        check("[1]", "[ 1]", false);
    }
}
