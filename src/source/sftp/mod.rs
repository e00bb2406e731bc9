//! An SFTP account as a source: our own SFTP client over libssh2's transport.
//!
//! `ssh2` carries the connection (sessions, keys, host keys, agent), but its SFTP is one call after another: at 20 ms of
//! round trip that makes 9 small files a second where requests of many files in flight make 2,500. So the protocol is
//! spoken here, over a channel of the session, and concurrency is simply calling verbs concurrently.
//!
//! In reading order: [`wire`] is the protocol as bytes, [`trust`] knows which host keys are ours, [`authenticate`] gets us
//! in, [`connect`] puts a connection together within its [`deadline`], [`pump`] is the thread that owns it and reckons what comes [`unasked`], [`line`] what pump and verbs share,
//! [`client`] a request with its deadline, [`transfer`] whole files. This file holds the verbs, and the one connection.
//!
//! Nothing is dialled before the first verb. A connection that ended is dialled anew by the next verb, one dial at a time;
//! how often to try is the caller's business.

mod authenticate;
mod client;
mod connect;
mod deadline;
mod line;
mod pump;
mod transfer;
mod trust;
mod unasked;
mod window;
mod wire;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc};

use self::client::{Client, Doing, Refusal};
use self::pump::Holds;
use self::trust::KeyType;
use self::wire::{Attributes, Kind, Named, Reply, Request, status};
use super::{ListedFile, Source, SourceError, Stat, checked, listed_name};
use crate::config::resolve::SftpSettings;

pub use self::connect::host_keys;
pub use self::trust::{SeenKey, host_key_line};

/// READDIRs in flight on one listing. OpenSSH answers about a hundred names each: 100,000 files are 1,000 of them.
const READ_DIRS: usize = 128;

/// READDIRs that are asked for before the first answer is there.
const READ_DIRS_FIRST: usize = 4;

/// Memory that the READDIRs in flight may bring, going by the longest answer so far: a server that answers thousands of names
/// at a time is asked for few at a time.
const READ_DIR_BYTES: usize = 2 * 1024 * 1024;

/// Most names in one listing; a directory with more is refused rather than held in memory.
const NAMES_MAX: usize = 1_000_000;

/// Most bytes of all names of one listing together: a million of usual length.
const NAMES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How many deadlines a listing may take as a whole. A server that gives one name at a time, each just in time, would be
/// listened to for a year.
const LISTING_DEADLINES: u32 = 10;

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

