//! `feedgate erase`: somebody is forgotten, as far as the ledger has to do with it.
//!
//! The request is a row of the log, for whoever keeps events; whom it is about stands beside it until all are past it. What
//! belongs to nobody's cursor, the spool and the ledger's own texts, is done by whoever holds the state directory, file by
//! file: a spool file is written anew, and one transaction has every import read the new one, with the entries left out that
//! are blank in it. All of it may be repeated: what is blank is found no more.

use std::collections::BTreeMap;

use roaring::RoaringTreemap;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

use super::dropping::forget_in_letters;
use super::flight::forget_in_flight;
use super::import::{SELECT_IMPORT, import};
use super::people::{self, Who};
use super::{DefaultUnit, Import, Ledger, LedgerError, Reading, Stored, Whom, history, log, report};
use crate::archive::Member;

/// What stands in place of a text about somebody who was erased.
const ERASED: &str = "erased";

/// Somebody to be erased from the spool and from the ledger's texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// The request's id.
    pub request: i64,
    /// Its place in the log: what was imported later is not touched.
    pub seq: i64,
    /// Whom.
    pub whom: Whom,
}

/// What was found of somebody in spool and ledger, and is there no more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleared {
    /// Archives in the spool that had entries of them.
    pub archives: u64,
    /// Entries in these.
    pub entries: u64,
    /// People of whom the ledger kept who they are.
    #[serde(default)]
    pub people: u64,
    /// Dead letters that were dropped or thinned out.
    pub dead_letters: u64,
    /// Texts of rejects, warnings and violations that were blanked.
    pub texts: u64,
    /// Imports whose archive should be in the spool and could not be read, and why.
    pub unreadable: Vec<(i64, String)>,
}

/// An archive in a spool file.
#[derive(Debug, Clone, PartialEq)]
pub struct Spooled {
    /// The import's row.
    pub row: i64,
    /// The import.
    pub import: Import,
    /// Whether its data file lies there as it came, in no archive: that of a user feed.
    pub is_plain: bool,
}

/// A spool file that was written anew under another name.
#[derive(Debug, Clone)]
pub struct Rewritten {
    /// The file that is to be read no more.
    pub old: String,
    /// What to read instead of each archive in it, by its place in the old one.
    pub slots: BTreeMap<(u64, u64), Slot>,
}

/// Where an archive lies now.
#[derive(Debug, Clone)]
pub struct Slot {
    /// The place.
    pub stored: Stored,
    /// Its data file and where that lies in it, and which entries are blank; `None`: it is what it was.
    pub blanked: Option<(Member, RoaringTreemap)>,
}

/// An erasure, for the import status log: not a word of whom.
#[derive(Serialize)]
struct ErasureLine {
    at: String,
    kind: &'static str,
    request: i64,
}

