//! The listing: what lies in the root, what of it has settled, and in which order it is taken up.

use std::time::Duration;

use super::{Intake, Kind, Ready, Trouble, millis};
use crate::archive::{Glance, NameClass, classify, glance, named_at};
use crate::ledger::listing::{Candidate, Claim, Passed, Seen};
use crate::ledger::now;
use crate::source::ListedFile;
use crate::spool::Known;
use crate::verdict::{Violation, ViolationCode};

/// What a listing comes to.
pub(super) struct Settled<R> {
    /// The files that have settled, oldest first.
    pub ready: R,
    /// When the first of those that were just seen for the first time will have.
    pub settles_in: Option<Duration>,
    /// When the first of all that have not will have. A turn that comes sooner, since something else changed, must not forget them.
    pub look_in: Option<Duration>,
}

impl Intake {
    /// Lists the source.
    pub(super) async fn settled(&self) -> Result<Settled<impl Iterator<Item = Ready>>, Trouble> {
        let listed = self.source.list().await?;
        let mut passed = Passed {
            files: listed.len() as u64,
            ..Passed::default()
        };
        let awaited = |file: ListedFile| match glance(&file.name) {
            Glance::InProgress => {
                passed.in_progress += 1;
                None
            }
            Glance::Other => {
                passed.ignored += 1;
                None
            }
            Glance::Awaited => Some(Seen {
                name: file.name,
                size: file.stat.size,
                mtime: file.stat.mtime,
            }),
        };
        let seen: Vec<Seen> = listed.into_iter().filter_map(awaited).collect();
        let now = now();
        let candidates = self.ledger.look(self.source.name(), seen, passed, now).await?;
        let mut settled = Vec::new();
        let (mut settles_in, mut look_in) = (None, None);
        let sooner = |least: Option<Duration>, wait: Duration| Some(least.map_or(wait, |least| least.min(wait)));
        for candidate in candidates {
            if candidate.look_at.is_some_and(|look_at| look_at > now) && candidate.retry_of.is_none() {
                continue;
            }
            if let Some(wait) = unsettled(&candidate, self.settings.settle, now) {
                look_in = sooner(look_in, wait);
                if candidate.fresh {
                    settles_in = sooner(settles_in, wait);
                }
                continue;
            }
            settled.push((named_at(&candidate.seen.name).unwrap_or(i64::MAX), candidate));
        }
        // By the time in the name, oldest first, then by name; what has no time in its name comes last.
        settled.sort_unstable_by(|(a_at, a), (b_at, b)| a_at.cmp(b_at).then_with(|| a.seen.name.cmp(&b.seen.name)));
        // What there is to say of each is said when its turn comes: of a hundred thousand near misses it would be a lot.
        let ready = settled.into_iter().filter_map(|(_, candidate)| self.ready(candidate));
        Ok(Settled {
            ready,
            settles_in,
            look_in,
        })
    }

    fn ready(&self, candidate: Candidate) -> Option<Ready> {
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
        })
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
