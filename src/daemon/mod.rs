//! Wiring: a task for each source, a task for each destination, people, the log, the heartbeat, retention; and shutdown.
//!
//! The two loops never call each other: intake tells [`Notify`] that something was committed, and delivery looks. A task that
//! fails holds up no other. Shutdown is a token that everything long-running listens to: what is in hand is finished if that
//! is a matter of a second, and repeated after the next start if it is not; there is nothing to repair either way.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::resolve::{DestinationSettings, ImportLogSettings, KeepPeople, Location, Settings, SourceSettings};
use crate::delivery::{self, Delivery};
use crate::destination::{self, Needs};
use crate::intake::{Intake, Readers, Trouble, backoff};
use crate::ledger::{Ledger, LedgerError, now};
use crate::people::Follower;
use crate::source::{LocalSource, SftpSource, Source};
use crate::spool::Spool;
use crate::unique::{Spill, Unique};

mod elapsing; // how much time has passed, whatever the clock says
mod heartbeat; // how others see that the daemon is alive
mod import_log;
mod keeping; // what stays in the spool, and what is swept
mod lock;
mod once;
mod reload;
mod requests;

use heartbeat::Heartbeat;
pub use heartbeat::{HEARTBEAT_AGE_MAX, heartbeat_age};
use import_log::ImportLog;
pub use lock::{LockError, StateLock};
pub use once::{Once, once};
pub use reload::Reload;
pub use requests::clear_by_hand;

/// First and longest wait before a source in trouble is tried again.
const SOURCE_BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// Time between two turns of a source that is told of changes, so that a slow upload does not keep it busy.
const TURN_PAUSE_MIN: Duration = Duration::from_millis(200);

/// How long a turn may go on after the daemon was told to stop. What it has not finished then, it repeats after the next start.
const STOP_GRACE: Duration = Duration::from_millis(1500);

/// How long a task that was told to stop is waited for. With it the whole ends within the 10 s that a container is given.
const TASK_END_MAX: Duration = Duration::from_secs(4);

/// How long the import status log is waited for at its end. If the ledger is held by another program, the lines wait in it.
const LOG_END_MAX: Duration = Duration::from_secs(2);

/// Time between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Time between two looks for archives that may leave the spool.
const PRUNE_INTERVAL: Duration = Duration::from_secs(600);

/// What every task shares.
#[derive(Clone)]
struct World {
    state_dir: PathBuf,
    ledger: Ledger,
    spool: Spool,
    unique: Unique,
    committed: Arc<Notify>,
}

impl World {
    /// Opens the state directory, which the caller has locked, and clears away what a killed daemon left half done.
    async fn open(settings: &Settings) -> anyhow::Result<World> {
        let state_dir = settings.state_dir.clone();
        let path = state_dir.join("ledger.db");
        // Another program may hold it, or it may have to be upgraded: whoever waits here can be told to stop.
        let ledger = tokio::task::spawn_blocking(move || Ledger::open(&path)).await??;
        let spool_dir = state_dir.join("spool");
        let opening = || format!("opening the spool `{}`", spool_dir.display());
        let (spool, set_aside) = Spool::open(&spool_dir, &ledger.identity().await?).with_context(opening)?;
        if let Some(set_aside) = set_aside {
            tracing::warn!(path = %set_aside.display(), "the spool belonged to another ledger, which is gone: it is set aside and kept");
        }
        ledger.unclaim_all().await?;
        spool.sweep_unfinished().with_context(opening)?;
        Spill::sweep(&state_dir).context("sweeping the state directory")?;
        let unique =
            Unique::new(&state_dir, settings.spool.free_bytes_min).context("starting the thread of the unique keys")?;
        let world = World {
            state_dir,
            ledger,
            spool,
            unique,
            committed: Arc::new(Notify::new()),
        };
        world.keep_what_is_forgotten().await.with_context(opening)?;
        world.note_configured(settings).await?;
        Ok(world)
    }

