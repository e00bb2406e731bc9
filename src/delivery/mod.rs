//! The other loop: what is in the spool, on its way to destinations.
//!
//! A [`Delivery`] is one destination's: its own cursor, pace and fate, so that one which is down holds up no other. It asks
//! the ledger what lies ahead, has a stretch of it handed over on a blocking thread, and writes down how far that got. It
//! meets intake nowhere but in the ledger, and in one nudge that says "something was committed".
//!
//! Nothing here decides what an event is: imports are read as they were read when they were closed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::resolve::DestinationSettings;
use crate::destination::Reply;
use crate::events::EventsError;
use crate::ledger::{self, Cursor, DestinationState, Import, Ledger, LedgerError, Standing};
use pace::{Failure, Pace};
use stint::{Ending, Stint, Worker};

mod open;
pub mod pace;
mod reader;
mod stint;

/// Imports that are looked up at a time, and at most taken into one stint: small ones share a commit.
const IMPORTS_MAX: usize = 256;

/// An idle destination looks by itself after this long, should another process have imported something.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// A destination that waits asks the ledger this often whether somebody ran `feedgate retry`.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// One destination's deliveries.
pub struct Delivery {
    ledger: Ledger,
    spool_dir: PathBuf,
    settings: DestinationSettings,
    /// `None` until the first attempt, and after each that failed: a destination is opened anew then.
    worker: Option<Worker>,
    pace: Pace,
    /// What the ledger was told last.
    noted: Option<(Cursor, Standing)>,
    /// The destination stood elsewhere than was thought, and nothing was delivered since.
    moved: bool,
    /// Events delivered since this began.
    delivered: u64,
}

/// What [`Delivery::once`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Events delivered.
    pub delivered: u64,
    /// Why it is not all of them: the destination failed, is barred or behind.
    pub trouble: Option<String>,
}

/// What a turn came to.
enum Turn {
    /// There may be more at once.
    More,
    /// Everything is delivered.
    Idle,
    /// It failed; there is nothing to do before this time, UTC milliseconds.
    Wait { until: i64, reason: String },
}

/// Why a turn failed.
struct Trouble {
    state: DestinationState,
    reason: String,
}

impl Delivery {
    /// Deliveries to one destination, of what the ledger knows and the spool holds.
    pub fn new(ledger: Ledger, spool_dir: PathBuf, settings: DestinationSettings) -> Delivery {
        Delivery {
            ledger,
            spool_dir,
            settings,
            worker: None,
            pace: Pace::default(),
            noted: None,
            moved: false,
            delivered: 0,
        }
    }

