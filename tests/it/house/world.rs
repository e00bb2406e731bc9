//! Deliveries in this process: a real ledger and a real spool that archives are taken into, settings for whoever is sent the
//! events, and a clock that a test can move.
//!
//! ```ignore
//! let world = World::new();
//! world.import("acme", "20260202000000", &feed(10)).await;
//! let crm = world.http("crm", &server);
//! assert_eq!(world.deliver(&crm).await.delivered, 10);
//! ```
//!
//! The clock goes with the runtime's: in a test with `start_paused = true` an hour passes in a moment, and stands still while a
//! request is on its way. [`Time::pass`] moves it on in any test.

// A harness offers more than each test takes.
#![allow(dead_code)]

use std::fs;
use std::io::Cursor as InMemory;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use feedgate::archive::{Limits, NameClass, classify};
use feedgate::cli::events::{Query, events};
use feedgate::config::resolve::{
    DestinationKind, DestinationSettings, Endpoint, HttpCompression, HttpFormat, HttpSettings, Packaging, Start,
};
use feedgate::delivery::{Delivery, Outcome};
use feedgate::feed::{DuplicateKeys, Options};
use feedgate::intake::{Rules, take_in};
use feedgate::ledger::letters::Letters;
use feedgate::ledger::listing::{Claim, Seen};
use feedgate::ledger::outcome::{Action, Disposal, Outcome as Imported};
use feedgate::ledger::{DestinationRow, Ledger, Stored};
use rusqlite::Connection;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::archives::Archive;
use super::http_server::HttpServer;

/// When every world begins, and the time of every import: 2026-02-03T04:05:06.789Z.
pub const BEGINNING: i64 = 1_770_091_506_789;

/// Longest wait for something that should happen soon. Far more than is ever needed: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Likewise, by a clock that may run far ahead of the system's.
const SIMULATED_PATIENCE: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Between two looks at how a delivery stands: soon at first, and then less and less often.
const LOOK_MIN: Duration = Duration::from_millis(20);
const LOOK_MAX: Duration = Duration::from_secs(2);

/// A state directory.
pub struct World {
    dir: tempfile::TempDir,
    pub ledger: Ledger,
    pub time: Time,
}

/// A world's clock. Cheap to clone, and can be asked from any thread.
#[derive(Clone)]
pub struct Time {
    runtime: tokio::runtime::Handle,
    began: Instant,
    moved: Arc<AtomicI64>,
}

impl Time {
    fn new() -> Time {
        Time {
            runtime: tokio::runtime::Handle::current(),
            began: Instant::now(),
            moved: Arc::default(),
        }
    }

    /// UTC milliseconds.
    pub fn now(&self) -> i64 {
        // The runtime's clock is another than the system's while it is paused, and only known inside.
        let _inside = self.runtime.enter();
        BEGINNING + self.began.elapsed().as_millis() as i64 + self.moved.load(Ordering::Relaxed)
    }

    /// Moves the clock on.
    pub fn pass(&self, time: Duration) {
        self.moved.fetch_add(time.as_millis() as i64, Ordering::Relaxed);
    }
}

/// A delivery that runs, as the daemon's do.
pub struct Running {
    stop: CancellationToken,
    committed: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Something was imported.
    pub fn nudge(&self) {
        self.committed.notify_waiters();
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("a delivery that ends");
    }

    /// Ends it in mid-stride, as a crash does.
    pub async fn crash(self) {
        self.task.abort();
        self.task.await.expect_err("a delivery that was cut off");
    }
}

/// A dead letter, as the ledger has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    pub id: i64,
    pub kind: String,
    pub index: u64,
    pub event_id: String,
    pub event: String,
    pub body: String,
    pub reason: String,
    pub attempts: u64,
    pub history: Value,
    pub retry_at: Option<i64>,
}

impl World {
    /// Nothing is imported yet. To be made inside the runtime whose time it goes by.
    pub fn new() -> World {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("spool")).expect("the spool");
        let ledger = Ledger::open(&dir.path().join("ledger.db")).expect("the ledger");
        World {
            dir,
            ledger,
            time: Time::new(),
        }
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Takes an archive in as intake does, by the digits in its name, and returns the import's id.
    pub async fn import(&self, source: &str, digits: &str, feed: &str) -> i64 {
        self.import_as(source, digits, feed, false).await
    }

