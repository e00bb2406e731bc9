//! The forms of values: texts, durations, sizes, names. Each takes a value as written, or says what is wanted instead.
//!
//! `words` has those that are one word of a few, `table` the tables, `web_url` and `url` the addresses.

use std::path::PathBuf;
use std::time::Duration;

use super::resolve::MaxRejected;
use super::section::Scalar;
use super::tree::{Node, Value};

/// Longest name of a source or destination: it becomes part of paths and of every log line.
const NAME_CHARS_MAX: usize = 64;

/// Longest id of a site.
const SITE_UUID_BYTES_MAX: usize = 64;

/// Longest text of any other kind.
const TEXT_BYTES_MAX: usize = 4096;

/// Text that is not blank and holds no control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(pub String);

impl Scalar for Text {
    fn read(node: &Node) -> Result<Text, String> {
        text(node).map(Text)
    }
}

pub(super) fn text(node: &Node) -> Result<String, String> {
    let Value::Text(text) = &node.value else {
        return Err("a text in quotes is wanted".to_owned());
    };
    if text.trim().is_empty() {
        return Err("it is empty; leave the key out instead".to_owned());
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("at most {TEXT_BYTES_MAX} bytes are wanted"));
    }
    if text.contains(char::is_control) {
        return Err("it holds a control character".to_owned());
    }
    Ok(text.clone())
}

impl Scalar for PathBuf {
    fn read(node: &Node) -> Result<PathBuf, String> {
        text(node).map(PathBuf::from)
    }
}

/// One text, or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strings(pub Vec<String>);

impl Scalar for Strings {
    fn read(node: &Node) -> Result<Strings, String> {
        let wanted = |_| "a text or a list of texts is wanted, none of them empty".to_owned();
        match &node.value {
            Value::List(items) => items
                .iter()
                .map(text)
                .collect::<Result<_, _>>()
                .map(Strings)
                .map_err(wanted),
            _ => text(node).map(|only| Strings(vec![only])).map_err(wanted),
        }
    }
}

impl Scalar for bool {
    fn read(node: &Node) -> Result<bool, String> {
        match &node.value {
            Value::Boolean(truth) => Ok(*truth),
            Value::Text(text) if node.is_from_environment() && text == "true" => Ok(true),
            Value::Text(text) if node.is_from_environment() && text == "false" => Ok(false),
            _ => Err("true or false is wanted, without quotes".to_owned()),
        }
    }
}

/// A whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u64);

impl Scalar for Count {
    fn read(node: &Node) -> Result<Count, String> {
        let number = match &node.value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::Text(text) if node.is_from_environment() => digits(text),
            _ => None,
        };
        number
            .map(Count)
            .ok_or_else(|| "a whole number is wanted, without quotes".to_owned())
    }
}

/// Digits and nothing else: `parse` would take a plus sign as well.
pub(super) fn digits(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    None
}

/// A size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl Scalar for Bytes {
    fn read(node: &Node) -> Result<Bytes, String> {
        let size = match &node.value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::Text(text) => text.trim().parse::<bytesize::ByteSize>().ok().map(|size| size.as_u64()),
            _ => None,
        };
        // SQLite counts in 63 bits; and bytesize stops at the top instead of refusing.
        size.filter(|size| i64::try_from(*size).is_ok_and(|size| size < i64::MAX))
            .map(Bytes)
            .ok_or_else(|| "a size is wanted, such as \"64MiB\", \"2GiB\", \"10MB\", or a number of bytes".to_owned())
    }
}

impl Scalar for Duration {
    fn read(node: &Node) -> Result<Duration, String> {
        let wanted = || "a duration is wanted, such as \"15s\", \"10m\", \"500ms\", \"30d\"".to_owned();
        let Value::Text(text) = &node.value else {
            return Err(wanted());
        };
        let duration = humantime::parse_duration(text.trim()).map_err(|_| wanted())?;
        // Times are milliseconds, and everything below is none.
        if duration.subsec_nanos() % 1_000_000 != 0 {
            return Err("whole milliseconds are wanted".to_owned());
        }
        Ok(duration)
    }
}

/// The name of a source or destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(pub String);

