//! Passing over JSON that is known to be valid: where the members of an object lie, and the elements of an array.
//!
//! The grammar was held against the text before, by the feed's reader or by serde_json. So this looks at as little as it can:
//! what nobody asks for is passed by its quotation marks and brackets. On text that is no JSON it gives nonsense, and ends.

use std::ops::Range;

use crate::feed::unescaped;

/// A member of an object: its name between the quotation marks, still escaped, and its value.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub name: Range<usize>,
    pub value: Range<usize>,
}

/// The members of the object that begins at `open`, in the order written.
pub(super) fn members(text: &[u8], open: usize) -> Members<'_> {
    Members {
        text,
        at: skip_blanks(text, open + 1),
    }
}

/// See [`members`].
pub(super) struct Members<'a> {
    text: &'a [u8],
    at: usize,
}

impl Iterator for Members<'_> {
    type Item = Member;

    #[inline]
    fn next(&mut self) -> Option<Member> {
        let name = self.at;
        if self.text.get(name) != Some(&b'"') {
            return None;
        }
        let name_end = string_end(self.text, name);
        let colon = skip_blanks(self.text, name_end);
        let value = skip_blanks(self.text, colon + 1);
        let end = value_end(self.text, value);
        self.at = behind(self.text, end);
        Some(Member {
            name: name + 1..name_end.saturating_sub(1).max(name + 1),
            value: value..end,
        })
    }
}

/// The elements of the array that begins at `open`.
pub(super) fn elements(text: &[u8], open: usize) -> Elements<'_> {
    Elements {
        text,
        at: skip_blanks(text, open + 1),
    }
}

/// See [`elements`].
pub(super) struct Elements<'a> {
    text: &'a [u8],
    at: usize,
}

impl Iterator for Elements<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let from = self.at;
        let end = value_end(self.text, from);
        if end == from {
            return None;
        }
        self.at = behind(self.text, end);
        Some(from..end)
    }
}

/// Behind the comma that follows a value, if one does.
fn behind(text: &[u8], end: usize) -> usize {
    let at = skip_blanks(text, end);
    match text.get(at) {
        Some(b',') => skip_blanks(text, at + 1),
        _ => at,
    }
}

/// Index of the first byte from `at` on that is not blank.
#[inline]
pub(super) fn skip_blanks(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
        at += 1;
    }
    at
}

/// Where the value that begins at `at` ends.
#[inline]
pub(super) fn value_end(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(b'"') => string_end(text, at),
        Some(b'{' | b'[') => container_end(text, at),
        _ => {
            let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
            let rest = text.get(at..).unwrap_or_default();
            at + rest.iter().position(is_end).unwrap_or(rest.len())
        }
    }
}

/// Where the string that begins at `at` ends, its quotation mark included.
#[inline]
fn string_end(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(rest) = text.get(at..) {
        match memchr::memchr2(b'"', b'\\', rest) {
            Some(offset) if rest[offset] == b'"' => return at + offset + 1,
            Some(offset) => at += offset + 2,
            None => break,
        }
    }
    text.len()
}

fn container_end(text: &[u8], mut at: usize) -> usize {
    let mut open = 0u64;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at = string_end(text, at);
                continue;
            }
            b'{' | b'[' => open += 1,
            b'}' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if open == 0 {
            break;
        }
    }
    at
}

/// Whether a name, as written between its quotation marks, is this one.
#[inline]
pub(super) fn is_named(written: &[u8], name: &str) -> bool {
    if written == name.as_bytes() {
        return true;
    }
    // Escapes only ever make it longer.
    written.len() > name.len() && memchr::memchr(b'\\', written).is_some() && unescaped(written).eq(name.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let members: Vec<String> = members(text.as_bytes(), 0)
            .map(|member| format!("{}={}", &text[member.name], &text[member.value]))
            .collect();
        assert_eq!(members.join(" "), expect, "{text}");
    }

    #[test]
    fn members_come_in_the_order_written() {
        check("{}", "");
        check(r#"{"a":1}"#, "a=1");
        check(
            "{ \"a\" : \"x\\\"}\" ,\n\"b\":{\"c\":[1,{}]}, \"d\":null }",
            "a=\"x\\\"}\" b={\"c\":[1,{}]} d=null",
        );
        check(r#"{"a":1,"a":2,"":-3.5e1}"#, "a=1 a=2 =-3.5e1");
    }

    #[test]
    fn elements_too() {
        let check = |text: &str, expect: &[&str]| {
            let found: Vec<&str> = elements(text.as_bytes(), 0).map(|range| &text[range]).collect();
            assert_eq!(found, expect, "{text}");
        };
        check("[]", &[]);
        check("[ ]", &[]);
        check("[1]", &["1"]);
        check("[ {\"a\":[2]} , \"]\",null ]", &["{\"a\":[2]}", "\"]\"", "null"]);
    }

    #[test]
    fn names_are_compared_after_unescaping() {
        let check = |written: &str, name: &str, expect| assert_eq!(is_named(written.as_bytes(), name), expect);
        check("sku", "sku", true);
        check("sk", "sku", false);
        check("sku2", "sku", false);
        check("\\u0073ku", "sku", true);
        check("\\u0073ky", "sku", false);
    }

    #[test]
    fn what_is_no_json_ends() {
        for text in [
            "{",
            "{\"",
            "{\"a",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":[",
            "{\"a\\",
            "}",
            "",
            "{\"a\":\"b\\",
        ] {
            assert!(members(text.as_bytes(), 0).count() <= 1, "{text}");
            assert!(elements(text.as_bytes(), 0).count() <= 2, "{text}");
        }
    }
}