impl Ledger {
    /// Asks everybody to forget somebody; returns the request's id.
    pub async fn erase(&self, whom: Whom, now: i64) -> Result<i64, LedgerError> {
        self.write("asking to erase somebody", move |transaction| {
            let defaults = match whom.addresses.is_empty() {
                true => Vec::new(),
                false => defaults(transaction)?,
            };
            let whom = Whom { defaults, ..whom };
            let (seq, past) = history::end(transaction)?;
            transaction.execute(
                "INSERT INTO imports (seq, history, source, archive, size, mtime, kind, onward, status, imported_at, first_seen_at,
                    claimed_at, closed_at, disposition, path)
                 VALUES (?2, ?3, '', '', 0, 0, 'erase', 1, 'processed', ?1, ?1, ?1, ?1, 'left', '')",
                params![now, seq, past.and_then(["erase"], None)],
            )?;
            let request = transaction.last_insert_rowid();
            let people = people::forget(transaction, &who(&whom), seq)?;
            let letters = forget_in_letters(transaction, None, &whom, seq)?;
            forget_in_flight(transaction, &whom, seq)?;
            let report = Cleared {
                dead_letters: letters as u64,
                people: people.len() as u64,
                ..Cleared::default()
            };
            transaction.execute(
                "INSERT INTO requests (import, who, report) VALUES (?1, ?2, ?3)",
                params![request, json(&whom), json(&report)],
            )?;
            let line = ErasureLine {
                at: report::time(now),
                kind: "erase",
                request,
            };
            log::note(transaction, Some(request), &line, now)?;
            Ok(request)
        })
        .await
    }

    /// The first erasure that spool and ledger are not cleared of.
    pub async fn next_erasure(&self) -> Result<Option<Erasure>, LedgerError> {
        self.read("looking for somebody to erase", |connection| {
            connection
                .prepare_cached(
                    "SELECT import, who, (SELECT seq FROM imports WHERE id = import) FROM requests
                     WHERE who IS NOT NULL AND cleared_at IS NULL ORDER BY import LIMIT 1",
                )?
                .query_row([], |row| {
                    let who: String = row.get(1)?;
                    Ok(Erasure {
                        request: row.get(0)?,
                        seq: row.get(2)?,
                        whom: serde_json::from_str(&who)
                            .map_err(|error| super::import::damaged(1, rusqlite::types::Type::Text, error))?,
                    })
                })
                .optional()
        })
        .await
    }

    /// The next spool file, by name, that archives lie in which were imported before a place in the log; with all archives in
    /// it.
    pub async fn next_spool_file(
        &self,
        after: String,
        before: i64,
    ) -> Result<Option<(String, Vec<Spooled>)>, LedgerError> {
        self.read("looking for what the spool holds", move |connection| {
            let file: Option<String> = connection
                .prepare_cached(
                    "SELECT spool_file FROM imports INDEXED BY imports_spooled WHERE spool_file > ?1 AND seq < ?2
                     ORDER BY spool_file LIMIT 1",
                )?
                .query_row(params![after, before], |row| row.get(0))
                .optional()?;
            match file {
                None => Ok(None),
                Some(file) => Ok(Some((file.clone(), archives_in(connection, &file)?))),
            }
        })
        .await
    }

    /// A spool file was written anew: from now on its archives are read there. `false`, and nothing is changed, if one lies in
    /// the old file of which the new one knows nothing.
    pub async fn spool_rewritten(&self, request: i64, rewritten: Rewritten) -> Result<bool, LedgerError> {
        self.write("noting a spool file that was written anew", move |transaction| {
            let mut cleared = cleared(transaction, request)?;
            let archives = archives_in(transaction, &rewritten.old)?;
            let mut moves = Vec::with_capacity(archives.len());
            for archive in &archives {
                let Some(slot) = place(archive).and_then(|place| rewritten.slots.get(&place)) else {
                    return Ok(false);
                };
                moves.push((archive, slot));
            }
            for (archive, slot) in moves {
                move_archive(transaction, archive, slot)?;
                if let Some((_, blank)) = &slot.blanked {
                    cleared.texts += blank_texts_of(transaction, archive.import.id, blank)?;
                }
            }
            for slot in rewritten.slots.values() {
                if let Some((_, blank)) = &slot.blanked {
                    cleared.archives += 1;
                    cleared.entries += blank.len();
                }
            }
            note_cleared(transaction, request, &cleared)?;
            Ok(true)
        })
        .await
    }

    /// Notes that an archive could not be looked into.
    pub async fn not_cleared(&self, request: i64, import: i64, why: String) -> Result<(), LedgerError> {
        self.write("noting what could not be erased", move |transaction| {
            let mut cleared = cleared(transaction, request)?;
            cleared.unreadable.retain(|(known, _)| *known != import);
            cleared.unreadable.push((import, why));
            note_cleared(transaction, request, &cleared)
        })
        .await
    }

    /// The spool has nothing of somebody any more: the texts of imports that have left it go now, and that is written down.
    pub async fn cleared(&self, erasure: Erasure, now: i64) -> Result<(), LedgerError> {
        let Erasure { request, seq, whom } = erasure;
        self.write("erasing somebody from the ledger's texts", move |transaction| {
            let mut cleared = cleared(transaction, request)?;
            cleared.texts += blank_texts_about(transaction, &whom)?;
            // What was read for the people before the spool was cleared may have been written down since.
            people::forget(transaction, &who(&whom), seq)?;
            cleared.dead_letters += forget_in_letters(transaction, None, &whom, seq)? as u64;
            forget_in_flight(transaction, &whom, seq)?;
            note_cleared(transaction, request, &cleared)?;
            transaction
                .execute("UPDATE requests SET cleared_at = ?2 WHERE import = ?1", [request, now])
                .map(drop)
        })
        .await
    }

    /// Forgets whom an erasure was about, where everybody is past it who knows of it; returns of how many. Destinations that
    /// are no longer configured are not waited for.
    pub async fn forget_whom(&self) -> Result<usize, LedgerError> {
        let is_any: bool = self
            .read("looking for whom to forget", |connection| {
                connection
                    .prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM requests WHERE {ALL_PAST})"))?
                    .query_row([], |row| row.get(0))
            })
            .await?;
        if !is_any {
            return Ok(0);
        }
        self.write("forgetting whom an erasure was about", |transaction| {
            transaction.execute(&format!("UPDATE requests SET who = NULL WHERE {ALL_PAST}"), [])
        })
        .await
    }

    /// Has nothing lie beside the ledger's file any more of what it held before: the log of writes is emptied. `false` if
    /// somebody reads it just now.
    pub async fn empty_the_wal(&self) -> Result<bool, LedgerError> {
        self.job("emptying the ledger's log of writes", |connection| {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
                Ok(row.get::<_, i64>(0)? == 0)
            })
        })
        .await
    }
}

