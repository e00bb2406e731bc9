//! An SFTP account as a source: our own SFTP client over libssh2's transport.
//!
//! `ssh2` carries the connection (sessions, keys, host keys, agent), but its SFTP is one call after another: at 20 ms of
//! round trip that makes 9 small files a second where requests of many files in flight make 2,500. So the protocol is
//! spoken here, over a channel of the session, and concurrency is simply calling verbs concurrently.
//!
//! In reading order: [`wire`] is the protocol as bytes, [`trust`] knows which host keys are ours, [`authenticate`] gets us
//! in, [`connect`] puts a connection together, [`carrier`] is what it carries bytes with, [`pump`] is the thread that owns it,
//! [`line`] what pump and verbs share with [`window`] and [`handles`] as the room on it, [`client`] a request with its deadline,
//! [`transfer`] whole files, [`listing`] what lies in the root, [`lessons`] what a server teaches for the next connection. This
//! file holds the verbs, and the one connection.
//!
//! Nothing is dialled before the first verb. A connection that ended is dialled anew by the next verb, one dial at a time;
//! how often to try is the caller's business.

mod authenticate;
mod carrier;
mod client;
mod connect;
mod deadline;
pub mod fuzzing;
mod handles;
mod lessons;
mod line;
mod listing;
mod pump;
mod transfer;
mod trust;
mod unasked;
mod window;
mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc};

use self::client::{Client, Doing, Refusal};
use self::handles::Holder;
use self::lessons::Lessons;
use self::wire::{Attributes, Kind, Request, status};
use super::{ListedFile, Source, SourceError, Stat, checked};
use crate::config::resolve::SftpSettings;

pub use self::connect::host_keys;
pub use self::trust::{SeenKey, host_key_line};

/// Dials that may hang at a time. A name server or an SSH agent that does not answer is asked in calls that know no deadline:
/// the verb goes on, and the thread stays. A hundred tries would leave a hundred.
const DIALS_MAX: usize = 4;

/// An SFTP account. See the module's documentation.
pub struct SftpSource {
    name: String,
    settings: SftpSettings,
    timeout: Duration,
    slot: Mutex<Slot>,
    /// Shared with each thread that dials, for as long as it does.
    dials: Arc<()>,
}

/// The one connection, and what those before have taught.
#[derive(Default)]
struct Slot {
    client: Option<Arc<Client>>,
    lessons: Lessons,
    /// When the last dial that failed was over, and how. Verbs that were waiting for it share its failure.
    failed: Option<(Instant, SourceError)>,
}

impl SftpSource {
    /// A source of this name. Nothing is dialled yet. `timeout` is the deadline for one operation on the server.
    pub fn new(name: &str, settings: &SftpSettings, timeout: Duration) -> SftpSource {
        SftpSource {
            name: name.to_string(),
            settings: settings.clone(),
            timeout,
            slot: Mutex::default(),
            dials: Arc::new(()),
        }
    }

