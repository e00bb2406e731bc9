//! What was received.

use std::fmt;
use std::io::Read;

use serde_json::Value;

/// One request, as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Number of the connection it came over, from 1.
    pub connection: usize,
    /// `POST`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Headers in the order they came in, names as written.
    pub headers: Vec<(String, String)>,
    /// The body as it was on the wire, without its chunks.
    pub raw: Vec<u8>,
    /// The body, unpacked as `Content-Encoding` says.
    pub body: Vec<u8>,
    /// Whether all of it came.
    pub whole: bool,
    /// Whether it was kept.
    pub stored: bool,
}

impl Request {
    /// The value of a header, by its name in any case. Panics if it is there twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self
            .headers
            .iter()
            .filter(|(given, _)| given.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "`{name}` is there twice: {self:#?}");
        value
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }

    /// The body as one JSON value.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {self:#?}"))
    }

    /// The body's events: the elements of an array, or the lines.
    pub fn events(&self) -> Vec<Value> {
        if self.body.starts_with(b"[") {
            return self.json().as_array().expect("an array").clone();
        }
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.text().lines().map(parse).collect()
    }

    /// Unpacks what came.
    pub(super) fn unpack(&mut self) {
        let mut body = Vec::new();
        let unpacked = match self.header("content-encoding") {
            Some("gzip") => flate2::read::GzDecoder::new(&self.raw[..]).read_to_end(&mut body),
            Some("zstd") => zstd::Decoder::new(&self.raw[..]).and_then(|mut decoder| decoder.read_to_end(&mut body)),
            _ => {
                body = self.raw.clone();
                Ok(body.len())
            }
        };
        // A cut one cannot be unpacked to its end; what came of it is kept.
        assert!(unpacked.is_ok() || !self.whole, "{unpacked:?}: {self:#?}");
        self.body = body;
    }
}

/// For the messages of failed assertions: texts as texts.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("connection", &self.connection)
            .field("line", &format_args!("{} {}", self.method, self.target))
            .field("headers", &self.headers)
            .field(
                "body",
                &String::from_utf8_lossy(&self.body[..self.body.len().min(2_000)]),
            )
            .field("whole", &self.whole)
            .field("stored", &self.stored)
            .finish()
    }
}