    /// Notes which sources and destinations are no longer configured: nobody is held up by them, or troubled. And makes those
    /// known that are, before anything more is imported.
    async fn note_configured(&self, settings: &Settings) -> Result<(), LedgerError> {
        let sources = settings.sources.iter().map(|source| source.name.clone()).collect();
        self.ledger.remove_sources_but(sources).await?;
        let destinations = settings
            .destinations
            .iter()
            .map(|destination| destination.name.clone())
            .collect();
        self.ledger.remove_destinations_but(destinations, now()).await?;
        for destination in &settings.destinations {
            self.ledger.register(delivery::registration(destination), now()).await?;
        }
        let is_needed = |settings: &DestinationSettings| destination::needs(settings) != Needs::Nothing;
        let keep = match settings.people {
            KeepPeople::Auto if settings.destinations.iter().any(is_needed) => KeepPeople::Always,
            keep => keep,
        };
        self.ledger.keep_people(keep).await?;
        // Whoever follows the log may have something to do now.
        self.committed.notify_waiters();
        Ok(())
    }

    fn intake(&self, source: &SourceSettings, settings: &Settings, readers: &Readers) -> Intake {
        Intake {
            source: open_source(source),
            settings: source.clone(),
            limits: settings.limits,
            definitions: settings.definitions.clone(),
            ledger: self.ledger.clone(),
            spool: self.spool.clone(),
            unique: self.unique.clone(),
            state_dir: (self.state_dir.clone(), settings.spool.free_bytes_min),
            readers: readers.clone(),
            committed: self.committed.clone(),
        }
    }

    fn start_log(&self, settings: ImportLogSettings) -> Running<ImportLogSettings> {
        let log = ImportLog::new(self.ledger.clone(), &self.state_dir, settings);
        // Not a child of the token that ends everything: it goes on until everything else has ended.
        let stop = CancellationToken::new();
        let task = tokio::spawn(log.run(stop.clone()));
        Running { settings, stop, task }
    }

    fn start_people(&self, stop: &CancellationToken) -> Running<()> {
        let stop = stop.child_token();
        let task = tokio::spawn(self.follower().run(self.committed.clone(), stop.clone()));
        Running {
            settings: (),
            stop,
            task,
        }
    }

    fn follower(&self) -> Follower {
        Follower::new(self.ledger.clone(), self.spool.dir())
    }

    fn delivery(&self, destination: &DestinationSettings) -> Delivery {
        Delivery::new(self.ledger.clone(), self.spool.dir().to_owned(), destination.clone())
    }
}

/// The source that the settings name. Nothing is dialled before it is asked for something.
pub fn open_source(settings: &SourceSettings) -> Arc<dyn Source> {
    match &settings.location {
        Location::Local { dir } => Arc::new(LocalSource::new(&settings.name, dir, settings.timeout)),
        Location::Sftp(sftp) => Arc::new(SftpSource::new(&settings.name, sftp, settings.timeout)),
    }
}

