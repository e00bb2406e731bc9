//! One HTTP request, and what came of it.
//!
//! What matters is not so much the answer as its absence: whether a request that was not answered may have been taken.
//! [`Reached`] keeps the cases apart, and where there is doubt it says [`Reached::Unanswered`]. Nothing is tried twice, no
//! redirect is followed and nothing is remembered; `delivery` decides what happens next.
//!
//! Reasons are for people and for the ledger. They name an URL without its query, never a header or a body of ours, and of
//! what the receiver said only a line, with control characters escaped and with our own secrets, should it repeat them,
//! taken out.
//!
//! **Proxies.** The first of `ALL_PROXY`, `HTTPS_PROXY` and `HTTP_PROXY` that is set (in capitals or in small letters) is
//! used for whatever URL, by `CONNECT`, and finds the receiver's address itself. Hosts in `NO_PROXY` are dialled directly
//! (`example.com`, `.example.com`, `*`; with commas between them), and so is this machine, always.

mod address;
mod answer;
mod headers;
mod percent;
mod reason;

use std::io::Read;
use std::time::Duration;

use ureq::http::{Method, Request, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Proxy, SendBody};

use super::Reply;
use crate::config::resolve::{Authorization, Endpoint, Secret};

pub(in crate::destination) use address::Address;
pub(in crate::destination) use answer::Response;
pub(in crate::destination) use headers::Headers;

/// Longest time for finding the address, and for connecting with all of the TLS handshake. Who does not answer by then
/// is not there.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// How long a connection that nothing passes over is kept for the next request. Servers close idle ones after a while
/// (nginx after 75 s, Node after 5 s), and a request that crosses with that is lost in the worst way: sent, and without
/// an answer.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// What is sent in one piece. The deadline is looked at between two pieces: with larger ones somebody who reads by the drop
/// could stretch it.
const PIECE_BYTES: usize = 16 * 1024;

/// Largest head of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A far end that is spoken HTTP with.
pub(in crate::destination) struct Wire {
    agent: Agent,
    base: Address,
    timeout: Duration,
    /// Said in reasons where there is one: it is often to blame.
    proxy: Option<String>,
    secrets: Vec<Secret>,
    /// The last body was cut off. A server that finds a body too large may answer before it is there and close, and that
    /// answer is lost to who still writes. So the next request asks first (`Expect: 100-continue`).
    asks_first: bool,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::destination) enum Reached {
    /// It was answered, with whatever status.
    Answered(Response),
    /// It was certainly not taken: no byte of its body left.
    NotSent {
        /// What happened.
        reason: String,
    },
    /// Some of it left, and no whole answer came: it may have been taken.
    Unanswered {
        /// What happened.
        reason: String,
    },
    /// The far end does not prove who it is. Nothing was sent, and somebody has to look.
    Untrusted {
        /// What is wrong and what to do.
        reason: String,
    },
}

impl Wire {
    /// Prepares for requests to an endpoint; nothing is dialled. `Err` is [`Reply::Barred`].
    pub(in crate::destination) fn open(endpoint: &Endpoint, user_agent: &str) -> Result<Wire, Reply> {
        let base = Address::parse(&endpoint.url).map_err(|reason| Reply::Barred { reason })?;
        if header::HeaderValue::from_str(user_agent).is_err() {
            let reason = "the header `User-Agent` holds a line end or another control character".to_owned();
            return Err(Reply::Barred { reason });
        }
        // A proxy cannot reach this machine as we do.
        let proxy = if base.is_this_machine() {
            None
        } else {
            Proxy::try_from_env()
        };
        let proxy_shown = proxy.as_ref().map(|proxy| format!("{}:{}", proxy.host(), proxy.port()));
        let roots = match &endpoint.roots {
            None => RootCerts::PlatformVerifier,
            Some(pem) => RootCerts::new_with_certs(&certificates(pem)?),
        };
        let connect = CONNECT_MAX.min(endpoint.timeout);
        let config = Agent::config_builder()
            .user_agent(user_agent)
            .http_status_as_error(false)
            .max_redirects(0)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .proxy(proxy)
            .timeout_global(Some(endpoint.timeout))
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .output_buffer_size(PIECE_BYTES)
            .max_response_header_size(HEAD_BYTES_MAX)
            .max_idle_connections(1)
            .max_idle_connections_per_host(1)
            .max_idle_age(IDLE_MAX)
            .build();
        Ok(Wire {
            agent: config.into(),
            secrets: base.secrets(),
            base,
            timeout: endpoint.timeout,
            proxy: proxy_shown,
            asks_first: false,
        })
    }

    /// The endpoint's own address.
    pub(in crate::destination) fn base(&self) -> &Address {
        &self.base
    }

    /// Keeps a secret out of every reason, should the receiver repeat it.
    pub(in crate::destination) fn conceal(&mut self, secret: &Secret) {
        self.secrets.push(secret.clone());
    }

    /// Says in a request's headers who we are, and conceals it. `Err` says what is wrong with it.
    pub(in crate::destination) fn authorize(
        &mut self,
        headers: &mut Headers,
        authorization: &Authorization,
    ) -> Result<(), String> {
        let (scheme, sent) = headers::credentials(authorization);
        headers.set(header::AUTHORIZATION.as_str(), &format!("{scheme} {}", sent.reveal()))?;
        if let Authorization::Basic { password, .. } = authorization {
            self.conceal(password);
        }
        // Base64's padding may be left off where it is repeated.
        self.conceal(&Secret::new(sent.reveal().trim_end_matches('=')));
        Ok(())
    }

