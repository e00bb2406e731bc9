//! Somebody is erased from what belongs to nobody's cursor: the spool, and the ledger's own texts.
//!
//! Whoever holds the state directory does it: the daemon, `once`, or `feedgate erase` itself. Every spool file is looked into;
//! one that has entries of the person is written anew with these blank, synced, and the ledger has its imports read the new
//! one in one transaction. Then the old one is removed. Indices stay what they are, and so do the events' ids. Killed at any
//! moment, it begins anew: what is blank is found no more, and a file that the ledger never heard of is swept.
//!
//! Those who keep events come to the request in their own order; this room has not heard of them.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use roaring::RoaringTreemap;
use tokio_util::sync::CancellationToken;

use crate::definition::{Definitions, Holder, UnknownEvents};
use crate::events;
use crate::intake::{key_of, order_key_of};
use crate::ledger::{self, Erasure, Ledger, LedgerError, Rewritten, Slot, Spooled, Stored, Whom};
use crate::spool::{Pin, Spool, SpoolError};
use crate::unique::{Key, Unique, UniqueError};

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
    /// The unique keys' trouble.
    #[error(transparent)]
    Unique(#[from] UniqueError),
    /// The disk's, again.
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
    /// The unique keys.
    pub unique: Unique,
}

/// What became of one spool file.
enum Looked {
    Nothing,
    Unread(Vec<(i64, String)>),
    Rewritten(Box<New>),
}

/// A spool file that was written anew.
struct New {
    rewritten: Rewritten,
    /// Keeps it from being swept until the ledger has heard of it.
    pin: Pin,
    unread: Vec<(i64, String)>,
    /// The unique keys of the entries that are blank in it.
    keys: Vec<Key>,
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
        let definitions = self.definitions(&archives).await?;
        let work = move || rewrite(&spool, &old, &archives, &whom, seq, &definitions);
        let looked = tokio::task::spawn_blocking(work).await;
        let new = match looked.map_err(|_| ErasureError::BrokeOff)?? {
            Looked::Nothing => return Ok(true),
            Looked::Unread(unread) => {
                self.note_unread(erasure, unread).await?;
                return Ok(true);
            }
            Looked::Rewritten(new) => *new,
        };
        let New {
            rewritten,
            pin,
            unread,
            keys,
        } = new;
        self.note_unread(erasure, unread).await?;
        // First: afterwards nobody knows any more what they were.
        self.unique.forget(keys).await?;
        let question = self.spool.ask();
        let is_whole = self.ledger.spool_rewritten(erasure.request, rewritten).await?;
        drop(pin);
        if !is_whole {
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

    /// The event definitions that archives were read by, by their hash.
    async fn definitions(&self, archives: &[Spooled]) -> Result<HashMap<String, String>, LedgerError> {
        let mut texts = HashMap::new();
        let hashes = archives
            .iter()
            .filter_map(|archive| archive.import.reading.definitions.clone());
        for hash in hashes {
            if !texts.contains_key(&hash)
                && let Some(text) = self.ledger.frozen_definitions(&hash).await?
            {
                texts.insert(hash, text);
            }
        }
        Ok(texts)
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
                search::count(&spool_dir, archive, &whom, &mut found)?;
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
fn rewrite(
    spool: &Spool,
    old: &str,
    archives: &[Spooled],
    whom: &Whom,
    before: i64,
    definitions: &HashMap<String, String>,
) -> Result<Looked, ErasureError> {
    let disk = |source| ErasureError::Disk {
        doing: format!("reading `{old}` in the spool"),
        source,
    };
    let slots = slots(archives);
    let (mut unread, mut keys) = (Vec::new(), Vec::new());
    let mut theirs: BTreeMap<(u64, u64), RoaringTreemap> = BTreeMap::new();
    for (place, of_it) in &slots {
        let mut entries = RoaringTreemap::new();
        for archive in of_it.iter().filter(|archive| archive.import.seq < before) {
            match search::entries_of(spool.dir(), archive, whom).map_err(disk)? {
                Ok(found) => {
                    let reading = &archive.import.reading;
                    let text = reading.definitions.as_ref().and_then(|hash| definitions.get(hash));
                    if !found.is_empty() && (text.is_some() || reading.options.counts_orders_once()) {
                        keys.extend(keys_of(spool, archive, &found, text).map_err(disk)?);
                    }
                    entries |= found;
                }
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
                let blanked = blank::archive(spool, first, &entries, limits)?;
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
    Ok(Looked::Rewritten(Box::new(New {
        rewritten,
        pin,
        unread,
        keys,
    })))
}

/// The unique keys of some entries, by the definitions that they were read by.
fn keys_of(
    spool: &Spool,
    archive: &Spooled,
    entries: &RoaringTreemap,
    definitions: Option<&String>,
) -> io::Result<Vec<Key>> {
    let definitions = definitions.and_then(|text| Definitions::frozen(text).ok());
    let mut holder = definitions
        .as_ref()
        .map(|definitions| Holder::new(definitions, UnknownEvents::Accept));
    let options = archive.import.reading.options.clone();
    let (mut keys, import) = (Vec::new(), Arc::new(archive.import.clone()));
    let read = search::each_entry(spool.dir(), archive, |entry| {
        if entries.contains(entry.index)
            && let Some(batch) = events::one(&import, entry.index, 0, entry.raw)
            && let Some(event) = batch.get(0)
        {
            let defined = holder.as_mut().and_then(|holder| key_of(holder, &event));
            keys.extend(defined.or_else(|| order_key_of(&options, &event)));
        }
        Ok(())
    })?;
    // It was read a moment ago; if it is not there any more, nor are the entries.
    Ok(read.map_or_else(|_| Vec::new(), |()| keys))
}

fn stored(archive: &Spooled, old: &str, (offset, len): (u64, u64)) -> Stored {
    archive.import.stored.clone().unwrap_or(Stored {
        file: old.to_owned(),
        offset,
        len,
    })
}