    /// The connection, dialled if there is none.
    async fn client(&self) -> Result<Arc<Client>, SourceError> {
        let asked = Instant::now();
        let mut slot = self.slot.lock().await;
        if let Some(client) = slot.client.as_ref().filter(|client| !client.ended()) {
            // What was learnt holds as long as the connection: one that nobody uses now is given up for it when it is old.
            if Arc::strong_count(client) > 1 || !slot.lessons.are_old(asked) {
                return Ok(client.clone());
            }
            slot.client = None;
        }
        if let Some((_, error)) = slot.failed.as_ref().filter(|(at, _)| *at >= asked) {
            return Err(error.clone());
        }
        if let Some(client) = slot.client.take() {
            let line = &client.line;
            slot.lessons
                .ended(line.unanswered_at_end(), line.begun.elapsed(), asked);
            if let Some(handles) = line.room.handles.taught() {
                slot.lessons.took_handles(handles, asked);
            }
        }
        slot.lessons.forget_old(asked);
        if Arc::strong_count(&self.dials) > DIALS_MAX {
            return Err(SourceError::Lost {
                doing: format!("connecting to {}", connect::whom(&self.settings)),
                reason: format!("{DIALS_MAX} dials still hang; does a name server or an SSH agent not answer?"),
            });
        }
        let dial = self.dials.clone();
        match Client::dial(&self.name, &self.settings, &slot.lessons, self.timeout, dial).await {
            Ok((client, key_type)) => {
                let client = Arc::new(client);
                slot.lessons.key_type = Some(key_type);
                slot.client = Some(client.clone());
                Ok(client)
            }
            Err(error) => {
                slot.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}

#[async_trait]
impl Source for SftpSource {
    fn name(&self) -> &str {
        &self.name
    }

    async fn list(&self) -> Result<Vec<ListedFile>, SourceError> {
        listing::list(&*self.client().await?).await
    }

    async fn stat(&self, path: &str) -> Result<Option<Stat>, SourceError> {
        checked("looking at", path)?;
        let doing = Doing("looking at", path);
        let client = self.client().await?;
        let Some(attributes) = client.lstat(&client.path(path), doing).await? else {
            return Ok(None);
        };
        file_stat(&attributes).map(Some).ok_or_else(|| SourceError::Taken {
            doing: doing.to_string(),
        })
    }

    async fn read(&self, path: &str, offset: u64, len: usize) -> Result<Vec<u8>, SourceError> {
        checked("reading", path)?;
        let client = self.client().await?;
        transfer::read(&client, path, offset, len).await
    }

    async fn fetch(&self, path: &str, size: u64, into: mpsc::Sender<Vec<u8>>) -> Result<u64, SourceError> {
        checked("fetching", path)?;
        let client = self.client().await?;
        transfer::fetch(&client, path, size, into).await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), SourceError> {
        checked("renaming", from)?;
        checked("renaming to", to)?;
        let client = self.client().await?;
        let (from_path, to_path) = (client.path(from), client.path(to));
        let taken = || SourceError::Taken {
            doing: Doing("renaming to", to).to_string(),
        };
        // Some servers rename over what is there. SFTP has no way to forbid it, so it is looked at first.
        let target = || client.lstat(&to_path, Doing("renaming to", to));
        if target().await?.is_some() {
            return Err(taken());
        }
        let doing = Doing("renaming", from);
        let Err(refusal) = client.command(Request::rename(&from_path, &to_path), doing).await? else {
            return Ok(());
        };
        // A plain "failure" is all that most say of a target that has come to be in between.
        if refusal.code == status::ALREADY_EXISTS || target().await?.is_some() {
            return Err(taken());
        }
        match refusal.code {
            status::NO_SUCH_FILE | status::NO_SUCH_PATH if client.lstat(&from_path, doing).await?.is_some() => {
                Err(SourceError::Refused {
                    doing: doing.to_string(),
                    reason: format!("the directory of {} is not there", Doing("the target", to)),
                })
            }
            // Forbidden, or done by a hard link where there can be none: but nothing is at the target, and so the other way of
            // renaming, which would replace it, does the same.
            code if client.extensions.posix_rename
                && (status::is_plain_failure(code)
                    || matches!(code, status::PERMISSION_DENIED | status::UNSUPPORTED)) =>
            {
                let renamed = client
                    .command(Request::posix_rename(&from_path, &to_path), doing)
                    .await?;
                renamed.map_err(|second| match second.code {
                    status::NO_SUCH_FILE | status::NO_SUCH_PATH => second.into_source_error(doing),
                    _ => refusal.into_source_error(doing),
                })
            }
            _ => Err(refusal.into_source_error(doing)),
        }
    }

    async fn remove(&self, path: &str) -> Result<(), SourceError> {
        checked("removing", path)?;
        let doing = Doing("removing", path);
        let client = self.client().await?;
        let removed = client.command(Request::remove(&client.path(path)), doing).await?;
        removed.map_err(|refusal| refusal.into_source_error(doing))
    }

    async fn make_dirs(&self, path: &str) -> Result<(), SourceError> {
        checked("creating", path)?;
        let client = self.client().await?;
        if is_directory(&client, path).await? {
            return Ok(());
        }
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            make_dir(&client, &path[..end]).await?;
        }
        Ok(())
    }

    async fn write(&self, path: &str, bytes: &[u8]) -> Result<(), SourceError> {
        checked("writing", path)?;
        let client = self.client().await?;
        transfer::write(&client, path, bytes).await
    }

    async fn changed(&self) {
        std::future::pending().await
    }

    async fn close(&self) {
        let client = self.slot.lock().await.client.take();
        if let Some(client) = client {
            client.hang_up(self.timeout).await;
        }
    }
}

/// Creates one directory; one that is there already is as good.
async fn make_dir(client: &Client, path: &str) -> Result<(), SourceError> {
    let doing = Doing("creating", path);
    let made: Result<(), Refusal> = client.command(Request::make_dir(&client.path(path)), doing).await?;
    match made {
        Ok(()) => Ok(()),
        // Servers say "failure", "exists" or "permission denied" of a directory that is there: looking tells.
        Err(_) if is_directory(client, path).await? => Ok(()),
        Err(refusal) => match client.attributes(Request::lstat(&client.path(path)), doing).await {
            Ok(Some(_)) => Err(SourceError::Refused {
                doing: doing.to_string(),
                reason: "something that is no directory is in its place; move it away".to_string(),
            }),
            Err(error) if !error.is_about_the_file() => Err(error),
            _ => Err(refusal.into_source_error(doing)),
        },
    }
}

/// Whether a directory, or a link to one, is there. Where the server does not tell what is what, opening it tells.
async fn is_directory(client: &Client, path: &str) -> Result<bool, SourceError> {
    let doing = Doing("looking at", path);
    let found = match client.attributes(Request::stat(&client.path(path)), doing).await {
        Err(error) if error.is_about_the_file() => None,
        found => found?,
    };
    match found.map(|attributes| attributes.kind()) {
        Some(Kind::Unknown) => {
            let opened = client
                .open(Request::open_dir(&client.path(path)), Holder::Other, doing)
                .await?;
            Ok(opened.is_ok())
        }
        kind => Ok(kind == Some(Kind::Directory)),
    }
}

/// Size and mtime of a regular file; `None` for anything else. Where the server tells no type at all, whatever has a size
/// counts: opening it will show.
fn file_stat(attributes: &Attributes) -> Option<Stat> {
    match attributes.kind() {
        Kind::File | Kind::Unknown => Some(Stat {
            size: attributes.size?,
            mtime: attributes.mtime.map_or(0, |seconds| i64::from(seconds) * 1000),
        }),
        Kind::Directory | Kind::Link | Kind::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn dials_that_hang_are_few() {
        let settings = SftpSettings {
            host: "127.0.0.1".to_string(),
            port: 1,
            user: "acme".to_string(),
            root: "/".to_string(),
            password: None,
            private_key: None,
            agent: false,
            host_keys: vec!["SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_string()],
            known_hosts: None,
        };
        let source = SftpSource::new("acme", &settings, Duration::from_secs(5));
        let said = async || source.list().await.unwrap_err().to_string();
        let hanging: Vec<Arc<()>> = (0..DIALS_MAX).map(|_| source.dials.clone()).collect();
        assert!(said().await.contains("4 dials still hang"));
        drop(hanging);
        assert!(said().await.contains("refused"));
        // The thread that was refused is through, or about to be.
        while Arc::strong_count(&source.dials) > 1 {
            tokio::task::yield_now().await;
        }
    }
}
