//! From the network to the disk, and from the disk to what the archives come to.
//!
//! Trouble with one file stays with it: it waits, longer each time, and the rest of its batch goes on. Even a defect of our
//! own that one archive brings to light must not hold up the others.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::doubt::Doubt;
use super::take_in_users::{PlainFile, is_cut_short, take_in_users};
use super::user_feed::{Turn, is_pair};
use super::{FILES_IN_FLIGHT, Intake, Kind, Ready, Rules, Trouble, postponed, take_in};
use crate::archive::FeedName;
use crate::ledger::listing::{Postponed, Seen};
use crate::ledger::outcome::{Disposal, Judged, Outcome};
use crate::ledger::{Stored, now};
use crate::source::{SourceError, Stat};
use crate::spool::{Known, Slice, SpoolError, Spooled, Wanted};
use crate::unique::Spill;

/// A claimed file: downloaded, unless its name or its size said enough.
struct Fetched {
    id: i64,
    ready: Ready,
    spooled: Option<Spooled>,
    disposal: Disposal,
}

/// What reading a batch came to.
#[derive(Default)]
struct Read {
    /// In the order of the batch, with what keeps their bytes in the spool.
    outcomes: Vec<(Outcome, Option<Spooled>)>,
    postponed: Vec<Postponed>,
    /// What had failed, was looked at once more, and is what it was.
    as_before: Vec<String>,
    /// What was fetched and came to nothing.
    in_vain: Vec<Spooled>,
    /// Archives that wait for a user feed, each with what is said of it.
    held: Vec<(String, String)>,
}

impl Intake {
    /// Claims a batch, brings it to the spool, and reads it.
    pub(super) async fn read(&self, batch: Vec<Ready>) -> Result<Vec<(Outcome, Option<Spooled>)>, Trouble> {
        let of_pair = is_pair(&batch);
        let batch = self.that_fit(batch).await?;
        if batch.is_empty() || (of_pair && batch.len() < 2) {
            return Ok(Vec::new());
        }
        let claims = batch.iter().map(|ready| ready.claim.clone()).collect();
        let claimed_at = now();
        let ids = self.ledger.claim(self.source.name(), claims, claimed_at).await?;
        let read = match self.fetch_and_judge(&ids, batch, claimed_at).await {
            Ok(read) => read,
            Err(trouble) => {
                self.ledger.unclaim(ids).await?;
                return Err(trouble);
            }
        };
        let kept: Vec<i64> = read.outcomes.iter().map(|(outcome, _)| outcome.id).collect();
        self.ledger
            .unclaim(ids.into_iter().filter(|id| !kept.contains(id)).collect())
            .await?;
        self.ledger.postpone(self.source.name(), read.postponed).await?;
        self.ledger.as_before(self.source.name(), read.as_before).await?;
        self.hold(read.held).await?;
        self.let_go_in_vain(read.in_vain).await?;
        Ok(read.outcomes)
    }

    /// Notes which archives wait for a user feed, and says so once.
    async fn hold(&self, held: Vec<(String, String)>) -> Result<(), Trouble> {
        for (archive, waiting) in &held {
            tracing::info!(source = self.source.name(), archive, "waits {waiting}");
        }
        Ok(self.ledger.hold(self.source.name(), held).await?)
    }

    /// Those of a batch for which there is room on the disk; the others wait.
    async fn that_fit(&self, batch: Vec<Ready>) -> Result<Vec<Ready>, Trouble> {
        let free = self.free_bytes()?;
        let (mut fit, mut waiting) = (Vec::with_capacity(batch.len()), Vec::new());
        for ready in batch {
            match self.without_room(&ready, free) {
                Some(wait) => waiting.push(wait),
                None => fit.push(ready),
            }
        }
        self.ledger.postpone(self.source.name(), waiting).await?;
        Ok(fit)
    }

    async fn fetch_and_judge(&self, ids: &[i64], mut batch: Vec<Ready>, claimed_at: i64) -> Result<Read, Trouble> {
        let of_pair = is_pair(&batch);
        let rules = Rules {
            keys_to: Some(Arc::new(Spill::new(&self.state_dir.0))),
            ..Rules::of(&self.settings, &self.limits, &self.definitions)
        };
        let meanwhile = self.readers.begin(&mut batch, &rules);
        let (mut fetched, mut postponed) = self.fetch(ids, batch, claimed_at).await?;
        if of_pair && fetched.len() < 2 {
            let in_vain = fetched.into_iter().filter_map(|one| one.spooled).collect();
            return Ok(Read {
                postponed,
                in_vain,
                ..Read::default()
            });
        }
        let judged = match meanwhile {
            Some(meanwhile) => match fetched.pop() {
                Some(one) => meanwhile.judged().await.map(|judged| Read::of(one, judged, claimed_at)),
                // What did not arrive whole was read in vain.
                None => Ok(Read::default()),
            },
            None => {
                let permit = self.readers.spooled().await;
                let spool_dir = self.spool.dir().to_owned();
                let graces: Vec<_> = fetched.iter().map(|one| self.still_in_grace(&one.ready)).collect();
                let judging = tokio::task::spawn_blocking(move || match of_pair {
                    true => judge_pair(&spool_dir, fetched, graces, &rules, claimed_at),
                    false => judge_all(&spool_dir, fetched, &rules, claimed_at),
                });
                let judged = judging.await;
                drop(permit);
                judged.unwrap_or_else(|_| Err(io::Error::other("the reading thread stopped")))
            }
        };
        let doing = "reading an archive in the spool".to_owned();
        let mut read = judged.map_err(|source| Trouble::Disk { doing, source })?;
        postponed.append(&mut read.postponed);
        Ok(Read { postponed, ..read })
    }

