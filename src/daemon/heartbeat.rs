//! The heartbeat: a file that the daemon touches, by whose age others see that it is alive.
//!
//! A touch and no more: it needs no room, so that a full disk does not make the daemon look dead.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context;

use crate::ledger::Ledger;

/// A heartbeat older than this means that the daemon hangs or is gone.
pub const HEARTBEAT_AGE_MAX: Duration = Duration::from_secs(60);

/// The daemon's heart.
pub(super) struct Heartbeat {
    path: PathBuf,
    failed: bool,
}

impl Heartbeat {
    /// The first beat, which says whose they are.
    pub(super) fn begin(state_dir: &Path) -> anyhow::Result<Heartbeat> {
        let path = path_in(state_dir);
        write(&path).with_context(|| format!("writing `{}`", path.display()))?;
        Ok(Heartbeat { path, failed: false })
    }

    /// Another beat. A daemon whose ledger does not answer is not well, and has none; that is said when it begins.
    pub(super) async fn beat_if_well(&mut self, ledger: &Ledger) {
        match self.beat(ledger).await {
            Ok(()) => self.failed = false,
            Err(_) if self.failed => {}
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the heartbeat fails");
                self.failed = true;
            }
        }
    }

    async fn beat(&self, ledger: &Ledger) -> anyhow::Result<()> {
        ledger
            .read("looking at the ledger", |connection| {
                connection.query_row("SELECT 1", [], |_| Ok(()))
            })
            .await?;
        touch(&self.path).with_context(|| format!("touching `{}`", self.path.display()))
    }

    /// Ended on purpose: nobody is to take it for alive for another minute. One that was killed leaves its heartbeat behind.
    pub(super) fn end(self) {
        fs::remove_file(self.path).ok();
    }
}

/// Time since the daemon's last heartbeat; `None` if none has run yet, or it ended properly. For the container's health check.
pub fn heartbeat_age(state_dir: &Path) -> Option<Duration> {
    let beaten = fs::metadata(path_in(state_dir))
        .and_then(|metadata| metadata.modified())
        .ok()?;
    Some(age(beaten, SystemTime::now()))
}

/// One of a time to come was beaten before somebody set the clock back. A daemon that is alive would have beaten since: it is
/// as old as it lies ahead, or older.
fn age(beaten: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(beaten).unwrap_or_else(|ahead| ahead.duration())
}

fn path_in(state_dir: &Path) -> PathBuf {
    state_dir.join("heartbeat")
}

fn touch(path: &Path) -> io::Result<()> {
    match File::options().write(true).open(path) {
        Ok(file) => file.set_modified(SystemTime::now()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => write(path),
        Err(error) => Err(error),
    }
}

fn write(path: &Path) -> io::Result<()> {
    fs::write(path, format!("{}\n", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_time_to_come_is_not_fresh() {
        let now = SystemTime::now();
        let hour = Duration::from_secs(3600);
        assert_eq!(age(now - hour, now), hour);
        assert_eq!(age(now + hour, now), hour);
    }
}
