//! What somebody asked of all who read on in the log: those are told at once, and what belongs to nobody's cursor is done.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Running, StateLock, World};
use crate::erasure::Erasing;
use crate::ledger::Ledger;
use crate::spool::Spool;
use crate::unique::Unique;

/// Time between two looks: somebody waits at a terminal.
const LOOK: Duration = Duration::from_secs(1);

/// Time until the next try, where erasing somebody failed.
const TRY_AGAIN: Duration = Duration::from_secs(30);

impl World {
    /// What clears spool and ledger of whom somebody asked to erase.
    pub(super) fn erasing(&self) -> Erasing {
        Erasing {
            ledger: self.ledger.clone(),
            spool: self.spool.clone(),
            unique: self.unique.clone(),
        }
    }

    /// Looks for requests until told to stop.
    pub(super) fn start_requests(&self, stop: &CancellationToken) -> Running<()> {
        let stop = stop.child_token();
        let task = tokio::spawn(look_out(self.erasing(), self.committed.clone(), stop.clone()));
        Running {
            settings: (),
            stop,
            task,
        }
    }
}

async fn look_out(erasing: Erasing, committed: Arc<Notify>, stop: CancellationToken) {
    let mut known = 0;
    while !stop.is_cancelled() {
        // A ledger that cannot be read is told of by all who need it more.
        let asked = erasing.ledger.last_request().await.unwrap_or(known);
        if asked > known {
            known = asked;
            committed.notify_waiters();
        }
        let pause = match erasing.work(&stop).await {
            Ok(0) => LOOK,
            Ok(done) => {
                tracing::info!(requests = done, "spool and ledger are cleared of whom was to be erased");
                LOOK
            }
            Err(error) => {
                tracing::error!(%error, "erasing somebody from the spool failed, and is tried again");
                TRY_AGAIN
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Clears spool and ledger of whom was to be erased, where no daemon does: for the command line. `Err` of [`super::LockError`]
/// says that one does.
pub async fn clear_by_hand(state_dir: &Path, ledger: Ledger) -> anyhow::Result<()> {
    let _lock = StateLock::take(state_dir)?;
    let spool_dir = state_dir.join("spool");
    let opening = || format!("opening the spool `{}`", spool_dir.display());
    let (spool, _) = Spool::open(&spool_dir, &ledger.identity().await?).with_context(opening)?;
    spool.sweep_unfinished().with_context(opening)?;
    let unique = Unique::new(state_dir, 0).context("starting the thread of the unique keys")?;
    let world = World {
        state_dir: state_dir.to_owned(),
        ledger,
        spool,
        unique,
        committed: Arc::new(Notify::new()),
    };
    world.keep_what_is_forgotten().await.with_context(opening)?;
    world.erasing().work(&CancellationToken::new()).await?;
    Ok(())
}
