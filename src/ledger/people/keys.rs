//! By what people are found: hashes of ids, and of addresses with units.
//!
//! Ids come in no order, and so does whatever is kept in theirs: each of four thousand new ones would change a page of its own
//! in a large index, thirty megabytes written for a megabyte of people. So new keys go into a small table, `people_young`, and
//! move on into the large one, `people_keys`, a stretch of neighbours at a time, which lie on few pages.
//!
//! A hash is no proof: whoever is found by one is looked at, so that two that collide are two people still.

use rusqlite::{Connection, Transaction, params};
use sha2::{Digest, Sha256};

use super::{Person, Who};

/// Keys beyond which a stretch of them moves on: about a megabyte.
const YOUNG_MAX: i64 = 32_768;

/// Stretches that all hashes are divided into, by their first four bits.
const STRETCHES: i64 = 16;

/// The hash of what somebody is known by.
pub(super) fn hash(who: &Who) -> i64 {
    let digest = Sha256::digest(who.key());
    i64::from_be_bytes(digest[..8].try_into().expect("a digest of 32 bytes"))
}

/// The numbers of those who may be meant: nearly always one, or none.
pub(super) const CANDIDATES: &str =
    "SELECT person FROM people_young WHERE hash = ?1 UNION SELECT person FROM people_keys WHERE hash = ?1";

/// What somebody is known by.
fn keys(person: &Person) -> impl Iterator<Item = i64> {
    let id = person.user_id.clone().map(Who::Id);
    let pair = person.pair().map(|(email, unit)| Who::Pair(email, unit));
    id.into_iter().chain(pair).map(|who| hash(&who))
}

/// Somebody is found by what they are known by, from now on.
pub(super) fn add(ledger: &Connection, person: &Person) -> rusqlite::Result<()> {
    let mut insert = ledger.prepare_cached("INSERT OR IGNORE INTO people_young (hash, person) VALUES (?1, ?2)")?;
    for hash in keys(person) {
        insert.execute(params![hash, person.number])?;
    }
    Ok(())
}

/// Nobody finds them any more by what they were known by.
pub(super) fn remove(ledger: &Connection, person: &Person) -> rusqlite::Result<()> {
    for table in ["people_young", "people_keys"] {
        let mut delete = ledger.prepare_cached(&format!("DELETE FROM {table} WHERE hash = ?1 AND person = ?2"))?;
        for hash in keys(person) {
            delete.execute(params![hash, person.number])?;
        }
    }
    Ok(())
}

/// Moves a stretch on, if there are many.
pub(super) fn move_on(ledger: &Transaction<'_>) -> rusqlite::Result<()> {
    let (young, stretch): (i64, i64) = ledger
        .prepare_cached("SELECT (SELECT count(*) FROM people_young), stretch FROM people_reading")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if young < YOUNG_MAX {
        return Ok(());
    }
    let (first, last) = bounds(stretch);
    ledger
        .prepare_cached(
            "INSERT OR IGNORE INTO people_keys (hash, person) SELECT hash, person FROM people_young WHERE hash BETWEEN ?1 AND ?2
             ORDER BY hash, person",
        )?
        .execute([first, last])?;
    ledger
        .prepare_cached("DELETE FROM people_young WHERE hash BETWEEN ?1 AND ?2")?
        .execute([first, last])?;
    ledger
        .prepare_cached("UPDATE people_reading SET stretch = ?1")?
        .execute([(stretch + 1) % STRETCHES])
        .map(drop)
}

/// The first and the last hash of a stretch.
fn bounds(stretch: i64) -> (i64, i64) {
    let width = 1_i64 << 60;
    // Counted from the middle, so that nothing overflows.
    let first = (stretch - STRETCHES / 2) * width;
    (first, first + (width - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stretches_are_all_there_is() {
        let all: Vec<(i64, i64)> = (0..STRETCHES).map(bounds).collect();
        assert_eq!((all[0].0, all[15].1), (i64::MIN, i64::MAX));
        assert!(all.windows(2).all(|two| two[0].1 + 1 == two[1].0), "{all:?}");
    }
}
