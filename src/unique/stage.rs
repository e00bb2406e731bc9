//! Which keys of a batch are new, and which were seen before. The new ones are staged: written, and not counted yet.

use std::io;
use std::sync::Arc;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::Key;
use super::block::{Origin, Record};
use super::error::Fault;
use super::keys::{InOrder, Keys, PLACE_BYTES, part, place_from_bytes, place_to_bytes};
use super::search::Search;
use super::sorter::{Merged, Sorted, Sorter, Spill};
use super::store::{Store, Writer};
use crate::verdict::Position;

/// Archive of the batch and index of the entry, its place, and which entry was first.
const AGAIN_BYTES: usize = 8 + PLACE_BYTES + 8;

/// Memory for what was seen before, in bytes, while it is put into the order of archives and entries.
const AGAIN_MEMORY: usize = 1024 * 1024;

/// Blocks to a transaction: eight megabytes. Nobody waits for the file meanwhile but who merges, or has something erased, and each
/// transaction waits for the disk.
pub(super) const BLOCKS_STAGED: u64 = 512;

/// What staging a batch came to.
#[derive(Debug)]
pub struct Staged {
    /// How many keys each archive brought that are new.
    pub brought: Vec<u64>,
    seen: Sorted<AGAIN_BYTES>,
}

/// An entry whose key was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Again {
    /// Number of its archive in the batch, from 0.
    pub archive: usize,
    /// Its index in the archive.
    pub index: u64,
    /// Where it begins.
    pub at: Position,
    /// The first one.
    pub first: Origin,
}

impl Staged {
    /// Entries that were seen before, in the order of the archives and their entries, each told to `tell`.
    pub fn seen(&self, mut tell: impl FnMut(Again)) -> io::Result<()> {
        let mut merged = Merged::of(&[&self.seen])?;
        while let Some((_, record)) = merged.next()? {
            tell(Again::from_bytes(&record));
        }
        Ok(())
    }
}

impl Store {
    /// Finds out which keys of these imports are new, and stages those. The imports stand in the order in which they are to be
    /// closed: of two that have the same key the first one has it.
    pub fn stage(&mut self, batch: &[(i64, Keys)], spill: Arc<Spill>) -> Result<Staged, Fault> {
        let keys: u64 = batch.iter().map(|(_, keys)| keys.len()).sum();
        let mut search = Search::new(self, keys)?;
        let mut staging = Staging::default();
        let staged = tell_apart(
            batch,
            spill,
            |key| search.find(self, key),
            |record| Ok(staging.push(&self.connection, record)?),
        )?;
        let brings = staged.brought.iter().rposition(|brought| *brought > 0);
        if let Some(last) = brings {
            staging.finish(&self.connection, batch[last].0)?;
        }
        self.work.blocks_read += search.blocks_read();
        self.work.blocks_written += staging.written;
        Ok(staged)
    }
}

/// Which entries of an archive have a key that an earlier one of the same archive has.
pub fn within(keys: &Keys, spill: Arc<Spill>) -> io::Result<Staged> {
    let told = tell_apart(&[(0, keys.clone())], spill, |_| Ok(None), |_| Ok(()));
    told.map_err(|fault| match fault {
        Fault::Disk(error) => error,
        Fault::Sql(error) => io::Error::other(error),
        Fault::Damaged(detail) => io::Error::other(detail),
    })
}