/// A source's task, a destination's or the log's, and how to end it.
struct Running<T> {
    settings: T,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl<T> Running<T> {
    /// Lets it finish what it has to do, unless that takes longer than this.
    async fn end(self, within: Duration) {
        self.stop.cancel();
        tokio::time::timeout(within, self.task).await.ok();
    }
}

/// Runs until told to stop. `reload` tells of new settings; those that are broken never get here.
pub async fn run(mut settings: Settings, mut reload: Reload, stop: CancellationToken) -> anyhow::Result<()> {
    let _lock = StateLock::take(&settings.state_dir)?;
    let world = tokio::select! {
        opened = World::open(&settings) => opened?,
        () = stop.cancelled() => return Ok(()),
    };
    let mut elapsing = world.elapsing();
    let mut heartbeat = Heartbeat::begin(&world.state_dir)?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        state_dir = %settings.state_dir.display(),
        sources = settings.sources.len(),
        definitions = settings.definitions.definitions.as_ref().map_or(0, |all| all.iter().count()),
        destinations = settings.destinations.len(),
        "feedgate is running"
    );
    warn_of_oddities(&settings);
    let mut log = world.start_log(settings.import_log);
    let mut people = world.start_people(&stop);
    let mut readers = Readers::new(settings.limits.concurrent_imports);
    let mut sources = HashMap::new();
    let mut destinations = HashMap::new();
    let mut requests = world.start_requests(&stop);
    let mut next_prune = tokio::time::Instant::now() + HEARTBEAT;
    take_over(&world, &settings, &readers, &stop, &mut sources, &mut destinations).await;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(HEARTBEAT) => {
                heartbeat.beat_if_well(&world.ledger).await;
                // A task ends only when it is told to, or by a defect: then it is begun anew, and nothing waits for a restart.
                let ended = sources.values().filter(|one| one.task.is_finished()).count()
                    + destinations.values().filter(|one| one.task.is_finished()).count();
                if log.task.is_finished() {
                    tracing::error!("the import status log ended by a defect of feedgate, and is begun anew; please report it");
                    log = world.start_log(settings.import_log);
                }
                if people.task.is_finished() {
                    tracing::error!("the reading of people ended by a defect of feedgate, and is begun anew; please report it");
                    people = world.start_people(&stop);
                }
                if requests.task.is_finished() {
                    tracing::error!("looking for requests ended by a defect of feedgate, and is begun anew; please report it");
                    requests = world.start_requests(&stop);
                }
                if ended > 0 {
                    tracing::error!(tasks = ended, "tasks ended by a defect of feedgate, and are begun anew; please report it");
                    sources.retain(|_, one| !one.task.is_finished());
                    destinations.retain(|_, one| !one.task.is_finished());
                    take_over(&world, &settings, &readers, &stop, &mut sources, &mut destinations).await;
                }
                if tokio::time::Instant::now() >= next_prune {
                    next_prune = tokio::time::Instant::now() + PRUNE_INTERVAL;
                    if let Err(error) = world.prune(&settings, &mut elapsing).await {
                        tracing::error!(error = format!("{error:#}"), "pruning the spool failed");
                    }
                }
            }
            changed = reload.changed() => {
                if changed.state_dir != settings.state_dir {
                    tracing::error!("`state_dir` has changed in the configuration: restart for that; the rest is not taken over");
                    continue;
                }
                if changed.limits != settings.limits || changed.spool != settings.spool {
                    readers = Readers::new(changed.limits.concurrent_imports);
                    end_all(&mut sources).await;
                }
                if changed.definitions != settings.definitions {
                    warn_of_oddities(&changed);
                    end_all(&mut sources).await;
                }
                if changed.import_log != log.settings {
                    log.end(LOG_END_MAX).await;
                    log = world.start_log(changed.import_log);
                }
                settings = changed;
                take_over(&world, &settings, &readers, &stop, &mut sources, &mut destinations).await;
                tracing::info!("the changed configuration is taken over");
            }
        }
    }
    tracing::info!("stopping");
    tokio::join!(
        end_all(&mut sources),
        end_all(&mut destinations),
        people.end(TASK_END_MAX),
        requests.end(TASK_END_MAX)
    );
    // The last to end: what is said at the end is written too.
    log.end(LOG_END_MAX).await;
    heartbeat.end();
    Ok(())
}

/// Says what is odd about the event definitions, when they come into force.
fn warn_of_oddities(settings: &Settings) {
    for odd in settings.definitions.definitions.iter().flat_map(|all| all.warnings()) {
        tracing::warn!("{odd}");
    }
}

/// Ends the tasks whose settings are gone or have changed, and starts those that are new.
async fn take_over(
    world: &World,
    settings: &Settings,
    readers: &Readers,
    stop: &CancellationToken,
    sources: &mut HashMap<String, Running<SourceSettings>>,
    destinations: &mut HashMap<String, Running<DestinationSettings>>,
) {
    let wanted = |name: &str, running: &SourceSettings| settings.sources.iter().any(|s| s.name == name && s == running);
    end_where(sources, |name, running| !wanted(name, running)).await;
    let wanted = |name: &str, running: &DestinationSettings| {
        settings.destinations.iter().any(|d| d.name == name && d == running)
    };
    end_where(destinations, |name, running| !wanted(name, running)).await;
    if let Err(error) = world.note_configured(settings).await {
        tracing::error!(%error, "noting what the configuration names failed");
    }
    for source in &settings.sources {
        if !sources.contains_key(&source.name) {
            let stop = stop.child_token();
            let task = tokio::spawn(poll(world.intake(source, settings, readers), stop.clone()));
            sources.insert(
                source.name.clone(),
                Running {
                    settings: source.clone(),
                    stop,
                    task,
                },
            );
        }
    }
    for destination in &settings.destinations {
        if !destinations.contains_key(&destination.name) {
            let stop = stop.child_token();
            let delivery = world.delivery(destination);
            let task = tokio::spawn(delivery.run(world.committed.clone(), stop.clone()));
            destinations.insert(
                destination.name.clone(),
                Running {
                    settings: destination.clone(),
                    stop,
                    task,
                },
            );
        }
    }
}

