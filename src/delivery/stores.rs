//! The turn of a destination that keeps events: one stretch of what lies ahead, and the ledger told of it.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::stint::{Ending, Stint, Worker};
use super::{Delivery, Hand, Trouble, Turn};
use crate::events::EventsError;
use crate::ledger::{DestinationState, Import, Standing};

const TWO_WRITERS: &str =
    "the destination's own cursor moves while nothing is delivered from here; is another feedgate writing to it?";

impl Delivery {
    /// One stretch of what lies ahead, and the ledger told of it.
    pub(super) async fn store_turn(
        &mut self,
        mut worker: Box<Worker>,
        stop: &CancellationToken,
    ) -> Result<Turn, Trouble> {
        let ahead = self.ahead(worker.handed()).await?;
        if ahead.imports.is_empty() {
            worker.pass_over(ahead.end);
            self.rate.idle();
            self.record(worker.confirmed(), 0, Standing::well(DestinationState::Idle))
                .await?;
            self.succeeded();
            self.hand = Some(Hand::Store(worker));
            return Ok(Turn::Idle);
        }
        self.rate.busy(self.now());
        let is_all = ahead.imports.last().is_some_and(|import| import.end() == ahead.end);
        let imports: Vec<Arc<Import>> = ahead.imports.into_iter().map(Arc::new).collect();
        worker.let_go_unless(&imports[0]);
        let (before, began, stop) = (worker.confirmed(), Instant::now(), stop.clone());
        let (worker, stint) = self
            .off_the_runtime(move || {
                let stint = worker.stint(&imports, &stop);
                (worker, stint)
            })
            .await?;

        if worker.confirmed() > before {
            let state = match stint.ending {
                Ending::Done if is_all => DestinationState::Idle,
                _ => DestinationState::Delivering,
            };
            self.record(worker.confirmed(), stint.delivered, Standing::well(state))
                .await?;
            self.moved &= matches!(stint.ending, Ending::Moved);
            self.succeeded();
            self.say_delivered(&stint, began);
        }
        self.go_on(worker, stint.ending).await
    }

    /// What follows from how a stint ended.
    async fn go_on(&mut self, mut worker: Box<Worker>, ending: Ending) -> Result<Turn, Trouble> {
        match ending {
            Ending::Done | Ending::Paused => {}
            Ending::Moved if self.moved => return Err(Trouble::waiting(TWO_WRITERS)),
            Ending::Moved => {
                self.moved = true;
                warn!(
                    destination = self.settings.name,
                    seq = worker.confirmed().seq,
                    index = worker.confirmed().index,
                    "the destination is elsewhere than it was left; going on from there"
                );
            }
            Ending::Unavailable(reason) => return Err(Trouble::waiting(reason)),
            Ending::Barred(reason) => return Err(Trouble::barred(reason)),
            // It lies elsewhere since it was looked up, or nobody wants it any more.
            Ending::Unreadable(import, _) if !self.ledger.is_as_before(&import).await? => {
                worker.forget();
            }
            Ending::Unreadable(_, error) if error.is_transient() => return Err(Trouble::waiting(error.to_string())),
            Ending::Unreadable(import, error) => return self.pass_a_gap(worker, import, error).await,
        }
        self.hand = Some(Hand::Store(worker));
        Ok(Turn::More)
    }

    /// An import cannot be read again: it is passed over, if somebody asked for that.
    async fn pass_a_gap(
        &mut self,
        mut worker: Box<Worker>,
        import: Arc<Import>,
        error: EventsError,
    ) -> Result<Turn, Trouble> {
        let standing = self.leave_to_pass(&import, &error).await?;
        let (worker, stint) = self
            .off_the_runtime(move || {
                let stint = worker.skip(&import);
                (worker, stint)
            })
            .await?;
        // The leave holds for the whole gap: it ends with the next import that is delivered.
        self.record(worker.confirmed(), stint.delivered, standing).await?;
        match stint.ending {
            Ending::Unavailable(reason) => Err(Trouble::waiting(reason)),
            Ending::Barred(reason) => Err(Trouble::barred(reason)),
            _ => {
                self.hand = Some(Hand::Store(worker));
                Ok(Turn::More)
            }
        }
    }

    fn say_delivered(&self, stint: &Stint, began: Instant) {
        let Some(import) = &stint.last else { return };
        info!(
            destination = self.settings.name,
            import = import.id,
            archive = import.archive,
            events = stint.delivered,
            elapsed_ms = began.elapsed().as_millis() as u64,
            "delivered"
        );
    }
}
