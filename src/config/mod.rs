//! What the configuration file may say.
//!
//! Two steps: this module holds what was written, checked only for form; `resolver` makes of it what the program uses
//! ([`resolve`]), with secrets read, addresses parsed and everything held against everything else. Each key stands here
//! once, with its meaning, its unit and its default; `config/example.toml` shows them all, and tests keep the two alike.
//!
//! The keys are not read through `serde`: it stops at the first thing it dislikes, and an operator who mends a file over
//! ssh would rather hear of all six at once, each with its line, or with the variable it came from.

pub mod resolve;

mod bento; // what a destination at Bento needs
mod capillary; // what a destination at Capillary needs
mod definitions; // what events must look like
mod destinations; // each destination, and that none is in another's way
mod form; // durations, sizes, names: a value becomes what it means, or says what is wanted
mod header; // the headers of requests, the statuses of answers
mod http; // what a destination that is reached by HTTP needs
mod load; // finding the file, reading it and the environment
mod problem; // what is wrong, and where it was written
mod resolver; // what was written becomes what the program uses
mod secrets; // from files and the environment
mod section; // a table and the keys it knows
mod sources; // each source: where it is, how to be let in
mod table; // tables whose keys are the operator's own
mod tree; // the file and the environment as one tree, each value with its place
pub mod url; // where a source is
mod web_url; // where requests go
mod words; // values that are one word of a few

use std::path::PathBuf;
use std::time::Duration;

use form::{Bytes, Count, Currency, Name, RelativeDir, SiteUuid, Strings, Text};
use header::{HeaderName, HeaderValue, Status};
use resolve::{After, KeepPeople, MaxRejected, Packaging, Start, StatusMeaning, WithoutDefinition, WithoutEmail};
use section::{Section, section};
use table::{EntryPlace, Label, Table, Tags};
use url::Url;
use web_url::WebUrl;
use words::{Compression, Format, Kind, Partition};

use crate::definition::UnknownEvents;
use crate::feed::DuplicateKeys;

pub use definitions::read_file;
pub use load::{load_definition_files, load_state_dir, place};
pub use problem::{ConfigError, Place, Problem};
pub use section::Written;
pub use web_url::{is_this_machine, web_base};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const TIB: u64 = 1024 * GIB;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

section! {
    /// The whole file.
    pub struct File in "" {
        /// Where the ledger, the spool and the import status log lie; created if absent.
        state_dir: PathBuf = PathBuf::from("/var/lib/feedgate"),
        /// What is polled: `[[source]]`, as often as needed.
        source: Vec<Source> = Vec::new(),
        /// Where events go: `[[destination]]`, as often as needed.
        destination: Vec<Destination> = Vec::new(),
        /// Bounds on archives and on work.
        limits: Limits = Limits::default(),
        /// What events must look like.
        definitions: DefinitionRules = DefinitionRules::default(),
        /// How long archives stay on the local disk.
        spool: Spool = Spool::default(),
        /// The import status log, `imports.jsonl` in `state_dir`.
        import_log: ImportLog = ImportLog::default(),
        /// Who the events are about.
        people: People = People::default(),
    }
}

