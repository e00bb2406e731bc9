//! A SQLite database of events, for people.
//!
//! Rows and cursor are in one transaction, so every event is there exactly once, whatever is killed. The file has one
//! writer, us, and many readers. It has large pages and a rollback journal rather than a write-ahead log: rows are appended, a new page needs no journal, and through a log every row would be written twice. A transaction is gathered in
//! memory, and readers are locked out while it is committed: for some hundredths of a second.
//!
//! There is no index but the row number: one more would cost about as much as the rows. Who needs one creates it, and it is
//! left alone. `schema.sql` says what is in the file; SQLite keeps its remarks in it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use roaring::RoaringTreemap;
use rusqlite::{Connection, params};

use crate::events::{Batch, Bounds, push_utc};
use crate::ledger::{Asks, Cursor};

use super::{Mark, Position, Reply, Store};
use open::{BUSY_TIMEOUT, TRANSACTION, belongs_to_another, identity, of_sql, owner};
use taking_out::Whose;
use views::Views;

mod open;
mod taking_out;
mod views;

pub(super) use open::check;

/// A SQLite database of events.
pub(super) struct Sqlite {
    path: PathBuf,
    destination: String,
    connection: Connection,
    /// Device and inode of the file that is open: it may be replaced under our feet.
    file: (u64, u64),
    views: Views,
    /// What the database said last of how far it is.
    position: Position,
    /// The cursor that the open transaction will leave; `None` outside one.
    pending: Option<Cursor>,
    /// Of an import that is delivered once more: its place in the log, and the events of it that were there already.
    replayed: (i64, RoaringTreemap),
    /// Where the search for rows to take out goes on: their request's place in the log, and the last row looked at.
    taking_out: (i64, i64),
}

impl Sqlite {
    /// Opens a database, and makes it if it is not there.
    pub(super) fn open(path: &Path, destination: &str, was: Option<&str>) -> Result<Sqlite, Reply> {
        let connection = open::open(path, destination, was)?;
        let opening = |error| of_sql(path, "opening", error);
        Ok(Sqlite {
            path: path.to_owned(),
            destination: destination.to_owned(),
            file: identity(path)?,
            views: Views::load(&connection).map_err(opening)?,
            position: position(&connection).map_err(opening)?,
            connection,
            pending: None,
            replayed: (0, RoaringTreemap::new()),
            taking_out: (0, 0),
        })
    }

    fn try_deliver(&mut self, batch: &Batch) -> Result<Reply, Reply> {
        let taken_out = match &batch.import.asks {
            Asks::TakeBack => Some(Whose::Import(&batch.key)),
            Asks::Forget(Some(whom)) => Some(Whose::Person(whom)),
            Asks::Forget(None) | Asks::Deliver | Asks::DeliverAgain => None,
        };
        if let Some(whose) = taken_out {
            return self.take_out(batch, whose);
        }
        if self.pending.is_none() {
            self.begin()?;
        }
        let there = self.look_what_is_there(batch);
        let writing = |error| of_sql(&self.path, "writing events to", error);
        there.map_err(writing)?;
        self.views.add_new(&self.connection, batch).map_err(writing)?;
        insert(&self.connection, batch, &self.replayed.1).map_err(writing)?;
        move_on(&self.connection, batch).map_err(writing)?;
        self.pending = Some(batch.end);
        Ok(Reply::Held)
    }

    /// Begins a transaction, and makes sure that the database is what it was. `Err` is any reply but `Held`.
    fn begin(&mut self) -> Result<(), Reply> {
        // SQLite itself would go on writing to a file that was unlinked, where nobody will ever read it.
        if identity(&self.path)? != self.file {
            return Err(Reply::Unavailable {
                reason: format!("the database `{}` was replaced by another file", self.path.display()),
            });
        }
        let (found, owner) = self
            .connection
            .busy_timeout(BUSY_TIMEOUT)
            .and_then(|()| self.connection.execute_batch("BEGIN IMMEDIATE"))
            // A page that would go to the file early, beneath a reader, stays in memory instead: each would wait anew.
            .and_then(|()| self.connection.busy_timeout(Duration::ZERO))
            .and_then(|()| Ok((position(&self.connection)?, owner(&self.connection)?)))
            .map_err(|error| of_sql(&self.path, "beginning a transaction in", error))?;
        if owner.as_deref() != Some(self.destination.as_str()) {
            return Err(belongs_to_another(&self.path, owner.as_deref().unwrap_or_default()));
        }
        if found == self.position {
            return Ok(());
        }
        // Another feedgate delivered, or somebody put a backup's content in place. What the database says is true.
        let reply = match &found {
            Position::At { cursor, .. } => Reply::Durable(*cursor),
            Position::Fresh | Position::Ledger => Reply::Unavailable {
                reason: format!("the database `{}` was emptied", self.path.display()),
            },
        };
        self.position = found;
        Err(reply)
    }

