//! Putting archives away: the journal of renames, and the last word on each import.
//!
//! Where an archive is to go stands in the closing transaction, before anything is renamed; a second choice is journalled
//! before it is tried. So after a crash both names are known, and can be looked at.

use rusqlite::{OptionalExtension, Row, params};

use super::outcome::{Action, Unmoved};
use super::{Ledger, LedgerError, WAIT_MAX_MS, log};

/// Where an archive ended up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Not known yet: to be tried again.
    Pending,
    /// Renamed.
    Moved,
    /// Where it was.
    Left,
    /// Not on the source any more.
    Deleted,
}

impl Disposition {
    /// The word in the ledger and in `--json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Disposition::Pending => "pending",
            Disposition::Moved => "moved",
            Disposition::Left => "left",
            Disposition::Deleted => "deleted",
        }
    }
}

/// What putting an archive away came to.
#[derive(Debug, Clone, PartialEq)]
pub struct PutAway {
    /// The import.
    pub id: i64,
    /// Where the archive ended up.
    pub disposition: Disposition,
    /// Where it is.
    pub path: String,
    /// What came of the receipt, if one was due: whether the server took it.
    pub receipt: Option<bool>,
    /// Why it did not go as wanted.
    pub error: Option<String>,
    /// When to try again what is pending, UTC milliseconds.
    pub retry_at: Option<i64>,
    /// Whether the file is to be looked at once more in the next turn, under its new name.
    pub recheck: bool,
    /// Whether the name in the root is free for another upload, and what is there now is news.
    pub gone_from_root: bool,
}

impl Ledger {
    /// Closed imports of a source that are still to be put away, or to be looked at once more.
    pub async fn unmoved(&self, source: &str, now: i64) -> Result<Vec<Unmoved>, LedgerError> {
        let source = source.to_owned();
        self.read("looking for what is to be put away", move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT id, archive, size, mtime, first_seen_at, claimed_at, sha256, action, target, receipt, path, recheck, attempts
                 FROM imports INDEXED BY imports_unmoved
                 WHERE source = ?1 AND (disposition = 'pending' OR recheck = 1) AND seq IS NOT NULL
                   AND (coalesce(retry_at, 0) <= ?2 OR retry_at > ?3)
                 ORDER BY seq",
            )?;
            // No wait is that long: the clock was set back since.
            let never = now.saturating_add(WAIT_MAX_MS);
            select.query_map(params![source, now, never], unmoved)?.collect()
        })
        .await
    }

    /// Journals that an archive is about to be renamed to another name than the one chosen before.
    pub async fn retarget(&self, id: i64, target: String) -> Result<(), LedgerError> {
        self.write("journalling a rename", move |transaction| {
            transaction
                .execute("UPDATE imports SET target = ?2 WHERE id = ?1", params![id, target])
                .map(drop)
        })
        .await
    }

    /// Records what putting away came to, and what the import status log is to say of it.
    pub async fn confirm(&self, source: &str, put_away: Vec<PutAway>, now: i64) -> Result<(), LedgerError> {
        if put_away.is_empty() {
            return Ok(());
        }
        let source = source.to_owned();
        self.write("noting what was put away", move |transaction| {
            let mut update = transaction.prepare_cached(
                "UPDATE imports SET disposition = ?2, path = ?3, error = ?5, retry_at = ?6, recheck = ?7,
                    receipt = CASE WHEN ?4 IS NULL THEN receipt WHEN ?4 THEN 'written' ELSE 'refused' END,
                    attempts = CASE WHEN ?2 = 'pending' THEN attempts + 1 ELSE 0 END
                 WHERE id = ?1",
            )?;
            let mut forget =
                transaction.prepare_cached("DELETE FROM listed WHERE source = ?1 AND name = ?2 AND import = ?3")?;
            for one in &put_away {
                let before: Option<(String, String, Option<String>, String)> = transaction
                    .prepare_cached("SELECT archive, disposition, error, path FROM imports WHERE id = ?1")?
                    .query_row([one.id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
                    .optional()?;
                let Some((archive, disposition, error, path)) = before else {
                    continue;
                };
                update.execute(params![
                    one.id,
                    one.disposition.as_str(),
                    one.path,
                    one.receipt,
                    one.error,
                    one.retry_at,
                    one.recheck,
                ])?;
                if one.gone_from_root {
                    forget.execute(params![source, archive, one.id])?;
                }
                // A look that found all as it was is no news; nor is the same trouble again.
                let news = disposition != one.disposition.as_str() || error != one.error || path != one.path;
                if news {
                    log::note_import(transaction, one.id, now)?;
                }
            }
            Ok(())
        })
        .await
    }
}

fn unmoved(row: &Row<'_>) -> rusqlite::Result<Unmoved> {
    let action = match (
        row.get::<_, Option<String>>("action")?.as_deref(),
        row.get::<_, Option<String>>("target")?,
    ) {
        (Some("move"), Some(target)) => Action::Move(target),
        (Some("delete"), _) => Action::Delete,
        _ => Action::Leave,
    };
    Ok(Unmoved {
        id: row.get("id")?,
        archive: row.get("archive")?,
        size: row.get("size")?,
        mtime: row.get("mtime")?,
        first_seen_at: row.get("first_seen_at")?,
        claimed_at: row.get("claimed_at")?,
        sha256: row.get("sha256")?,
        action,
        receipt_due: row.get::<_, Option<String>>("receipt")?.as_deref() == Some("due"),
        path: row.get("path")?,
        recheck: row.get("recheck")?,
        attempts: row.get("attempts")?,
    })
}
