//! The JSON that the vendor answers with, in all the forms his pages show, and what else may stand before him.
//!
//! Events: `{"status":{"code":1100,"message":"…"},"requestId":"…"}`. Definitions: `{"warnings":[],"errors":[]}`. How an
//! error of either looks is written nowhere: so a code is looked for wherever one may stand.

use super::super::wire::Response;
use crate::destination::entry::{Entry, Value};

/// Longest name of a request that is kept, in bytes; the vendor's are of 36.
const REQUEST_BYTES_MAX: usize = 128;

/// An answer's body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Said {
    /// The first code in it.
    pub(super) code: Option<u64>,
    /// What it says in words.
    pub(super) message: Option<String>,
    /// What the vendor calls the request.
    pub(super) request: Option<String>,
    /// Entries of `errors`.
    pub(super) errors: usize,
    /// `warnings`, each as a text.
    pub(super) warnings: Vec<String>,
}

impl Said {
    /// Reads an answer; `None` if its body is no JSON object, or not all of it is there.
    pub(super) fn of(response: &Response) -> Option<Said> {
        let text = std::str::from_utf8(&response.body).ok().filter(|_| response.is_whole)?;
        let body = Entry::of(text.trim_start_matches('\u{feff}'))?;
        let status = body.get("status").and_then(Value::entry);
        let listed = |name: &str| body.get(name).and_then(Value::elements).unwrap_or_default();
        let errors = listed("errors");
        let first = errors.first().copied().and_then(Value::entry);
        let places = [status.as_ref(), Some(&body), first.as_ref()];
        let mut places = places.into_iter().flatten();
        let code = places.clone().find_map(|place| place.get("code").and_then(number));
        let message = places.find_map(|place| {
            let message = place.get("message").and_then(Value::text)?;
            Some(message.into_owned())
        });
        // An error may be a text alone.
        let message = message.or_else(|| Some(errors.first()?.text()?.into_owned()));
        Some(Said {
            code,
            message,
            request: body.get("requestId").and_then(Value::text).and_then(name_of),
            errors: errors.len(),
            warnings: listed("warnings").into_iter().map(in_words).collect(),
        })
    }
}

/// Whether the body is a web page: nothing in it is worth quoting.
pub(super) fn is_page(response: &Response) -> bool {
    response.body.trim_ascii_start().starts_with(b"<")
}

/// A number, as one or as a text.
fn number(value: Value<'_>) -> Option<u64> {
    value.text()?.parse().ok()
}

/// The name of a request, if it is of a form that can be asked for again.
fn name_of(text: std::borrow::Cow<'_, str>) -> Option<String> {
    let is_fine = text.len() <= REQUEST_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_fine.then(|| text.into_owned())
}

/// A warning: its message, or all of it.
fn in_words(value: Value<'_>) -> String {
    let message = value
        .entry()
        .and_then(|warning| Some(warning.get("message")?.text()?.into_owned()));
    message
        .or_else(|| value.text().map(|text| text.into_owned()))
        .unwrap_or_else(|| value.as_json().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &str) -> Option<Said> {
        Said::of(&Response {
            status: 200,
            retry_after: None,
            location: None,
            body: body.as_bytes().to_vec(),
            is_whole: true,
        })
    }

    #[test]
    fn codes_and_words_wherever_they_stand() {
        let check = |body: &str, code: Option<u64>, message: Option<&str>| {
            let said = said(body).unwrap_or_else(|| panic!("an object: {body}"));
            assert_eq!((said.code, said.message.as_deref()), (code, message), "{body}");
        };
        check(
            r#"{"status":{"code":1100,"message":"pushed"}}"#,
            Some(1100),
            Some("pushed"),
        );
        check(r#"{"status":{"code":"7309"}}"#, Some(7309), None);
        check(
            r#"{"code":1839,"message":"no mechanism","status":false}"#,
            Some(1839),
            Some("no mechanism"),
        );
        check(
            r#"{"warnings":[],"errors":[{"code":1806,"message":"exists"}]}"#,
            Some(1806),
            Some("exists"),
        );
        check(r#"{"errors":["no"]}"#, None, Some("no"));
        check(r#"{"status":{"code":-1}}"#, None, None);
        check(r#"{"status":{"code":{}},"errors":{}}"#, None, None);
        check("\u{feff}{}", None, None);
    }

    #[test]
    fn what_is_no_answer() {
        for body in ["", "[]", "null", "1100", "<html>", "{", r#"{"a":1}}"#] {
            assert_eq!(said(body), None, "{body}");
        }
    }

    #[test]
    fn names_of_requests_that_can_be_asked_for() {
        let check = |id: &str, expect: Option<&str>| {
            let said = said(&format!(r#"{{"requestId":{id}}}"#)).expect("an object");
            assert_eq!(said.request.as_deref(), expect, "{id}");
        };
        check(r#""0b7f-11""#, Some("0b7f-11"));
        check("12", Some("12"));
        check(r#""a b""#, None);
        check(r#""\u001b[2J""#, None);
        check(&format!("\"{}\"", "x".repeat(129)), None);
        check("null", None);
    }

    #[test]
    fn warnings_in_words() {
        let said = said(r#"{"warnings":["a",{"message":"b"},{"c":1}],"errors":[]}"#).expect("an object");
        assert_eq!(said.warnings, ["a", "b", r#"{"c":1}"#]);
    }
}
