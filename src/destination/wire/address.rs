//! Where a request goes, and how that is shown.

use std::fmt;

use ureq::http::Uri;

use super::percent;
use crate::config::is_this_machine;
use crate::config::resolve::Secret;

/// An absolute URL of `http` or `https`. It is shown without its query, which may hold a token.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::destination) struct Address(Uri);

impl Address {
    /// Reads an URL. `Err` says what is wrong with it.
    pub(in crate::destination) fn parse(url: &str) -> Result<Address, String> {
        // What cannot be read is not repeated: it may hold anything.
        let uri: Uri = url.parse().map_err(|_| "`url` is no URL".to_owned())?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err("`url` begins with neither `https://` nor `http://`".to_owned());
        }
        match uri.authority() {
            Some(authority) if authority.as_str().contains('@') => {
                Err("`url` holds a user; take it out and use the keys for secrets".to_owned())
            }
            Some(authority) if !authority.host().is_empty() => Ok(Address(uri)),
            _ => Err("`url` names no host".to_owned()),
        }
    }

    /// The address of something below this one: a path, `/` first, and a query of which the values may hold anything.
    pub(in crate::destination) fn below(&self, path: &str, query: &[(&str, &str)]) -> Address {
        let mut url = self.to_string();
        while url.ends_with('/') {
            url.pop();
        }
        url.push_str(path);
        for (number, (key, value)) in query.iter().enumerate() {
            url.push(if number == 0 { '?' } else { '&' });
            url.push_str(key);
            url.push('=');
            url.push_str(&percent::encoded(value));
        }
        // Scheme and host are ours; what follows is encoded, and never long. Anything else stays where it was.
        Address(url.parse().unwrap_or_else(|_| self.0.clone()))
    }

    /// What must not be repeated: the query, and each value in it.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let query = self.0.query().unwrap_or_default();
        let values = query.split('&').filter_map(|pair| pair.split_once('='));
        let values = values.map(|(_, value)| Secret::new(value));
        std::iter::once(Secret::new(query)).chain(values).collect()
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.0
    }

    /// Whether it names the machine this runs on.
    pub(super) fn is_this_machine(&self) -> bool {
        let host = self.0.host().unwrap_or_default();
        is_this_machine(host.trim_start_matches('[').trim_end_matches(']'))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.scheme_str().unwrap_or_default();
        let host = self
            .0
            .authority()
            .map(|authority| authority.as_str())
            .unwrap_or_default();
        write!(f, "{scheme}://{host}{}", self.0.path())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |url: &str, expect: &str| {
            let found = match Address::parse(url) {
                Ok(address) => address.to_string(),
                Err(why) => format!("! {why}"),
            };
            assert!(
                found == expect || (expect.starts_with("! ") && found.contains(&expect[2..])),
                "{url}: found `{found}`, expected `{expect}`"
            );
        };
        check("https://example.com/in", "https://example.com/in");
        check("https://example.com", "https://example.com/");
        check("HTTP://example.com:8080/a?token=hunter2", "http://example.com:8080/a");
        check("https://[::1]:8443/a", "https://[::1]:8443/a");
        check("https://user:hunter2@example.com/", "! holds a user");
        check("ftp://example.com/", "! begins with neither");
        check("/in", "! begins with neither");
        check("https:///in", "! no URL");
        check("https://büro.example/", "! no URL");
        check("https://exa mple/", "! no URL");
        check("", "! no URL");
    }

    #[test]
    fn what_lies_below() {
        let check = |base: &str, path: &str, query: &[(&str, &str)], expect: &str| {
            let address = Address::parse(base).unwrap().below(path, query);
            assert_eq!(address.uri().to_string(), expect);
        };
        check(
            "https://a/api/v1",
            "/batch/events",
            &[],
            "https://a/api/v1/batch/events",
        );
        check("https://a/", "/x", &[("site_uuid", "1-2")], "https://a/x?site_uuid=1-2");
        check(
            "https://a",
            "/x",
            &[("a", "é &=#"), ("b", "")],
            "https://a/x?a=%C3%A9%20%26%3D%23&b=",
        );
        check("https://a/x?token=1", "/y", &[], "https://a/x/y");
    }

    #[test]
    fn this_machine() {
        let check =
            |url: &str, expect: bool| assert_eq!(Address::parse(url).unwrap().is_this_machine(), expect, "{url}");
        check("http://localhost:1/", true);
        check("http://LOCALHOST/", true);
        check("http://127.0.0.1/", true);
        check("http://127.9.9.9/", true);
        check("http://[::1]/", true);
        check("http://localhost.example.com/", false);
        check("http://128.0.0.1/", false);
    }

    #[test]
    fn a_query_is_never_shown() {
        let address = Address::parse("https://a/x?token=hunter2").unwrap();
        assert_eq!(format!("{address} {address:?}"), "https://a/x https://a/x");
        assert_eq!(address.uri().query(), Some("token=hunter2"));
    }
}
