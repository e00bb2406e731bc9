//! Dead letters, one by one: what a destination did not take, and why.
//!
//! Bodies are large, and hold what people have said of themselves. They are not read with the list, but one at a time, by
//! whoever really wants them.

use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::time;
use crate::ledger::{Ledger, LedgerError};

/// Which dead letters of a destination are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LettersWanted {
    /// At most so many, the newest; `None`: all.
    pub limit: Option<u64>,
    /// Only these, by their numbers; empty: any.
    pub ids: Vec<i64>,
}

/// An event that a destination did not take, or a range of which it did not take some. Times are RFC 3339, UTC.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LetterReport {
    /// Its number.
    pub id: i64,
    /// `refused`, `held`, `deferred`, `unidentified`.
    pub kind: String,
    /// The import.
    pub import: i64,
    /// The source.
    pub source: String,
    /// The archive's file name.
    pub archive: String,
    /// Index of the entry, from 0; of a range: of its first.
    pub index: u64,
    /// The event's id; of a range: of its first.
    pub event_id: String,
    /// The event's name as given; of a range: of its first.
    pub event: String,
    /// Where it stands for a range of events.
    pub range: Option<RangeReport>,
    /// How often it was tried.
    pub attempts: u64,
    /// Why it was not taken last.
    pub reason: String,
    /// When it was not taken first.
    pub refused_at: String,
    /// When it is tried again by itself; none: when somebody asks.
    pub retry_at: Option<String>,
    /// Whether it is on its way again just now.
    pub in_flight: bool,
    /// The last attempts, oldest first.
    pub history: Vec<Attempt>,
}

/// A range of events of which some were not taken, and nobody says which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RangeReport {
    /// The import of its last event.
    pub last_import: i64,
    /// Index of its last event.
    pub last_index: u64,
    /// Events in it.
    pub events: u64,
    /// Of these, not taken.
    pub failed: u64,
}

/// One attempt at a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When: RFC 3339.
    pub at: String,
    /// What came of it.
    pub reason: String,
}

impl LetterReport {
    /// When it was tried last.
    pub fn last_at(&self) -> &str {
        self.history.last().map_or(&self.refused_at, |attempt| &attempt.at)
    }
}

impl Ledger {
    /// Dead letters of a destination, oldest first, without their bodies.
    pub async fn dead_letters(&self, name: &str, wanted: LettersWanted) -> Result<Vec<LetterReport>, LedgerError> {
        let name = name.to_owned();
        self.read("reading dead letters", move |connection| {
            let ids = serde_json::Value::from(wanted.ids).to_string();
            let limit = wanted.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
            let mut select = connection.prepare_cached(
                "SELECT letter.id, letter.kind, import, source, archive, \"index\", event_id, event, last_import, last_index, events,
                    failed, letter.attempts, reason, refused_at, letter.retry_at, letter.history,
                    EXISTS (SELECT 1 FROM in_flight, json_each(in_flight.letters)
                        WHERE in_flight.destination = ?1 AND json_each.value = letter.id) AS in_flight
                 FROM dead_letters AS letter JOIN imports ON imports.id = letter.import
                 WHERE destination = ?1 AND (json_array_length(?2) = 0 OR letter.id IN (SELECT value FROM json_each(?2)))
                 ORDER BY letter.id DESC LIMIT ?3",
            )?;
            let rows = select.query_map(params![name, ids, limit], letter)?;
            let mut letters = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            letters.reverse();
            Ok(letters)
        })
        .await
    }

    /// The body of a dead letter: the entry as given, or a line for each event of a range. `None` if the letter is gone.
    pub async fn dead_letter_body(&self, id: i64) -> Result<Option<String>, LedgerError> {
        self.read("reading a dead letter", move |connection| {
            connection
                .prepare_cached("SELECT body FROM dead_letters WHERE id = ?1")?
                .query_row([id], |row| row.get(0))
                .optional()
        })
        .await
    }
}

fn letter(row: &Row<'_>) -> rusqlite::Result<LetterReport> {
    let history: String = row.get("history")?;
    let range = match (row.get("last_import")?, row.get("last_index")?) {
        (Some(last_import), Some(last_index)) => Some(RangeReport {
            last_import,
            last_index,
            events: row.get("events")?,
            failed: row.get("failed")?,
        }),
        _ => None,
    };
    Ok(LetterReport {
        id: row.get("id")?,
        kind: row.get("kind")?,
        import: row.get("import")?,
        source: row.get("source")?,
        archive: row.get("archive")?,
        index: row.get("index")?,
        event_id: row.get("event_id")?,
        event: row.get("event")?,
        range,
        attempts: row.get("attempts")?,
        reason: row.get("reason")?,
        refused_at: time(row.get("refused_at")?),
        retry_at: row.get::<_, Option<i64>>("retry_at")?.map(time),
        in_flight: row.get("in_flight")?,
        history: attempts(&history),
    })
}

/// The attempts in a history. One that cannot be read, since somebody wrote into the ledger by hand, hides no letter.
fn attempts(history: &str) -> Vec<Attempt> {
    serde_json::from_str(history).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_read_or_left_out() {
        let check = |history, expect: &[(&str, &str)]| {
            let found = attempts(history);
            let found: Vec<(&str, &str)> = found.iter().map(|one| (one.at.as_str(), one.reason.as_str())).collect();
            assert_eq!(found, expect, "{history}");
        };
        check("[]", &[]);
        check("", &[]);
        check(r#"[{"at":7}]"#, &[]);
        check(
            r#"[{"at":"2026-01-02T03:04:05.678Z","reason":"answered 422"},{"at":"2026-01-02T03:04:06.000Z","reason":"no"}]"#,
            &[
                ("2026-01-02T03:04:05.678Z", "answered 422"),
                ("2026-01-02T03:04:06.000Z", "no"),
            ],
        );
    }
}
