//! THE FLOW: from a source into the spool and the ledger, and back only a rename and a receipt.
//!
//! It works on batches of settled files: one big archive is a batch of one, hundreds of small ones are another, and the code
//! is the same. Trouble with one file stays with that file; trouble with the source, the disk or the ledger ends the turn,
//! leaves no trace, and the next turn tries again.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::config::resolve::{After, LimitSettings, SourceSettings};
use crate::ledger::listing::{Claim, Postponed, Seen};
use crate::ledger::outcome::{Action, Disposal, Judged, Outcome};
use crate::ledger::{Ledger, LedgerError, Stored, now};
use crate::source::{Source, SourceError, Stat};
use crate::spool::{Slice, Spool, SpoolError, Spooled, Wanted};

mod ends; // is the upload whole? the end of each zip, read first
mod look; // the listing: what is there, what has settled, in which order
mod put_away; // the receipt and the rename, safe to repeat
pub mod take_in; // reading an archive: what it comes to

pub use take_in::{Rules, take_in};

/// Requests of different files in flight at a time.
const FILES_IN_FLIGHT: usize = 64;

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
    /// The ledger.
    pub ledger: Ledger,
    /// The spool.
    pub spool: Spool,
    /// The directory whose disk must have room, and how many bytes of it.
    pub state_dir: (PathBuf, u64),
    /// Archives that are read at a time, over all sources.
    pub readers: Arc<Semaphore>,
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
    /// When the first of the files that were seen for the first time will have settled.
    pub settles_in: Option<Duration>,
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
}

enum Kind {
    /// To be downloaded and read. Its bytes, if they were read already.
    Archive(crate::archive::FeedName, Option<Vec<u8>>),
    /// Its name, its size or its end said enough.
    Unread(crate::verdict::Violation),
}

impl Intake {
    /// One turn of one source: finish what was begun, then take in what is new.
    pub async fn turn(&self, stop: &CancellationToken) -> Result<Turned, Trouble> {
        self.room_on_disk()?;
        // A rename whose reply was lost leaves a file that no listing will show: the ledger is asked first, the server second.
        let unmoved = self.ledger.unmoved(self.source.name(), now()).await?;
        self.put_away(unmoved).await?;

        let (settled, settles_in) = self.settled().await?;
        let mut turned = Turned {
            settles_in,
            ..Turned::default()
        };
        for batch in batches(settled) {
            if stop.is_cancelled() {
                break;
            }
            let whole = self.whole(batch).await?; // uploads that are complete
            let outcomes = self.read(whole).await?; // network → disk → what they come to
            let closed = self.close(outcomes).await?; // one commit
            turned.closed += closed.unmoved.len();
            turned.failed += closed.failed;
            self.put_away(closed.unmoved).await?; // receipt, rename, then say so
        }
        Ok(turned)
    }

