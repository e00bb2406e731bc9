//! Any URL that takes a POST.
//!
//! A call is a body of events ([`parcel`]), one JSON object each, with headers that let a receiver make sure of it
//! ([`seal`]): who sends it, that nobody else did, and whether it has come before. What the answer means is in
//! [`meaning`]; a receiver that says nothing about single events has taken all of them with a 2xx, and none with anything
//! else.
//!
//! Delivered is *at least once*: where an answer is lost, the same events come again, with the same ids and the same
//! `Idempotency-Key`.

mod meaning;
mod parcel;
mod seal;

use super::Reply;
use super::receiver::{Added, Answer, Call, Receiver};
use super::wire::{Headers, Reached, Response, Wire};
use crate::config::resolve::{HttpCompression, HttpFormat, HttpSettings, Secret, StatusMeaning};
use crate::events::{Bounds, Event};
use parcel::Parcel;

/// What the program calls itself.
const USER_AGENT: &str = concat!("feedgate/", env!("CARGO_PKG_VERSION"));

/// Somebody who takes a POST.
pub(super) struct Http {
    wire: Wire,
    /// Those that every call has.
    headers: Headers,
    signing_key: Option<Secret>,
    statuses: Vec<(u16, StatusMeaning)>,
    bounds: Bounds,
    parcel: Parcel,
}

impl Http {
    /// Prepares for delivery; nothing is dialled. `Err` is [`Reply::Barred`].
    pub(super) fn open(settings: &HttpSettings) -> Result<Http, Reply> {
        let (wire, mut headers) = way_in(settings)?;
        let barred = |reason| Reply::Barred { reason };
        // A configured type stays: some receivers want one of their own.
        if !headers.has("Content-Type") {
            let content_type = match settings.format {
                HttpFormat::Ndjson => "application/x-ndjson",
                HttpFormat::Array => "application/json",
            };
            headers.set("Content-Type", content_type).map_err(barred)?;
        }
        match settings.compression {
            HttpCompression::None => {}
            HttpCompression::Gzip => headers.set("Content-Encoding", "gzip").map_err(barred)?,
            HttpCompression::Zstd(_) => headers.set("Content-Encoding", "zstd").map_err(barred)?,
        }
        let bounds = Bounds {
            events: settings.batch_events,
            bytes: settings.batch_bytes,
        };
        Ok(Http {
            wire,
            headers,
            signing_key: settings.signing_key.clone(),
            statuses: settings.statuses.clone(),
            bounds,
            parcel: Parcel::new(settings.format, settings.compression, settings.batch_bytes),
        })
    }
}

/// Asks whether anybody is there who lets us in, by a `HEAD`: HTTP defines that nothing comes of it. What else is answered
/// does not matter, since few who take a `POST` know what to say to it.
pub(super) fn check(settings: &HttpSettings) -> Result<(), Reply> {
    let (wire, headers) = way_in(settings)?;
    match wire.head(wire.base(), &headers) {
        Reached::Answered(response) if matches!(response.status, 401 | 403) => Err(Reply::Barred {
            reason: meaning::not_let_in(&format!("asking {}", wire.base()), &response, &wire),
        }),
        Reached::Answered(_) => Ok(()),
        Reached::Untrusted { reason } => Err(Reply::Barred { reason }),
        Reached::NotSent { reason } | Reached::Unanswered { reason } => Err(Reply::Unavailable { reason }),
    }
}

/// The way there, and the headers that let us in.
fn way_in(settings: &HttpSettings) -> Result<(Wire, Headers), Reply> {
    let barred = |reason| Reply::Barred { reason };
    let configured = |wanted: &str| {
        let mut headers = settings.headers.iter();
        let found = headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.reveal())
    };
    let mut wire = Wire::open(&settings.endpoint, configured("User-Agent").unwrap_or(USER_AGENT))?;
    let mut headers = Headers::default();
    for (name, value) in &settings.headers {
        if seal::is_ours(name) {
            return Err(barred(format!(
                "the header `{}` is written for each call; leave it out",
                crate::telemetry::escaped(name)
            )));
        }
        headers.set(name, value.reveal()).map_err(barred)?;
        wire.conceal(value);
    }
    if let Some(authorization) = &settings.authorization {
        wire.authorize(&mut headers, authorization).map_err(barred)?;
    }
    if let Some(key) = &settings.signing_key {
        wire.conceal(key);
    }
    Ok((wire, headers))
}

impl Receiver for Http {
    fn bounds(&self) -> Bounds {
        self.bounds
    }

    fn clear(&mut self) {
        self.parcel.clear();
    }

    fn add(&mut self, event: &Event<'_>) -> Added {
        self.parcel.add(event);
        Added::Taken
    }

    fn bytes(&self) -> usize {
        self.parcel.bytes()
    }

    fn make(&mut self, call: &Call) -> Answer {
        let Call::Parcel(events) = call else {
            // No call goes before a parcel here.
            return Answer::Delivered;
        };
        let ids = || self.parcel.ids(events.clone());
        let body = match self.parcel.body(events.clone()) {
            Ok(body) => body,
            // Memory that a compressor cannot have; nothing was sent.
            Err(error) => {
                return Answer::Unavailable {
                    reason: format!("compressing {} events: {error}", events.len()),
                    retry_after: None,
                };
            }
        };
        let mut headers = self.headers.clone();
        if let Err(reason) = seal::put_on(&mut headers, ids(), &body, self.signing_key.as_ref()) {
            return Answer::Barred { reason };
        }
        let to = self.wire.base().clone();
        match self.wire.post(&to, &headers, &body) {
            Reached::Answered(response) => self.understand(&response, ids().collect()),
            Reached::NotSent { reason } => Answer::Unavailable {
                reason,
                retry_after: None,
            },
            Reached::Unanswered { reason } => Answer::Unanswered { reason },
            Reached::Untrusted { reason } => Answer::Barred { reason },
        }
    }
}

impl Http {
    fn understand(&self, response: &Response, ids: Vec<&str>) -> Answer {
        meaning::of(response, &ids, &self.statuses, &self.wire)
    }
}
