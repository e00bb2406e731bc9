//! What the program uses: defaults filled in, addresses parsed, secrets read.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use super::capillary::{ApiSettings, CapillarySettings, WithoutDefinition};
use super::url::Url;
use super::web_url::without_query;
use crate::definition::{Definitions, UnknownEvents};
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
    /// What events must look like.
    pub definitions: DefinitionSettings,
    /// How long archives stay in the spool.
    pub spool: SpoolSettings,
    /// The import status log.
    pub import_log: ImportLogSettings,
    /// Whether people are kept.
    pub people: KeepPeople,
}

/// What events must look like.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DefinitionSettings {
    /// Where the definitions lie, or would; `None` where there is no configuration file to lie beside.
    pub dir: Option<PathBuf>,
    /// What becomes of an event that has none.
    pub unknown_events: UnknownEvents,
    /// The definitions, if there are any.
    pub definitions: Option<Arc<Definitions>>,
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
    /// Whether each product of a completed order is an event of its own.
    pub ordered_items: bool,
    /// Whether an order feed's completed order counts once only.
    pub order_unique: bool,
    /// How long an archive may wait for a user feed that is there; zero: it does not.
    pub user_feed_wait: Duration,
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
    /// Only events whose definition names one of these actions, as it was when they were imported; empty: all.
    pub actions: Vec<String>,
    /// What events are called at this destination: name as given, name there. Others keep theirs.
    pub rename: Vec<(String, String)>,
    /// With so many dead letters the destination is barred, until somebody has looked at them.
    pub dead_letters_max: u64,
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
        /// NDJSON or Parquet.
        format: FileFormat,
        /// zstd level; 0: not compressed.
        zstd_level: i32,
    },
    /// A line per event on stdout.
    Console,
    /// Any URL that takes a POST.
    Http(Box<HttpSettings>),
    /// Bento's batch API.
    Bento(Box<BentoSettings>),
    /// A webhook of Capillary's.
    Capillary(Box<CapillarySettings>),
}

/// The form of a `file` destination's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// A JSON object a line.
    Ndjson,
    /// Parquet, with typed columns.
    Parquet,
}

/// Where requests go, and how long they may take.
#[derive(Clone, PartialEq)]
pub struct Endpoint {
    /// `https://…` or `http://…`, without a user, a password or a fragment.
    pub url: String,
    /// PEM certificates to trust instead of the system's.
    pub roots: Option<String>,
    /// Deadline for one request, from connecting to the last byte of the answer.
    pub timeout: Duration,
}

impl Endpoint {
    /// An URL of which nothing else was said.
    pub fn plain(url: String) -> Endpoint {
        Endpoint {
            url,
            roots: None,
            timeout: Duration::from_secs(30),
        }
    }
}

/// Without the URL's query, which may hold a secret, and without the text of the certificates, which nobody wants to read.
impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("url", &without_query(&self.url))
            .field("roots", &self.roots.is_some())
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// Any URL that takes a POST.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpSettings {
    /// Where batches are posted to.
    pub endpoint: Endpoint,
    /// More headers; some hold secrets.
    pub headers: Vec<(String, Secret)>,
    /// What lets us in.
    pub authorization: Option<Authorization>,
    /// The key of the HMAC-SHA256 signature; none: not signed.
    pub signing_key: Option<Secret>,
    /// How events stand in a body.
    pub format: HttpFormat,
    /// How bodies are compressed.
    pub compression: HttpCompression,
    /// Most events to a batch.
    pub batch_events: usize,
    /// Most bytes of events to a batch, before compression. A single event may be larger.
    pub batch_bytes: usize,
    /// What answers mean, where it is not what they usually mean: status, meaning.
    pub statuses: Vec<(u16, StatusMeaning)>,
}

/// What lets us in.
#[derive(Debug, Clone, PartialEq)]
pub enum Authorization {
    /// A token.
    Bearer(Secret),
    /// User and password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
}

/// How events stand in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpFormat {
    /// A JSON object a line.
    Ndjson,
    /// One JSON array of objects.
    Array,
}

/// How bodies are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpCompression {
    /// They are not.
    None,
    /// `Content-Encoding: gzip`.
    Gzip,
    /// `Content-Encoding: zstd`, with this level.
    Zstd(i32),
}

/// What an answer's status means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusMeaning {
    /// The batch was taken.
    Delivered,
    /// Something in the batch is wrong, and none of it was taken.
    Refused,
    /// The batch is too large.
    TooLarge,
    /// Not now.
    Unavailable,
    /// Keys or settings are wrong.
    Barred,
}

/// Bento's batch API, for one site.
#[derive(Debug, Clone, PartialEq)]
pub struct BentoSettings {
    /// The API's base: `https://app.bentonow.com/api/v1`, without a slash at its end.
    pub endpoint: Endpoint,
    /// The site.
    pub site_uuid: String,
    /// User of the Basic authentication.
    pub publishable_key: Secret,
    /// Password of the Basic authentication.
    pub secret_key: Secret,
    /// Most events to a call, 1 to 1,000.
    pub batch_events: usize,
    /// Calls to `batch/…` in any hour.
    pub batch_per_hour: u32,
    /// Calls to `fetch/…` in any hour.
    pub fetch_per_hour: u32,
    /// Calls that may follow each other at once, of either kind.
    pub burst: u32,
    /// What becomes of an event of somebody whose e-mail address is not known.
    pub without_email: WithoutEmail,
    /// ISO code of the currency where an order names none.
    pub currency: Option<String>,
    /// Whether events are kept from starting workflows: for back-fills.
    pub bypass_workflows: bool,
    /// Written to the person's profile with each event: place in the entry (a key, or a JSON Pointer), field.
    pub fields: Vec<(String, String)>,
    /// Written to the person's profile by `batch/subscribers`: place in the entry, field. Empty: no such calls.
    pub profile: Vec<(String, String)>,
    /// Tags that an event gives a person: the event's name as given, the tags.
    pub tags: Vec<(String, Vec<String>)>,
    /// Fields that an event sets for a person: the event's name as given; field, place in the entry.
    pub set_fields: Vec<(String, Vec<(String, String)>)>,
}

/// What becomes of an event of somebody whose e-mail address is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutEmail {
    /// Set aside until the address is known.
    Hold,
    /// A dead letter.
    Refuse,
    /// Left out, and counted.
    Drop,
}

impl DestinationKind {
    /// The word in the configuration's `type`.
    pub fn as_str(&self) -> &'static str {
        match self {
            DestinationKind::Sqlite { .. } => "sqlite",
            DestinationKind::File { .. } => "file",
            DestinationKind::Console => "console",
            DestinationKind::Http(_) => "http",
            DestinationKind::Bento(_) => "bento",
            DestinationKind::Capillary(_) => "capillary",
        }
    }
}

/// Whether people are kept up to date while the daemon runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepPeople {
    /// Whether or not something needs them.
    Always,
    /// Where a destination needs them, or a user feed was imported.
    Auto,
    /// `feedgate people` alone reads them.
    Never,
}

/// Where a new destination begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest import that is kept.
    Oldest,
    /// With what is imported from now on.
    Now,
}
