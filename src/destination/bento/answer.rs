//! What Bento's answers mean.
//!
//! The one that costs most is a 200 to `batch/events`: it says how many events were taken, and never which. And where its
//! body is not what it should be, whoever answered was not Bento: a page of the network in front of it, or of somebody
//! else. Reasons quote what was said, with no address of anybody in it.

use super::address;
use super::site::Site;
use crate::destination::entry::{Entry, Value};
use crate::destination::receiver::Answer;
use crate::destination::wire::{Reached, Response};

/// What became of a parcel of so many events.
pub(super) fn of_events(reached: Reached, sent: u64, site: &Site) -> Answer {
    let response = match taken("batch/events", reached, site) {
        Ok(response) => response,
        Err(answer) => return answer,
    };
    if !response.is_whole {
        // The counts may stand where nobody reads any more.
        return Answer::Unanswered {
            reason: format!(
                "`batch/events` answered {} with more than any answer of Bento's is long",
                response.status
            ),
        };
    }
    let Some(body) = object(&response) else {
        return no_json("batch/events", &response, site);
    };
    let Some(counts) = Counts::of(&body) else {
        return match complaint(&body) {
            Some(complaint) => Answer::Unavailable {
                reason: said("batch/events", &response, &complaint, site),
                retry_after: response.retry_after,
            },
            // Whether the events were taken is anybody's guess. Sent again, they might be there twice and start automations
            // twice; taken for delivered, they might be lost. So it waits for somebody who looks.
            None => Answer::Unclear {
                reason: format!(
                    "{}, without a count of events; see in Bento whether they are there, and whether `url` is Bento's",
                    said("batch/events", &response, "", site)
                ),
            },
        };
    };
    match counts.failed_of(sent) {
        0 => Answer::Delivered,
        failed => Answer::Unidentified {
            failed,
            reason: match complaint(&body).map(|complaint| quoted(&complaint, site)) {
                Some(why) if !why.is_empty() => {
                    format!("Bento took {} of {sent} events, and says {why}", sent - failed)
                }
                _ => format!("Bento took {} of {sent} events, and does not say which", sent - failed),
            },
        },
    }
}

/// What became of profiles. Some may have been refused, and nobody says which: their events are sent all the same, so this
/// is no reason to hold anything up.
pub(super) fn of_profiles(reached: Reached, sent: u64, site: &Site) -> Answer {
    let response = match taken("batch/subscribers", reached, site) {
        Ok(response) => response,
        Err(answer) => return answer,
    };
    let Some(body) = object(&response) else {
        return no_json("batch/subscribers", &response, site);
    };
    match (Counts::of(&body), complaint(&body)) {
        (None, Some(complaint)) => Answer::Unavailable {
            reason: said("batch/subscribers", &response, &complaint, site),
            retry_after: response.retry_after,
        },
        (counts, _) => {
            let failed = counts.map_or(0, |counts| counts.failed_of(sent));
            if failed > 0 {
                tracing::warn!(
                    failed,
                    sent,
                    "Bento did not take some people's profiles, and does not say which"
                );
            }
            Answer::Delivered
        }
    }
}

/// What became of a call about one person: it answers with the person, or with a count, or with nothing.
pub(super) fn of_person(path: &'static str, reached: Reached, site: &Site) -> Answer {
    match taken(path, reached, site) {
        Ok(response) if object(&response).is_some() => Answer::Delivered,
        Ok(response) => no_json(path, &response, site),
        Err(answer) => answer,
    }
}

