//! What somebody asks of everyone who reads on in the log: one more row of it, with a number of its own.
//!
//! A replay, an undo and an erasure are rows among the imports, in the order in which they were asked for. Whoever reads on
//! comes to them in its own time, and does what they say together with moving its cursor: so all of it is journalled, and a
//! crash leaves nothing half done. This room writes the rows, and says what cannot be asked for and why.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Serialize;

use super::{Ledger, LedgerError, history, log, report};

/// An import that is to be delivered once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Its id.
    pub import: i64,
    /// To these destinations; empty: to all.
    pub only_to: Vec<String>,
}

/// A row that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Its id, for `feedgate status`.
    pub request: i64,
    /// The import that it is of.
    pub import: i64,
    /// The source.
    pub source: String,
    /// The archive.
    pub archive: String,
    /// The import's events.
    pub events: u64,
}

/// Why something cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such import.
    #[error("there is no import {0}; `feedgate status --all` lists them")]
    Unknown(i64),
    /// It is no import.
    #[error("{id} is no import but a request (`{kind}` of import {of}); ask for import {of}")]
    Request {
        /// The id given.
        id: i64,
        /// Its kind.
        kind: String,
        /// The import it is of.
        of: i64,
    },
    /// It is an erasure.
    #[error("{0} is no import but the request to erase somebody; `feedgate status --all` lists the imports")]
    Erasure(i64),
    /// It is being read.
    #[error("import {0} is still being read; ask again when it is closed")]
    NotClosed(i64),
    /// It took nothing in.
    #[error("import {id} (`{archive}`) is {status} and took no events in{}", .instead.map_or(String::new(), |id| format!("; import {id} did: ask for that one")))]
    NothingTakenIn {
        /// The id given.
        id: i64,
        /// Its archive.
        archive: String,
        /// Its status.
        status: String,
        /// The one that took the events in.
        instead: Option<i64>,
    },
    /// Its bytes left the spool.
    #[error(
        "import {id} (`{archive}`) left the spool at {}, as `retention` says: its {events} events can be had no more; upload the \
         archive under another name to have them imported anew", report::time(*.pruned_at)
    )]
    Pruned {
        /// The id given.
        id: i64,
        /// Its archive.
        archive: String,
        /// Its events.
        events: u64,
        /// When, UTC milliseconds.
        pruned_at: i64,
    },
    /// It was undone.
    #[error("import {id} (`{archive}`) was undone at {}; upload the archive again to have it imported anew", report::time(*.at))]
    Undone {
        /// The id given.
        id: i64,
        /// Its archive.
        archive: String,
        /// When, UTC milliseconds.
        at: i64,
    },
    /// It is of a user feed.
    #[error(
        "import {id} (`{archive}`) is of a user feed: its people are not events, and are neither sent again nor taken back; send a \
         newer user feed, or erase a person with `feedgate erase`"
    )]
    OfPeople {
        /// The id given.
        id: i64,
        /// Its archive.
        archive: String,
    },
    /// A destination is not there.
    #[error("the ledger knows no destination `{0}`; `feedgate status` lists them")]
    NoDestination(String),
    /// A destination is there no more.
    #[error("the destination `{0}` is no longer configured; put it back into the configuration first")]
    RemovedDestination(String),
    /// Somebody is being erased.
    #[error(
        "somebody is being erased from the spool just now (request {0}), and must not be delivered again; ask again when \
         `feedgate status` says that it is done"
    )]
    Erasing(i64),
}

/// An import, as far as it matters here.
pub(super) struct Target {
    pub(super) id: i64,
    pub(super) source: String,
    pub(super) archive: String,
    pub(super) events: u64,
    pruned_at: Option<i64>,
    is_spooled: bool,
}

/// A request, for the import status log.
#[derive(Serialize)]
struct RequestLine<'a> {
    at: String,
    kind: &'static str,
    request: i64,
    import: i64,
    source: &'a str,
    archive: &'a str,
    events: u64,
}

impl Ledger {
    /// The place in the log of what somebody asked last of all who read on in it; 0 if nobody asked anything.
    pub async fn last_request(&self) -> Result<i64, LedgerError> {
        self.read("looking for what was asked", |ledger| {
            ledger
                .prepare_cached(
                    "SELECT coalesce(max(seq), 0) FROM imports INDEXED BY imports_requests
                     WHERE kind IN ('replay', 'undo', 'erase')",
                )?
                .query_row([], |row| row.get(0))
        })
        .await
    }

    /// Has an import delivered once more.
    pub async fn replay(&self, replay: Replay, now: i64) -> Result<Result<Asked, Refused>, LedgerError> {
        self.write("asking for another delivery of an import", move |transaction| {
            let target = match target(transaction, replay.import)? {
                Ok(target) => target,
                Err(refused) => return Ok(Err(refused)),
            };
            if let Some(refused) = not_again(transaction, &target, &replay.only_to)? {
                return Ok(Err(refused));
            }
            let only_to = (!replay.only_to.is_empty()).then(|| serde_json::Value::from(replay.only_to).to_string());
            let request = append(transaction, &target, "replay", only_to.as_deref(), now)?;
            let asked = target.asked(request);
            log_asked(transaction, "replay", &asked, now)?;
            Ok(Ok(asked))
        })
        .await
    }
}

