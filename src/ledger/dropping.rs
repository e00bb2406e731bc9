//! Dead letters that nobody is to have any more: of an import that was undone, of somebody who is to be forgotten.
//!
//! They go when that is asked for; and once more, of each destination, when it comes to the request in its own order: it may
//! have set events aside meanwhile that it was in the middle of.

use std::io::Read;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::dead_letters::Line;
use super::import::{damaged, import_by_id};
use super::{Import, Whom};
use crate::feed::{self, Walk};

/// How many dead letters hold events of an import, of all destinations together.
pub(super) fn letters_of(ledger: &Connection, import: i64) -> rusqlite::Result<u64> {
    ledger.query_row(
        "SELECT count(*) FROM dead_letters WHERE import = ?1 OR last_import = ?1",
        [import],
        |row| row.get(0),
    )
}

/// Drops what dead letters hold of an import: those of one destination, or of all. A range keeps its other events.
pub(super) fn drop_letters(ledger: &Connection, name: Option<&str>, import: i64) -> rusqlite::Result<usize> {
    let single = ledger.execute(
        "DELETE FROM dead_letters WHERE import = ?1 AND last_import IS NULL AND (?2 IS NULL OR destination = ?2)",
        params![import, name],
    )?;
    let ranges = thin_out(ledger, name, |line, _| line.import == import)?;
    Ok(single + ranges)
}

/// Drops what dead letters hold of somebody, of what was imported before a place in the log: those of one destination, or of all.
/// A range keeps its other events.
pub(super) fn forget_in_letters(
    ledger: &Connection,
    name: Option<&str>,
    whom: &Whom,
    before: i64,
) -> rusqlite::Result<usize> {
    let mut select = ledger.prepare(
        "SELECT id, import, body FROM dead_letters WHERE last_import IS NULL AND (?1 IS NULL OR destination = ?1)",
    )?;
    let mut rows = select.query([name])?;
    let (mut known, mut theirs): (Option<Arc<Import>>, Vec<i64>) = (None, Vec::new());
    while let Some(row) = rows.next()? {
        let import = match known.take() {
            Some(import) if import.id == row.get::<_, i64>(1)? => import,
            _ => Arc::new(import_by_id(ledger, row.get(1)?)?),
        };
        if import.seq < before && is_of(whom, row.get_ref(2)?.as_str()?, &import) {
            theirs.push(row.get(0)?);
        }
        known = Some(import);
    }
    for id in &theirs {
        ledger.execute("DELETE FROM dead_letters WHERE id = ?1", [id])?;
    }
    let ranges = thin_out(ledger, name, |line, import| {
        import.seq < before && is_of(whom, line.body.get(), import)
    })?;
    Ok(theirs.len() + ranges)
}

/// Whether an entry that was kept is somebody's.
fn is_of(whom: &Whom, body: &str, import: &Import) -> bool {
    let array = b"[".chain(body.as_bytes()).chain(&b"]"[..]);
    let mut walk = Walk::new(array, &import.reading.options);
    let Ok(Some(entry)) = walk.next() else { return false };
    let keys = feed::extract(&entry, &import.reading.options);
    whom.is(keys.id.as_deref(), keys.email.as_deref(), keys.business_unit.as_deref())
}

/// Takes lines out of ranges; one that nothing is left of goes. Returns how many ranges had any.
fn thin_out(
    ledger: &Connection,
    name: Option<&str>,
    goes: impl Fn(&Line<'_>, &Import) -> bool,
) -> rusqlite::Result<usize> {
    let mut select = ledger.prepare(
        "SELECT id, body, failed FROM dead_letters WHERE last_import IS NOT NULL AND (?1 IS NULL OR destination = ?1)",
    )?;
    let mut rows = select.query([name])?;
    let mut thinner = Vec::new();
    while let Some(row) = rows.next()? {
        let body = row.get_ref(1)?.as_str()?;
        let (mut left, mut events) = (String::new(), 0_u64);
        for text in body.lines() {
            let line: Line<'_> =
                serde_json::from_str(text).map_err(|error| damaged(1, rusqlite::types::Type::Text, error))?;
            if !goes(&line, &import_by_id(ledger, line.import)?) {
                left.push_str(text);
                left.push('\n');
                events += 1;
            }
        }
        if left.trim_end() != body.trim_end() {
            thinner.push((row.get::<_, i64>(0)?, left, events, row.get::<_, u64>(2)?.min(events)));
        }
    }
    for (id, left, events, failed) in &thinner {
        match events {
            0 => ledger.execute("DELETE FROM dead_letters WHERE id = ?1", [id])?,
            _ => ledger.execute(
                "UPDATE dead_letters SET body = ?2, events = ?3, failed = ?4 WHERE id = ?1",
                params![id, left, events, failed],
            )?,
        };
    }
    Ok(thinner.len())
}

/// A destination's cursor is about to move: what it comes past may ask that it let go of dead letters.
pub(super) fn come_past(ledger: &Connection, name: &str, to: i64) -> rusqlite::Result<()> {
    let from: Option<i64> = ledger
        .prepare_cached("SELECT seq FROM destinations WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    match from {
        Some(from) if from < to => let_go(ledger, name, from, to),
        _ => Ok(()),
    }
}

/// A destination came past rows of the log: what it set aside meanwhile of what was undone, or of whom is to be forgotten, goes.
pub(super) fn let_go(ledger: &Connection, name: &str, from: i64, to: i64) -> rusqlite::Result<()> {
    let mut select = ledger.prepare_cached(
        "SELECT kind, of_import, (SELECT who FROM requests WHERE import = imports.id), seq
         FROM imports INDEXED BY imports_requests
         WHERE kind IN ('replay', 'undo', 'erase') AND seq >= ?1 AND seq < ?2",
    )?;
    let mut rows = select.query([from, to])?;
    while let Some(row) = rows.next()? {
        let (kind, of, who): (String, Option<i64>, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        match (kind.as_str(), of, who) {
            ("undo", Some(import), _) => drop_letters(ledger, Some(name), import)?,
            ("erase", _, Some(whom)) => {
                let whom: Whom =
                    serde_json::from_str(&whom).map_err(|error| damaged(2, rusqlite::types::Type::Text, error))?;
                forget_in_letters(ledger, Some(name), &whom, row.get(3)?)?
            }
            _ => 0,
        };
    }
    Ok(())
}
