//! `feedgate once`: one pass over every source, and deliveries until nothing is left to do now.

use tokio_util::sync::CancellationToken;

use super::import_log::ImportLog;
use super::{StateLock, World, note_trouble};
use crate::config::resolve::Settings;
use crate::intake::{Intake, Readers, Trouble, Turned, backoff};

/// What the pass came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Once {
    /// Archives that got their outcome in this pass.
    pub closed: usize,
    /// Of these, failed ones.
    pub failed: usize,
    /// Archives that could not be put away.
    pub pending: usize,
    /// Sources that could not be done, and why.
    pub sources_in_trouble: Vec<(String, String)>,
    /// Destinations that could not be done, and why.
    pub destinations_in_trouble: Vec<(String, String)>,
    /// Events delivered in this pass, to all destinations together.
    pub delivered: u64,
}

/// Makes the pass. Files that are seen for the first time are waited for, for one `settle`.
pub async fn once(settings: &Settings, stop: CancellationToken) -> anyhow::Result<Once> {
    let _lock = StateLock::take(&settings.state_dir)?;
    let world = World::open(settings).await?;
    let readers = Readers::new(settings.limits.concurrent_imports);
    let mut report = Once::default();
    // What there is to say is said meanwhile: afterwards, everything else would wait for it.
    let log_stop = CancellationToken::new();
    let log = ImportLog::new(world.ledger.clone(), &world.state_dir, settings.import_log);
    let logging = tokio::spawn(log.run(log_stop.clone()));
    let _ends_with_us = log_stop.clone().drop_guard();

    let mut tasks = Vec::new();
    for source in &settings.sources {
        let intake = world.intake(source, settings, &readers);
        let stop = stop.clone();
        tasks.push((
            source.name.clone(),
            tokio::spawn(async move { pass(intake, &stop).await }),
        ));
    }
    for (name, task) in tasks {
        let (turned, trouble) = task.await?;
        report.closed += turned.closed;
        report.failed += turned.failed;
        report.pending += turned.pending;
        report
            .sources_in_trouble
            .extend(trouble.map(|trouble| (name, trouble.to_string())));
    }

    let mut tasks = Vec::new();
    for destination in &settings.destinations {
        let delivery = world.delivery(destination);
        let stop = stop.clone();
        tasks.push((
            destination.name.clone(),
            tokio::spawn(async move { delivery.once(stop).await }),
        ));
    }
    for (name, task) in tasks {
        let outcome = task.await?;
        report.delivered += outcome.delivered;
        report
            .destinations_in_trouble
            .extend(outcome.trouble.map(|trouble| (name, trouble)));
    }

    world.prune(settings).await?;
    log_stop.cancel();
    logging.await?;
    // Once more, to learn whether all of it was written.
    ImportLog::new(world.ledger.clone(), &world.state_dir, settings.import_log)
        .write_all()
        .await?;
    Ok(report)
}

async fn pass(intake: Intake, stop: &CancellationToken) -> (Turned, Option<Trouble>) {
    let mut total = Turned::default();
    let mut result = intake.turn(stop).await;
    if let Ok(Turned {
        settles_in: Some(settles_in),
        ..
    }) = result
    {
        if let Ok(first) = &result {
            total = *first;
        }
        tokio::select! {
            () = tokio::time::sleep(settles_in) => result = intake.turn(stop).await,
            () = stop.cancelled() => result = Ok(Turned::default()),
        }
    }
    let trouble = match result {
        Ok(turned) => {
            total.closed += turned.closed;
            total.failed += turned.failed;
            total.pending = turned.pending;
            note_trouble(&intake, None).await;
            None
        }
        Err(trouble) => {
            let wait = backoff(0, super::SOURCE_BACKOFF.0, super::SOURCE_BACKOFF.1);
            note_trouble(&intake, Some((&trouble, 1, wait))).await;
            Some(trouble)
        }
    };
    intake.source.close().await;
    (total, trouble)
}
