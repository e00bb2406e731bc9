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
use crate::definition::Definitions;
use crate::destination::Reply;
use crate::events::EventsError;
use crate::ledger::{self, Cursor, DestinationState, Import, Ledger, LedgerError, Standing};
pub use open::registration;

use courier::Courier;
use desk::Desk;
use pace::{Failure, Pace};
use rate::Rate;
use stint::Worker;

mod ahead; // reading ahead for a receiver
mod courier; // a receiver at work
mod desk; // the thread that its work is done on
mod frozen; // the definitions that imports were held against
mod lookup; // what an entry lacks, and its receiver cannot do without
mod narrow; // which events of a parcel are at fault
mod open;
pub mod pace;
mod parcel; // events that are sent together, and what became of each
mod rate; // how fast it goes
mod reader;
mod receivers; // the turn of a destination that is sent events
mod settling; // what follows from a call
mod stint;
mod stores; // the turn of a destination that keeps events
mod unsaid; // what a receiver said, without what is sensitive

/// Imports that are looked up at a time, and at most taken into one stint: small ones share a commit.
const IMPORTS_MAX: usize = 256;

/// An idle destination looks by itself after this long, should another process have imported something.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// A destination that waits asks the ledger this often whether somebody ran `feedgate retry`.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Longest wait for a time, in milliseconds: what a receiver may ask for, a day, and a minute more. What lies further ahead was
/// reckoned before somebody set the clock back.
const WAIT_MAX_MS: i64 = (24 * 60 + 1) * 60 * 1_000;

/// After so long, one that waits for somebody looks whether it is to wait on.
const LOOK_UP: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Not before somebody asks.
const NEVER: i64 = i64::MAX;

/// One destination's deliveries.
pub struct Delivery {
    ledger: Ledger,
    spool_dir: PathBuf,
    settings: DestinationSettings,
    clock: Clock,
    desk: Arc<Desk>,
    /// `None` until the first attempt, and after most that failed: a destination is opened anew then.
    hand: Option<Hand>,
    pace: Pace,
    rate: Rate,
    /// What the ledger was told last.
    noted: Option<(Cursor, Standing)>,
    /// The destination stood elsewhere than was thought, and nothing was delivered since.
    moved: bool,
    /// Definitions that imports were held against, the last few.
    frozen: Vec<Arc<Definitions>>,
    /// Events delivered since this began.
    delivered: u64,
    /// Parcels in a row that were refused whole.
    refused_parcels: u32,
    /// Events delivered by parcels and not said yet, and when some were said last.
    unsaid: (u64, Option<Instant>),
}

/// Tells the time, in UTC milliseconds.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// A destination at work.
enum Hand {
    Store(Box<Worker>),
    Receiver(Box<Courier>),
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
    /// All is well; the budget allows the next call at this time, UTC milliseconds.
    Paced { until: i64 },
}

/// Why a turn failed.
struct Trouble {
    state: DestinationState,
    reason: String,
    /// When the destination wants to be tried again, if it said so, UTC milliseconds.
    not_before: Option<i64>,
}

impl Delivery {
    /// Deliveries to one destination, of what the ledger knows and the spool holds.
    pub fn new(ledger: Ledger, spool_dir: PathBuf, settings: DestinationSettings) -> Delivery {
        Delivery {
            ledger,
            spool_dir,
            settings,
            clock: Arc::new(ledger::now),
            desk: Arc::default(),
            hand: None,
            pace: Pace::default(),
            rate: Rate::default(),
            noted: None,
            moved: false,
            frozen: Vec::new(),
            delivered: 0,
            refused_parcels: 0,
            unsaid: (0, None),
        }
    }

    /// Goes by another clock than the system's.
    pub fn with_clock(self, clock: Clock) -> Delivery {
        Delivery { clock, ..self }
    }

