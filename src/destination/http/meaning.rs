//! What an answer means.
//!
//! By its status alone, unless the receiver wants to answer event by event. Then it answers 2xx with a JSON object that has
//! `refused`, for what it will never take, or `deferred`, for what is to be sent again later, or both: arrays of
//! `{"id": …, "reason": …}`, or of ids. Events that are in neither were taken. An event in both is deferred; ids that were
//! not in the call are ignored. Where there is a number in place of an array, so many were not taken, and nobody knows which.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::resolve::StatusMeaning;
use crate::destination::receiver::{Answer, Verdict};
use crate::destination::wire::{Response, Wire};

/// What an answer to a call with these events means.
pub(super) fn of(response: &Response, ids: &[&str], statuses: &[(u16, StatusMeaning)], wire: &Wire) -> Answer {
    let doing = format!("posting to {}", wire.base());
    let configured = statuses.iter().find(|(status, _)| *status == response.status);
    let meaning = configured
        .map(|(_, meaning)| *meaning)
        .or_else(|| usual(response.status));
    let answered = answered(&doing, response, wire);
    let Some(meaning) = meaning else {
        return Answer::Unanswered {
            reason: format!("{answered}: it does not say whether they were taken"),
        };
    };
    match meaning {
        StatusMeaning::Delivered => by_event(response, ids, wire, &answered),
        StatusMeaning::Refused => Answer::Refused { reason: answered },
        StatusMeaning::TooLarge => Answer::TooLarge { reason: answered },
        StatusMeaning::Unavailable => Answer::Unavailable {
            reason: answered,
            retry_after: response.retry_after,
        },
        StatusMeaning::Barred if configured.is_some() => Answer::Barred { reason: answered },
        StatusMeaning::Barred => Answer::Barred {
            reason: match response.status {
                401 | 403 => not_let_in(&doing, response, wire),
                300..=399 => format!("{answered}; no redirect is followed: change `url`"),
                _ => format!("{answered}; check `url`, or say in `statuses` what this status means here"),
            },
        },
    }
}

/// Why somebody who is not let in is not.
pub(super) fn not_let_in(doing: &str, response: &Response, wire: &Wire) -> String {
    let answered = answered(doing, response, wire);
    format!("{answered}; check the token, the password or the headers that let this destination in")
}

fn answered(doing: &str, response: &Response, wire: &Wire) -> String {
    let mut answered = format!("{doing}: answered {}", response.status_shown());
    if let Some(location) = &response.location {
        answered.push_str(&format!(" to {location}"));
    }
    let said = wire.said(&response.body);
    if !said.is_empty() {
        answered.push_str(&format!(": {said}"));
    }
    answered
}

/// What a status means where nobody says otherwise; `None`: nobody knows whether the events were taken. So it is where a
/// gateway heard nothing from the receiver in time, and with numbers that are no status.
fn usual(status: u16) -> Option<StatusMeaning> {
    Some(match status {
        504 | 520 | 524 => return None,
        200..=299 => StatusMeaning::Delivered,
        400 | 422 => StatusMeaning::Refused,
        413 => StatusMeaning::TooLarge,
        408 | 425 | 429 | 500..=599 => StatusMeaning::Unavailable,
        300..=499 => StatusMeaning::Barred,
        _ => return None,
    })
}

/// What a receiver may say about single events.
#[derive(Deserialize)]
struct ByEvent<'a> {
    #[serde(borrow, default)]
    refused: Option<&'a RawValue>,
    #[serde(borrow, default)]
    deferred: Option<&'a RawValue>,
}

/// One event in such a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    Id(String),
    Reasoned {
        id: String,
        #[serde(default)]
        reason: Option<String>,
    },
}

