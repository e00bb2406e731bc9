//! E-mail addresses: which ones Bento takes, and that none is shown.

/// Whether Bento takes an address.
///
/// Its answer never says which event of a call was not taken, so what can be told here is told here. Behind the `@` this is
/// as strict as the strictest of its own clients, the one in Ruby: labels of ASCII letters, digits and `-`, at least two, the
/// last of letters alone. Before it, that client knows no apostrophe, and real people have one: there it is what RFC 5322
/// calls an atom, with dots anywhere.
pub(super) fn is_taken(address: &str) -> bool {
    let Some((local, domain)) = address.split_once('@') else {
        return false;
    };
    let Some((labels, last)) = domain.rsplit_once('.') else {
        return false;
    };
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    !local.is_empty()
        && local
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte))
        && labels.split('.').all(is_label)
        && !last.is_empty()
        && last.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// A text with `***` in place of everything that looks like an address: what Bento says may quote one.
pub(super) fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    for piece in text.split_inclusive(ends_an_address) {
        let word = piece.trim_end_matches(ends_an_address);
        if ["@", "%40", "\\u0040", "\u{ff20}", "&#64"]
            .iter()
            .any(|at| word.contains(at))
        {
            masked.push_str("***");
            masked.push_str(&piece[word.len()..]);
        } else {
            masked.push_str(piece);
        }
    }
    masked
}

/// What cannot be in an address, but for quoted ones.
fn ends_an_address(char: char) -> bool {
    char.is_whitespace() || char.is_control() || "\"'`<>()[]{},;:|=".contains(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |address: &str, expect: bool| assert_eq!(is_taken(address), expect, "{address}");
        check("ada@example.com", true);
        check("Ada.L+news_1-x@mail.EXAMPLE.co.uk", true);
        check("a@b.c", true);
        check("1@1-2.de", true);
        check("ada@localhost", false);
        check("ada@example", false);
        check("ada@example.c0m", false);
        check("ada@exa_mple.com", false);
        check("ada@.com", false);
        check("ada@a..com", false);
        check("ada@example.com.", false);
        check("ada@@example.com", false);
        check("@example.com", false);
        check("ada", false);
        check("", false);
        check("ada b@example.com", false);
        check("o'brien@example.com", true);
        check("a,b@example.com", false);
        check("a\"b@example.com", false);
        check("ädä@example.com", false);
        check("ada@exämple.com", false);
        check("ada@example.com\n", false);
    }

    #[test]
    fn masks() {
        let check = |text: &str, expect: &str| assert_eq!(masked(text), expect, "{text}");
        check("", "");
        check("no such thing", "no such thing");
        check("ada@example.com is no address", "*** is no address");
        check("email <ada@example.com>, bob@b.co: taken", "email <***>, ***: taken");
        check("?email=ada%40example.com&x", "?email=***");
        check(r#"{"email":"ada\u0040example.com"}"#, r#"{"email":"***"}"#);
        check("'ada@x' and \"bob@x\"", "'***' and \"***\"");
        check("ada@example.com", "***");
    }
}