    fn now(&self) -> i64 {
        (self.clock)()
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
                        () = tokio::time::sleep(self.look_again()) => {}
                        () = more => {}
                    }
                }
                Turn::Wait { until, .. } | Turn::Paced { until } => {
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
                Turn::Paced { until } => {
                    self.say_paced(until);
                    break;
                }
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
        let hand = match self.hand.take() {
            Some(hand) => hand,
            None => self.open().await?,
        };
        match hand {
            Hand::Store(worker) => self.store_turn(worker, stop).await,
            Hand::Receiver(courier) => self.receiver_turn(courier).await,
        }
    }

    /// An import cannot be read again. The destination is behind, and says so, until somebody asks for another delivery:
    /// then this says how it stands, and the import may be passed over.
    async fn leave_to_pass(&mut self, import: &Import, error: &EventsError) -> Result<Standing, Trouble> {
        let row = self.ledger.destination(&self.settings.name).await?;
        let asked = row
            .map(|row| row.standing)
            .filter(|standing| standing.state == DestinationState::Behind && standing.retry_at.is_some());
        let Some(standing) = asked else {
            return Err(self.behind(import, error).await?);
        };
        warn!(
            destination = self.settings.name,
            import = import.id,
            archive = import.archive,
            events = import.accepted,
            reason = %error,
            "passed over a gap, as was asked for"
        );
        Ok(standing)
    }

    /// Names the gap, and how to go on.
    async fn behind(&mut self, import: &Import, error: &EventsError) -> Result<Trouble, LedgerError> {
        let gap = match error {
            EventsError::Pruned { .. } => {
                self.ledger
                    .gap(import.seq, &self.settings.name, self.settings.sources.clone())
                    .await?
            }
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
            not_before: None,
        })
    }

    /// Tells the ledger, if there is anything to tell.
    async fn record(&mut self, cursor: Cursor, delivered: u64, standing: Standing) -> Result<(), LedgerError> {
        self.delivered += delivered;
        let noted = Some((cursor, standing.clone()));
        if delivered == 0 && self.noted == noted {
            return Ok(());
        }
        let now = self.now();
        let rate = match delivered {
            0 => None,
            _ => self.rate.delivered(delivered, now),
        };
        self.ledger
            .advance(&self.settings.name, cursor, delivered, standing, rate, now)
            .await?;
        self.noted = noted;
        Ok(())
    }

    /// Counts a failure, writes it down, says it where it is worth saying, and tells when to try again.
    async fn failed(&mut self, trouble: Trouble) -> Turn {
        let failure = match trouble.state {
            DestinationState::Barred | DestinationState::Behind => Failure::Barred,
            _ => Failure::Unavailable,
        };
        let mut next = self.pace.failed(failure, self.now(), fastrand::f64());
        next.retry_at = trouble.not_before.unwrap_or(next.retry_at);
        let waits_for_somebody = trouble.state == DestinationState::Behind || next.retry_at == NEVER;
        let retry_at = (!waits_for_somebody).then_some(next.retry_at);
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
            .note(&self.settings.name, standing.clone(), self.now())
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

    /// Returns at the time of the next try, or sooner if somebody asked for it. Told once by the clock, the wait is no longer
    /// for that: somebody may set the clock back meanwhile.
    async fn wait(&mut self, until: i64) {
        let wait = match until.saturating_sub(self.now()) {
            _ if until == NEVER => LOOK_UP,
            wait if wait > WAIT_MAX_MS => return,
            wait => Duration::from_millis(u64::try_from(wait).unwrap_or(0)),
        };
        let over = tokio::time::Instant::now() + wait;
        while self.now() < until && tokio::time::Instant::now() < over {
            let left = over.saturating_duration_since(tokio::time::Instant::now());
            tokio::time::sleep(left.min(ASK_AGAIN)).await;
            let row = self.ledger.destination(&self.settings.name).await;
            let asked = row.is_ok_and(|row| {
                row.and_then(|row| row.standing.retry_at)
                    .is_some_and(|at| at <= self.now())
            });
            if asked {
                return;
            }
        }
    }

    /// Runs what reads, writes and syncs on a thread that may block.
    fn off_the_runtime<T, W>(&self, work: W) -> impl Future<Output = Result<T, Trouble>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        let desk = Arc::clone(&self.desk);
        async move {
            // The runtime's thread only waits: it is how the runtime knows that something is being done.
            let done = tokio::task::spawn_blocking(move || desk.run(work)).await;
            done.ok().and_then(Result::ok).ok_or_else(|| {
                Trouble::waiting(
                    "delivering broke off by a fault in this program, which is on stderr; please report it",
                )
            })
        }
    }

    /// An idle destination looks by itself after this long.
    fn look_again(&self) -> Duration {
        match self.hand {
            // Somebody may ask for its dead letters, or they may be due.
            Some(Hand::Receiver(_)) => ASK_AGAIN,
            _ => LOOK_AGAIN,
        }
    }

    fn succeeded(&mut self) {
        if let Some(over) = self.pace.succeeded(self.now()) {
            info!(
                destination = self.settings.name,
                attempts = over.attempts,
                elapsed_ms = over.lasted_ms,
                "delivering again"
            );
        }
    }

    fn say_failed(&self, trouble: &Trouble, next: pace::Next) {
        let (destination, reason) = (&self.settings.name, &trouble.reason);
        let retry_in_ms = next.retry_at - self.now();
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

impl Trouble {
    fn waiting(reason: impl Into<String>) -> Trouble {
        Trouble {
            state: DestinationState::Waiting,
            reason: reason.into(),
            not_before: None,
        }
    }

    fn barred(reason: impl Into<String>) -> Trouble {
        Trouble {
            state: DestinationState::Barred,
            reason: reason.into(),
            not_before: None,
        }
    }

    fn of_reply(reply: Reply) -> Trouble {
        match reply {
            Reply::Barred { reason } => Trouble::barred(reason),
            Reply::Unavailable { reason } => Trouble::waiting(reason),
            // Opening answers with neither of these.
            Reply::Held | Reply::Underway | Reply::Durable(_) => Trouble::waiting("the destination did not open"),
        }
    }
}

impl From<LedgerError> for Trouble {
    fn from(error: LedgerError) -> Trouble {
        Trouble::waiting(error.to_string())
    }
}
