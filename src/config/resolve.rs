//! What the program uses: defaults filled in, addresses parsed, secrets read.

use std::path::PathBuf;
use std::time::Duration;

use super::url::Url;
use crate::feed::DuplicateKeys;

/// Text that prints nothing: passwords, passphrases.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The secret itself, for the one call that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// Everything the program was told.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where the ledger, the spool and the import status log lie.
    pub state_dir: PathBuf,
    /// What is polled, in the order written.
    pub sources: Vec<SourceSettings>,
    /// Where events go, in the order written.
    pub destinations: Vec<DestinationSettings>,
    /// Bounds on archives and on work.
    pub limits: LimitSettings,
    /// How long archives stay in the spool.
    pub spool: SpoolSettings,
    /// The import status log.
    pub import_log: ImportLogSettings,
}

/// One source.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceSettings {
    /// Its name: in the ledger, logs and receipts.
    pub name: String,
    /// Where it is.
    pub location: Location,
    /// Time between two polls, give or take a tenth.
    pub poll_interval: Duration,
    /// How long a file must have kept its size and mtime.
    pub settle: Duration,
    /// How long a file without a zip's end may stand still before it is called truncated.
    pub incomplete_grace: Duration,
    /// Deadline for one operation on the server.
    pub timeout: Duration,
    /// What a packaging violation comes to.
    pub packaging: Packaging,
    /// What happens to a processed archive.
    pub after: After,
    /// Where processed archives go, relative to the root; may hold `{yyyy}`, `{mm}`, `{dd}` (of the time in the name).
    pub processed_dir: String,
    /// Where failed archives go, if not left where they are.
    pub failed_dir: Option<String>,
    /// Whether receipts are written.
    pub receipts: bool,
    /// Where, relative to the root.
    pub receipts_dir: String,
    /// Unit for entries with an e-mail and no unit.
    pub default_business_unit: Option<String>,
    /// Policy for a key that is there twice with different values.
    pub duplicate_keys: DuplicateKeys,
    /// More rejects than this and nothing is imported.
    pub max_rejected: Option<MaxRejected>,
}

/// Where a source is.
#[derive(Debug, Clone, PartialEq)]
pub enum Location {
    /// A local directory.
    Local {
        /// Absolute path.
        dir: PathBuf,
    },
    /// An SFTP account.
    Sftp(SftpSettings),
}

/// As its URL, without what is secret.
impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let url = match self {
            Location::Local { dir } => Url::File(dir.clone()),
            Location::Sftp(sftp) => Url::Sftp {
                user: Some(sftp.user.clone()),
                host: sftp.host.clone(),
                port: sftp.port,
                root: sftp.root.clone(),
            },
        };
        url.fmt(f)
    }
}

/// An SFTP account, and how to be let in.
#[derive(Debug, Clone, PartialEq)]
pub struct SftpSettings {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User.
    pub user: String,
    /// The root: absolute, or relative to where the server puts us (`.`, from an URL without a path).
    pub root: String,
    /// Password, for password and keyboard-interactive authentication.
    pub password: Option<Secret>,
    /// Private key, in OpenSSH or PEM form.
    pub private_key: Option<PrivateKey>,
    /// Whether the agent of `SSH_AUTH_SOCK` is asked.
    pub agent: bool,
    /// Pinned host keys: `SHA256:…` fingerprints, or whole keys (`ssh-ed25519 AAAA…`).
    pub host_keys: Vec<String>,
    /// A `known_hosts` file.
    pub known_hosts: Option<PathBuf>,
}

/// A private key and what opens it.
#[derive(Debug, Clone, PartialEq)]
pub struct PrivateKey {
    /// Where it was read from, for messages.
    pub path: PathBuf,
    /// Its text.
    pub text: Secret,
    /// Its passphrase.
    pub passphrase: Option<Secret>,
}

/// What a packaging violation comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packaging {
    /// The file is imported, marked as failed, and the zip is not moved.
    Lenient,
    /// Nothing is imported.
    Strict,
}

/// What happens to a processed archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Renamed into `processed_dir`.
    Move,
    /// Removed from the source.
    Delete,
    /// Left where it is.
    Leave,
}

/// How many rejects are too many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxRejected {
    /// More than this share of the entries, 0 to 1.
    Share(f64),
    /// More than this many.
    Count(u64),
}

/// Bounds on archives and on work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LimitSettings {
    /// Largest archive, in bytes.
    pub archive_bytes: u64,
    /// Largest data file, in bytes.
    pub unpacked_bytes: u64,
    /// Largest ratio of the two, beyond 256 MiB.
    pub ratio: u64,
    /// Largest entry, in bytes.
    pub entry_bytes: u64,
    /// Most open containers.
    pub depth: u32,
    /// Archives that are unpacked and read at a time.
    pub concurrent_imports: usize,
}

/// How long archives stay in the spool.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpoolSettings {
    /// At least this long after import.
    pub retention: Duration,
    /// A destination further behind than this no longer holds the spool.
    pub max_lag: Duration,
    /// Most bytes in the spool before destinations that lag no longer hold it; `None`: no limit.
    pub max_bytes: Option<u64>,
    /// Intake pauses while less than this is free on the state directory's disk, in bytes.
    pub free_bytes_min: u64,
}

/// The import status log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImportLogSettings {
    /// A file larger than this is put aside, in bytes.
    pub rotate_bytes: u64,
    /// Files put aside that are kept.
    pub keep: usize,
}

/// One destination.
#[derive(Debug, Clone, PartialEq)]
pub struct DestinationSettings {
    /// Its name: in the ledger and logs.
    pub name: String,
    /// What it is.
    pub kind: DestinationKind,
    /// Where one that is new begins.
    pub start: Start,
    /// The name it had before.
    pub was: Option<String>,
    /// Only events of these names; empty: all.
    pub events: Vec<String>,
    /// Only events of these sources; empty: all.
    pub sources: Vec<String>,
}

/// What a destination is.
#[derive(Debug, Clone, PartialEq)]
pub enum DestinationKind {
    /// A SQLite database of events, for people.
    Sqlite {
        /// The database.
        path: PathBuf,
    },
    /// A file per import.
    File {
        /// The directory.
        dir: PathBuf,
        /// Whether events are filed by their own date rather than by the day of import.
        by_event_date: bool,
        /// zstd level; 0 writes plain NDJSON.
        zstd_level: i32,
    },
    /// A line per event on stdout.
    Console,
}

impl DestinationKind {
    /// The word in the configuration's `type`.
    pub fn as_str(&self) -> &'static str {
        match self {
            DestinationKind::Sqlite { .. } => "sqlite",
            DestinationKind::File { .. } => "file",
            DestinationKind::Console => "console",
        }
    }
}

/// Where a new destination begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest import that is kept.
    Oldest,
    /// With what is imported from now on.
    Now,
}
