//! Where requests go: `https://host:port/path?query`.
//!
//! Like a source's `url` this is read by a small reader of our own, and never repeated in a message: a query may hold a
//! secret. What it takes stands in the request as it was written; what would have to be guessed at or escaped is refused.

use std::net::IpAddr;

use super::section::Scalar;
use super::tree::{Node, Value};
use super::url::{UrlError, host_and_port, refuse};

/// Longest URL that is looked at.
const URL_BYTES_MAX: usize = 4096;

/// An URL of HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct WebUrl {
    /// As it was written, but for scheme and host, which are in small letters.
    pub text: String,
    /// Whether what is sent can be read on the way: `http://` to anything but this machine.
    pub is_exposed: bool,
    /// Whether it has a query.
    pub has_query: bool,
}

/// Without what may be secret.
impl std::fmt::Debug for WebUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(without_query(&self.text))
    }
}

/// What of an URL may be shown.
pub(super) fn without_query(url: &str) -> &str {
    url.split_once('?').map_or(url, |(shown, _)| shown)
}

impl WebUrl {
    /// Reads an URL.
    pub(super) fn parse(text: &str) -> Result<WebUrl, UrlError> {
        if text.len() > URL_BYTES_MAX {
            return refuse(format!("it is longer than {URL_BYTES_MAX} bytes"));
        }
        if text.contains(|letter: char| letter.is_control() || letter == ' ') {
            return refuse("it holds a blank or a control character; a blank is written %20");
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return refuse("it has no scheme; write `https://host/path`");
        };
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "https" && scheme != "http" {
            return refuse("its scheme is not known; write `https://host/path` or `http://host/path`");
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return refuse("it holds a user or a password; take them out and use `user` and `password_file`");
        }
        if path.contains('#') {
            return refuse("it has a fragment, `#…`, which no request carries; `#` itself is written %23");
        }
        if !authority.is_ascii() {
            return refuse("a host is written in ASCII: `xn--…`");
        }
        let authority = authority.to_ascii_lowercase();
        let (host, _) = host_and_port(&authority)?;
        check_path(path)?;
        Ok(WebUrl {
            is_exposed: scheme == "http" && !is_this_machine(&host),
            has_query: path.contains('?'),
            text: format!("{scheme}://{authority}{path}"),
        })
    }
}

/// The base of an API, as somebody typed it: without a query, not to be read on the way. `Err` says what is wrong with it.
pub fn web_base(text: &str) -> Result<String, String> {
    let url = WebUrl::parse(text).map_err(|error| error.to_string())?;
    if url.is_exposed {
        return Err("`http://` would show what lets us in to everyone on the way; write `https://`".to_owned());
    }
    if url.has_query {
        return Err("an API's base has no query".to_owned());
    }
    Ok(url.text.trim_end_matches('/').to_owned())
}

/// Path and query hold only what RFC 3986 lets stand there.
fn check_path(path: &str) -> Result<(), UrlError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte);
    if !path.bytes().all(is_plain) {
        return refuse("letters beyond ASCII, quotes, brackets and the like are written %XX");
    }
    let is_hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
    for after in path.split('%').skip(1) {
        let mut digits = after.bytes();
        if !is_hex(digits.next()) || !is_hex(digits.next()) {
            return refuse("two hex digits follow each `%`; `%` itself is written %25");
        }
    }
    Ok(())
}

/// Whether a host, without brackets and a port, is the machine this runs on.
pub fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Scalar for WebUrl {
    const MAY_BE_SHOWN: bool = false;

    fn read(node: &Node) -> Result<WebUrl, String> {
        match &node.value {
            Value::Text(text) => WebUrl::parse(text).map_err(|error| error.to_string()),
            _ => Err("a text in quotes is wanted: `https://host/path`".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let check = |text: &str, expect: &str| {
            let found = match WebUrl::parse(text) {
                Ok(url) => {
                    let exposed = if url.is_exposed { " exposed" } else { "" };
                    format!("{}{exposed}", url.text)
                }
                Err(error) => format!("! {error}"),
            };
            assert!(
                found == expect
                    || (expect.starts_with("! ") && found.starts_with("! ") && found.contains(&expect[2..])),
                "{text}: found `{found}`, expected `{expect}`"
            );
        };
        check("https://example.com", "https://example.com");
        check("https://example.com/", "https://example.com/");
        check(
            "HTTPS://Example.COM:8443/In?a=B%20c",
            "https://example.com:8443/In?a=B%20c",
        );
        check("https://example.com?a=b", "https://example.com?a=b");
        check("https://[::1]:8443/in", "https://[::1]:8443/in");
        check("https://example.com/a@b:c", "https://example.com/a@b:c");
        check("http://example.com/in", "http://example.com/in exposed");
        check("http://10.0.0.1", "http://10.0.0.1 exposed");
        check("http://[2001:db8::7]/", "http://[2001:db8::7]/ exposed");
        check("http://localhost.example.com/", "http://localhost.example.com/ exposed");
        check("http://LocalHost:80/", "http://localhost:80/");
        check("http://127.1.2.3/", "http://127.1.2.3/");
        check("http://[::1]/", "http://[::1]/");

        check("https://u:hunter2@example.com/", "! a user or a password");
        check("https://u@example.com/", "! a user or a password");
        check("https://u@@example.com", "! a user or a password");
        check("https://example.com/#a", "! a fragment");
        check("https://example.com#a", "! a fragment");
        check("https://", "! names no host");
        check("https:///path", "! names no host");
        check("https://?a", "! names no host");
        check("https://:443/", "! names no host");
        check("https://exa mple.com/", "! a blank");
        check("https://example.com/\n", "! a control character");
        check("https://example.com:0/", "! the port");
        check("https://example.com:65536/", "! the port");
        check("https://example.com:/", "! the port");
        check("https://example.com:+1/", "! the port");
        check("https://::1/", "! stands in brackets");
        check("https://[::1/", "! never closed");
        check("https://[::g]/", "! no IPv6 address");
        check("https://-example.com/", "! no host name");
        check("https://exa\\mple.com/", "! no host name");
        check("https://b\u{fc}ro.example/", "! xn--");
        check("https://example.com/b\u{fc}ro", "! %XX");
        check("https://example.com/\"", "! %XX");
        check("https://example.com/%", "! hex digits");
        check("https://example.com/%2", "! hex digits");
        check("https://example.com/%2g", "! hex digits");
        check("example.com/in", "! no scheme");
        check("ftp://example.com/in", "! not known");
        check("", "! no scheme");
        check(&format!("https://example.com/{}", "a".repeat(4096)), "! longer than");
    }

    #[test]
    fn what_is_shown_has_no_query() {
        let url = WebUrl::parse("https://example.com/in?key=hunter2").unwrap();
        assert!(url.has_query);
        assert_eq!(format!("{url:?}"), "https://example.com/in");
    }
}
