//! What Bento's answers mean.
//!
//! The one that costs most is a 200 to `batch/events`: it says how many events were taken, and never which. And where its
//! body is not what it should be, whoever answered was not Bento: a page of the network in front of it, or of somebody
//! else. Reasons quote what was said, with no address of anybody in it.

use super::address;
use super::entry::{Entry, Value};
use super::site::Site;
use crate::destination::receiver::Answer;
use crate::destination::wire::{Reached, Response};

/// What became of a parcel of so many events.
pub(super) fn of_events(reached: Reached, sent: u64, site: &Site) -> Answer {
    let response = match taken("batch/events", reached, site) {
        Ok(response) => response,
        Err(answer) => return answer,
    };
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
            None => Answer::Barred {
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
            reason: format!(
                "Bento took {} of {sent} events, and does not say which",
                sent - failed
            ),
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
                tracing::warn!(failed, sent, "Bento did not take some people's profiles, and does not say which");
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
            Some(location) => format!("it points to {location}; see that `url` is Bento's own"),
            None => "see that `url` is Bento's own".to_owned(),
        }),
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
    match site.said(&address::masked(complaint)) {
        said if !said.is_empty() => format!("`{path}` answered {status}: {said}"),
        _ if is_page(response) => format!("`{path}` answered {status} with a web page"),
        _ => format!("`{path}` answered {status}"),
    }
}

/// A 2xx that is not Bento's.
fn no_json(path: &str, response: &Response, site: &Site) -> Answer {
    let complaint = match is_page(response) {
        true => String::new(),
        false => String::from_utf8_lossy(&response.body).into_owned(),
    };
    Answer::Unavailable {
        reason: format!(
            "{}, which is not the JSON that Bento answers with: most likely the network in front of it",
            said(path, response, &complaint, site)
        ),
        retry_after: response.retry_after,
    }
}

/// The body, if all of it is there and is an object.
fn object(response: &Response) -> Option<Entry<'_>> {
    let text = std::str::from_utf8(&response.body).ok().filter(|_| response.is_whole)?;
    Entry::of(text)
}

/// Whether the body is a web page: nothing in it is worth quoting.
fn is_page(response: &Response) -> bool {
    response.body.trim_ascii_start().starts_with(b"<")
}

/// What an answer complains of: `error`, or `errors` with their fields.
fn complaint(body: &Entry<'_>) -> Option<String> {
    let words = |value: Value<'_>| value.text().map(|text| text.into_owned());
    if let Some(error) = body.get("error") {
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
            match (object.get("field").and_then(words), object.get("message").and_then(words)) {
                (Some(field), Some(message)) => format!("{field}: {message}"),
                (None, Some(message)) => message,
                _ => error.as_json().to_owned(),
            }
        })
        .collect();
    Some(complaints.join("; ")).filter(|complaints| !complaints.is_empty())
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
