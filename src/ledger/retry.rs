//! `feedgate retry`: somebody wants another look.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Ledger, LedgerError};

/// Which archives somebody wants looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Again {
    /// The archive of this import.
    Import(i64),
    /// The archives of this name, in whichever source.
    Archive(String),
    /// Every failed archive that is still there, and everything that waits after trouble.
    Failed,
}

/// What was noted for one archive.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Retried {
    /// The source.
    pub source: String,
    /// The archive.
    pub archive: String,
    /// The import, if there was one.
    pub import: Option<i64>,
    /// Whether it will be looked at again with the next turn; if not, why.
    pub again: bool,
    /// In a sentence.
    pub message: String,
}

impl Ledger {
    /// Notes which archives are to be looked at again: the daemon (or `once`) does so in its next turn.
    pub async fn retry(&self, again: Again) -> Result<Vec<Retried>, LedgerError> {
        self.write("noting what to retry", move |transaction| {
            let (filter, id, archive) = match &again {
                Again::Import(id) => ("listed.import = ?1", Some(*id), None),
                Again::Archive(archive) => ("listed.name = ?2", None, Some(archive.as_str())),
                Again::Failed => (
                    "(listed.import IS NULL AND listed.look_at IS NOT NULL)
                     OR (SELECT status FROM imports WHERE id = listed.import) = 'failed'",
                    None,
                    None,
                ),
            };
            let mut select = transaction.prepare(&format!(
                "SELECT source, name, import, (SELECT status FROM imports WHERE id = listed.import) FROM listed
                 WHERE (?1 IS NULL OR 1) AND (?2 IS NULL OR 1) AND ({filter}) ORDER BY source, name"
            ))?;
            let rows = select.query_map(params![id, archive], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, String>(1)?,
                    row.get(2)?,
                    row.get::<_, Option<String>>(3)?,
                ))
            })?;
            let mut retried = Vec::new();
            for row in rows {
                let (source, name, import, status) = row?;
                retried.push(look_again(transaction, source, name, import, status)?);
            }
            put_away_again(transaction, id, archive, &again)?;
            if retried.is_empty() {
                retried.extend(not_there(transaction, id, archive)?);
            }
            Ok(retried)
        })
        .await
    }
}

fn look_again(
    transaction: &Transaction<'_>,
    source: String,
    archive: String,
    import: Option<i64>,
    status: Option<String>,
) -> rusqlite::Result<Retried> {
    let (again, message) = match status.as_deref() {
        None => (true, "is looked at again with the next turn".to_owned()),
        Some("failed") => (true, "is read and judged anew with the next turn".to_owned()),
        Some(status) => (false, format!("is {status}: there is nothing to retry")),
    };
    if again {
        transaction.execute(
            "UPDATE listed SET retry = (import IS NOT NULL), look_at = NULL, attempts = 0,
                waiting = coalesce(waiting, 'to be looked at again, as was asked for') WHERE source = ?1 AND name = ?2",
            params![source, archive],
        )?;
    }
    Ok(Retried {
        source,
        archive,
        import,
        again,
        message,
    })
}

/// What could not be put away is tried again at once.
fn put_away_again(
    transaction: &Transaction<'_>,
    id: Option<i64>,
    archive: Option<&str>,
    again: &Again,
) -> rusqlite::Result<()> {
    let all = *again == Again::Failed;
    transaction
        .execute(
            "UPDATE imports SET retry_at = NULL WHERE disposition = 'pending' AND seq IS NOT NULL
             AND (?1 OR id = ?2 OR archive = ?3)",
            params![all, id, archive],
        )
        .map(drop)
}

/// The archive is not in its source's root: says where it went.
fn not_there(
    transaction: &Transaction<'_>,
    id: Option<i64>,
    archive: Option<&str>,
) -> rusqlite::Result<Option<Retried>> {
    let found = transaction
        .query_row(
            "SELECT source, archive, id, status, disposition, path FROM imports
             WHERE id = ?1 OR archive = ?2 ORDER BY id DESC LIMIT 1",
            params![id, archive],
            |row| {
                let (status, disposition, path): (String, String, String) = (row.get(3)?, row.get(4)?, row.get(5)?);
                let message = match disposition.as_str() {
                    "pending" => "is put away with the next turn".to_owned(),
                    "left" => format!("is {status}, and gone from the source (`{path}`): upload it again"),
                    _ => format!(
                        "is {status}, and {disposition} (`{path}`): move it back into the root to have it looked at"
                    ),
                };
                Ok(Retried {
                    source: row.get(0)?,
                    archive: row.get(1)?,
                    import: row.get(2)?,
                    again: disposition == "pending",
                    message,
                })
            },
        )
        .optional()?;
    Ok(found)
}
