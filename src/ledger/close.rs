//! Closing imports: one transaction gives a batch its `seq`, its counts, exceptions and violations, and what it comes to.
//!
//! Identity is decided here, in the transaction that records it, so that no two imports can both think they were first.

use roaring::RoaringTreemap;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::frozen::freeze;
use super::outcome::{Action, Judged, Outcome, Unmoved};
use super::{Ledger, LedgerError, history};
use crate::verdict::{FeedKind, WarningCode};

/// What closing a batch came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Closed {
    /// In the order of the outcomes: what is still to be put away.
    pub unmoved: Vec<Unmoved>,
    /// How many of the batch failed.
    pub failed: usize,
    /// The number of the last one.
    pub seq: i64,
}

impl Ledger {
    /// Records what a batch came to, in its order, all of it or nothing.
    pub async fn close(&self, source: &str, outcomes: Vec<Outcome>, now: i64) -> Result<Closed, LedgerError> {
        let source = source.to_owned();
        self.write("closing imports", move |transaction| {
            close_all(transaction, &source, &outcomes, now)
        })
        .await
    }
}

pub(super) fn close_all(
    transaction: &Transaction<'_>,
    source: &str,
    outcomes: &[Outcome],
    now: i64,
) -> rusqlite::Result<Closed> {
    let mut closed = Closed::default();
    for outcome in outcomes {
        let unmoved = close_one(transaction, source, outcome, now)?;
        closed.failed += usize::from(unmoved.failed);
        closed.seq = unmoved.seq;
        closed.unmoved.push(unmoved.unmoved);
    }
    Ok(closed)
}

/// Whether an outcome that is closed now takes its events in.
pub(super) fn will_take_in(connection: &Connection, source: &str, outcome: &Outcome) -> rusqlite::Result<bool> {
    let claimed = claimed(connection, outcome.id)?;
    let before = before(connection, source, &claimed, outcome)?;
    Ok(takes_in(&outcome.judged, &before))
}

/// What the ledger says of the same name and the same content before.
#[derive(Debug, Default)]
struct Before {
    duplicate_of: Option<i64>,
    repacked_of: Option<i64>,
    name_reused: Option<i64>,
    same_content: Option<i64>,
    same_failure: Option<i64>,
}

impl Before {
    /// Whether the events were taken in by an earlier import already.
    fn taken_in(&self) -> bool {
        self.duplicate_of.is_some() || self.repacked_of.is_some()
    }
}

fn takes_in(judged: &Judged, before: &Before) -> bool {
    judged.importable() && !before.taken_in() && before.same_failure.is_none()
}

struct ClosedOne {
    seq: i64,
    unmoved: Unmoved,
    failed: bool,
}

