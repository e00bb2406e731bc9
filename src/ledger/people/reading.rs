//! How far the people have been read from what was imported, and what is to be read next.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::super::import::{SELECT_IMPORT, imports};
use super::super::{Cursor, Import, Ledger, LedgerError};
use super::{Person, Who, find, keys};
use crate::config::resolve::KeepPeople;

/// How far the people have been read, and what that came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeopleReading {
    /// Whether the daemon keeps them up to date: deliveries that need them wait for it, and the spool holds what it has not read.
    pub kept: bool,
    /// The next entry to read.
    pub at: Cursor,
    /// Transactions that changed people.
    pub changes: i64,
    /// The last request in the log, and how many erasures are done with: what was looked up or read before one of them changed
    /// may be undone, lie elsewhere, or speak of somebody who is forgotten.
    pub asked: (i64, i64),
    /// People with an id.
    pub users: u64,
    /// People without.
    pub leads: u64,
    /// Leads that became users, ever.
    pub upgraded: u64,
    /// Clashes, ever.
    pub clashes: u64,
    /// What could not be read any more.
    pub gap: Option<PeopleGap>,
    /// Why reading does not go on.
    pub trouble: Option<String>,
}

/// Imports of which nobody knows whom they spoke of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct PeopleGap {
    /// How many.
    pub imports: u64,
    /// Entries in them.
    pub entries: u64,
    /// The first one's id.
    pub first: i64,
    /// The last one's.
    pub last: i64,
}

/// The imports that speak of people and have not been read.
#[derive(Debug, Clone, PartialEq)]
pub struct PeopleAhead {
    /// The first ones, in the order of commit, each with whether it is a user feed.
    pub imports: Vec<(Import, bool)>,
    /// After the last import there is.
    pub end: Cursor,
}

/// Who may be meant by some entries, and how things stand.
#[derive(Debug, Clone, PartialEq)]
pub struct Concerned {
    /// People, each once.
    pub people: Vec<Person>,
    /// The number that the next new one gets.
    pub next_number: i64,
    /// How far they had been read.
    pub reading: PeopleReading,
}

/// Whether the daemon keeps them.
const KEPT: &str = "(keep = 'always' OR keep = 'auto' AND EXISTS (SELECT 1 FROM imports INDEXED BY imports_of_users
    WHERE kind = 'users' AND imported = 1))";

/// What somebody asked last of all who read on in the log, and how many erasures spool and ledger are cleared of.
const ASKED: &str = "(SELECT coalesce(max(imports.seq), 0) FROM imports INDEXED BY imports_requests
    WHERE kind IN ('replay', 'undo', 'erase')), (SELECT count(cleared_at) FROM requests)";

impl Ledger {
    /// Notes whether people are to be kept: `Always` also where a destination needs them.
    pub async fn keep_people(&self, keep: KeepPeople) -> Result<(), LedgerError> {
        self.write("noting whether people are kept", move |ledger| {
            let word = match keep {
                KeepPeople::Always => "always",
                KeepPeople::Auto => "auto",
                KeepPeople::Never => "never",
            };
            ledger
                .execute("UPDATE people_reading SET keep = ?1 WHERE keep <> ?1", [word])
                .map(drop)
        })
        .await
    }

    /// How far the people have been read.
    pub async fn people_reading(&self) -> Result<PeopleReading, LedgerError> {
        self.read("looking at how far people have been read", reading).await
    }

    /// The first imports at or after a cursor that speak of people. One that was undone does not.
    pub async fn people_ahead(&self, of: Cursor, limit: usize) -> Result<PeopleAhead, LedgerError> {
        self.read("looking for imports that speak of people", move |ledger| {
            // The end first: what commits between the two questions is then beyond it, and not passed over.
            let end: i64 = ledger
                .prepare_cached("SELECT coalesce(max(seq), 0) + 1 FROM imports")?
                .query_row([], |row| row.get(0))?;
            let mut select = ledger.prepare_cached(&format!(
                "{SELECT_IMPORT} WHERE seq >= ?1 AND seq < ?2 AND imported = 1 AND undone_by IS NULL
                    AND kind IN ('events', 'orders', 'users') ORDER BY seq LIMIT ?3"
            ))?;
            let found = imports(&mut select.query(params![of.seq, end, limit as i64])?)?;
            let mut is_users = ledger.prepare_cached("SELECT kind = 'users' FROM imports WHERE id = ?1")?;
            let imports = found
                .into_iter()
                .map(|import| {
                    let is_users = is_users.query_row([import.id], |row| row.get(0))?;
                    Ok((import, is_users))
                })
                .collect::<rusqlite::Result<_>>()?;
            Ok(PeopleAhead {
                imports,
                end: Cursor { seq: end, index: 0 },
            })
        })
        .await
    }

