//! Somebody is erased from what belongs to nobody's cursor: the spool, and the ledger's own texts.
//!
//! Whoever holds the state directory does it: the daemon, `once`, or `feedgate erase` itself. Every spool file is looked into;
//! one that has entries of the person is written anew with these blank, synced, and the ledger has its imports read the new
//! one in one transaction. Then the old one is removed. Indices stay what they are, and so do the events' ids. Killed at any
//! moment, it begins anew: what is blank is found no more, and a file that the ledger never heard of is swept.
//!
//! Those who keep events come to the request in their own order; this room has not heard of them.

use std::collections::BTreeMap;
use std::io;

use roaring::RoaringTreemap;
use tokio_util::sync::CancellationToken;

use crate::ledger::{self, Erasure, Import, Ledger, LedgerError, Rewritten, Slot, Spooled, Stored, Whom};
use crate::spool::{Spool, SpoolError};

mod blank; // an archive written anew
mod search; // whose entries are where

pub use search::{Found, Unread};

/// Why somebody could not be erased yet.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// The ledger's trouble.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The disk did not take a new spool file, or did not give an old one.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// Likewise.
    #[error("{doing}: {source}")]
    Disk {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// A fault of ours.
    #[error(
        "erasing somebody from the spool broke off by a fault in this program, which is on stderr; please report it"
    )]
    BrokeOff,
}

/// Clears the spool and the ledger of everybody whom somebody asked to erase.
#[derive(Clone)]
pub struct Erasing {
    /// The ledger.
    pub ledger: Ledger,
    /// The spool, whose directory the caller has locked.
    pub spool: Spool,
}

/// What became of one spool file.
enum Looked {
    Nothing,
    Unread(Vec<(i64, String)>),
    Rewritten(Rewritten, crate::spool::Pin, Vec<(i64, String)>),
}

impl Erasing {
    /// Does what is left to be done; returns how many requests came to their end. Told to stop, it does so between two files.
    pub async fn work(&self, stop: &CancellationToken) -> Result<usize, ErasureError> {
        let mut done = 0;
        while let Some(erasure) = self.ledger.next_erasure().await? {
            if !self.clear(&erasure, stop).await? {
                return Ok(done);
            }
            done += 1;
        }
        if self.ledger.forget_whom().await? + done > 0 {
            // Whoever reads just now holds it up; the next one to come by does it.
            self.ledger.empty_the_wal().await?;
        }
        Ok(done)
    }

    /// `false` if it was told to stop before the end.
    async fn clear(&self, erasure: &Erasure, stop: &CancellationToken) -> Result<bool, ErasureError> {
        let mut after = String::new();
        while let Some((file, archives)) = self.ledger.next_spool_file(after.clone(), erasure.seq).await? {
            if stop.is_cancelled() {
                return Ok(false);
            }
            // One that an import was closed on meanwhile is looked into once more.
            if self.clear_file(erasure, &file, archives).await? {
                after = file;
            }
        }
        self.sweep().await?;
        self.ledger.cleared(erasure.clone(), ledger::now()).await?;
        Ok(true)
    }

    async fn clear_file(&self, erasure: &Erasure, file: &str, archives: Vec<Spooled>) -> Result<bool, ErasureError> {
        let (spool, whom, old) = (self.spool.clone(), erasure.whom.clone(), file.to_owned());
        let seq = erasure.seq;
        let looked = tokio::task::spawn_blocking(move || rewrite(&spool, &old, &archives, &whom, seq)).await;
        let (rewritten, _pin, unread) = match looked.map_err(|_| ErasureError::BrokeOff)?? {
            Looked::Nothing => return Ok(true),
            Looked::Unread(unread) => {
                self.note_unread(erasure, unread).await?;
                return Ok(true);
            }
            Looked::Rewritten(rewritten, pin, unread) => (rewritten, pin, unread),
        };
        self.note_unread(erasure, unread).await?;
        let question = self.spool.ask();
        if !self.ledger.spool_rewritten(erasure.request, rewritten).await? {
            return Ok(false);
        }
        for unused in self.ledger.unused(vec![file.to_owned()]).await? {
            self.spool
                .remove(&unused, &question)
                .map_err(|source| ErasureError::Disk {
                    doing: format!("removing `{unused}` from the spool"),
                    source,
                })?;
        }
        Ok(true)
    }

