//! `run` and `once`: the daemon, and a single pass.

use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Ending, settings};
use crate::config::resolve::Settings;
use crate::daemon::{self, Reload};

/// `run`: until SIGTERM or SIGINT.
pub async fn run(config: Option<&Path>) -> anyhow::Result<Ending> {
    let settings = settings::load(config)?;
    refuse_idleness(&settings)?;
    let stop = stop_on_signals()?;
    let path = config.map(Path::to_owned);
    let load = move || {
        let settings = settings::load(path.as_deref())?;
        refuse_idleness(&settings)?;
        Ok::<_, anyhow::Error>(settings)
    };
    let reload = Reload::watch(settings::file(config)?, settings.clone(), load)?;
    daemon::run(settings, reload, stop).await?;
    Ok(Ending::Well)
}

/// `once`: one pass, and an exit code that tells of this pass alone.
pub async fn once(config: Option<&Path>) -> anyhow::Result<Ending> {
    let settings = settings::load(config)?;
    refuse_idleness(&settings)?;
    let pass = daemon::once(&settings, stop_on_signals()?).await?;
    for (source, trouble) in &pass.sources_in_trouble {
        tracing::error!(source, trouble, "the source could not be done");
    }
    for (destination, trouble) in &pass.destinations_in_trouble {
        tracing::error!(destination, trouble, "the destination could not be done");
    }
    if let Some(trouble) = &pass.people_in_trouble {
        tracing::error!(trouble, "people could not be read");
    }
    tracing::info!(
        archives = pass.closed,
        failed = pass.failed,
        delivered = pass.delivered,
        "{}",
        if pass.stopped {
            "told to stop before the pass was done: the rest is left for the next"
        } else {
            "the pass is done"
        }
    );
    // Everything that was asked for failed: that is not attention, that is not done.
    if !pass.sources_in_trouble.is_empty() && pass.sources_in_trouble.len() == settings.sources.len() {
        anyhow::bail!("making a pass: no source could be reached");
    }
    let troubled = !pass.sources_in_trouble.is_empty()
        || !pass.destinations_in_trouble.is_empty()
        || pass.people_in_trouble.is_some();
    match pass.failed > 0 || pass.pending > 0 || troubled || pass.stopped {
        true => Ok(Ending::Attention),
        false => Ok(Ending::Well),
    }
}

/// A daemon with nothing to poll would look healthy for ever.
fn refuse_idleness(settings: &Settings) -> anyhow::Result<()> {
    if settings.sources.is_empty() {
        anyhow::bail!(
            "looking for something to poll: the configuration has no source; add a `[[source]]`, or set \
             FEEDGATE__SOURCE__0__NAME, FEEDGATE__SOURCE__0__URL and so on (config/example.toml shows how)"
        );
    }
    Ok(())
}

/// Told by SIGTERM or SIGINT to stop. As process 1 of a container there is no other way to be ended politely.
fn stop_on_signals() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let told = stop.clone();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        told.cancel();
        // Asked again: somebody does not want to wait. Whatever is cut short is repeated after the next start.
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(2);
    });
    Ok(stop)
}
