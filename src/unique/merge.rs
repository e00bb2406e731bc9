//! Runs of about the same size are merged, so that there are few of them however much was imported.
//!
//! Work is done in steps of a megabyte, each a transaction, between the imports and never in one's way for longer than a step.
//! What is being merged counts until the run that it goes into is whole; one that was cut short goes on where it was. Each key is
//! written about once for every eightfold growth.
//!
//! Keys of imports that were undone are left out, and nothing is merged before it is known which those are: otherwise a key that
//! came again since would be in a run twice.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::block::{Block, Record};
use super::error::Fault;
use super::search::Walk;
use super::store::{BLOCKS_PER_STEP, Run, Store, Writer, begin, block_id};

/// So many runs of one size are merged.
const RUNS_MERGED: usize = 4;

/// Keys of a run of the smallest size, at most, and how much larger those of the next size may be.
const SMALLEST_KEYS: u64 = 4_096;
const GROWTH: u64 = 8;

/// More runs than this, and an import merges before it looks for its keys. What is merged meanwhile keeps them far below it;
/// `once` in a crontab may leave no meanwhile.
const RUNS_MAX: usize = 40;

impl Store {
    /// Does a step of what there is to do; `false` if there was nothing.
    pub fn step(&mut self) -> Result<bool, Fault> {
        if self.remove_some()? {
            return Ok(true);
        }
        if self.void.is_none() || !self.has_room()? {
            return Ok(false);
        }
        self.begin_merges()?;
        let Some(run) = self.merging()? else {
            return Ok(false);
        };
        self.merge_some(run)?;
        Ok(true)
    }

    /// Merges until there are few enough runs to look for keys in.
    pub fn keep_few(&mut self) -> Result<(), Fault> {
        while self.settled()?.len() > RUNS_MAX && self.step()? {}
        Ok(())
    }

    /// Removes blocks of a run that was dropped, and then the run.
    fn remove_some(&mut self) -> rusqlite::Result<bool> {
        let transaction = begin(&mut self.connection)?;
        let dropped: Option<i64> = transaction
            .prepare_cached("SELECT id FROM runs WHERE state = 'dropped' ORDER BY id LIMIT 1")?
            .query_row([], |row| row.get(0))
            .optional()?;
        let Some(run) = dropped else { return Ok(false) };
        let removed = transaction
            .prepare_cached("DELETE FROM blocks WHERE id IN (SELECT id FROM blocks WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3)")?
            .execute(params![block_id(run, 0), block_id(run + 1, 0), BLOCKS_PER_STEP as i64])?;
        if removed < BLOCKS_PER_STEP {
            transaction.execute("DELETE FROM runs WHERE id = ?1", [run])?;
        }
        transaction.commit()?;
        self.work.blocks_removed += removed as u64;
        Ok(true)
    }

