//! Unique keys: by which an event that comes a second time is known, in the same archive or in any other.
//!
//! A definition may name fields that tell its events apart. The event's name, whose it is and the values of these fields are its
//! [`Key`]. An archive's keys are collected while it is read ([`Collector`]), in a fixed budget of memory. Just before it is
//! closed they are held against all keys that there are ([`Unique::stage`]): the new ones are written to a file of their own, and
//! count once the ledger has the import.
//!
//! # Where they live, and why so
//!
//! A hash has no order: ten million of them inserted one by one into a B-tree touch a page each, and ten times slower with every
//! page that memory does not hold. Sorted they are written a hundred to a block, and found by going through both sides once. So
//! the file holds sorted *runs*: an import adds one, and runs of about the same size are merged in the background, in small steps.
//!
//! # What is true when
//!
//! The ledger says what is true; the file follows it. A run is *staged* under its import's id before the import is closed. Whether
//! that came to pass is asked of the ledger by whoever comes next: what a crash leaves is what every import leaves. An import
//! that was undone has its keys no longer, since the ledger says so. And the file can be had again from the ledger and the spool:
//! its *cursor* says up to which import it has everything, so that one which is lost, damaged or older than the ledger is noticed.
//!
//! Deciding, staging and closing is one [`Turn`], so that of two imports with the same key one is first. Imports without unique
//! keys take none, and wait for nobody.
//!
//! | in reading order | |
//! |---|---|
//! | `key`, `keys`, `sorter` | what makes two events the same; those of an archive, sorted outside memory |
//! | `store`, `block` | the file; some hundred keys in a page of it |
//! | `stage`, `search` | which keys are new; looking for them |
//! | `merge`, `forget` | fewer runs; keys that somebody had erased |
//! | `worker`, `error` | the thread that has the file; what can go wrong |
//!
//! This room has not heard of archives, feeds, SFTP or the ledger's SQL.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

mod block;
mod error;
mod forget;
mod key;
mod keys;
mod merge;
mod search;
mod sorter;
mod stage;
mod store;
#[cfg(test)]
mod tests;
mod worker;

pub use block::Origin;
pub use error::UniqueError;
pub use key::{Key, Whose};
pub use keys::{Collector, Keys};
pub use sorter::Spill;
pub use stage::{Again, Staged, within};
pub use store::{Place, Standing, Work};

use error::Fault;
use store::Store;
use worker::{Job, Worker};

/// What the file is called in the state directory.
pub const FILE_NAME: &str = "unique.db";

/// The unique keys. Cheap to clone; nothing is opened or made before somebody has a key.
#[derive(Clone)]
pub struct Unique {
    path: PathBuf,
    jobs: mpsc::Sender<Job>,
    gate: Arc<Semaphore>,
}

/// Leave to decide, stage and close: one import at a time has it.
pub struct Turn {
    // Held for itself alone.
    _permit: OwnedSemaphorePermit,
}

impl Unique {
    /// The unique keys of a state directory, on whose disk so many bytes are to stay free.
    pub fn new(state_dir: &Path, free_bytes_min: u64) -> std::io::Result<Unique> {
        let path = state_dir.join(FILE_NAME);
        let (sender, jobs) = mpsc::channel();
        let worker = Worker::new(&path, free_bytes_min);
        std::thread::Builder::new()
            .name("unique".to_owned())
            .spawn(move || worker.work(&jobs))?;
        Ok(Unique {
            path,
            jobs: sender,
            gate: Arc::new(Semaphore::new(1)),
        })
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for its turn.
    pub async fn turn(&self) -> Turn {
        let permit = Arc::clone(&self.gate).acquire_owned().await;
        Turn {
            _permit: permit.expect("nobody closes the semaphore"),
        }
    }

    /// How the file stands.
    pub async fn standing(&self, _turn: &Turn) -> Result<Standing, UniqueError> {
        self.ask("reading how the unique keys stand", |store| Ok(store.standing()?))
            .await
    }

    /// What was staged counts if its import is among these, which the ledger says are closed; the rest is dropped.
    pub async fn settle(&self, _turn: &Turn, closed: Vec<Place>) -> Result<(), UniqueError> {
        self.ask("settling unique keys", move |store| Ok(store.settle(&closed)?))
            .await
    }

    /// Everything up to this import is in the file, or cannot be had any more.
    pub async fn pass(&self, _turn: &Turn, place: Place) -> Result<(), UniqueError> {
        self.ask(
            "noting how far the unique keys are",
            move |store| Ok(store.pass(place)?),
        )
        .await
    }

    /// Finds out which keys of a batch are new, and stages those. The batch is in the order in which it is to be closed; `undone`
    /// are the imports whose keys do not count any more.
    pub async fn stage(
        &self,
        _turn: &Turn,
        batch: Vec<(i64, Keys)>,
        undone: Vec<i64>,
        spill: Arc<Spill>,
    ) -> Result<Staged, UniqueError> {
        self.ask("holding unique keys against those that are known", move |store| {
            let undone = undone.into_iter().filter_map(|id| u32::try_from(id).ok());
            store.void = Some(undone.collect());
            store.keep_few()?;
            store.stage(&batch, spill)
        })
        .await
    }

    /// Forgets keys that somebody had erased. Safe to repeat.
    pub async fn forget(&self, keys: Vec<Key>) -> Result<(), UniqueError> {
        // Where there is no file there is nothing to forget, and no reason to make one.
        if keys.is_empty() || !self.path.exists() {
            return Ok(());
        }
        self.ask("forgetting unique keys", move |store| store.forget(keys))
            .await
    }

    /// Begins with an empty file; the one that was there is set aside as `unique.db.aside`.
    pub async fn begin_anew(&self, _turn: &Turn) -> Result<(), UniqueError> {
        self.job("setting the unique keys aside", Worker::begin_anew).await
    }

    /// How much was read and written since the start.
    pub async fn work(&self) -> Result<Work, UniqueError> {
        self.ask("looking at the unique keys", |store| Ok(store.work)).await
    }

    /// Runs `f` on the thread that has the file.
    async fn ask<T: Send + 'static>(
        &self,
        doing: &'static str,
        f: impl FnOnce(&mut Store) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, UniqueError> {
        let path = self.path.clone();
        self.job(doing, move |worker| {
            f(worker.store()?).map_err(|fault| fault.when(doing, &path))
        })
        .await
    }

    async fn job<T: Send + 'static>(
        &self,
        doing: &'static str,
        f: impl FnOnce(&mut Worker) -> Result<T, UniqueError> + Send + 'static,
    ) -> Result<T, UniqueError> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let job: Job = Box::new(move |worker| {
            // Whoever asked may have gone; what was done stands all the same.
            answer.send(f(worker)).ok();
        });
        self.jobs.send(job).map_err(|_| UniqueError::Closed { doing })?;
        answered.await.map_err(|_| UniqueError::Closed { doing })?
    }
}