    /// Makes one `POST`.
    pub(in crate::destination) fn post(&mut self, to: &Address, headers: &Headers, body: &[u8]) -> Reached {
        self.send(Method::POST, "posting", to, headers, body)
    }

    /// Makes one `PUT`, as [`Wire::post`].
    pub(in crate::destination) fn put(&mut self, to: &Address, headers: &Headers, body: &[u8]) -> Reached {
        self.send(Method::PUT, "putting", to, headers, body)
    }

    fn send(&mut self, method: Method, what: &str, to: &Address, headers: &Headers, body: &[u8]) -> Reached {
        let mut sending = Sending {
            left: body,
            of: body.len(),
        };
        let mut request = headers.request(method, to);
        request.headers_mut().insert(header::CONTENT_LENGTH, body.len().into());
        if self.asks_first {
            let value = |text| header::HeaderValue::from_static(text);
            request.headers_mut().insert(header::EXPECT, value("100-continue"));
            // An answer in place of `100 Continue` is only looked at once more comes or the connection is closed (ureq
            // 3.5): so let it be closed.
            request.headers_mut().insert(header::CONNECTION, value("close"));
        }
        let (parts, ()) = request.into_parts();
        let answer = self
            .agent
            .run(Request::from_parts(parts, SendBody::from_reader(&mut sending)));
        let doing = format!("{what} to {to}");
        let stage = sending.stage();
        let reached = match answer {
            // Who was asked first, and says yes without having looked, has taken nothing. A no without a look is a no.
            Ok(answer) if answer.status().is_success() && stage != Stage::Sent => Reached::NotSent {
                reason: format!("{doing}: answered {} before any of it was sent", answer.status()),
            },
            Ok(answer) => self.read(&doing, answer),
            Err(error) => self.failed(&doing, &error, stage),
        };
        let was_cut = matches!(stage, Stage::Body { .. }) && matches!(reached, Reached::Unanswered { .. });
        let is_refused = matches!(&reached, Reached::Answered(response) if !response.is_success());
        self.asks_first = was_cut || (self.asks_first && is_refused);
        reached
    }

    /// Makes one `GET`. It takes nothing with it, and so is never [`Reached::Unanswered`].
    pub(in crate::destination) fn get(&self, from: &Address, headers: &Headers) -> Reached {
        self.ask(Method::GET, from, headers)
    }

    /// Makes one `HEAD`, as [`Wire::get`].
    pub(in crate::destination) fn head(&self, from: &Address, headers: &Headers) -> Reached {
        self.ask(Method::HEAD, from, headers)
    }

    /// A line of what the receiver said, for a reason: quoted, or empty where it said nothing.
    pub(in crate::destination) fn said(&self, body: &[u8]) -> String {
        reason::said(body, &self.secrets)
    }

    fn ask(&self, method: Method, from: &Address, headers: &Headers) -> Reached {
        let doing = format!("asking {from}");
        let request = headers.request(method, from);
        let (parts, ()) = request.into_parts();
        let reached = match self.agent.run(Request::from_parts(parts, SendBody::none())) {
            Ok(answer) => self.read(&doing, answer),
            Err(error) => self.failed(&doing, &error, Stage::Head),
        };
        match reached {
            Reached::Unanswered { reason } => Reached::NotSent { reason },
            other => other,
        }
    }

    fn read(&self, doing: &str, answer: ureq::http::Response<ureq::Body>) -> Reached {
        match Response::read(answer, &self.secrets) {
            Ok(response) => Reached::Answered(response),
            Err(error) => self.failed(doing, &ureq::Error::from(error), Stage::Answer),
        }
    }

    fn failed(&self, doing: &str, error: &ureq::Error, stage: Stage) -> Reached {
        let why = reason::of_error(error, stage, self.timeout);
        let mut reason = format!("{doing}: {}", reason::conceal(&why, &self.secrets));
        if let (Some(proxy), Stage::Head) = (&self.proxy, stage) {
            reason.push_str(&format!(", by way of the proxy {proxy}, as the environment says"));
        }
        if let Some(advice) = reason::of_distrust(error) {
            reason.push_str(advice);
            return Reached::Untrusted { reason };
        }
        match stage {
            Stage::Head => Reached::NotSent { reason },
            Stage::Body { .. } | Stage::Sent | Stage::Answer => Reached::Unanswered { reason },
        }
    }
}

/// How far a request had got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing of its body had left; nothing can have been taken.
    Head,
    /// So much of its body had left, at most.
    Body { sent: usize, of: usize },
    /// All of it had left, or was about to.
    Sent,
    /// The head of an answer was there.
    Answer,
}

/// The body on its way: what was pulled from it may have left.
struct Sending<'a> {
    left: &'a [u8],
    of: usize,
}

impl Sending<'_> {
    fn stage(&self) -> Stage {
        match self.of - self.left.len() {
            0 => Stage::Head,
            sent if sent == self.of => Stage::Sent,
            sent => Stage::Body { sent, of: self.of },
        }
    }
}

impl Read for Sending<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.left.read(into)
    }
}

/// The certificates in a PEM text.
fn certificates(pem: &str) -> Result<Vec<Certificate<'static>>, Reply> {
    let barred = |what: &str| Reply::Barred {
        reason: format!("reading `ca_file`: {what}; it should hold one or more `-----BEGIN CERTIFICATE-----`"),
    };
    let mut found = Vec::new();
    for item in parse_pem(pem.as_bytes()) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(_) => return Err(barred("it is no PEM, or damaged")),
        }
    }
    match found.is_empty() {
        true => Err(barred("it holds no certificate")),
        false => Ok(found),
    }
}
