//! Where archives come from: a few verbs over names and bytes.
//!
//! [`sftp`] speaks to an SFTP account, [`local`] to a directory; one contract test holds for both. A source has not heard
//! of zip, JSON or SQL. Every verb ends within the source's deadline, and a lost connection is dialled anew by the next
//! verb. Paths are relative to the source's root, parts separated by `/`, and never begin with one.

use async_trait::async_trait;
use tokio::sync::mpsc;

/// A regular file in the root, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    /// Its name. Bytes that are not UTF-8 appear as `\xNN`; such a name cannot be used to open the file.
    pub name: String,
    /// Size and time of last change.
    pub stat: Stat,
}

/// Size and time of last change: what tells one version of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Bytes.
    pub size: u64,
    /// UTC milliseconds (SFTP tells whole seconds). 0 where the server does not say.
    pub mtime: i64,
}

/// What can go wrong with a verb. [`SourceError::is_about_the_file`] is the question callers ask.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no such file or directory.
    #[error("{doing}: no such file")]
    Absent {
        /// What was being done, to what.
        doing: String,
    },
    /// The target of a rename exists already.
    #[error("{doing}: the name is taken")]
    Taken {
        /// What was being done, to what.
        doing: String,
    },
    /// The server refused this operation: permission denied, failure, unsupported.
    #[error("{doing}: {reason}")]
    Refused {
        /// What was being done, to what.
        doing: String,
        /// What the server said, and what to do about it.
        reason: String,
    },
    /// The connection could not be made or was lost, or an operation passed its deadline. The next verb dials anew.
    #[error("{doing}: {reason}")]
    Lost {
        /// What was being done, to what.
        doing: String,
        /// How it was lost.
        reason: String,
    },
    /// The server's host key, or our keys and password, are not accepted: an operator has to look.
    #[error("{doing}: {reason}")]
    Barred {
        /// What was being done, to what.
        doing: String,
        /// What was seen, and what to write into the configuration.
        reason: String,
    },
    /// Nobody wants the bytes any more: the receiver of a fetch was dropped.
    #[error("{doing}: stopped")]
    Stopped {
        /// What was being done, to what.
        doing: String,
    },
}

impl SourceError {
    /// Whether the trouble is one file's alone, so that the others go on.
    pub fn is_about_the_file(&self) -> bool {
        matches!(
            self,
            SourceError::Absent { .. } | SourceError::Taken { .. } | SourceError::Refused { .. }
        )
    }
}

/// An SFTP account or a local directory, polled.
///
/// Verbs may be called many at a time; an implementation keeps as many requests in flight as its server and its window
/// allow, and queues the rest.
#[async_trait]
pub trait Source: Send + Sync {
    /// The configured name.
    fn name(&self) -> &str;

    /// The regular files in the root. Directories and symbolic links are left out, and so are `.` and `..`.
    async fn list(&self) -> Result<Vec<ListedFile>, SourceError>;

    /// Size and mtime of a regular file now, or `None` if nothing is there. Something other than a regular file is `Refused`.
    async fn stat(&self, path: &str) -> Result<Option<Stat>, SourceError>;

    /// Up to `len` bytes from `offset`; fewer at the end of the file. For small reads: `len` is at most 1 MiB.
    async fn read(&self, path: &str, offset: u64, len: usize) -> Result<Vec<u8>, SourceError>;

    /// Sends the whole file, in order, in pieces of at most 1 MiB, and returns the number of bytes sent. A file that is
    /// longer than `size` is read to `size` only; a shorter one ends early. The receiver's pace holds the reading back.
    async fn fetch(&self, path: &str, size: u64, into: mpsc::Sender<Vec<u8>>) -> Result<u64, SourceError>;

    /// Renames a file, and never knowingly over another: `Taken` if something is at `to`.
    async fn rename(&self, from: &str, to: &str) -> Result<(), SourceError>;

    /// Removes a file; `Absent` if it is not there.
    async fn remove(&self, path: &str) -> Result<(), SourceError>;

    /// Creates a directory and its parents where they are absent.
    async fn make_dirs(&self, path: &str) -> Result<(), SourceError>;

    /// Writes a small file whole: beside it first, then renamed over what may be there. Its directory exists.
    async fn write(&self, path: &str, bytes: &[u8]) -> Result<(), SourceError>;

    /// Returns when something may have changed in the root. Never returns where nobody tells (SFTP): the caller polls.
    async fn changed(&self);

    /// Ends the session and everything that belongs to it.
    async fn close(&self);
}
