//! Any bytes as a data file, read as they are and in small pieces, under wide limits and narrow ones, against serde_json.
//!
//! The oracle for syntax is `RawValue`, with a UTF-8 check and the depth rule beside it; for what an entry says, `Value`.

use std::io::{self, Read};

use feedgate::feed::{DuplicateKeys, KEYS, Options, Stop, Verdict, Walk, extract, judge};
use feedgate::verdict::{Position, Violation, ViolationCode};
use serde_json::Value;
use serde_json::value::RawValue;

use super::may_be_shown;

/// Reads it in every way, and holds the readings against each other and the oracle.
pub fn run(feed: &[u8]) {
    let wide = Options {
        default_business_unit: None,
        duplicate_keys: DuplicateKeys::Reject,
        entry_bytes_max: 16 << 20,
        depth_max: 128,
        kind: feedgate::verdict::FeedKind::Events,
        ordered_items: false,
        order_unique: false,
    };
    let narrow = Options {
        default_business_unit: Some("DE".to_owned()),
        duplicate_keys: DuplicateKeys::Last,
        entry_bytes_max: 64,
        depth_max: 3,
        kind: feedgate::verdict::FeedKind::Events,
        ordered_items: false,
        order_unique: false,
    };
    for options in [wide, narrow] {
        let whole = reading(feed, options.clone());
        for size in [1, 7, 4096] {
            let pieces = reading(Pieces(feed, size), options.clone());
            assert!(pieces == whole, "in pieces of {size}: {pieces:#?}\nwhole: {whole:#?}");
        }
        agrees_with_serde_json(feed, &options, &whole);
        places_are_right(feed, &whole);
    }
}

/// What reading a feed comes to.
#[derive(Debug, PartialEq)]
struct Reading {
    entries: Vec<Seen>,
    fault: Option<Violation>,
}

#[derive(Debug, PartialEq)]
struct Seen {
    raw: String,
    at: Position,
    /// The verdict, in words: with all it says.
    verdict: String,
}

fn reading(read: impl Read, options: Options) -> Reading {
    let mut walk = Walk::new(read, &options);
    let mut entries = Vec::new();
    loop {
        let entry = match walk.next() {
            Ok(Some(entry)) => entry,
            Ok(None) => return Reading { entries, fault: None },
            Err(Stop::Fault(fault)) => {
                may_be_shown(&fault.detail);
                may_be_shown(fault.excerpt.as_deref().unwrap_or_default());
                assert!(fault.detail.len() < 1_000, "{fault:?}");
                match walk.next() {
                    Err(Stop::Fault(again)) => assert_eq!(again, fault, "a fault is final"),
                    other => panic!("after a fault: {other:?}"),
                }
                return Reading {
                    entries,
                    fault: Some(fault),
                };
            }
            Err(Stop::Read(error)) => panic!("reading: {error}"),
        };
        assert_eq!(entry.index, entries.len() as u64);
        let verdict = judge(&entry, &options);
        match &verdict {
            Verdict::Accepted(event, warnings) => {
                assert_eq!(
                    extract(&entry, &options),
                    *event,
                    "a delivery would read something else"
                );
                warnings.iter().for_each(|warning| may_be_shown(&warning.message));
                says_the_same(entry.raw, event);
            }
            Verdict::Rejected(reject) => {
                may_be_shown(&reject.excerpt);
                assert!(!reject.reasons.is_empty());
                for reason in &reject.reasons {
                    may_be_shown(&reason.message);
                    may_be_shown(&reason.pointer);
                }
            }
        }
        entries.push(Seen {
            raw: entry.raw.to_owned(),
            at: entry.position(),
            verdict: format!("{verdict:?}"),
        });
    }
}

