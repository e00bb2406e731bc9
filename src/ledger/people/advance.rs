//! What some entries came to: people who are new, changed or one with another, and clashes; in one transaction with the place
//! behind the last of them.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::super::{Cursor, Ledger, LedgerError, log, report};
use super::reading::reading;
use super::{Clash, Person, SELECT_PERSON, Who, folded, keys, person};

/// Clashes kept of one import. Without a limit a hostile feed could fill the disk with them; all are counted.
const CLASHES_KEPT: i64 = 10_000;

/// What some entries came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Heard {
    /// Where the entries begin.
    pub from: Cursor,
    /// How often people had been changed when they were looked up.
    pub changes: i64,
    /// What had been asked by then, and done.
    pub asked: (i64, i64),
    /// Behind the last entry.
    pub to: Cursor,
    /// People of whom nobody had heard, with their numbers.
    pub new: Vec<Person>,
    /// People as they are now.
    pub changed: Vec<Change>,
    /// Leads that are one with a user now: their number, and that user's.
    pub merged: Vec<(i64, i64)>,
    /// What clashes with what is known.
    pub clashes: Vec<Clash>,
    /// By how much there are more users.
    pub users: i64,
    /// By how much there are more leads.
    pub leads: i64,
    /// Leads that became users.
    pub upgraded: u64,
}

/// Somebody as they are now.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The person.
    pub person: Person,
    /// Whether more has changed than where they were spoken of last.
    pub is_deep: bool,
}

/// Clashes of an import, for the log.
#[derive(serde::Serialize)]
struct ClashesLine {
    at: String,
    kind: &'static str,
    import: i64,
    clashes: u64,
    first_index: u64,
}

impl Ledger {
    /// Writes down what some entries came to. `false` if people were read further meanwhile, or changed, or if somebody was
    /// erased: then nothing is written, and the entries are to be read again and held against what is known now.
    pub async fn hear(&self, heard: Heard, now: i64) -> Result<bool, LedgerError> {
        self.write("writing down people", move |ledger| {
            let reading = reading(ledger)?;
            if (reading.at, reading.changes, reading.asked) != (heard.from, heard.changes, heard.asked) {
                return Ok(false);
            }
            one_with_another(ledger, &heard.merged)?;
            let deep: Vec<&Person> = heard
                .changed
                .iter()
                .filter(|one| one.is_deep)
                .map(|one| &one.person)
                .collect();
            change(ledger, &deep)?;
            let mut seen = ledger.prepare_cached(
                "UPDATE people SET last_at = ?2, last_import = ?3, last_index = ?4 WHERE person = ?1",
            )?;
            for Person { number, last, .. } in heard.changed.iter().filter(|one| !one.is_deep).map(|one| &one.person) {
                seen.execute(params![number, last.at, last.import, last.index])?;
            }
            let mut insert = ledger.prepare_cached(INSERT)?;
            for person in &heard.new {
                put(&mut insert, person)?;
                keys::add(ledger, person)?;
            }
            keys::move_on(ledger)?;
            keep_clashes(ledger, &heard.clashes, now)?;
            free_letters(ledger, deep.iter().copied().chain(&heard.new), now)?;
            let is_change = !(deep.is_empty() && heard.new.is_empty() && heard.merged.is_empty());
            ledger
                .prepare_cached(
                    "UPDATE people_reading SET seq = ?1, \"index\" = ?2, changes = changes + ?3, users = users + ?4,
                        leads = leads + ?5, upgraded = upgraded + ?6, clashes = clashes + ?7, trouble = NULL",
                )?
                .execute(params![
                    heard.to.seq,
                    heard.to.index,
                    is_change,
                    heard.users,
                    heard.leads,
                    heard.upgraded,
                    heard.clashes.len()
                ])?;
            Ok(true)
        })
        .await
    }
}

const INSERT: &str =
    "INSERT INTO people (person, user_id, email, email_folded, unit, first_at, first_import, first_index, last_at,
        last_import, last_index, upgraded_at, upgraded_import, upgraded_index, merged)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";

