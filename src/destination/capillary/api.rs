//! The API that keeps the definitions of events: `GET`, `POST` and `PUT /v2/events`.
//!
//! Each call is made once. How an error looks is written nowhere, so whatever is no clear yes is told with what was said.

use serde_json::Value;

use super::USER_AGENT;
use super::codes;
use super::reply::{self, Said};
use crate::config::resolve::ApiSettings;
use crate::destination::Reply;
use crate::destination::wire::{Address, Headers, Reached, Response, Wire};

/// Where definitions are, below the API's base.
const EVENTS: &str = "/v2/events";

/// The header that the vendor wants his token in.
const TOKEN_HEADER: &str = "X-CAP-API-OAUTH-TOKEN";

/// The API, and the way to it.
pub(crate) struct Api {
    wire: Wire,
    headers: Headers,
    events: Address,
}

/// What came of sending a definition that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It is this definition that will not do.
    Refused(String),
    /// Nothing can be sent, this one or another.
    Stopped(String),
    /// No answer came that says whether it was taken.
    Unknown(String),
}

impl Failure {
    /// What happened.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Failure::Refused(reason) | Failure::Stopped(reason) | Failure::Unknown(reason) => reason,
        }
    }
}

impl Api {
    /// Prepares for calls; nothing is dialled. `Err` says what is wrong with the settings.
    pub(crate) fn open(settings: &ApiSettings) -> Result<Api, String> {
        let mut wire = Wire::open(&settings.endpoint, USER_AGENT).map_err(reason_of)?;
        let mut headers = Headers::default();
        match (&settings.token, &settings.authorization) {
            (Some(token), _) => {
                headers.set(TOKEN_HEADER, token.reveal())?;
                wire.conceal(token);
            }
            (None, Some(authorization)) => wire.authorize(&mut headers, authorization)?,
            (None, None) => {}
        }
        headers.set("Accept", "application/json")?;
        Ok(Api {
            events: wire.base().below(EVENTS, &[]),
            wire,
            headers,
        })
    }

    /// Where definitions are, to be shown.
    pub(crate) fn place(&self) -> String {
        self.events.to_string()
    }

    /// All definitions there, in the vendor's form. `Err` says why they are not known.
    pub(crate) fn list(&self) -> Result<Vec<Value>, String> {
        let response = match self.wire.get(&self.events, &self.headers) {
            Reached::Answered(response) if response.is_success() => response,
            Reached::Answered(response) => return Err(self.told("asking", &response)),
            Reached::NotSent { reason } | Reached::Unanswered { reason } | Reached::Untrusted { reason } => {
                return Err(reason);
            }
        };
        if !response.is_whole {
            return Err(format!(
                "asking {}: the answer is longer than any that is read",
                self.events
            ));
        }
        let body = response.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&response.body);
        let said: Option<Value> = serde_json::from_slice(body).ok();
        let listed = said.as_ref().and_then(listed);
        // With nothing in it, and something to complain of, it is no list of nothing.
        let complains = Said::of(&response).is_some_and(|said| said.errors > 0);
        match listed {
            Some(listed) if !complains => Ok(listed),
            _ => Err(format!(
                "{}; a list of events is wanted (`data`): see that `api_url` is the API's",
                self.told("asking", &response)
            )),
        }
    }

    /// Makes a definition. What the vendor warns of is returned.
    pub(crate) fn create(&mut self, definition: &Value) -> Result<Vec<String>, Failure> {
        self.send(definition, false)
    }

    /// Changes a definition: all of it is sent.
    pub(crate) fn update(&mut self, definition: &Value) -> Result<Vec<String>, Failure> {
        self.send(definition, true)
    }

    fn send(&mut self, definition: &Value, is_there: bool) -> Result<Vec<String>, Failure> {
        let mut headers = self.headers.clone();
        headers
            .set("Content-Type", "application/json")
            .map_err(Failure::Stopped)?;
        let body = definition.to_string();
        let (doing, reached) = match is_there {
            true => ("putting to", self.wire.put(&self.events, &headers, body.as_bytes())),
            false => ("posting to", self.wire.post(&self.events, &headers, body.as_bytes())),
        };
        let response = match reached {
            Reached::Answered(response) => response,
            Reached::NotSent { reason } | Reached::Untrusted { reason } => return Err(Failure::Stopped(reason)),
            Reached::Unanswered { reason } => return Err(Failure::Unknown(reason)),
        };
        let told = self.told(doing, &response);
        match Said::of(&response) {
            Some(said) if response.is_success() && said.errors == 0 && said.code.is_none_or(is_good) => {
                Ok(said.warnings)
            }
            Some(said) if response.is_success() || said.code.is_some() || said.errors > 0 => {
                Err(match response.status {
                    401 | 403 => Failure::Stopped(told),
                    _ => Failure::Refused(told + &said.code.map(codes::advice).unwrap_or_default()),
                })
            }
            _ => Err(match response.status {
                400 | 409 | 422 => Failure::Refused(told),
                200..=299 | 504 | 520 | 524 => Failure::Unknown(told),
                _ => Failure::Stopped(told),
            }),
        }
    }

    /// What was answered, in words.
    fn told(&self, doing: &str, response: &Response) -> String {
        let mut told = format!("{doing} {}: answered {}", self.events, response.status_shown());
        if let Some(location) = &response.location {
            told.push_str(&format!(" to {location}"));
        }
        let said = Said::of(response).unwrap_or_default();
        if let Some(code) = said.code {
            told.push_str(&format!(", {}", codes::words(code)));
        }
        let quoted = match &said.message {
            Some(message) => self.wire.said(message.as_bytes()),
            None if reply::is_page(response) => "a web page".to_owned(),
            None => self.wire.said(&response.body),
        };
        if !quoted.is_empty() {
            told.push_str(&format!(": {quoted}"));
        }
        if matches!(response.status, 401 | 403) {
            told.push_str("; see that the token, or user and password, still let us in");
        }
        told
    }
}

/// Whether a code that an answer about definitions has says that all is well; which does is written nowhere.
fn is_good(code: u64) -> bool {
    (200..300).contains(&code)
}

/// The definitions in an answer: `data`, each as it is or within `clickEventsMeta`.
fn listed(said: &Value) -> Option<Vec<Value>> {
    let all = said.get("data").unwrap_or(said).as_array()?;
    let definition = |one: &Value| one.get("clickEventsMeta").unwrap_or(one).clone();
    Some(all.iter().map(definition).collect())
}

fn reason_of(reply: Reply) -> String {
    match reply {
        Reply::Barred { reason } | Reply::Unavailable { reason } => reason,
        // Opening answers with none of these.
        Reply::Held | Reply::Durable(_) | Reply::Underway => "the API did not open".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_in_every_form() {
        let check = |said: Value, expect: Option<usize>| {
            assert_eq!(listed(&said).map(|listed| listed.len()), expect, "{said}");
        };
        check(
            json!({"data": [{"clickEventsMeta": {"eventName": "a"}, "transformerMappings": []}]}),
            Some(1),
        );
        check(json!([{"eventName": "a"}, {"eventName": "b"}]), Some(2));
        check(json!({"data": []}), Some(0));
        check(json!({"data": {}}), None);
        check(json!({}), None);
        check(json!("ok"), None);
        let within = listed(&json!({"data": [{"clickEventsMeta": {"eventName": "a"}}]}));
        assert_eq!(within, Some(vec![json!({"eventName": "a"})]));
    }
}