async fn end_all<T>(running: &mut HashMap<String, Running<T>>) {
    end_where(running, |_, _| true).await;
}

async fn end_where<T>(running: &mut HashMap<String, Running<T>>, which: impl Fn(&str, &T) -> bool) {
    let names: Vec<String> = running
        .iter()
        .filter(|(name, one)| which(name, &one.settings))
        .map(|(name, _)| name.clone())
        .collect();
    let ending: Vec<Running<T>> = names.iter().filter_map(|name| running.remove(name)).collect();
    ending.iter().for_each(|one| one.stop.cancel());
    let waited_for = tokio::time::Instant::now() + TASK_END_MAX;
    for mut one in ending {
        match tokio::time::timeout_at(waited_for, &mut one.task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "a task ended badly"),
            // A console whose reader has gone to sleep, say. What it has not done, it does after the next start.
            Err(_) => {
                one.task.abort();
                tracing::warn!("a task does not end, and is left behind");
            }
        }
    }
}

/// A source's task: turn after turn, on its own clock.
async fn poll(intake: Intake, stop: CancellationToken) {
    let mut attempts = 0;
    // The ledger may still tell of trouble that a daemon before this one had.
    let mut known_to_be_well = false;
    while !stop.is_cancelled() {
        let pause = tokio::select! {
            turned = intake.turn(&stop) => match turned {
                Ok(turned) => {
                    if !known_to_be_well {
                        note_trouble(&intake, None).await;
                    }
                    (attempts, known_to_be_well) = (0, true);
                    let interval = intake.settings.poll_interval.mul_f64(0.9 + 0.2 * fastrand::f64());
                    turned.look_in.map_or(interval, |look_in| interval.min(look_in))
                }
                Err(trouble) => {
                    let wait = backoff(attempts, SOURCE_BACKOFF.0, SOURCE_BACKOFF.1);
                    attempts = attempts.saturating_add(1);
                    known_to_be_well = false;
                    note_trouble(&intake, Some((&trouble, attempts, wait))).await;
                    wait
                }
            },
            () = after(&stop, STOP_GRACE) => {
                // Cut off in mid-turn: what it had claimed comes to nothing, and `status` must not say otherwise.
                if let Err(error) = intake.ledger.unclaim_source(intake.source.name()).await {
                    tracing::error!(source = intake.source.name(), %error, "taking claims back failed");
                }
                break;
            }
        };
        let changed = async {
            tokio::time::sleep(TURN_PAUSE_MIN.min(pause)).await;
            // In trouble, news of changes is no reason to come back sooner.
            if attempts == 0 {
                intake.source.changed().await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = changed => {}
            () = stop.cancelled() => {}
        }
    }
    tokio::time::timeout(STOP_GRACE, intake.source.close()).await.ok();
}

async fn after(stop: &CancellationToken, grace: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(grace).await;
}

/// Writes down how a source does; if the ledger is the trouble, the log must do.
async fn note_trouble(intake: &Intake, trouble: Option<(&Trouble, u32, Duration)>) {
    let source = intake.source.name();
    let noted = trouble.map(|(trouble, attempts, wait)| {
        let retry_at = now().saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        (trouble.to_string(), attempts, retry_at)
    });
    if let Err(error) = intake.ledger.source_trouble(source, noted.clone(), now()).await {
        let trouble = noted.map(|(trouble, ..)| trouble);
        tracing::error!(source, trouble, %error, "the source is in trouble, and the ledger does not take it down");
    }
}
