//! Where a source is: `sftp://user@host:port/path`, `file:///path`.
//!
//! A small reader of our own rather than a general one: a general one would quietly drop `..`, guess at blanks and hand
//! the password on. The path is the source's root. `sftp://h` is where the server puts us, `sftp://h/~/in` is relative to
//! that, `sftp://h/in` is absolute.

use std::fmt;
use std::path::PathBuf;

use super::section::Scalar;
use super::tree::{Node, Value};

/// The port where an URL names none.
const SFTP_PORT: u16 = 22;

/// Longest URL that is looked at.
const URL_BYTES_MAX: usize = 4096;

/// Where a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Url {
    /// A local directory.
    File(PathBuf),
    /// An SFTP server.
    Sftp {
        /// User; a source needs one, asking for host keys does not.
        user: Option<String>,
        /// Host name or address, IPv6 without brackets.
        host: String,
        /// Port.
        port: u16,
        /// The root, as [`super::resolve::SftpSettings::root`] has it.
        root: String,
    },
}

/// What is wrong with an URL. It never repeats the URL, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UrlError(String);

pub(super) fn refuse<T>(message: impl Into<String>) -> Result<T, UrlError> {
    Err(UrlError(message.into()))
}

impl Url {
    /// Reads an URL.
    pub fn parse(text: &str) -> Result<Url, UrlError> {
        if text.len() > URL_BYTES_MAX {
            return refuse(format!("it is longer than {URL_BYTES_MAX} bytes"));
        }
        if text.contains(|letter: char| letter.is_control() || letter == ' ') {
            return refuse("it holds a blank or a control character; a blank is written %20");
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return refuse("it has no scheme; write `sftp://user@host/path` or `file:///path`");
        };
        match scheme.to_ascii_lowercase().as_str() {
            "sftp" => sftp(rest),
            "file" => file(rest),
            "ssh" | "scp" => refuse("files are fetched by SFTP: write `sftp://`"),
            "ftp" | "ftps" => refuse("FTP is not spoken here; write `sftp://user@host/path` if the server has SFTP"),
            _ => refuse("its scheme is not known; write `sftp://user@host/path` or `file:///path`"),
        }
    }
}

fn sftp(rest: &str) -> Result<Url, UrlError> {
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let (user, address) = match authority.rsplit_once('@') {
        Some((user, address)) => (Some(user), address),
        None => (None, authority),
    };
    let user = match user {
        Some(user) if user.contains(':') => {
            return refuse("it holds a password; take it out and use `password_file` or `password_env`");
        }
        Some("") => return refuse("the user before `@` is empty"),
        Some(user) => Some(decoded(user)?),
        None => None,
    };
    let (host, port) = host_and_port(address)?;
    Ok(Url::Sftp {
        user,
        host,
        port: port.unwrap_or(SFTP_PORT),
        root: root(&decoded(plain(path)?)?)?,
    })
}

fn file(rest: &str) -> Result<Url, UrlError> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return refuse("an absolute path is wanted, after three slashes: `file:///path`");
    }
    let path = decoded(plain(path)?)?;
    if path.split('/').any(|part| part == "..") {
        return refuse("`..` in the path; write where it leads");
    }
    Ok(Url::File(PathBuf::from(path)))
}

/// Host, IPv6 without brackets, and port if there is one.
pub(super) fn host_and_port(address: &str) -> Result<(String, Option<u16>), UrlError> {
    let (host, port) = match address.strip_prefix('[') {
        Some(bracketed) => {
            let Some((host, after)) = bracketed.split_once(']') else {
                return refuse("the bracket before the IPv6 address is never closed");
            };
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return refuse("what is in brackets is no IPv6 address");
            }
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return refuse("after the IPv6 address only `:port` may follow"),
            }
        }
        None => match address.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return refuse("an IPv6 address stands in brackets: `[::1]`");
            }
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    if host.is_empty() {
        return refuse("it names no host");
    }
    let is_host_letter = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '-' | '_' | ':');
    if !host.chars().all(is_host_letter) || host.starts_with('-') {
        return refuse("the host is no host name");
    }
    let port = match port {
        None => None,
        // Digits only: `parse` would take a plus sign as well.
        Some(digits) => match digits.parse() {
            Ok(port) if port > 0 && digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(port),
            _ => return refuse("the port is no number from 1 to 65535"),
        },
    };
    Ok((host.to_owned(), port))
}

/// The path without what would be an URL's query or fragment: no server path means those.
fn plain(path: &str) -> Result<&str, UrlError> {
    match path.find(['?', '#']) {
        None => Ok(path),
        Some(_) => refuse("`?` or `#` in the path; they are written %3F and %23"),
    }
}

fn root(path: &str) -> Result<String, UrlError> {
    if path.split('/').any(|part| part == "..") {
        return refuse("`..` in the path; write where it leads");
    }
    let parts = |path: &str| -> String {
        let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        parts.join("/")
    };
    if path.is_empty() {
        return Ok(".".to_owned());
    }
    if path == "/~" || path.starts_with("/~/") {
        let below = parts(&path[2..]);
        return Ok(if below.is_empty() { ".".to_owned() } else { below });
    }
    Ok(format!("/{}", parts(path)))
}

