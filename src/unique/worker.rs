//! The thread that has the file: it does what it is asked, one thing after the other, and merges runs while nobody asks.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvError, TryRecvError};

use super::error::UniqueError;
use super::store::{Store, set_aside};

/// One piece of work.
pub(super) type Job = Box<dyn FnOnce(&mut Worker) + Send>;

/// The file, once somebody has asked for it: who imports nothing that has unique keys has none.
pub(super) struct Worker {
    path: PathBuf,
    free_bytes_min: u64,
    store: Option<Store>,
    /// Whether there may be something to merge.
    restless: bool,
}

impl Worker {
    pub fn new(path: &Path, free_bytes_min: u64) -> Worker {
        Worker {
            path: path.to_owned(),
            free_bytes_min,
            store: None,
            restless: false,
        }
    }

    /// Does what it is asked until nobody can ask any more.
    pub fn work(mut self, jobs: &Receiver<Job>) {
        loop {
            let job = match self.restless {
                true => jobs.try_recv(),
                false => jobs.recv().map_err(|RecvError| TryRecvError::Disconnected),
            };
            match job {
                Ok(job) => job(&mut self),
                Err(TryRecvError::Empty) => self.merge(),
                // What is half merged goes on after the next start.
                Err(TryRecvError::Disconnected) => return,
            }
        }
    }

    /// The file, opened.
    pub fn store(&mut self) -> Result<&mut Store, UniqueError> {
        self.restless = true;
        match &mut self.store {
            Some(store) => Ok(store),
            none => Ok(none.insert(Store::open(&self.path, self.free_bytes_min)?)),
        }
    }

    /// Begins with an empty file; the one that was there is set aside.
    pub fn begin_anew(&mut self) -> Result<(), UniqueError> {
        self.store = None;
        set_aside(&self.path).map_err(|source| UniqueError::Disk {
            doing: "setting the unique keys aside",
            source,
        })?;
        self.store().map(drop)
    }

    fn merge(&mut self) {
        let Some(store) = &mut self.store else {
            self.restless = false;
            return;
        };
        match store.step() {
            Ok(more) => self.restless = more,
            Err(fault) => {
                let error = fault.when("merging unique keys", &self.path);
                // Nothing is lost by it. Whoever imports next comes upon it too, if it lasts.
                tracing::warn!(%error, "unique keys are not merged; tried again with the next import that has some");
                self.restless = false;
            }
        }
    }
}
