//! What is on its way to a receiver, what its calls count against, and what came of them.
//!
//! The order is always the same: [`Ledger::begin_call`] writes down what is about to be sent, in the transaction that takes
//! the call from the budget; the call is made; [`Ledger::settle`] writes down what came of it, all in one transaction. A crash
//! between the two leaves a row in `in_flight` whose `sent_at` is set: a call of which nobody knows whether it was answered.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::dead_letters::{KeptLetter, NewLetter, bury, put_back};
use super::deliveries::note;
use super::dropping::let_go;
use super::import::damaged;
use super::people::LookedUp;
use super::tickets::{NewTicket, remember};
use super::{Cursor, Ledger, LedgerError, Standing, Whom};

/// An hour, in milliseconds.
const HOUR_MS: i64 = 3_600_000;

/// Longest time that a receiver may ask to be left alone for, and a minute more.
const ASKED_MAX_MS: i64 = 24 * HOUR_MS + 60_000;

/// What is taken for an hour where calls are counted, in milliseconds: a little more. A call is counted before it is made,
/// and one that is slow to connect arrives closer to those that are made an hour later.
const WINDOW_MS: i64 = HOUR_MS + 10_000;

/// A parcel on its way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flight {
    /// The dead letters in it; `None`: it is of events ahead.
    pub letters: Option<Vec<i64>>,
    /// It begins here: everything before has its verdict.
    pub begin: Cursor,
    /// It ends before this.
    pub end: Cursor,
    /// Events in the call in hand.
    pub events: u64,
    /// Of the calls that go before it, those that were answered.
    pub calls_before: u64,
    /// Calls made to find the events at fault.
    pub narrowed: u32,
    /// So many of its first events hold one at fault.
    pub suspects: Option<u64>,
    /// When a call was sent that no answer is written down of, UTC milliseconds.
    pub sent_at: Option<i64>,
    /// Times that no answer came.
    pub unanswered: u32,
    /// The destination asked not to be called before this time, UTC milliseconds.
    pub not_before: Option<i64>,
    /// What its entries lack, as it was known of people when it was composed: composed again, it is the same.
    pub looked_up: LookedUp,
}

/// What calls are counted against. It belongs to a site, whoever calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// The site.
    pub site: String,
    /// Which of the site's budgets: `batch`, `fetch`.
    pub kind: &'static str,
    /// Calls in any hour.
    pub per_hour: u32,
    /// Calls that may follow each other at once; beyond them they are spread over the hour.
    pub burst: u32,
}

/// A call that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sending {
    /// The destination.
    pub name: String,
    /// What is on its way.
    pub flight: Flight,
    /// What the call counts against.
    pub budget: Option<Budget>,
    /// How many of its events were sent before, and no answer came.
    pub resent: u64,
}

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Now. It is written down, and counts.
    Granted,
    /// Not before this time, UTC milliseconds, by the budget. Nothing is written down.
    NotBefore(i64),
    /// Not before this time, UTC milliseconds, as the destination asked before. Nothing is written down.
    Asked(i64),
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settlement {
    /// The destination.
    pub name: String,
    /// The next event to deliver, if it is another than before.
    pub cursor: Option<Cursor>,
    /// Events that were taken.
    pub delivered: u64,
    /// Events that nothing is sent for.
    pub dropped: u64,
    /// New dead letters.
    pub letters: Vec<NewLetter>,
    /// Dead letters that are none any more.
    pub letters_gone: Vec<i64>,
    /// Dead letters that were not taken this time either.
    pub letters_kept: Vec<KeptLetter>,
    /// What the destination calls each event that it took, where it says so.
    pub tickets: Vec<NewTicket>,
    /// What is still on its way.
    pub flight: Option<Flight>,
    /// How the destination stands now; `None`: as before.
    pub standing: Option<Standing>,
    /// Events delivered a second, lately.
    pub rate: Option<f64>,
    /// The site asked not to be called before this time, UTC milliseconds.
    pub blocked: Option<(Budget, i64)>,
    /// Parcels in a row that were refused whole; `None`: as many as before.
    pub refused_parcels: Option<u32>,
}

impl Ledger {
    /// What is on its way to a destination, as far as was written down.
    pub async fn flight(&self, name: &str) -> Result<Option<Flight>, LedgerError> {
        let name = name.to_owned();
        self.read("looking for what is in flight", move |ledger| flight(ledger, &name))
            .await
    }

