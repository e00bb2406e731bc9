//! What receivers call the requests that they took, where they only queue events and tell later what became of them.
//!
//! It is what an operator asks them with. The newest are kept: who wants to know asks soon, and a ledger that remembered them
//! all would outgrow the spool.

use rusqlite::{Connection, Row, params};
use serde::Serialize;

use super::report::time;
use super::{Ledger, LedgerError};

/// Most requests that are remembered, of all destinations together.
const KEPT_MAX: i64 = 100_000;

/// A request that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewQueued {
    /// The event in it: its import's id, and its index in it.
    pub place: (i64, u64),
    /// The event's id.
    pub event_id: String,
    /// What the receiver calls the request.
    pub request: String,
}

/// A request that was taken, as it is looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueuedReport {
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
    pub request: String,
}

/// Which requests are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueuedWanted {
    /// At most so many, the newest; `None`: all.
    pub limit: Option<u64>,
    /// Only those of this event, or of this name.
    pub of: Option<String>,
    /// Only those of events of this import.
    pub import: Option<i64>,
}

impl Ledger {
    /// Requests that a destination took, oldest first.
    pub async fn queued(&self, name: &str, wanted: QueuedWanted) -> Result<Vec<QueuedReport>, LedgerError> {
        let name = name.to_owned();
        self.read("reading what requests were called", move |connection| {
            let limit = wanted
                .limit
                .map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
            let mut select = connection.prepare_cached(
                "SELECT at, import, archive, \"index\", event_id, request
                 FROM queued JOIN imports ON imports.id = import
                 WHERE destination = ?1 AND (?2 IS NULL OR ?2 IN (event_id, request)) AND (?3 IS NULL OR import = ?3)
                 ORDER BY n DESC LIMIT ?4",
            )?;
            let rows = select.query_map(params![name, wanted.of, wanted.import, limit], request)?;
            let mut requests = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            requests.reverse();
            Ok(requests)
        })
        .await
    }
}

/// Remembers a request, and forgets the one that is too many.
pub(super) fn remember(ledger: &Connection, destination: &str, request: &NewQueued, now: i64) -> rusqlite::Result<()> {
    ledger
        .prepare_cached(
            "INSERT INTO queued (destination, import, \"index\", event_id, request, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            destination,
            request.place.0,
            request.place.1,
            request.event_id,
            request.request,
            now
        ])?;
    ledger
        .prepare_cached("DELETE FROM queued WHERE n <= ?1")?
        .execute([ledger.last_insert_rowid() - KEPT_MAX])?;
    Ok(())
}

fn request(row: &Row<'_>) -> rusqlite::Result<QueuedReport> {
    Ok(QueuedReport {
        at: time(row.get("at")?),
        import: row.get("import")?,
        archive: row.get("archive")?,
        index: row.get("index")?,
        event_id: row.get("event_id")?,
        request: row.get("request")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_are_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let ledger = Ledger::open(&dir.path().join("ledger.db")).expect("a ledger");
        let of = |index: i64| NewQueued {
            place: (1, index as u64),
            event_id: format!("k-{index}"),
            request: format!("r-{index}"),
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
        let ask = |wanted: QueuedWanted| {
            let ledger = ledger.clone();
            async move { ledger.queued("crm", wanted).await.expect("read") }
        };
        let all = ask(QueuedWanted::default()).await;
        assert_eq!(all.len() as i64, KEPT_MAX - 1, "the other destination has one of them");
        assert_eq!((all[0].index, all[0].event_id.as_str()), (4, "k-4"));
        let newest = QueuedWanted {
            limit: Some(2),
            ..QueuedWanted::default()
        };
        let newest: Vec<u64> = ask(newest).await.iter().map(|one| one.index).collect();
        assert_eq!(newest, [100_001, 100_002]);
        for of in ["k-77", "r-77"] {
            let wanted = QueuedWanted {
                of: Some(of.to_owned()),
                import: Some(1),
                ..QueuedWanted::default()
            };
            let found = ask(wanted).await;
            assert_eq!((found.len(), found[0].index), (1, 77));
        }
    }
}