section! {
    /// One SFTP account and its root directory, or one local directory.
    pub struct Source in "source" {
        /// Its name in the ledger, logs and receipts: a to z, 0 to 9, `_` and `-`, at most 64. Required. An import's
        /// identity hangs on it: a source that is renamed is a new source.
        name: Name,
        /// `sftp://user@host:port/path` or `file:///path`; the path is the root. Required. The port is 22 if not given. Without
        /// a path the root is where the server puts us; `/~/in` is relative to that; `/in` is absolute.
        url: Url,
        /// Private key, in OpenSSH or PEM form.
        private_key_file: PathBuf,
        /// A file that holds the key's passphrase.
        private_key_passphrase_file: PathBuf,
        /// The environment variable that holds the key's passphrase.
        private_key_passphrase_env: Text,
        /// A file that holds the password.
        password_file: PathBuf,
        /// The environment variable that holds the password.
        password_env: Text,
        /// Whether the agent of `SSH_AUTH_SOCK` is asked.
        agent: bool = false,
        /// The server's host key, or several: `SHA256:…`, or the whole key (`ssh-ed25519 AAAA…`). `feedgate keys URL` shows it.
        host_key: Strings,
        /// A `known_hosts` file, as OpenSSH has it, instead of `host_key` or beside it.
        known_hosts: PathBuf,
        /// Time between two polls, give or take a tenth; 100 ms to a day.
        poll_interval: Duration = 15 * SECOND,
        /// How long a file must have kept its size and its time of change before it is read; 0 turns waiting off.
        settle: Duration = 5 * SECOND,
        /// How long a file without a zip's end may stand still before it is failed as `zip_truncated`.
        incomplete_grace: Duration = 10 * MINUTE,
        /// Deadline for one operation on the server; a second to an hour.
        timeout: Duration = 30 * SECOND,
        /// What a packaging violation comes to. `lenient`: the events are imported, the archive is marked as failed and not
        /// moved. `strict`: nothing is imported, marked as failed, not moved.
        packaging: Packaging = Packaging::Lenient,
        /// What happens to a processed archive: `move`, `delete` or `leave`.
        after: After = After::Move,
        /// Where processed archives go, relative to the root; may hold `{yyyy}`, `{mm}` and `{dd}` of the time in the name.
        processed_dir: RelativeDir = RelativeDir::new("processed"),
        /// Where failed archives go, relative to the root; left where they are if not given.
        failed_dir: RelativeDir,
        /// Whether receipts are written to the source.
        receipts: bool = true,
        /// Where receipts go, relative to the root.
        receipts_dir: RelativeDir = RelativeDir::new("receipts"),
        /// Business unit for entries that have an e-mail address and no unit; none if not given.
        default_business_unit: Text,
        /// An entry that has one of the five keys twice, with different values: `reject` it, or let the `last` value count.
        duplicate_keys: DuplicateKeys = DuplicateKeys::Reject,
        /// More rejected entries than this and nothing of the archive is imported: a share (`"10%"`) or a count; no limit if
        /// not given.
        max_rejected: MaxRejected,
        /// Whether each product of a `Completed Order` is delivered as an event `Ordered Item` of its own, behind the order.
        ordered_items: bool = false,
        /// Whether an order feed's `Completed Order` counts once only, by its business unit and `orderId`.
        order_unique: bool = true,
        /// How long an event or order feed may wait for a user feed that is there, whole or half; 0 turns waiting off.
        user_feed_wait: Duration = 15 * MINUTE,
    }
}

