//! Headers of requests, and the statuses of their answers.
//!
//! What is written here stands in a request as it is: a line end in a value would begin a header of somebody else's, so
//! names are HTTP's tokens and values are visible ASCII.

use super::form::text;
use super::section::Scalar;
use super::table::Key;
use super::tree::Node;

/// Headers that Feedgate sets itself, or that concern the connection and not the request; and what to do instead.
const OURS: [(&str, &str); 16] = [
    (
        "authorization",
        "use `bearer_file`, `bearer_env`, or `user` with `password_file`",
    ),
    ("content-type", "Feedgate sets it, by `format`"),
    ("content-encoding", "Feedgate sets it, by `compression`"),
    ("content-length", "Feedgate sets it"),
    ("host", "Feedgate sets it, by `url`"),
    ("idempotency-key", "Feedgate sets it"),
    ("transfer-encoding", "Feedgate sets it"),
    ("connection", "Feedgate sets it"),
    ("keep-alive", "it concerns the connection, which is Feedgate's"),
    ("proxy-authorization", "it concerns the connection, which is Feedgate's"),
    ("proxy-connection", "it concerns the connection, which is Feedgate's"),
    ("accept-encoding", "answers are read as they are"),
    ("expect", "it concerns the connection, which is Feedgate's"),
    ("te", "it concerns the connection, which is Feedgate's"),
    ("trailer", "it concerns the connection, which is Feedgate's"),
    ("upgrade", "it concerns the connection, which is Feedgate's"),
];

/// What the names of Feedgate's own headers begin with: signature, time.
const OUR_PREFIX: &str = "feedgate-";

/// Longest name of a header, and longest value: servers take 8 KiB of headers, or little more.
const NAME_BYTES_MAX: usize = 128;
const VALUE_BYTES_MAX: usize = 4096;

/// The name of a header that Feedgate does not set itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderName(pub String);

impl Key for HeaderName {
    // `"Bearer …" = ""` is a slip that happens.
    const MAY_BE_SHOWN: bool = false;

    fn read(key: &str) -> Result<HeaderName, String> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if key.is_empty() || key.len() > NAME_BYTES_MAX || !key.bytes().all(is_token) {
            return Err(format!(
                "a header's name is wanted: letters, digits and `-`, at most {NAME_BYTES_MAX}"
            ));
        }
        let name = key.to_ascii_lowercase();
        if name.starts_with(OUR_PREFIX) {
            return Err("headers that begin with `Feedgate-` are Feedgate's own; take another name".to_owned());
        }
        if let Some((ours, instead)) = OURS.iter().find(|(ours, _)| *ours == name) {
            return Err(format!("the header `{ours}` is not for here: {instead}"));
        }
        Ok(HeaderName(key.to_owned()))
    }
}

/// The value of a header.
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderValue(pub String);

impl HeaderValue {
    /// Takes a value; `Err` says what is wanted.
    pub(super) fn new(value: &str) -> Result<HeaderValue, &'static str> {
        if value.len() > VALUE_BYTES_MAX {
            return Err("it is longer than 4096 bytes");
        }
        // Blanks at either end are none of the value's: receivers cut them off.
        let is_fine = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        if value.is_empty() || value.trim() != value || !value.bytes().all(is_fine) {
            return Err("visible ASCII is wanted, with blanks only in between");
        }
        Ok(HeaderValue(value.to_owned()))
    }
}

/// Some are secret.
impl std::fmt::Debug for HeaderValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(value)")
    }
}

impl Scalar for HeaderValue {
    const MAY_BE_SHOWN: bool = false;

    fn read(node: &Node) -> Result<HeaderValue, String> {
        Ok(HeaderValue::new(&text(node)?)?)
    }
}

/// A status by which a receiver may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u16);

impl Key for Status {
    fn read(key: &str) -> Result<Status, String> {
        let is_number = key.len() == 3 && key.bytes().all(|byte| byte.is_ascii_digit());
        match key.parse() {
            Ok(status @ 200..=599) if is_number => Ok(Status(status)),
            _ => Err("a status is wanted, 200 to 599".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |name: &str, expect: &str| {
            let found = HeaderName::read(name).map_or_else(|wanted| wanted, |name| name.0);
            assert!(found.contains(expect), "{name:?}: {found}");
        };
        check("X-Tenant", "X-Tenant");
        check("User-Agent", "User-Agent");
        check("x_a.b~", "x_a.b~");
        check("", "a header's name");
        check("X Tenant", "a header's name");
        check("X-Tenant:", "a header's name");
        check("X\r\nA", "a header's name");
        check("Ä", "a header's name");
        check(&"a".repeat(129), "a header's name");
        check("Authorization", "`bearer_file`");
        check("CONTENT-TYPE", "`format`");
        check("content-encoding", "`compression`");
        check("Feedgate-Signature", "Feedgate's own");
        check("feedgate-timestamp", "Feedgate's own");
        for (ours, _) in OURS {
            check(&ours.to_ascii_uppercase(), "is not for here");
        }
    }

    #[test]
    fn values() {
        let check = |value: &str, expect: bool| {
            assert_eq!(HeaderValue::new(value).is_ok(), expect, "{value:?}");
        };
        check("a b, c;q=1", true);
        check("\"~\"", true);
        check(&"a".repeat(4096), true);
        check(&"a".repeat(4097), false);
        check("", false);
        check(" a", false);
        check("a ", false);
        check("a\tb", false);
        check("a\r\nX-Evil: 1", false);
        check("a\0", false);
        check("ä", false);
        assert!(!format!("{:?}", HeaderValue::new("hunter2").unwrap()).contains("hunter2"));
    }

    #[test]
    fn statuses() {
        let check = |key: &str, expect: Option<u16>| {
            assert_eq!(Status::read(key).ok().map(|status| status.0), expect, "{key:?}");
        };
        check("200", Some(200));
        check("409", Some(409));
        check("599", Some(599));
        check("199", None);
        check("600", None);
        check("+40", None);
        check("0409", None);
        check("4xx", None);
        check("", None);
    }
}
