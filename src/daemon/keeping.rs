//! What stays in the spool: archives leave it when they are old enough and wanted by nobody; what the ledger knows nothing of
//! is swept, or set aside where the ledger has forgotten it.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;

use super::World;
use super::elapsing::{Elapsing, Noted};
use crate::config::resolve::Settings;
use crate::ledger::retention::Retention;
use crate::ledger::{LedgerError, now};
use crate::spool::Question;

/// Spool files that the ledger is asked about at a time.
const SWEEP_FILES: usize = 1000;

impl World {
    /// Holds the spool against a ledger that was just opened. One that has forgotten what it knew, since it was put back from
    /// a backup, say, must not have the archives swept that it took in meanwhile: they are set aside.
    pub(super) async fn keep_what_is_forgotten(&self) -> anyhow::Result<()> {
        let last = self.ledger.last_seq().await?;
        if self.spool.is_ahead_of(last) {
            let files: Vec<String> = self.spool.files()?.collect::<Result<_, _>>()?;
            let unknown = self.ledger.unused(files).await?;
            let set_aside = self.spool.set_aside(&unknown, last)?;
            tracing::warn!(
                files = unknown.len(),
                path = set_aside.map(|path| path.display().to_string()),
                "the ledger is older than the spool, as if it was put back from a backup: spool files that it knows nothing of \
                 are set aside and kept; what was imported since is in imports.jsonl, and would be imported again if it came again"
            );
        }
        self.spool.belongs_to(last)?;
        Ok(())
    }

    /// What time it is, after what was noted last.
    pub(super) fn elapsing(&self) -> Elapsing {
        Elapsing::since(Noted::read(&self.clock_file()), now(), Instant::now())
    }

    fn clock_file(&self) -> PathBuf {
        self.state_dir.join("spool.clock")
    }

    /// Removes from the spool what is old enough and wanted by nobody.
    pub(super) async fn prune(&self, settings: &Settings, elapsing: &mut Elapsing) -> anyhow::Result<()> {
        let retention = Retention {
            keep: settings.spool.retention,
            lag_max: settings.spool.max_lag,
            lag_bytes_max: settings.spool.max_bytes,
        };
        let (clock, moment) = (now(), Instant::now());
        let believed = elapsing.believed(clock, moment);
        // Before anything leaves: who runs next must not believe what is doubted here.
        let noted = elapsing.noted(clock, moment).write(&self.clock_file());
        noted.context("noting beside the spool what time it is")?;
        let mut rest = Some(self.ledger.pruning(retention, believed).await?);
        while let Some(pruning) = rest {
            let question = self.spool.ask();
            let pruned = self.ledger.prune(pruning).await?;
            self.remove(pruned.files, &question)?;
            rest = pruned.rest;
        }
        self.tell_gaps(settings).await?;
        self.sweep().await
    }

    /// Says which destinations will miss something: what they have not had is no longer held for them. One that is down comes
    /// upon the gap only when it is up again.
    async fn tell_gaps(&self, settings: &Settings) -> Result<(), LedgerError> {
        for destination in &settings.destinations {
            let Some(row) = self.ledger.destination(&destination.name).await? else {
                continue;
            };
            let gap = self
                .ledger
                .gap(row.cursor.seq, &destination.name, destination.sources.clone())
                .await?;
            if let Some(gap) = gap {
                tracing::warn!(
                    destination = destination.name,
                    imports = gap.imports,
                    events = gap.events,
                    first = gap.first.0,
                    last = gap.last.0,
                    "archives left the spool before they were delivered, since it is further behind than `max_lag` or `max` allow"
                );
            }
        }
        Ok(())
    }

    /// Removes from the spool what no import refers to, a piece of the directory at a time.
    async fn sweep(&self) -> anyhow::Result<()> {
        let mut files = self.spool.files().context("sweeping the spool")?;
        let mut swept = 0;
        loop {
            let some: Vec<String> = files.by_ref().take(SWEEP_FILES).collect::<Result<_, _>>()?;
            if some.is_empty() {
                break;
            }
            let question = self.spool.ask();
            swept += self.remove(self.ledger.unused(some).await?, &question)?;
        }
        if swept > 0 {
            tracing::info!(files = swept, "removed from the spool what no import refers to");
        }
        Ok(())
    }

    /// Removes files from the spool; answers with how many are gone.
    fn remove(&self, files: Vec<String>, question: &Question) -> anyhow::Result<usize> {
        let mut removed = 0;
        for file in files {
            let gone = self.spool.remove(&file, question);
            removed += usize::from(gone.with_context(|| format!("removing `{file}` from the spool"))?);
        }
        Ok(removed)
    }
}
