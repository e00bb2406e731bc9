//! Imports as deliveries need them: all that reading them again takes, from a row of the ledger.

use roaring::RoaringTreemap;
use rusqlite::types::Type;
use rusqlite::{Connection, Row, Rows};

use super::{Import, Stored};

/// Selects what an import is read from: for [`imports`].
pub(super) const SELECT_IMPORT: &str =
    "SELECT id, seq, source, archive, sha256, imported_at, entries, accepted, reading, rejected_set,
    spool_file, spool_offset, spool_len, pruned_at FROM imports";

/// Where `rejected_set` is in it.
const REJECTED_SET: usize = 9;

/// Imports are not looked up by the dozen beyond so many bytes of their sets of rejects: a hostile feed of a gigabyte can
/// have one of megabytes.
const REJECTED_BYTES_MAX: usize = 1024 * 1024;

/// One import, by its id.
pub(super) fn import_by_id(ledger: &Connection, id: i64) -> rusqlite::Result<Import> {
    ledger
        .prepare_cached(&format!("{SELECT_IMPORT} WHERE id = ?1"))?
        .query_row([id], import)
}

/// The imports of a query: all of them, or fewer where their sets of rejects are large.
pub(super) fn imports(rows: &mut Rows<'_>) -> rusqlite::Result<Vec<Import>> {
    let mut imports = Vec::new();
    let mut bytes = 0;
    while bytes < REJECTED_BYTES_MAX
        && let Some(row) = rows.next()?
    {
        bytes += row.get_ref(REJECTED_SET)?.as_blob_or_null()?.map_or(0, <[u8]>::len);
        imports.push(import(row)?);
    }
    Ok(imports)
}

fn import(row: &Row<'_>) -> rusqlite::Result<Import> {
    let reading: String = row.get(8)?;
    let reading = serde_json::from_str(&reading).map_err(|error| damaged(8, Type::Text, error))?;
    let rejected = match row.get_ref(REJECTED_SET)?.as_blob_or_null()? {
        Some(bytes) => {
            RoaringTreemap::deserialize_from(bytes).map_err(|error| damaged(REJECTED_SET, Type::Blob, error))?
        }
        None => RoaringTreemap::new(),
    };
    let stored = match row.get(10)? {
        Some(file) => Some(Stored {
            file,
            offset: row.get(11)?,
            len: row.get(12)?,
        }),
        None => None,
    };
    Ok(Import {
        id: row.get(0)?,
        seq: row.get(1)?,
        source: row.get(2)?,
        archive: row.get(3)?,
        sha256: row.get(4)?,
        imported_at: row.get(5)?,
        entries: row.get(6)?,
        accepted: row.get(7)?,
        reading,
        rejected,
        stored,
        pruned_at: row.get(13)?,
    })
}

/// A column that does not hold what this program writes there.
pub(super) fn damaged(
    column: usize,
    kind: Type,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, error.into())
}