/// An erasure that is done with, and that everybody is past.
const ALL_PAST: &str = "who IS NOT NULL AND cleared_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM destinations
    WHERE state <> 'removed' AND seq <= (SELECT imports.seq FROM imports WHERE imports.id = requests.import))";

/// The same person, as people are looked up.
fn who(whom: &Whom) -> Vec<Who> {
    let ids = whom.ids.iter().cloned().map(Who::Id);
    let addresses = whom.addresses.iter();
    let pairs = addresses.map(|address| Who::Pair(people::folded(&address.email), address.unit.clone()));
    ids.chain(pairs).collect()
}

/// In which imports entries without a business unit got which.
fn defaults(ledger: &Connection) -> rusqlite::Result<Vec<DefaultUnit>> {
    let mut select = ledger.prepare(
        "SELECT id, reading ->> '$.options.default_business_unit' AS unit FROM imports
         WHERE kind NOT IN ('replay', 'undo', 'erase') AND unit IS NOT NULL ORDER BY unit, id",
    )?;
    let mut rows = select.query([])?;
    let mut defaults: Vec<DefaultUnit> = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, unit): (i64, String) = (row.get(0)?, row.get(1)?);
        match defaults.last_mut().filter(|default| default.unit == unit) {
            None => defaults.push(DefaultUnit {
                unit,
                imports: vec![(id, id)],
            }),
            Some(default) => match default.imports.last_mut() {
                Some((_, last)) if *last + 1 == id => *last = id,
                _ => default.imports.push((id, id)),
            },
        }
    }
    Ok(defaults)
}

