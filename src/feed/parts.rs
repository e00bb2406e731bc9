//! The members of an object and the elements of an array, for what is looked at beyond the five keys.
//!
//! Works on text that the scanner has passed: it finds its way by brackets and quotation marks, and doubts nothing. Feeds
//! that need no more than the five keys never come here.

use super::scan::{is_blank, skip_blanks, string};
use super::text::unescaped;

/// A member of an object: where its name and its value lie in the text that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// Offset of the name's quotation mark.
    pub place: usize,
    /// What stands between the name's quotation marks, with its escapes.
    pub name: &'a str,
    /// Offset of the value.
    pub from: usize,
    /// The value, as it is written.
    pub value: &'a str,
}

impl Part<'_> {
    /// Whether its name is this one, written plainly or with escapes.
    pub fn is(&self, name: &str) -> bool {
        self.name == name || (self.name.contains('\\') && unescaped(self.name.as_bytes()).eq(name.bytes()))
    }
}

/// The members of an object, in order; none of what is no object.
pub(super) fn members(object: &str) -> impl Iterator<Item = Part<'_>> {
    let text = object.as_bytes();
    let mut at = after_opening(text, b'{');
    std::iter::from_fn(move || {
        let place = at?;
        let name_end = string(text, place).ok()?;
        let from = skip_blanks(text, skip_blanks(text, name_end) + 1);
        let to = end_of(text, from);
        at = after_comma(text, to);
        Some(Part {
            place,
            name: &object[place + 1..name_end - 1],
            from,
            value: &object[from..to],
        })
    })
}

/// The elements of an array, in order, as they are written; none of what is no array.
pub(super) fn elements(array: &str) -> impl Iterator<Item = &str> {
    let text = array.as_bytes();
    let mut at = after_opening(text, b'[');
    std::iter::from_fn(move || {
        let from = at?;
        let to = end_of(text, from);
        at = after_comma(text, to);
        Some(&array[from..to])
    })
}

/// The last member of this name, as parsers of JSON have it where there are several.
pub(super) fn member<'a>(object: &'a str, name: &str) -> Option<Part<'a>> {
    members(object).filter(|part| part.is(name)).last()
}

/// Where the first name or element begins, if the text is such a container and is not empty.
fn after_opening(text: &[u8], opening: u8) -> Option<usize> {
    if text.first() != Some(&opening) {
        return None;
    }
    let at = skip_blanks(text, 1);
    (!matches!(text.get(at), Some(b'}' | b']') | None)).then_some(at)
}

/// Where the next name or element begins, if there is one after the value that ends here.
fn after_comma(text: &[u8], end: usize) -> Option<usize> {
    let at = skip_blanks(text, end);
    (text.get(at) == Some(&b',')).then(|| skip_blanks(text, at + 1))
}

/// The end of the value that begins here.
fn end_of(text: &[u8], from: usize) -> usize {
    let mut open = 0;
    let mut at = from;
    while let Some(byte) = text.get(at) {
        at = match byte {
            b'"' => string(text, at).unwrap_or(text.len()),
            b'{' | b'[' => {
                open += 1;
                at + 1
            }
            b'}' | b']' => {
                open -= 1;
                at + 1
            }
            // Between the parts of a container there is nothing to be found; outside of one, the value is this.
            _ if open > 0 => at + 1,
            _ => scalar_end(text, at),
        };
        if open == 0 {
            return at;
        }
    }
    text.len()
}

/// The end of a number or of `true`, `false`, `null`.
fn scalar_end(text: &[u8], from: usize) -> usize {
    let ends = |byte: &u8| is_blank(*byte) || matches!(byte, b',' | b'}' | b']');
    let rest = &text[from..];
    from + rest.iter().position(ends).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(object: &str, expect: &[(&str, &str)]) {
        let found: Vec<(&str, &str)> = members(object).map(|part| (part.name, part.value)).collect();
        assert_eq!(found, expect, "{object}");
        for part in members(object) {
            assert_eq!(object.as_bytes()[part.place], b'"', "{object}");
            assert!(object[part.from..].starts_with(part.value), "{object}");
        }
    }

    #[test]
    fn members_of_an_object() {
        check("{}", &[]);
        check(" {\"a\":1}", &[]);
        check("[1]", &[]);
        check("{ }", &[]);
        check(r#"{"a":1}"#, &[("a", "1")]);
        check(
            "{ \"a\" : -1.50e3 ,\n\"b\":null,\"a\" : \"}\\\"]\" }",
            &[("a", "-1.50e3"), ("b", "null"), ("a", r#""}\"]""#)],
        );
        check(
            r#"{"cart":{"x":[{"y":"]}"},[]],"z":{}},"t":true}"#,
            &[("cart", r#"{"x":[{"y":"]}"},[]],"z":{}}"#), ("t", "true")],
        );
    }

    #[test]
    fn elements_of_an_array() {
        let check = |array: &str, expect: &[&str]| assert_eq!(elements(array).collect::<Vec<_>>(), expect, "{array}");
        check("[]", &[]);
        check("[ ]", &[]);
        check("{}", &[]);
        check(
            r#"[ 1, "a,b" ,[2,[3]],{"a":[4]} , true]"#,
            &["1", r#""a,b""#, "[2,[3]]", r#"{"a":[4]}"#, "true"],
        );
    }

    #[test]
    fn names_are_compared_after_unescaping() {
        let object = r#"{"\u0073ku":"A","sku":"B"}"#;
        assert_eq!(members(object).filter(|part| part.is("sku")).count(), 2);
        assert_eq!(member(object, "sku").map(|part| part.value), Some(r#""B""#));
        assert_eq!(member(object, "id"), None);
    }
}