/// The one connection, and what the last dial taught.
#[derive(Default)]
struct Slot {
    client: Option<Arc<Client>>,
    key_type: Option<KeyType>,
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
            return Ok(client.clone());
        }
        if let Some((_, error)) = slot.failed.as_ref().filter(|(at, _)| *at >= asked) {
            return Err(error.clone());
        }
        slot.client = None;
        if Arc::strong_count(&self.dials) > DIALS_MAX {
            return Err(SourceError::Lost {
                doing: format!("connecting to {}", connect::whom(&self.settings)),
                reason: format!("{DIALS_MAX} dials still hang; does a name server or an SSH agent not answer?"),
            });
        }
        let dial = self.dials.clone();
        match Client::dial(&self.name, &self.settings, slot.key_type, self.timeout, dial).await {
            Ok((client, key_type)) => {
                let client = Arc::new(client);
                slot.key_type = Some(key_type);
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
        let client = self.client().await?;
        let doing = Doing("listing", &client.root);
        let listing = async {
            match read_dir(&client, &client.root, READ_DIRS, doing).await {
                // Perhaps it was one too many at a time for this server; if not, it says so again.
                Err(SourceError::Refused { .. }) => read_dir(&client, &client.root, 1, doing).await,
                outcome => outcome,
            }
        };
        let names = client.within(LISTING_DEADLINES, listing, doing).await?;
        let mut files = Vec::with_capacity(names.len());
        for named in names {
            if named.name == b"." || named.name == b".." {
                continue;
            }
            let name = listed_name(&named.name);
            let Some(attributes) = attributes_of(&client, &named, &name).await? else {
                continue;
            };
            if let Some(stat) = file_stat(&attributes) {
                files.push(ListedFile { name, stat });
            }
        }
        Ok(files)
    }

    async fn stat(&self, path: &str) -> Result<Option<Stat>, SourceError> {
        checked("looking at", path)?;
        let doing = Doing("looking at", path);
        let client = self.client().await?;
        let Some(attributes) = client.attributes(Request::lstat(&client.path(path)), doing).await? else {
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
        let target = || client.attributes(Request::lstat(&to_path), Doing("renaming to", to));
        if target().await?.is_some() {
            return Err(taken());
        }
        let doing = Doing("renaming", from);
        let Err(refusal) = client.command(Request::rename(&from_path, &to_path), doing).await? else {
            return Ok(());
        };
        match refusal.code {
            status::ALREADY_EXISTS => Err(taken()),
            // OpenSSH's plain "failure" is all it says of a target that has come to be in between.
            status::FAILURE if target().await?.is_some() => Err(taken()),
            status::NO_SUCH_FILE if client.attributes(Request::lstat(&from_path), doing).await?.is_some() => {
                Err(SourceError::Refused {
                    doing: doing.to_string(),
                    reason: format!("the directory of {} is not there", Doing("the target", to)),
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

/// Whether a directory, or a link to one, is there.
async fn is_directory(client: &Client, path: &str) -> Result<bool, SourceError> {
    let doing = Doing("looking at", path);
    match client.attributes(Request::stat(&client.path(path)), doing).await {
        Ok(found) => Ok(found.is_some_and(|attributes| attributes.kind() == Kind::Directory)),
        Err(error) if error.is_about_the_file() => Ok(false),
        Err(error) => Err(error),
    }
}

/// All names of a directory, with up to `depth_max` READDIRs in flight on one handle. Servers answer them in order or not:
/// names are a set.
async fn read_dir(client: &Client, path: &str, depth_max: usize, doing: Doing<'_>) -> Result<Vec<Named>, SourceError> {
    let requests = &client.line.room.requests;
    let opened = client
        .open(Request::open_dir(path), &client.line.room.handles, doing)
        .await?;
    let handle = opened.map_err(|refusal| refusal.into_source_error(doing))?;
    let mut names = Vec::new();
    let mut names_bytes = 0;
    let mut waiting = VecDeque::new();
    let (mut ended, mut depth) = (false, depth_max.min(READ_DIRS_FIRST));
    loop {
        while !ended && waiting.len() < depth {
            let place = if waiting.is_empty() {
                client.room(requests, doing).await?
            } else if let Ok(place) = requests.clone().try_acquire_owned() {
                place
            } else {
                break; // more in flight is a favour, not a need: no waiting for it
            };
            let holds = Holds {
                place: Some(place),
                ..Holds::default()
            };
            waiting.push_back(client.submit(Request::read_dir(handle.bytes()), holds));
        }
        let Some(answer) = waiting.pop_front() else {
            return Ok(names);
        };
        match client.answer(answer, doing).await?.reply {
            // An empty answer is no end by the document, but a server that gives one would be asked for ever.
            Reply::Names(some) if some.is_empty() => ended = true,
            Reply::Names(some) => {
                let bytes = |named: &Named| named.name.len();
                let some_bytes: usize = some.iter().map(bytes).sum();
                let bearable = READ_DIR_BYTES / (some_bytes + some.len() * size_of::<Named>());
                depth = (depth * 2).min(depth_max).min(bearable.max(1));
                names_bytes += some_bytes;
                names.extend(some);
            }
            Reply::Status(status::EOF, _) => ended = true,
            // What was asked for beyond the end: a server that has closed its directory there calls the handle wrong.
            Reply::Status(status::FAILURE | status::BAD_MESSAGE | status::INVALID_HANDLE, _) if ended => {}
            other => return Err(client.unexpected(other, doing)),
        }
        if names.len() > NAMES_MAX || names_bytes > NAMES_BYTES_MAX {
            let reason = format!("more than {NAMES_MAX} names, or {NAMES_BYTES_MAX} bytes of them; move some away");
            return Err(SourceError::Refused {
                doing: doing.to_string(),
                reason,
            });
        }
    }
}

/// The attributes of a listed name, asked for where the listing does not have them. `None` if it is gone meanwhile, or if
/// its name cannot be asked for.
async fn attributes_of(client: &Client, named: &Named, name: &str) -> Result<Option<Attributes>, SourceError> {
    let mut attributes = named.attributes;
    if attributes.kind() == Kind::Unknown && named.hint != Kind::Unknown && attributes.size.is_some() {
        if named.hint != Kind::File {
            return Ok(None);
        }
        attributes.permissions = Some(0o100_000);
    }
    let told = attributes.size.is_some() && attributes.mtime.is_some() && attributes.kind() != Kind::Unknown;
    if told || std::str::from_utf8(&named.name).is_err() {
        return Ok(Some(attributes));
    }
    match client
        .attributes(Request::lstat(&client.path(name)), Doing("looking at", name))
        .await
    {
        Ok(found) => Ok(found),
        Err(error) if error.is_about_the_file() => Ok(None),
        Err(error) => Err(error),
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