fn archives_in(ledger: &Connection, file: &str) -> rusqlite::Result<Vec<Spooled>> {
    let mut select = ledger.prepare_cached(
        "SELECT id, kind IN ('users', 'header') FROM imports WHERE spool_file = ?1 ORDER BY spool_offset, id",
    )?;
    let ids: Vec<(i64, bool)> = select
        .query_map([file], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut select = ledger.prepare_cached(&format!("{SELECT_IMPORT} WHERE id = ?1"))?;
    ids.into_iter()
        .map(|(row, is_plain)| {
            Ok(Spooled {
                row,
                is_plain,
                import: select.query_row([row], import)?,
            })
        })
        .collect()
}

fn place(archive: &Spooled) -> Option<(u64, u64)> {
    let stored = archive.import.stored.as_ref()?;
    Some((stored.offset, stored.len))
}

fn move_archive(transaction: &Transaction<'_>, archive: &Spooled, slot: &Slot) -> rusqlite::Result<()> {
    let Stored { file, offset, len } = &slot.stored;
    transaction
        .prepare_cached("UPDATE imports SET spool_file = ?2, spool_offset = ?3, spool_len = ?4 WHERE id = ?1")?
        .execute(params![archive.row, file, offset, len])?;
    let Some((member, blank)) = &slot.blanked else {
        return Ok(());
    };
    let reading = Reading {
        member: member.clone(),
        ..archive.import.reading.clone()
    };
    let before: Option<Vec<u8>> =
        transaction.query_row("SELECT erased_set FROM imports WHERE id = ?1", [archive.row], |row| {
            row.get(0)
        })?;
    let mut erased = match before {
        Some(bytes) => RoaringTreemap::deserialize_from(&bytes[..])
            .map_err(|error| super::import::damaged(0, rusqlite::types::Type::Blob, error))?,
        None => RoaringTreemap::new(),
    };
    erased |= blank;
    let mut bytes = Vec::with_capacity(erased.serialized_size());
    // Writing to memory does not fail.
    erased.serialize_into(&mut bytes).ok();
    transaction
        .prepare_cached("UPDATE imports SET reading = ?2, erased_set = ?3 WHERE id = ?1")?
        .execute(params![archive.row, json(&reading), bytes])?;
    Ok(())
}

/// Blanks what is said of entries of an import.
fn blank_texts_of(transaction: &Transaction<'_>, import: i64, entries: &RoaringTreemap) -> rusqlite::Result<u64> {
    let mut blanked = 0;
    for (what, _) in TEXTS {
        let mut select =
            transaction.prepare_cached(&format!("SELECT {} FROM {} WHERE import = ?1", what.key, what.table))?;
        let keys: Vec<(i64, Option<u64>)> = select
            .query_map([import], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        for (key, entry) in keys {
            if entry.is_some_and(|entry| entries.contains(entry)) {
                blanked += blank(transaction, what, import, key)?;
            }
        }
    }
    Ok(blanked)
}

/// Blanks what names somebody, whatever import it is of: what has left the spool can be told by its words alone.
fn blank_texts_about(transaction: &Transaction<'_>, whom: &Whom) -> rusqlite::Result<u64> {
    let mut blanked = 0;
    for (what, texts) in TEXTS {
        let mut select = transaction.prepare(&format!("SELECT import, {}, {texts} FROM {}", what.key, what.table))?;
        let mut rows = select.query([])?;
        let mut named = Vec::new();
        while let Some(row) = rows.next()? {
            let text: String = row.get(3)?;
            if whom.is_named_in(&text) {
                named.push((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
            }
        }
        for (import, key) in named {
            blanked += blank(transaction, what, import, key)?;
        }
    }
    Ok(blanked)
}

/// Where the ledger says something of an entry.
struct Text {
    table: &'static str,
    /// The key beside the import, and the entry's index.
    key: &'static str,
    /// The key's column.
    column: &'static str,
    /// What makes it say nothing.
    blank: &'static str,
}

/// All such places, each with all that it says.
const TEXTS: [(&Text, &str); 3] = [
    (
        &Text {
            table: "rejects",
            key: "\"index\", \"index\"",
            column: "\"index\"",
            blank: "message = ?3, excerpt = '', reasons = '[]', pointer = ''",
        },
        "message || ' ' || excerpt || ' ' || reasons || ' ' || pointer",
    ),
    (
        &Text {
            table: "warnings",
            key: "n, \"index\"",
            column: "n",
            blank: "message = ?3, pointer = ''",
        },
        "message || ' ' || pointer",
    ),
    (
        &Text {
            table: "violations",
            key: "n, entry",
            column: "n",
            blank: "detail = ?3, excerpt = NULL",
        },
        "detail || ' ' || coalesce(excerpt, '')",
    ),
];

fn blank(transaction: &Transaction<'_>, what: &Text, import: i64, key: i64) -> rusqlite::Result<u64> {
    let Text {
        table, column, blank, ..
    } = what;
    let changed = transaction
        .prepare_cached(&format!(
            "UPDATE {table} SET {blank} WHERE import = ?1 AND {column} = ?2"
        ))?
        .execute(params![import, key, ERASED])?;
    Ok(changed as u64)
}

fn cleared(ledger: &Connection, request: i64) -> rusqlite::Result<Cleared> {
    let report: String = ledger.query_row("SELECT report FROM requests WHERE import = ?1", [request], |row| {
        row.get(0)
    })?;
    Ok(serde_json::from_str(&report).unwrap_or_default())
}

fn note_cleared(transaction: &Transaction<'_>, request: i64, cleared: &Cleared) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE requests SET report = ?2 WHERE import = ?1")?
        .execute(params![request, json(cleared)])
        .map(drop)
}

/// Our own plain structs: serializing them does not fail.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