    /// Asks for leave to make a call; if it is granted, the call is in the ledger, and counts.
    pub async fn begin_call(&self, sending: Sending, now: i64) -> Result<Leave, LedgerError> {
        self.write("noting what is sent", move |ledger| {
            let Sending {
                name,
                flight,
                budget,
                resent,
            } = &sending;
            let asked: Option<i64> = ledger
                .prepare_cached("SELECT not_before FROM in_flight WHERE destination = ?1")?
                .query_row([name], |row| row.get(0))
                .optional()?
                .flatten();
            if let Some(at) = asked.filter(|at| *at == i64::MAX || is_ahead(*at, now)) {
                return Ok(Leave::Asked(at));
            }
            if let Some(budget) = budget {
                if let Some(at) = not_before(ledger, budget, now)? {
                    return Ok(Leave::NotBefore(at));
                }
                ledger
                    .prepare_cached("INSERT INTO calls (site, kind, at) VALUES (?1, ?2, ?3)")?
                    .execute(params![budget.site, budget.kind, now])?;
            }
            let flight = Flight {
                sent_at: Some(now),
                not_before: None,
                ..flight.clone()
            };
            put_flight(ledger, name, Some(&flight))?;
            if *resent > 0 {
                ledger
                    .prepare_cached("UPDATE destinations SET resent = resent + ?2 WHERE name = ?1")?
                    .execute(params![name, resent])?;
            }
            Ok(Leave::Granted)
        })
        .await
    }

    /// Writes down what came of a call.
    pub async fn settle(&self, settlement: Settlement, now: i64) -> Result<(), LedgerError> {
        self.write("noting what came of a delivery", move |ledger| {
            let name = &settlement.name;
            let from: Option<i64> = ledger
                .prepare_cached("SELECT seq FROM destinations WHERE name = ?1")?
                .query_row([name], |row| row.get(0))
                .optional()?;
            ledger
                .prepare_cached(
                    "UPDATE destinations SET seq = coalesce(?2, seq), \"index\" = coalesce(?3, \"index\"),
                        delivered = delivered + ?4, dropped = dropped + ?5, rate = coalesce(?6, rate),
                        refused_parcels = coalesce(?8, refused_parcels),
                        delivered_at = CASE WHEN ?4 > 0 THEN ?7 ELSE delivered_at END WHERE name = ?1",
                )?
                .execute(params![
                    name,
                    settlement.cursor.map(|cursor| cursor.seq),
                    settlement.cursor.map(|cursor| cursor.index),
                    settlement.delivered,
                    settlement.dropped,
                    settlement.rate,
                    now,
                    settlement.refused_parcels
                ])?;
            for letter in &settlement.letters {
                bury(ledger, name, letter, now)?;
            }
            for id in &settlement.letters_gone {
                ledger
                    .prepare_cached("DELETE FROM dead_letters WHERE id = ?1")?
                    .execute([id])?;
            }
            for letter in &settlement.letters_kept {
                put_back(ledger, letter, now)?;
            }
            for ticket in &settlement.tickets {
                remember(ledger, name, ticket, now)?;
            }
            if let Some((budget, until)) = &settlement.blocked {
                ledger
                    .prepare_cached("UPDATE budgets SET blocked_until = ?3 WHERE site = ?1 AND kind = ?2")?
                    .execute(params![budget.site, budget.kind, until])?;
            }
            if let (Some(from), Some(cursor)) = (from, settlement.cursor) {
                let_go(ledger, name, from, cursor.seq)?;
            }
            put_flight(ledger, name, settlement.flight.as_ref())?;
            match &settlement.standing {
                Some(standing) => note(ledger, name, standing, now),
                None => Ok(()),
            }
        })
        .await
    }

    /// Notes whose budgets a destination's calls count against, and how large they are.
    pub async fn allow(&self, name: &str, budgets: Vec<Budget>) -> Result<(), LedgerError> {
        let name = name.to_owned();
        self.write("noting a destination's budgets", move |ledger| {
            ledger.execute(
                "UPDATE destinations SET site = ?2 WHERE name = ?1",
                params![name, budgets.first().map(|budget| &budget.site)],
            )?;
            for budget in &budgets {
                ledger.execute(
                    "INSERT INTO budgets (site, kind, per_hour, burst) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (site, kind) DO UPDATE SET per_hour = ?3, burst = ?4",
                    params![budget.site, budget.kind, budget.per_hour, budget.burst],
                )?;
            }
            Ok(())
        })
        .await
    }
}

/// Whether a time that a receiver asked to be left alone until is still to come. Nobody is let ask for more than a day: what
/// lies further ahead was written down before somebody set the clock back.
fn is_ahead(until: i64, now: i64) -> bool {
    until > now && until <= now.saturating_add(ASKED_MAX_MS)
}

