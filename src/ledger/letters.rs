//! What an operator may do with dead letters: have them delivered again, or give them up.
//!
//! The daemon may run beside it. A letter that is on its way just now is left to it: what comes of the call is written to
//! that letter.

use rusqlite::{Transaction, params};
use serde::Serialize;

use super::{Ledger, LedgerError, log, report};

/// Most events that a line of the log names, when they are given up.
const NAMED_MAX: usize = 100;

/// Which dead letters of a destination are to be delivered again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Letters {
    /// Ranges of which some events were not taken as well. Most of their events *were* taken: those are sent twice.
    pub unidentified: bool,
    /// Only these, by their numbers; empty: all.
    pub ids: Vec<i64>,
}

/// What was noted when somebody asked for another delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgainCount {
    /// Letters that are delivered again.
    pub letters: u64,
    /// Letters that are not: ranges of which some events were not taken, and nobody said that these may be sent twice.
    pub left_unidentified: u64,
}

/// What was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discarded {
    /// Letters that are gone.
    pub letters: u64,
    /// Letters that stay, since they are on their way just now.
    pub in_flight: u64,
}

/// Letters that were given up, for the log: what an operator lets go of is nowhere else any more.
#[derive(Serialize)]
struct DiscardedLine<'a> {
    at: String,
    kind: &'static str,
    destination: &'a str,
    letters: u64,
    /// The first of them.
    event_ids: Vec<String>,
}

impl Ledger {
    /// Somebody wants a destination tried again now: its waiting is over, the dead letters chosen are to be delivered once
    /// more, and if it is behind, it goes on after the gap (unless single letters were chosen: that is no leave to pass over
    /// anything). `None` if there is no such destination.
    pub async fn deliver_again(&self, name: &str, which: Letters, now: i64) -> Result<Option<AgainCount>, LedgerError> {
        let name = name.to_owned();
        self.write("asking for another delivery", move |ledger| {
            let Letters { unidentified, ids } = which;
            let known = ledger.execute(
                "UPDATE destinations SET retry_at = CASE
                    WHEN state IN ('waiting', 'barred') OR state = 'behind' AND ?3 THEN ?2 END
                 WHERE name = ?1 AND state <> 'removed'",
                params![name, now, ids.is_empty()],
            )?;
            // Whoever asks now knows better than what the destination asked for before.
            ledger.execute("UPDATE in_flight SET not_before = NULL WHERE destination = ?1", [&name])?;
            if known == 0 {
                return Ok(None);
            }
            let ids = serde_json::Value::from(ids).to_string();
            let letters = ledger.execute(
                &format!("UPDATE dead_letters SET retry_at = ?3 WHERE {CHOSEN} AND (?4 OR kind <> 'unidentified')"),
                params![name, ids, now, unidentified],
            )?;
            let left_unidentified = match unidentified {
                true => 0,
                false => ledger.query_row(
                    &format!("SELECT count(*) FROM dead_letters WHERE {CHOSEN} AND kind = 'unidentified'"),
                    params![name, ids],
                    |row| row.get(0),
                )?,
            };
            Ok(Some(AgainCount {
                letters: letters as u64,
                left_unidentified,
            }))
        })
        .await
    }

    /// Gives dead letters of a destination up for good: these, or with none named all of them. `None` if there is no such
    /// destination; one that is no longer configured may still have some.
    pub async fn discard(&self, name: &str, ids: Vec<i64>, now: i64) -> Result<Option<Discarded>, LedgerError> {
        let name = name.to_owned();
        self.write("giving dead letters up", move |ledger| {
            let known: bool = ledger.query_row(
                "SELECT EXISTS (SELECT 1 FROM destinations WHERE name = ?1)",
                [&name],
                |row| row.get(0),
            )?;
            if !known {
                return Ok(None);
            }
            let ids = serde_json::Value::from(ids).to_string();
            let in_flight = ledger.query_row(
                &format!("SELECT count(*) FROM dead_letters WHERE {CHOSEN} AND id IN ({ON_THEIR_WAY})"),
                params![name, ids],
                |row| row.get(0),
            )?;
            let event_ids: Vec<String> = ledger
                .prepare(&format!(
                    "SELECT event_id FROM dead_letters WHERE {CHOSEN} AND id NOT IN ({ON_THEIR_WAY}) ORDER BY id LIMIT ?3"
                ))?
                .query_map(params![name, ids, NAMED_MAX as i64], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let letters = ledger.execute(
                &format!("DELETE FROM dead_letters WHERE {CHOSEN} AND id NOT IN ({ON_THEIR_WAY})"),
                params![name, ids],
            )? as u64;
            if letters > 0 {
                log_discarded(ledger, &name, letters, event_ids, now)?;
            }
            Ok(Some(Discarded { letters, in_flight }))
        })
        .await
    }
}

/// Letters of destination ?1: those in ?2, or all if it is empty.
const CHOSEN: &str = "destination = ?1 AND (json_array_length(?2) = 0 OR id IN (SELECT value FROM json_each(?2)))";

/// Letters in the parcel that destination ?1 is at.
const ON_THEIR_WAY: &str =
    "SELECT json_each.value FROM in_flight, json_each(in_flight.letters) WHERE in_flight.destination = ?1";

fn log_discarded(
    ledger: &Transaction<'_>,
    destination: &str,
    letters: u64,
    event_ids: Vec<String>,
    now: i64,
) -> rusqlite::Result<()> {
    let line = DiscardedLine {
        at: report::time(now),
        kind: "dead_letters_discarded",
        destination,
        letters,
        event_ids,
    };
    log::note(ledger, None, &line, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::dead_letters::put_back;
    use crate::ledger::{KeptLetter, LetterKind};

    #[tokio::test]
    async fn a_letter_given_up_just_before_its_call_does_not_disturb_the_delivery() {
        let dir = tempfile::tempdir().expect("a directory");
        let ledger = Ledger::open(&dir.path().join("ledger.db")).expect("a ledger");
        let letter = KeptLetter {
            id: 7,
            kind: LetterKind::Refused,
            reason: "no".to_owned(),
            retry_at: None,
            waits_for: None,
        };
        let kept = ledger.write("settling", move |ledger| put_back(ledger, &letter, 0));
        kept.await.expect("nothing to write down");
    }
}
