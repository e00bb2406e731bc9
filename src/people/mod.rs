//! Who the events are about: read from what was imported, in the order of commit and then of index.
//!
//! A [`Follower`] of the log, as a destination is one: it has a cursor of its own, in the ledger, which moves in the transaction
//! that writes down what the entries before it came to. Killed anywhere, it goes on where it was. It reads some thousand
//! entries at a time, and holds nobody up meanwhile.
//!
//! It runs where something needs it: a destination that knows people by what entries lack, a user feed, or `[people] keep`.
//! Where nothing does, a feed costs nothing here; `feedgate people` reads on by itself.
//!
//! What cannot be read any more is a gap, named and passed over: of people it is better to know most than to wait for all.
//!
//! | in reading order | |
//! |---|---|
//! | `read` | what imports say of people |
//! | `circle` | the cases: who is meant, who is new, who is one with another, what clashes |

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::events::EventsError;
use crate::ledger::people::{Clash, Heard, PeopleReading, Who};
use crate::ledger::{Cursor, Import, Ledger, LedgerError, now};

mod circle;
mod read;

pub use circle::{Circle, Said};

use read::Pages;

/// Imports that are looked up at a time: small ones share a transaction.
const IMPORTS_MAX: usize = 256;

/// One that has nothing to read looks by itself after this long, should another process have imported something.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Where people are not kept, whether they are to be is looked up at most this often.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// First and longest wait after something failed.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// Clashes are said once in this time.
const SAY_AGAIN: Duration = Duration::from_secs(1);

/// Reads people from what was imported.
pub struct Follower {
    ledger: Ledger,
    /// `None` while it is at work on another thread, and after that went wrong.
    pages: Option<Pages>,
    spool_dir: PathBuf,
    /// Imports ahead, as the ledger said last, and whether each is a user feed.
    imports: Vec<(Arc<Import>, bool)>,
    /// What had been asked of all who read on, and done, before these were looked up and any of them was opened.
    asked: (i64, i64),
    unsaid: Unsaid,
}

/// Clashes that were not said yet.
#[derive(Default)]
struct Unsaid {
    clashes: u64,
    first: Option<(i64, u64, &'static str)>,
    said: Option<Instant>,
}

/// How far it is after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many more entries were heard; there may be more.
    Heard(usize),
    /// Everything is read.
    Done,
    /// Nobody needs people.
    NotKept,
}

/// Why reading does not go on.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The ledger's trouble.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The spool's, for now.
    #[error(transparent)]
    Spool(#[from] EventsError),
    /// Our own.
    #[error("reading people broke off by a fault in this program, which is on stderr; please report it")]
    BrokenOff,
}

impl Follower {
    /// Reads nothing yet.
    pub fn new(ledger: Ledger, spool_dir: &Path) -> Follower {
        Follower {
            ledger,
            pages: None,
            spool_dir: spool_dir.to_owned(),
            imports: Vec::new(),
            asked: (0, 0),
            unsaid: Unsaid::default(),
        }
    }

