//! What a data file is that is no JSON array: told by its first bytes, so that the partner hears what was sent.

use super::scan::{Halt, Scanner, Wanted, skip_blanks, string};
use crate::verdict::ViolationCode;

/// The UTF-8 byte-order mark, which exports made on Windows often have.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What should be there.
pub(super) const ARRAY_WANTED: &str = "a JSON array of events is wanted: `[{…}, {…}]`";

/// How deep the first value is followed to tell what it is; it is refused in any case.
const DEPTH: u32 = 1024;

/// Units looked at to tell wide text.
const SAMPLE_UNITS: usize = 16;

/// What stands in place of the array.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Root {
    /// Another value, or several: what it is, and what to do.
    Value(String),
    /// No value at all.
    NotJson,
}

/// Data that is not text in UTF-8 at all.
pub(super) fn foreign(data: &[u8]) -> Option<(ViolationCode, String)> {
    let wide = |name: &str| {
        let detail = format!("the file is in {name}; export it as UTF-8");
        Some((ViolationCode::Encoding, detail))
    };
    let other = |what: &str| Some((ViolationCode::JsonSyntax, what.to_owned()));
    match data {
        // The longer marks first: that of UTF-32 begins like that of UTF-16.
        [0xff, 0xfe, 0, 0, ..] => wide("UTF-32 (little endian)"),
        [0, 0, 0xfe, 0xff, ..] => wide("UTF-32 (big endian)"),
        [0xff, 0xfe, ..] => wide("UTF-16 (little endian)"),
        [0xfe, 0xff, ..] => wide("UTF-16 (big endian)"),
        _ if is_wide::<4>(data, 3) => wide("UTF-32 (big endian)"),
        _ if is_wide::<4>(data, 0) => wide("UTF-32 (little endian)"),
        _ if is_wide::<2>(data, 1) => wide("UTF-16 (big endian)"),
        _ if is_wide::<2>(data, 0) => wide("UTF-16 (little endian)"),
        [0, ..] => other("the file begins with NUL bytes: it was never written to its end; upload it again"),
        [b'P', b'K', 3, 4, ..] => other("the data file is itself a zip archive; pack the JSON once only"),
        [0x1f, 0x8b, ..] => other("the data file is compressed with gzip; put the plain JSON into the zip"),
        _ => None,
    }
}

/// Whether text without a mark is in units of `N` bytes, whose byte `low` is the one that ASCII has.
///
/// JSON begins with two ASCII characters, so that the zeros beside them tell (RFC 4627, section 3). A stray NUL in UTF-8
/// may look the same for a unit or two, so that half of the sample must be like them.
fn is_wide<const N: usize>(data: &[u8], low: usize) -> bool {
    let (units, _) = data.as_chunks::<N>();
    let units = &units[..units.len().min(SAMPLE_UNITS)];
    let is_ascii = |unit: &[u8; N]| (0..N).all(|at| (unit[at] != 0) == (at == low) && unit[at] < 0x80);
    units.len() >= 2
        && units[..2].iter().all(is_ascii)
        && 2 * units.iter().filter(|unit| is_ascii(unit)).count() >= units.len()
}

/// What the data, which does not begin with `[`, is.
pub(super) fn recognise(text: &[u8]) -> Root {
    let wanted = ARRAY_WANTED;
    let kind = match text[0] {
        b'{' => return Root::Value(format!("{}; {wanted}", object(text))),
        b'"' => "a string",
        b'-' | b'0'..=b'9' => "a number",
        b't' | b'f' => "a boolean",
        b'n' => "null",
        _ => return Root::NotJson,
    };
    // Something that merely begins like a value (`2024-01-01,…`, `null and void`) is no JSON. A long string need not be in
    // memory whole, and needs no second look.
    let is_value = match Scanner::new(DEPTH).scan(text) {
        _ if kind == "a string" => true,
        Ok(end) => end == text.len() || skip_blanks(text, end) > end,
        Err(Halt::More(Wanted::Digit)) => text[text.len() - 1].is_ascii_digit(),
        Err(_) => false,
    };
    if is_value {
        Root::Value(format!("the root is {kind}; {wanted}"))
    } else {
        Root::NotJson
    }
}

/// What a root that begins with `{` is.
fn object(text: &[u8]) -> String {
    let mut scanner = Scanner::new(DEPTH);
    if let Ok(end) = scanner.scan(text) {
        let next = skip_blanks(text, end);
        let separate_lines = memchr::memchr(b'\n', &text[end..next]).is_some();
        match text.get(next) {
            Some(b'{') if separate_lines => {
                return "the file is newline-delimited JSON, an object per line; put commas between the objects and brackets around them".to_owned();
            }
            Some(b'{') => {
                return "the file is one object after the other; put commas between them and brackets around them"
                    .to_owned();
            }
            Some(b',') => return "the file is a list of objects without brackets; put brackets around them".to_owned(),
            _ => {}
        }
    }
    match list_within(text) {
        Some(name) => format!("the root is an object that holds the array in its member {name}; send that array alone"),
        None => "the root is an object; put brackets around it".to_owned(),
    }
}

