//! `feedgate retry`: somebody wants another look.

use rusqlite::{OptionalExtension, Row, Transaction, params};

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
                Again::Import(id) => (
                    "(source, name) IN (SELECT source, archive FROM imports WHERE id = ?1) AND listed.import = ?1",
                    Some(*id),
                    None,
                ),
                Again::Archive(archive) => (
                    "source IN (SELECT name FROM sources) AND name = ?2",
                    None,
                    Some(archive.as_str()),
                ),
                Again::Failed => (
                    "(listed.import IS NULL AND listed.look_at IS NOT NULL)
                     OR (SELECT status FROM imports WHERE id = listed.import) = 'failed'",
                    None,
                    None,
                ),
            };
            let mut select = transaction.prepare(&format!(
                "SELECT source, name, import, (SELECT status FROM imports WHERE id = listed.import) AS status,
                        (SELECT disposition FROM imports WHERE id = listed.import) AS disposition
                 FROM listed
                 WHERE (?1 IS NULL OR 1) AND (?2 IS NULL OR 1) AND ({filter}) ORDER BY source, name"
            ))?;
            let listed: Vec<Listed> = select
                .query_map(params![id, archive], Listed::from_row)?
                .collect::<Result<_, _>>()?;
            let mut retried = Vec::new();
            for one in listed {
                retried.push(look_again(transaction, one)?);
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

/// A file in a source's root, and what became of it.
struct Listed {
    source: String,
    archive: String,
    import: Option<i64>,
    status: Option<String>,
    disposition: Option<String>,
}

impl Listed {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Listed> {
        Ok(Listed {
            source: row.get("source")?,
            archive: row.get("name")?,
            import: row.get("import")?,
            status: row.get("status")?,
            disposition: row.get("disposition")?,
        })
    }
}

fn look_again(transaction: &Transaction<'_>, listed: Listed) -> rusqlite::Result<Retried> {
    let Listed {
        source,
        archive,
        import,
        status,
        disposition,
    } = listed;
    let (again, message) = match (status.as_deref(), disposition.as_deref()) {
        (None, _) => (true, "is looked at again with the next turn".to_owned()),
        (Some("failed"), _) => (true, "is read and judged anew with the next turn".to_owned()),
        (Some(status), Some("pending")) => (true, format!("is {status}, and put away with the next turn")),
        (Some(status), _) => (false, format!("is {status}: there is nothing to retry")),
    };
    if matches!(status.as_deref(), None | Some("failed")) {
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
    // The index has what waits to be put away, and the condition has to say the same as it does, to the letter.
    transaction
        .execute(
            "UPDATE imports INDEXED BY imports_unmoved SET retry_at = NULL
             WHERE (disposition = 'pending' OR recheck = 1) AND disposition = 'pending' AND seq IS NOT NULL
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
             WHERE kind NOT IN ('replay', 'undo', 'erase')
                AND (id = ?1 OR source IN (SELECT name FROM sources) AND archive = ?2) ORDER BY id DESC LIMIT 1",
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
