//! `feedgate once`: one pass over every source, and deliveries until nothing is left to do now.
//!
//! Told to stop, it ends as the daemon does: what is in hand is finished if that is a matter of a second or two, and the
//! rest is left for the next pass.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::import_log::ImportLog;
use super::{LOG_END_MAX, STOP_GRACE, StateLock, World, after, note_trouble};
use crate::config::resolve::Settings;
use crate::intake::{Intake, Readers, Trouble, Turned, backoff};

/// How long a source's pass may go on after it was told to stop: what is recorded by then is put away too, if the server lets
/// it. Nobody comes soon to finish it, as the next turn of a daemon does.
const PASS_GRACE: Duration = Duration::from_secs(4);

/// How long any task is waited for after that word. With what follows, all of it ends within 10 s.
const PASS_END_MAX: Duration = Duration::from_secs(6);

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
    /// Why people could not be read.
    pub people_in_trouble: Option<String>,
    /// Events delivered in this pass, to all destinations together.
    pub delivered: u64,
    /// Whether it was told to stop, and so may have left something undone.
    pub stopped: bool,
}

/// Makes the pass. Files that are seen for the first time are waited for, for one `settle`.
pub async fn once(settings: &Settings, stop: CancellationToken) -> anyhow::Result<Once> {
    let _lock = StateLock::take(&settings.state_dir)?;
    let world = tokio::select! {
        opened = World::open(settings) => opened?,
        () = stop.cancelled() => return Ok(Once { stopped: true, ..Once::default() }),
    };
    super::warn_of_oddities(settings);
    let mut elapsing = world.elapsing();
    // Tasks that were told to stop are waited for until then.
    let too_late = CancellationToken::new();
    let (told, late) = (stop.clone(), too_late.clone());
    tokio::spawn(async move {
        after(&told, PASS_END_MAX).await;
        late.cancel();
    });
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
        let Some((turned, trouble)) = unless(&too_late, task).await? else {
            continue;
        };
        report.closed += turned.closed;
        report.failed += turned.failed;
        report.pending += turned.pending;
        report
            .sources_in_trouble
            .extend(trouble.map(|trouble| (name, trouble.to_string())));
    }

    // Before anything is delivered: what is to be erased need not be sent first.
    world.erasing().work(&stop).await?;
    // Destinations that look people up do so when all of them are read.
    match world.follower().once(&stop).await {
        Ok(()) => {}
        Err(error) => report.people_in_trouble = Some(error.to_string()),
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
        let Some(outcome) = unless(&too_late, task).await? else {
            continue;
        };
        report.delivered += outcome.delivered;
        report
            .destinations_in_trouble
            .extend(outcome.trouble.map(|trouble| (name, trouble)));
    }

    report.stopped = stop.is_cancelled();
    log_stop.cancel();
    if report.stopped {
        // What is not said by then waits in the ledger for the next pass.
        tokio::time::timeout(LOG_END_MAX, logging).await.ok();
        return Ok(report);
    }
    // Once more, since all may be past whom an erasure was about.
    world.erasing().work(&stop).await?;
    world.prune(settings, &mut elapsing).await?;
    logging.await?;
    // Once more, to learn whether all of it was written.
    ImportLog::new(world.ledger.clone(), &world.state_dir, settings.import_log)
        .write_all()
        .await?;
    Ok(report)
}

/// What a task comes to; `None` if it is too late before it has ended.
async fn unless<T>(too_late: &CancellationToken, mut task: JoinHandle<T>) -> anyhow::Result<Option<T>> {
    tokio::select! {
        done = &mut task => Ok(Some(done?)),
        () = too_late.cancelled() => {
            task.abort();
            Ok(None)
        }
    }
}

/// A source's pass, cut off if it goes on for long after it was told to stop.
async fn pass(intake: Intake, stop: &CancellationToken) -> (Turned, Option<Trouble>) {
    let done = tokio::select! {
        done = turns(&intake, stop) => done,
        () = after(stop, PASS_GRACE) => {
            // What it had claimed comes to nothing, and `status` must not say otherwise.
            if let Err(error) = intake.ledger.unclaim_source(intake.source.name()).await {
                tracing::error!(source = intake.source.name(), %error, "taking claims back failed");
            }
            (Turned::default(), None)
        }
    };
    tokio::time::timeout(STOP_GRACE, intake.source.close()).await.ok();
    done
}

async fn turns(intake: &Intake, stop: &CancellationToken) -> (Turned, Option<Trouble>) {
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
            note_trouble(intake, None).await;
            None
        }
        Err(trouble) => {
            let wait = backoff(0, super::SOURCE_BACKOFF.0, super::SOURCE_BACKOFF.1);
            note_trouble(intake, Some((&trouble, 1, wait))).await;
            Some(trouble)
        }
    };
    (total, trouble)
}
