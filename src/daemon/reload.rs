//! Settings that change while the daemon runs: told by SIGHUP, or by the file system.
//!
//! A broken change is refused, said, and the old settings stay.

use std::path::PathBuf;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::config::resolve::Settings;

/// Editors write a file in several steps: it is read when it has been quiet for so long.
const QUIET: Duration = Duration::from_millis(300);

/// Secrets lie in files of their own, which nobody watches: whether a password or a key was changed is looked up this often.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// Where new settings come from.
pub struct Reload {
    settings: mpsc::Receiver<Settings>,
    // Watches while it lives.
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Reload {
    /// Watches the configuration file, if there is one, and SIGHUP; `load` reads the settings anew.
    pub fn watch<E: std::fmt::Display>(
        file: Option<PathBuf>,
        first: Settings,
        load: impl Fn() -> Result<Settings, E> + Send + 'static,
    ) -> anyhow::Result<Reload> {
        let (changed, mut changes) = mpsc::channel::<()>(1);
        let watcher = match &file {
            Some(file) => watch_file(file, changed.clone()),
            None => None,
        };
        let mut hangups = signal(SignalKind::hangup())?;
        let (sender, settings) = mpsc::channel(1);
        tokio::spawn(async move {
            let _keep_open = changed;
            let mut current = first;
            loop {
                let (asked, told) = tokio::select! {
                    _ = hangups.recv() => (true, true),
                    change = changes.recv() => if change.is_some() { (false, true) } else { return },
                    () = tokio::time::sleep(LOOK_AGAIN) => (false, false),
                };
                if told {
                    tokio::time::sleep(QUIET).await;
                }
                while changes.try_recv().is_ok() {}
                match load().map_err(|error| error.to_string()) {
                    // Nobody has touched the file: what is wrong with it was said when it came to be.
                    Err(_) if !told => {}
                    Ok(settings) if settings == current => {
                        if asked {
                            tracing::info!("the configuration has not changed");
                        }
                    }
                    Ok(settings) => {
                        current = settings.clone();
                        if sender.send(settings).await.is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        tracing::error!(
                            error,
                            "the changed configuration is refused; the one before stays in force"
                        );
                    }
                }
            }
        });
        Ok(Reload {
            settings,
            _watcher: watcher,
        })
    }

    /// The next settings that are sound and not those in force.
    pub async fn changed(&mut self) -> Settings {
        match self.settings.recv().await {
            Some(settings) => settings,
            None => std::future::pending().await,
        }
    }
}

/// Watches the file's directory: editors and orchestrators replace the file, and a watch on the old one sees nothing.
fn watch_file(file: &std::path::Path, changed: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
    let file = std::path::absolute(file).ok()?;
    let dir = file.parent()?.to_owned();
    let name = file.file_name()?.to_owned();
    // Only news of the file itself counts (or of the `..data` link by which orchestrators swap it): the daemon's own log may
    // lie in the same directory, and what it says must not lead to more being said.
    let concerns = move |path: &PathBuf| {
        let found = path.file_name().unwrap_or_default();
        found == name || found.as_encoded_bytes().starts_with(b"..")
    };
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading the file is an event too, and must not lead to reading it again.
        if event.is_ok_and(|event| !event.kind.is_access() && event.paths.iter().any(&concerns)) {
            // One waiting already says as much.
            changed.try_send(()).ok();
        }
    });
    let watched = watcher.and_then(|mut watcher| {
        watcher.watch(&dir, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    match watched {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(%error, "the configuration file cannot be watched; SIGHUP has it read again");
            None
        }
    }
}
