//! Looking for keys in the runs, in the order of keys.
//!
//! There are two ways through a run. For many keys it is read from front to back beside them, as in a merge; for a few, each is
//! looked up by the first keys of the blocks. So an archive of twenty entries reads a few blocks a run, however long the runs
//! are, and one of a million reads each block once.

use rusqlite::{Connection, OptionalExtension, params};

use super::Key;
use super::block::{Block, Origin, Record};
use super::error::Fault;
use super::store::{Run, Store, block_id};

/// Looking a block up takes about as long as reading so many that follow each other.
const BLOCKS_PER_LOOK_UP: u64 = 2;

/// A walk through a run.
pub(super) struct Walk {
    run: Run,
    by_look_up: bool,
    block: Block,
    /// Row of the block in memory; the walk begins before the first.
    row: i64,
    at: usize,
    ended: bool,
    pub blocks_read: u64,
}

impl Walk {
    /// Through a run, for about so many keys.
    pub fn for_keys(run: Run, keys: u64) -> Walk {
        Walk {
            by_look_up: keys.saturating_mul(BLOCKS_PER_LOOK_UP) < run.blocks,
            ..Walk::through(run)
        }
    }

    /// Through all of a run.
    pub fn through(run: Run) -> Walk {
        Walk {
            run,
            by_look_up: false,
            block: Block::default(),
            row: block_id(run.id, 0) - 1,
            at: 0,
            ended: false,
            blocks_read: 0,
        }
    }

    /// Which entry had this key, of those that `counts` is true of: there may be others, of imports that were undone. It must
    /// not come before the key asked for last.
    pub fn find(
        &mut self,
        connection: &Connection,
        key: Key,
        counts: impl Fn(Origin) -> bool,
    ) -> Result<Option<Origin>, Fault> {
        self.go_to(connection, key)?;
        while let Some(record) = self.peek(connection)?
            && record.key == key
        {
            if counts(record.origin) {
                return Ok(Some(record.origin));
            }
            self.pass();
        }
        Ok(None)
    }

    /// Passes everything before this key.
    pub fn go_to(&mut self, connection: &Connection, key: Key) -> Result<(), Fault> {
        loop {
            self.at = self.block.place_of(key, self.at);
            if self.at < self.block.len() || self.ended {
                return Ok(());
            }
            if self.by_look_up {
                // What is in memory ends before the key: only the block that may hold it is of interest, if there is another.
                return self.look_up(connection, key);
            }
            self.next_block(connection)?;
        }
    }

    /// The record that the walk is at.
    pub fn peek(&mut self, connection: &Connection) -> Result<Option<Record>, Fault> {
        while self.at >= self.block.len() && !self.ended {
            self.next_block(connection)?;
        }
        Ok((self.at < self.block.len()).then(|| self.block.get(self.at)))
    }

    /// Passes one record.
    pub fn pass(&mut self) {
        self.at += 1;
    }

    /// The block that the walk is in, and its row.
    pub fn into_block(self) -> (i64, Block) {
        (self.row, self.block)
    }

    fn next_block(&mut self, connection: &Connection) -> Result<(), Fault> {
        let sql = "SELECT id, keys FROM blocks WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT 1";
        let end = block_id(self.run.id + 1, 0);
        let loaded = connection
            .prepare_cached(sql)?
            .query_row(params![self.row, end], |row| {
                let id: i64 = row.get(0)?;
                Ok((id, self.block.load(row.get_ref(1)?.as_blob()?)))
            })
            .optional()?;
        self.loaded(loaded)
    }

    /// Goes to the last block that begins before the key: the key may be at its end, and go on in the next.
    pub fn look_up(&mut self, connection: &Connection, key: Key) -> Result<(), Fault> {
        let sql =
            "SELECT id FROM blocks INDEXED BY blocks_by_key WHERE run = ?1 AND first < ?2 ORDER BY first DESC LIMIT 1";
        let row: Option<i64> = connection
            .prepare_cached(sql)?
            .query_row(params![self.run.id, key.to_bytes()], |row| row.get(0))
            .optional()?;
        match row {
            Some(row) if row > self.row => {
                let loaded = connection
                    .prepare_cached("SELECT keys FROM blocks WHERE id = ?1")?
                    .query_row([row], |found| Ok((row, self.block.load(found.get_ref(0)?.as_blob()?))))?;
                self.loaded(Some(loaded))?;
                self.at = self.block.place_of(key, 0);
                Ok(())
            }
            // The one in memory, or none at all.
            _ => Ok(()),
        }
    }

    fn loaded(&mut self, loaded: Option<(i64, bool)>) -> Result<(), Fault> {
        self.at = 0;
        match loaded {
            Some((row, true)) => {
                self.row = row;
                self.blocks_read += 1;
                Ok(())
            }
            Some((row, false)) => Err(Fault::Damaged(format!("block {row} is not what was written"))),
            None => {
                self.at = self.block.len();
                self.ended = true;
                Ok(())
            }
        }
    }
}

/// All runs that count.
pub(super) struct Search {
    walks: Vec<Walk>,
}

impl Search {
    /// For about so many keys.
    pub fn new(store: &Store, keys: u64) -> rusqlite::Result<Search> {
        let runs = store.settled()?;
        Ok(Search {
            walks: runs.into_iter().map(|run| Walk::for_keys(run, keys)).collect(),
        })
    }

    /// Which entry had this key first; `None`: nobody, or only imports that were undone since. Keys are asked for in their order.
    pub fn find(&mut self, store: &Store, key: Key) -> Result<Option<Origin>, Fault> {
        for walk in &mut self.walks {
            let found = walk.find(&store.connection, key, |origin| !store.is_void(origin.import))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Blocks that were read for it.
    pub fn blocks_read(&self) -> u64 {
        self.walks.iter().map(|walk| walk.blocks_read).sum()
    }
}