fn put(statement: &mut rusqlite::CachedStatement<'_>, person: &Person) -> rusqlite::Result<()> {
    let Person {
        first, last, upgraded, ..
    } = person;
    statement
        .execute(params![
            person.number,
            person.user_id,
            person.email,
            person.email.as_deref().map(folded),
            person.unit,
            first.at,
            first.import,
            first.index,
            last.at,
            last.import,
            last.index,
            upgraded.map(|upgraded| upgraded.at),
            upgraded.map(|upgraded| upgraded.import),
            upgraded.map(|upgraded| upgraded.index),
            person.merged
        ])
        .map(drop)
}

/// Leads that are one with a user: what was said of them is said of the user.
fn one_with_another(ledger: &Transaction<'_>, merged: &[(i64, i64)]) -> rusqlite::Result<()> {
    for (lead, user) in merged {
        if let Some(known) = by_number(ledger, *lead)? {
            keys::remove(ledger, &known)?;
        }
        ledger
            .prepare_cached("DELETE FROM people WHERE person = ?1")?
            .execute([lead])?;
        for column in ["person", "other"] {
            ledger
                .prepare_cached(&format!("UPDATE clashes SET {column} = ?2 WHERE {column} = ?1"))?
                .execute([lead, user])?;
        }
    }
    Ok(())
}

/// People who are known by other things than before.
fn change(ledger: &Transaction<'_>, people: &[&Person]) -> rusqlite::Result<()> {
    for person in people {
        if let Some(known) = by_number(ledger, person.number)? {
            keys::remove(ledger, &known)?;
        }
        keys::add(ledger, person)?;
    }
    let mut update = ledger.prepare_cached(
        "UPDATE people SET user_id = ?2, email = ?3, email_folded = ?4, unit = ?5, first_at = ?6, first_import = ?7,
            first_index = ?8, last_at = ?9, last_import = ?10, last_index = ?11, upgraded_at = ?12, upgraded_import = ?13,
            upgraded_index = ?14, merged = ?15 WHERE person = ?1",
    )?;
    for person in people {
        put(&mut update, person)?;
    }
    Ok(())
}

fn by_number(ledger: &Transaction<'_>, number: i64) -> rusqlite::Result<Option<Person>> {
    ledger
        .prepare_cached(&format!("{SELECT_PERSON} WHERE person = ?1"))?
        .query_row([number], person)
        .optional()
}

/// Writes clashes down, those of one import one behind the other, and has the log say so.
fn keep_clashes(ledger: &Transaction<'_>, clashes: &[Clash], now: i64) -> rusqlite::Result<()> {
    for of_import in clashes.chunk_by(|one, other| one.place.import == other.place.import) {
        let place = of_import[0].place;
        let kept: i64 = ledger
            .prepare_cached("SELECT count(*) FROM clashes WHERE import = ?1")?
            .query_row([place.import], |row| row.get(0))?;
        let room = usize::try_from(CLASHES_KEPT - kept).unwrap_or(0);
        let mut insert = ledger.prepare_cached(
            "INSERT OR REPLACE INTO clashes (import, \"index\", at, what, user_id, email, unit, person, other)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        for clash in of_import.iter().take(room) {
            insert.execute(params![
                clash.place.import,
                clash.place.index,
                clash.place.at,
                clash.what.as_str(),
                clash.user_id,
                clash.email,
                clash.unit,
                clash.person,
                clash.other
            ])?;
        }
        let line = ClashesLine {
            at: report::time(now),
            kind: "people_clash",
            import: place.import,
            clashes: of_import.len() as u64,
            first_index: place.index,
        };
        log::note(ledger, Some(place.import), &line, now)?;
    }
    Ok(())
}

/// Letters that waited for one of these people, as far as they are known by both, are to be delivered again.
fn free_letters<'p>(ledger: &Connection, known: impl Iterator<Item = &'p Person>, now: i64) -> rusqlite::Result<()> {
    let do_any_wait: bool = ledger
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM dead_letters WHERE waits_for IS NOT NULL)")?
        .query_row([], |row| row.get(0))?;
    if !do_any_wait {
        return Ok(());
    }
    let mut free = ledger.prepare_cached(
        "UPDATE dead_letters SET retry_at = ?2 WHERE waits_for = ?1 AND waits_for IS NOT NULL AND kind = 'held'",
    )?;
    for person in known {
        let (Some(id), Some((email, unit))) = (&person.user_id, person.pair()) else {
            continue;
        };
        for who in [Who::Id(id.clone()), Who::Pair(email, unit)] {
            free.execute(params![who.key(), now])?;
        }
    }
    Ok(())
}
