//! The stages of a turn, side by side: while one batch is put away, the next is closed, the one after it is read, and the
//! ends of yet another are looked at.
//!
//! Each stage has one batch in hand and at most one that waits behind it, so memory stays flat. Batches leave every stage in
//! the order in which they came: ids and `seq` are given as if there were one batch at a time. One after the other, the network
//! was idle while the ledger synced, and the ledger while the network was waited for: with this, and four times the files in
//! flight, 5,000 small archives across 20 ms of round trip went from 22 s to 4 s.
//!
//! When a stage meets trouble, or the daemon is told to stop, no stage claims another batch. What has been read by then is
//! recorded. After trouble it is put away by the next turn; told to stop, by this one. What was only looked at leaves no trace.

use std::sync::OnceLock;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Intake, Ready, Trouble, Turned};

/// Batches that may wait between two stages.
const WAITING: usize = 1;

/// Batches that are put away at a time. Each file takes its round trips one after the other there, eight with a receipt: others
/// fill the line while the last files of a batch finish.
const PUT_AWAY_AT_A_TIME: usize = 4;

/// Whether stages may begin with another batch.
struct Going<'a> {
    stop: &'a CancellationToken,
    /// What was met first. What other stages meet after that is mostly its consequence.
    trouble: OnceLock<Trouble>,
}

impl Going<'_> {
    fn on(&self) -> bool {
        !self.stop.is_cancelled() && self.is_well()
    }

    fn is_well(&self) -> bool {
        self.trouble.get().is_none()
    }

    /// Takes a step, once there is room for what it comes to, and hands that on; `None` if no further one is to be begun. A
    /// step that is not taken does nothing: it is a future that nobody has asked.
    async fn step<T>(&self, onward: &mpsc::Sender<T>, step: impl Future<Output = Result<T, Trouble>>) -> Option<()> {
        let room = onward.reserve().await.ok()?;
        if !self.on() {
            return None;
        }
        room.send(self.unless_trouble(step.await)?);
        Some(())
    }

    /// What a step came to; its trouble is kept for the end.
    fn unless_trouble<T>(&self, result: Result<T, Trouble>) -> Option<T> {
        result.map_err(|trouble| self.trouble.set(trouble)).ok()
    }
}

impl Intake {
    /// Takes batches in, in their order, and answers with what they came to together.
    pub(super) async fn take_up(
        &self,
        batches: impl Iterator<Item = Vec<Ready>>,
        stop: &CancellationToken,
    ) -> Result<Turned, Trouble> {
        let going = Going {
            stop,
            trouble: OnceLock::new(),
        };
        let turned = self.stages(batches, &going).await;
        let Some(trouble) = going.trouble.into_inner() else {
            return Ok(turned);
        };
        // What was read, and could not be recorded.
        self.ledger.unclaim_source(self.source.name()).await?;
        Err(trouble)
    }

    async fn stages(&self, batches: impl Iterator<Item = Vec<Ready>>, going: &Going<'_>) -> Turned {
        let (to_read, mut looked_at) = mpsc::channel(WAITING);
        let (to_close, mut outcomes_read) = mpsc::channel(WAITING);
        let (to_put_away, mut closed) = mpsc::channel(WAITING);
        let (to_note, mut attempted) = mpsc::channel(WAITING);
        // A stage that ends takes its ends of the channels with it: the one before it and the one behind it learn of it so.
        let look = async move {
            for batch in batches {
                // Room first: small archives are in memory once they have been looked at.
                if going.step(&to_read, self.whole(batch)).await.is_none() {
                    return;
                }
            }
        };
        let read = async move {
            while let Some(whole) = looked_at.recv().await {
                if going.step(&to_close, self.read(whole)).await.is_none() {
                    return;
                }
            }
        };
        let close = async move {
            let mut turned = Turned::default();
            while let Some(outcomes) = outcomes_read.recv().await {
                let Some(closed) = going.unless_trouble(self.close(outcomes).await) else {
                    break;
                };
                turned.closed += closed.unmoved.len();
                turned.failed += closed.failed;
                // Nobody takes it after trouble: the ledger knows what is still to be put away.
                to_put_away.send(closed.unmoved).await.ok();
            }
            turned
        };
        let put_away = async move {
            let mut under_way = FuturesOrdered::new();
            loop {
                let room = under_way.len() < PUT_AWAY_AT_A_TIME && going.is_well();
                tokio::select! {
                    Some(unmoved) = closed.recv(), if room => under_way.push_back(self.attempt(unmoved)),
                    Some(done) = under_way.next() => to_note.send(done).await.unwrap_or_default(),
                    else => return,
                }
            }
        };
        let note = async move {
            let mut pending = 0;
            // Whatever trouble there is: what was done is noted.
            while let Some(done) = attempted.recv().await {
                pending += going.unless_trouble(self.note(done).await).unwrap_or_default();
            }
            pending
        };
        let ((), (), turned, (), pending) = tokio::join!(look, read, close, put_away, note);
        Turned { pending, ..turned }
    }
}