/// Resolves `%XX`.
fn decoded(text: &str) -> Result<String, UrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match (digit(rest.next()), digit(rest.next())) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return refuse("two hex digits follow each `%`; `%` itself is written %25"),
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => Ok(text),
        _ => refuse("it is no UTF-8, or holds a control character, once `%XX` is resolved"),
    }
}

/// Writes as `%XX` what would end the part, and whatever is in `also`.
fn encoded(text: &str, also: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '%' | '?' | '#' | ' ') || also.contains(letter) {
            encoded.push_str(&format!("%{:02X}", u32::from(letter)));
        } else {
            encoded.push(letter);
        }
    }
    encoded
}

impl Scalar for Url {
    const MAY_BE_SHOWN: bool = false;

    fn read(node: &Node) -> Result<Url, String> {
        match &node.value {
            Value::Text(text) => Url::parse(text).map_err(|error| error.to_string()),
            _ => Err("a text in quotes is wanted: `sftp://user@host:port/path` or `file:///path`".to_owned()),
        }
    }
}

/// As it may be written: [`Url::parse`] takes it again.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Url::File(path) => write!(f, "file://{}", encoded(&path.to_string_lossy(), "")),
            Url::Sftp { user, host, port, root } => {
                write!(f, "sftp://")?;
                if let Some(user) = user {
                    write!(f, "{}@", encoded(user, "@:/"))?;
                }
                let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
                write!(f, "{open}{host}{close}:{port}")?;
                match root.as_str() {
                    "." => Ok(()),
                    root if root.starts_with('/') => f.write_str(&encoded(root, "")),
                    root => write!(f, "/~/{}", encoded(root, "")),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let check = |text: &str, expect: &str| {
            let found = match Url::parse(text) {
                Ok(Url::File(path)) => format!("file {}", path.display()),
                Ok(Url::Sftp { user, host, port, root }) => {
                    format!("{} {host} {port} {root}", user.as_deref().unwrap_or("-"))
                }
                Err(error) => format!("! {error}"),
            };
            assert!(
                found == expect
                    || (found.starts_with("! ") && expect.starts_with("! ") && found.contains(&expect[2..])),
                "{text}: found `{found}`, expected `{expect}`"
            );
        };
        check("sftp://acme@host", "acme host 22 .");
        check("sftp://acme@host/", "acme host 22 /");
        check("sftp://acme@host:2222/in/box/", "acme host 2222 /in/box");
        check("sftp://acme@host/~/in", "acme host 22 in");
        check("sftp://acme@host/~", "acme host 22 .");
        check("sftp://acme@host/~user", "acme host 22 /~user");
        check("SFTP://acme@host//in//./box", "acme host 22 /in/box");
        check("sftp://host/", "- host 22 /");
        check("sftp://acme@[::1]:2222/", "acme ::1 2222 /");
        check("sftp://acme@[2001:db8::7]", "acme 2001:db8::7 22 .");
        check("sftp://me%40corp@host/a%20b/%C3%A4", "me@corp host 22 /a b/ä");
        check("sftp://me@corp@host/", "me@corp host 22 /");
        check("sftp://büro.example/", "- büro.example 22 /");
        check("file:///data/in", "file /data/in");
        check("file://localhost/data", "file /data");
        check("file:///a%20b", "file /a b");

        check("sftp://acme:hunter2@host/", "! it holds a password");
        check("sftp://:@host/", "! it holds a password");
        check("sftp://@host/", "! the user before");
        check("sftp://acme@/in", "! names no host");
        check("sftp://", "! names no host");
        check("sftp://acme@ho st/", "! a blank");
        check("sftp://acme@host:0/", "! the port");
        check("sftp://acme@host:65536/", "! the port");
        check("sftp://acme@host:/", "! the port");
        check("sftp://acme@host:+22/", "! the port");
        check("sftp://acme@::1/", "! stands in brackets");
        check("sftp://acme@[::1/", "! never closed");
        check("sftp://acme@[fe80]/", "! no IPv6 address");
        check("sftp://acme@[::1]x/", "! only `:port`");
        check("sftp://acme@-oProxyCommand=x/", "! no host name");
        check("sftp://acme@host/%2e%2e/etc", "! `..`");
        check("sftp://acme@host/a/../b", "! `..`");
        check("sftp://acme@host/a?b", "! %3F");
        check("sftp://acme@host/%zz", "! hex digits");
        check("sftp://acme@host/%f", "! hex digits");
        check("sftp://acme@host/%ff", "! no UTF-8");
        check("sftp://acme@host/%00", "! control character");
        check("file://data/in", "! three slashes");
        check("file:///a/../b", "! `..`");
        check("ftp://host/", "! FTP is not spoken");
        check("acme@host:/in", "! no scheme");
        check("", "! no scheme");
        check("https://host/", "! not known");
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for text in [
            "sftp://acme@host:22",
            "sftp://acme@[::1]:2222/in",
            "sftp://host:22/~/in",
            "sftp://a%40b%3A@host:22/100%25%20%3F",
            "file:///data/a%20b",
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(url.to_string(), text);
            assert_eq!(Url::parse(&url.to_string()).unwrap(), url);
        }
    }
}
