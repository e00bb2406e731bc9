//! Putting away: the receipt, then the rename. Safe to repeat.
//!
//! SFTP has no compare-and-rename, and an uploader may still hold the file. So size and mtime are looked at just before the
//! rename, under the new name at once, and once more in the next turn. If they are not what was read, the file goes back to
//! the root, never over another, and is taken as new. After a crash or a lost reply both names are looked at, and the job is
//! finished. Nothing is ever renamed over something else.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::Semaphore;

use super::{FILE_BACKOFF_MAX, FILE_BACKOFF_MIN, FILES_IN_FLIGHT, Intake, Trouble, backoff, millis};
use crate::hex::hex;
use crate::ledger::moves::{Disposition, PutAway};
use crate::ledger::now;
use crate::ledger::outcome::{Action, Unmoved};
use crate::receipt::{REJECTS_SHOWN, Receipt};
use crate::source::{SourceError, Stat};

/// Names tried for one archive before it waits for the next turn.
const NAMES_TRIED_MAX: u32 = 100;

/// Imports whose receipts are read from the ledger at a time: each reading costs a hop to another thread and back.
const RECEIPTS_AT_A_TIME: usize = 16;

/// Receipts of a batch in memory, in KiB. Most have one; one with a hundred rejects has a hundred.
const RECEIPTS_KIB_MAX: usize = 2 * 1024;

/// What attempts to put a batch away came to.
pub(super) type Attempted = Vec<Result<PutAway, Trouble>>;

/// An archive that is to be put away, and the receipt that is due before that.
struct Due {
    unmoved: Unmoved,
    receipt: Option<Vec<u8>>,
}

impl Intake {
    /// Puts archives away, and notes it. Answers with how many could not be put away.
    pub(super) async fn put_away(&self, unmoved: Vec<Unmoved>) -> Result<usize, Trouble> {
        let attempted = self.attempt(unmoved).await;
        self.note(attempted).await
    }