/// What was said of single events in an answer that takes the call.
fn by_event(response: &Response, ids: &[&str], wire: &Wire, answered: &str) -> Answer {
    // Some write a byte-order mark before their JSON.
    let body = response.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&response.body);
    let body = body.trim_ascii();
    if !body.starts_with(b"{") {
        return Answer::Delivered;
    }
    if !response.is_whole {
        return Answer::Unclear {
            reason: format!(
                "{answered}, and goes on for longer than an answer may: whether it names events is not known"
            ),
        };
    }
    let Ok(said) = serde_json::from_slice::<ByEvent<'_>>(body) else {
        let mentions = |key: &[u8]| memchr::memmem::find(body, key).is_some();
        // Whatever it is, it is about something else; but what begins to name events and breaks off may have refused any.
        if !mentions(b"\"refused\"") && !mentions(b"\"deferred\"") {
            return Answer::Delivered;
        }
        return Answer::Unanswered {
            reason: format!("{answered}, which names events and cannot be read to its end"),
        };
    };
    let mut verdicts = HashMap::new();
    let mut uncounted: u64 = 0;
    let mut named_some = false;
    // In this order: what is in both lists is deferred.
    for (list, is_deferred) in [(said.refused, false), (said.deferred, true)] {
        let Some(list) = list else { continue };
        if let Ok(number) = list.get().parse::<u64>() {
            uncounted = number.saturating_add(uncounted);
            continue;
        }
        if is_nothing(list.get()) {
            continue;
        }
        let one = || vec![list];
        for named in serde_json::from_str::<Vec<&RawValue>>(list.get()).unwrap_or_else(|_| one()) {
            named_some = true;
            let (id, reason) = match serde_json::from_str(named.get()) {
                Ok(Named::Id(id)) => (id, None),
                Ok(Named::Reasoned { id, reason }) => (id, reason),
                Err(_) => continue,
            };
            let reason = match wire.said(reason.unwrap_or_default().as_bytes()) {
                said if said.is_empty() => "no reason was given".to_owned(),
                said => said,
            };
            let verdict = match is_deferred {
                true => Verdict::Deferred { reason },
                false => Verdict::Refused { reason },
            };
            verdicts.insert(id, verdict);
        }
    }
    let in_order: Vec<Verdict> = ids
        .iter()
        .map(|id| verdicts.remove(*id).unwrap_or(Verdict::Delivered))
        .collect();
    if in_order.iter().any(|verdict| *verdict != Verdict::Delivered) {
        return Answer::Verdicts(in_order);
    }
    match uncounted.min(ids.len() as u64) {
        0 if named_some => Answer::Unclear {
            reason: format!(
                "{answered}, and speaks of events that are not in this batch, or in a way that is not known"
            ),
        },
        0 => Answer::Delivered,
        failed => Answer::Unidentified {
            failed,
            reason: answered.to_owned(),
        },
    }
}

/// Whether a value says that there is nothing to say.
fn is_nothing(json: &str) -> bool {
    matches!(json, "null" | "false" | "\"\"" | "{}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::config::resolve::Endpoint;

    fn wire() -> Wire {
        let endpoint = Endpoint {
            url: "https://example.com/in?token=hunter2".to_owned(),
            roots: None,
            timeout: Duration::from_secs(1),
        };
        Wire::open(&endpoint, "feedgate").expect("a wire")
    }

    fn answered(status: u16, body: &[u8]) -> Response {
        Response {
            status,
            retry_after: None,
            location: None,
            body: body.to_vec(),
            is_whole: true,
        }
    }

    /// Pieces that answers are made of, in sense and nonsense.
    const PIECES: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"refused\"",
        "\"deferred\"",
        "\"id\"",
        "\"reason\"",
        "\"k-0\"",
        "\"k-1\"",
        "\"k-2\"",
        "null",
        "1",
        "18446744073709551615",
        "-1",
        "true",
        " ",
        "\"",
        "\\",
        "\u{1b}",
        "é",
    ];

    proptest! {
        /// Whatever is said, each event comes to something, and none that is not named is lost.
        #[test]
        fn any_answer_comes_to_something(pieces in prop::collection::vec(0..PIECES.len(), 0..24), status in 100_u16..1000) {
            let body: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
            let ids = ["k-0", "k-1"];
            match of(&answered(status, body.as_bytes()), &ids, &[], &wire()) {
                Answer::Verdicts(verdicts) => {
                    prop_assert_eq!(verdicts.len(), ids.len());
                    for (id, verdict) in ids.iter().zip(verdicts) {
                        prop_assert!(verdict == Verdict::Delivered || body.contains(id));
                    }
                }
                Answer::Unidentified { failed, .. } => prop_assert!((1..=2).contains(&failed)),
                Answer::Delivered => prop_assert!((200..300).contains(&status)),
                Answer::Refused { reason }
                | Answer::TooLarge { reason }
                | Answer::Unavailable { reason, .. }
                | Answer::Unanswered { reason }
                | Answer::Unclear { reason }
                | Answer::Barred { reason } => prop_assert!(!reason.contains(char::is_control), "{}", reason),
            }
        }
    }

    #[test]
    fn the_address_without_its_query_and_what_was_said() {
        let check = |status: u16, body: &str, expect: &str| {
            let answer = of(&answered(status, body.as_bytes()), &["k-0"], &[], &wire());
            assert_eq!(format!("{answer:?}"), expect);
        };
        check(
            422,
            "{\"error\": \"no\\nsuch\"}",
            "Refused { reason: \"posting to https://example.com/in: answered 422 Unprocessable Entity: \
             “{\\\"error\\\": \\\"no\\\\nsuch\\\"}”\" }",
        );
        check(
            413,
            "",
            "TooLarge { reason: \"posting to https://example.com/in: answered 413 Payload Too Large\" }",
        );
        check(
            102,
            "",
            "Unanswered { reason: \"posting to https://example.com/in: answered 102 Processing: \
             it does not say whether they were taken\" }",
        );
    }
}
