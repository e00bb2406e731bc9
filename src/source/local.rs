//! A local directory as a source: the same verbs, for when the SFTP server's files are mounted here.
//!
//! File system calls block, so each verb runs on one of the source's own [`threads`](super::threads), under the source's
//! deadline. A call that hangs (a network mount whose server is gone) keeps its thread until the kernel lets go; the verb
//! does not wait for it, and nobody else does.
//!
//! What is reached, and how it is kept below the root, is [`super::beneath`]'s business.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustix::io::Errno;
use tokio::sync::mpsc;

use super::beneath::{self, Failure};
use super::threads::{Threads, Unanswered};
use super::watch::Watch;
use super::{ListedFile, Source, SourceError, Stat, checked, excerpt, seconds};

/// Bytes handed to a fetch's receiver at a time.
const PIECE: u64 = 256 * 1024;

/// Longest result of a small read, in bytes.
const READ_MAX: usize = 1024 * 1024;

/// Most file system calls at once, beside the listing. A disk gains nothing from more, and each has up to three files open: a
/// process may be allowed 64.
const CALLS_MAX: usize = 12;

/// A local directory. See the module's documentation.
pub struct LocalSource {
    name: String,
    root: Arc<PathBuf>,
    timeout: Duration,
    /// Lists and watches: one after the other, so that the memory of a long listing is always the same.
    lister: Arc<Threads>,
    threads: Threads,
    watch: Watch,
}

impl LocalSource {
    /// A source of this name over a directory, which need not exist yet. `timeout` is the deadline for one operation.
    pub fn new(name: &str, dir: &Path, timeout: Duration) -> LocalSource {
        let lister = Arc::new(Threads::new("local list", 1));
        LocalSource {
            name: name.to_string(),
            root: Arc::new(dir.to_path_buf()),
            timeout,
            watch: Watch::new(dir, lister.clone()),
            lister,
            threads: Threads::new("local files", CALLS_MAX),
        }
    }

    /// Runs one operation on a thread of its own, within the deadline.
    async fn blocking<T: Send + 'static>(
        &self,
        doing: &str,
        path: &str,
        operation: impl FnOnce(&Path) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, SourceError> {
        self.blocking_on(&self.threads, doing, path, operation).await
    }

    async fn blocking_on<T: Send + 'static>(
        &self,
        threads: &Threads,
        doing: &str,
        path: &str,
        operation: impl FnOnce(&Path) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, SourceError> {
        let doing = || format!("{doing} `{}`", excerpt(path));
        let lost = |reason: String| SourceError::Lost { doing: doing(), reason };
        let root = self.root.clone();
        match threads.call(self.timeout, move || operation(&root)).await {
            Ok(outcome) => outcome.map_err(|failure| in_words(failure, doing())),
            Err(Unanswered::Broken(reason)) => Err(lost(reason)),
            Err(Unanswered::Late { calls }) => Err(lost(format!(
                "not done within {}; {calls} {} to the file system {} not come back: if it is a mount, see whether its server answers",
                seconds(self.timeout),
                if calls == 1 { "call" } else { "calls" },
                if calls == 1 { "has" } else { "have" },
            ))),
        }
    }
}

#[async_trait]
impl Source for LocalSource {
    fn name(&self) -> &str {
        &self.name
    }

    async fn list(&self) -> Result<Vec<ListedFile>, SourceError> {
        let shown = self.root.display().to_string();
        self.blocking_on(&self.lister, "listing", &shown, beneath::list).await
    }

    async fn stat(&self, path: &str) -> Result<Option<Stat>, SourceError> {
        let below = checked("looking at", path)?.to_string();
        self.blocking("looking at", path, move |root| beneath::stat(root, &below))
            .await
    }

    async fn read(&self, path: &str, offset: u64, len: usize) -> Result<Vec<u8>, SourceError> {
        let below = checked("reading", path)?.to_string();
        let read = move |root: &Path| {
            let file = beneath::open(root, &below)?;
            read_at(&file, offset, len.min(READ_MAX))
        };
        self.blocking("reading", path, read).await
    }

    async fn fetch(&self, path: &str, size: u64, into: mpsc::Sender<Vec<u8>>) -> Result<u64, SourceError> {
        let below = checked("fetching", path)?.to_string();
        let file = Arc::new(
            self.blocking("fetching", path, move |root| beneath::open(root, &below))
                .await?,
        );
        let mut sent = 0;
        while sent < size {
            let file = file.clone();
            let len = (size - sent).min(PIECE) as usize;
            let piece = self
                .blocking("fetching", path, move |_| read_at(&file, sent, len))
                .await?;
            let ends = piece.len() < len;
            sent += piece.len() as u64;
            if !piece.is_empty() && into.send(piece).await.is_err() {
                return Err(SourceError::Stopped {
                    doing: format!("fetching `{}`", excerpt(path)),
                });
            }
            if ends {
                break;
            }
        }
        Ok(sent)
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), SourceError> {
        let (from_below, to_below) = (
            checked("renaming", from)?.to_string(),
            checked("renaming to", to)?.to_string(),
        );
        let doing = format!("renaming `{}` to", excerpt(from));
        self.blocking(&doing, to, move |root| beneath::rename(root, &from_below, &to_below))
            .await
    }

    async fn remove(&self, path: &str) -> Result<(), SourceError> {
        let below = checked("removing", path)?.to_string();
        self.blocking("removing", path, move |root| beneath::remove(root, &below))
            .await
    }

    async fn make_dirs(&self, path: &str) -> Result<(), SourceError> {
        let below = checked("creating", path)?.to_string();
        self.blocking("creating", path, move |root| beneath::make_dirs(root, &below))
            .await
    }

    async fn write(&self, path: &str, bytes: &[u8]) -> Result<(), SourceError> {
        let (below, bytes) = (checked("writing", path)?.to_string(), bytes.to_vec());
        self.blocking("writing", path, move |root| beneath::write(root, &below, &bytes))
            .await
    }

    async fn changed(&self) {
        self.watch.changed().await;
    }

    async fn close(&self) {
        self.watch.close().await;
    }
}

/// Up to `len` bytes from `offset`; fewer at the end of the file.
fn read_at(file: &std::fs::File, offset: u64, len: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match file.read_at(&mut bytes[filled..], offset.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// What the system said, in the source's words.
fn in_words(failure: Failure, doing: String) -> SourceError {
    let errno = match failure {
        Failure::Rule(reason) => {
            return SourceError::Refused {
                doing,
                reason: reason.to_string(),
            };
        }
        Failure::System(errno) => errno,
    };
    match errno {
        Errno::NOENT | Errno::NOTDIR => SourceError::Absent { doing },
        Errno::EXIST => SourceError::Taken { doing },
        Errno::LOOP => SourceError::Refused {
            doing,
            reason: "it is a symbolic link".to_string(),
        },
        // The world's trouble, not the file's: a mount that is gone, a process that has too much open.
        Errno::STALE | Errno::IO | Errno::NOTCONN | Errno::TIMEDOUT | Errno::MFILE | Errno::NFILE => {
            SourceError::Lost {
                doing,
                reason: errno.to_string(),
            }
        }
        _ => SourceError::Refused {
            doing,
            reason: errno.to_string(),
        },
    }
}
