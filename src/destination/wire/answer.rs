//! An answer: read as far as it is of use, and no further.

use std::io::{self, Read};
use std::time::Duration;

use crate::config::resolve::Secret;
use chrono::{DateTime, NaiveDateTime, Utc};
use ureq::Body;
use ureq::http::StatusCode;
use ureq::http::header::{LOCATION, RETRY_AFTER};

/// Most bytes of an answer's body that are read. A verdict for each of some thousand events fits; what is longer is cut,
/// and [`Response::is_whole`] says so.
const BODY_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Longest wait that a receiver can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::destination) struct Response {
    /// Its status.
    pub(in crate::destination) status: u16,
    /// Not before this long from now, as the receiver asks.
    pub(in crate::destination) retry_after: Option<Duration>,
    /// Where to look instead, without query and user: to be shown, not to be followed.
    pub(in crate::destination) location: Option<String>,
    /// What it says.
    pub(in crate::destination) body: Vec<u8>,
    /// Whether the body is all of it.
    pub(in crate::destination) is_whole: bool,
}

impl Response {
    /// Whether it is a 2xx.
    pub(in crate::destination) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Its status with the usual words for it: `404 Not Found`.
    pub(in crate::destination) fn status_shown(&self) -> String {
        let known = StatusCode::from_u16(self.status).ok();
        match known.and_then(|status| status.canonical_reason()) {
            Some(words) => format!("{} {words}", self.status),
            None => self.status.to_string(),
        }
    }

    pub(super) fn read(answer: ureq::http::Response<Body>, secrets: &[Secret]) -> io::Result<Response> {
        let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let retry_after = text(RETRY_AFTER).and_then(|text| retry_after(text, Utc::now()));
        let location = text(LOCATION).map(|location| shown_location(location, secrets));
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        let mut reader = answer.into_body().into_reader();
        reader.by_ref().take(BODY_BYTES_MAX).read_to_end(&mut body)?;
        // One byte more tells whether that was all, and lets the connection be used again if it was.
        let is_whole = (body.len() as u64) < BODY_BYTES_MAX || reader.read(&mut [0])? == 0;
        Ok(Response {
            status,
            retry_after,
            location,
            body,
            is_whole,
        })
    }
}

/// Reads `Retry-After`: seconds, or a date as RFC 9110 wants it written (`Sun, 06 Nov 1994 08:49:37 GMT`). Anything else
/// is as if it were not there.
fn retry_after(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number takes are a very long time.
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    }
    let at = NaiveDateTime::parse_from_str(text, "%a, %d %b %Y %H:%M:%S GMT")
        .ok()?
        .and_utc();
    let wait = at.signed_duration_since(now).to_std().unwrap_or(Duration::ZERO);
    Some(wait.min(RETRY_AFTER_MAX))
}

/// A `Location` as it may be shown: escaped, cut, without what may be secret in it.
fn shown_location(location: &str, secrets: &[Secret]) -> String {
    let end = location.find(['?', '#']).unwrap_or(location.len());
    let mut shown = super::reason::conceal(&location[..end], secrets);
    // Spelt with escapes, a secret would not be found: then nothing of it is shown.
    let plain = super::percent::decoded(&location[..end]);
    if super::reason::conceal(&plain, secrets) != plain && shown == location[..end] {
        shown = "(secret)".to_owned();
    }
    if let Some(slashes) = shown.find("//") {
        let authority = slashes + 2
            ..shown[slashes + 2..]
                .find('/')
                .map_or(shown.len(), |slash| slashes + 2 + slash);
        if let Some(at) = shown[authority.clone()].rfind('@') {
            shown.replace_range(authority.start..=authority.start + at, "");
        }
    }
    super::reason::one_line(&shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_to_come_back() {
        let now = DateTime::parse_from_rfc2822("Sun, 06 Nov 1994 08:49:37 GMT")
            .unwrap()
            .to_utc();
        let check = |text: &str, seconds: Option<u64>| {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        };
        check("0", Some(0));
        check("120", Some(120));
        check(" 7 ", Some(7));
        check("86400", Some(86_400));
        check("86401", Some(86_400));
        check("99999999999999999999999999", Some(86_400));
        check("Sun, 06 Nov 1994 08:50:37 GMT", Some(60));
        check("Sun, 06 Nov 1994 08:49:36 GMT", Some(0));
        check("Mon, 06 Nov 2094 08:49:37 GMT", None);
        check("Sat, 06 Nov 2094 08:49:37 GMT", Some(86_400));
        check("Sun, 06 Nov 1994 08:50:37 CET", None);
        check("1994-11-06T08:50:37Z", None);
        check("-1", None);
        check("+1", None);
        check("1.5", None);
        check("soon", None);
        check("", None);
    }

    #[test]
    fn where_to_look_instead() {
        let check =
            |location: &str, expect: &str| assert_eq!(shown_location(location, &[Secret::new("hunter2/x")]), expect);
        check("https://evil.example/x/hunter2/x", "https://evil.example/x/(secret)");
        check("https://evil.example/x/hunter2%2Fx", "https://evil.example/x/(secret)");
        check("https://evil.example/x/%68unter2/x", "(secret)");
        check("https://evil.example/%", "https://evil.example/%");
        check("https://example.com/in", "https://example.com/in");
        check("https://example.com/in?token=hunter2", "https://example.com/in");
        check("https://ana:hunter2@example.com/a@b", "https://example.com/a@b");
        check("//ana:hunter2@example.com", "//example.com");
        check("/in#part", "/in");
        check("/\u{202e}in", "/\\u{202e}in");
        check("", "");
    }
}
