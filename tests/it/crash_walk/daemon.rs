//! The daemon in a world in which things go wrong: it has to get over them as the process that it is.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::time_passes;

/// Longest that it may take to get over what went wrong, its waits and those of a busy machine included.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

/// `feedgate run`. It is killed when it is dropped.
pub(super) struct Daemon(Child);

impl Daemon {
    /// Starts it, by a command that says with which configuration.
    pub(super) fn start(mut command: Command) -> Daemon {
        command.arg("run").stdout(Stdio::null()).stderr(Stdio::null());
        Daemon(command.spawn().expect("starting the daemon"))
    }

    /// Waits until the world's four archives have their places and their four events are delivered.
    pub(super) fn comes_to_rest(mut self, ledger: &Path, events_db: &Path) -> Result<(), String> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.0.try_wait().expect("looking for the daemon") {
                return Err(format!("the daemon ended: {status}"));
            }
            let put_away = "SELECT count(*) FROM imports WHERE status <> 'importing' AND disposition <> 'pending'";
            let busy = "SELECT count(*) FROM destinations
                        WHERE state <> 'idle' OR seq < (SELECT max(seq) FROM imports WHERE accepted > 0)";
            let counts = [
                count(ledger, put_away).ok(),
                count(ledger, busy).ok(),
                count(events_db, "SELECT count(*) FROM events").ok(),
            ];
            if counts == [Some(4), Some(0), Some(4)] {
                return Ok(());
            }
            // Waits of files are minutes long; those of sources and destinations are its own.
            time_passes(ledger);
            std::thread::sleep(Duration::from_millis(100));
        }
        Err("the daemon does not get over it".to_owned())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // That it has ended already was said.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn count(db: &Path, sql: &str) -> rusqlite::Result<i64> {
    let db = Connection::open_with_flags(db, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    db.query_row(sql, [], |row| row.get(0))
}
