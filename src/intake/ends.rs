//! Is the upload whole? The end of each zip is read before anything is downloaded.
//!
//! Sizes stand still while an upload stalls or was allocated beforehand, and mtimes can be old: only the zip's own end tells.
//! A small archive is read whole at once, and not again.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::user_feed::is_pair;
use super::{FILES_IN_FLIGHT, Intake, Kind, Ready, Trouble, millis, postponed};
use crate::archive::{self, End, TAIL_BYTES};
use crate::ledger::listing::{Postponed, Seen};
use crate::ledger::{now, report};
use crate::source::SourceError;
use crate::spool::Known;

/// Archives below this size, in bytes, are read whole at the first look.
const WHOLE_BYTES_MAX: u64 = 256 * 1024;

/// Longest wait between two looks at an incomplete upload.
const INCOMPLETE_LOOK_MAX: Duration = Duration::from_secs(60);

/// What a look at the end of a file came to.
enum Looked {
    /// It is whole; small ones with all of their bytes, others with those at the end.
    Whole(Known),
    /// It does not end as a zip does.
    Incomplete,
    /// It is not there any more.
    Gone,
}

impl Intake {
    /// Of a batch, the uploads that are complete, and those that have been incomplete for too long: reading these says what is
    /// wrong with them. The others wait.
    pub(super) async fn whole(&self, batch: Vec<Ready>) -> Result<Vec<Ready>, Trouble> {
        let of_pair = is_pair(&batch);
        let looks = stream::iter(batch).map(|ready| async move {
            let looked = match &ready.kind {
                Kind::Archive(..) if ready.is_user_feed() => self.look_at_plain_end(&ready.claim.seen).await,
                Kind::Archive(..) => self.look_at_end(&ready.claim.seen).await,
                Kind::Unread(_) | Kind::Superseded => Ok(Looked::Whole(Known::Nothing)),
            };
            (ready, looked)
        });
        let looks: Vec<_> = looks.buffered(FILES_IN_FLIGHT).collect().await;
        let mut whole = Vec::new();
        let mut waiting = Vec::new();
        for (mut ready, looked) in looks {
            match looked {
                Ok(Looked::Whole(found)) => {
                    if let Kind::Archive(_, known) = &mut ready.kind {
                        *known = found;
                    }
                    whole.push(ready);
                }
                Ok(Looked::Incomplete) => match self.still_in_grace(&ready) {
                    Some(wait) => waiting.push(wait),
                    None => whole.push(ready),
                },
                // The next listing does without it.
                Ok(Looked::Gone) => {}
                Err(error) if error.is_about_the_file() => {
                    waiting.push(postponed(&ready.claim.seen.name, ready.attempts, error.to_string()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.ledger.postpone(self.source.name(), waiting).await?;
        if of_pair && whole.len() < 2 {
            whole.clear();
        }
        Ok(whole)
    }

    /// The same for a file of a user feed, which is no zip: a JSON array ends with its bracket.
    async fn look_at_plain_end(&self, seen: &Seen) -> Result<Looked, SourceError> {
        let Seen { name, size, .. } = seen;
        let from = if *size < WHOLE_BYTES_MAX { 0 } else { size - TAIL_BYTES };
        let tail = match self.source.read(name, from, (size - from) as usize).await {
            Ok(tail) => tail,
            Err(SourceError::Absent { .. }) => return Ok(Looked::Gone),
            Err(error) => return Err(error),
        };
        let last = tail.iter().rev().find(|byte| !byte.is_ascii_whitespace());
        Ok(match last {
            Some(b']') if tail.len() as u64 == size - from => Looked::Whole(match from {
                0 => Known::Whole(tail),
                _ => Known::Nothing,
            }),
            _ => Looked::Incomplete,
        })
    }

    async fn look_at_end(&self, seen: &Seen) -> Result<Looked, SourceError> {
        let Seen { name, size, .. } = seen;
        let mut from = if *size < WHOLE_BYTES_MAX { 0 } else { size - TAIL_BYTES };
        loop {
            let tail = match self.source.read(name, from, (size - from) as usize).await {
                Ok(tail) => tail,
                Err(SourceError::Absent { .. }) => return Ok(Looked::Gone),
                Err(error) => return Err(error),
            };
            if tail.len() as u64 != size - from {
                return Ok(Looked::Incomplete);
            }
            // The last 64 KiB say it, unless the directory is larger; what came with them costs nothing more.
            match archive::end(&tail, *size) {
                End::Whole if from == 0 => return Ok(Looked::Whole(Known::Whole(tail))),
                End::Whole => return Ok(Looked::Whole(Known::End(tail))),
                End::Needs { from: earlier } if earlier < from => from = earlier,
                End::Needs { .. } | End::Missing => return Ok(Looked::Incomplete),
            }
        }
    }

    /// An incomplete upload waits, until it has stood still for the grace.
    pub(super) fn still_in_grace(&self, ready: &Ready) -> Option<Postponed> {
        let (now, grace) = (now(), millis(self.settings.incomplete_grace));
        let failed_at = ready.changed_at.saturating_add(grace);
        if now >= failed_at {
            return None;
        }
        // Looked at less and less often, and once more when the grace is over.
        let stood = (now - ready.changed_at).clamp(1000, millis(INCOMPLETE_LOOK_MAX));
        Some(Postponed {
            name: ready.claim.seen.name.clone(),
            waiting: format!(
                "incomplete: {} yet after {} bytes; failed{} at {} unless it grows",
                if ready.is_user_feed() {
                    "no end of its JSON"
                } else {
                    "no zip's end"
                },
                ready.claim.seen.size,
                if ready.is_user_feed() { "" } else { " as zip_truncated" },
                report::time(failed_at)
            ),
            look_at: Some((now + stood).min(failed_at)),
            attempts: ready.attempts.saturating_add(1),
        })
    }
}