    /// Puts archives away, many at a time.
    pub(super) fn attempt(&self, unmoved: Vec<Unmoved>) -> BoxFuture<'_, Attempted> {
        let room = Arc::new(Semaphore::new(RECEIPTS_KIB_MAX));
        stream::iter(groups(unmoved))
            .then(|group| self.with_receipts(group))
            .flat_map(stream::iter)
            .then(move |due: Result<Due, Trouble>| {
                let receipt = due.as_ref().ok().and_then(|due| due.receipt.as_ref());
                let kib = receipt.map_or(0, |receipt| receipt.len().div_ceil(1024).min(RECEIPTS_KIB_MAX));
                let room = room.clone().acquire_many_owned(kib as u32);
                // Refused only when the semaphore is closed, and nobody closes it.
                async move { (due, room.await) }
            })
            .map(move |(due, room)| async move {
                let attempted = self.put_away_one(due?).await;
                drop(room);
                attempted
            })
            .buffer_unordered(FILES_IN_FLIGHT)
            .collect()
            .boxed()
    }

    /// Notes what was put away, also when the connection was lost half-way. Answers with how many could not be put away.
    pub(super) async fn note(&self, attempted: Attempted) -> Result<usize, Trouble> {
        let mut done = Vec::new();
        let mut trouble = None;
        for result in attempted {
            match result {
                Ok(put_away) => done.push(put_away),
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        // In the order of commit, so that the log reads that way.
        done.sort_by_key(|put_away| put_away.id);
        let pending = done
            .iter()
            .filter(|one| one.disposition == Disposition::Pending)
            .count();
        self.ledger.confirm(self.source.name(), done, now()).await?;
        trouble.map_or(Ok(pending), Err)
    }

    /// Reads what the receipts that are due say. A ledger that does not tell is the whole group's trouble: nothing of it is
    /// put away.
    async fn with_receipts(&self, group: Vec<Unmoved>) -> Vec<Result<Due, Trouble>> {
        let due = group.iter().filter(|one| one.receipt_due).map(|one| one.id).collect();
        let mut receipts = match self.ledger.imports_in_full(due, REJECTS_SHOWN).await {
            Ok(imports) => imports.into_iter().peekable(),
            Err(error) => return vec![Err(error.into())],
        };
        let with_receipt = |unmoved: Unmoved| {
            let full = receipts.next_if(|full| full.import.id == unmoved.id);
            let receipt = full.map(|full| Receipt::of(full, true).to_json());
            Ok(Due { unmoved, receipt })
        };
        group.into_iter().map(with_receipt).collect()
    }

    async fn put_away_one(&self, due: Due) -> Result<PutAway, Trouble> {
        let one = due.unmoved;
        let receipt = match due.receipt {
            Some(json) => Some(self.write_receipt(&one, &json).await?),
            None => None,
        };
        let receipt_error = receipt.clone().and_then(Result::err);
        let mut put_away = match self.dispose(&one).await {
            Ok(put_away) => put_away,
            Err(Trouble::Source(error)) if error.is_about_the_file() => self.pending(&one, error.to_string()),
            Err(trouble) => return Err(trouble),
        };
        put_away.receipt = receipt.map(|written| written.is_ok());
        put_away.error = put_away.error.or(receipt_error);
        Ok(put_away)
    }

    /// Writes the receipt. A server that refuses it costs a warning, nothing else; a lost connection is handed on.
    async fn write_receipt(&self, one: &Unmoved, json: &[u8]) -> Result<Result<(), String>, Trouble> {
        let dir = &self.settings.receipts_dir;
        let path = format!("{dir}/{}.receipt.json", one.archive);
        let mut written = self.source.write(&path, json).await;
        if written.as_ref().is_err_and(SourceError::is_about_the_file) {
            // The directory may not be there yet.
            written = match self.source.make_dirs(dir).await {
                Ok(()) => self.source.write(&path, json).await,
                Err(error) => Err(error),
            };
        }
        match written {
            Ok(()) => Ok(Ok(())),
            Err(error) if error.is_about_the_file() => {
                let source = self.source.name();
                tracing::warn!(source, archive = one.archive, import = one.id, %error, "the receipt was not written");
                Ok(Err(format!("the receipt was not written: {error}")))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn dispose(&self, one: &Unmoved) -> Result<PutAway, Trouble> {
        if one.recheck {
            return Ok(self.check_moved(one, &one.path).await?);
        }
        match &one.action {
            Action::Leave => Ok(put_away(one, Disposition::Left, &one.path)),
            Action::Delete => Ok(self.delete(one).await?),
            Action::Move(target) => self.rename(one, target.clone()).await,
        }
    }

    /// SFTP cannot remove on a condition either: the archive goes aside first, under a name that no importer takes up, and
    /// is removed there if it is what was read.
    async fn delete(&self, one: &Unmoved) -> Result<PutAway, SourceError> {
        let aside = format!(".{}.{}.feedgate.tmp", one.archive, one.id);
        let here = self.source.stat(&one.archive).await?;
        if here == Some(as_read(one)) {
            match self.source.rename(&one.archive, &aside).await {
                // Somebody was quicker, or the reply to an earlier attempt was lost.
                Ok(()) | Err(SourceError::Absent { .. } | SourceError::Taken { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        match self.source.stat(&aside).await? {
            Some(stat) if stat == as_read(one) && self.holds_what_was_read(one, &aside).await? => {}
            Some(_) => return self.put_back(one, &aside).await,
            None if here.is_some_and(|here| here != as_read(one)) => return Ok(replaced(one)),
            None => return Ok(put_away(one, Disposition::Deleted, &one.archive)),
        }
        match self.source.remove(&aside).await {
            Ok(()) | Err(SourceError::Absent { .. }) => Ok(put_away(one, Disposition::Deleted, &one.archive)),
            Err(error) => Err(error),
        }
    }

    async fn rename(&self, one: &Unmoved, mut target: String) -> Result<PutAway, Trouble> {
        let mut made_dirs = false;
        let mut names_tried = 0;
        while names_tried < NAMES_TRIED_MAX {
            let here = self.source.stat(&one.archive).await?;
            // Where the archive is still what was read, the rename itself looks whether its target is free.
            let there = match here == Some(as_read(one)) {
                true => None,
                false => self.found_at(&target).await?,
            };
            let taken = match (here, there) {
                (None, None) => return Ok(gone(one)),
                // An earlier rename went through, and its reply was lost.
                (here, Some(there)) if there == as_read(one) && here != Some(as_read(one)) => {
                    return Ok(self.check_moved(one, &target).await?);
                }
                (_, Some(_)) => true,
                (Some(here), None) if here != as_read(one) => return Ok(replaced(one)),
                (Some(_), None) => match self.source.rename(&one.archive, &target).await {
                    Ok(()) => return Ok(self.check_moved(one, &target).await?),
                    Err(SourceError::Taken { .. }) => true,
                    Err(error) if error.is_about_the_file() && !made_dirs => {
                        // The directory may not be there yet.
                        self.source.make_dirs(parent(&target)).await?;
                        made_dirs = true;
                        false
                    }
                    Err(error) => return Err(error.into()),
                },
            };
            if taken {
                names_tried += 1;
                target = next_name(one, names_tried);
                self.ledger.retarget(one.id, target.clone()).await?;
            }
        }
        let problem = format!("every name tried in `{}` is taken, up to `{target}`", parent(&target));
        Ok(self.pending(one, problem))
    }

    /// What lies under a name; something that is no file is in the way just as much.
    async fn found_at(&self, path: &str) -> Result<Option<Stat>, SourceError> {
        match self.source.stat(path).await {
            Err(SourceError::Taken { .. }) => Ok(Some(Stat {
                size: u64::MAX,
                mtime: i64::MIN,
            })),
            found => found,
        }
    }

    /// Looks at an archive under its new name: it must be what was read.
    async fn check_moved(&self, one: &Unmoved, path: &str) -> Result<PutAway, SourceError> {
        match self.source.stat(path).await? {
            // Somebody tidied up: what was read is imported, and in the spool.
            None => Ok(put_away(one, Disposition::Moved, path)),
            // A second look, and the last one.
            Some(stat) if stat == as_read(one) && one.recheck && !self.holds_what_was_read(one, path).await? => {
                self.put_back(one, path).await
            }
            Some(stat) if stat == as_read(one) => Ok(PutAway {
                recheck: !one.recheck,
                ..put_away(one, Disposition::Moved, path)
            }),
            Some(_) => self.put_back(one, path).await,
        }
    }

    /// An uploader still held the file: it goes back to the root, and is taken as new when it has settled.
    async fn put_back(&self, one: &Unmoved, path: &str) -> Result<PutAway, SourceError> {
        let found = "the upload went on after the archive was read";
        match self.source.rename(path, &one.archive).await {
            Ok(()) => Ok(PutAway {
                error: Some(format!("{found}: it was put back and is taken as new")),
                gone_from_root: true,
                // What was read is nowhere any more: what lies there, perhaps with the same size and time, is another.
                ..put_away(one, Disposition::Deleted, &one.archive)
            }),
            Err(error) if error.is_about_the_file() => Ok(PutAway {
                error: Some(format!("{found}, and it could not be put back: {error}")),
                retry_at: Some(self.next_try(one)),
                recheck: true,
                ..put_away(one, Disposition::Moved, path)
            }),
            Err(error) => Err(error),
        }
    }

    fn pending(&self, one: &Unmoved, error: String) -> PutAway {
        PutAway {
            error: Some(error),
            retry_at: Some(self.next_try(one)),
            gone_from_root: false,
            ..put_away(one, Disposition::Pending, &one.path)
        }
    }

    fn next_try(&self, one: &Unmoved) -> i64 {
        now() + millis(backoff(one.attempts, FILE_BACKOFF_MIN, FILE_BACKOFF_MAX))
    }
}

/// Splits a batch into groups whose receipts are read together.
fn groups(unmoved: Vec<Unmoved>) -> Vec<Vec<Unmoved>> {
    let mut unmoved = unmoved.into_iter().peekable();
    let mut groups = Vec::new();
    while unmoved.peek().is_some() {
        groups.push(unmoved.by_ref().take(RECEIPTS_AT_A_TIME).collect());
    }
    groups
}

fn as_read(one: &Unmoved) -> Stat {
    Stat {
        size: one.size,
        mtime: one.mtime,
    }
}

/// The plain case of each disposition.
fn put_away(one: &Unmoved, disposition: Disposition, path: &str) -> PutAway {
    PutAway {
        id: one.id,
        disposition,
        path: path.to_owned(),
        receipt: None,
        error: None,
        retry_at: None,
        recheck: false,
        gone_from_root: matches!(disposition, Disposition::Moved | Disposition::Deleted),
    }
}

/// The name was uploaded again between reading and renaming.
fn replaced(one: &Unmoved) -> PutAway {
    let error = "another file was uploaded under this name before the archive was put away; it is taken as new";
    PutAway {
        error: Some(error.to_owned()),
        ..put_away(one, Disposition::Deleted, &one.archive)
    }
}

/// Neither name leads anywhere.
fn gone(one: &Unmoved) -> PutAway {
    if one.sha256.is_none() {
        // It was never read. Some names are listed and lead nowhere, those that are not UTF-8 among them: noted as gone, it
        // would be new again with the next listing, and fail again, for ever.
        let error = "nothing is found under the name that was listed: it is gone, or the name cannot be used";
        return PutAway {
            error: Some(error.to_owned()),
            ..put_away(one, Disposition::Left, &one.archive)
        };
    }
    let error = "the archive was gone from the source before it was put away";
    PutAway {
        error: Some(error.to_owned()),
        ..put_away(one, Disposition::Deleted, &one.archive)
    }
}

/// The next name for an archive whose name is taken: with the beginning of its hash, then a counter after that.
fn next_name(one: &Unmoved, tried: u32) -> String {
    let Action::Move(first) = &one.action else {
        return one.path.clone();
    };
    let dir = parent(first);
    // A failed archive that was not downloaded has no hash, and is told apart by what is known of it.
    let mark = match &one.sha256 {
        Some(sha256) => hex(sha256)[..8].to_owned(),
        None => format!("{:08x}", one.mtime as u32 ^ one.size as u32),
    };
    let (stem, ending) = match one.archive.strip_suffix(".json.zip") {
        Some(stem) => (stem, ".json.zip"),
        None => (one.archive.as_str(), ""),
    };
    match tried {
        1 => format!("{dir}/{stem}-{mark}{ending}"),
        _ => format!("{dir}/{stem}-{mark}-{tried}{ending}"),
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}
