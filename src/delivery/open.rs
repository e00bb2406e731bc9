//! Opening a destination, and finding out where it stands.
//!
//! The ledger knows how far each destination has got; one that keeps a cursor beside its rows knows better. Where the two
//! cannot both be true, the destination is barred rather than filled on a guess.

use tracing::info;

use super::pace::Pace;
use super::reader::Reader;
use super::stint::Worker;
use super::{Delivery, Trouble, off_the_runtime};
use crate::config::resolve::Start;
use crate::destination::{self, Mark, Opened, Position, Reply};
use crate::events;
use crate::ledger::{self, Cursor, DestinationRow, LedgerError, Registration};

impl Delivery {
    /// Opens the destination, and finds out where it is.
    pub(super) async fn open(&mut self) -> Result<Worker, Trouble> {
        let row = self.registered().await?;
        let settings = self.settings.clone();
        let (store, position) = off_the_runtime(move || {
            let Opened::Store(mut store) = destination::open(&settings)? else {
                return Err(Reply::Barred {
                    reason: "receivers are not delivered to yet".to_owned(),
                });
            };
            let position = store.position()?;
            Ok((store, position))
        })
        .await?
        .map_err(Trouble::of_reply)?;
        let at = self.cursor_of(&row, position).await?;
        let reader = Reader::new(&self.spool_dir, &self.settings);
        Ok(Worker::new(store, reader, at))
    }

    /// Makes the destination known to the ledger before it is opened: one that is down holds its share of the spool.
    async fn registered(&mut self) -> Result<DestinationRow, LedgerError> {
        if self.noted.is_some()
            && let Some(row) = self.ledger.destination(&self.settings.name).await?
        {
            return Ok(row);
        }
        let registration = Registration {
            name: self.settings.name.clone(),
            kind: self.settings.kind.as_str(),
            start: self.settings.start,
            was: self.settings.was.clone(),
        };
        let row = self.ledger.register(registration, ledger::now()).await?;
        self.pace = Pace::resumed(row.standing.attempts, row.since_at);
        self.noted = Some((row.cursor, row.standing.clone()));
        Ok(row)
    }

    /// Where a destination that was just opened goes on.
    async fn cursor_of(&mut self, row: &DestinationRow, position: Position) -> Result<Cursor, Trouble> {
        match position {
            Position::Ledger => Ok(row.cursor),
            Position::Fresh if self.settings.start == Start::Now => Ok(row.cursor),
            Position::Fresh => {
                let oldest = self.ledger.start_of(Start::Oldest).await?;
                if row.delivered > 0 {
                    info!(
                        destination = self.settings.name,
                        "the destination is new though it was delivered to before; delivering again from the oldest import"
                    );
                }
                Ok(oldest)
            }
            Position::At { cursor, last } => {
                self.belongs_here(cursor, last).await?;
                Ok(cursor)
            }
        }
    }

    /// A destination with a cursor of its own, beside a ledger that never imported what it says it has, was filled from
    /// another state directory. Going on would miss events, silently.
    async fn belongs_here(&mut self, cursor: Cursor, last: Option<Mark>) -> Result<(), Trouble> {
        let end = self.ledger.ahead(cursor, Vec::new(), 0).await?.end;
        let last_is_known = match &last {
            None => true,
            Some(mark) => self
                .ledger
                .closed_as(mark.seq)
                .await?
                .is_some_and(|(source, archive, sha256)| events::key(&source, &archive, &sha256) == mark.key),
        };
        if cursor <= end && last_is_known {
            return Ok(());
        }
        Err(Trouble::barred(format!(
            "the destination was filled from another state directory, or this one was lost or put back from a backup: it says \
             that it has everything before import number {}, and the ledger `{}` {}; move the destination's data away to have \
             it filled anew, or bring the ledger back",
            cursor.seq,
            self.ledger.path().display(),
            match last_is_known {
                true => format!("has {} so far", end.seq - 1),
                false => "knows nothing of the last import in it".to_owned(),
            }
        )))
    }
}