/// The answer, if it is a 2xx; what anything else means.
pub(super) fn taken(path: &str, reached: Reached, site: &Site) -> Result<Response, Answer> {
    let response = match reached {
        Reached::Answered(response) => response,
        Reached::NotSent { reason } => {
            return Err(Answer::Unavailable {
                reason,
                retry_after: None,
            });
        }
        Reached::Unanswered { reason } => return Err(Answer::Unanswered { reason }),
        Reached::Untrusted { reason } => return Err(Answer::Barred { reason }),
    };
    if response.is_success() {
        return Ok(response);
    }
    let complaint = match object(&response) {
        Some(body) => complaint(&body).unwrap_or_default(),
        None if is_page(&response) => String::new(),
        None => String::from_utf8_lossy(&response.body).into_owned(),
    };
    let reason = said(path, &response, &complaint, site);
    let barred = |advice: &str| Answer::Barred {
        reason: format!("{reason}; {advice}"),
    };
    Err(match response.status {
        400 | 422 => Answer::Refused { reason },
        413 => Answer::TooLarge { reason },
        401 => barred("see that `publishable_key`, `secret_key` and `site_uuid` belong together and still hold"),
        403 => barred(
            "see that the keys may do this, and whether Bento's edge blocks this machine's address or its `User-Agent`",
        ),
        404 => barred("see that `url` is Bento's: it ends in `/api/v1`"),
        300..400 => barred(&match &response.location {
            Some(location) => format!(
                "it points to {}; see that `url` is Bento's own",
                address::masked(location)
            ),
            None => "see that `url` is Bento's own".to_owned(),
        }),
        // Whoever stands in front of Bento heard nothing from it in time, and does not know whether it took them.
        504 | 520 | 524 => Answer::Unanswered { reason },
        // It was too slow for them, or comes too soon or too often: none of it is about what was sent.
        408 | 425 | 429 | 500.. => Answer::Unavailable {
            reason,
            retry_after: response.retry_after,
        },
        _ => barred("this is no answer that Bento is known to give; see what stands between"),
    })
}

/// `batch/events answered 422: “email: is invalid”`.
fn said(path: &str, response: &Response, complaint: &str, site: &Site) -> String {
    let status = response.status;
    match quoted(complaint, site) {
        said if !said.is_empty() => format!("`{path}` answered {status}: {said}"),
        _ if is_page(response) => format!("`{path}` answered {status} with a web page"),
        _ => format!("`{path}` answered {status}"),
    }
}

/// What Bento said, for a reason: on one line, without secrets and addresses.
fn quoted(complaint: &str, site: &Site) -> String {
    site.said(&address::masked(complaint))
}

/// A 2xx that is not Bento's.
pub(super) fn no_json(path: &str, response: &Response, site: &Site) -> Answer {
    let complaint = match is_page(response) {
        true => String::new(),
        false => String::from_utf8_lossy(&response.body).into_owned(),
    };
    Answer::Unanswered {
        reason: format!(
            "{}, which is not the JSON that Bento answers with: most likely the network in front of it",
            said(path, response, &complaint, site)
        ),
    }
}

/// The body, if all of it is there and is an object. A byte-order mark before it is no reason to send events twice.
pub(super) fn object(response: &Response) -> Option<Entry<'_>> {
    let text = std::str::from_utf8(&response.body).ok().filter(|_| response.is_whole)?;
    Entry::of(text.trim_start_matches('\u{feff}'))
}

/// Whether the body is a web page: nothing in it is worth quoting.
fn is_page(response: &Response) -> bool {
    response.body.trim_ascii_start().starts_with(b"<")
}

/// What an answer complains of: `error` (or `message`, as what stands before Bento may have it), or `errors` with their
/// fields.
fn complaint(body: &Entry<'_>) -> Option<String> {
    let words = |value: Value<'_>| value.text().map(|text| text.into_owned());
    if let Some(error) = body.get("error").or_else(|| body.get("message")) {
        return Some(words(error).unwrap_or_else(|| error.as_json().to_owned()));
    }
    let errors = body.get("errors")?;
    let Some(elements) = errors.elements() else {
        return Some(words(errors).unwrap_or_else(|| errors.as_json().to_owned()));
    };
    let complaints: Vec<String> = elements
        .into_iter()
        .map(|error| {
            let Some(object) = error.entry() else {
                return words(error).unwrap_or_else(|| error.as_json().to_owned());
            };
            match (
                object.get("field").and_then(words),
                object.get("message").and_then(words),
            ) {
                (Some(field), Some(message)) => format!("{field}: {message}"),
                (None, Some(message)) => message,
                _ => error.as_json().to_owned(),
            }
        })
        .collect();
    Some(complaints.join("; ")).filter(|joined| !joined.is_empty())
}

/// How many were taken, and how many were not. Either may be left unsaid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    results: Option<u64>,
    failed: Option<u64>,
}

impl Counts {
    fn of(body: &Entry<'_>) -> Option<Counts> {
        let count = |name| body.get(name).and_then(Value::text)?.parse().ok();
        let counts = Counts {
            // Bento's own description of the API says `result`.
            results: count("results").or_else(|| count("result")),
            failed: count("failed"),
        };
        (counts.results.is_some() || counts.failed.is_some()).then_some(counts)
    }

