//! What went wrong, in words that may be shown and kept.

use std::io::ErrorKind;
use std::time::Duration;

use ureq::{Error, Timeout};

use super::{Stage, percent};
use crate::config::resolve::Secret;
use crate::telemetry::escaped;

/// Most characters of what somebody else said.
const SAID_CHARS: usize = 200;

/// A secret shorter than this is not looked for: it would be found in ordinary words.
const SECRET_BYTES_MIN: usize = 4;

/// What a receiver said: quoted, on one line, escaped, cut. Empty where it said nothing.
pub(super) fn said(body: &[u8], secrets: &[Secret]) -> String {
    // Concealed before it is cut: half a secret would not be found.
    let text = conceal(&String::from_utf8_lossy(body), secrets);
    match one_line(&text) {
        line if line.is_empty() => line,
        line => format!("“{line}”"),
    }
}

/// Text without the secrets in it.
pub(super) fn conceal(text: &str, secrets: &[Secret]) -> String {
    let mut text = text.to_owned();
    let is_long = |secret: &&Secret| secret.reveal().len() >= SECRET_BYTES_MIN;
    for spelling in secrets.iter().filter(is_long).flat_map(spellings) {
        text = text.replace(&spelling, "(secret)");
    }
    text
}

/// A secret as it may be spelt by whoever repeats it: plain, in JSON (some escape `/` there), in a URL, in HTML.
fn spellings(secret: &Secret) -> Vec<String> {
    let plain = secret.reveal();
    let json = plain.replace('\\', "\\\\").replace('"', "\\\"");
    let html = plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    vec![
        plain.to_owned(),
        json.replace('/', "\\/"),
        json,
        html.replace('"', "&quot;"),
        html,
        percent::encoded(plain),
        percent::encoded_small(plain),
    ]
}

/// The first characters of a text on one line, with what could end it or move a cursor escaped.
pub(super) fn one_line(text: &str) -> String {
    // Blanks and line ends are what JSON and HTML are laid out with; they say nothing here.
    let mut words = text.split_whitespace();
    let mut line = words.next().unwrap_or_default().to_owned();
    for word in words {
        if line.len() > 4 * SAID_CHARS {
            break;
        }
        line.push(' ');
        line.push_str(word);
    }
    match line.char_indices().nth(SAID_CHARS) {
        Some((end, _)) => format!("{}…", escaped(&line[..end])),
        None => escaped(&line),
    }
}

/// What to do, if what failed is the proof of who the far end is, or our means to judge it.
pub(super) fn of_distrust(error: &Error) -> Option<&'static str> {
    // The type behind is another crate's; its texts are what there is, and tests hold them.
    let text = match error {
        Error::Rustls(error) => error.to_string(),
        Error::Io(error) => error.get_ref()?.to_string(),
        _ => return None,
    };
    if text.contains("No CA certificates were loaded") {
        return Some("; install the system's certificates, or name the receiver's authority in `ca_file`");
    }
    if text.contains("CaUsedAsEndEntity") {
        return Some("; the receiver shows an authority's own certificate: it needs one issued for it (`CA:FALSE`)");
    }
    if !text.starts_with("invalid peer certificate") && !text.starts_with("peer sent no certificates") {
        return None;
    }
    if text.contains("expired") || text.contains("not valid yet") {
        return Some("; it has to be renewed there, unless the clock here is wrong");
    }
    if text.contains("not valid for name") {
        return Some("; `url` has to name a host that the certificate is for");
    }
    Some("; if it is to be trusted, put its authority's certificate into `ca_file`")
}

/// What an error means, in words.
pub(super) fn of_error(error: &Error, stage: Stage, timeout: Duration) -> String {
    let timeout = humantime::format_duration(timeout);
    let what = match error {
        Error::Timeout(Timeout::Resolve) => "its address was not found in time".to_owned(),
        Error::Timeout(Timeout::Connect) => "it did not take the connection in time".to_owned(),
        Error::Timeout(_) => format!("not done within {timeout}"),
        Error::HostNotFound => "its name has no address".to_owned(),
        Error::Io(error) if is_cut(error.kind()) => "the connection was closed".to_owned(),
        Error::Io(error) => error.to_string(),
        Error::Rustls(error) => format!("TLS: {error}"),
        Error::Tls(what) => format!("TLS: {what}"),
        Error::LargeResponseHeader(..) => "the head of the answer does not end".to_owned(),
        Error::Protocol(error) => format!("the answer is no HTTP: {error}"),
        // Whatever is left says nothing that this machine's owner may not read; the URL was checked before.
        other => other.to_string(),
    };
    let what = one_line(&what);
    match stage {
        Stage::Head => what,
        Stage::Body { sent, of } => format!("{what}, when {sent} of {of} bytes had been sent"),
        Stage::Sent => format!("{what}, with all of it on its way and no answer yet"),
        Stage::Answer => format!("{what}, in the middle of the answer"),
    }
}

fn is_cut(kind: ErrorKind) -> bool {
    use ErrorKind::*;
    matches!(kind, UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_receiver_said() {
        let secrets = [Secret::new("hunter2"), Secret::new("abc")];
        let check = |body: &[u8], expect: &str| assert_eq!(said(body, &secrets), expect);
        check(b"", "");
        check(b" \r\n\t", "");
        check(b"no such\r\n\tthing\n", "“no such thing”");
        check(b"\x1b[2J\x00\xff", "“\\u{1b}[2J\\u{0}\u{fffd}”");
        check(b"you sent hunter2, abc", "“you sent (secret), abc”");
        check("é".repeat(200).as_bytes(), &format!("“{}”", "é".repeat(200)));
        check("é".repeat(201).as_bytes(), &format!("“{}…”", "é".repeat(200)));
        check("a ".repeat(1_000_000).as_bytes(), &format!("“{}…”", "a ".repeat(100)));
        let mut at_the_cut = "x".repeat(197);
        at_the_cut.push_str("hunter2");
        check(at_the_cut.as_bytes(), &format!("“{}(se…”", "x".repeat(197)));
    }

    #[test]
    fn errors_in_words() {
        let check = |error: Error, stage: Stage, expect: &str| {
            assert_eq!(of_error(&error, stage, Duration::from_secs(30)), expect);
        };
        let io = |kind: ErrorKind| Error::Io(kind.into());
        check(io(ErrorKind::BrokenPipe), Stage::Head, "the connection was closed");
        check(
            io(ErrorKind::ConnectionReset),
            Stage::Body { sent: 3, of: 7 },
            "the connection was closed, when 3 of 7 bytes had been sent",
        );
        check(
            Error::Timeout(Timeout::Global),
            Stage::Sent,
            "not done within 30s, with all of it on its way and no answer yet",
        );
        check(
            Error::Io(std::io::Error::other("a\nb\u{7}")),
            Stage::Answer,
            "a b\\u{7}, in the middle of the answer",
        );
    }
}
