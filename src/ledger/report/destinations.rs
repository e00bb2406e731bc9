//! Destinations, as `status` has them: how far each has got, how fast, and what it waits for.
//!
//! All of it is read in one transaction, so that a cursor and what lies ahead of it belong together. What lies ahead is
//! summed up from an index alone: a destination may be a million imports behind, and `status` is asked all the time.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::Serialize;

use super::ahead::{oldest_at, to_come};
use super::time;
use crate::ledger::{Cursor, Ledger, LedgerError};

/// Calls count against a budget for so long, in milliseconds.
const HOUR_MS: i64 = 60 * 60 * 1_000;

/// An end further away than this is no estimate any more, in seconds: ten years.
const ESTIMATE_S_MAX: f64 = 10.0 * 365.0 * 24.0 * 60.0 * 60.0;

/// How far a destination has got. Times are RFC 3339, UTC.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DestinationReport {
    /// Its name.
    pub name: String,
    /// Its type.
    pub r#type: String,
    /// `idle`, `delivering`, `waiting`, `barred`, `behind`, `removed`.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
    /// Since when.
    pub since_at: String,
    /// Attempts in vain, in a row.
    pub attempts: u32,
    /// The next try.
    pub retry_at: Option<String>,
    /// Order of commit of the import it is at.
    pub seq: i64,
    /// Index in it.
    pub index: u64,
    /// Events delivered, ever.
    pub delivered: u64,
    /// Last success.
    pub delivered_at: Option<String>,
    /// Events that nothing was sent for, as configured, ever.
    pub dropped: u64,
    /// Events sent again since no answer had come, ever: these may be there twice.
    pub resent: u64,
    /// Imports it has not finished.
    pub lag_imports: u64,
    /// Events in these that it has not got, at most: those that it filters out are among them.
    pub lag_events: u64,
    /// How long ago the oldest of these was imported; 0 if there is none.
    pub lag_seconds: u64,
    /// Events a second, lately; none if that is not known.
    pub rate: Option<f64>,
    /// When it will have everything there is now, if it goes on like this; none where nobody can say, or nothing is to come.
    pub estimated_end: Option<String>,
    /// What may be called, of the site that its calls count against.
    pub budgets: Vec<BudgetReport>,
    /// What is on its way to it.
    pub in_flight: Option<InFlightReport>,
    /// Events set aside, of every kind.
    pub dead_letters: u64,
    /// The same by kind.
    pub dead_letters_by_kind: LettersByKind,
}

/// Calls that a site allows. All destinations that call it share them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BudgetReport {
    /// `batch` or `fetch`.
    pub kind: String,
    /// Calls in any hour.
    pub per_hour: u64,
    /// Of these, left now.
    pub left: u64,
    /// The site asked not to be called before this.
    pub blocked_until: Option<String>,
}

/// A parcel that is composed, and whose verdict is not written down yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InFlightReport {
    /// Events in the call in hand.
    pub events: u64,
    /// When it was sent; none while no call is in hand.
    pub since: Option<String>,
    /// Whether it is sent in parts, to find the events at fault.
    pub narrowing: bool,
    /// Times that no answer came.
    pub unanswered: u64,
}

/// How many dead letters of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LettersByKind {
    /// For good.
    pub refused: u64,
    /// They wait for something that is not known yet.
    pub held: u64,
    /// The destination wants them later.
    pub deferred: u64,
    /// Ranges of which some events were not taken, and nobody says which.
    pub unidentified: u64,
}

impl LettersByKind {
    fn total(self) -> u64 {
        self.refused + self.held + self.deferred + self.unidentified
    }
}

impl DestinationReport {
    /// Whether somebody has to look: it goes no further by itself, or events lie there that only a person can decide on. What
    /// is held or deferred waits for something, and needs nobody.
    pub fn needs_attention(&self) -> bool {
        let LettersByKind {
            refused, unidentified, ..
        } = self.dead_letters_by_kind;
        matches!(self.state.as_str(), "barred" | "behind") || refused + unidentified > 0
    }
}

impl Ledger {
    /// How far every destination has got, by name.
    pub async fn destinations(&self, now: i64) -> Result<Vec<DestinationReport>, LedgerError> {
        self.read("reading destinations", move |connection| {
            let transaction = connection.unchecked_transaction()?;
            let mut select = transaction.prepare_cached(
                "SELECT name, type, state, reason, since_at, attempts, retry_at, seq, \"index\", delivered, delivered_at,
                    dropped, resent, rate, site FROM destinations ORDER BY name",
            )?;
            let rows = select.query_map([], |row| destination(&transaction, row, now))?;
            rows.collect()
        })
        .await
    }
}

