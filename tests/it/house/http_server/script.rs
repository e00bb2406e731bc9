//! What a request gets.

use std::time::Duration;

use serde_json::Value;

/// What a request gets. Where it says *stored*, the request counts as kept by the receiver, whatever the client hears.
#[derive(Debug, Clone)]
pub enum Script {
    /// An answer.
    Answer {
        /// Its status.
        status: u16,
        /// Its headers, besides `Content-Length`.
        headers: Vec<(String, String)>,
        /// Its body.
        body: Vec<u8>,
        /// Whether the request is stored.
        store: bool,
        /// Whether the connection is closed without a word of warning once it is sent.
        close: bool,
    },
    /// An answer that is sent as soon as the request's head is there; its body is read and thrown away. Not stored.
    AnswerEarly(u16),
    /// The connection is closed once the request was read. Not stored.
    CutBefore,
    /// Stored, and the connection closed without an answer.
    CutAfter,
    /// The connection is closed when half of the body is there. Not stored.
    CutInBody,
    /// Stored, and answered `200`, with a `Content-Length` that is longer than what follows; then closed.
    WrongLength,
    /// Stored, and the connection closed in the middle of the answer's head.
    HalfHeader,
    /// Never answered, until the server is dropped, or answered after [`super::HttpServer::release`].
    Stall {
        /// Whether the request is stored.
        store: bool,
    },
    /// Stored, and answered with `200` and `{}`, with this much time before each byte.
    Slow(Duration),
    /// Stored, and answered with `200` and a body that never ends.
    Endless,
    /// Stored, and answered with a head that never ends.
    EndlessHead,
    /// Stored, and answered with something that is no HTTP; then closed.
    Garbage,
    /// Stored, and answered with these very bytes; then closed.
    Raw(Vec<u8>),
}

impl Script {
    /// `200` and a JSON text. Stored.
    pub fn ok(json: impl ToString) -> Script {
        Script::status(200)
            .with_header("Content-Type", "application/json")
            .with_body(json.to_string())
    }

    /// `200` and a JSON value. Stored.
    pub fn json(value: &Value) -> Script {
        Script::ok(value)
    }

    /// A status and an empty body. Stored, if it is a 2xx.
    pub fn status(status: u16) -> Script {
        Script::Answer {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            store: (200..300).contains(&status),
            close: false,
        }
    }

    /// `302` to another place. Not stored.
    pub fn redirect(location: &str) -> Script {
        Script::status(302).with_header("Location", location)
    }

    /// An answer with one more header.
    pub fn with_header(mut self, name: &str, value: &str) -> Script {
        let Script::Answer { headers, .. } = &mut self else {
            panic!("only an answer has headers: {self:?}");
        };
        headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// An answer with this body.
    pub fn with_body(mut self, text: impl Into<Vec<u8>>) -> Script {
        let Script::Answer { body, .. } = &mut self else {
            panic!("only an answer has a body: {self:?}");
        };
        *body = text.into();
        self
    }

    /// An answer whose request is stored, or is not.
    pub fn storing(mut self, stored: bool) -> Script {
        let Script::Answer { store, .. } = &mut self else {
            panic!("only an answer can be told: {self:?}");
        };
        *store = stored;
        self
    }

    /// An answer after which the connection is closed, without `Connection: close`.
    pub fn and_close(mut self) -> Script {
        let Script::Answer { close, .. } = &mut self else {
            panic!("only an answer leaves a connection open: {self:?}");
        };
        *close = true;
        self
    }

    /// Whether a request that gets this is stored.
    pub(super) fn stores(&self) -> bool {
        match self {
            Script::Answer { store, .. } | Script::Stall { store } => *store,
            Script::AnswerEarly(_) | Script::CutBefore | Script::CutInBody => false,
            Script::CutAfter
            | Script::WrongLength
            | Script::HalfHeader
            | Script::Slow(_)
            | Script::Endless
            | Script::EndlessHead
            | Script::Garbage
            | Script::Raw(_) => true,
        }
    }
}