fn close_one(transaction: &Transaction<'_>, source: &str, outcome: &Outcome, now: i64) -> rusqlite::Result<ClosedOne> {
    let claimed = claimed(transaction, outcome.id)?;
    let judged = &outcome.judged;
    let before = before(transaction, source, &claimed, outcome)?;
    let imported = takes_in(judged, &before);
    let status = match judged.superseded {
        true => "duplicate",
        false => status(judged, &before, claimed.retry_of.is_some()),
    };
    let is_user_feed = claimed.kind.is_user_feed();
    // Of user feeds only the newest counts, and an older one is not read at all.
    let late = imported && !is_user_feed && is_late(transaction, source, &claimed)?;
    let action = if status == "failed" {
        &outcome.disposal.failed
    } else {
        &outcome.disposal.good
    };
    let (action_name, target) = match action {
        Action::Move(target) => (Some("move"), Some(target.as_str())),
        Action::Delete => (Some("delete"), None),
        Action::Leave => (None, None),
    };
    let (seq, past) = history::end(transaction)?;
    let stored = outcome.stored.as_ref().filter(|_| imported);
    let reading = judged.reading.as_ref().filter(|_| imported).map(json);
    transaction
        .prepare_cached(
            "UPDATE imports SET seq = ?2, sha256 = ?3, data_sha256 = ?4, data_bytes = ?5, status = ?6, imported = ?7,
                entries = ?8, accepted = ?9, rejected = ?10, late = ?11,
                duplicate_of = ?12, repacked_of = ?13, name_reused = ?14, same_content = ?15, same_failure = ?16,
                reading = ?17, rejected_set = ?18, spool_file = ?19, spool_offset = ?20, spool_len = ?21,
                imported_at = ?22, closed_at = ?23, elapsed_ms = max(0, ?23 - claimed_at),
                action = ?24, target = ?25, receipt = ?26, onward = ?30,
                duplicates = ?27, duplicate_set = ?28, unique_keys = ?29, superseded = ?31, user_feed_pending = ?32,
                history = ?33
             WHERE id = ?1 AND status = 'importing'",
        )?
        .execute(params![
            outcome.id,
            seq,
            outcome.sha256,
            judged.data_sha256,
            judged.reading.is_some().then_some(judged.data_bytes),
            status,
            imported,
            judged.entries,
            if imported { judged.valid } else { 0 },
            judged.rejected,
            late,
            before.duplicate_of,
            before.repacked_of,
            before.name_reused,
            before.same_content,
            before.same_failure,
            reading,
            set(&judged.rejected_set).filter(|_| imported),
            stored.map(|stored| &stored.file),
            stored.map(|stored| stored.offset),
            stored.map(|stored| stored.len),
            outcome.imported_at,
            now,
            action_name,
            target,
            outcome.disposal.receipt.then_some("due"),
            judged.seen_before.set.len(),
            set(&judged.seen_before.set),
            judged.seen_before.keys,
            // People are for whoever asks who somebody is, and for no destination.
            imported && !is_user_feed,
            judged.superseded,
            judged.user_feed_pending,
            past.and_then([source, &claimed.archive, status], outcome.sha256),
        ])?;
    if let Some(definitions) = judged.definitions.as_ref().filter(|_| imported) {
        freeze(transaction, definitions)?;
    }
    match before.same_failure {
        Some(earlier) => copy_verdict(transaction, earlier, outcome.id)?,
        None => exceptions(transaction, outcome.id, judged)?,
    }
    transaction
        .prepare_cached(
            "UPDATE listed SET import = ?3, retry = 0, attempts = 0, look_at = ?6, waiting = NULL, held = 0
             WHERE source = ?1 AND name = ?2 AND size = ?4 AND mtime = ?5",
        )?
        .execute(params![
            source,
            claimed.archive,
            outcome.id,
            claimed.size,
            claimed.mtime,
            outcome.look_again_at,
        ])?;
    let unmoved = Unmoved {
        id: outcome.id,
        path: claimed.archive.clone(),
        archive: claimed.archive,
        size: claimed.size,
        mtime: claimed.mtime,
        first_seen_at: claimed.first_seen_at,
        claimed_at: claimed.claimed_at,
        sha256: outcome.sha256,
        action: action.clone(),
        receipt_due: outcome.disposal.receipt,
        recheck: false,
        attempts: 0,
    };
    Ok(ClosedOne {
        seq,
        unmoved,
        failed: status == "failed",
    })
}

/// The one word for people.
fn status(judged: &Judged, before: &Before, retried: bool) -> &'static str {
    // The same bytes again are put away whatever the rules say: their events are in, and there is nothing to mend. Only
    // `retry` asks for the rules to be judged anew.
    if before.duplicate_of.is_some() && !retried {
        return "duplicate";
    }
    match (judged.observed() && before.same_failure.is_none(), before.taken_in()) {
        (false, _) => "failed",
        (true, true) => "duplicate",
        (true, false) => "processed",
    }
}

struct Claimed {
    archive: String,
    size: u64,
    mtime: i64,
    named_at: Option<i64>,
    first_seen_at: i64,
    claimed_at: i64,
    retry_of: Option<i64>,
    kind: FeedKind,
}

fn claimed(transaction: &Connection, id: i64) -> rusqlite::Result<Claimed> {
    transaction
        .prepare_cached(
            "SELECT archive, size, mtime, named_at, first_seen_at, claimed_at, retry_of, kind FROM imports
             WHERE id = ?1 AND status = 'importing'",
        )?
        .query_row([id], |row| {
            Ok(Claimed {
                archive: row.get(0)?,
                size: row.get(1)?,
                mtime: row.get(2)?,
                named_at: row.get(3)?,
                first_seen_at: row.get(4)?,
                claimed_at: row.get(5)?,
                retry_of: row.get(6)?,
                kind: FeedKind::parse(row.get_ref(7)?.as_str()?).unwrap_or_default(),
            })
        })
}