    /// Brings a batch to the spool. What changed while it was read is left out: the next listing shows what is there now.
    async fn fetch(
        &self,
        ids: &[i64],
        mut batch: Vec<Ready>,
        claimed_at: i64,
    ) -> Result<(Vec<Fetched>, Vec<Postponed>), Trouble> {
        let wanted = batch.iter_mut().filter_map(wanted).collect();
        let mut arrived = self.spool.fetch(&*self.source, wanted).await.into_iter();
        let unchanged = self.unchanged(&batch).await?;
        let mut fetched = Vec::new();
        let mut postponed = Vec::new();
        let mut in_vain = Vec::new();
        for ((id, ready), unchanged) in ids.iter().zip(batch).zip(unchanged) {
            // The next listing shows it as another file, and then it need not wait; unless the server lists it otherwise than
            // it shows it to who looks.
            let waits = |why| super::postponed(&ready.claim.seen.name, ready.attempts, why);
            let spooled = match &ready.kind {
                Kind::Unread(_) | Kind::Superseded => None,
                Kind::Archive(..) => match (arrived.next(), unchanged) {
                    (Some(Ok(spooled)), Err(why)) => {
                        in_vain.push(spooled);
                        postponed.push(waits(why));
                        continue;
                    }
                    (Some(Err(SpoolError::Short { .. } | SpoolError::Changed { .. })), Err(why)) => {
                        postponed.push(waits(why));
                        continue;
                    }
                    (Some(Ok(spooled)), Ok(())) => Some(spooled),
                    (Some(Err(error)), _) => {
                        postponed.push(after_trouble(&ready, error)?);
                        continue;
                    }
                    (None, _) => continue,
                },
            };
            let disposal = self.disposal(&ready, claimed_at);
            fetched.push(Fetched {
                id: *id,
                ready,
                spooled,
                disposal,
            });
        }
        self.let_go_in_vain(in_vain).await?;
        Ok((fetched, postponed))
    }

    /// Removes from the spool what was fetched in vain.
    async fn let_go_in_vain(&self, spooled: Vec<Spooled>) -> Result<(), Trouble> {
        let files = spooled.iter().map(|spooled| spooled.stored.file.clone()).collect();
        drop(spooled); // and the pins with it
        self.let_go(files).await
    }

    /// For each of a batch, whether its size and mtime are still what was listed; if not, why it waits.
    async fn unchanged(&self, batch: &[Ready]) -> Result<Vec<Result<(), String>>, SourceError> {
        let seen = |ready: &Ready| matches!(ready.kind, Kind::Archive(..)).then(|| ready.claim.seen.clone());
        let looks = stream::iter(batch.iter().map(seen).collect::<Vec<_>>()).map(|seen| async move {
            let Some(seen) = seen else { return Ok(Ok(())) };
            match self.source.stat(&seen.name).await {
                Ok(Some(stat)) if stat == stat_of(&seen) => Ok(Ok(())),
                Ok(Some(_)) => Ok(Err("its size or time of change is not what was listed".to_owned())),
                Ok(None) => Ok(Err("it is gone since it was listed".to_owned())),
                Err(error) if error.is_about_the_file() => Ok(Err(error.to_string())),
                Err(error) => Err(error),
            }
        });
        let looks: Vec<_> = looks.buffered(FILES_IN_FLIGHT).collect().await;
        looks.into_iter().collect()
    }
}

/// Trouble with one file: it waits, longer each time, and the others go on. Other trouble is handed on.
fn after_trouble(ready: &Ready, error: SpoolError) -> Result<Postponed, Trouble> {
    match error {
        SpoolError::Source(error) if !error.is_about_the_file() => Err(error.into()),
        SpoolError::Disk { doing, source } => Err(Trouble::Disk { doing, source }),
        error => Ok(postponed(&ready.claim.seen.name, ready.attempts, error.to_string())),
    }
}

fn judge_all(spool_dir: &Path, fetched: Vec<Fetched>, rules: &Rules, imported_at: i64) -> io::Result<Read> {
    let mut read = Read::default();
    for one in fetched {
        let judged = match (&one.ready.kind, &one.spooled) {
            (Kind::Unread(violation), _) => Some(Judged::unread(violation.clone())),
            (Kind::Superseded, _) => Some(Judged {
                superseded: true,
                ..Judged::default()
            }),
            (Kind::Archive(name, _), Some(spooled)) => {
                unless_defect(|| judge(spool_dir, &spooled.stored, name, rules)).transpose()?
            }
            (Kind::Archive(..), None) => continue,
        };
        read.note(one, judged, imported_at);
    }
    Ok(read)
}