    /// Delivers until told to stop; then the batch in hand is finished. `committed` is notified whenever something was
    /// imported.
    pub async fn run(mut self, committed: Arc<Notify>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            // Listening begins before the turn looks, so that what commits meanwhile is looked for again.
            let more = committed.notified();
            tokio::pin!(more);
            more.as_mut().enable();
            match self.turn(&stop).await {
                Turn::More => {}
                Turn::Idle => {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(LOOK_AGAIN) => {}
                        () = more => {}
                    }
                }
                Turn::Wait { until, .. } => {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = self.wait(until) => {}
                    }
                }
            }
        }
    }

    /// Delivers until nothing is left to do now. A destination that waits is tried once, whenever its next try is due.
    pub async fn once(mut self, stop: CancellationToken) -> Outcome {
        let mut trouble = None;
        while !stop.is_cancelled() {
            match self.turn(&stop).await {
                Turn::More => {}
                Turn::Idle => break,
                Turn::Wait { reason, .. } => {
                    trouble = Some(reason);
                    break;
                }
            }
        }
        Outcome {
            delivered: self.delivered,
            trouble,
        }
    }

    /// One stretch of what lies ahead, and the ledger told of it.
    async fn turn(&mut self, stop: &CancellationToken) -> Turn {
        match self.try_turn(stop).await {
            Ok(turn) => turn,
            Err(trouble) => self.failed(trouble).await,
        }
    }

    async fn try_turn(&mut self, stop: &CancellationToken) -> Result<Turn, Trouble> {
        let mut worker = match self.worker.take() {
            Some(worker) => worker,
            None => self.open().await?,
        };
        let sources = self.settings.sources.clone();
        let ahead = self.ledger.ahead(worker.handed(), sources, IMPORTS_MAX).await?;
        if ahead.imports.is_empty() {
            worker.pass_over(ahead.end);
            self.record(worker.confirmed(), 0, Standing::well(DestinationState::Idle))
                .await?;
            self.succeeded();
            self.worker = Some(worker);
            return Ok(Turn::Idle);
        }
        let is_all = ahead.imports.last().is_some_and(|import| import.end() == ahead.end);
        let imports: Vec<Arc<Import>> = ahead.imports.into_iter().map(Arc::new).collect();
        let (before, began, stop) = (worker.confirmed(), Instant::now(), stop.clone());
        let (worker, stint) = off_the_runtime(move || {
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
    async fn go_on(&mut self, worker: Worker, ending: Ending) -> Result<Turn, Trouble> {
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
            Ending::Unreadable(_, error) if error.is_transient() => return Err(Trouble::waiting(error.to_string())),
            Ending::Unreadable(import, error) => return self.pass_a_gap(worker, import, error).await,
        }
        self.worker = Some(worker);
        Ok(Turn::More)
    }

    /// An import cannot be read again. The destination is behind, and says so, until somebody asks for another delivery;
    /// then it goes on after the gap.
    async fn pass_a_gap(
        &mut self,
        mut worker: Worker,
        import: Arc<Import>,
        error: EventsError,
    ) -> Result<Turn, Trouble> {
        let row = self.ledger.destination(&self.settings.name).await?;
        let asked = row
            .map(|row| row.standing)
            .filter(|standing| standing.state == DestinationState::Behind && standing.retry_at.is_some());
        let Some(standing) = asked else {
            return Err(self.behind(&import, &error).await?);
        };
        warn!(
            destination = self.settings.name,
            import = import.id,
            archive = import.archive,
            events = import.accepted,
            reason = %error,
            "passed over a gap, as was asked for"
        );
        let (worker, stint) = off_the_runtime(move || {
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
                self.worker = Some(worker);
                Ok(Turn::More)
            }
        }
    }

    /// Names the gap, and how to go on.
    async fn behind(&mut self, import: &Import, error: &EventsError) -> Result<Trouble, LedgerError> {
        let gap = match error {
            EventsError::Pruned { .. } => self.ledger.gap(import.seq, self.settings.sources.clone()).await?,
            _ => None,
        };
        let what = match gap {
            Some(gap) if gap.imports > 1 => format!(
                "{} imports with {} events left the spool before they were delivered, from import {} (`{}`) to import {} (`{}`)",
                gap.imports, gap.events, gap.first.0, gap.first.1, gap.last.0, gap.last.1
            ),
            _ => format!("{error} ({} events)", import.accepted),
        };
        let name = &self.settings.name;
        Ok(Trouble {
            state: DestinationState::Behind,
            reason: format!("{what}; `feedgate retry --dead-letters {name}` goes on without them"),
        })
    }

    /// Tells the ledger, if there is anything to tell.
    async fn record(&mut self, cursor: Cursor, delivered: u64, standing: Standing) -> Result<(), LedgerError> {
        self.delivered += delivered;
        let noted = Some((cursor, standing.clone()));
        if delivered == 0 && self.noted == noted {
            return Ok(());
        }
        self.ledger
            .advance(&self.settings.name, cursor, delivered, standing, ledger::now())
            .await?;
        self.noted = noted;
        Ok(())
    }

    /// Counts a failure, writes it down, says it where it is worth saying, and tells when to try again.
    async fn failed(&mut self, trouble: Trouble) -> Turn {
        self.worker = None;
        let failure = match trouble.state {
            DestinationState::Barred | DestinationState::Behind => Failure::Barred,
            _ => Failure::Unavailable,
        };
        let next = self.pace.failed(failure, ledger::now(), fastrand::f64());
        let retry_at = (trouble.state != DestinationState::Behind).then_some(next.retry_at);
        if next.say {
            self.say_failed(&trouble, next);
        }
        let standing = Standing {
            state: trouble.state,
            reason: Some(trouble.reason.clone()),
            attempts: next.attempts,
            retry_at,
        };
        match self
            .ledger
            .note(&self.settings.name, standing.clone(), ledger::now())
            .await
        {
            Ok(()) => self.noted = self.noted.take().map(|(cursor, _)| (cursor, standing)),
            // The ledger's own trouble is what failed, most likely, and was said above.
            Err(error) => tracing::debug!(destination = self.settings.name, %error, "the failure is not written down"),
        }
        Turn::Wait {
            until: next.retry_at,
            reason: trouble.reason,
        }
    }

    /// Returns at the time of the next try, or sooner if somebody asked for it.
    async fn wait(&mut self, until: i64) {
        while ledger::now() < until {
            let left = Duration::from_millis((until - ledger::now()).max(0) as u64);
            tokio::time::sleep(left.min(ASK_AGAIN)).await;
            let row = self.ledger.destination(&self.settings.name).await;
            let asked = row.is_ok_and(|row| {
                row.and_then(|row| row.standing.retry_at)
                    .is_some_and(|at| at <= ledger::now())
            });
            if asked {
                return;
            }
        }
    }

    fn succeeded(&mut self) {
        if let Some(over) = self.pace.succeeded(ledger::now()) {
            info!(
                destination = self.settings.name,
                attempts = over.attempts,
                elapsed_ms = over.lasted_ms,
                "delivering again"
            );
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

    fn say_failed(&self, trouble: &Trouble, next: pace::Next) {
        let (destination, reason) = (&self.settings.name, &trouble.reason);
        let retry_in_ms = next.retry_at - ledger::now();
        match trouble.state {
            DestinationState::Barred => {
                error!(
                    destination,
                    reason,
                    attempts = next.attempts,
                    retry_in_ms,
                    "destination is barred"
                );
            }
            DestinationState::Behind => error!(destination, reason, "destination is behind"),
            _ => warn!(
                destination,
                reason,
                attempts = next.attempts,
                retry_in_ms,
                "destination is unavailable"
            ),
        }
    }
}

const TWO_WRITERS: &str =
    "the destination's own cursor moves while nothing is delivered from here; is another feedgate writing to it?";

impl Trouble {
    fn waiting(reason: impl Into<String>) -> Trouble {
        Trouble {
            state: DestinationState::Waiting,
            reason: reason.into(),
        }
    }

    fn barred(reason: impl Into<String>) -> Trouble {
        Trouble {
            state: DestinationState::Barred,
            reason: reason.into(),
        }
    }

    fn of_reply(reply: Reply) -> Trouble {
        match reply {
            Reply::Barred { reason } => Trouble::barred(reason),
            Reply::Unavailable { reason } => Trouble::waiting(reason),
            // Opening answers with neither of these.
            Reply::Held | Reply::Durable(_) => Trouble::waiting("the destination did not open"),
        }
    }
}

impl From<LedgerError> for Trouble {
    fn from(error: LedgerError) -> Trouble {
        Trouble::waiting(error.to_string())
    }
}

/// Runs what reads, writes and syncs on a thread that may block.
async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Trouble> {
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        Trouble::waiting("delivering broke off by a fault in this program, which is on stderr; please report it")
    })
}