    /// The same, where each product of an order is an event of its own.
    pub async fn import_with_items(&self, source: &str, digits: &str, feed: &str) -> i64 {
        self.import_as(source, digits, feed, true).await
    }

    async fn import_as(&self, source: &str, digits: &str, feed: &str, ordered_items: bool) -> i64 {
        let (name, zip) = Archive::feed(digits, feed);
        let sha256: [u8; 32] = Sha256::digest(&zip).into();
        let file = format!("{source}-{name}");
        fs::write(self.path("spool").join(&file), &zip).expect("the spool file");
        let NameClass::Feed(feed_name) = classify(&name) else {
            panic!("{name} is no feed's name");
        };
        let rules = Rules {
            packaging: Packaging::Lenient,
            limits: Limits {
                unpacked_bytes: 1 << 34,
                ratio: 10_000,
            },
            options: Options {
                default_business_unit: None,
                duplicate_keys: DuplicateKeys::Reject,
                entry_bytes_max: 16 << 20,
                depth_max: 128,
                kind: feedgate::verdict::FeedKind::Events,
                ordered_items,
                order_unique: false,
            },
            definitions: None,
            unknown_events: Default::default(),
            keys_to: None,
            max_rejected: None,
            hash_data: true,
        };
        let size = zip.len() as u64;
        let judged = take_in(InMemory::new(&zip), size, &feed_name, &rules, &mut |_, _| true).expect("read");
        let claim = Claim {
            seen: Seen { name, size, mtime: 0 },
            first_seen_at: 0,
            named_at: Some(feed_name.at()),
            retry_of: None,
        };
        let id = self.ledger.claim(source, vec![claim], 0).await.expect("claimed")[0];
        let stored = Stored {
            file,
            offset: 0,
            len: size,
        };
        let imported = Imported {
            id,
            sha256: Some(sha256),
            stored: Some(stored),
            judged,
            disposal: Disposal {
                good: Action::Leave,
                failed: Action::Leave,
                receipt: false,
            },
            imported_at: BEGINNING,
            look_again_at: None,
        };
        let closed = self.ledger.close(source, vec![imported], BEGINNING).await;
        closed.expect("closed");
        id
    }

    /// The file in the spool that an import's bytes lie in.
    pub fn spooled(&self, source: &str, digits: &str) -> PathBuf {
        self.path("spool")
            .join(format!("{source}-event_history_{digits}.json.zip"))
    }

    /// An `http` destination: NDJSON, ten events to a call, from the oldest import on.
    pub fn http(&self, name: &str, server: &HttpServer) -> DestinationSettings {
        let http = HttpSettings {
            endpoint: Endpoint {
                url: format!("{}/in", server.url()),
                roots: None,
                timeout: Duration::from_secs(60),
            },
            headers: Vec::new(),
            authorization: None,
            signing_key: None,
            format: HttpFormat::Ndjson,
            compression: HttpCompression::None,
            batch_events: 10,
            batch_bytes: 1 << 20,
            statuses: Vec::new(),
        };
        DestinationSettings {
            name: name.to_owned(),
            kind: DestinationKind::Http(Box::new(http)),
            start: Start::Oldest,
            was: None,
            events: Vec::new(),
            sources: Vec::new(),
            actions: Vec::new(),
            rename: Vec::new(),
            dead_letters_max: 100_000,
        }
    }

    /// A destination's deliveries, by this world's clock.
    pub fn delivery(&self, settings: &DestinationSettings) -> Delivery {
        let time = self.time.clone();
        Delivery::new(self.ledger.clone(), self.path("spool"), settings.clone())
            .with_clock(Arc::new(move || time.now()))
    }

    /// Delivers what can be delivered now.
    pub async fn deliver(&self, settings: &DestinationSettings) -> Outcome {
        self.delivery(settings).once(CancellationToken::new()).await
    }

    /// Delivers as the daemon does, until everything is delivered. For tests with paused time.
    pub async fn deliver_all(&self, settings: &DestinationSettings) {
        let running = self.start(settings);
        self.everything_delivered(&settings.name).await;
        running.stop().await;
    }

    /// Begins to deliver as the daemon does.
    pub fn start(&self, settings: &DestinationSettings) -> Running {
        let stop = CancellationToken::new();
        let committed = Arc::new(Notify::new());
        let task = tokio::spawn(self.delivery(settings).run(committed.clone(), stop.clone()));
        Running { stop, committed, task }
    }

