//! Rows that are there already, and rows that are to go: an import delivered once more, an import undone, somebody erased.
//!
//! There is no index to ask, so the table is gone through, which costs a minute for a hundred million rows and happens once in
//! a while. Readers are not locked out by that. Rows go a transaction's worth at a time, each as bounded as one that delivers;
//! the last moves the cursor. Killed between two of them, it begins anew, and what is gone is gone.
//!
//! What is deleted is overwritten with zeros in the file.

use std::ops::ControlFlow;

use roaring::RoaringTreemap;
use rusqlite::Connection;

use super::open::of_sql;
use super::{Reply, Sqlite, move_on};
use crate::events::Batch;
use crate::ledger::{Asks, Whom};

/// Rows that go in one transaction.
const ROWS_MAX: usize = 10_000;

/// Whose rows are to go.
pub(super) enum Whose<'a> {
    /// Of the import whose events' ids begin with this key.
    Import(&'a str),
    /// Of a person.
    Person(&'a Whom),
}

impl Sqlite {
    /// Notes which events of a batch's import are in the database, where it is delivered once more; none where it is new.
    pub(super) fn look_what_is_there(&mut self, batch: &Batch) -> rusqlite::Result<()> {
        let seq = batch.import.seq;
        if batch.import.asks != Asks::DeliverAgain {
            self.replayed = (seq, RoaringTreemap::new());
        } else if self.replayed.0 != seq {
            self.replayed = (seq, events_of(&self.connection, &batch.key)?);
        }
        Ok(())
    }

    /// Takes rows out, in a transaction of its own: as many as go in one transaction. The last one moves the cursor past the batch that asks for it.
    pub(super) fn take_out(&mut self, batch: &Batch, whose: Whose<'_>) -> Result<Reply, Reply> {
        self.begin()?;
        self.pending = Some(batch.end);
        let writing = |error| of_sql(&self.path, "taking events out of", error);
        let seq = batch.import.seq;
        let after = match self.taking_out {
            (of, after) if of == seq => after,
            _ => 0,
        };
        let rows = rows_of(&self.connection, &whose, after).map_err(writing)?;
        delete(&self.connection, &rows).map_err(writing)?;
        if rows.len() < ROWS_MAX {
            move_on(&self.connection, batch).map_err(writing)?;
            self.taking_out = (0, 0);
            return self.try_flush();
        }
        self.try_flush()?;
        self.taking_out = (seq, rows.last().copied().unwrap_or_default());
        Ok(Reply::Underway)
    }
}

/// The indices of the events whose ids begin with a key.
fn events_of(connection: &Connection, key: &str) -> rusqlite::Result<RoaringTreemap> {
    let mut select = connection.prepare("SELECT \"index\" FROM events WHERE substr(id, 1, length(?1)) = ?1")?;
    let indices = select.query_map([key], |row| row.get::<_, u64>(0))?;
    indices.collect()
}

/// The first rows after one that are to go.
fn rows_of(connection: &Connection, whose: &Whose<'_>, after: i64) -> rusqlite::Result<Vec<i64>> {
    let mut rows = Vec::new();
    let mut add = |n| {
        rows.push(n);
        match rows.len() < ROWS_MAX {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    };
    match whose {
        Whose::Import(key) => {
            let mut select = connection
                .prepare("SELECT n FROM events WHERE n > ?2 AND substr(id, 1, length(?1)) = ?1 ORDER BY n")?;
            let mut found = select.query(rusqlite::params![key, after])?;
            while let Some(row) = found.next()? {
                if add(row.get(0)?).is_break() {
                    break;
                }
            }
        }
        Whose::Person(whom) => {
            let mut select =
                connection.prepare("SELECT n, user_id, email, business_unit FROM events WHERE n > ?1 ORDER BY n")?;
            let mut found = select.query([after])?;
            while let Some(row) = found.next()? {
                let text = |column| row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from);
                if whom.is(text(1)?, text(2)?, text(3)?) && add(row.get(0)?).is_break() {
                    break;
                }
            }
        }
    }
    Ok(rows)
}

fn delete(connection: &Connection, rows: &[i64]) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM events WHERE n = ?1")?;
    rows.iter().try_for_each(|n| delete.execute([n]).map(drop))
}