    /// Reads as long as people are kept, until told to stop. `committed` is notified whenever something was imported, and by
    /// this whenever people were read: deliveries wait for that.
    pub async fn run(mut self, committed: Arc<Notify>, stop: CancellationToken) {
        let mut attempts = 0;
        while !stop.is_cancelled() {
            // Listening begins before the step looks, so that what commits meanwhile is looked for again.
            let more = committed.notified();
            tokio::pin!(more);
            more.as_mut().enable();
            let step = self.step_if_kept().await;
            if step.is_ok() && attempts > 0 {
                info!(attempts, "reading people again");
                attempts = 0;
            }
            let wait = match step {
                Ok(Step::Heard(_)) => {
                    committed.notify_waiters();
                    continue;
                }
                Ok(Step::Done) => LOOK_AGAIN,
                Ok(Step::NotKept) => {
                    sleep(ASK_AGAIN, &stop).await;
                    LOOK_AGAIN
                }
                Err(error) => {
                    self.failed(&error, attempts).await;
                    let wait = BACKOFF.0.saturating_mul(1 << attempts.min(10)).min(BACKOFF.1);
                    attempts = attempts.saturating_add(1);
                    sleep(wait, &stop).await;
                    continue;
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                () = more => {}
            }
        }
    }

    /// Reads all there is, if people are kept.
    pub async fn once(&mut self, stop: &CancellationToken) -> Result<(), PeopleError> {
        while !stop.is_cancelled() {
            if let Step::Done | Step::NotKept = self.step_if_kept().await? {
                break;
            }
        }
        Ok(())
    }

    /// Reads the next entries, whether or not people are kept.
    pub async fn step(&mut self) -> Result<Step, PeopleError> {
        let reading = self.ledger.people_reading().await?;
        self.step_from(reading).await
    }

    async fn step_if_kept(&mut self) -> Result<Step, PeopleError> {
        let reading = self.ledger.people_reading().await?;
        if !reading.kept {
            return Ok(Step::NotKept);
        }
        self.step_from(reading).await
    }

    async fn step_from(&mut self, reading: PeopleReading) -> Result<Step, PeopleError> {
        let at = reading.at;
        if reading.asked != self.asked {
            self.look_anew();
            self.asked = reading.asked;
        }
        self.imports.retain(|(import, _)| import.end() > at);
        if self.imports.is_empty() {
            let ahead = self.ledger.people_ahead(at, IMPORTS_MAX).await?;
            let shared = |(import, is_users)| (Arc::new(import), is_users);
            self.imports = ahead.imports.into_iter().map(shared).collect();
            if self.imports.is_empty() {
                return self.rest(reading, ahead.end).await;
            }
        }
        let page = match self.read(at).await? {
            Ok(page) => page,
            Err((_, error)) if error.is_transient() => return Err(error.into()),
            Err((import, error)) => {
                if !self.ledger.people_pass_over(&import).await? {
                    self.look_anew();
                    return Ok(Step::Heard(0));
                }
                warn!(
                    import = import.id,
                    archive = import.archive,
                    entries = import.entries,
                    reason = %error,
                    "people are read without this import"
                );
                return Ok(Step::Heard(0));
            }
        };
        let who: Vec<Who> = page.said.iter().flat_map(Said::who).collect();
        let concerned = self.ledger.concerned(who).await?;
        // Somebody else reads too, and was quicker: `feedgate people`, say. Or somebody was erased since the page was read.
        if (concerned.reading.at, concerned.reading.asked) != (at, self.asked) {
            return Ok(Step::Heard(0));
        }
        let mut circle = Circle::of(concerned);
        page.said.iter().for_each(|said| circle.hear(said));
        let heard = circle.end(page.end);
        let clashes = heard.clashes.clone();
        if !self.ledger.hear(heard, now()).await? {
            return Ok(Step::Heard(0));
        }
        self.unsaid.add(&clashes);
        Ok(Step::Heard(page.said.len()))
    }

    /// Nothing is left to read: the cursor goes behind what speaks of nobody.
    async fn rest(&mut self, reading: PeopleReading, end: Cursor) -> Result<Step, PeopleError> {
        self.unsaid.say();
        if reading.at >= end {
            return Ok(Step::Done);
        }
        let nothing = Heard {
            from: reading.at,
            changes: reading.changes,
            asked: reading.asked,
            to: end,
            ..Heard::default()
        };
        self.ledger.hear(nothing, now()).await?;
        Ok(Step::Heard(0))
    }

    /// Forgets what the ledger said is ahead, and what is open of it: an old spool file is read on though it is removed.
    fn look_anew(&mut self) {
        self.imports.clear();
        self.pages = None;
    }

    async fn read(&mut self, at: Cursor) -> Result<Result<read::Page, read::Unreadable>, PeopleError> {
        let mut pages = self.pages.take().unwrap_or_else(|| Pages::new(&self.spool_dir));
        let imports = self.imports.clone();
        let work = tokio::task::spawn_blocking(move || {
            let page = pages.next(&imports, at);
            (pages, page)
        });
        let (pages, page) = work.await.map_err(|_| PeopleError::BrokenOff)?;
        self.pages = Some(pages);
        Ok(page)
    }

    /// Says why reading does not go on, once, and writes it down.
    async fn failed(&mut self, why: &PeopleError, attempts: u32) {
        if attempts > 0 {
            return;
        }
        error!(error = %why, "people cannot be read for now; it is tried again");
        if let Err(error) = self.ledger.people_trouble(Some(why.to_string())).await {
            tracing::debug!(%error, "the failure is not written down");
        }
    }
}

impl Unsaid {
    fn add(&mut self, clashes: &[Clash]) {
        let Some(first) = clashes.first() else { return };
        self.clashes += clashes.len() as u64;
        self.first
            .get_or_insert((first.place.import, first.place.index, first.what.as_str()));
        if self.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
            self.say();
        }
    }

    /// Says it, without whom they are about: `feedgate people --clashes` does that.
    fn say(&mut self) {
        let Some((import, index, what)) = self.first.take() else {
            return;
        };
        warn!(
            clashes = self.clashes,
            import, index, what, "entries clash with what is known of people; nothing was changed by them"
        );
        (self.clashes, self.said) = (0, Some(Instant::now()));
    }
}

async fn sleep(time: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}
