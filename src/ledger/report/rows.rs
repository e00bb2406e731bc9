//! Rows of the ledger as reports.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Count, ImportReport, RejectReport, Related, time};
use crate::verdict::{Position, Violation, ViolationCode, Warning, WarningCode};

macro_rules! latest_of_name {
    () => {
        "NOT EXISTS (SELECT 1 FROM imports AS later WHERE later.source = imports.source
            AND later.archive = imports.archive AND later.seq > imports.seq
            AND later.kind NOT IN ('replay', 'undo', 'erase'))"
    };
}

/// Nothing newer of the same name has been closed since.
pub(super) const LATEST_OF_NAME: &str = latest_of_name!();

/// What somebody asked for is a row of the same table, and no import.
pub(super) const NO_REQUEST: &str = "kind NOT IN ('replay', 'undo', 'erase')";

/// What [`report`] reads.
pub(super) const IMPORT: &str = concat!(
    "SELECT id, source, archive, kind, superseded, user_feed_pending, status, imported, entries, accepted, duplicates, rejected, late,
    duplicate_of, repacked_of,
    name_reused, same_content, same_failure, retry_of, undone_by, sha256, data_sha256, size, data_bytes, disposition, path, error,
    retry_at, receipt, named_at, first_seen_at, imported_at, closed_at, elapsed_ms, pruned_at,
    (SELECT coalesce(sum(count), 0) FROM counts WHERE import = imports.id AND kind = 'warning') AS warnings,
    disposition = 'pending' AND error IS NOT NULL OR status = 'failed' AND ",
    latest_of_name!(),
    " AND (disposition <> 'left' OR EXISTS (SELECT 1 FROM listed WHERE listed.source = imports.source
        AND listed.name = imports.archive AND listed.import = imports.id)) AS needs_attention
    FROM imports"
);

pub(in crate::ledger) fn import(connection: &Connection, id: i64) -> rusqlite::Result<Option<ImportReport>> {
    let sql = format!("{IMPORT} WHERE id = ?1 AND {NO_REQUEST}");
    let found = connection.prepare_cached(&sql)?.query_row([id], report).optional()?;
    let Some(mut import) = found else { return Ok(None) };
    import.violations = violations(connection, id)?;
    Ok(Some(import))
}

pub(super) fn report(row: &Row<'_>) -> rusqlite::Result<ImportReport> {
    let related = Related {
        duplicate_of: row.get("duplicate_of")?,
        repacked_of: row.get("repacked_of")?,
        name_reused: row.get("name_reused")?,
        same_content: row.get("same_content")?,
        same_failure: row.get("same_failure")?,
        retry_of: row.get("retry_of")?,
        undone_by: row.get("undone_by")?,
    };
    let flags = [
        (row.get("late")?, "late"),
        (related.duplicate_of.is_some(), "duplicate"),
        (related.repacked_of.is_some(), "repacked"),
        (related.name_reused.is_some(), "name_reused"),
        (related.same_content.is_some(), "same_content"),
        (related.same_failure.is_some(), "same_failure"),
        (related.retry_of.is_some(), "retry"),
        (related.undone_by.is_some(), "undone"),
        (row.get("superseded")?, "superseded"),
        (row.get("user_feed_pending")?, "user_feed_pending"),
    ];
    let at = |column: &str| -> rusqlite::Result<Option<String>> { Ok(row.get::<_, Option<i64>>(column)?.map(time)) };
    let hash = |column: &str| -> rusqlite::Result<Option<String>> {
        Ok(row
            .get::<_, Option<[u8; 32]>>(column)?
            .map(|bytes| crate::hex::hex(&bytes)))
    };
    Ok(ImportReport {
        id: row.get("id")?,
        source: row.get("source")?,
        archive: row.get("archive")?,
        feed: row.get("kind")?,
        status: row.get("status")?,
        imported: row.get("imported")?,
        entries: row.get("entries")?,
        accepted: row.get("accepted")?,
        duplicates: row.get("duplicates")?,
        rejected: row.get("rejected")?,
        warnings: row.get("warnings")?,
        needs_attention: row.get("needs_attention")?,
        violations: Vec::new(),
        flags: flags
            .into_iter()
            .filter_map(|(set, flag): (bool, _)| set.then_some(flag))
            .collect(),
        related,
        sha256: hash("sha256")?,
        // Of a user feed it stands for both files, and is nothing that anybody could compare.
        data_sha256: match row.get_ref("kind")?.as_str()? {
            "users" | "header" => None,
            _ => hash("data_sha256")?,
        },
        size: row.get("size")?,
        data_bytes: row.get("data_bytes")?,
        disposition: row.get("disposition")?,
        path: row.get("path")?,
        error: row.get("error")?,
        retry_at: at("retry_at")?,
        receipt: row.get("receipt")?,
        named_at: at("named_at")?,
        first_seen_at: time(row.get("first_seen_at")?),
        imported_at: at("imported_at")?,
        closed_at: at("closed_at")?,
        elapsed_ms: row.get("elapsed_ms")?,
        pruned_at: at("pruned_at")?,
    })
}

