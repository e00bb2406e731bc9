//! Being told when a directory changes, so that a poll need not be waited for.
//!
//! A convenience, never a promise: notifications get lost, mounts have none, and the number of watches is limited. The
//! poll finds what this misses. The one thing it must not do is to wake for our own reading, or the source would turn
//! for ever.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Mutex, Notify};

use super::threads::Threads;

/// How often it is looked whether the directory is still the one that is watched: it may have been moved, unmounted, or
/// not be there yet.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long one such look may take; then the poll is what finds things.
const PATIENCE: Duration = Duration::from_secs(30);

/// A watch over one directory, without what lies in its directories.
pub(super) struct Watch {
    dir: PathBuf,
    threads: Arc<Threads>,
    stirred: Arc<Notify>,
    watcher: Mutex<Option<Watching>>,
}

/// A watch that is set, on the directory with this identity.
struct Watching {
    // Held for its thread and its descriptors, which end with it.
    _watcher: RecommendedWatcher,
    identity: (u64, u64),
}

impl Watch {
    /// Over a directory that need not exist; its file system is called on these threads. Nothing is watched before
    /// [`Watch::changed`] is called.
    pub fn new(dir: &Path, threads: Arc<Threads>) -> Watch {
        Watch {
            dir: dir.to_path_buf(),
            threads,
            stirred: Arc::new(Notify::new()),
            watcher: Mutex::new(None),
        }
    }

    /// Returns when something may have changed: after a notification, and whenever a watch had to be set anew, since what
    /// happened before that was seen by nobody.
    pub async fn changed(&self) {
        loop {
            if self.reset().await {
                return;
            }
            tokio::select! {
                () = self.stirred.notified() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Gives the watch up.
    pub async fn close(&self) {
        self.watcher.lock().await.take();
    }

    /// Sees to it that the directory that is there now is watched; whether a watch was set.
    async fn reset(&self) -> bool {
        let mut watcher = self.watcher.lock().await;
        let watched = watcher.as_ref().map(|watching| watching.identity);
        let (dir, stirred) = (self.dir.clone(), self.stirred.clone());
        let set = move || match identity(&dir) {
            found if found == watched => None,
            Some(found) => Some(watch(&dir, found, stirred)),
            None => Some(None),
        };
        // The file system may hang, for longer than anybody waits for a notification.
        match self.threads.call(PATIENCE, set).await {
            Ok(Some(set)) => {
                *watcher = set;
                watcher.is_some()
            }
            Ok(None) | Err(_) => false,
        }
    }
}

fn identity(dir: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(dir).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

fn watch(dir: &Path, identity: (u64, u64), stirred: Arc<Notify>) -> Option<Watching> {
    let tell = move |event: notify::Result<Event>| {
        // An error is news as well: an overflow means that notifications were lost.
        if event.map_or(true, |event| is_news(&event.kind)) {
            stirred.notify_one();
        }
    };
    let mut watcher = notify::recommended_watcher(tell).ok()?;
    watcher.watch(dir, RecursiveMode::NonRecursive).ok()?;
    Some(Watching {
        _watcher: watcher,
        identity,
    })
}

/// Whether something may be there that was not: opening and reading, which we do ourselves, is not it.
fn is_news(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(access) => *access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}
