//! THE FLOW: from a source into the spool and the ledger, and back only a rename and a receipt.
//!
//! It works on batches of settled files: one big archive is a batch of one, hundreds of small ones are another, and the code
//! is the same. Trouble with one file stays with that file; trouble with the source, the disk or the ledger ends the turn,
//! leaves no trace of what was not recorded by then, and the next turn tries again.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::resolve::{After, DefinitionSettings, LimitSettings, SourceSettings};
use crate::ledger::listing::{Claim, Postponed};
use crate::ledger::outcome::{Action, Disposal, Outcome};
use crate::ledger::{Ledger, LedgerError, now};
use crate::source::{Source, SourceError};
use crate::spool::{Known, Spool, Spooled};
use crate::unique::{Unique, UniqueError};

mod doubt; // when a look proves less than it seems
mod ends; // is the upload whole? the end of each zip, read first
mod flow; // the stages of a turn, side by side
mod keys_again; // unique keys that were lost, read again from the spool
mod look; // the listing: what is there, what has settled, in which order
mod meanwhile; // a large archive, read while it arrives
mod pairs; // the two files of a user feed, and which are read
mod put_away; // the receipt and the rename, safe to repeat
mod read; // network → disk → what the archives come to
mod rejected_set; // which entries were rejected, kept small
pub mod take_in; // reading an archive: what it comes to
pub mod take_in_users; // reading a user feed's two files
mod unique; // what came before is found out before an import is closed
mod unpacking; // the data file, unpacked and hashed by threads beside its reader
mod user_feed; // the user feed runs first

pub use meanwhile::Readers;
pub use take_in::{Rules, take_in};
pub use unique::{key_of, order_key_of, seen_within};
use user_feed::Turn;

/// Files whose requests are in flight at a time, at each stage; the line bounds what they may have in flight together. At
/// 20 ms of round trip, 64 of them carry 900 small archives a second through one stage, and no more.
const FILES_IN_FLIGHT: usize = 256;

/// Most files in one batch.
const BATCH_FILES_MAX: usize = 256;

/// Most bytes of archives in a batch of more than one. They are in memory while they are on their way to a segment.
const BATCH_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// First wait after trouble with one file; it doubles up to [`FILE_BACKOFF_MAX`].
const FILE_BACKOFF_MIN: Duration = Duration::from_secs(5);

/// Longest wait after trouble with one file.
const FILE_BACKOFF_MAX: Duration = Duration::from_secs(300);