    /// How many of those sent were not taken. What is counted nowhere was not taken either.
    fn failed_of(self, sent: u64) -> u64 {
        let missing = self.results.map_or(0, |results| sent.saturating_sub(results));
        self.failed.unwrap_or(0).max(missing).min(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::bento::tests::settings;
    use std::time::Duration;

    fn response(status: u16, body: &str) -> Response {
        Response {
            status,
            retry_after: None,
            location: None,
            body: body.into(),
            is_whole: true,
        }
    }

    /// What became of 100 events, in a word and with its reason.
    fn events(response: Response) -> String {
        let site = Site::open(&settings()).expect("settings that are right");
        in_words(of_events(Reached::Answered(response), 100, &site))
    }

    fn in_words(answer: Answer) -> String {
        match answer {
            Answer::Delivered => "delivered".to_owned(),
            Answer::Verdicts(_) => "verdicts".to_owned(),
            Answer::Unidentified { failed, reason } => format!("{failed} unidentified: {reason}"),
            Answer::Refused { reason } => format!("refused: {reason}"),
            Answer::TooLarge { reason } => format!("too large: {reason}"),
            Answer::Unavailable { reason, retry_after } => match retry_after {
                Some(wait) => format!("unavailable for {wait:?}: {reason}"),
                None => format!("unavailable: {reason}"),
            },
            Answer::Unanswered { reason } => format!("unanswered: {reason}"),
            Answer::Unclear { reason } => format!("unclear: {reason}"),
            Answer::Barred { reason } => format!("barred: {reason}"),
        }
    }

    #[test]
    fn counts() {
        let check = |body: &str, expect: &str| {
            let found = events(response(200, body));
            assert!(found.starts_with(expect), "{body}: {found}");
        };
        check(r#"{"results":100,"failed":0}"#, "delivered");
        check(r#"{"result":100,"failed":0}"#, "delivered");
        check(r#"{"results":100}"#, "delivered");
        check("\u{feff} {\"results\":100}", "delivered");
        check(r#"{"results":"100"}"#, "delivered");
        check(r#"{"results":101,"failed":0}"#, "delivered");
        check(r#"{"failed":0}"#, "delivered");
        check(r#"{"results":null,"failed":0,"errors":[]}"#, "delivered");
        check(
            r#"{"results":97,"failed":3}"#,
            "3 unidentified: Bento took 97 of 100 events, and does not say which",
        );
        check(
            r#"{"results":97,"failed":3,"errors":["ada@example.com is blocked"]}"#,
            "3 unidentified: Bento took 97 of 100 events, and says “*** is blocked”",
        );
        check(r#"{"failed":3}"#, "3 unidentified");
        check(r#"{"results":97,"failed":0}"#, "3 unidentified");
        check(r#"{"results":90,"failed":3}"#, "10 unidentified");
        check(r#"{"results":100,"failed":3}"#, "3 unidentified");
        check(r#"{"results":0,"failed":100}"#, "100 unidentified");
        check(r#"{"failed":18446744073709551615}"#, "100 unidentified");
        check(r#"{"results":0,"failed":7000}"#, "100 unidentified");
    }

    #[test]
    fn successes_that_are_none() {
        let check = |body: &str, expect: &str| {
            let found = events(response(200, body));
            assert!(found.starts_with(expect), "{body}: {found}");
        };
        check("", "unanswered: `batch/events` answered 200, which is not the JSON");
        check(
            "<!DOCTYPE html><title>ada@example.com",
            "unanswered: `batch/events` answered 200 with a web page, which is not the JSON",
        );
        check(
            "ok ada@example.com",
            "unanswered: `batch/events` answered 200: “ok ***”, which",
        );
        check(r#"{"results":100"#, "unanswered");
        check("[100]", "unanswered");
        check("100", "unanswered");
        check(
            r#"{"error":"Site ada@example.com is paused"}"#,
            "unavailable: `batch/events` answered 200: “Site *** is paused”",
        );
        check("{}", "unclear: `batch/events` answered 200, without a count");
        check(r#"{"data":null}"#, "unclear");
        check(r#"{"results":{},"failed":-1}"#, "unclear");
        let cut = Response {
            is_whole: false,
            ..response(200, r#"{"results":100,"failed":0}"#)
        };
        assert!(events(cut).starts_with("unanswered: `batch/events` answered 200 with more than"));
    }

    #[test]
    fn refusals() {
        let check = |status: u16, body: &str, expect: &str| {
            let found = events(response(status, body));
            assert!(found.starts_with(expect), "{status} {body}: {found}");
        };
        check(400, r#"{"error":"bad"}"#, "refused: `batch/events` answered 400: “bad”");
        check(
            422,
            r#"{"errors":[{"field":"email","message":"ada@example.com is invalid"},{"message":"x"},"y",{"z":1}]}"#,
            "refused: `batch/events` answered 422: “email: *** is invalid; x; y; {\"z\":1}”",
        );
        check(
            422,
            r#"{"errors":{"email":["is invalid"]}}"#,
            "refused: `batch/events` answered 422: “{\"email\"",
        );
        check(422, r#"{"errors":"no"}"#, "refused: `batch/events` answered 422: “no”");
        check(
            400,
            "you sent secret-1, publishable-1",
            "refused: `batch/events` answered 400: “you sent (secret), (secret)”",
        );
        check(400, "", "refused: `batch/events` answered 400");
        check(400, r#"{"message":"no"}"#, "refused: `batch/events` answered 400: “no”");
        check(
            401,
            "{}",
            "barred: `batch/events` answered 401; see that `publishable_key`",
        );
        check(
            403,
            "<html>",
            "barred: `batch/events` answered 403 with a web page; see that the keys may do this",
        );
        check(404, "", "barred: `batch/events` answered 404; see that `url`");
        check(301, "", "barred: `batch/events` answered 301; see that `url`");
        check(405, "", "barred: `batch/events` answered 405; this is no answer");
        check(413, "", "too large: `batch/events` answered 413");
        check(408, "", "unavailable: `batch/events` answered 408");
        check(
            429,
            r#"{"error":"slow down"}"#,
            "unavailable: `batch/events` answered 429: “slow down”",
        );
        check(500, "", "unavailable: `batch/events` answered 500");
        check(503, "<h1>", "unavailable: `batch/events` answered 503 with a web page");
        check(521, "", "unavailable: `batch/events` answered 521");
        check(504, "", "unanswered: `batch/events` answered 504");
        check(524, "", "unanswered: `batch/events` answered 524");
        let later = Response {
            retry_after: Some(Duration::from_secs(7)),
            ..response(429, "")
        };
        assert!(events(later).starts_with("unavailable for 7s: "));
        let elsewhere = Response {
            location: Some("https://example.com/".to_owned()),
            ..response(302, "")
        };
        assert!(events(elsewhere).contains("it points to https://example.com/"));
    }

    #[test]
    fn no_answer() {
        let site = Site::open(&settings()).expect("settings that are right");
        let check = |reached: Reached, expect: &str| assert_eq!(in_words(of_events(reached, 1, &site)), expect);
        let reason = || "why".to_owned();
        check(Reached::NotSent { reason: reason() }, "unavailable: why");
        check(Reached::Unanswered { reason: reason() }, "unanswered: why");
        check(Reached::Untrusted { reason: reason() }, "barred: why");
    }

    #[test]
    fn people() {
        let site = Site::open(&settings()).expect("settings that are right");
        let check = |status: u16, body: &str, expect: &str| {
            let found = in_words(of_person(
                "fetch/commands",
                Reached::Answered(response(status, body)),
                &site,
            ));
            assert!(found.starts_with(expect), "{body}: {found}");
        };
        check(
            200,
            r#"{"data":{"id":"569","type":"visitors","attributes":{"fields":null}}}"#,
            "delivered",
        );
        check(201, r#"{"results":1}"#, "delivered");
        check(200, r#"{"data":null}"#, "delivered");
        check(200, "{}", "delivered");
        check(
            200,
            "<html>",
            "unanswered: `fetch/commands` answered 200 with a web page",
        );
        check(422, "{}", "refused: `fetch/commands` answered 422");
        check(401, "{}", "barred");
    }

    #[test]
    fn profiles() {
        let site = Site::open(&settings()).expect("settings that are right");
        let check = |body: &str, expect: &str| {
            let found = in_words(of_profiles(Reached::Answered(response(200, body)), 3, &site));
            assert!(found.starts_with(expect), "{body}: {found}");
        };
        check(r#"{"results":3,"failed":0}"#, "delivered");
        check(r#"{"result":3}"#, "delivered");
        check(r#"{"results":2,"failed":1}"#, "delivered");
        check("{}", "delivered");
        check(
            r#"{"error":"no"}"#,
            "unavailable: `batch/subscribers` answered 200: “no”",
        );
        check("ok", "unanswered");
    }
}
