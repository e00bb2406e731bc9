//! The listing: what lies in the root, what of it has settled, and in which order it is taken up.

use std::time::Duration;

use super::pairs::File;
use super::user_feed::{Pending, Turn};
use super::{Intake, Kind, Ready, Trouble, millis};
use crate::archive::{Glance, NameClass, classify, glance, kind_of, may_become_user_feed, named_at};
use crate::ledger::listing::{Candidate, Claim, Passed, Seen};
use crate::ledger::now;
use crate::source::ListedFile;
use crate::spool::Known;
use crate::verdict::{Violation, ViolationCode};

/// What a listing comes to.
#[derive(Default)]
pub(super) struct Root {
    /// Archives that have settled, oldest first, and what only has a feed's name.
    archives: Vec<Candidate>,
    /// The files of user feeds, whether or not something has become of them.
    pub user_files: Vec<File>,
    /// Those that nothing has become of yet.
    pub user_news: Vec<News>,
    /// Files of user feeds that somebody is uploading, by their names, and when they changed last.
    pub uploads: Vec<(String, i64)>,
    /// When the first of those that were just seen for the first time will have settled.
    pub settles_in: Option<Duration>,
    /// When the first of all that have not will have. A turn that comes sooner, since something else changed, must not forget them.
    look_in: Option<Duration>,
}

/// A file of a user feed that nothing has become of yet.
pub(super) struct News {
    pub candidate: Candidate,
    pub is_settled: bool,
}

impl Intake {
    /// Lists the source.
    pub(super) async fn settled(&self) -> Result<Root, Trouble> {
        let listed = self.source.list().await?;
        let mut passed = Passed {
            files: listed.len() as u64,
            ..Passed::default()
        };
        let mut root = Root::default();
        let awaited = |file: ListedFile| match glance(&file.name) {
            Glance::InProgress => {
                passed.in_progress += 1;
                if may_become_user_feed(&file.name) {
                    root.uploads.push((file.name, file.stat.mtime));
                }
                None
            }
            Glance::Other => {
                passed.ignored += 1;
                None
            }
            Glance::Awaited => {
                let seen = Seen {
                    name: file.name,
                    size: file.stat.size,
                    mtime: file.stat.mtime,
                };
                root.user_files.extend(user_file(&seen));
                Some(seen)
            }
        };
        let seen: Vec<Seen> = listed.into_iter().filter_map(awaited).collect();
        let now = now();
        let mut settled = Vec::new();
        for candidate in self.ledger.look(self.source.name(), seen, passed, now).await? {
            let unsettled = unsettled(&candidate, self.settings.settle, now);
            if let Some(wait) = unsettled {
                root.look_in = sooner(root.look_in, wait);
                if candidate.fresh {
                    root.settles_in = sooner(root.settles_in, wait);
                }
            }
            if user_file(&candidate.seen).is_some() {
                root.user_news.push(News {
                    candidate,
                    is_settled: unsettled.is_none(),
                });
                continue;
            }
            let waits = candidate.look_at.is_some_and(|look_at| look_at > now) && candidate.retry_of.is_none();
            if !waits && unsettled.is_none() {
                settled.push((named_at(&candidate.seen.name).unwrap_or(i64::MAX), candidate));
            }
        }
        // By the time in the name, oldest first, then by name; what has no time in its name comes last.
        settled.sort_unstable_by(|(a_at, a), (b_at, b)| a_at.cmp(b_at).then_with(|| a.seen.name.cmp(&b.seen.name)));
        root.archives = settled.into_iter().map(|(_, candidate)| candidate).collect();
        Ok(root)
    }

    /// What of a listing may be taken up, but for user feeds. What there is to say of each is said when its turn comes: of a
    /// hundred thousand near misses it would be a lot.
    pub(super) fn ready(&self, root: Root, pending: Option<Pending>) -> impl Iterator<Item = Ready> {
        let now = now();
        root.archives.into_iter().filter_map(move |candidate| {
            let turn = Pending::turn_of(pending.as_ref(), &candidate, now);
            self.ready_one(candidate, turn)
        })
    }

    fn ready_one(&self, candidate: Candidate, turn: Turn) -> Option<Ready> {
        let Candidate {
            seen,
            first_seen_at,
            attempts,
            retry_of,
            failed_before,
            ..
        } = candidate;
        let size_max = self.limits.archive_bytes;
        let (named_at, kind) = match classify(&seen.name) {
            NameClass::Feed(name) if seen.size > size_max => {
                let detail = format!(
                    "the archive has {} bytes, the limit is {size_max} (limits.archive_bytes)",
                    seen.size
                );
                (
                    Some(name.at()),
                    Kind::Unread(Violation::new(ViolationCode::TooLarge, detail)),
                )
            }
            NameClass::Feed(_) if turn == Turn::Later => return None,
            NameClass::Feed(name) => (Some(name.at()), Kind::Archive(name, Known::Nothing)),
            NameClass::NearMiss(violation) => (None, Kind::Unread(violation)),
            NameClass::InProgress | NameClass::Other => return None,
        };
        Some(Ready {
            claim: Claim {
                seen,
                first_seen_at,
                named_at,
                retry_of,
            },
            changed_at: candidate.changed_at,
            kind,
            attempts,
            failed_before,
            turn,
        })
    }
}

impl Root {
    /// When to look again at the latest: archives that wait for a user feed do not wait for the next poll after that.
    pub(super) fn look_in_while(&self, pending: Option<&Pending>) -> Option<Duration> {
        let Some(pending) = pending else { return self.look_in };
        let now = now();
        let waits = self.archives.iter().map(|archive| pending.rest_of(archive, now));
        waits.filter(|wait| !wait.is_zero()).fold(self.look_in, sooner)
    }
}

fn sooner(least: Option<Duration>, wait: Duration) -> Option<Duration> {
    Some(least.map_or(wait, |least| least.min(wait)))
}

/// A file of a user feed, by its name.
fn user_file(seen: &Seen) -> Option<File> {
    if !kind_of(&seen.name).is_user_feed() {
        return None;
    }
    match classify(&seen.name) {
        NameClass::Feed(name) => Some(File {
            name,
            seen: seen.clone(),
            news: None,
        }),
        _ => None,
    }
}

/// How much longer a file must keep its size and mtime; `None` if it has settled: two looks at least `settle` apart have
/// shown the same.
fn unsettled(candidate: &Candidate, settle: Duration, now: i64) -> Option<Duration> {
    let stood = u64::try_from(now - candidate.changed_at).unwrap_or(0);
    match u64::try_from(millis(settle)).unwrap_or(u64::MAX).saturating_sub(stood) {
        0 => None,
        wait => Some(Duration::from_millis(wait)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_settles_when_two_looks_far_enough_apart_show_the_same() {
        let check = |changed_at, settle, now, expect: Option<u64>| {
            let candidate = Candidate {
                seen: Seen {
                    name: "a".to_owned(),
                    size: 1,
                    mtime: 1,
                },
                first_seen_at: 0,
                changed_at,
                fresh: changed_at == now,
                attempts: 0,
                look_at: None,
                retry_of: None,
                failed_before: None,
                held: false,
            };
            assert_eq!(
                unsettled(&candidate, Duration::from_millis(settle), now),
                expect.map(Duration::from_millis)
            );
        };
        check(1000, 0, 1000, None); // waiting is turned off
        check(1000, 5000, 1000, Some(5000)); // the first look
        check(1000, 5000, 5999, Some(1));
        check(1000, 5000, 6000, None);
        check(9000, 5000, 1000, Some(5000)); // the clock was set back
    }
}
