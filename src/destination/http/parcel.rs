//! The events of a batch, as bodies of requests.
//!
//! Each event is written once, when it is added, into one buffer; the body of any run of them is a piece of it, however
//! often the batch is halved to find what is wrong with it.

use std::borrow::Cow;
use std::io::{self, Write};
use std::ops::Range;

use flate2::write::GzEncoder;

use crate::config::resolve::{HttpCompression, HttpFormat};
use crate::events::{Event, push_message};

/// What every message begins with; its id follows.
const BEFORE_ID: usize = r#"{"id":""#.len();

/// The events of a batch.
pub(super) struct Parcel {
    format: HttpFormat,
    compression: HttpCompression,
    /// Bytes that are kept from batch to batch; one event may be much larger.
    usual_bytes: usize,
    /// Messages, each with a line feed or a comma behind it.
    text: Vec<u8>,
    places: Vec<Place>,
}

/// Where a message lies in the text.
struct Place {
    start: usize,
    /// Behind what separates it from the next.
    end: usize,
    id: Range<usize>,
}

impl Parcel {
    pub(super) fn new(format: HttpFormat, compression: HttpCompression, usual_bytes: usize) -> Parcel {
        Parcel {
            format,
            compression,
            usual_bytes,
            text: Vec::new(),
            places: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(self.usual_bytes.saturating_mul(2));
        self.places.clear();
    }

    pub(super) fn add(&mut self, event: &Event<'_>) {
        let start = self.text.len();
        push_message(&mut self.text, event);
        self.text.push(match self.format {
            HttpFormat::Ndjson => b'\n',
            HttpFormat::Array => b',',
        });
        let id = start + BEFORE_ID;
        // An id is made of digits and a hyphen; nothing in it is escaped.
        let id = id..id + memchr::memchr(b'"', &self.text[id..]).unwrap_or(0);
        let end = self.text.len();
        self.places.push(Place { start, end, id });
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The ids of some events, in order.
    pub(super) fn ids(&self, events: Range<usize>) -> impl ExactSizeIterator<Item = &str> {
        let places = self.places.get(events).unwrap_or_default();
        let text = |id: &Range<usize>| std::str::from_utf8(&self.text[id.clone()]).unwrap_or_default();
        places.iter().map(move |place| text(&place.id))
    }

    /// The body for some events, as it goes on the wire. The same events give the same bytes.
    pub(super) fn body(&self, events: Range<usize>) -> io::Result<Cow<'_, [u8]>> {
        let body = self.plain(events);
        match self.compression {
            HttpCompression::None => Ok(body),
            HttpCompression::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(&body)?;
                encoder.finish().map(Cow::Owned)
            }
            HttpCompression::Zstd(level) => zstd::bulk::compress(&body, level).map(Cow::Owned),
        }
    }

    fn plain(&self, events: Range<usize>) -> Cow<'_, [u8]> {
        let places = self.places.get(events).unwrap_or_default();
        let text = match (places.first(), places.last()) {
            (Some(first), Some(last)) => &self.text[first.start..last.end],
            _ => &[],
        };
        match self.format {
            HttpFormat::Ndjson => Cow::Borrowed(text),
            HttpFormat::Array => {
                let elements = text.strip_suffix(b",").unwrap_or(text);
                Cow::Owned([b"[", elements, b"]"].concat())
            }
        }
    }
}
