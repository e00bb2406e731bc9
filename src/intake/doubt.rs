//! When a look proves less than it seems, and what is done about that.
//!
//! SFTP tells the time of a change to the second. A file that was read within the second of its last change may be changed
//! again, keep its size, and show the same time for ever: an uploader that writes its blocks out of order (and the zip's
//! end before the middle) does just that, and so does one that sends another archive of the same length at once. So where
//! `settle` did not see to it, what was read early is looked at once more: a damaged archive that stayed in the root, and an
//! archive that was put away.
//!
//! And an archive that was seen to change a moment ago is not called failed for damage: somebody is writing it. What is new
//! and damaged is told at once; if it changes after that, it is not told again before it stands still.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Intake, Ready, millis};
use crate::ledger::outcome::{Judged, Unmoved};
use crate::ledger::{WAIT_MAX_MS, report};
use crate::source::SourceError;
use crate::verdict::{Violation, ViolationCode};

/// By then every change shows another time, also where times are told to two seconds, as FAT has them.
const TIMES_TELL: Duration = Duration::from_secs(3);

/// How long a file that was seen to change must stand still before it is called failed, where `settle` is shorter.
const STANDS_STILL: Duration = Duration::from_secs(5);

/// Largest archive, in bytes, that is read once more after it was put away: with a single request.
const READ_AGAIN_BYTES_MAX: u64 = 256 * 1024;

/// What to think of a verdict.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Nothing speaks against it.
    None,
    /// It stands for now, and the file is to be looked at again at this time (UTC milliseconds), even if it seems unchanged.
    LookAgain(i64),
    /// It is not told: somebody is writing the file. It waits for these reasons, until this time.
    Writing(String, i64),
}

impl Doubt {
    /// Weighs what a file came to that was claimed at this time.
    pub fn about(ready: &Ready, judged: &Judged, claimed_at: i64) -> Doubt {
        let explained = |one: &&Violation| looks_damaged(one.code) || grows_into(one.code);
        let Some(violation) = judged.violations.iter().find(explained) else {
            return Doubt::None;
        };
        let stood = claimed_at - ready.changed_at;
        // At another size or time before, or without an end.
        let was_different = ready.changed_at > ready.claim.first_seen_at || ready.attempts > 0;
        if was_different && stood < millis(STANDS_STILL) && ready.claim.retry_of.is_none() {
            let until = ready.changed_at + millis(STANDS_STILL);
            let why = format!(
                "somebody writes it: as it is now it would be failed as {}; it will be at {} unless it changes",
                violation.code,
                report::time(until)
            );
            return Doubt::Writing(why, until);
        }
        // A second look that found other bytes: its times tell nothing, and it is looked at again less and less often.
        if looks_damaged(violation.code) && (stood < millis(TIMES_TELL) || ready.failed_before.is_some()) {
            return Doubt::LookAgain(claimed_at + stood.clamp(millis(TIMES_TELL), WAIT_MAX_MS / 2));
        }
        Doubt::None
    }
}

/// Whether a zip shows this whose end is there, and something before it is not yet.
fn looks_damaged(code: ViolationCode) -> bool {
    matches!(
        code,
        ViolationCode::ZipUnreadable
            | ViolationCode::ZipChecksum
            | ViolationCode::ZipInconsistent
            | ViolationCode::ZipMethod
    )
}

/// Whether an upload shows this while it goes on, whatever its bytes say: by the name that it has until it is whole, or since it
/// grows beyond a limit before our eyes.
fn grows_into(code: ViolationCode) -> bool {
    matches!(
        code,
        ViolationCode::NameMalformed | ViolationCode::NameTimestamp | ViolationCode::TooLarge
    )
}

impl Intake {
    /// Whether a file that has the size and time of an archive as it was read also has its bytes. Asked where they may differ
    /// all the same; a server that does not let us look again is believed.
    pub(super) async fn holds_what_was_read(&self, one: &Unmoved, path: &str) -> Result<bool, SourceError> {
        let early = one.claimed_at < one.mtime.saturating_add(millis(TIMES_TELL))
            || one.claimed_at < one.first_seen_at.saturating_add(millis(TIMES_TELL));
        let Some(sha256) = one.sha256 else { return Ok(true) };
        if !early || self.settings.settle >= TIMES_TELL || one.size >= READ_AGAIN_BYTES_MAX {
            return Ok(true);
        }
        match self.source.read(path, 0, one.size as usize).await {
            Ok(bytes) => Ok(<[u8; 32]>::from(Sha256::digest(&bytes)) == sha256),
            Err(error) if error.is_about_the_file() => Ok(true),
            Err(error) => Err(error),
        }
    }
}
