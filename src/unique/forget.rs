//! Keys that are to be in no file any more, since somebody had what they stand for erased.
//!
//! The one thing that changes a run that was written. A block is written anew without them, in its place and in runs of every
//! state; what SQLite lets go of is overwritten, here as everywhere in the file.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::Key;
use super::block::Block;
use super::error::Fault;
use super::search::Walk;
use super::store::{BLOCKS_PER_STEP, Run, Store};

impl Store {
    /// Forgets these keys. Safe to repeat.
    pub fn forget(&mut self, mut keys: Vec<Key>) -> Result<(), Fault> {
        keys.sort_unstable();
        keys.dedup();
        for run in self.all_runs()? {
            // A block holds some of them at least, so that a transaction is of about so many blocks at most.
            for some in keys.chunks(BLOCKS_PER_STEP) {
                let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
                forget_in(&transaction, run, some)?;
                transaction.commit()?;
            }
        }
        Ok(())
    }

    fn all_runs(&self) -> rusqlite::Result<Vec<Run>> {
        let mut select = self
            .connection
            .prepare_cached("SELECT id, keys, blocks FROM runs ORDER BY id")?;
        let rows = select.query_map([], |row| {
            Ok(Run {
                id: row.get(0)?,
                keys: row.get(1)?,
                blocks: row.get(2)?,
            })
        })?;
        rows.collect()
    }
}

fn forget_in(connection: &Connection, run: Run, keys: &[Key]) -> Result<(), Fault> {
    let mut forgotten: u64 = 0;
    for key in keys {
        // From the front each time: the block may just have been written anew, and the key be in the next one too.
        loop {
            let mut walk = Walk::for_keys(run, 0);
            if walk.find(connection, *key, |_| true)?.is_none() {
                break;
            }
            let (row, block) = walk.into_block();
            forgotten += write_without(connection, row, &block, *key)?;
        }
    }
    connection
        .prepare_cached("UPDATE runs SET keys = keys - ?2 WHERE id = ?1")?
        .execute(params![run.id, forgotten])?;
    Ok(())
}

/// Answers with how many records went.
fn write_without(connection: &Connection, row: i64, block: &Block, key: Key) -> rusqlite::Result<u64> {
    let mut rest = Block::default();
    let records = (0..block.len()).map(|place| block.get(place));
    records
        .filter(|record| record.key != key)
        .for_each(|record| rest.push(record));
    let gone = (block.len() - rest.len()) as u64;
    if rest.len() == 0 {
        connection
            .prepare_cached("DELETE FROM blocks WHERE id = ?1")?
            .execute([row])?;
        return Ok(gone);
    }
    let first = rest.key(0).to_bytes();
    connection
        .prepare_cached("UPDATE blocks SET first = ?2, keys = ?3 WHERE id = ?1")?
        .execute(params![row, first, rest.take_row()])?;
    Ok(gone)
}