/// When the next call is allowed; `None`: now.
///
/// Two windows slide over the calls of the last hour: `per_hour` calls to an hour, and `burst` calls to the share of the hour
/// that so many take. The first is the promise, the second spreads them.
fn not_before(ledger: &Transaction<'_>, budget: &Budget, now: i64) -> rusqlite::Result<Option<i64>> {
    let Budget {
        site,
        kind,
        per_hour,
        burst,
    } = budget;
    // Calls of a time to come were made before somebody set the clock back: by more than an hour, and they say nothing.
    ledger
        .prepare_cached("DELETE FROM calls WHERE site = ?1 AND kind = ?2 AND (at <= ?3 OR at > ?4)")?
        .execute(params![site, kind, now - WINDOW_MS, now + WINDOW_MS])?;
    let blocked: Option<i64> = ledger
        .prepare_cached("SELECT blocked_until FROM budgets WHERE site = ?1 AND kind = ?2")?
        .query_row(params![site, kind], |row| row.get(0))
        .optional()?
        .flatten();
    let mut not_before = blocked.filter(|until| is_ahead(*until, now)).unwrap_or(now);
    let burst_ms = HOUR_MS * i64::from(*burst) / i64::from((*per_hour).max(1));
    for (most, window_ms) in [(*per_hour, WINDOW_MS), (*burst, burst_ms.min(WINDOW_MS))] {
        // The call that must leave the window before another may be made in it.
        let last: Option<i64> = ledger
            .prepare_cached("SELECT at FROM calls WHERE site = ?1 AND kind = ?2 ORDER BY at DESC LIMIT 1 OFFSET ?3")?
            .query_row(params![site, kind, most.max(1) - 1], |row| row.get(0))
            .optional()?;
        if let Some(last) = last {
            not_before = not_before.max(last + window_ms);
        }
    }
    Ok((not_before > now).then_some(not_before))
}

fn flight(ledger: &Connection, name: &str) -> rusqlite::Result<Option<Flight>> {
    ledger
        .prepare_cached(
            "SELECT letters, seq, \"index\", end_seq, end_index, events, calls_before, narrowed, suspects, sent_at, unanswered,
                not_before, looked_up FROM in_flight WHERE destination = ?1",
        )?
        .query_row([name], |row| {
            let letters: Option<String> = row.get(0)?;
            let looked_up: Option<String> = row.get(12)?;
            Ok(Flight {
                // Written by this program; what is no list is treated as an empty one: the letters themselves are due still.
                letters: letters.map(|ids| serde_json::from_str(&ids).unwrap_or_default()),
                begin: Cursor {
                    seq: row.get(1)?,
                    index: row.get(2)?,
                },
                end: Cursor {
                    seq: row.get(3)?,
                    index: row.get(4)?,
                },
                events: row.get(5)?,
                calls_before: row.get(6)?,
                narrowed: row.get(7)?,
                suspects: row.get(8)?,
                sent_at: row.get(9)?,
                unanswered: row.get(10)?,
                not_before: row.get(11)?,
                looked_up: looked_up
                    .and_then(|json| serde_json::from_str(&json).ok())
                    .unwrap_or_default(),
            })
        })
        .optional()
}