impl Scalar for Name {
    fn read(node: &Node) -> Result<Name, String> {
        let wanted = || {
            format!("a name is wanted: a to z, 0 to 9, `_` and `-`, at most {NAME_CHARS_MAX}, a letter or digit first")
        };
        let name = text(node).map_err(|_| wanted())?;
        let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_fine = name.len() <= NAME_CHARS_MAX
            && name.bytes().all(|byte| is_letter(byte) || byte == b'_' || byte == b'-')
            && name.bytes().next().is_some_and(is_letter);
        if is_fine { Ok(Name(name)) } else { Err(wanted()) }
    }
}

/// The id of a site at Bento.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteUuid(pub String);

impl Scalar for SiteUuid {
    // The keys that belong to it look much the same.
    const MAY_BE_SHOWN: bool = false;

    fn read(node: &Node) -> Result<SiteUuid, String> {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        match &node.value {
            Value::Text(text) if !text.is_empty() && text.len() <= SITE_UUID_BYTES_MAX && text.bytes().all(is_fine) => {
                Ok(SiteUuid(text.clone()))
            }
            _ => Err(format!(
                "a site's id is wanted, in quotes: letters, digits, `-` and `_`, at most {SITE_UUID_BYTES_MAX}"
            )),
        }
    }
}

/// The ISO code of a currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Currency(pub String);

impl Scalar for Currency {
    fn read(node: &Node) -> Result<Currency, String> {
        match &node.value {
            Value::Text(text) if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                Ok(Currency(text.clone()))
            }
            _ => Err("three capital letters are wanted, such as \"EUR\"".to_owned()),
        }
    }
}

/// A directory below a source's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelativeDir(pub String);

impl RelativeDir {
    /// A directory that is known to be well-formed: a default.
    pub(super) fn new(path: &str) -> RelativeDir {
        RelativeDir(path.to_owned())
    }
}

impl Scalar for RelativeDir {
    fn read(node: &Node) -> Result<RelativeDir, String> {
        let path = text(node)?;
        if path.starts_with('/') {
            return Err("a directory below the root is wanted, without a `/` in front".to_owned());
        }
        let path = path.trim_end_matches('/');
        if path
            .split('/')
            .any(|part| part.is_empty() || part == "." || part == "..")
        {
            return Err("a directory below the root is wanted, without `.`, `..` or empty parts".to_owned());
        }
        // The placeholders must be understood by whoever fills them in; a stray brace would become part of a name.
        let literal = path.replace("{yyyy}", "").replace("{mm}", "").replace("{dd}", "");
        if literal.contains(['{', '}']) {
            return Err("only `{yyyy}`, `{mm}` and `{dd}` may stand in braces".to_owned());
        }
        Ok(RelativeDir(path.to_owned()))
    }
}

impl Scalar for MaxRejected {
    fn read(node: &Node) -> Result<MaxRejected, String> {
        let limit = match &node.value {
            Value::Integer(number) => u64::try_from(*number).ok().map(MaxRejected::Count),
            Value::Text(text) => match text.strip_suffix('%') {
                Some(share) => share_of(share).map(MaxRejected::Share),
                None if node.is_from_environment() => digits(text).map(MaxRejected::Count),
                None => None,
            },
            _ => None,
        };
        limit.ok_or_else(|| "a share such as \"10%\", or a whole number, is wanted".to_owned())
    }
}