    /// Waits until a destination has everything there is. The waiting is done beside the runtime, so that a paused clock
    /// moves by what the delivery itself waits for, and by nothing else.
    pub async fn everything_delivered(&self, name: &str) {
        let ledger = Connection::open(self.path("ledger.db")).expect("the ledger");
        let name = name.to_owned();
        let (tell, told) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let began = std::time::Instant::now();
            let has_everything = "SELECT state = 'idle' AND seq > (SELECT max(seq) FROM imports)
                FROM destinations WHERE name = ?1";
            while began.elapsed() < PATIENCE {
                let is_so = ledger.query_row(has_everything, [&name], |row| row.get(0));
                if is_so.unwrap_or(false) {
                    return tell.send(());
                }
                std::thread::sleep(Duration::from_millis(3));
            }
            Ok(())
        });
        told.await.expect("everything is delivered in the end");
    }

    /// Waits until a destination stands as it should. It looks often, and a paused clock moves on meanwhile.
    pub async fn until(&self, name: &str, is_so: impl Fn(&DestinationRow) -> bool) -> DestinationRow {
        let began = Instant::now();
        let mut look = LOOK_MIN;
        loop {
            let row = self.ledger.destination(name).await.expect("the ledger");
            match row {
                Some(row) if is_so(&row) => return row,
                _ => assert!(began.elapsed() < SIMULATED_PATIENCE, "it never comes to that: {row:#?}"),
            }
            tokio::time::sleep(look).await;
            look = LOOK_MAX.min(look * 2);
        }
    }

    /// How a destination stands.
    pub async fn row(&self, name: &str) -> DestinationRow {
        let row = self.ledger.destination(name).await.expect("the ledger");
        row.expect("the destination")
    }

    /// Events of a destination that were sent again since no answer had come.
    pub fn resent(&self, name: &str) -> u64 {
        self.ask("SELECT resent FROM destinations WHERE name = ?1", name, |row| {
            row.get(0)
        })[0]
    }

    /// A destination's dead letters.
    pub fn letters(&self, name: &str) -> Vec<Letter> {
        self.ask(
            "SELECT id, kind, \"index\", event_id, event, body, reason, attempts, history, retry_at
             FROM dead_letters WHERE destination = ?1 ORDER BY id",
            name,
            |row| {
                let history: String = row.get(8)?;
                Ok(Letter {
                    id: row.get(0)?,
                    kind: row.get(1)?,
                    index: row.get(2)?,
                    event_id: row.get(3)?,
                    event: row.get(4)?,
                    body: row.get(5)?,
                    reason: row.get(6)?,
                    attempts: row.get(7)?,
                    history: serde_json::from_str(&history).expect("a history"),
                    retry_at: row.get(9)?,
                })
            },
        )
    }

    /// Somebody runs `feedgate retry --dead-letters --unidentified`. Returns the number of letters.
    pub async fn deliver_again(&self, name: &str) -> u64 {
        let all = Letters {
            unidentified: true,
            ids: Vec::new(),
        };
        let again = self.ledger.deliver_again(name, all, self.time.now()).await;
        again.expect("the ledger").expect("the destination").letters
    }

    /// What only a crash, an operator or time could do to the ledger.
    pub fn tamper(&self, sql: &str) {
        Connection::open(self.path("ledger.db"))
            .and_then(|ledger| ledger.execute_batch(sql))
            .expect("tampering");
    }

    /// What `feedgate events` prints: every accepted event, in order.
    pub async fn accepted(&self) -> Vec<Value> {
        let mut out = Vec::new();
        events(&self.ledger, &self.path("spool"), &Query::default(), &mut out)
            .await
            .expect("printed");
        let text = String::from_utf8(out).expect("text");
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        text.lines().map(parse).collect()
    }

    fn ask<T>(&self, sql: &str, name: &str, read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
        let ledger = Connection::open(self.path("ledger.db")).expect("the ledger");
        let mut select = ledger.prepare(sql).expect("a question");
        let rows = select.query_map([name], |row| read(row)).expect("rows");
        rows.collect::<rusqlite::Result<_>>().expect("rows")
    }
}

/// The `http` settings of a destination, to be changed.
pub fn http(settings: &mut DestinationSettings) -> &mut HttpSettings {
    match &mut settings.kind {
        DestinationKind::Http(http) => http,
        other => panic!("no http: {other:?}"),
    }
}
