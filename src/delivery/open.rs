//! Opening a destination, and finding out where it stands.
//!
//! The ledger knows how far each destination has got; one that keeps a cursor beside its rows knows better. Where the two
//! cannot both be true, the destination is barred rather than filled on a guess.

use tracing::info;

use super::ahead::ReadAhead;
use super::courier::Courier;
use super::lookup::Lookup;
use super::narrow::Narrow;
use super::pace::Pace;
use super::reader::{RECEIVER_BATCH, Reader, STORE_BATCH};
use super::stint::Worker;
use super::{Delivery, Hand, Trouble};
use crate::config::resolve::{DestinationSettings, Start};
use crate::destination::{self, Mark, Needs, Opened, Position, Receiver, Store};
use crate::ledger::people::LookedUp;
use crate::ledger::{Cursor, DestinationRow, LedgerError, Registration};

/// A destination that was just opened, and where it says it is.
enum At {
    Store(Box<dyn Store>, Position),
    Receiver(Box<dyn Receiver>),
}

/// How a destination is made known to the ledger. The daemon does so for all before anything is imported: `now` is then.
pub fn registration(settings: &DestinationSettings) -> Registration {
    Registration {
        name: settings.name.clone(),
        kind: settings.kind.as_str(),
        start: settings.start,
        was: settings.was.clone(),
    }
}

impl Delivery {
    /// Opens the destination, and finds out where it is.
    pub(super) async fn open(&mut self) -> Result<Hand, Trouble> {
        let row = self.registered().await?;
        let settings = self.settings.clone();
        let opened = self
            .off_the_runtime(move || {
                Ok(match destination::open(&settings)? {
                    Opened::Store(mut store) => {
                        let position = store.position()?;
                        At::Store(store, position)
                    }
                    Opened::Receiver(receiver) => At::Receiver(receiver),
                })
            })
            .await?
            .map_err(Trouble::of_reply)?;
        let reader = |bounds| Reader::new(&self.spool_dir, &self.settings, bounds);
        match opened {
            At::Store(store, position) => {
                let reader = reader(STORE_BATCH);
                let at = self.cursor_of(&row, position).await?;
                Ok(Hand::Store(Box::new(Worker::new(store, reader, at))))
            }
            At::Receiver(receiver) => {
                let reader = reader(RECEIVER_BATCH);
                let names = reader.names();
                let reader = ReadAhead::new(reader)
                    .map_err(|error| Trouble::waiting(format!("starting a thread to read the spool: {error}")))?;
                let lookup = Lookup::new(receiver.needs(), self.ledger.clone());
                let courier = Courier::new(receiver, reader, names, lookup, row.cursor);
                Ok(Hand::Receiver(self.resume(courier, row.refused_parcels).await?))
            }
        }
    }

    /// Takes up what was in flight when the program ended, or when the destination was opened anew.
    async fn resume(&mut self, mut courier: Courier, refused_parcels: u32) -> Result<Box<Courier>, Trouble> {
        let name = &self.settings.name;
        self.ledger.allow(name, courier.receiver().budgets()).await?;
        courier.letters = self.ledger.letters_count(name).await?;
        if courier.lookup.needs() != Needs::Nothing && self.ledger.people_reading().await?.kept {
            self.ledger.free_held(name, self.now()).await?;
        }
        self.refused_parcels = refused_parcels;
        let Some(flight) = self.ledger.flight(name).await? else {
            return Ok(Box::new(courier));
        };
        let mut courier = match &flight.letters {
            Some(ids) => {
                self.pack_letters_again(courier, ids.clone(), flight.looked_up.clone())
                    .await?
            }
            // Events of another place than the cursor's were in flight for another configuration.
            None if flight.begin != courier.at => return Ok(Box::new(courier)),
            None => self.pack_again(courier, flight.end, flight.looked_up.clone()).await?,
        };
        let calls_before = courier.receiver().calls_before();
        let Some(parcel) = &mut courier.parcel else {
            return Ok(Box::new(courier));
        };
        parcel.calls_before = usize::try_from(flight.calls_before).unwrap_or(usize::MAX);
        parcel.narrow = Narrow {
            calls: flight.narrowed,
            suspects: flight
                .suspects
                .and_then(|suspects| usize::try_from(suspects).ok())
                .filter(|suspects| (1..=parcel.len()).contains(suspects)),
        };
        let was_the_parcel = parcel.calls_before >= calls_before;
        parcel.is_unsure = was_the_parcel && (flight.sent_at.is_some() || flight.unanswered > 0);
        parcel.unanswered = flight.unanswered + u32::from(was_the_parcel && flight.sent_at.is_some());
        if parcel.is_unsure {
            let events = usize::try_from(flight.events).unwrap_or(usize::MAX).max(1);
            let next = parcel.narrow.next(0, parcel.len(), usize::MAX);
            // More of them had been too large for one call.
            if next.is_some_and(|next| next.len() > events) {
                courier.limit = events;
            }
            info!(
                destination = self.settings.name,
                events = flight.events,
                "the last call has no answer written down: its events are sent again, with the same ids"
            );
        }
        Ok(Box::new(courier))
    }

    /// Packs the dead letters again that were in flight, less those that have their verdict. Others may be due by now.
    async fn pack_letters_again(
        &mut self,
        mut courier: Courier,
        ids: Vec<i64>,
        looked_up: LookedUp,
    ) -> Result<Courier, Trouble> {
        let bounds = courier.receiver().bounds();
        let due = self
            .ledger
            .due_letters(&self.settings.name, Some(ids), self.now(), bounds.events, bounds.bytes)
            .await?;
        if due.is_empty() {
            return Ok(courier);
        }
        self.off_the_runtime(move || {
            let filled = courier.fill_with_letters(&due, Some(looked_up));
            filled.map(|()| courier)
        })
        .await?
        .map_err(Trouble::from)
    }

    /// Packs the events again that were in flight.
    async fn pack_again(&mut self, mut courier: Courier, end: Cursor, looked_up: LookedUp) -> Result<Courier, Trouble> {
        let ahead = self.ahead(courier.at).await?;
        courier.look(ahead);
        self.off_the_runtime(move || {
            // What cannot be read is told by the turn, which comes upon it as well.
            courier.fill(Some((end, looked_up))).ok();
            // It was looked up without regard to how far the people have been read: what comes after the parcel is asked anew.
            courier.look_anew();
            courier
        })
        .await
    }

    /// Makes the destination known to the ledger before it is opened: one that is down holds its share of the spool.
    async fn registered(&mut self) -> Result<DestinationRow, LedgerError> {
        if self.noted.is_some()
            && let Some(row) = self.ledger.destination(&self.settings.name).await?
        {
            return Ok(row);
        }
        let row = self.ledger.register(registration(&self.settings), self.now()).await?;
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
        let end = self.ledger.ahead(cursor, &self.settings.name, Vec::new(), 0).await?.end;
        let last_is_known = match &last {
            None => true,
            Some(mark) => self
                .ledger
                .closed_as(mark.seq)
                .await?
                .is_some_and(|import| Mark::of(&import) == *mark),
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