/// Takes somebody out of what was looked up for parcels that begin before a place in the log. Composed again after a crash, such
/// a parcel has the same events with the same ids, but for those of them that lacked what was looked up: these are put aside as
/// they are where nobody knows the person, and those that are blank in the spool by then are no events any more.
pub(super) fn forget_in_flight(ledger: &Connection, whom: &Whom, before: i64) -> rusqlite::Result<()> {
    let mut select = ledger
        .prepare_cached("SELECT destination, looked_up FROM in_flight WHERE looked_up IS NOT NULL AND seq <= ?1")?;
    let parcels: Vec<(String, String)> = select
        .query_map([before], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (name, json) in parcels {
        // Written by this program; what cannot be read is of no use to anybody, and may name them.
        let mut looked_up: LookedUp = serde_json::from_str(&json).unwrap_or_default();
        forget_looked_up(&mut looked_up, whom);
        ledger
            .prepare_cached("UPDATE in_flight SET looked_up = ?2 WHERE destination = ?1")?
            .execute(params![name, json_of(&looked_up)])?;
    }
    Ok(())
}

fn forget_looked_up(looked_up: &mut LookedUp, whom: &Whom) {
    looked_up.retain(|_, known| !whom.is(known.user_id.as_deref(), known.email.as_deref(), Some(&known.unit)));
}

/// What was looked up for a parcel, less whom somebody asked to erase since: the parcel in hand knows them still. Nobody forgets
/// whom the request is about before the destination is past it, and that is not before the parcel has its verdict.
fn not_erased(ledger: &Connection, flight: &Flight) -> rusqlite::Result<LookedUp> {
    let mut looked_up = flight.looked_up.clone();
    if looked_up.is_empty() {
        return Ok(looked_up);
    }
    let mut select = ledger.prepare_cached(
        "SELECT who FROM imports INDEXED BY imports_requests, requests ON requests.import = imports.id
         WHERE kind IN ('replay', 'undo', 'erase') AND kind = 'erase' AND seq >= ?1 AND who IS NOT NULL",
    )?;
    let mut rows = select.query([flight.begin.seq])?;
    while let Some(row) = rows.next()? {
        let whom = serde_json::from_str(row.get_ref(0)?.as_str()?)
            .map_err(|error| damaged(0, rusqlite::types::Type::Text, error))?;
        forget_looked_up(&mut looked_up, &whom);
    }
    Ok(looked_up)
}

fn json_of(looked_up: &LookedUp) -> Option<String> {
    (!looked_up.is_empty()).then(|| serde_json::json!(looked_up).to_string())
}

fn put_flight(ledger: &Connection, name: &str, flight: Option<&Flight>) -> rusqlite::Result<()> {
    let Some(flight) = flight else {
        ledger
            .prepare_cached("DELETE FROM in_flight WHERE destination = ?1")?
            .execute([name])?;
        return Ok(());
    };
    let letters = flight.letters.as_ref().map(|ids| serde_json::json!(ids).to_string());
    let looked_up = json_of(&not_erased(ledger, flight)?);
    ledger
        .prepare_cached(
            "INSERT OR REPLACE INTO in_flight (destination, letters, seq, \"index\", end_seq, end_index, events, calls_before,
                narrowed, suspects, sent_at, unanswered, not_before, looked_up)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            name,
            letters,
            flight.begin.seq,
            flight.begin.index,
            flight.end.seq,
            flight.end.index,
            flight.events,
            flight.calls_before,
            flight.narrowed,
            flight.suspects,
            flight.sent_at,
            flight.unanswered,
            flight.not_before,
            looked_up
        ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> (Ledger, tempfile::TempDir) {
        let dir = tempfile::tempdir().expect("a directory");
        let ledger = Ledger::open(&dir.path().join("ledger.db")).expect("a ledger");
        (ledger, dir)
    }

    fn sending(per_hour: u32, burst: u32) -> Sending {
        Sending {
            name: "bento".to_owned(),
            flight: Flight::default(),
            budget: Some(Budget {
                site: "a".to_owned(),
                kind: "batch",
                per_hour,
                burst,
            }),
            resent: 0,
        }
    }

    /// Makes calls as soon as they are allowed, and returns when each was made.
    async fn calls(ledger: &Ledger, sending: &Sending, mut now: i64, count: usize) -> Vec<i64> {
        let mut made = Vec::new();
        while made.len() < count {
            match ledger.begin_call(sending.clone(), now).await.expect("the ledger") {
                Leave::Granted => made.push(now),
                Leave::NotBefore(at) | Leave::Asked(at) => {
                    assert!(at > now, "{at} is not after {now}");
                    now = at;
                }
            }
        }
        made
    }

    #[tokio::test]
    async fn a_burst_and_then_an_even_pace() {
        let (ledger, _dir) = ledger();
        let made = calls(&ledger, &sending(360, 3), 1_000_000, 8).await;
        let after: Vec<i64> = made.iter().map(|at| at - 1_000_000).collect();
        assert_eq!(after, [0, 0, 0, 30_000, 30_000, 30_000, 60_000, 60_000]);
    }

    #[tokio::test]
    async fn never_more_than_the_hour_allows_whatever_the_window() {
        let (ledger, _dir) = ledger();
        for (per_hour, burst) in [(20, 6), (7, 1), (5, 100)] {
            let mut sending = sending(per_hour, burst);
            sending.budget.as_mut().unwrap().site = format!("{per_hour}-{burst}");
            let made = calls(&ledger, &sending, 5_000_000, per_hour as usize * 4).await;
            for window in made.windows(per_hour as usize + 1) {
                let spread = window[window.len() - 1] - window[0];
                assert!(spread >= WINDOW_MS, "{per_hour} an hour, burst {burst}: {spread} ms");
            }
        }
    }

    #[tokio::test]
    async fn budgets_of_other_sites_and_kinds_are_their_own_and_outlive_the_program() {
        let (ledger, dir) = ledger();
        let first = sending(1, 1);
        assert_eq!(ledger.begin_call(first.clone(), 10).await.unwrap(), Leave::Granted);
        let mut other = first.clone();
        other.budget.as_mut().unwrap().site = "b".to_owned();
        assert_eq!(ledger.begin_call(other, 10).await.unwrap(), Leave::Granted);
        drop(ledger);
        let again = Ledger::open(&dir.path().join("ledger.db")).unwrap();
        let leave = again.begin_call(first.clone(), 20).await.unwrap();
        assert_eq!(leave, Leave::NotBefore(10 + WINDOW_MS));
        assert_eq!(again.begin_call(first, 10 + WINDOW_MS).await.unwrap(), Leave::Granted);
    }

    #[tokio::test]
    async fn a_clock_set_back_does_not_stop_deliveries_for_a_day() {
        let (ledger, _dir) = ledger();
        let one = sending(1, 1);
        let day = 24 * HOUR_MS;
        assert_eq!(ledger.begin_call(one.clone(), day).await.unwrap(), Leave::Granted);
        assert_eq!(ledger.begin_call(one, 0).await.unwrap(), Leave::Granted);
    }

    #[tokio::test]
    async fn what_is_in_flight_is_read_back() {
        let (ledger, _dir) = ledger();
        let known = crate::ledger::people::Known {
            user_id: Some("u1".to_owned()),
            email: Some("ada@example.com".to_owned()),
            unit: "DE".to_owned(),
        };
        let flight = Flight {
            letters: Some(vec![3, 5]),
            begin: Cursor { seq: 2, index: 7 },
            end: Cursor { seq: 4, index: 0 },
            events: 9,
            calls_before: 2,
            narrowed: 1,
            suspects: Some(4),
            sent_at: None,
            unanswered: 1,
            not_before: None,
            looked_up: [("id u1".to_owned(), known)].into(),
        };
        let sending = Sending {
            flight: flight.clone(),
            budget: None,
            ..sending(1, 1)
        };
        ledger.begin_call(sending, 77).await.unwrap();
        let expected = Flight {
            sent_at: Some(77),
            ..flight
        };
        assert_eq!(ledger.flight("bento").await.unwrap(), Some(expected));
        assert_eq!(ledger.flight("other").await.unwrap(), None);
    }

    #[tokio::test]
    async fn whoever_is_erased_is_not_written_down_again_by_a_parcel_in_hand() {
        let (ledger, _dir) = ledger();
        let known = |id: &str| crate::ledger::people::Known {
            user_id: Some(id.to_owned()),
            email: Some(format!("{id}@example.com")),
            unit: String::new(),
        };
        let sending = |seq| Sending {
            flight: Flight {
                begin: Cursor { seq, index: 0 },
                looked_up: ["u1", "u2"].map(|id| (format!("id {id}"), known(id))).into(),
                ..Flight::default()
            },
            budget: None,
            ..sending(1, 1)
        };
        let looked_up = async |ledger: &Ledger| -> Vec<String> {
            let flight = ledger.flight("bento").await.unwrap().expect("a parcel");
            flight.looked_up.into_keys().collect()
        };
        ledger.begin_call(sending(1), 0).await.unwrap();
        assert_eq!(looked_up(&ledger).await, ["id u1", "id u2"]);
        ledger.erase(Whom::by_id("u1"), 0).await.unwrap();
        assert_eq!(looked_up(&ledger).await, ["id u2"]);
        ledger.begin_call(sending(1), 0).await.unwrap();
        assert_eq!(looked_up(&ledger).await, ["id u2"]);
        // One of the same id who came later is another matter.
        ledger.begin_call(sending(2), 0).await.unwrap();
        let erasure = ledger.next_erasure().await.unwrap().expect("an erasure");
        ledger.cleared(erasure, 0).await.unwrap();
        assert_eq!(looked_up(&ledger).await, ["id u1", "id u2"]);
    }

    #[tokio::test]
    async fn what_a_destination_asked_for_outlives_the_program_until_somebody_asks_otherwise() {
        let (ledger, _dir) = ledger();
        let sending = Sending {
            budget: None,
            ..sending(1, 1)
        };
        let settlement = Settlement {
            name: "bento".to_owned(),
            flight: Some(Flight {
                not_before: Some(5_000),
                ..Flight::default()
            }),
            ..Settlement::default()
        };
        ledger.settle(settlement, 10).await.unwrap();
        assert_eq!(
            ledger.begin_call(sending.clone(), 4_999).await.unwrap(),
            Leave::Asked(5_000)
        );
        assert_eq!(ledger.begin_call(sending.clone(), 5_000).await.unwrap(), Leave::Granted);
        assert_eq!(ledger.begin_call(sending, 4_999).await.unwrap(), Leave::Granted);
    }
}
