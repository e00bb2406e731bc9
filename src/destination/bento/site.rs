//! A Bento site: its address, what lets us in, what it allows in an hour.

use crate::config::resolve::{Authorization, BentoSettings};
use crate::destination::Reply;
use crate::destination::json::Object;
use crate::destination::receiver::Budget;
use crate::destination::wire::{Headers, Reached, Wire};

/// A site, and the way to it.
pub(super) struct Site {
    wire: Wire,
    headers: Headers,
    uuid: String,
    batch: Budget,
    fetch: Budget,
}

/// A request that is not sent yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// Behind the API's base: `batch/events`.
    pub(super) path: &'static str,
    /// The whole body.
    pub(super) body: String,
}

impl Site {
    /// Prepares for requests; nothing is dialled. `Err` is [`Reply::Barred`].
    pub(super) fn open(settings: &BentoSettings) -> Result<Site, Reply> {
        let barred = |reason| Reply::Barred { reason };
        let uuid = settings.site_uuid.clone();
        // Bento's edge refuses whoever does not say who they are.
        let user_agent = format!("feedgate/{} ({uuid})", env!("CARGO_PKG_VERSION"));
        let mut wire = Wire::open(&settings.endpoint, &user_agent)?;
        let mut headers = Headers::default();
        let authorization = Authorization::Basic {
            user: settings.publishable_key.reveal().to_owned(),
            password: settings.secret_key.clone(),
        };
        wire.authorize(&mut headers, &authorization).map_err(barred)?;
        wire.conceal(&settings.publishable_key);
        headers.set("Accept", "application/json").map_err(barred)?;
        let budget = |kind, per_hour| Budget {
            // By the site alone: however its URL is spelt, it is the same Bento that counts.
            site: format!("bento {}", uuid.to_lowercase()),
            kind,
            per_hour,
            burst: settings.burst,
        };
        Ok(Site {
            wire,
            headers,
            batch: budget("batch", settings.batch_per_hour),
            fetch: budget("fetch", settings.fetch_per_hour),
            uuid,
        })
    }

    /// What requests to `batch/…` count against.
    pub(super) fn batch_budget(&self) -> Budget {
        self.batch.clone()
    }

    /// What requests to `fetch/…` count against.
    pub(super) fn fetch_budget(&self) -> Budget {
        self.fetch.clone()
    }

    /// A request with a body. The site is named in it, as Bento's guide does, and in the query, as its reference wants it.
    pub(super) fn request(&self, path: &'static str, write: impl FnOnce(&mut Object<'_>)) -> Request {
        let mut body = String::new();
        let mut object = Object::begin(&mut body);
        object.text("site_uuid", &self.uuid);
        write(&mut object);
        object.end();
        Request { path, body }
    }

    /// Makes a request, once.
    pub(super) fn post(&mut self, request: &Request) -> Reached {
        let to = self
            .wire
            .base()
            .below(&format!("/{}", request.path), &[("site_uuid", &self.uuid)]);
        // Only requests with a body say what it is.
        let mut headers = self.headers.clone();
        if let Err(reason) = headers.set("Content-Type", "application/json") {
            return Reached::NotSent { reason };
        }
        self.wire.post(&to, &headers, request.body.as_bytes())
    }

    /// Asks for something, and changes nothing.
    pub(super) fn get(&self, path: &str) -> Reached {
        let from = self
            .wire
            .base()
            .below(&format!("/{path}"), &[("site_uuid", &self.uuid)]);
        self.wire.get(&from, &self.headers)
    }

    /// A line of what Bento said, for a reason: quoted, without our secrets; empty where it said nothing.
    pub(super) fn said(&self, text: &str) -> String {
        self.wire.said(text.as_bytes())
    }
}