/// Looks for earlier imports of the same name and of the same content.
fn before(transaction: &Connection, source: &str, claimed: &Claimed, outcome: &Outcome) -> rusqlite::Result<Before> {
    let mut before = Before::default();
    let one = |sql: &str, parameters: &[&dyn rusqlite::ToSql]| -> rusqlite::Result<Option<i64>> {
        transaction
            .prepare_cached(sql)?
            .query_row(parameters, |row| row.get(0))
            .optional()
    };
    let (Some(sha256), name) = (outcome.sha256, &claimed.archive) else {
        return Ok(before);
    };
    if claimed.kind.is_user_feed() {
        return before_of_pair(source, claimed, outcome, &one);
    }
    before.duplicate_of = one(
        "SELECT id FROM imports WHERE source = ?1 AND archive = ?2 AND imported = 1 AND sha256 = ?3 ORDER BY seq LIMIT 1",
        &[&source, name, &sha256],
    )?;
    if before.duplicate_of.is_some() {
        return Ok(before);
    }
    if claimed.retry_of.is_none() {
        // One that was undone had its events taken in.
        before.same_failure = one(
            "SELECT id FROM imports WHERE source = ?1 AND archive = ?2 AND status = 'failed' AND imported = 0
             AND undone_by IS NULL AND sha256 = ?3 ORDER BY seq DESC LIMIT 1",
            &[&source, name, &sha256],
        )?;
        if before.same_failure.is_some() {
            return Ok(before);
        }
    }
    let Some(data_sha256) = outcome.judged.data_sha256 else {
        return Ok(before);
    };
    before.repacked_of = one(
        // Named, since there may be a hundred thousand of the same data: empty feeds.
        "SELECT id FROM imports INDEXED BY imports_by_name WHERE source = ?1 AND archive = ?2 AND imported = 1
         AND data_sha256 = ?3 ORDER BY seq LIMIT 1",
        &[&source, name, &data_sha256],
    )?;
    if before.repacked_of.is_some() {
        return Ok(before);
    }
    before.name_reused = one(
        "SELECT id FROM imports WHERE source = ?1 AND archive = ?2 AND imported = 1 ORDER BY seq DESC LIMIT 1",
        &[&source, name],
    )?;
    before.same_content = one(
        "SELECT id FROM imports WHERE data_sha256 = ?3 AND imported = 1 AND source = ?1 AND archive <> ?2
         ORDER BY seq LIMIT 1",
        &[&source, name, &data_sha256],
    )?;
    Ok(before)
}

/// Asks for the id of one import, if there is one.
type OneId<'a> = dyn Fn(&str, &[&dyn rusqlite::ToSql]) -> rusqlite::Result<Option<i64>> + 'a;

/// The same for a file of a user feed, which is what both files are: the same bytes beside another header, or other people
/// under the same header, are something else. `data_sha256` stands for the two.
fn before_of_pair(source: &str, claimed: &Claimed, outcome: &Outcome, one: &OneId<'_>) -> rusqlite::Result<Before> {
    let mut before = Before::default();
    let (Some(both), name) = (outcome.judged.data_sha256, &claimed.archive) else {
        return Ok(before);
    };
    before.duplicate_of = one(
        "SELECT id FROM imports INDEXED BY imports_by_name WHERE source = ?1 AND archive = ?2 AND imported = 1
         AND data_sha256 = ?3 ORDER BY seq LIMIT 1",
        &[&source, name, &both],
    )?;
    if before.duplicate_of.is_none() && claimed.retry_of.is_none() {
        before.same_failure = one(
            "SELECT id FROM imports INDEXED BY imports_by_name WHERE source = ?1 AND archive = ?2 AND status = 'failed'
             AND imported = 0 AND data_sha256 = ?3 ORDER BY seq DESC LIMIT 1",
            &[&source, name, &both],
        )?;
    }
    if before.duplicate_of.is_none() && before.same_failure.is_none() {
        before.name_reused = one(
            "SELECT id FROM imports WHERE source = ?1 AND archive = ?2 AND imported = 1 ORDER BY seq DESC LIMIT 1",
            &[&source, name],
        )?;
    }
    Ok(before)
}

