//! What came of an event's request.
//!
//! The vendor only queues: code 1100 says that the event will be looked at, and not what it will come to. That is asked for
//! there, by the request's name, which is kept.
//!
//! A code counts before the status: a 400 that says why is about the event, or about the webhook, as the code has it. A 2xx
//! without a code was given by somebody else, or by a vendor who has changed: such an event is not sent again unasked. A 2xx
//! that is no JSON is most likely the network's: such a one is.

use super::super::wire::{Reached, Response, Wire};
use super::codes::{self, Code, Concerns};
use super::reply::{self, Said};
use crate::destination::receiver::Answer;

/// What an event's request came to, and what the vendor calls it if it was taken. `private` are texts of the event that no
/// reason may quote.
pub(super) fn of_event(reached: Reached, wire: &Wire, private: &[String]) -> (Answer, Option<String>) {
    let response = match reached {
        Reached::Answered(response) => response,
        Reached::NotSent { reason } => {
            let retry_after = None;
            return (Answer::Unavailable { reason, retry_after }, None);
        }
        Reached::Unanswered { reason } => return (Answer::Unanswered { reason }, None),
        Reached::Untrusted { reason } => return (Answer::Barred { reason }, None),
    };
    let said = Said::of(&response);
    let code = said.as_ref().and_then(|said| said.code);
    let reason = Reason {
        response: &response,
        said: said.as_ref(),
        wire,
        private,
    };
    let concerns = code.and_then(Code::of).map(|code| code.concerns);
    let refused = |code| Answer::Refused {
        reason: format!("{reason}{}", codes::advice(code)),
    };
    let answer = match (code, concerns) {
        (_, Some(Concerns::Nobody)) if response.is_success() => {
            return (Answer::Delivered, said.and_then(|said| said.request));
        }
        (Some(code), Some(Concerns::Webhook)) => Answer::Barred {
            reason: format!("{reason}{}", codes::advice(code)),
        },
        (Some(code), Some(Concerns::Event | Concerns::Definition)) if !says_enough(response.status) => refused(code),
        // Something is known against it, and nothing against those behind it.
        (Some(code), None) if response.is_success() => refused(code),
        _ => by_status(&reason),
    };
    (answer, None)
}

/// Whether a status says by itself that it is no matter of this event, whatever code stands beside it.
fn says_enough(status: u16) -> bool {
    matches!(status, 401 | 403 | 429)
}

/// What an answer means that has no code, or one that is not known beside a status that says enough.
fn by_status(reason: &Reason<'_>) -> Answer {
    let response = reason.response;
    let barred = |advice: &str| Answer::Barred {
        reason: format!("{reason}; {advice}"),
    };
    match response.status {
        200..=299 if reason.said.is_some() => Answer::Unclear {
            reason: format!(
                "{reason}, without a code; see there whether the event came, and whether `url` is the webhook's"
            ),
        },
        200..=299 if !response.is_whole => Answer::Unanswered {
            reason: format!("{reason}, and goes on for longer than any answer of the vendor's"),
        },
        200..=299 => Answer::Unanswered {
            reason: format!(
                "{reason}, which is not the JSON that the vendor answers with: most likely the network before it"
            ),
        },
        400 | 422 => Answer::Refused {
            reason: reason.to_string(),
        },
        413 => Answer::TooLarge {
            reason: reason.to_string(),
        },
        401 | 403 => barred("see that `user` and the password are the webhook's"),
        404 | 410 => barred("see that `url` is the webhook's, as its registration gave it (`webHookUri`)"),
        300..=399 => barred("no redirect is followed: change `url`"),
        // Whoever stands before the vendor heard nothing in time, and does not know whether it was taken.
        504 | 520 | 524 => Answer::Unanswered {
            reason: reason.to_string(),
        },
        408 | 425 | 429 | 500..=599 => Answer::Unavailable {
            reason: reason.to_string(),
            retry_after: response.retry_after,
        },
        400..=499 => barred("see that `url` is the webhook's, and what stands between"),
        _ => Answer::Unanswered {
            reason: format!("{reason}: it does not say whether the event was taken"),
        },
    }
}

/// What was answered, in words.
struct Reason<'a> {
    response: &'a Response,
    said: Option<&'a Said>,
    wire: &'a Wire,
    private: &'a [String],
}

