//! The user feed runs first: people are known before their events.
//!
//! An event whose person is only named by an id, or only by an e-mail address, means another person before a user feed than
//! after it. So archives wait while a user feed is there, or half there; for a bounded time, since one half may never come.
//! Archives in which every event names its person in both ways need not: whether one is such shows when it is read, once.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::look::{News, Root};
use super::pairs::{self, File, Terms, plan};
use super::{Intake, Kind, Ready, Trouble, Turned, millis};
use crate::ledger::listing::{Candidate, Claim};
use crate::ledger::{now, report};
use crate::spool::Known;
use crate::verdict::{FeedKind, Violation, ViolationCode};

/// A user feed that is there and not taken in.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    /// The file that somebody is at.
    name: String,
    /// How long others may wait for it.
    wait: Duration,
    /// It has been there for so long already.
    is_overdue: bool,
}

/// What is to become of an archive while a user feed is pending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// Its turn has come.
    Now,
    /// If it needs the user feed, it waits for this, in words.
    Unless(String),
    /// It was read, and needs the user feed.
    Later,
    /// It has waited for as long as it may.
    Overdue,
}

impl Intake {
    /// Reads the user feeds that are whole, and says which one is still to come.
    pub(super) async fn user_feeds_first(
        &self,
        root: &mut Root,
        stop: &CancellationToken,
    ) -> Result<(Turned, Option<Pending>), Trouble> {
        let mut turned = Turned::default();
        let mut files = self.files_of(root);
        if root.uploads.is_empty() && files.iter().all(|file| file.news.is_none()) {
            return Ok((turned, None));
        }
        loop {
            let now = now();
            let newest = self.ledger.newest_user_feed(self.source.name()).await?;
            let grace = self.settings.incomplete_grace;
            let plan = plan(files.clone(), Terms { newest, grace, now });
            self.ledger.postpone(self.source.name(), plan.waiting).await?;
            let batches: Vec<Vec<Ready>> = batches(plan.read, plan.superseded, plan.halves);
            if batches.is_empty() || stop.is_cancelled() {
                return Ok((
                    turned,
                    self.pending_user_feed(plan.pending, root.uploads.drain(..), now),
                ));
            }
            let taken_up: Vec<String> = batches
                .iter()
                .flatten()
                .map(|ready| ready.claim.seen.name.clone())
                .collect();
            let done = self.take_up(batches.into_iter(), stop).await?;
            turned.closed += done.closed;
            turned.failed += done.failed;
            turned.pending += done.pending;
            if done.closed < taken_up.len() {
                // Trouble with a file of its own: it waits, and so do those that wait for it.
                return Ok((
                    turned,
                    self.pending_user_feed(plan.pending, root.uploads.drain(..), now),
                ));
            }
            // What failed may be mended and read again with what is left of it; older ones may have their turn.
            for file in &mut files {
                if taken_up.contains(&file.seen.name) {
                    file.news = None;
                }
            }
        }
    }

    /// The newest of what others wait for, if they wait for anything.
    fn pending_user_feed(
        &self,
        half: Option<(String, i64)>,
        uploads: impl Iterator<Item = (String, i64)>,
        now: i64,
    ) -> Option<Pending> {
        let wait = self.settings.user_feed_wait;
        // Told in the future by a server whose clock is ahead, it has come just now.
        let is_overdue = |since: i64| now.saturating_sub(since) >= millis(wait);
        // An upload that was left behind is nobody's user feed any more.
        let uploads = uploads.filter(|(_, since)| !is_overdue(*since));
        let (name, since) = half.into_iter().chain(uploads).max_by_key(|(_, since)| *since)?;
        (!wait.is_zero()).then(|| Pending {
            name,
            wait,
            is_overdue: is_overdue(since),
        })
    }

    /// The files of user feeds in the root, each with what the ledger says of it.
    fn files_of(&self, root: &mut Root) -> Vec<File> {
        let mut files: Vec<File> = std::mem::take(&mut root.user_files);
        for News { candidate, is_settled } in root.user_news.drain(..) {
            let file = files.iter_mut().find(|file| file.seen.name == candidate.seen.name);
            if let Some(file) = file {
                file.news = Some(pairs::News { candidate, is_settled });
            }
        }
        files
    }
}