/// A share from its percentage: digits with at most one point, so that `nan`, `inf` and `1e1` are none.
fn share_of(percentage: &str) -> Option<f64> {
    if !percentage.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let percentage: f64 = percentage.parse().ok()?;
    (0.0..=100.0).contains(&percentage).then_some(percentage / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::{from_environment, from_file};

    #[test]
    fn durations() {
        let check = |text: &str, expect: Option<u64>| {
            let found = Duration::read(&from_file(text));
            assert_eq!(found.ok(), expect.map(Duration::from_millis), "{text}");
        };
        check("'15s'", Some(15_000));
        check("'500ms'", Some(500));
        check("'0s'", Some(0));
        check("'0'", Some(0));
        check("'30d'", Some(30 * 86_400_000));
        check("'1h 30m'", Some(5_400_000));
        check("' 5s '", Some(5_000));
        check("5", None);
        check("'5'", None);
        check("'5 parsecs'", None);
        check("'-5s'", None);
        check("''", None);
        check("'5us'", None);
        check("'99999999999999999999d'", None);
    }

    #[test]
    fn sizes() {
        let check = |text: &str, expect: Option<u64>| {
            let found = Bytes::read(&from_file(text));
            assert_eq!(found.ok().map(|size| size.0), expect, "{text}");
        };
        check("'2GiB'", Some(2 << 30));
        check("'64 MiB'", Some(64 << 20));
        check("'10MB'", Some(10_000_000));
        check("'1.5KiB'", Some(1536));
        check("123", Some(123));
        check("'123'", Some(123));
        check("-1", None);
        check("'-1'", None);
        check("1.5", None);
        check("'2 gigs'", None);
        check("''", None);
        check("'99999999EiB'", None);
        check("true", None);
    }

    #[test]
    fn what_the_environment_says_is_text() {
        assert_eq!(Count::read(&from_environment("200")).unwrap(), Count(200));
        assert!(Count::read(&from_file("'200'")).is_err());
        assert!(Count::read(&from_environment("+200")).is_err());
        assert!(Count::read(&from_environment("2e2")).is_err());
        assert!(bool::read(&from_environment("true")).unwrap());
        assert!(!bool::read(&from_environment("false")).unwrap());
        assert!(bool::read(&from_environment("yes")).is_err());
        assert!(bool::read(&from_file("'true'")).is_err());
        assert_eq!(
            MaxRejected::read(&from_environment("7")).unwrap(),
            MaxRejected::Count(7)
        );
    }

    #[test]
    fn names() {
        let check = |name: &str, expect: bool| {
            let node = from_environment(name);
            assert_eq!(Name::read(&node).is_ok(), expect, "{name:?}");
        };
        check("acme", true);
        check("acme-2_b", true);
        check("0", true);
        check(&"a".repeat(64), true);
        check(&"a".repeat(65), false);
        check("", false);
        check("Acme", false);
        check("-a", false);
        check("a b", false);
        check("a/b", false);
        check("..", false);
        check("käse", false);
        check("a\n", false);
    }

    #[test]
    fn sites_and_currencies() {
        let check = |text: &str, expect: bool| {
            assert_eq!(SiteUuid::read(&from_environment(text)).is_ok(), expect, "{text:?}");
        };
        check("2103f23614d9877a6b4ee73d28a5c61d", true);
        check("a-B_9", true);
        check(&"a".repeat(64), true);
        check(&"a".repeat(65), false);
        check("", false);
        check("a b", false);
        check("a&b=c", false);
        check("\u{e4}", false);
        let check = |text: &str, expect: bool| {
            assert_eq!(Currency::read(&from_environment(text)).is_ok(), expect, "{text:?}");
        };
        check("EUR", true);
        check("eur", false);
        check("EURO", false);
        check("E1R", false);
        check("", false);
    }

    #[test]
    fn directories_below_the_root() {
        let check = |path: &str, expect: Option<&str>| {
            let node = from_environment(path);
            assert_eq!(
                RelativeDir::read(&node).ok().map(|dir| dir.0).as_deref(),
                expect,
                "{path:?}"
            );
        };
        check("processed", Some("processed"));
        check("a/b", Some("a/b"));
        check("a/", Some("a"));
        check("done/{yyyy}/{mm}/{dd}", Some("done/{yyyy}/{mm}/{dd}"));
        check("done/{hh}", None);
        check("done/}", None);
        check("/a", None);
        check(".", None);
        check("a/../..", None);
        check("a//b", None);
        check("/", None);
        check("", None);
        check("a\0b", None);
    }

    #[test]
    fn how_many_rejects_are_too_many() {
        let check = |text: &str, expect: Option<MaxRejected>| {
            assert_eq!(MaxRejected::read(&from_file(text)).ok(), expect, "{text}");
        };
        check("'10%'", Some(MaxRejected::Share(0.1)));
        check("'0.5%'", Some(MaxRejected::Share(0.005)));
        check("'100%'", Some(MaxRejected::Share(1.0)));
        check("0", Some(MaxRejected::Count(0)));
        check("1000", Some(MaxRejected::Count(1000)));
        check("'101%'", None);
        check("'nan%'", None);
        check("'1e1%'", None);
        check("'-1%'", None);
        check("'%'", None);
        check("'10'", None);
        check("0.1", None);
    }

    #[test]
    fn one_text_or_several() {
        assert_eq!(Strings::read(&from_file("'a'")).unwrap(), Strings(vec!["a".to_owned()]));
        assert!(Strings::read(&from_file("['a', 1]")).is_err());
        assert!(Strings::read(&from_file("['a', '']")).is_err());
    }
}