impl Target {
    pub(super) fn asked(self, request: i64) -> Asked {
        Asked {
            request,
            import: self.id,
            source: self.source,
            archive: self.archive,
            events: self.events,
        }
    }
}

/// The import that something is asked of, if it is one that took events in.
pub(super) fn target(ledger: &Connection, id: i64) -> rusqlite::Result<Result<Target, Refused>> {
    let found = ledger
        .query_row(
            "SELECT source, archive, kind, of_import, status, imported, accepted - duplicates, pruned_at,
                (SELECT closed_at FROM imports AS undo WHERE undo.id = imports.undone_by), coalesce(duplicate_of, repacked_of),
                spool_file IS NOT NULL
             FROM imports WHERE id = ?1",
            [id],
            |row| {
                let target = Target {
                    id,
                    source: row.get(0)?,
                    archive: row.get(1)?,
                    events: row.get(6)?,
                    pruned_at: row.get(7)?,
                    is_spooled: row.get(10)?,
                };
                let (kind, of, status): (String, Option<i64>, String) = (row.get(2)?, row.get(3)?, row.get(4)?);
                let (imported, undone_at): (bool, Option<i64>) = (row.get(5)?, row.get(8)?);
                let archive = target.archive.clone();
                Ok(match (kind.as_str(), of, undone_at) {
                    ("erase", ..) => Err(Refused::Erasure(id)),
                    (_, Some(of), _) => Err(Refused::Request { id, kind, of }),
                    (.., Some(at)) => Err(Refused::Undone { id, archive, at }),
                    ("users" | "header", ..) => Err(Refused::OfPeople { id, archive }),
                    _ if status == "importing" => Err(Refused::NotClosed(id)),
                    _ if !imported => Err(Refused::NothingTakenIn {
                        id,
                        archive,
                        status,
                        instead: row.get(9)?,
                    }),
                    _ => Ok(target),
                })
            },
        )
        .optional()?;
    Ok(found.unwrap_or(Err(Refused::Unknown(id))))
}

/// Why an import cannot be delivered once more.
fn not_again(ledger: &Connection, target: &Target, only_to: &[String]) -> rusqlite::Result<Option<Refused>> {
    if !target.is_spooled {
        return Ok(Some(Refused::Pruned {
            id: target.id,
            archive: target.archive.clone(),
            events: target.events,
            pruned_at: target.pruned_at.unwrap_or_default(),
        }));
    }
    for name in only_to {
        let state: Option<String> = ledger
            .query_row("SELECT state FROM destinations WHERE name = ?1", [name], |row| {
                row.get(0)
            })
            .optional()?;
        match state.as_deref() {
            None => return Ok(Some(Refused::NoDestination(name.clone()))),
            Some("removed") => return Ok(Some(Refused::RemovedDestination(name.clone()))),
            Some(_) => {}
        }
    }
    // Behind the erasure nobody would take the person's events out again.
    let erasing: Option<i64> = ledger
        .query_row(
            "SELECT import FROM requests WHERE who IS NOT NULL AND cleared_at IS NULL ORDER BY import LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()?;
    Ok(erasing.map(Refused::Erasing))
}

/// Writes a row of the log that is of an import. An undo has its key and no entries; a replay has all that it is read by.
pub(super) fn append(
    transaction: &Transaction<'_>,
    target: &Target,
    kind: &'static str,
    only_to: Option<&str>,
    now: i64,
) -> rusqlite::Result<i64> {
    let (seq, past) = history::end(transaction)?;
    transaction.execute(
        "INSERT INTO imports (seq, history, source, archive, named_at, size, mtime, sha256, data_sha256, data_bytes, kind, of_import,
            only_to, onward, status, imported_at, reading, first_seen_at, claimed_at, closed_at, disposition, path)
         SELECT ?5, ?6, source, archive, named_at, size, mtime, sha256, data_sha256, data_bytes,
            ?2, id, ?3, 1, 'processed', imported_at, reading, ?4, ?4, ?4, 'left', path
         FROM imports WHERE id = ?1",
        params![
            target.id,
            kind,
            only_to,
            now,
            seq,
            past.and_then([kind, &target.id.to_string()], None)
        ],
    )?;
    let request = transaction.last_insert_rowid();
    if kind == "replay" {
        transaction.execute(
            "UPDATE imports SET (entries, accepted, rejected, duplicates, rejected_set, duplicate_set, erased_set,
                    spool_file, spool_offset, spool_len)
                = (SELECT entries, accepted, rejected, duplicates, rejected_set, duplicate_set, erased_set,
                    spool_file, spool_offset, spool_len FROM imports WHERE id = ?1) WHERE id = ?2",
            [target.id, request],
        )?;
    }
    transaction.execute("INSERT INTO requests (import) VALUES (?1)", [request])?;
    Ok(request)
}

/// Has the import status log say what was asked for.
pub(super) fn log_asked(
    transaction: &Transaction<'_>,
    kind: &'static str,
    asked: &Asked,
    now: i64,
) -> rusqlite::Result<()> {
    let line = RequestLine {
        at: report::time(now),
        kind,
        request: asked.request,
        import: asked.import,
        source: &asked.source,
        archive: &asked.archive,
        events: asked.events,
    };
    log::note(transaction, Some(asked.request), &line, now)
}