fn destination(ledger: &Connection, row: &Row<'_>, now: i64) -> rusqlite::Result<DestinationReport> {
    let name: String = row.get("name")?;
    let state: String = row.get("state")?;
    let retry_at: Option<i64> = row.get("retry_at")?;
    let cursor = Cursor {
        seq: row.get("seq")?,
        index: row.get("index")?,
    };
    let ahead = to_come(ledger, cursor, &name, &[])?;
    let oldest_at = oldest_at(ledger, cursor.seq)?;
    let delivered_at: Option<i64> = row.get("delivered_at")?;
    // A rate that is no number, or none at all, says nothing.
    let rate = row
        .get::<_, Option<f64>>("rate")?
        .filter(|rate| rate.is_finite() && *rate > 0.0);
    let estimated_end = match state.as_str() {
        "delivering" | "waiting" => estimated_end(ahead.events, rate, retry_at, now),
        _ => None,
    };
    let dead_letters_by_kind = letters_by_kind(ledger, &name)?;
    Ok(DestinationReport {
        r#type: row.get("type")?,
        reason: row.get("reason")?,
        since_at: time(row.get("since_at")?),
        attempts: row.get("attempts")?,
        retry_at: retry_at.map(time),
        seq: cursor.seq,
        index: cursor.index,
        delivered: row.get("delivered")?,
        delivered_at: delivered_at.map(time),
        dropped: row.get("dropped")?,
        resent: row.get("resent")?,
        lag_imports: ahead.imports,
        lag_events: ahead.events,
        lag_seconds: oldest_at.map_or(0, |at| u64::try_from(now.saturating_sub(at) / 1_000).unwrap_or(0)),
        rate,
        estimated_end,
        budgets: match row.get::<_, Option<String>>("site")? {
            Some(site) => budgets(ledger, &site, now)?,
            None => Vec::new(),
        },
        in_flight: in_flight(ledger, &name)?,
        dead_letters: dead_letters_by_kind.total(),
        dead_letters_by_kind,
        name,
        state,
    })
}

fn estimated_end(events: u64, rate: Option<f64>, retry_at: Option<i64>, now: i64) -> Option<String> {
    let seconds = events as f64 / rate?;
    if events == 0 || seconds > ESTIMATE_S_MAX {
        return None;
    }
    let begin = retry_at.map_or(now, |at| at.max(now));
    let end = begin.saturating_add((seconds * 1_000.0) as i64);
    Some(time(end))
}

fn budgets(ledger: &Connection, site: &str, now: i64) -> rusqlite::Result<Vec<BudgetReport>> {
    let mut select = ledger.prepare_cached(
        "SELECT kind, per_hour, blocked_until,
            (SELECT count(*) FROM calls WHERE calls.site = budgets.site AND calls.kind = budgets.kind AND at > ?2)
         FROM budgets WHERE site = ?1 ORDER BY kind",
    )?;
    let rows = select.query_map((site, now.saturating_sub(HOUR_MS)), |row| {
        let (per_hour, made): (u64, u64) = (row.get(1)?, row.get(3)?);
        let blocked_until: Option<i64> = row.get(2)?;
        Ok(BudgetReport {
            kind: row.get(0)?,
            per_hour,
            left: per_hour.saturating_sub(made),
            blocked_until: blocked_until.filter(|until| *until > now).map(time),
        })
    })?;
    rows.collect()
}

fn in_flight(ledger: &Connection, destination: &str) -> rusqlite::Result<Option<InFlightReport>> {
    ledger
        .prepare_cached(
            "SELECT events, sent_at, narrowed > 0 OR suspects IS NOT NULL, unanswered FROM in_flight WHERE destination = ?1",
        )?
        .query_row([destination], |row| {
            Ok(InFlightReport {
                events: row.get(0)?,
                since: row.get::<_, Option<i64>>(1)?.map(time),
                narrowing: row.get(2)?,
                unanswered: row.get(3)?,
            })
        })
        .optional()
}

fn letters_by_kind(ledger: &Connection, destination: &str) -> rusqlite::Result<LettersByKind> {
    let mut select =
        ledger.prepare_cached("SELECT kind, count(*) FROM dead_letters WHERE destination = ?1 GROUP BY kind")?;
    let mut rows = select.query([destination])?;
    let mut letters = LettersByKind::default();
    while let Some(row) = rows.next()? {
        let kind: String = row.get(0)?;
        let count = row.get(1)?;
        match kind.as_str() {
            "refused" => letters.refused = count,
            "held" => letters.held = count,
            "deferred" => letters.deferred = count,
            // The table allows no fifth kind.
            _ => letters.unidentified = count,
        }
    }
    Ok(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_estimated_where_there_is_a_rate() {
        let check = |events, rate, retry_at, expect: Option<i64>| {
            let end = estimated_end(events, rate, retry_at, 1_000_000);
            assert_eq!(end, expect.map(time), "{events} events, {rate:?}, {retry_at:?}");
        };
        check(0, Some(10.0), None, None);
        check(100, None, None, None);
        check(100, Some(10.0), None, Some(1_010_000));
        check(100, Some(10.0), Some(1_005_000), Some(1_015_000));
        check(100, Some(10.0), Some(5), Some(1_010_000));
        check(100, Some(10.0), Some(1_020_000), Some(1_030_000));
        check(1, Some(0.001), None, Some(2_000_000));
        check(1_000_000, Some(0.001), None, None);
        check(u64::MAX, Some(f64::MIN_POSITIVE), None, None);
    }
}