/// An accepted entry says what serde_json finds in it; that refuses some numbers, and then there is nothing to compare.
fn says_the_same(raw: &str, event: &feedgate::feed::Entry<'_>) {
    let Ok(Value::Object(theirs)) = serde_json::from_str(raw) else {
        return;
    };
    let ours = [
        Some(&event.event),
        event.id.as_ref(),
        event.email.as_ref(),
        event.business_unit.as_ref(),
    ];
    for (key, ours) in KEYS.iter().zip(ours) {
        let theirs = theirs.get(*key).map(|value| match value {
            Value::String(text) => text.clone(),
            // Beyond 64 bits, and for a negative zero, it has another number: ours is the text.
            Value::Number(number) if number.is_f64() => ours.map(|ours| ours.to_string()).unwrap_or_default(),
            other => other.to_string(),
        });
        match (ours, theirs) {
            (Some(ours), Some(theirs)) if theirs.trim().is_empty() || theirs == "null" => {
                assert!(*key == "businessUnit" && ours == "DE", "{key} in {raw}");
            }
            (Some(ours), Some(theirs)) => assert_eq!(*ours, theirs, "{key} in {raw}"),
            (Some(ours), None) => assert!(*key == "businessUnit" && ours == "DE", "{key} in {raw}"),
            (None, _) => {}
        }
    }
}

/// The same entries where all is well; and where it is not, no entry that is not there, and a reason of the right kind.
fn agrees_with_serde_json(feed: &[u8], options: &Options, ours: &Reading) {
    let text = std::str::from_utf8(feed).ok();
    let theirs: Option<Vec<&RawValue>> =
        text.and_then(|text| serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text)).ok());
    let same = |theirs: &[&RawValue]| {
        theirs
            .iter()
            .map(|raw| raw.get())
            .eq(ours.entries.iter().map(|seen| &*seen.raw))
    };
    match (theirs, &ours.fault) {
        (Some(theirs), None) => {
            assert!(same(&theirs), "serde_json finds other entries");
            assert!(
                theirs
                    .iter()
                    .all(|raw| raw.get().len() as u64 <= options.entry_bytes_max)
            );
        }
        (Some(theirs), Some(fault)) => {
            // Our own limits, and nothing else.
            let done = ours.entries.len();
            assert!(same(&theirs[..done]), "serde_json finds other entries");
            let next = theirs.get(done).map_or("", |raw| raw.get());
            match fault.code {
                ViolationCode::Depth => assert!(depth(next) + 1 > options.depth_max as usize, "{fault:?}"),
                ViolationCode::EntryTooLarge => assert!(next.len() as u64 > options.entry_bytes_max, "{fault:?}"),
                _ => panic!("serde_json takes it: {fault:?}"),
            }
        }
        (None, None) => panic!("serde_json does not take it"),
        (None, Some(fault)) => {
            let is_text = text.is_some();
            assert!(
                fault.code != ViolationCode::Encoding || !is_text,
                "it is UTF-8: {fault:?}"
            );
        }
    }
}

/// Most containers open at a time.
fn depth(json: &str) -> usize {
    let (mut open, mut deepest, mut quoted, mut escaped) = (0, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' if !quoted => open -= 1,
            _ => {}
        }
    }
    deepest
}

/// Each place is where a plain count of lines and characters puts it.
fn places_are_right(feed: &[u8], reading: &Reading) {
    for seen in &reading.entries {
        let at = seen.at.byte as usize;
        assert!(feed[at..].starts_with(seen.raw.as_bytes()), "{seen:?}");
        assert_eq!(seen.at, place(feed, at), "{seen:?}");
    }
    let Some(fault) = &reading.fault else { return };
    let at = fault.at.expect("a fault of the data has a place");
    let counted = place(feed, at.byte as usize);
    assert_eq!(at.line, counted.line, "{fault:?}");
    // At an end in the middle of a character, that character may count.
    assert!(
        (counted.column..=counted.column + 1).contains(&at.column),
        "{fault:?}, counted {counted:?}"
    );
}

fn place(feed: &[u8], byte: usize) -> Position {
    let before = &feed[..byte];
    let before = before.strip_prefix(b"\xef\xbb\xbf").unwrap_or(before);
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let last = before.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    let column = last.iter().filter(|&&byte| byte & 0xc0 != 0x80).count() + 1;
    Position {
        line: line as u64,
        column: column as u64,
        byte: byte as u64,
    }
}

/// Hands out so many bytes at a time.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.1.min(buffer.len());
        self.0.read(&mut buffer[..size])
    }
}
