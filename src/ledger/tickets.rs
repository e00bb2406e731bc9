//! Tickets: what receivers call each event that they took, where they only queue it and tell later what became of it.
//!
//! It is what an operator asks them with. The newest are kept: who wants to know asks soon, and a ledger that remembered them
//! all would outgrow the spool.

use rusqlite::{Connection, Row, params};
use serde::Serialize;

use super::report::time;
use super::{Ledger, LedgerError};

/// Most tickets that are remembered, of all destinations together.
const KEPT_MAX: i64 = 100_000;

/// A ticket that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTicket {
    /// The event it is of: its import's id, and its index in it.
    pub place: (i64, u64),
    /// The event's id.
    pub event_id: String,
    /// What the receiver calls it.
    pub ticket: String,
}

/// A ticket, as it is looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TicketReport {
    /// When its answer came: RFC 3339, UTC.
    pub at: String,
    /// The import of its event.
    pub import: i64,
    /// The archive's file name.
    pub archive: String,
    /// Index of the entry, from 0.
    pub index: u64,
    /// The event's id.
    pub event_id: String,
    /// What the receiver calls it.
    pub ticket: String,
}

/// Which tickets are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TicketsWanted {
    /// At most so many, the newest; `None`: all.
    pub limit: Option<u64>,
    /// Only those of this event, or of this name.
    pub of: Option<String>,
    /// Only those of events of this import.
    pub import: Option<i64>,
}

impl Ledger {
    /// Tickets that a destination gave, oldest first.
    pub async fn tickets(&self, name: &str, wanted: TicketsWanted) -> Result<Vec<TicketReport>, LedgerError> {
        let name = name.to_owned();
        self.read("reading tickets", move |connection| {
            let limit = wanted
                .limit
                .map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
            let mut select = connection.prepare_cached(
                "SELECT at, import, archive, \"index\", event_id, ticket
                 FROM tickets JOIN imports ON imports.id = import
                 WHERE destination = ?1 AND (?2 IS NULL OR ?2 IN (event_id, ticket)) AND (?3 IS NULL OR import = ?3)
                 ORDER BY n DESC LIMIT ?4",
            )?;
            let rows = select.query_map(params![name, wanted.of, wanted.import, limit], ticket)?;
            let mut tickets = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            tickets.reverse();
            Ok(tickets)
        })
        .await
    }
}

/// Remembers a ticket, and forgets the one that is too many.
pub(super) fn remember(ledger: &Connection, destination: &str, ticket: &NewTicket, now: i64) -> rusqlite::Result<()> {
    ledger
        .prepare_cached(
            "INSERT INTO tickets (destination, import, \"index\", event_id, ticket, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            destination,
            ticket.place.0,
            ticket.place.1,
            ticket.event_id,
            ticket.ticket,
            now
        ])?;
    ledger
        .prepare_cached("DELETE FROM tickets WHERE n <= ?1")?
        .execute([ledger.last_insert_rowid() - KEPT_MAX])?;
    Ok(())
}

fn ticket(row: &Row<'_>) -> rusqlite::Result<TicketReport> {
    Ok(TicketReport {
        at: time(row.get("at")?),
        import: row.get("import")?,
        archive: row.get("archive")?,
        index: row.get("index")?,
        event_id: row.get("event_id")?,
        ticket: row.get("ticket")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_are_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let ledger = Ledger::open(&dir.path().join("ledger.db")).expect("a ledger");
        let of = |index: i64| NewTicket {
            place: (1, index as u64),
            event_id: format!("k-{index}"),
            ticket: format!("r-{index}"),
        };
        ledger
            .write("a test", move |ledger| {
                ledger.execute(
                    "INSERT INTO imports (id, seq, source, archive, size, mtime, status, first_seen_at, claimed_at, path)
                     VALUES (1, 1, 'acme', 'a.zip', 1, 1, 'processed', 1, 1, 'a.zip')",
                    [],
                )?;
                (0..KEPT_MAX + 3).try_for_each(|index| remember(ledger, "crm", &of(index), 7))?;
                remember(ledger, "other", &of(0), 8)
            })
            .await
            .expect("written");
        let ask = |wanted: TicketsWanted| {
            let ledger = ledger.clone();
            async move { ledger.tickets("crm", wanted).await.expect("read") }
        };
        let all = ask(TicketsWanted::default()).await;
        assert_eq!(all.len() as i64, KEPT_MAX - 1, "the other destination has one of them");
        assert_eq!((all[0].index, all[0].event_id.as_str()), (4, "k-4"));
        let newest = TicketsWanted {
            limit: Some(2),
            ..TicketsWanted::default()
        };
        let newest: Vec<u64> = ask(newest).await.iter().map(|one| one.index).collect();
        assert_eq!(newest, [100_001, 100_002]);
        for of in ["k-77", "r-77"] {
            let wanted = TicketsWanted {
                of: Some(of.to_owned()),
                import: Some(1),
                ..TicketsWanted::default()
            };
            let found = ask(wanted).await;
            assert_eq!((found.len(), found[0].index), (1, 77));
        }
    }
}