    async fn note_unread(&self, erasure: &Erasure, unread: Vec<(i64, String)>) -> Result<(), LedgerError> {
        for (import, why) in unread {
            self.ledger.not_cleared(erasure.request, import, why).await?;
        }
        Ok(())
    }

    /// Removes what no import refers to: it may hold the person as well, and nobody would look into it.
    async fn sweep(&self) -> Result<(), ErasureError> {
        let disk = |source| ErasureError::Disk {
            doing: "sweeping the spool".to_owned(),
            source,
        };
        let files: Vec<String> = self
            .spool
            .files()
            .map_err(disk)?
            .collect::<Result<_, _>>()
            .map_err(disk)?;
        let question = self.spool.ask();
        for unused in self.ledger.unused(files).await? {
            self.spool.remove(&unused, &question).map_err(disk)?;
        }
        Ok(())
    }
}

/// How often somebody is in the spool, and under which other identities that look alike: for people, before they decide.
pub async fn search(ledger: &Ledger, spool_dir: &std::path::Path, whom: &Whom) -> Result<Found, ErasureError> {
    let mut found = Found::default();
    let mut after = String::new();
    while let Some((file, archives)) = ledger.next_spool_file(after, i64::MAX).await? {
        let (spool_dir, whom) = (spool_dir.to_owned(), whom.clone());
        let work = move || {
            for archive in slots(&archives).into_values().filter_map(|of| of.first().copied()) {
                search::count(&spool_dir, &archive.import, &whom, &mut found)?;
            }
            Ok::<_, io::Error>(found)
        };
        let searched = tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| ErasureError::BrokeOff)?;
        found = searched.map_err(|source| ErasureError::Disk {
            doing: format!("reading `{file}` in the spool"),
            source,
        })?;
        after = file;
    }
    Ok(found)
}

/// The archives of a spool file by their place in it; several imports may have one.
fn slots(archives: &[Spooled]) -> BTreeMap<(u64, u64), Vec<&Spooled>> {
    let mut slots: BTreeMap<(u64, u64), Vec<&Spooled>> = BTreeMap::new();
    for archive in archives {
        if let Some(stored) = &archive.import.stored {
            slots.entry((stored.offset, stored.len)).or_default().push(archive);
        }
    }
    slots
}

/// Looks for a person's entries in a spool file, and writes it anew if there are any.
fn rewrite(spool: &Spool, old: &str, archives: &[Spooled], whom: &Whom, before: i64) -> Result<Looked, ErasureError> {
    let disk = |source| ErasureError::Disk {
        doing: format!("reading `{old}` in the spool"),
        source,
    };
    let slots = slots(archives);
    let mut unread = Vec::new();
    let mut theirs: BTreeMap<(u64, u64), RoaringTreemap> = BTreeMap::new();
    for (place, of_it) in &slots {
        let mut entries = RoaringTreemap::new();
        for archive in of_it.iter().filter(|archive| archive.import.seq < before) {
            match search::entries_of(spool.dir(), &archive.import, whom).map_err(disk)? {
                Ok(found) => entries |= found,
                Err(Unread(why)) => unread.push((archive.import.id, why)),
            }
        }
        if !entries.is_empty() {
            theirs.insert(*place, entries);
        }
    }
    if theirs.is_empty() {
        return Ok(match unread.is_empty() {
            true => Looked::Nothing,
            false => Looked::Unread(unread),
        });
    }
    let mut new = spool.rewrite(old)?;
    let mut moved = BTreeMap::new();
    for (place, of_it) in &slots {
        let Some(first) = of_it.first() else { continue };
        let slot = match theirs.remove(place) {
            Some(entries) => {
                let limits = of_it.iter().map(|archive| archive.import.reading.limits);
                let blanked = blank::archive(spool, &first.import, &entries, limits)?;
                Slot {
                    stored: new.append(blanked.bytes)?,
                    blanked: Some((blanked.member, entries)),
                }
            }
            None => Slot {
                stored: new.copy(&stored(first, old, *place))?,
                blanked: None,
            },
        };
        moved.insert(*place, slot);
    }
    let pin = new.keep()?;
    let rewritten = Rewritten {
        old: old.to_owned(),
        slots: moved,
    };
    Ok(Looked::Rewritten(rewritten, pin, unread))
}

fn stored(archive: &Spooled, old: &str, (offset, len): (u64, u64)) -> Stored {
    archive.import.stored.clone().unwrap_or(Stored {
        file: old.to_owned(),
        offset,
        len,
    })
}
