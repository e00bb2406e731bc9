//! Settings that change while the daemon runs: told by SIGHUP, or by the file system.
//!
//! A broken change is refused, said, and the old settings stay.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
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
}

impl Reload {
    /// Watches the configuration file, if there is one, the event definitions, and SIGHUP; `load` reads the settings anew.
    pub fn watch<E: std::fmt::Display>(
        file: Option<PathBuf>,
        first: Settings,
        load: impl Fn() -> Result<Settings, E> + Send + 'static,
    ) -> anyhow::Result<Reload> {
        let (changed, mut changes) = mpsc::channel::<()>(1);
        let mut watch = Watch::new(file.as_deref(), changed.clone());
        watch.definitions(first.definitions.dir.as_deref());
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
                // The directory may have come to be only now, and a new one of its name is another one to the system.
                watch.definitions(current.definitions.dir.as_deref());
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
                        watch.definitions(current.definitions.dir.as_deref());
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
        Ok(Reload { settings })
    }

    /// The next settings that are sound and not those in force.
    pub async fn changed(&mut self) -> Settings {
        match self.settings.recv().await {
            Some(settings) => settings,
            None => std::future::pending().await,
        }
    }
}

/// What is watched: the configuration file, and the directory of event definitions.
struct Watch {
    /// Watches while it lives; none where the system does not let us.
    watcher: Option<notify::RecommendedWatcher>,
    definitions: Arc<Mutex<Option<PathBuf>>>,
}

impl Watch {
    /// Watches the file's directory: editors and orchestrators replace the file, and a watch on the old one sees nothing.
    fn new(file: Option<&Path>, changed: mpsc::Sender<()>) -> Watch {
        let file = file.and_then(|file| std::path::absolute(file).ok());
        let definitions: Arc<Mutex<Option<PathBuf>>> = Arc::default();
        let (dir, known) = (file.clone(), Arc::clone(&definitions));
        // Only news of the file itself counts (or of the `..data` link by which orchestrators swap it), and of definitions: the
        // daemon's own log may lie in the same directory, and what it says must not lead to more being said.
        let concerns = move |path: &PathBuf| {
            let found = path.file_name().unwrap_or_default();
            let is_link = found.as_encoded_bytes().starts_with(b"..");
            let of_definitions = known.lock().is_ok_and(|known| match known.as_deref() {
                Some(known) => {
                    path == known || path.parent() == Some(known) && found.as_encoded_bytes().ends_with(b".json")
                }
                None => false,
            });
            of_definitions || is_link || file.as_ref().is_some_and(|file| file.file_name() == Some(found))
        };
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading a file is an event too, and must not lead to reading it again.
            if event.is_ok_and(|event| !event.kind.is_access() && event.paths.iter().any(&concerns)) {
                // One waiting already says as much.
                changed.try_send(()).ok();
            }
        });
        let watched = watcher.and_then(|mut watcher| {
            if let Some(dir) = dir.as_deref().and_then(Path::parent) {
                watcher.watch(dir, RecursiveMode::NonRecursive)?;
            }
            Ok(watcher)
        });
        let watcher = watched.map_err(|error| {
            tracing::warn!(%error, "the configuration file cannot be watched; SIGHUP has it read again");
        });
        Watch {
            watcher: watcher.ok(),
            definitions,
        }
    }

    /// Watches the definitions, if they are there. Asked again, it watches what is there now.
    fn definitions(&mut self, dir: Option<&Path>) {
        let Some(watcher) = &mut self.watcher else { return };
        // Let go of before the watcher is asked for anything: it may be waiting for the same lock.
        let old = self.definitions.lock().ok().and_then(|mut known| {
            let old = known.take_if(|known| Some(known.as_path()) != dir);
            *known = dir.map(Path::to_owned);
            old
        });
        if let Some(old) = old {
            // It may be gone.
            watcher.unwatch(&old).ok();
        }
        if let Some(dir) = dir {
            // Where it is not there yet, whoever makes it is seen in the directory above, if that is the configuration's; and
            // everything is looked at again now and then.
            watcher.watch(dir, RecursiveMode::NonRecursive).ok();
        }
    }
}