    /// Claims a batch, brings it to the spool, and reads it.
    async fn read(&self, batch: Vec<Ready>) -> Result<Vec<(Outcome, Option<Spooled>)>, Trouble> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let claims = batch.iter().map(|ready| ready.claim.clone()).collect();
        let claimed_at = now();
        let ids = self.ledger.claim(self.source.name(), claims, claimed_at).await?;
        let result = self.fetch_and_read(&ids, batch, claimed_at).await;
        let (outcomes, postponed) = match result {
            Ok(read) => read,
            Err(trouble) => {
                self.ledger.unclaim(ids).await?;
                return Err(trouble);
            }
        };
        let kept: Vec<i64> = outcomes.iter().map(|(outcome, _)| outcome.id).collect();
        self.ledger
            .unclaim(ids.into_iter().filter(|id| !kept.contains(id)).collect())
            .await?;
        self.ledger.postpone(self.source.name(), postponed).await?;
        Ok(outcomes)
    }

    async fn fetch_and_read(
        &self,
        ids: &[i64],
        mut batch: Vec<Ready>,
        claimed_at: i64,
    ) -> Result<(Vec<(Outcome, Option<Spooled>)>, Vec<Postponed>), Trouble> {
        let wanted = batch.iter_mut().filter_map(wanted).collect();
        let mut fetched = self.spool.fetch(&*self.source, wanted).await.into_iter();
        let unchanged = self.unchanged(&batch).await?;
        let mut to_read = Vec::new();
        let mut postponed = Vec::new();
        let mut in_vain = Vec::new();
        for ((id, ready), unchanged) in ids.iter().zip(batch).zip(unchanged) {
            let spooled = match (&ready.kind, unchanged) {
                (Kind::Unread(_), _) => None,
                (Kind::Archive(..), unchanged) => match fetched.next() {
                    // Somebody wrote to it while it was read: the next listing shows what is there now.
                    Some(Ok(spooled)) if !unchanged => {
                        in_vain.push(spooled);
                        continue;
                    }
                    Some(Err(SpoolError::Short { .. })) if !unchanged => continue,
                    Some(Ok(spooled)) => Some(spooled),
                    Some(Err(error)) => {
                        postponed.push(self.after_trouble(&ready, error)?);
                        continue;
                    }
                    None => continue,
                },
            };
            to_read.push((*id, ready, spooled));
        }
        self.let_go(in_vain).await?;
        let permit = self.readers.acquire().await;
        let rules = Rules::of(&self.settings, &self.limits);
        let spool_dir = self.spool.dir().to_owned();
        let disposals: Vec<Disposal> = to_read
            .iter()
            .map(|(_, ready, _)| self.disposal(ready, claimed_at))
            .collect();
        let reading = tokio::task::spawn_blocking(move || {
            let mut outcomes = Vec::with_capacity(to_read.len());
            for ((id, ready, spooled), disposal) in to_read.into_iter().zip(disposals) {
                let judged = match ready.kind {
                    Kind::Unread(violation) => Judged::unread(violation),
                    Kind::Archive(name, _) => match &spooled {
                        Some(spooled) => judge(&spool_dir, &spooled.stored, &name, &rules)?,
                        None => continue,
                    },
                };
                let outcome = Outcome {
                    id,
                    sha256: spooled.as_ref().map(|spooled| spooled.sha256),
                    stored: spooled.as_ref().map(|spooled| spooled.stored.clone()),
                    judged,
                    disposal,
                    imported_at: claimed_at,
                };
                outcomes.push((outcome, spooled));
            }
            Ok(outcomes)
        });
        let outcomes = reading
            .await
            .unwrap_or_else(|_| Err(io::Error::other("the reading thread stopped")));
        drop(permit);
        let doing = || "reading an archive in the spool".to_owned();
        Ok((
            outcomes.map_err(|source| Trouble::Disk { doing: doing(), source })?,
            postponed,
        ))
    }

    /// Removes from the spool what was fetched in vain, unless an import or another of the batch needs the same file.
    async fn let_go(&self, spooled: Vec<Spooled>) -> Result<(), Trouble> {
        if spooled.is_empty() {
            return Ok(());
        }
        let files = spooled.iter().map(|spooled| spooled.stored.file.clone()).collect();
        drop(spooled);
        let unused = self.ledger.unused(files).await?;
        self.remove_from_spool(&unused)
    }

    fn remove_from_spool(&self, files: &[String]) -> Result<(), Trouble> {
        for file in files {
            let doing = || format!("removing `{file}` from the spool");
            self.spool
                .remove(file)
                .map_err(|source| Trouble::Disk { doing: doing(), source })?;
        }
        Ok(())
    }

    /// For each of a batch, whether its size and mtime are still what was listed.
    async fn unchanged(&self, batch: &[Ready]) -> Result<Vec<bool>, SourceError> {
        let seen = |ready: &Ready| matches!(ready.kind, Kind::Archive(..)).then(|| ready.claim.seen.clone());
        let looks = stream::iter(batch.iter().map(seen).collect::<Vec<_>>()).map(|seen| async move {
            let Some(seen) = seen else { return Ok(true) };
            match self.source.stat(&seen.name).await {
                Ok(stat) => Ok(stat == Some(stat_of(&seen))),
                // What cannot be looked at is told by the reading itself.
                Err(error) if error.is_about_the_file() => Ok(false),
                Err(error) => Err(error),
            }
        });
        let looks: Vec<Result<bool, SourceError>> = looks.buffered(FILES_IN_FLIGHT).collect().await;
        looks.into_iter().collect()
    }

    /// Records a batch, and lets go of what the spool need not keep.
    async fn close(&self, read: Vec<(Outcome, Option<Spooled>)>) -> Result<crate::ledger::Closed, Trouble> {
        if read.is_empty() {
            return Ok(crate::ledger::Closed::default());
        }
        let (outcomes, spooled): (Vec<_>, Vec<_>) = read.into_iter().unzip();
        let closed = self.ledger.close(self.source.name(), outcomes, now()).await?;
        // The pins go only now: the ledger refers to what it needs.
        drop(spooled);
        self.remove_from_spool(&closed.unused)?;
        self.committed.notify_waiters();
        Ok(closed)
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

    /// Trouble with one file: it waits, longer each time, and the others go on. Other trouble is handed on.
    fn after_trouble(&self, ready: &Ready, error: SpoolError) -> Result<Postponed, Trouble> {
        match error {
            SpoolError::Source(error) if !error.is_about_the_file() => Err(error.into()),
            SpoolError::Disk { doing, source } => Err(Trouble::Disk { doing, source }),
            error => Ok(postponed(&ready.claim.seen.name, ready.attempts, error.to_string())),
        }
    }

    /// Intake pauses before the disk is full: an import needs room for its archive and for the ledger.
    fn room_on_disk(&self) -> Result<(), Trouble> {
        let (dir, free_min) = &self.state_dir;
        let doing = || format!("looking at the free space of `{}`", dir.display());
        let stats = rustix::fs::statvfs(dir).map_err(|error| Trouble::Disk {
            doing: doing(),
            source: error.into(),
        })?;
        let free = stats.f_bavail.saturating_mul(stats.f_frsize);
        if free < *free_min {
            let free = bytesize::ByteSize(free).display().iec();
            let wanted = bytesize::ByteSize(*free_min).display().iec();
            let problem = format!("only {free} is free, intake pauses below {wanted} (spool.free_min); make room");
            return Err(Trouble::Disk {
                doing: doing(),
                source: io::Error::new(io::ErrorKind::StorageFull, problem),
            });
        }
        Ok(())
    }
}