/// Reads the two files of a user feed. One that ends too early is not told of before its grace is over.
fn judge_pair(
    spool_dir: &Path,
    mut fetched: Vec<Fetched>,
    mut graces: Vec<Option<Postponed>>,
    rules: &Rules,
    imported_at: i64,
) -> io::Result<Read> {
    let mut read = Read::default();
    if fetched[0].ready.is_users() {
        fetched.reverse();
        graces.reverse();
    }
    let (header, users) = (plain(spool_dir, &fetched[0])?, plain(spool_dir, &fetched[1])?);
    let judged = unless_defect(|| take_in_users(header, users, rules)).transpose()?;
    let judged = judged.map_or([None, None], |(header, users)| [Some(header), Some(users)]);
    let waits: Vec<Postponed> = judged
        .iter()
        .zip(&fetched)
        .zip(graces)
        .filter(|((judged, one), _)| {
            judged
                .as_ref()
                .is_some_and(|judged| is_cut_short(judged, one.ready.claim.seen.size))
        })
        .filter_map(|(_, grace)| grace)
        .collect();
    if !waits.is_empty() {
        read.postponed = waits;
        read.in_vain = fetched.into_iter().filter_map(|one| one.spooled).collect();
        return Ok(read);
    }
    for (one, judged) in fetched.into_iter().zip(judged) {
        read.note(one, judged, imported_at);
    }
    Ok(read)
}

/// A file of a user feed, to be read from the spool.
fn plain<'a>(spool_dir: &Path, one: &'a Fetched) -> io::Result<PlainFile<'a, Slice>> {
    let spooled = one.spooled.as_ref().ok_or(io::ErrorKind::NotFound)?;
    Ok(PlainFile {
        name: &one.ready.claim.seen.name,
        size: spooled.stored.len,
        sha256: spooled.sha256,
        data: Slice::open(spool_dir, &spooled.stored)?,
    })
}

/// An archive is hostile, and our code not without defects: what panics is `None`, and that file's trouble alone.
pub(super) fn unless_defect<T>(judge: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(judge)).ok()
}

impl Read {
    /// What a single file came to.
    fn of(one: Fetched, judged: Option<Judged>, imported_at: i64) -> Read {
        let mut read = Read::default();
        read.note(one, judged, imported_at);
        read
    }

    /// Notes what one file came to; `None` is a defect of ours, and the file waits.
    fn note(&mut self, one: Fetched, judged: Option<Judged>, imported_at: i64) {
        let Some(mut judged) = judged else {
            let problem = "reading it brought a defect of feedgate to light; please report it, with the archive";
            let name = &one.ready.claim.seen.name;
            self.postponed
                .push(postponed(name, one.ready.attempts, problem.to_owned()));
            return;
        };
        let sha256 = one.spooled.as_ref().map(|spooled| spooled.sha256);
        let name = &one.ready.claim.seen.name;
        if sha256.is_some() && sha256 == one.ready.failed_before {
            self.as_before.push(name.clone());
            self.in_vain.extend(one.spooled);
            return;
        }
        if judged.needs_user_feed && judged.importable() {
            match &one.ready.turn {
                Turn::Unless(waiting) => {
                    self.held.push((name.clone(), waiting.clone()));
                    self.in_vain.extend(one.spooled);
                    return;
                }
                turn => judged.user_feed_pending = *turn == Turn::Overdue,
            }
        }
        let look_again_at = match Doubt::about(&one.ready, &judged, imported_at) {
            Doubt::None => None,
            Doubt::LookAgain(at) => Some(at),
            Doubt::Writing(waiting, until) => {
                self.postponed.push(Postponed {
                    name: name.clone(),
                    waiting,
                    look_at: Some(until),
                    attempts: one.ready.attempts,
                });
                self.in_vain.extend(one.spooled);
                return;
            }
        };
        let outcome = Outcome {
            id: one.id,
            sha256,
            stored: one.spooled.as_ref().map(|spooled| spooled.stored.clone()),
            judged,
            disposal: one.disposal,
            imported_at,
            look_again_at,
        };
        self.outcomes.push((outcome, one.spooled));
    }
}

/// Reads one archive in the spool.
fn judge(spool_dir: &Path, stored: &Stored, name: &FeedName, rules: &Rules) -> io::Result<Judged> {
    let archive = Slice::open(spool_dir, stored)?;
    take_in(archive, stored.len, name, rules, &mut |_, _| true)
}

/// What is to be downloaded of it, if anything.
fn wanted(ready: &mut Ready) -> Option<Wanted> {
    let Kind::Archive(_, known) = &mut ready.kind else {
        return None;
    };
    Some(Wanted {
        path: ready.claim.seen.name.clone(),
        size: ready.claim.seen.size,
        known: std::mem::replace(known, Known::Nothing),
    })
}

fn stat_of(seen: &Seen) -> Stat {
    Stat {
        size: seen.size,
        mtime: seen.mtime,
    }
}