impl Pending {
    /// Whether an archive's turn has come all the same.
    pub(super) fn turn_of(pending: Option<&Pending>, candidate: &Candidate, now: i64) -> Turn {
        let Some(Pending { name, wait, is_overdue }) = pending else {
            return Turn::Now;
        };
        let until = candidate.changed_at.saturating_add(millis(*wait));
        if *is_overdue || now >= until {
            return Turn::Overdue;
        }
        match candidate.held {
            true => Turn::Later,
            false => Turn::Unless(format!(
                "for the user feed that `{name}` belongs to, so that its people are known first; read at {} at the latest",
                report::time(until)
            )),
        }
    }

    /// How much longer an archive may wait.
    pub(super) fn rest_of(&self, candidate: &Candidate, now: i64) -> Duration {
        let until = candidate.changed_at.saturating_add(millis(self.wait));
        Duration::from_millis(u64::try_from(until - now).unwrap_or(0))
    }
}

/// What is taken up: the pair, whose files come to the same end in the same transaction; and what is not read.
fn batches(read: Option<[File; 2]>, superseded: Vec<File>, halves: Vec<File>) -> Vec<Vec<Ready>> {
    let mut batches = Vec::new();
    if let Some([header, users]) = read {
        let mut pair = [header, users].map(|file| {
            let kind = Kind::Archive(file.name.clone(), Known::Nothing);
            ready(file, kind)
        });
        // Of two files that belong together, both are looked at anew, or none is.
        let retry_of = pair.iter().find_map(|ready| ready.claim.retry_of);
        let first_seen_at = pair.iter().map(|ready| ready.claim.first_seen_at).max().unwrap_or(0);
        for ready in &mut pair {
            ready.claim.retry_of = ready.claim.retry_of.or(retry_of);
            if ready.claim.first_seen_at == 0 {
                ready.claim.first_seen_at = first_seen_at;
            }
        }
        batches.push(Vec::from(pair));
    }
    let superseded = superseded.into_iter().map(|file| ready(file, Kind::Superseded));
    batches.extend(superseded.map(|ready| vec![ready]));
    let halves = halves.into_iter().map(|file| {
        let detail = format!(
            "`{}`, the other file of this user feed, never came; the two must have the same time in their names",
            file.name.other().unwrap_or_default()
        );
        ready(file, Kind::Unread(Violation::new(ViolationCode::UserFeedHalf, detail)))
    });
    batches.extend(halves.map(|ready| vec![ready]));
    batches
}

fn ready(file: File, kind: Kind) -> Ready {
    let (first_seen_at, changed_at, attempts, retry_of) = match file.news {
        Some(pairs::News { candidate, .. }) => (
            candidate.first_seen_at,
            candidate.changed_at,
            candidate.attempts,
            candidate.retry_of,
        ),
        // Something became of it before, and it is read once more with the other file.
        None => (0, 0, 0, None),
    };
    Ready {
        claim: Claim {
            named_at: Some(file.name.at()),
            seen: file.seen,
            first_seen_at,
            retry_of,
        },
        changed_at,
        kind,
        attempts,
        failed_before: None,
        turn: Turn::Now,
    }
}

/// Whether a batch is the two files of a user feed, of which neither is of use alone.
pub(super) fn is_pair(batch: &[Ready]) -> bool {
    batch.len() == 2 && batch.iter().all(Ready::is_user_feed)
}

impl Ready {
    /// Whether it is to be read as a file of a user feed.
    pub(super) fn is_user_feed(&self) -> bool {
        matches!(&self.kind, Kind::Archive(name, _) if name.kind().is_user_feed())
    }

    /// Whether it is the people of a user feed.
    pub(super) fn is_users(&self) -> bool {
        matches!(&self.kind, Kind::Archive(name, _) if name.kind() == FeedKind::Users)
    }
}