pub(super) fn violations(connection: &Connection, id: i64) -> rusqlite::Result<Vec<Violation>> {
    let mut select = connection.prepare_cached(
        "SELECT code, detail, line, \"column\", byte, entry, excerpt FROM violations WHERE import = ?1 ORDER BY n",
    )?;
    let rows = select.query_map([id], |row| {
        Ok(Violation {
            code: code(row, 0, ViolationCode::parse)?,
            detail: row.get(1)?,
            at: match (row.get(2)?, row.get(3)?, row.get(4)?) {
                (Some(line), Some(column), Some(byte)) => Some(Position { line, column, byte }),
                _ => None,
            },
            entry: row.get(5)?,
            excerpt: row.get(6)?,
        })
    })?;
    rows.collect()
}

pub(super) fn rejects(connection: &Connection, id: i64, most: usize) -> rusqlite::Result<Vec<RejectReport>> {
    let mut select = connection.prepare_cached(
        "SELECT \"index\", line, \"column\", byte, code, pointer, message, reasons, excerpt
         FROM rejects WHERE import = ?1 ORDER BY \"index\" LIMIT ?2",
    )?;
    let rows = select.query_map(params![id, most as i64], |row| {
        let reasons: String = row.get(7)?;
        Ok(RejectReport {
            index: row.get(0)?,
            at: Position {
                line: row.get(1)?,
                column: row.get(2)?,
                byte: row.get(3)?,
            },
            code: row.get(4)?,
            pointer: row.get(5)?,
            message: row.get(6)?,
            reasons: serde_json::from_str(&reasons).unwrap_or_default(),
            excerpt: row.get(8)?,
        })
    })?;
    rows.collect()
}

pub(super) fn warnings(connection: &Connection, id: i64) -> rusqlite::Result<Vec<Warning>> {
    let mut select = connection.prepare_cached(
        "SELECT \"index\", line, \"column\", byte, code, pointer, message FROM warnings WHERE import = ?1 ORDER BY n",
    )?;
    let rows = select.query_map([id], |row| {
        Ok(Warning {
            index: row.get(0)?,
            at: Position {
                line: row.get(1)?,
                column: row.get(2)?,
                byte: row.get(3)?,
            },
            code: code(row, 4, WarningCode::parse)?,
            pointer: row.get(5)?,
            message: row.get(6)?,
        })
    })?;
    rows.collect()
}

pub(super) fn counts(connection: &Connection, id: i64, kind: &str) -> rusqlite::Result<Vec<Count>> {
    let mut select = connection
        .prepare_cached("SELECT code, count FROM counts WHERE import = ?1 AND kind = ?2 ORDER BY count DESC, code")?;
    let rows = select.query_map(params![id, kind], |row| {
        Ok(Count {
            code: row.get(0)?,
            count: row.get(1)?,
        })
    })?;
    rows.collect()
}

/// A code as the column has it; one we do not know was written by a newer program or by hand.
fn code<T>(row: &Row<'_>, column: usize, parse: fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| {
        let problem = format!("the ledger has the code `{text}`, which this program does not know");
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, problem.into())
    })
}