fn is_late(transaction: &Transaction<'_>, source: &str, claimed: &Claimed) -> rusqlite::Result<bool> {
    transaction
        .prepare_cached(
            "SELECT ?2 < (SELECT max(named_at) FROM imports INDEXED BY imports_by_time
                WHERE source = ?1 AND kind = ?3 AND imported = 1)",
        )?
        .query_row(params![source, claimed.named_at, claimed.kind.as_str()], |row| {
            Ok(row.get::<_, Option<bool>>(0)?.unwrap_or(false))
        })
}

/// Writes down what is exceptional in an archive.
fn exceptions(transaction: &Transaction<'_>, import: i64, judged: &Judged) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO violations (import, n, code, detail, line, \"column\", byte, entry, excerpt)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for (n, violation) in judged.violations.iter().enumerate() {
        let at = violation.at;
        insert.execute(params![
            import,
            n as i64,
            violation.code.as_str(),
            violation.detail,
            at.map(|at| at.line),
            at.map(|at| at.column),
            at.map(|at| at.byte),
            violation.entry,
            violation.excerpt,
        ])?;
    }
    let mut insert = transaction.prepare_cached(
        "INSERT INTO rejects (import, \"index\", line, \"column\", byte, code, pointer, message, reasons, excerpt)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for reject in &judged.rejects {
        let Some(first) = reject.reasons.first() else { continue };
        insert.execute(params![
            import,
            reject.index,
            reject.at.line,
            reject.at.column,
            reject.at.byte,
            first.code.as_str(),
            first.pointer,
            first.message,
            json(&reject.reasons),
            reject.excerpt,
        ])?;
    }
    let mut insert = transaction.prepare_cached(
        "INSERT INTO warnings (import, n, \"index\", line, \"column\", byte, code, pointer, message)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let warnings = judged.warnings.iter().chain(&judged.seen_before.warnings);
    for (n, warning) in warnings.enumerate() {
        insert.execute(params![
            import,
            n as i64,
            warning.index,
            warning.at.line,
            warning.at.column,
            warning.at.byte,
            warning.code.as_str(),
            warning.pointer,
            warning.message,
        ])?;
    }
    let mut insert =
        transaction.prepare_cached("INSERT INTO counts (import, kind, code, count) VALUES (?1, ?2, ?3, ?4)")?;
    for (code, count) in &judged.reject_counts {
        insert.execute(params![import, "reject", code.as_str(), count])?;
    }
    let seen_before = (WarningCode::DuplicateEvent, judged.seen_before.set.len());
    for (code, count) in judged.warning_counts.iter().chain([&seen_before]) {
        if *count > 0 {
            insert.execute(params![import, "warning", code.as_str(), count])?;
        }
    }
    Ok(())
}

/// The same bytes as an archive that failed get the same verdict, word for word.
fn copy_verdict(transaction: &Transaction<'_>, from: i64, to: i64) -> rusqlite::Result<()> {
    for sql in [
        "INSERT INTO violations SELECT ?2, n, code, detail, line, \"column\", byte, entry, excerpt
         FROM violations WHERE import = ?1",
        "INSERT INTO rejects SELECT ?2, \"index\", line, \"column\", byte, code, pointer, message, reasons, excerpt
         FROM rejects WHERE import = ?1",
        "INSERT INTO warnings SELECT ?2, n, \"index\", line, \"column\", byte, code, pointer, message
         FROM warnings WHERE import = ?1",
        "INSERT INTO counts SELECT ?2, kind, code, count FROM counts WHERE import = ?1",
        "UPDATE imports SET (entries, rejected) = (SELECT entries, rejected FROM imports WHERE id = ?1) WHERE id = ?2",
    ] {
        transaction.prepare_cached(sql)?.execute([from, to])?;
    }
    Ok(())
}

/// A set as its column has it; none is NULL.
fn set(indices: &RoaringTreemap) -> Option<Vec<u8>> {
    if indices.is_empty() {
        return None;
    }
    let mut bytes = Vec::with_capacity(indices.serialized_size());
    // Writing to memory does not fail.
    indices.serialize_into(&mut bytes).ok()?;
    Some(bytes)
}

/// Our own plain structs: serializing them does not fail.
fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