impl std::fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let response = self.response;
        write!(
            f,
            "posting to {}: answered {}",
            self.wire.base(),
            response.status_shown()
        )?;
        if let Some(location) = &response.location {
            write!(f, " to {location}")?;
        }
        if let Some(code) = self.said.and_then(|said| said.code) {
            write!(f, ", {}", codes::words(code))?;
        }
        let quoted = match self.said {
            Some(Said {
                message: Some(message), ..
            }) => self.wire.said(without(message, self.private).as_bytes()),
            _ if reply::is_page(response) => return f.write_str(" with a web page"),
            _ => {
                let body = String::from_utf8_lossy(&response.body);
                self.wire.said(without(&body, self.private).as_bytes())
            }
        };
        match quoted.is_empty() {
            true => Ok(()),
            false => write!(f, ": {quoted}"),
        }
    }
}

/// A text without what is not to be shown.
fn without(text: &str, private: &[String]) -> String {
    let mut text = text.to_owned();
    for hidden in private {
        text = text.replace(hidden.as_str(), "***");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::resolve::Endpoint;

    fn answer(status: u16, body: &str) -> (Answer, Option<String>) {
        let endpoint = Endpoint {
            url: "https://example.com/hook?token=hunter2".to_owned(),
            roots: None,
            timeout: Duration::from_secs(1),
        };
        let wire = Wire::open(&endpoint, "feedgate").expect("a wire");
        let response = Response {
            status,
            retry_after: Some(Duration::from_secs(7)),
            location: None,
            body: body.as_bytes().to_vec(),
            is_whole: true,
        };
        of_event(Reached::Answered(response), &wire, &["49170".to_owned()])
    }

    #[test]
    fn what_each_answer_means() {
        let check = |status: u16, body: &str, expect: &str| {
            let (answer, _) = answer(status, body);
            let shown = format!("{answer:?}");
            let kind = shown.split([' ', '(']).next().unwrap_or_default();
            assert_eq!(kind, expect, "{status} {body}: {shown}");
        };
        check(200, r#"{"status":{"code":1100}}"#, "Delivered");
        check(202, r#"{"status":{"code":"7300"}}"#, "Delivered");
        check(200, r#"{"status":{"code":7309}}"#, "Refused");
        check(400, r#"{"status":{"code":7305}}"#, "Refused");
        check(500, r#"{"status":{"code":7301}}"#, "Refused");
        check(200, r#"{"status":{"code":1839}}"#, "Barred");
        check(400, r#"{"errors":[{"code":1808}]}"#, "Barred");
        check(200, r#"{"status":{"code":4711}}"#, "Refused");
        check(429, r#"{"code":7301}"#, "Unavailable");
        check(401, r#"{"code":7311}"#, "Barred");
        check(503, r#"{"code":4711}"#, "Unavailable");
        check(500, r#"{"status":{"code":1100}}"#, "Unavailable");
        check(200, "{}", "Unclear");
        check(200, "<html>", "Unanswered");
        check(200, "", "Unanswered");
        check(401, "{}", "Barred");
        check(403, "<html>", "Barred");
        check(404, "", "Barred");
        check(302, "", "Barred");
        check(418, "", "Barred");
        check(400, "", "Refused");
        check(413, "", "TooLarge");
        check(429, "", "Unavailable");
        check(502, "<html>", "Unavailable");
        check(504, "", "Unanswered");
        check(999, "", "Unanswered");
    }

    #[test]
    fn a_reason_says_what_to_do_and_nothing_of_anybody() {
        let check = |status: u16, body: &str, expect: &str| {
            let (Answer::Refused { reason } | Answer::Barred { reason }) = answer(status, body).0 else {
                panic!("{body}");
            };
            assert_eq!(reason, expect);
        };
        check(
            200,
            r#"{"status":{"code":7308,"message":"no customer 49170"},"requestId":"r"}"#,
            "posting to https://example.com/hook: answered 200 OK, code 7308, the customer is not known there: “no customer ***”; \
             `addCustomerIfNotExists` in the definition lets the event make one",
        );
        check(
            401,
            "<html>49170",
            "posting to https://example.com/hook: answered 401 Unauthorized with a web page; see that `user` and the password are \
             the webhook's",
        );
    }

    #[test]
    fn a_request_that_was_taken_has_a_name() {
        let (answer, request) = answer(200, r#"{"status":{"code":1100},"requestId":"0b7f"}"#);
        assert_eq!((answer, request.as_deref()), (Answer::Delivered, Some("0b7f")));
    }
}