    /// Who is known by any of these.
    pub async fn concerned(&self, mut by: Vec<Who>) -> Result<Concerned, LedgerError> {
        self.read("looking up the people of some entries", move |ledger| {
            let ledger = ledger.unchecked_transaction()?;
            // In the order in which the ledger has them.
            by.sort_by_cached_key(keys::hash);
            by.dedup();
            let mut people = Vec::new();
            for who in &by {
                people.extend(find(&ledger, who)?);
            }
            people.sort_unstable_by_key(|person: &Person| person.number);
            people.dedup_by_key(|person| person.number);
            let next_number = ledger
                .prepare_cached("SELECT coalesce(max(person), 0) + 1 FROM people")?
                .query_row([], |row| row.get(0))?;
            Ok(Concerned {
                people,
                next_number,
                reading: reading(&ledger)?,
            })
        })
        .await
    }

    /// An import cannot be read any more: nobody will know whom it spoke of. `false`, and nothing is noted, if it is not as it
    /// was looked up: it was written anew without somebody's entries since, or undone.
    pub async fn people_pass_over(&self, import: &Import) -> Result<bool, LedgerError> {
        let before = import.clone();
        self.write("noting a gap in what people were read from", move |ledger| {
            let Import { id, seq, entries, .. } = before;
            let now: Option<Import> = ledger
                .prepare_cached(&format!(
                    "{SELECT_IMPORT} WHERE id = ?1 AND imported = 1 AND undone_by IS NULL"
                ))?
                .query_row([id], super::super::import::import)
                .optional()?;
            if now.is_none_or(|now| now != before) {
                return Ok(false);
            }
            ledger
                .execute(
                    "UPDATE people_reading SET seq = ?2 + 1, \"index\" = 0, gap_imports = gap_imports + 1,
                        gap_entries = gap_entries + max(?3 - CASE WHEN seq = ?2 THEN \"index\" ELSE 0 END, 0),
                        gap_first = coalesce(gap_first, ?1), gap_last = ?1 WHERE seq <= ?2",
                    params![id, seq, entries],
                )
                .map(|_| true)
        })
        .await
    }

    /// Notes why reading does not go on; `None`: that it does.
    pub async fn people_trouble(&self, trouble: Option<String>) -> Result<(), LedgerError> {
        self.write("noting how the reading of people does", move |ledger| {
            ledger
                .execute(
                    "UPDATE people_reading SET trouble = ?1 WHERE trouble IS NOT ?1",
                    [trouble],
                )
                .map(drop)
        })
        .await
    }
}

/// How far they have been read.
pub(super) fn reading(ledger: &Connection) -> rusqlite::Result<PeopleReading> {
    ledger
        .prepare_cached(&format!(
            "SELECT {KEPT}, seq, \"index\", changes, users, leads, upgraded, clashes, gap_imports, gap_entries, gap_first,
                gap_last, trouble, {ASKED} FROM people_reading"
        ))?
        .query_row([], |row| {
            let gap = match row.get::<_, Option<i64>>(10)? {
                Some(first) => Some(PeopleGap {
                    imports: row.get(8)?,
                    entries: row.get(9)?,
                    first,
                    last: row.get(11)?,
                }),
                None => None,
            };
            Ok(PeopleReading {
                kept: row.get(0)?,
                at: Cursor {
                    seq: row.get(1)?,
                    index: row.get(2)?,
                },
                changes: row.get(3)?,
                asked: (row.get(13)?, row.get(14)?),
                users: row.get(4)?,
                leads: row.get(5)?,
                upgraded: row.get(6)?,
                clashes: row.get(7)?,
                gap,
                trouble: row.get(12)?,
            })
        })
}

/// From which number on the spool is held for the people: what was not read; `None`: they are not kept.
pub(in crate::ledger) fn held_by_people(transaction: &Transaction<'_>) -> rusqlite::Result<Option<i64>> {
    transaction
        .prepare_cached(&format!("SELECT seq FROM people_reading WHERE {KEPT}"))?
        .query_row([], |row| row.get(0))
        .optional()
}