section! {
    /// Somewhere events go.
    pub struct Destination in "destination" {
        /// Its name in the ledger and logs, as a source's. Required. A destination that is renamed is a new one, unless `was`
        /// says otherwise.
        name: Name,
        /// `sqlite` (a database of events), `file` (a file per import), `console` (a line per event), `http` (any URL that
        /// takes a POST), `bento` (Bento's batch API) or `capillary` (a webhook of Capillary's). Required.
        r#type: Kind,
        /// The database of a `sqlite`, the directory of a `file`. If not given: `<state_dir>/<name>.db`, `<state_dir>/<name>`.
        path: PathBuf,
        /// Where it begins when it is new: with the `oldest` import that is kept, or with what comes from `now` on. If not
        /// given: `oldest` for `sqlite` and `file`, `now` for `console`, `http`, `bento` and
        /// `capillary`.
        start: Start,
        /// The name it had before: it goes on where that one was.
        was: Name,
        /// Only events of these names; all if not given.
        events: Strings,
        /// Only events of these sources; all if not given.
        sources: Strings,
        /// Only events whose definition names one of these actions, as it was when they were imported; all if not given.
        actions: Strings,
        /// What events are called there: the event's name as the feed gives it, the name there. Others keep theirs.
        rename: Table<Label, Label> = Table::default(),
        /// With so many dead letters the destination is barred, until somebody has looked at them; 1 to 10,000,000.
        dead_letters_max: Count = Count(100_000),
        /// For `file`: `ndjson` or `parquet`. For `http`: `ndjson` (a JSON object a line) or `array` (one JSON array). If not
        /// given: `ndjson`.
        format: Format,
        /// For `file`: files by day of `import`, or by the events' own date (`event_date`). If not given: `import`.
        partition: Partition,
        /// For `file`: the zstd level, 1 to 22, or `"none"`; 3 if not given. For `http`: the same, or `"gzip"`; `"none"` if not
        /// given.
        compression: Compression,
        /// For `http`: where batches are posted to, `https://host/path`; required. For `bento`: the API's base, if it is not
        /// Bento's own. For `capillary`: the webhook (`webHookUri`); required.
        url: WebUrl,
        /// For `http`, `bento` and `capillary`: a file of PEM certificates that are trusted instead of the system's.
        ca_file: PathBuf,
        /// For `http`, `bento` and `capillary`: deadline for one request, from connecting to the answer's last byte; 1 s to 10 min.
        timeout: Duration = 30 * SECOND,
        /// For `http` and `bento`: most events to a request. If not given: 1,000 for `http` (1 to 10,000), 100 for `bento` (1
        /// to 1,000).
        batch_events: Count,
        /// For `http`: most bytes of events to a request, before compression; 1 KiB to 64 MiB. A single event may be larger.
        batch_bytes: Bytes = Bytes(MIB),
        /// For `http`: more headers, name and value.
        headers: Table<HeaderName, HeaderValue> = Table::default(),
        /// For `http`: more headers, name and the file that holds the value.
        header_files: Table<HeaderName, PathBuf> = Table::default(),
        /// For `http`: a file that holds the token of `Authorization: Bearer`.
        bearer_file: PathBuf,
        /// For `http`: the environment variable that holds that token.
        bearer_env: Text,
        /// For `http` and `capillary`: the user of `Authorization: Basic`.
        user: Text,
        /// For `http` and `capillary`: a file that holds the user's password.
        password_file: PathBuf,
        /// For `http` and `capillary`: the environment variable that holds the user's password.
        password_env: Text,
        /// For `http`: a file that holds the key of the HMAC-SHA256 signature; not signed if not given.
        signing_key_file: PathBuf,
        /// For `http`: the environment variable that holds that key.
        signing_key_env: Text,
        /// For `http`: what answers mean where it is not what they usually mean: the status, 200 to 599, and `delivered`,
        /// `refused`, `too_large`, `unavailable` or `barred`.
        statuses: Table<Status, StatusMeaning> = Table::default(),
        /// For `bento`: the site. Required.
        site_uuid: SiteUuid,
        /// For `bento`: a file that holds the publishable key. This or the next is required.
        publishable_key_file: PathBuf,
        /// For `bento`: the environment variable that holds the publishable key.
        publishable_key_env: Text,
        /// For `bento`: a file that holds the secret key. This or the next is required.
        secret_key_file: PathBuf,
        /// For `bento`: the environment variable that holds the secret key.
        secret_key_env: Text,
        /// For `bento`: calls to `batch/…` in any hour, of all destinations of the site together; 1 to 1,000,000.
        batch_per_hour: Count = Count(500),
        /// For `bento`: calls to `fetch/…` in any hour, of all destinations of the site together; 1 to 1,000,000.
        fetch_per_hour: Count = Count(3_600),
        /// For `bento` and `capillary`: calls that may follow each other at once; beyond them they are spread over the hour; 1
        /// to 1,000.
        burst: Count = Count(10),
        /// For `bento`: what becomes of an event of somebody whose e-mail address is not known: `hold` it until it is,
        /// `refuse` it as a dead letter, or `drop` it.
        without_email: WithoutEmail = WithoutEmail::Hold,
        /// For `bento`: ISO code of the currency where an order names none; if not given, such an order goes without a value.
        currency: Currency,
        /// For `bento`: whether events are kept from starting workflows, for back-fills.
        bypass_workflows: bool = false,
        /// For `bento`: written to the person's fields with each event: place in the entry (a key, or a JSON Pointer), field.
        fields: Table<EntryPlace, Label> = Table::default(),
        /// For `bento`: written to the person's profile by calls of their own to `batch/subscribers`: place in the entry, field.
        profile: Table<EntryPlace, Label> = Table::default(),
        /// For `bento`: the tags that an event gives a person: the event's name as the feed gives it, a tag or a list of tags.
        tags: Table<Label, Tags> = Table::default(),
        /// For `bento`: the fields that an event sets for a person: the event's name as the feed gives it, and a table of field
        /// and place in the entry.
        set_fields: Table<Label, Table<Label, EntryPlace>> = Table::default(),
        /// For `capillary`: what becomes of an event that has no definition: `refuse` it as a dead letter, or `drop` it.
        without_definition: WithoutDefinition = WithoutDefinition::Refuse,
        /// For `capillary`: what becomes of an event that lacks the identifier its definition asks for: `hold` it, `refuse` it
        /// as a dead letter, or `drop` it.
        without_identifier: WithoutEmail = WithoutEmail::Hold,
        /// For `capillary`: the till that events are of which name none; the webhook's own if not given.
        till_code: Text,
        /// For `capillary`: sent with each event as `orgResolver`: `type`, `childOrgId`, `tillCode`.
        org_resolver: Table<Label, Text> = Table::default(),
        /// For `capillary`: requests in any hour, 1 to 1,000,000; no limit if not given.
        requests_per_hour: Count,
        /// For `capillary`: where definitions are pushed to, `https://host`; `/v2/events` is added.
        api_url: WebUrl,
        /// For `capillary`: a file that holds the OAuth token for that; the user and the password if not given.
        token_file: PathBuf,
        /// For `capillary`: the environment variable that holds that token.
        token_env: Text,
    }
}

