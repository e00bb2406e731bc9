//! Imports as deliveries need them: all that reading them again takes, from a row of the ledger.

use std::ops::RangeInclusive;
use std::sync::Arc;

use roaring::RoaringTreemap;
use rusqlite::types::Type;
use rusqlite::{Connection, Row, Rows};

use super::{Asks, Import, Reading, Stored};

/// Selects what an import is read from: for [`imports`].
pub(super) const SELECT_IMPORT: &str =
    "SELECT coalesce(of_import, id), seq, source, archive, sha256, imported_at, entries, accepted - duplicates, reading,
    spool_file, spool_offset, spool_len, pruned_at, rejected_set, duplicate_set, erased_set, kind,
    CASE kind WHEN 'erase' THEN (SELECT who FROM requests WHERE import = imports.id) END,
    history FROM imports";

/// Where the sets of entries are in it that are no events.
const SETS: RangeInclusive<usize> = 13..=15;

/// Imports are not looked up by the dozen beyond so many bytes of their sets: a hostile feed of a gigabyte can have one of
/// megabytes.
const SETS_BYTES_MAX: usize = 1024 * 1024;

/// One import, by its id.
pub(super) fn import_by_id(ledger: &Connection, id: i64) -> rusqlite::Result<Import> {
    ledger
        .prepare_cached(&format!("{SELECT_IMPORT} WHERE id = ?1"))?
        .query_row([id], import)
}

/// The imports of a query: all of them, or fewer where their sets are large.
pub(super) fn imports(rows: &mut Rows<'_>) -> rusqlite::Result<Vec<Import>> {
    let mut imports = Vec::new();
    let mut bytes = 0;
    while bytes < SETS_BYTES_MAX
        && let Some(row) = rows.next()?
    {
        for set in SETS {
            bytes += row.get_ref(set)?.as_blob_or_null()?.map_or(0, <[u8]>::len);
        }
        imports.push(import(row)?);
    }
    Ok(imports)
}

/// What [`SELECT_IMPORT`] reads.
pub(super) fn import(row: &Row<'_>) -> rusqlite::Result<Import> {
    let asks = asks(row)?;
    let reading = match row.get::<_, Option<String>>(8)? {
        // Nobody is forgotten by reading anything.
        None if matches!(asks, Asks::Forget(_)) => Reading::of_nothing(),
        reading => serde_json::from_str(&reading.unwrap_or_default()).map_err(|error| damaged(8, Type::Text, error))?,
    };
    let stored = match row.get(9)? {
        Some(file) => Some(Stored {
            file,
            offset: row.get(10)?,
            len: row.get(11)?,
        }),
        None => None,
    };
    Ok(Import {
        id: row.get(0)?,
        seq: row.get(1)?,
        source: row.get(2)?,
        archive: row.get(3)?,
        sha256: row.get::<_, Option<_>>(4)?.unwrap_or_default(),
        imported_at: row.get(5)?,
        entries: row.get(6)?,
        accepted: row.get(7)?,
        asks,
        reading,
        left_out: left_out(row, SETS)?,
        stored,
        pruned_at: row.get(12)?,
        definitions: None,
        history: row.get(18)?,
    })
}

/// The entries that are no events, from the columns of a row that have sets of them.
pub(super) fn left_out(row: &Row<'_>, sets: RangeInclusive<usize>) -> rusqlite::Result<RoaringTreemap> {
    let mut left_out = RoaringTreemap::new();
    for set in sets {
        if let Some(bytes) = row.get_ref(set)?.as_blob_or_null()? {
            left_out |= RoaringTreemap::deserialize_from(bytes).map_err(|error| damaged(set, Type::Blob, error))?;
        }
    }
    Ok(left_out)
}

/// What a row asks of whoever comes to it.
fn asks(row: &Row<'_>) -> rusqlite::Result<Asks> {
    let kind: String = row.get(16)?;
    Ok(match kind.as_str() {
        "replay" => Asks::DeliverAgain,
        "undo" => Asks::TakeBack,
        "erase" => {
            let whom: Option<String> = row.get(17)?;
            let whom = whom.map(|whom| serde_json::from_str(&whom)).transpose();
            Asks::Forget(whom.map_err(|error| damaged(17, Type::Text, error))?.map(Arc::new))
        }
        _ => Asks::Deliver,
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
