//! The unique keys follow the ledger: what they lack of it is read again from the spool.
//!
//! Mostly they lack nothing but the word on the import before. But the file may have been removed, or damaged, or put back from
//! a backup; or the ledger may have been, and know nothing of imports that the file has keys of. Whoever imports something that
//! has keys finds out, and goes on only when both say the same.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::unique::{key_of, order_key_of};
use super::{Intake, Trouble};
use crate::definition::{Definitions, Holder, UnknownEvents};
use crate::events::{Bounds, Events, EventsError};
use crate::ledger::{Import, Keyed, KeyedImport};
use crate::unique::{Collector, Keys, Place, Spill, Turn, UniqueError};
use crate::verdict::Position;

/// Imports whose keys are had again at a time.
const AT_A_TIME: usize = 64;

/// How often it is told how far that is.
const TELL: Duration = Duration::from_secs(5);

/// Events of an import that are in memory at a time.
const BATCH: Bounds = Bounds {
    events: 10_000,
    bytes: 1024 * 1024,
};

const NOWHERE: Position = Position {
    line: 0,
    column: 0,
    byte: 0,
};

/// What was had again, and what was not.
#[derive(Default)]
struct Again {
    imports: u64,
    keys: u64,
    /// Imports whose archives are not in the spool any more, or not what they were: how many, the first and the last.
    lost: u64,
    first_lost: Option<i64>,
    last_lost: Option<i64>,
}

impl Intake {
    /// Sees to it that the file has the keys of every import that the ledger has, and of no other.
    pub(super) async fn bring_keys_up_to_date(&self, turn: &Turn) -> Result<(), Trouble> {
        let standing = self.unique.standing(turn).await?;
        let mut cursor = standing.cursor;
        if !standing.staged.is_empty() {
            let closed: Vec<Place> = self
                .ledger
                .keyed_among(standing.staged)
                .await?
                .into_iter()
                .map(place)
                .collect();
            cursor = closed.last().copied().or(cursor);
            self.unique.settle(turn, closed).await?;
        }
        let last = self.ledger.last_keyed().await?.map(place);
        if cursor == last {
            return Ok(());
        }
        if let Some(known) = cursor {
            let in_ledger = self.ledger.keyed_among(vec![known.import]).await?;
            if !in_ledger.into_iter().map(place).any(|place| place == known) {
                tracing::warn!(
                    import = known.import,
                    "the unique keys know of an import that the ledger does not know, as if the ledger was put back from a \
                     backup: they are built anew from the spool"
                );
                self.unique.begin_anew(turn).await?;
                cursor = None;
            }
        }
        self.read_keys_again(turn, cursor, last).await
    }

    /// Begins with an empty file in place of one that is damaged.
    pub(super) async fn begin_keys_anew(&self, turn: &Turn, error: &UniqueError) -> Result<(), Trouble> {
        tracing::error!(%error, "the unique keys are set aside as `unique.db.aside`, and built anew from the spool");
        self.unique.begin_anew(turn).await?;
        Ok(())
    }

    /// Reads the keys of all imports behind the cursor again. It is noted how far that is: one that is cut short goes on there.
    async fn read_keys_again(&self, turn: &Turn, cursor: Option<Place>, last: Option<Place>) -> Result<(), Trouble> {
        let to = last.map(|last| last.import);
        tracing::warn!(
            to,
            "the unique keys lack imports that the ledger has: they are read again from the spool"
        );
        let mut again = Again::default();
        let mut told = Instant::now();
        let mut seq = cursor.map_or(0, |cursor| cursor.seq);
        loop {
            let some = self.ledger.keyed_behind(seq, AT_A_TIME).await?;
            let Some(end) = some.last().map(|one| place(one.keyed)) else {
                break;
            };
            let mut batch = Vec::new();
            for mut one in some {
                match self.keys_of(&mut one).await? {
                    Some(keys) => batch.push((one.keyed, keys)),
                    None if one.undone => {}
                    None => again.lose(one.keyed.id),
                }
            }
            self.count(turn, &batch, &mut again).await?;
            self.unique.pass(turn, end).await?;
            seq = end.seq;
            if told.elapsed() > TELL {
                told = Instant::now();
                tracing::info!(
                    at = end.import,
                    to,
                    keys = again.keys,
                    "reading unique keys again from the spool"
                );
            }
        }
        again.tell();
        Ok(())
    }

    /// Has the keys of these imports count: the ledger has closed them long ago.
    async fn count(&self, turn: &Turn, batch: &[(Keyed, Keys)], again: &mut Again) -> Result<(), Trouble> {
        let spill = Arc::new(Spill::new(&self.state_dir.0));
        let keys = batch.iter().map(|(keyed, keys)| (keyed.id, keys.clone())).collect();
        let undone = self.ledger.undone_keyed().await?;
        let staged = self.unique.stage(turn, keys, undone, spill).await?;
        again.imports += batch.len() as u64;
        again.keys += staged.brought.iter().sum::<u64>();
        let last = staged.brought.iter().rposition(|brought| *brought > 0);
        let closed = last.map(|last| place(batch[last].0));
        self.unique.settle(turn, Vec::from_iter(closed)).await?;
        Ok(())
    }