section! {
    /// Bounds on archives and on work. Without them one hostile or broken archive could fill the disk, the memory or the day.
    pub struct Limits in "limits" {
        /// Largest archive, in bytes: beyond it `too_large`, and nothing is downloaded.
        archive_bytes: Bytes = Bytes(2 * GIB),
        /// Largest data file, unpacked, in bytes: beyond it `too_large`.
        unpacked_bytes: Bytes = Bytes(16 * GIB),
        /// Largest ratio of unpacked to packed size, beyond 256 MiB unpacked: past it `ratio`.
        ratio: Count = Count(200),
        /// Largest entry, in bytes: beyond it `entry_too_large`. One entry of each running import is held in memory.
        entry_bytes: Bytes = Bytes(16 * MIB),
        /// Most open arrays and objects, the outermost included: beyond it `depth`.
        depth: Count = Count(128),
        /// Archives that are unpacked and read at a time.
        concurrent_imports: Count = Count(2),
    }
}

section! {
    /// Event definitions: what an event of a name must look like. An entry that breaks its definition is rejected.
    pub struct DefinitionRules in "definitions" {
        /// Where they lie: a directory of `.json` files in the form of the vendor's create-event call. If not given: `events`
        /// beside the configuration file, if there is such a directory.
        dir: PathBuf,
        /// What becomes of an event that has no definition: `accept` or `reject`.
        unknown_events: UnknownEvents = UnknownEvents::Accept,
    }
}

section! {
    /// How long archives stay in the spool, the local store that deliveries and `feedgate events` read.
    pub struct Spool in "spool" {
        /// At least this long after import, and until every destination is past it.
        retention: Duration = 30 * DAY,
        /// A destination that is further behind than this no longer holds the spool; it is then told that it missed something.
        max_lag: Duration = 90 * DAY,
        /// Most bytes in the spool before destinations that lag no longer hold it; no limit if not given.
        max: Bytes,
        /// Intake pauses while less than this is free on the disk of `state_dir`, in bytes: the ledger needs room to the end.
        free_min: Bytes = Bytes(256 * MIB),
    }
}

section! {
    /// The import status log: a JSON line per outcome.
    pub struct ImportLog in "import_log" {
        /// A log larger than this is put aside, and a new one begun, in bytes.
        rotate: Bytes = Bytes(64 * MIB),
        /// Logs put aside that are kept.
        keep: Count = Count(10),
    }
}

section! {
    /// Who the events are about: ids, e-mail addresses and business units, as feeds bring them together.
    pub struct People in "people" {
        /// Whether they are kept up to date while the daemon runs: `auto` (where a destination needs them, such as `bento`, or a
        /// user feed was imported), `always`, or `never`. `feedgate people` reads on by itself where they are not.
        keep: KeepPeople = KeepPeople::Auto,
    }
}

/// Every section and the keys it knows, in the order they are documented: for the test that holds `example.toml` complete.
pub fn keys() -> Vec<(&'static str, Vec<&'static str>)> {
    fn of<S: Section>() -> (&'static str, Vec<&'static str>) {
        (S::TITLE, S::keys().collect())
    }
    vec![
        of::<File>(),
        of::<Source>(),
        of::<Destination>(),
        of::<Limits>(),
        of::<DefinitionRules>(),
        of::<Spool>(),
        of::<ImportLog>(),
        of::<People>(),
    ]
}
