//! A large archive, read while it arrives: the verdict is there when its last byte is.
//!
//! It is a head start and nothing more. Nothing counts before the whole archive is in the spool, synced, and seen unchanged at
//! the source; when the download comes to nothing, so does what was read. Reading what comes slowly keeps a thread waiting,
//! not working: such readers have places of their own, and where none is free an archive is read from the spool as small
//! ones are.

use std::io;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::read::unless_defect;
use super::{Kind, Ready, Rules, take_in};
use crate::ledger::outcome::Judged;
use crate::spool::{Known, arriving};

/// How many archives are read at a time, over all sources.
#[derive(Debug, Clone)]
pub struct Readers {
    spooled: Arc<Semaphore>,
    arriving: Arc<Semaphore>,
}

/// An archive that is being read.
pub(super) struct Meanwhile(JoinHandle<io::Result<Option<Judged>>>);

impl Readers {
    /// Places for so many that read from the spool, at least one, and for as many that read what arrives.
    pub fn new(at_a_time: usize) -> Readers {
        let places = || Arc::new(Semaphore::new(at_a_time.max(1)));
        Readers {
            spooled: places(),
            arriving: places(),
        }
    }

    /// Waits for a place to read from the spool.
    pub(super) async fn spooled(&self) -> OwnedSemaphorePermit {
        let place = self.spooled.clone().acquire_owned().await;
        place.expect("nobody closes the semaphore")
    }

    /// Begins to read the archive of a batch of one, if its end is known and there is a place.
    pub(super) fn begin(&self, batch: &mut [Ready], rules: &Rules) -> Option<Meanwhile> {
        let [one] = batch else { return None };
        let Kind::Archive(name, known) = &mut one.kind else {
            return None;
        };
        let Known::End(end) = known else { return None };
        let place = self.arriving.clone().try_acquire_owned().ok()?;
        let size = one.claim.seen.size;
        let (archive, arrivals) = arriving(size, std::mem::take(end));
        *known = Known::Awaited(arrivals);
        let (name, rules) = (name.clone(), rules.clone());
        let judging = tokio::task::spawn_blocking(move || {
            let judged = unless_defect(|| take_in(archive, size, &name, &rules, &mut |_, _| true));
            drop(place);
            judged.transpose()
        });
        Some(Meanwhile(judging))
    }
}

impl Meanwhile {
    /// What the archive came to; `None` is a defect of ours. Ask when it has arrived.
    pub async fn judged(self) -> io::Result<Option<Judged>> {
        let stopped = |_| Err(io::Error::other("the reading thread stopped"));
        self.0.await.unwrap_or_else(stopped)
    }
}