    /// Begins to merge runs of which there are enough.
    fn begin_merges(&mut self) -> rusqlite::Result<()> {
        let mut sizes = BTreeMap::<u32, Vec<i64>>::new();
        // Looked at inside: `feedgate erase` beside the daemon may be at the same.
        let transaction = begin(&mut self.connection)?;
        {
            let mut select = transaction
                .prepare_cached("SELECT id, keys FROM runs WHERE state = 'settled' AND into_run IS NULL ORDER BY id")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                sizes.entry(size(row.get(1)?)).or_default().push(row.get(0)?);
            }
        }
        sizes.retain(|_, runs| runs.len() >= RUNS_MERGED);
        if sizes.is_empty() {
            return Ok(());
        }
        for runs in sizes.values() {
            transaction.execute("INSERT INTO runs (state) VALUES ('merging')", [])?;
            let into = transaction.last_insert_rowid();
            for run in runs {
                transaction.execute("UPDATE runs SET into_run = ?2 WHERE id = ?1", [*run, into])?;
            }
        }
        transaction.commit()
    }

    /// The run that is being written and takes the least: what is quickly done keeps the runs few.
    fn merging(&self) -> rusqlite::Result<Option<i64>> {
        self.connection
            .prepare_cached(
                "SELECT into_run FROM runs WHERE state = 'settled' AND into_run IS NOT NULL
                 GROUP BY into_run ORDER BY sum(keys), into_run LIMIT 1",
            )?
            .query_row([], |row| row.get(0))
            .optional()
    }

    fn merge_some(&mut self, into: i64) -> Result<(), Fault> {
        let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        let blocks: u64 = transaction.query_row("SELECT blocks FROM runs WHERE id = ?1", [into], |row| row.get(0))?;
        let mut inputs = Inputs::behind(&transaction, into, last_record(&transaction, into)?)?;
        let mut writer = Writer::of(into, blocks);
        let mut written = 0;
        let mut is_whole = false;
        while written < BLOCKS_PER_STEP as u64 {
            let Some(record) = inputs.next(&transaction)? else {
                is_whole = true;
                break;
            };
            if !self.is_void(record.origin.import) {
                written += writer.push(&transaction, record)?;
            }
        }
        written += writer.note(&transaction)?;
        if is_whole {
            transaction.execute(
                "UPDATE runs SET state = 'dropped', into_run = NULL WHERE into_run = ?1",
                [into],
            )?;
            // Nothing may be left of runs whose imports were undone.
            transaction.execute(
                "UPDATE runs SET state = CASE WHEN blocks = 0 THEN 'dropped' ELSE 'settled' END WHERE id = ?1",
                [into],
            )?;
        }
        transaction.commit()?;
        self.work.blocks_read += inputs.walks.iter().map(|walk| walk.blocks_read).sum::<u64>();
        self.work.blocks_written += written;
        self.work.blocks_at_once = self.work.blocks_at_once.max(written);
        Ok(())
    }
}

/// Of which size a run is: 0 is the smallest.
fn size(keys: u64) -> u32 {
    match keys / SMALLEST_KEYS {
        0 => 0,
        times => 1 + times.ilog(GROWTH),
    }
}

/// The last record that was written to a run.
fn last_record(connection: &Connection, run: i64) -> Result<Option<Record>, Fault> {
    let mut block = Block::default();
    let loaded = connection
        .prepare_cached("SELECT keys FROM blocks WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT 1")?
        .query_row([block_id(run, 0), block_id(run + 1, 0)], |row| {
            Ok(block.load(row.get_ref(0)?.as_blob()?))
        })
        .optional()?;
    match loaded {
        None => Ok(None),
        Some(true) => Ok(Some(block.get(block.len() - 1))),
        Some(false) => Err(Fault::Damaged(format!(
            "the last block of run {run} is not what was written"
        ))),
    }
}

/// What is merged: each walk is at its next record.
struct Inputs {
    walks: Vec<Walk>,
}

impl Inputs {
    /// The runs that go into one, each behind this record.
    fn behind(connection: &Connection, into: i64, last: Option<Record>) -> Result<Inputs, Fault> {
        let mut select = connection.prepare_cached(
            "SELECT id, keys, blocks FROM runs WHERE into_run = ?1 AND state = 'settled' ORDER BY id",
        )?;
        let runs = select.query_map([into], |row| {
            Ok(Run {
                id: row.get(0)?,
                keys: row.get(1)?,
                blocks: row.get(2)?,
            })
        })?;
        let mut walks = Vec::new();
        for run in runs {
            let mut walk = Walk::through(run?);
            if let Some(last) = last {
                walk.look_up(connection, last.key)?;
                walk.go_to(connection, last.key)?;
                while walk.peek(connection)?.is_some_and(|record| record <= last) {
                    walk.pass();
                }
            }
            walks.push(walk);
        }
        Ok(Inputs { walks })
    }

    fn next(&mut self, connection: &Connection) -> Result<Option<Record>, Fault> {
        let mut first: Option<(Record, usize)> = None;
        for (place, walk) in self.walks.iter_mut().enumerate() {
            if let Some(record) = walk.peek(connection)?
                && first.is_none_or(|(first, _)| record < first)
            {
                first = Some((record, place));
            }
        }
        let Some((record, place)) = first else { return Ok(None) };
        self.walks[place].pass();
        Ok(Some(record))
    }
}