/// The name, with its quotation marks, of the first member of a root object whose value is an array of objects.
fn list_within(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner::new(DEPTH);
    let mut at = skip_blanks(text, 1);
    loop {
        if text.get(at) != Some(&b'"') {
            return None;
        }
        let end = string(text, at).ok()?;
        let name = at..end;
        at = skip_blanks(text, end);
        if text.get(at) != Some(&b':') {
            return None;
        }
        at = skip_blanks(text, at + 1);
        if text.get(at) == Some(&b'[') && text.get(skip_blanks(text, at + 1)) == Some(&b'{') {
            return Some(format!("`{}`", super::excerpt::quoted(&text[name])));
        }
        at += scanner.scan(&text[at..]).ok()?;
        at = skip_blanks(text, at);
        if text.get(at) != Some(&b',') {
            return None;
        }
        at = skip_blanks(text, at + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_encodings_are_named() {
        let check = |data: &[u8], expect: &str| {
            let (code, detail) = foreign(data).expect("foreign");
            assert_eq!(code, ViolationCode::Encoding);
            assert!(detail.contains(expect), "{detail}");
        };
        check(b"\xff\xfe[\0", "UTF-16 (little endian)");
        check(b"\xfe\xff\0[", "UTF-16 (big endian)");
        check(b"[\0{\0", "UTF-16 (little endian)");
        check(b"\0[\0{", "UTF-16 (big endian)");
        check(b"\xff\xfe\0\0[\0\0\0", "UTF-32 (little endian)");
        check(b"\0\0\xfe\xff\0\0\0[", "UTF-32 (big endian)");
        check(b"[\0\0\0]\0\0\0", "UTF-32 (little endian)");
        check(b"\0\0\0[\0\0\0]", "UTF-32 (big endian)");
        check(b"[\0]\0", "UTF-16 (little endian)");
        check(b"\0[\0]", "UTF-16 (big endian)");
        // Most of it need not be ASCII, and its end may be missing.
        let mut wide: Vec<u8> = r#"[{"日本語":1}]"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
        check(&wide, "UTF-16 (little endian)");
        wide.pop();
        check(&wide, "UTF-16 (little endian)");
    }

    #[test]
    fn a_stray_nul_makes_no_wide_text() {
        let entries = r#"{"event":"a","id":"1"}]"#;
        for beginning in ["[\0", "[\0\n", "[\0{\0", "[\0\0\0", "[\0\0\0\n\0\0\0"] {
            assert_eq!(
                foreign(format!("{beginning}{entries}").as_bytes()),
                None,
                "{beginning:?}"
            );
        }
        for data in [&b"[\x001]"[..], b"[\0", b"[\0]", b"[\0\0\0", b"[\0]\n"] {
            assert_eq!(foreign(data), None, "{data:?}");
        }
    }

    #[test]
    fn text_is_not_foreign() {
        for data in [&b""[..], b"[", b"[]", b" []", b"\xef\xbb\xbf[]", b"PK", b"hello"] {
            assert_eq!(foreign(data), None, "{data:?}");
        }
    }

    #[test]
    fn what_was_sent_instead_is_recognised() {
        let check = |text: &str, expect: &str| match recognise(text.as_bytes()) {
            Root::Value(detail) => assert!(detail.contains(expect), "{text}: {detail}"),
            other => panic!("{text}: {other:?}"),
        };
        check("{}", "the root is an object; put brackets around it");
        check("{\"a\":1}\n{\"a\":2}", "newline-delimited JSON");
        check("{\"a\":1}{\"a\":2}", "one object after the other");
        check("{\"a\":1},\n{\"a\":2}", "without brackets");
        check("{\"count\":1,\"events\":[{\"a\":1}]}", "in its member `\"events\"`");
        check("{\"events\": [\n{\"a\":", "in its member `\"events\"`");
        check("{\"events\": [1]}", "put brackets around it");
        check("{\"a\"", "the root is an object");
        check("\"text\"", "the root is a string");
        check("12", "the root is a number");
        check("-1.5e3 ", "the root is a number");
        check("true\n", "the root is a boolean");
        check("null", "the root is null");
    }

    #[test]
    fn what_only_begins_like_a_value_is_no_json() {
        for text in ["event,id", "2024-01-01", "nothing", "null,", "-", "<html>", "]", "'"] {
            assert_eq!(recognise(text.as_bytes()), Root::NotJson, "{text}");
        }
    }
}
