//! Percent-encoding, as URLs have it (RFC 3986, section 2).

/// Text with everything written as `%XX` that is not a letter, a digit or one of `-._~`.
pub(super) fn encoded(text: &str) -> String {
    encoded_by(text, |byte| format!("%{byte:02X}"))
}

/// The same with hex digits in small letters, as some write it.
pub(super) fn encoded_small(text: &str) -> String {
    encoded_by(text, |byte| format!("%{byte:02x}"))
}

fn encoded_by(text: &str, escape: fn(u8) -> String) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_plain(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&escape(byte));
        }
    }
    encoded
}

/// Text with its `%XX` escapes read. What is none stays as it is, and bytes that are no UTF-8 are replaced: this is for
/// looking at what somebody else wrote, not for taking it.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, more)) = rest.split_first() {
        let escaped = more
            .get(..2)
            .filter(|_| byte == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { &more[2..] } else { more };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let check = |text: &str, expect: &str| {
            assert_eq!(encoded(text), expect);
            assert_eq!(
                encoded_small(text),
                expect.replace("%C3%A4", "%c3%a4").replace("%2F", "%2f")
            );
            assert_eq!(decoded(&encoded(text)), text);
            assert_eq!(decoded(&encoded_small(text)), text);
        };
        check("", "");
        check("aZ09-._~", "aZ09-._~");
        check("a b", "a%20b");
        check("100%", "100%25");
        check("\u{e4}/", "%C3%A4%2F");
    }

    #[test]
    fn what_is_no_escape_stays() {
        let check = |text: &str, expect: &str| assert_eq!(decoded(text), expect);
        check("%", "%");
        check("%4", "%4");
        check("%zz", "%zz");
        check("%68i", "hi");
        check("%ff", "\u{fffd}");
    }
}