/// Splits what has settled into batches: of many small archives, or of one large one.
fn batches(ready: Vec<Ready>) -> Vec<Vec<Ready>> {
    let mut batches: Vec<Vec<Ready>> = Vec::new();
    let mut bytes = 0;
    for one in ready {
        // What is not downloaded weighs nothing.
        let size = if matches!(one.kind, Kind::Archive(..)) {
            one.claim.seen.size
        } else {
            0
        };
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_FILES_MAX && bytes + size <= BATCH_BYTES_MAX => {
                bytes += size;
                batch.push(one);
            }
            _ => {
                bytes = size;
                batches.push(vec![one]);
            }
        }
    }
    batches
}

/// Reads one archive in the spool.
fn judge(
    spool_dir: &std::path::Path,
    stored: &Stored,
    name: &crate::archive::FeedName,
    rules: &Rules,
) -> io::Result<Judged> {
    let archive = Slice::open(spool_dir, stored)?;
    take_in(archive, stored.len, name, rules, &mut |_, _| true)
}

/// What is to be downloaded of it, if anything.
fn wanted(ready: &mut Ready) -> Option<Wanted> {
    let Kind::Archive(_, whole) = &mut ready.kind else {
        return None;
    };
    Some(Wanted {
        path: ready.claim.seen.name.clone(),
        size: ready.claim.seen.size,
        whole: whole.take(),
    })
}

fn stat_of(seen: &Seen) -> Stat {
    Stat {
        size: seen.size,
        mtime: seen.mtime,
    }
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
