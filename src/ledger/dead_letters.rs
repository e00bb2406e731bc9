//! Dead letters: events that a destination refused for good, or that it could not be sent yet.
//!
//! A letter keeps a copy of the entry, since the spool is pruned; all else that an event has is its import's.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::import::{damaged, import_by_id};
use super::people::{Who, is_known};
use super::{Import, Ledger, LedgerError, WAIT_MAX_MS};
use crate::events::item_of;

/// Attempts that a letter remembers.
const HISTORY_MAX: usize = 20;

/// Why an event is a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterKind {
    /// It is refused for good.
    Refused,
    /// Something that it needs is not known yet.
    Held,
    /// The destination wants it later.
    Deferred,
    /// Some events of a range were refused, and nobody says which.
    Unidentified,
}

impl LetterKind {
    /// The word in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            LetterKind::Refused => "refused",
            LetterKind::Held => "held",
            LetterKind::Deferred => "deferred",
            LetterKind::Unidentified => "unidentified",
        }
    }
}

/// An event that becomes a dead letter, or a range of events some of which do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLetter {
    /// Why.
    pub kind: LetterKind,
    /// Its import's id, and its index in it; of a range, the first one's.
    pub place: (i64, u64),
    /// Its id; of a range, the first one's.
    pub event_id: String,
    /// Its name, as given; of a range, the first one's.
    pub event: String,
    /// Of a range: where its last event is, how many there are, and how many of these failed.
    pub range: Option<LetterRange>,
    /// The entry as given; of a range, a line for each event.
    pub body: String,
    /// What the destination said.
    pub reason: String,
    /// When it is tried again by itself, UTC milliseconds.
    pub retry_at: Option<i64>,
    /// Held: the person it cannot go without. It is tried again when these are known better.
    pub waits_for: Option<Who>,
}

/// A dead letter that was not taken this time either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLetter {
    /// Its id.
    pub id: i64,
    /// Why.
    pub kind: LetterKind,
    /// What the destination said.
    pub reason: String,
    /// When it is tried again by itself, UTC milliseconds.
    pub retry_at: Option<i64>,
    /// Held: the person it cannot go without.
    pub waits_for: Option<Who>,
}

/// A range of events of which some were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LetterRange {
    /// The last event's import and index.
    pub last: (i64, u64),
    /// How many events there are.
    pub events: u64,
    /// How many of them were refused.
    pub failed: u64,
}

/// A dead letter that is to be delivered again.
#[derive(Debug, Clone, PartialEq)]
pub struct DueLetter {
    /// Its id.
    pub id: i64,
    /// Its events: one, or those of a range.
    pub entries: Vec<LetterEntry>,
}

/// An entry in a dead letter.
#[derive(Debug, Clone, PartialEq)]
pub struct LetterEntry {
    /// The import it is from.
    pub import: Arc<Import>,
    /// Its index in it.
    pub index: u64,
    /// Its number among the events made of that entry; 0: it is the entry itself.
    pub item: u32,
    /// The entry as given.
    pub body: String,
}

/// A line of a range's body: what of `feedgate events` is needed to find the event again.
#[derive(serde::Deserialize)]
pub(super) struct Line<'a> {
    #[serde(borrow)]
    id: std::borrow::Cow<'a, str>,
    pub(super) import: i64,
    index: u64,
    #[serde(borrow)]
    pub(super) body: &'a serde_json::value::RawValue,
}

impl Ledger {
    /// Dead letters of a destination that are to be delivered again now, in the order in which they came: as many as make up
    /// so many events and bytes, and one at least. A range comes by itself. With `among`, only those.
    pub async fn due_letters(
        &self,
        name: &str,
        among: Option<Vec<i64>>,
        now: i64,
        events_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<DueLetter>, LedgerError> {
        let name = name.to_owned();
        self.read("looking for dead letters to deliver again", move |ledger| {
            // None waits that long: the clock was set back since.
            let never = now.saturating_add(WAIT_MAX_MS);
            // Asked by itself: the letters in the order in which they came are not in the order in which they are due, and a
            // hundred thousand that wait for an hour would be passed over every time.
            let is_any_due: bool = ledger
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM dead_letters INDEXED BY dead_letters_due
                            WHERE destination = ?1 AND retry_at <= ?2)
                        OR EXISTS (SELECT 1 FROM dead_letters INDEXED BY dead_letters_due
                            WHERE destination = ?1 AND retry_at > ?3)",
                )?
                .query_row(params![name, now, never], |row| row.get(0))?;
            if !is_any_due {
                return Ok(Vec::new());
            }
            let mut select = ledger.prepare_cached(
                "SELECT id, kind, import, \"index\", body, event_id FROM dead_letters INDEXED BY dead_letters_again
                 WHERE destination = ?1 AND retry_at IS NOT NULL AND (retry_at <= ?2 OR retry_at > ?5)
                    AND (?4 IS NULL OR id IN (SELECT value FROM json_each(?4))) ORDER BY id LIMIT ?3",
            )?;
            let among = among.map(|ids| serde_json::Value::from(ids).to_string());
            let mut rows = select.query(params![name, now, events_max as i64, among, never])?;
            let mut due: Vec<DueLetter> = Vec::new();
            let (mut events, mut bytes) = (0, 0);
            while let Some(row) = rows.next()? {
                let (id, kind, import): (i64, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let is_range = kind == LetterKind::Unidentified.as_str();
                if is_range && !due.is_empty() {
                    break;
                }
                let body: String = row.get(4)?;
                bytes += body.len();
                let entries = match is_range {
                    true => entries_of_range(ledger, &body)?,
                    false => vec![LetterEntry {
                        import: known(ledger, import, due.last())?,
                        index: row.get(3)?,
                        item: item_of(row.get_ref(5)?.as_str()?),
                        body,
                    }],
                };
                events += entries.len();
                due.push(DueLetter { id, entries });
                if is_range || events >= events_max || bytes >= bytes_max {
                    break;
                }
            }
            Ok(due)
        })
        .await
    }