    /// The keys that an import brought; `None` if it was undone, or they cannot be had any more. What is known of the import is
    /// what the ledger says then.
    async fn keys_of(&self, one: &mut KeyedImport) -> Result<Option<Keys>, Trouble> {
        if one.undone {
            return Ok(None);
        }
        let text = match &one.import.reading.definitions {
            // Orders have keys without any.
            None => None,
            Some(hash) => match self.ledger.frozen_definitions(hash).await? {
                Some(text) => Some(text),
                None => {
                    tracing::warn!(
                        import = one.keyed.id,
                        hash,
                        "the event definitions that an import was read by are not in the ledger"
                    );
                    return Ok(None);
                }
            },
        };
        let (spool_dir, state_dir) = (self.spool.dir().to_owned(), self.state_dir.0.clone());
        let import = Arc::new(one.import.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let spill = Arc::new(Spill::new(&state_dir));
            collect(import, &spool_dir, text.as_deref(), spill)
        });
        let id = one.keyed.id;
        let doing = || format!("reading the unique keys of import {id} again");
        let stopped = |_| Err(Lost::Disk(io::Error::other("the reading thread stopped")));
        match reading.await.unwrap_or_else(stopped) {
            Ok(keys) => Ok(Some(keys)),
            // It lies elsewhere since it was looked up, or was undone.
            Err(Lost::Events(_)) if self.look_up_again(one).await? => Box::pin(self.keys_of(one)).await,
            Err(Lost::Events(error)) if !error.is_transient() => {
                tracing::warn!(%error, "an import's unique keys cannot be had again");
                Ok(None)
            }
            // A later program may read them otherwise; that must not hold up what is imported now.
            Err(Lost::Definitions(problems)) => {
                tracing::warn!(
                    import = one.keyed.id,
                    problems,
                    "an import's unique keys cannot be had again: the event definitions that it was read by are not understood any more"
                );
                Ok(None)
            }
            Err(Lost::Events(error)) => Err(Trouble::Disk {
                doing: doing(),
                source: io::Error::other(error),
            }),
            Err(Lost::Disk(source)) => Err(Trouble::Disk { doing: doing(), source }),
        }
    }

    /// Looks an import up in the ledger once more: somebody may have been erased from it meanwhile, and its spool file be another.
    /// `false`: it is as before.
    async fn look_up_again(&self, one: &mut KeyedImport) -> Result<bool, Trouble> {
        let now = self.ledger.keyed_behind(one.keyed.seq - 1, 1).await?.pop();
        let Some(now) = now.filter(|now| now.keyed == one.keyed && now != one) else {
            return Ok(false);
        };
        *one = now;
        Ok(true)
    }
}

impl Again {
    fn lose(&mut self, import: i64) {
        self.lost += 1;
        self.first_lost.get_or_insert(import);
        self.last_lost = Some(import);
    }

    fn tell(&self) {
        tracing::info!(
            imports = self.imports,
            keys = self.keys,
            "the unique keys have been read again from the spool"
        );
        if self.lost > 0 {
            tracing::warn!(
                imports = self.lost,
                first = self.first_lost,
                last = self.last_lost,
                "the unique keys of imports whose archives have left the spool cannot be had again: an event of theirs that comes \
                 once more is taken for a new one"
            );
        }
    }
}

/// Why an import's keys cannot be had.
enum Lost {
    Definitions(String),
    Events(EventsError),
    Disk(io::Error),
}

fn collect(import: Arc<Import>, spool_dir: &Path, definitions: Option<&str>, spill: Arc<Spill>) -> Result<Keys, Lost> {
    let definitions = definitions
        .map(Definitions::frozen)
        .transpose()
        .map_err(|problems| Lost::Definitions(format!("{problems:?}")))?;
    let mut holder = definitions
        .as_ref()
        .map(|definitions| Holder::new(definitions, UnknownEvents::Accept));
    let options = import.reading.options.clone();
    let mut collector = Collector::new(spill);
    let mut events = Events::open(import, spool_dir, 0).map_err(Lost::Events)?;
    loop {
        let batch = events.next_batch(BATCH, &[]).map_err(Lost::Events)?;
        for event in batch.events() {
            let defined = holder.as_mut().and_then(|holder| key_of(holder, &event));
            if let Some(key) = defined.or_else(|| order_key_of(&options, &event)) {
                // Nobody is told where it lies: it was, when it was imported.
                collector.push(key, event.index, NOWHERE).map_err(Lost::Disk)?;
            }
        }
        if batch.last {
            return collector.finish().map_err(Lost::Disk);
        }
    }
}

fn place(keyed: Keyed) -> Place {
    Place {
        import: keyed.id,
        seq: keyed.seq,
        closed_at: keyed.closed_at,
    }
}
