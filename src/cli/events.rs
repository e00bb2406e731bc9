//! `feedgate events`: the accepted events as NDJSON, straight from the spool.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};

use super::masking::{Mask, Masking};
use crate::events::{Bounds, Event, Events, EventsError, push_line};
use crate::large;
use crate::ledger::{Import, Ledger, Wanted};

/// How large a batch may become: small, since nothing is gained by a larger one.
const BOUNDS: Bounds = Bounds {
    events: 10_000,
    bytes: 1024 * 1024,
};

/// How much is gathered before it is written, in bytes.
const WRITE_BYTES: usize = 256 * 1024;

/// Imports that are looked up at a time.
const IMPORTS_MAX: usize = 64;

/// Most gaps that are named one by one.
const GAPS_MAX: usize = 100;

/// Which events are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// Of which imports.
    pub wanted: Wanted,
    /// Only those of this name.
    pub event: Option<String>,
    /// Whether what a definition calls sensitive is shown.
    pub reveal: bool,
}

/// What was printed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Printed {
    /// Events.
    pub events: u64,
    /// Imports whose events could not be had any more, in sentences for people: to be told on stderr, exit code 1.
    pub gaps: Vec<String>,
}

/// Prints the accepted events that are asked for, one JSON object a line, in the order of import. That nobody reads on is
/// a quiet end.
pub async fn events(ledger: &Ledger, spool_dir: &Path, query: &Query, out: &mut dyn Write) -> anyhow::Result<Printed> {
    let mut printed = Printed::default();
    let mut masking = Masking::new(query.reveal);
    let mut gaps_more: u64 = 0;
    let mut imports = VecDeque::new();
    let mut after = 0;
    let mut found_any = false;
    loop {
        if imports.is_empty() {
            imports.extend(ledger.wanted(query.wanted.clone(), after, IMPORTS_MAX).await?);
        }
        let Some(import) = imports.pop_front() else { break };
        after = import.seq;
        found_any = true;
        let mask = match masking.of(ledger, import.reading.definitions.as_deref()).await {
            Ok(mask) => mask,
            Err(error) => {
                printed
                    .gaps
                    .push(format!("import {} ({}): {error:#}", import.id, import.archive));
                continue;
            }
        };
        match print(Arc::new(import), spool_dir, query, &mask, out, &mut printed.events) {
            Ok(()) => {}
            Err(Stopped::NobodyReads) => return Ok(printed),
            Err(Stopped::Writing(error)) => return Err(error).context("printing events"),
            Err(Stopped::Reading(error)) if error.is_transient() => return Err(error.into()),
            Err(Stopped::Reading(error)) if printed.gaps.len() < GAPS_MAX => printed.gaps.push(error.to_string()),
            Err(Stopped::Reading(_)) => gaps_more += 1,
        }
    }
    if gaps_more > 0 {
        printed
            .gaps
            .push(format!("{gaps_more} more imports cannot be read again either"));
    }
    if let Some(id) = query.wanted.import
        && !found_any
    {
        match ledger.status_of(id).await? {
            None => bail!("printing the events of import {id}: there is no such import; `feedgate status` lists them"),
            // A duplicate, a failure, or one that the other conditions exclude.
            Some(status) => printed.gaps.push(format!("import {id} ({status}) has no such events")),
        }
    }
    Ok(printed)
}

/// Why printing stopped.
enum Stopped {
    NobodyReads,
    Writing(io::Error),
    Reading(EventsError),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Stopped {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Stopped::NobodyReads,
            _ => Stopped::Writing(error),
        }
    }
}

impl From<EventsError> for Stopped {
    fn from(error: EventsError) -> Stopped {
        Stopped::Reading(error)
    }
}

fn print(
    import: Arc<Import>,
    spool_dir: &Path,
    query: &Query,
    mask: &Mask,
    out: &mut dyn Write,
    count: &mut u64,
) -> Result<(), Stopped> {
    let only: &[String] = query.event.as_slice();
    let mut events = Events::open(import, spool_dir, 0)?;
    let mut lines = Vec::new();
    loop {
        let batch = events.next_batch(BOUNDS, only)?;
        for event in batch.events() {
            let body = mask.entry(event.event, event.body);
            push_line(&mut lines, &Event { body: &body, ..event });
            if lines.len() >= WRITE_BYTES {
                out.write_all(&lines)?;
                large::clear(&mut lines);
            }
        }
        out.write_all(&lines)?;
        lines.clear();
        *count += batch.len() as u64;
        if batch.last {
            out.flush()?;
            return Ok(());
        }
    }
}

/// Reads `--since`: a date (`2019-11-18`, its beginning in UTC), a time (`2019-11-18T17:05:00Z`, RFC 3339), or how long ago
/// (`2h`, `1d 12h`). Returns UTC milliseconds.
pub fn parse_since(text: &str, now: i64) -> Result<i64, String> {
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
        return Ok(time.timestamp_millis());
    }
    if let Ok(date) = text.parse::<chrono::NaiveDate>() {
        return Ok(date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis());
    }
    let ago = humantime::parse_duration(text).map_err(|_| {
        format!("`{text}` is neither a date (2019-11-18), nor a time (2019-11-18T17:05:00Z), nor how long ago (2h, 1d)")
    })?;
    i64::try_from(ago.as_millis())
        .ok()
        .and_then(|ago| now.checked_sub(ago))
        .ok_or_else(|| format!("`{text}` is too long ago"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Option<i64>) {
        assert_eq!(parse_since(text, 1_574_096_700_000).ok(), expect, "{text}");
    }

    #[test]
    fn since() {
        check("2019-11-18", Some(1_574_035_200_000));
        check("2019-11-18T17:05:00Z", Some(1_574_096_700_000));
        check("2019-11-18T17:05:00.5+01:00", Some(1_574_093_100_500));
        check("2h", Some(1_574_096_700_000 - 7_200_000));
        check("1d 12h", Some(1_574_096_700_000 - 36 * 3_600_000));
        check("2019-13-18", None);
        check("yesterday", None);
        check("", None);
        check("999999999999999y", None);
        check("500000000y", None);
    }
}
