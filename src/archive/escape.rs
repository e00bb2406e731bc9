//! Names from outside, made fit for a receipt, a log line and a terminal: bounded, and nothing in them unescaped.

use crate::hidden::is_hidden;

/// Longest name shown in a sentence, in characters.
pub(super) const SHOWN_MAX: usize = 80;

/// A name as it may be shown: controls and direction marks escaped, cut after [`SHOWN_MAX`] characters.
pub(super) fn shown(name: &str) -> String {
    shown_up_to(name, SHOWN_MAX)
}

/// The same, cut after `max` characters of the name.
pub(super) fn shown_up_to(name: &str, max: usize) -> String {
    let mut text = String::new();
    for (count, c) in name.chars().enumerate() {
        if count == max {
            text.push('…');
            break;
        }
        match c {
            c if c.is_ascii_control() => text.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if is_hidden(c) => text.extend(c.escape_unicode()),
            c => text.push(c),
        }
    }
    text
}

/// A name from a zip as text: UTF-8 where it is, else its bytes over 0x7f as `\xNN`.
///
/// The old code page 437 is not tried: a right name is ASCII, and a guess would only make a wrong name look like another.
pub(super) fn decoded(raw: &[u8]) -> String {
    match std::str::from_utf8(raw) {
        Ok(name) => name.to_owned(),
        Err(_) => raw
            .iter()
            .map(|&byte| {
                if byte < 0x80 {
                    char::from(byte).to_string()
                } else {
                    format!("\\x{byte:02x}")
                }
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_shown_name_is_unescaped() {
        let check = |name: &str, expect: &str| assert_eq!(shown_up_to(name, 8), expect);
        check("feed", "feed");
        check("a\nb\0\x1b[", "a\\x0ab\\x00\\x1b[");
        check("a\u{202e}b\u{85}", "a\\u{202e}b\\u{85}");
        check("größe", "größe");
        check("123456789", "12345678…");
    }

    #[test]
    fn a_name_that_is_no_utf_8_is_kept_apart_by_its_bytes() {
        assert_eq!(decoded(b"gr\x94\xe1e"), "gr\\x94\\xe1e");
        assert_eq!(decoded("größe".as_bytes()), "größe");
    }
}