    fn try_flush(&mut self) -> Result<Reply, Reply> {
        let Some(pending) = self.pending else {
            return Ok(Reply::Held);
        };
        let committing = |error| of_sql(&self.path, "committing to", error);
        // Looked at before the commit: afterwards there is no way back.
        let position = position(&self.connection).map_err(committing)?;
        self.connection
            .busy_timeout(BUSY_TIMEOUT)
            .and_then(|()| self.connection.execute_batch("COMMIT"))
            .map_err(committing)?;
        self.position = position;
        self.pending = None;
        Ok(Reply::Durable(pending))
    }

    /// Leaves nothing of a transaction that came to nothing, and hands the reply on.
    fn give_up(&mut self, reply: Reply) -> Reply {
        self.pending = None;
        self.replayed = (0, RoaringTreemap::new());
        if self.connection.is_autocommit() {
            // SQLite rolled back by itself, as it does on a full disk, or nothing was begun.
            return reply;
        }
        let undone = self
            .connection
            .execute_batch("ROLLBACK")
            .and_then(|()| Views::load(&self.connection));
        match undone {
            Ok(views) => {
                self.views = views;
                reply
            }
            Err(error) => of_sql(&self.path, "rolling back in", error),
        }
    }
}

impl Store for Sqlite {
    fn position(&mut self) -> Result<Position, Reply> {
        Ok(self.position.clone())
    }

    fn deliver(&mut self, batch: &Batch) -> Reply {
        match self.try_deliver(batch) {
            Ok(reply) => reply,
            Err(reply) => self.give_up(reply),
        }
    }

    fn flush(&mut self) -> Reply {
        match self.try_flush() {
            Ok(reply) => reply,
            Err(reply) => self.give_up(reply),
        }
    }

    fn transaction(&self) -> Bounds {
        TRANSACTION
    }
}

fn insert(connection: &Connection, batch: &Batch, there: &RoaringTreemap) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO events (import, source, archive, id, \"index\", event, user_id, email, business_unit, time, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    // What is bound stays bound, and all rows of a batch have these in common: a tenth less to do for each.
    insert.raw_bind_parameter(1, batch.import.id)?;
    insert.raw_bind_parameter(2, &*batch.import.source)?;
    insert.raw_bind_parameter(3, &*batch.import.archive)?;
    // Two buffers for all rows.
    let (mut id, mut time) = (String::new(), String::new());
    for event in batch.events() {
        if there.contains(event.index) {
            continue;
        }
        id.clear();
        event.id.push_to(&mut id);
        time.clear();
        push_utc(&mut time, event.at);
        insert.raw_bind_parameter(4, &*id)?;
        insert.raw_bind_parameter(5, event.index as i64)?;
        insert.raw_bind_parameter(6, event.name())?;
        insert.raw_bind_parameter(7, event.user_id)?;
        insert.raw_bind_parameter(8, event.email)?;
        insert.raw_bind_parameter(9, event.business_unit)?;
        insert.raw_bind_parameter(10, &*time)?;
        insert.raw_bind_parameter(11, event.body)?;
        insert.raw_execute()?;
    }
    Ok(())
}

/// Moves the cursor behind a batch.
fn move_on(connection: &Connection, batch: &Batch) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE feedgate SET seq = ?1, \"index\" = ?2, last_seq = coalesce(?3, last_seq), last_key = coalesce(?4, last_key)",
    )?;
    let last = (!batch.is_empty()).then(|| Mark::of(&batch.import));
    update.execute(params![
        batch.end.seq,
        batch.end.index as i64,
        last.as_ref().map(|mark| mark.seq),
        last.as_ref().map(|mark| &mark.link),
    ])?;
    Ok(())
}

fn position(connection: &Connection) -> rusqlite::Result<Position> {
    let mut select = connection.prepare_cached("SELECT seq, \"index\", last_seq, last_key FROM feedgate")?;
    select.query_row([], |row| {
        let Some(seq) = row.get(0)? else {
            return Ok(Position::Fresh);
        };
        let cursor = Cursor {
            seq,
            index: row.get::<_, Option<i64>>(1)?.unwrap_or(0).max(0) as u64,
        };
        let last = match (row.get(2)?, row.get(3)?) {
            (Some(seq), Some(link)) => Some(Mark { seq, link }),
            _ => None,
        };
        Ok(Position::At { cursor, last })
    })
}