/// One source, and where its archives go.
pub struct Intake {
    /// The source.
    pub source: Arc<dyn Source>,
    /// What was configured for it.
    pub settings: SourceSettings,
    /// Bounds on archives and on work.
    pub limits: LimitSettings,
    /// What events must look like.
    pub definitions: DefinitionSettings,
    /// The ledger.
    pub ledger: Ledger,
    /// The spool.
    pub spool: Spool,
    /// The unique keys of everything imported.
    pub unique: Unique,
    /// The directory whose disk must have room, and how many bytes of it.
    pub state_dir: (PathBuf, u64),
    /// Archives that are read at a time, over all sources.
    pub readers: Readers,
    /// Told when something was committed.
    pub committed: Arc<Notify>,
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turned {
    /// Archives that got their outcome.
    pub closed: usize,
    /// Of these, failed ones.
    pub failed: usize,
    /// Archives that could not be put away.
    pub pending: usize,
    /// When the first of the files that were seen for the first time will have settled.
    pub settles_in: Option<Duration>,
    /// When the first of all that are to settle will have.
    pub look_in: Option<Duration>,
}

/// Why a turn ended early. None of it is an archive's fault.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The unique keys.
    #[error(transparent)]
    Unique(#[from] UniqueError),
    /// The local disk.
    #[error("{doing}: {source}")]
    Disk {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

/// A file that may be taken up, and what is known of it before it is downloaded.
struct Ready {
    claim: Claim,
    /// Since when its size and mtime are what they are.
    changed_at: i64,
    kind: Kind,
    attempts: u32,
    /// SHA-256 of the archive that it was when it failed, if it is looked at once more though it seems unchanged.
    failed_before: Option<[u8; 32]>,
    /// Whether it waits for a user feed.
    turn: Turn,
}

enum Kind {
    /// To be downloaded and read: an archive, or a file of a user feed.
    Archive(crate::archive::FeedName, Known),
    /// Its name or its size said enough.
    Unread(crate::verdict::Violation),
    /// A file of a user feed, and a newer one has been taken in.
    Superseded,
}

impl Intake {
    /// One turn of one source: finish what was begun, then take in what is new.
    pub async fn turn(&self, stop: &CancellationToken) -> Result<Turned, Trouble> {
        self.room_on_disk()?;
        // A rename whose reply was lost leaves a file that no listing will show: the ledger is asked first, the server second.
        let unmoved = self.ledger.unmoved(self.source.name(), now()).await?;
        let before = self.put_away(unmoved).await?;

        let mut root = self.settled().await?;
        let (first, pending) = self.user_feeds_first(&mut root, stop).await?;
        let (settles_in, look_in) = (root.settles_in, root.look_in_while(pending.as_ref()));
        let turned = self.take_up(batches(self.ready(root, pending)), stop).await?;
        Ok(Turned {
            closed: first.closed + turned.closed,
            failed: first.failed + turned.failed,
            pending: before + first.pending + turned.pending,
            settles_in,
            look_in,
        })
    }

    /// Records a batch, and lets go of what the spool need not keep.
    async fn close(&self, read: Vec<(Outcome, Option<Spooled>)>) -> Result<crate::ledger::Closed, Trouble> {
        if read.is_empty() {
            return Ok(crate::ledger::Closed::default());
        }
        let (outcomes, spooled): (Vec<_>, Vec<_>) = read.into_iter().unzip();
        let files = spooled
            .iter()
            .flatten()
            .map(|spooled| spooled.stored.file.clone())
            .collect();
        let closed = match outcomes.iter().all(|outcome| outcome.judged.keys.is_empty()) {
            true => self.ledger.close(self.source.name(), outcomes, now()).await?,
            false => self.close_by_keys(outcomes).await?,
        };
        if let Err(error) = self.spool.belongs_to(closed.seq) {
            // It says less than it could, until the next one: no reason to leave what is committed.
            tracing::warn!(%error, "it cannot be noted beside the spool how far the ledger has got");
        }
        // The pins go only now: the ledger refers to what it needs.
        drop(spooled);
        self.let_go(files).await?;
        self.committed.notify_waiters();
        Ok(closed)
    }

    /// Removes spool files unless an import refers to them, or somebody is about to.
    async fn let_go(&self, files: Vec<String>) -> Result<(), Trouble> {
        if files.is_empty() {
            return Ok(());
        }
        let question = self.spool.ask();
        for file in self.ledger.unused(files).await? {
            let doing = || format!("removing `{file}` from the spool");
            self.spool
                .remove(&file, &question)
                .map_err(|source| Trouble::Disk { doing: doing(), source })?;
        }
        Ok(())
    }

    /// What happens to an archive on the source afterwards.
    fn disposal(&self, ready: &Ready, claimed_at: i64) -> Disposal {
        let name = &ready.claim.seen.name;
        let at = ready.claim.named_at.unwrap_or(claimed_at);
        let into = |dir: &str| Action::Move(format!("{}/{name}", dated(dir, at)));
        Disposal {
            good: match self.settings.after {
                After::Move => into(&self.settings.processed_dir),
                After::Delete => Action::Delete,
                After::Leave => Action::Leave,
            },
            failed: self.settings.failed_dir.as_deref().map_or(Action::Leave, into),
            receipt: self.settings.receipts,
        }
    }

    /// Intake pauses before the disk is full: an import needs room for its archive and for the ledger.
    fn room_on_disk(&self) -> Result<(), Trouble> {
        let free = self.free_bytes()?;
        if free < self.state_dir.1 {
            return Err(Trouble::Disk {
                doing: self.looking_for_room(),
                source: io::Error::new(io::ErrorKind::StorageFull, self.too_little(free, "intake pauses")),
            });
        }
        Ok(())
    }

    /// An archive that would leave too little room waits, and smaller ones go on: with the disk filled to the brim by its first
    /// half nobody could note anything any more, and the half would be fetched again with every try.
    fn without_room(&self, ready: &Ready, free: u64) -> Option<Postponed> {
        let size = match ready.kind {
            Kind::Archive(..) => ready.claim.seen.size,
            Kind::Unread(_) | Kind::Superseded => 0,
        };
        // Small ones are what the room below the limit is for.
        if size <= BATCH_BYTES_MAX || free >= size.saturating_add(self.state_dir.1) {
            return None;
        }
        let has = bytesize::ByteSize(size).display().iec();
        let problem = self.too_little(free, &format!("the archive has {has}, and would take it"));
        let waiting = format!("{}: {problem}", self.looking_for_room());
        Some(postponed(&ready.claim.seen.name, ready.attempts, waiting))
    }

    fn free_bytes(&self) -> Result<u64, Trouble> {
        let stats = rustix::fs::statvfs(&self.state_dir.0).map_err(|error| Trouble::Disk {
            doing: self.looking_for_room(),
            source: error.into(),
        })?;
        Ok(stats.f_bavail.saturating_mul(stats.f_frsize))
    }

    fn looking_for_room(&self) -> String {
        format!("looking at the free space of `{}`", self.state_dir.0.display())
    }

    fn too_little(&self, free: u64, what: &str) -> String {
        let free = bytesize::ByteSize(free).display().iec();
        let wanted = bytesize::ByteSize(self.state_dir.1).display().iec();
        format!("only {free} is free, {what} below {wanted} (spool.free_min); make room")
    }
}

/// Splits what has settled into batches: of many small archives, or of one large one.
fn batches(ready: impl Iterator<Item = Ready>) -> impl Iterator<Item = Vec<Ready>> {
    // What is not downloaded weighs nothing.
    let weight = |ready: &Ready| match ready.kind {
        Kind::Archive(..) => ready.claim.seen.size,
        Kind::Unread(_) | Kind::Superseded => 0,
    };
    let mut ready = ready.peekable();
    std::iter::from_fn(move || {
        let mut batch = vec![ready.next()?];
        let mut bytes = weight(&batch[0]);
        while batch.len() < BATCH_FILES_MAX
            && let Some(one) = ready.next_if(|one| bytes + weight(one) <= BATCH_BYTES_MAX)
        {
            bytes += weight(&one);
            batch.push(one);
        }
        Some(batch)
    })
}

/// A file that waits after trouble of its own.
fn postponed(name: &str, attempts: u32, waiting: String) -> Postponed {
    let wait = backoff(attempts, FILE_BACKOFF_MIN, FILE_BACKOFF_MAX);
    Postponed {
        name: name.to_owned(),
        waiting,
        look_at: Some(now() + millis(wait)),
        attempts: attempts.saturating_add(1),
    }
}

/// The wait after so many attempts in vain: doubling, with up to a fifth of jitter, so that many do not come back at once.
pub fn backoff(attempts: u32, min: Duration, max: Duration) -> Duration {
    let doubled = min.saturating_mul(1 << attempts.min(16)).min(max);
    doubled.mul_f64(0.8 + 0.2 * fastrand::f64())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Fills the date of `at` (UTC milliseconds) into a directory's name.
fn dated(dir: &str, at: i64) -> String {
    if !dir.contains('{') {
        return dir.to_owned();
    }
    let time = chrono::DateTime::from_timestamp_millis(at).unwrap_or_default();
    dir.replace("{yyyy}", &time.format("%Y").to_string())
        .replace("{mm}", &time.format("%m").to_string())
        .replace("{dd}", &time.format("%d").to_string())
}