    /// Letters that are held since before anybody could be looked up for them are to be tried once, and then know whom they wait
    /// for.
    pub async fn free_held(&self, name: &str, now: i64) -> Result<(), LedgerError> {
        let name = name.to_owned();
        self.write(
            "having letters tried for which somebody may be looked up now",
            move |ledger| {
                ledger
                    .execute(
                        "UPDATE dead_letters SET retry_at = ?2
                     WHERE destination = ?1 AND kind = 'held' AND waits_for IS NULL AND retry_at IS NULL",
                        params![name, now],
                    )
                    .map(drop)
            },
        )
        .await
    }

    /// Number of a destination's dead letters.
    pub async fn letters_count(&self, name: &str) -> Result<u64, LedgerError> {
        let name = name.to_owned();
        self.read("counting dead letters", move |ledger| {
            ledger
                .prepare_cached("SELECT count(*) FROM dead_letters WHERE destination = ?1")?
                .query_row([name], |row| row.get(0))
        })
        .await
    }
}

/// The import of a letter: that of the letter before, mostly.
fn known(ledger: &Connection, id: i64, before: Option<&DueLetter>) -> rusqlite::Result<Arc<Import>> {
    match before.and_then(|letter| letter.entries.last()) {
        Some(entry) if entry.import.id == id => Ok(Arc::clone(&entry.import)),
        _ => import_by_id(ledger, id).map(Arc::new),
    }
}

fn entries_of_range(ledger: &Connection, body: &str) -> rusqlite::Result<Vec<LetterEntry>> {
    let mut entries: Vec<LetterEntry> = Vec::new();
    for line in body.lines() {
        let line: Line<'_> =
            serde_json::from_str(line).map_err(|error| damaged(4, rusqlite::types::Type::Text, error))?;
        let import = match entries.last() {
            Some(entry) if entry.import.id == line.import => Arc::clone(&entry.import),
            _ => import_by_id(ledger, line.import).map(Arc::new)?,
        };
        entries.push(LetterEntry {
            import,
            index: line.index,
            item: item_of(&line.id),
            body: line.body.get().to_owned(),
        });
    }
    Ok(entries)
}

/// Writes a dead letter down.
pub(super) fn bury(ledger: &Connection, name: &str, letter: &NewLetter, now: i64) -> rusqlite::Result<()> {
    let history = remembered("[]", &letter.reason, now);
    let retry_at = or_at_once(ledger, letter.retry_at, letter.waits_for.as_ref(), now)?;
    ledger
        .prepare_cached(
            "INSERT INTO dead_letters (destination, kind, import, \"index\", event_id, event, last_import, last_index, events,
                failed, body, reason, history, refused_at, retry_at, waits_for)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?
        .execute(params![
            name,
            letter.kind.as_str(),
            letter.place.0,
            letter.place.1,
            letter.event_id,
            letter.event,
            letter.range.map(|range| range.last.0),
            letter.range.map(|range| range.last.1),
            letter.range.map_or(1, |range| range.events),
            letter.range.map_or(1, |range| range.failed),
            letter.body,
            letter.reason,
            history,
            now,
            retry_at,
            letter.waits_for.as_ref().map(Who::key)
        ])?;
    Ok(())
}

/// A dead letter was tried again in vain.
pub(super) fn put_back(ledger: &Connection, letter: &KeptLetter, now: i64) -> rusqlite::Result<()> {
    let KeptLetter { id, kind, reason, .. } = letter;
    let history: Option<String> = ledger
        .prepare_cached("SELECT history FROM dead_letters WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    // It was given up (`feedgate dead-letters --discard`) after it was read, and before its call was written down.
    let Some(history) = history else { return Ok(()) };
    let retry_at = or_at_once(ledger, letter.retry_at, letter.waits_for.as_ref(), now)?;
    ledger
        .prepare_cached(
            "UPDATE dead_letters SET kind = ?2, reason = ?3, attempts = attempts + 1, history = ?4, retry_at = ?5,
                waits_for = ?6 WHERE id = ?1",
        )?
        .execute(params![
            id,
            kind.as_str(),
            reason,
            remembered(&history, reason, now),
            retry_at,
            letter.waits_for.as_ref().map(Who::key)
        ])?;
    Ok(())
}

/// When a letter is tried again: at once, if whom it waits for came to be known after somebody looked, and before it is
/// written down here.
fn or_at_once(
    ledger: &Connection,
    retry_at: Option<i64>,
    waits_for: Option<&Who>,
    now: i64,
) -> rusqlite::Result<Option<i64>> {
    match waits_for {
        Some(who) if is_known(ledger, who)? => Ok(Some(now)),
        _ => Ok(retry_at),
    }
}

/// A history with one attempt more: the last ones.
fn remembered(history: &str, reason: &str, now: i64) -> String {
    let mut attempts: Vec<serde_json::Value> = serde_json::from_str(history).unwrap_or_default();
    attempts.push(serde_json::json!({ "at": super::report::time(now), "reason": reason }));
    let forgotten = attempts.len().saturating_sub(HISTORY_MAX);
    serde_json::Value::from(attempts.split_off(forgotten)).to_string()
}