/// Tells the keys of a batch that were seen before from new ones. `find` says which entry had a key first, and is asked in the
/// order of keys; `bring` is given what is new.
fn tell_apart(
    batch: &[(i64, Keys)],
    spill: Arc<Spill>,
    mut find: impl FnMut(Key) -> Result<Option<Origin>, Fault>,
    mut bring: impl FnMut(Record) -> Result<(), Fault>,
) -> Result<Staged, Fault> {
    let mut in_order = InOrder::of(batch.iter().map(|(_, keys)| keys))?;
    let ids = ids(batch)?;
    let mut seen = Sorter::new(spill, AGAIN_MEMORY);
    let mut brought = vec![0; batch.len()];
    let mut last = None;
    while let Some((archive, found)) = in_order.next()? {
        let first = match last {
            Some((key, first)) if key == found.key => Some(first),
            _ => find(found.key)?,
        };
        let this = Origin {
            import: ids[archive],
            index: found.index,
        };
        last = Some((found.key, first.unwrap_or(this)));
        let Some(first) = first else {
            brought[archive] += 1;
            bring(Record {
                key: found.key,
                origin: this,
            })?;
            continue;
        };
        let again = Again {
            archive,
            index: found.index.into(),
            at: found.at,
            first,
        };
        seen.push(again.to_bytes())?;
    }
    Ok(Staged {
        brought,
        seen: seen.finish()?,
    })
}

/// A run that is being staged, in transactions of bounded size: until it is whole no import stands by it, and nobody counts it.
#[derive(Default)]
struct Staging<'c> {
    transaction: Option<Transaction<'c>>,
    writer: Option<(i64, Writer)>,
    written: u64,
    in_transaction: u64,
}

impl<'c> Staging<'c> {
    fn push(&mut self, connection: &'c Connection, record: Record) -> rusqlite::Result<()> {
        let transaction = match &mut self.transaction {
            Some(transaction) => transaction,
            none => none.insert(Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?),
        };
        let writer = match &mut self.writer {
            Some((_, writer)) => writer,
            none => {
                transaction.execute("INSERT INTO runs (state, import) VALUES ('staged', 0)", [])?;
                let run = transaction.last_insert_rowid();
                &mut none.insert((run, Writer::of(run, 0))).1
            }
        };
        self.in_transaction += writer.push(transaction, record)?;
        if self.in_transaction >= BLOCKS_STAGED {
            self.written += std::mem::take(&mut self.in_transaction) + writer.note(transaction)?;
            self.transaction.take().map_or(Ok(()), Transaction::commit)?;
        }
        Ok(())
    }

    /// The run is whole: it counts if this import does.
    fn finish(&mut self, connection: &'c Connection, import: i64) -> rusqlite::Result<()> {
        let Some((run, mut writer)) = self.writer.take() else {
            return Ok(());
        };
        let transaction = match self.transaction.take() {
            Some(transaction) => transaction,
            None => Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?,
        };
        self.written += self.in_transaction + writer.note(&transaction)?;
        transaction.execute("UPDATE runs SET import = ?2 WHERE id = ?1", params![run, import])?;
        transaction.commit()
    }
}

fn ids(batch: &[(i64, Keys)]) -> io::Result<Vec<u32>> {
    let id = |(id, _): &(i64, Keys)| {
        u32::try_from(*id)
            .map_err(|_| io::Error::other("there are more than 4,294,967,295 imports, too many for unique keys"))
    };
    batch.iter().map(id).collect()
}

impl Again {
    fn to_bytes(self) -> [u8; AGAIN_BYTES] {
        let mut bytes = [0; AGAIN_BYTES];
        // Both were made from four bytes.
        bytes[..4].copy_from_slice(&(self.archive as u32).to_be_bytes());
        bytes[4..8].copy_from_slice(&(self.index as u32).to_be_bytes());
        bytes[8..8 + PLACE_BYTES].copy_from_slice(&place_to_bytes(self.at));
        bytes[8 + PLACE_BYTES..][..4].copy_from_slice(&self.first.import.to_be_bytes());
        bytes[12 + PLACE_BYTES..].copy_from_slice(&self.first.index.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; AGAIN_BYTES]) -> Again {
        let number = |from| u32::from_be_bytes(part(bytes, from));
        Again {
            archive: number(0) as usize,
            index: number(4).into(),
            at: place_from_bytes(part(bytes, 8)),
            first: Origin {
                import: number(8 + PLACE_BYTES),
                index: number(12 + PLACE_BYTES),
            },
        }
    }
}
