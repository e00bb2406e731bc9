//! Deliveries and `events`: real archives in a real spool, a real ledger, real databases and files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Cursor as InMemory, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use feedgate::archive::{Limits, NameClass, classify};
use feedgate::cli::events::{Query, events};
use feedgate::config::resolve::{DestinationKind, DestinationSettings, FileFormat, Packaging, Start};
use feedgate::delivery::{Delivery, Outcome};
use feedgate::feed::{DuplicateKeys, Options};
use feedgate::intake::{Rules, take_in};
use feedgate::ledger::letters::{AgainCount, Letters};
use feedgate::ledger::listing::{Claim, Seen};
use feedgate::ledger::outcome::{Action, Disposal, Outcome as Imported};
use feedgate::ledger::{DestinationRow, DestinationState, Ledger, Stored, Wanted};
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The time of every import, unless a test says otherwise: 2026-02-03T04:05:06.789Z.
pub(crate) const IMPORTED_AT: i64 = 1_770_091_506_789;

/// A state directory, and a place for what is delivered.
pub(crate) struct World {
    dir: tempfile::TempDir,
    ledger: Ledger,
}

impl World {
    pub(crate) fn new() -> World {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("spool")).expect("the spool");
        let ledger = Ledger::open(&dir.path().join("ledger.db")).expect("the ledger");
        World { dir, ledger }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Takes an archive in as intake does, and returns the import's id.
    pub(crate) async fn import(&self, source: &str, name: &str, feed: &str) -> i64 {
        let zip = zipped(name, feed);
        let sha256: [u8; 32] = Sha256::digest(&zip).into();
        let file = format!("{source}-{name}");
        fs::write(self.path("spool").join(&file), &zip).expect("the spool file");
        let NameClass::Feed(feed_name) = classify(name) else {
            panic!("{name} is no feed's name");
        };
        let rules = Rules {
            packaging: Packaging::Lenient,
            limits: Limits {
                unpacked_bytes: 1 << 34,
                ratio: 200,
            },
            options: Options {
                default_business_unit: Some("DE".to_owned()),
                duplicate_keys: DuplicateKeys::Reject,
                entry_bytes_max: 16 << 20,
                depth_max: 128,
                kind: feedgate::verdict::FeedKind::Events,
                ordered_items: false,
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
        let seen = Seen {
            name: name.to_owned(),
            size,
            mtime: 0,
        };
        let claim = Claim {
            seen,
            first_seen_at: 0,
            named_at: Some(feed_name.at()),
            retry_of: None,
        };
        let id = self.ledger.claim(source, vec![claim], 0).await.expect("claimed")[0];
        let imported = Imported {
            id,
            sha256: Some(sha256),
            stored: Some(Stored {
                file,
                offset: 0,
                len: size,
            }),
            judged,
            disposal: Disposal {
                good: Action::Leave,
                failed: Action::Leave,
                receipt: false,
            },
            imported_at: IMPORTED_AT,
            look_again_at: None,
        };
        self.ledger
            .close(source, vec![imported], IMPORTED_AT)
            .await
            .expect("closed");
        id
    }

    pub(crate) async fn deliver(&self, settings: &DestinationSettings) -> Outcome {
        self.delivery(settings).once(CancellationToken::new()).await
    }

    fn delivery(&self, settings: &DestinationSettings) -> Delivery {
        Delivery::new(self.ledger.clone(), self.path("spool"), settings.clone())
    }

    async fn row(&self, name: &str) -> DestinationRow {
        self.ledger
            .destination(name)
            .await
            .expect("the ledger")
            .expect("the destination")
    }

    /// What only a crash, an operator or time could do to the ledger.
    pub(crate) fn tamper(&self, sql: &str) {
        Connection::open(self.path("ledger.db"))
            .and_then(|ledger| ledger.execute_batch(sql))
            .expect("tampering");
    }

    fn sqlite(&self, name: &str) -> DestinationSettings {
        settings(
            name,
            DestinationKind::Sqlite {
                path: self.path(name).with_extension("db"),
            },
        )
    }

    fn files(&self, name: &str, by_event_date: bool) -> DestinationSettings {
        settings(
            name,
            DestinationKind::File {
                format: FileFormat::Ndjson,
                dir: self.path(name),
                by_event_date,
                zstd_level: 3,
            },
        )
    }

    fn ask(&self, name: &str, sql: &str) -> Vec<String> {
        ask(&self.path(name).with_extension("db"), sql)
    }

    /// The files under a directory of the world, unpacked, by their paths in it.
    fn tree(&self, name: &str) -> BTreeMap<String, String> {
        let root = self.path(name);
        let mut found = BTreeMap::new();
        let mut dirs = vec![root.clone()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    dirs.push(path);
                    continue;
                }
                let name = path.strip_prefix(&root).expect("below").display().to_string();
                // The mark says whose directory it is, and is no file of events.
                if name == ".feedgate" {
                    continue;
                }
                let mut text = String::new();
                let file = File::open(&path).expect("a file");
                match name.ends_with(".zst") {
                    true => zstd::Decoder::new(file)
                        .expect("zstd")
                        .read_to_string(&mut text)
                        .expect("text"),
                    false => InMemory::new(fs::read(&path).expect("a file"))
                        .read_to_string(&mut text)
                        .expect("text"),
                };
                found.insert(name, text);
            }
        }
        found
    }

    async fn printed(&self, query: &Query) -> (String, Vec<String>) {
        let mut out = Vec::new();
        let printed = events(&self.ledger, &self.path("spool"), query, &mut out)
            .await
            .expect("printed");
        (String::from_utf8(out).expect("text"), printed.gaps)
    }
}

pub(crate) fn settings(name: &str, kind: DestinationKind) -> DestinationSettings {
    DestinationSettings {
        name: name.to_owned(),
        kind,
        start: Start::Oldest,
        was: None,
        events: Vec::new(),
        sources: Vec::new(),
        actions: Vec::new(),
        rename: Vec::new(),
        dead_letters_max: 100_000,
    }
}

fn zipped(name: &str, feed: &str) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(InMemory::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file(name.strip_suffix(".zip").expect("a zip"), options)
        .expect("a member");
    zip.write_all(feed.as_bytes()).expect("its bytes");
    zip.finish().expect("a zip").into_inner()
}

fn ask(database: &Path, sql: &str) -> Vec<String> {
    let connection = Connection::open(database).expect("a database");
    let mut select = connection.prepare(sql).expect("a question");
    let columns = select.column_count();
    let rows = select.query_map([], |row| {
        let mut texts = Vec::new();
        for column in 0..columns {
            texts.push(match row.get_ref(column)? {
                rusqlite::types::ValueRef::Null => "-".to_owned(),
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                other => other.as_str()?.to_owned(),
            });
        }
        Ok(texts.join("|"))
    });
    rows.expect("rows").collect::<rusqlite::Result<_>>().expect("rows")
}

pub(crate) const MONDAY: &str = "event_history_20260202000000.json.zip";
pub(crate) const TUESDAY: &str = "event_history_20260203000000.json.zip";
const WEDNESDAY: &str = "event_history_20260204000000.json.zip";

/// `{"event":"e0","id":"u0"}` and so on.
fn many(count: usize) -> String {
    let entries: Vec<String> = (0..count)
        .map(|n| format!(r#"{{"event":"e{}","id":"u{n}","n":{n}}}"#, n % 3))
        .collect();
    format!("[{}]", entries.join(","))
}

pub(crate) fn delivered(count: u64) -> Outcome {
    Outcome {
        delivered: count,
        trouble: None,
    }
}

#[tokio::test]
async fn a_database_gets_the_accepted_entries_as_they_were_given() {
    let world = World::new();
    let feed = r#"[
        {"event":"purchase","id":"u1","timestamp":"2019-11-18T17:05:00Z","total":5.00},
        {"event":"purchase"},
        {"event":"pur\u0063hase","email":"ana@example.com", "note" : "a\nb" },
        17,
        {"event":"visit","id":4711,"email":"bo@example.com","businessUnit":"AT"}
    ]"#;
    let id = world.import("acme", MONDAY, feed).await;
    let settings = world.sqlite("people");

    assert_eq!(world.deliver(&settings).await, delivered(3));
    assert_eq!(
        world.ask(
            "people",
            "SELECT n, import, \"index\", source, event, user_id, email, business_unit, time, body FROM events"
        ),
        [
            format!(
                r#"1|{id}|0|acme|purchase|u1|-|-|2019-11-18T17:05:00.000Z|{{"event":"purchase","id":"u1","timestamp":"2019-11-18T17:05:00Z","total":5.00}}"#
            ),
            format!(
                r#"2|{id}|2|acme|purchase|-|ana@example.com|DE|2026-02-03T04:05:06.789Z|{{"event":"pur\u0063hase","email":"ana@example.com", "note" : "a\nb" }}"#
            ),
            format!(
                r#"3|{id}|4|acme|visit|4711|bo@example.com|AT|2026-02-03T04:05:06.789Z|{{"event":"visit","id":4711,"email":"bo@example.com","businessUnit":"AT"}}"#
            ),
        ]
    );
    let ids = world.ask("people", "SELECT id FROM events");
    assert!(
        ids.iter().all(|id| id.len() > 33 && id.as_bytes()[32] == b'-'),
        "{ids:?}"
    );
    assert_eq!(world.row("people").await.delivered, 3);
    assert_eq!(world.row("people").await.standing.state, DestinationState::Idle);
    assert_eq!(world.deliver(&settings).await, delivered(0));
}

#[tokio::test]
async fn killed_between_the_rows_and_the_ledger() {
    let world = World::new();
    world.import("acme", MONDAY, &many(10)).await;
    let settings = world.sqlite("people");
    assert_eq!(world.deliver(&settings).await, delivered(10));
    // The ledger never heard of it.
    world.tamper("UPDATE destinations SET seq = 1, \"index\" = 0, delivered = 0");
    world.import("acme", TUESDAY, &many(5)).await;

    assert_eq!(world.deliver(&settings).await, delivered(5));
    assert_eq!(
        world.ask("people", "SELECT count(*), count(DISTINCT id) FROM events"),
        ["15|15"]
    );
    assert_eq!(world.row("people").await.cursor.seq, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_again_and_again_on_the_way_through_a_large_import() {
    let world = World::new();
    world.import("acme", MONDAY, &many(120_000)).await;
    let settings = world.sqlite("people");
    let mut stops = 0;
    while world.deliver_for(&settings, Duration::from_millis(40)).await < 120_000 {
        stops += 1;
        assert!(stops < 1_000, "no progress");
    }
    assert_eq!(
        world.ask(
            "people",
            "SELECT count(*), count(DISTINCT id), count(DISTINCT \"index\"), max(\"index\"), max(n) FROM events"
        ),
        ["120000|120000|120000|119999|120000"]
    );
    assert_eq!(world.row("people").await.delivered, 120_000);
}

impl World {
    /// Delivers for a while, is stopped, and returns how many events the ledger says were delivered, ever.
    async fn deliver_for(&self, settings: &DestinationSettings, time: Duration) -> u64 {
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let timer = tokio::spawn(async move {
            tokio::time::sleep(time).await;
            stopping.cancel();
        });
        assert_eq!(self.delivery(settings).once(stop).await.trouble, None);
        timer.abort();
        self.row(&settings.name).await.delivered
    }
}

#[tokio::test]
async fn a_destination_that_fails_holds_up_no_other() {
    let world = World::new();
    world.import("acme", MONDAY, &many(4)).await;
    fs::create_dir(world.path("broken.db")).expect("a directory in the database's place");

    let broken = world.deliver(&world.sqlite("broken")).await;
    assert_eq!(broken.delivered, 0);
    assert!(broken.trouble.is_some_and(|reason| reason.contains("broken.db")));
    assert_eq!(world.deliver(&world.sqlite("well")).await, delivered(4));

    let row = world.row("broken").await;
    assert_eq!(row.standing.state, DestinationState::Barred);
    assert_eq!(row.standing.attempts, 1);
    assert!(row.standing.retry_at.is_some());
    // Mended, it catches up.
    fs::remove_dir(world.path("broken.db")).expect("the directory");
    assert_eq!(world.deliver(&world.sqlite("broken")).await, delivered(4));
    assert_eq!(world.row("broken").await.standing.state, DestinationState::Idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_somebody_locks_is_waited_for() {
    let world = World::new();
    world.import("acme", MONDAY, &many(4)).await;
    let settings = world.sqlite("people");
    assert_eq!(world.deliver(&settings).await, delivered(4));
    world.import("acme", TUESDAY, &many(4)).await;

    let somebody = Connection::open(world.path("people.db")).expect("the database");
    somebody.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    assert!(
        world
            .deliver(&settings)
            .await
            .trouble
            .is_some_and(|reason| reason.contains("locked"))
    );
    assert_eq!(world.row("people").await.standing.state, DestinationState::Waiting);
    somebody.execute_batch("ROLLBACK").expect("released");
    assert_eq!(world.deliver(&settings).await, delivered(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_somebody_reads_for_long_is_waited_for() {
    let world = World::new();
    world.import("acme", MONDAY, &many(4)).await;
    let settings = world.sqlite("people");
    assert_eq!(world.deliver(&settings).await, delivered(4));
    world.import("acme", TUESDAY, &many(60_000)).await;

    let somebody = Connection::open(world.path("people.db")).expect("the database");
    somebody.execute_batch("BEGIN").expect("a transaction");
    let count = || somebody.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0));
    assert_eq!(count(), Ok(4));
    let outcome = world.deliver(&settings).await;
    assert!(outcome.trouble.is_some_and(|reason| reason.contains("locked")));
    assert_eq!(count(), Ok(4), "what a reader sees stays the same");
    somebody.execute_batch("COMMIT").expect("done");

    assert_eq!(world.deliver(&settings).await, delivered(60_000));
    assert_eq!(
        world.ask("people", "SELECT count(*), count(DISTINCT id), max(n) FROM events"),
        ["60004|60004|60004"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_rows_and_cursor_together() {
    let world = World::new();
    let settings = world.sqlite("people");
    // Makes the file, so that there is something to read.
    assert_eq!(world.deliver(&settings).await, delivered(0));
    world.import("acme", MONDAY, &many(60_000)).await;

    let reading = Connection::open(world.path("people.db")).expect("the database");
    reading.busy_timeout(Duration::from_secs(60)).expect("patience");
    let reader = tokio::task::spawn_blocking(move || {
        loop {
            let look = "SELECT (SELECT count(*) FROM events), coalesce(seq, 0), coalesce(\"index\", 0) FROM feedgate";
            let (rows, seq, index): (i64, i64, i64) = reading
                .query_row(look, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .expect("a look");
            match seq {
                2 => return rows,
                _ => assert_eq!(rows, index),
            }
        }
    });
    assert_eq!(world.deliver(&settings).await, delivered(60_000));
    assert_eq!(reader.await.expect("no panic"), 60_000);
}

#[tokio::test]
async fn a_database_of_small_pages_and_a_write_ahead_log_goes_on_as_it_is() {
    let world = World::new();
    world.import("acme", MONDAY, &many(1_000)).await;
    let settings = world.sqlite("people");
    assert_eq!(world.deliver(&settings).await, delivered(1_000));
    let somebody = Connection::open(world.path("people.db")).expect("the database");
    somebody
        .execute_batch(
            "PRAGMA journal_mode = DELETE; PRAGMA page_size = 4096; VACUUM; PRAGMA journal_mode = WAL;
             CREATE INDEX by_user ON events (user_id);",
        )
        .expect("as somebody wants it");

    world.import("acme", TUESDAY, &many(60_000)).await;
    assert_eq!(world.deliver(&settings).await, delivered(60_000));
    assert_eq!(world.ask("people", "PRAGMA journal_mode"), ["wal"]);
    assert_eq!(world.ask("people", "PRAGMA page_size"), ["4096"]);
    assert_eq!(world.ask("people", "PRAGMA integrity_check"), ["ok"]);
    assert_eq!(
        world.ask("people", "SELECT count(*), count(DISTINCT id), max(n) FROM events"),
        ["61000|61000|61000"]
    );
}

#[tokio::test]
async fn filters_by_event_and_by_source() {
    let world = World::new();
    world.import("acme", MONDAY, &many(9)).await;
    world.import("other", MONDAY, &many(9)).await;
    world
        .import("acme", TUESDAY, r#"[{"event":"unheard of","id":"x"}]"#)
        .await;
    let mut settings = world.sqlite("people");
    settings.events = vec!["e1".to_owned()];
    settings.sources = vec!["acme".to_owned()];

    assert_eq!(world.deliver(&settings).await, delivered(3));
    assert_eq!(
        world.ask("people", "SELECT DISTINCT source, event FROM events"),
        ["acme|e1"]
    );
    assert_eq!(world.row("people").await.cursor.seq, 4);
    world.import("other", TUESDAY, &many(1)).await;
    assert_eq!(world.deliver(&settings).await, delivered(0));
    assert_eq!(
        world.row("people").await.cursor.seq,
        5,
        "what is not wanted does not hold the spool"
    );
}

#[tokio::test]
async fn one_added_later_begins_where_it_is_told() {
    let world = World::new();
    world.import("acme", MONDAY, &many(3)).await;
    let mut from_now = world.sqlite("from_now");
    from_now.start = Start::Now;
    assert_eq!(world.deliver(&from_now).await, delivered(0));
    world.import("acme", TUESDAY, &many(2)).await;
    assert_eq!(world.deliver(&from_now).await, delivered(2));
    assert_eq!(world.deliver(&world.sqlite("from_the_oldest")).await, delivered(5));
}

#[tokio::test]
async fn one_renamed_goes_on_and_one_moved_away_is_filled_anew() {
    let world = World::new();
    world.import("acme", MONDAY, &many(3)).await;
    assert_eq!(world.deliver(&world.sqlite("old")).await, delivered(3));

    let mut renamed = world.sqlite("old");
    renamed.name = "new".to_owned();
    let trouble = world.deliver(&renamed).await.trouble.expect("another's database");
    assert!(trouble.contains("belongs to the destination `old`"), "{trouble}");
    world.tamper("DELETE FROM destinations WHERE name = 'new'");

    renamed.was = Some("old".to_owned());
    assert_eq!(world.deliver(&renamed).await, delivered(0));
    world.import("acme", TUESDAY, &many(2)).await;
    assert_eq!(world.deliver(&renamed).await, delivered(2));
    assert_eq!(world.row("new").await.delivered, 5);
    assert_eq!(world.ledger.destination("old").await.expect("the ledger"), None);

    fs::remove_file(world.path("old.db")).expect("the database");
    assert_eq!(world.deliver(&renamed).await, delivered(5));
}

#[tokio::test]
async fn a_database_of_another_state_directory_is_barred() {
    let (first, second) = (World::new(), World::new());
    first.import("acme", MONDAY, &many(3)).await;
    let settings = first.sqlite("people");
    first.deliver(&settings).await;

    // The ledger was lost, and other archives came since.
    second.import("acme", TUESDAY, &many(3)).await;
    second.import("acme", WEDNESDAY, &many(3)).await;
    let trouble = second.deliver(&settings).await.trouble.expect("barred");
    assert!(trouble.contains("another state directory"), "{trouble}");
    assert_eq!(second.row("people").await.standing.state, DestinationState::Barred);
    assert_eq!(first.ask("people", "SELECT count(*) FROM events"), ["3"]);
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_left_alone() {
    let world = World::new();
    world.import("acme", MONDAY, &many(3)).await;
    let check = |name: &str, expect: &str| {
        let (path, settings) = (world.path(name).with_extension("db"), world.sqlite(name));
        let expect = expect.to_owned();
        let world = &world;
        async move {
            let before = fs::read(&path).expect("the file");
            let trouble = world.deliver(&settings).await.trouble.expect("barred");
            assert!(trouble.contains(&expect), "{trouble}");
            let refused = feedgate::destination::check(&settings);
            assert!(refused.is_err(), "{refused:?}");
            assert_eq!(fs::read(&path).expect("the file"), before);
        }
    };
    fs::write(
        world.path("text.db"),
        "Dear diary, nothing happened today, and I have written it down.".repeat(20),
    )
    .expect("a text");
    check("text", "not a database").await;
    Connection::open(world.path("accounts.db"))
        .and_then(|theirs| theirs.execute_batch("CREATE TABLE events (id)"))
        .expect("somebody's database");
    check("accounts", "not made by feedgate").await;
    world.deliver(&world.sqlite("newer")).await;
    Connection::open(world.path("newer.db"))
        .and_then(|newer| newer.execute_batch("PRAGMA user_version = 2"))
        .expect("a newer one");
    check("newer", "schema version 2").await;
}

#[tokio::test]
async fn a_view_for_each_name_however_it_is_spelt() {
    let world = World::new();
    let names = [
        "Completed Order",
        "completed-order",
        "completedOrder",
        "it's \\\"quoted\\\"; DROP TABLE events; --",
        "line\\none",
        "🎉",
        "sqlite_x",
    ];
    let long = "🎈".repeat(255);
    let entries: Vec<String> = names
        .iter()
        .chain([&long.as_str()])
        .map(|name| format!(r#"{{"event":"{name}","id":"u"}}"#))
        .collect();
    world.import("acme", MONDAY, &format!("[{}]", entries.join(","))).await;
    assert_eq!(world.deliver(&world.sqlite("people")).await, delivered(8));

    let views = world.ask(
        "people",
        "SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name",
    );
    assert_eq!(
        views,
        [
            "event_completed_order",
            "event_completed_order_2",
            "event_completed_order_3",
            "event_it_s_quoted_drop_table_events",
            "event_line_one",
            "event_sqlite_x",
            "event_unnamed",
            "event_unnamed_2",
        ]
    );
    for view in views {
        assert_eq!(
            world.ask("people", &format!("SELECT count(*) FROM {view}")),
            ["1"],
            "{view}"
        );
    }
}

#[tokio::test]
async fn made_up_names_do_not_fill_the_schema() {
    let world = World::new();
    let entries: Vec<String> = (0..500)
        .map(|n| format!(r#"{{"event":"made up {n}","id":"u"}}"#))
        .collect();
    world.import("acme", MONDAY, &format!("[{}]", entries.join(","))).await;
    assert_eq!(world.deliver(&world.sqlite("people")).await, delivered(500));
    assert_eq!(
        world.ask("people", "SELECT count(*) FROM sqlite_schema WHERE type = 'view'"),
        ["200"]
    );
}

#[tokio::test]
async fn files_have_the_same_names_and_content_after_a_crash() {
    let world = World::new();
    let id = world
        .import(
            "acme",
            MONDAY,
            "[{\"event\":\"a\",\n \"id\":\"1\"},{\"event\":\"b\",\"id\":\"2\"}]",
        )
        .await;
    world.import("acme", TUESDAY, "[]").await;
    let settings = world.files("lake", false);
    assert_eq!(world.deliver(&settings).await, delivered(2));
    let before = world.tree("lake");
    let (name, text) = before.first_key_value().expect("a file");
    let (day, file) = name.split_once('/').expect("a day");
    assert_eq!(before.len(), 1, "an import of nothing is no file");
    assert_eq!(day, "2026-02-03");
    let key = file.strip_suffix(".ndjson.zst").expect("the ending");
    assert_eq!(
        *text,
        format!(
            "{{\"id\":\"{key}-0\",\"import\":{id},\"archive\":\"{MONDAY}\",\"index\":0,\"event\":\"a\",\"body\":{{\"event\":\"a\",\"id\":\"1\"}}}}\n\
             {{\"id\":\"{key}-1\",\"import\":{id},\"archive\":\"{MONDAY}\",\"index\":1,\"event\":\"b\",\"body\":{{\"event\":\"b\",\"id\":\"2\"}}}}\n"
        )
    );
    let bytes = fs::read(world.path("lake").join(name)).expect("the file");

    // Renamed, but the ledger never heard of it; and another was being written when the power went.
    world.tamper("UPDATE destinations SET seq = 1, \"index\" = 0");
    let half = format!("lake/{day}/.{}.ndjson.zst.part", "0".repeat(32));
    fs::write(world.path(&half), "half").expect("a temporary");
    fs::write(world.path("lake/2026-02-03/.somebody.part"), "").expect("somebody's file");
    assert_eq!(world.deliver(&settings).await, delivered(2));
    assert!(!world.path(&half).exists());
    fs::remove_file(world.path("lake/2026-02-03/.somebody.part")).expect("still there");
    assert_eq!(world.tree("lake"), before);
    assert_eq!(fs::read(world.path("lake").join(name)).expect("the file"), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_whole_or_not_there() {
    let world = World::new();
    world.import("acme", MONDAY, &many(300_000)).await;
    let settings = world.files("lake", false);
    let after = world.deliver_for(&settings, Duration::from_millis(100)).await;
    let whole: Vec<String> = world
        .tree("lake")
        .into_keys()
        .filter(|name| name.ends_with(".zst"))
        .collect();
    assert_eq!((after, whole.len()), (0, 0), "stopped in the middle");
    assert_eq!(world.deliver(&settings).await, delivered(300_000));
    let tree = world.tree("lake");
    assert_eq!(tree.len(), 1);
    assert_eq!(tree.values().map(|text| text.lines().count()).sum::<usize>(), 300_000);
}

#[tokio::test]
async fn files_by_the_date_of_the_event() {
    let world = World::new();
    // More days than there are files open at a time, visited again and again.
    let entries: Vec<String> = (0..600)
        .map(|n| {
            format!(
                r#"{{"event":"e","id":"u{n}","timestamp":"2025-12-{:02}T10:00:00Z"}}"#,
                n % 30 + 1
            )
        })
        .collect();
    world.import("acme", MONDAY, &format!("[{}]", entries.join(","))).await;
    assert_eq!(world.deliver(&world.files("lake", true)).await, delivered(600));
    let tree = world.tree("lake");
    assert_eq!(tree.len(), 30);
    for (name, text) in &tree {
        let day = name.split_once('/').expect("a day").0;
        assert_eq!(text.lines().count(), 20, "{name}");
        assert!(
            text.lines()
                .all(|line| line.contains(&format!("\"timestamp\":\"{day}T"))),
            "{name}"
        );
    }
    world.tamper("UPDATE destinations SET seq = 1, \"index\" = 0");
    assert_eq!(world.deliver(&world.files("lake", true)).await, delivered(600));
    assert_eq!(world.tree("lake"), tree);
}

#[tokio::test]
async fn what_left_the_spool_is_a_gap_with_a_name() {
    let world = World::new();
    for (archive, count) in [(MONDAY, 1), (TUESDAY, 2), (WEDNESDAY, 4)] {
        world.import("acme", archive, &many(count)).await;
    }
    let settings = world.sqlite("people");
    world
        .import("acme", "event_history_20260205000000.json.zip", &many(8))
        .await;
    world.ledger.register(registration(&settings), 0).await.expect("known");
    world.tamper("UPDATE imports SET spool_file = NULL, pruned_at = 1 WHERE id IN (2, 3)");

    let behind = world.deliver(&settings).await;
    assert_eq!(behind.delivered, 1, "what can be had is delivered");
    let trouble = behind.trouble.expect("behind");
    assert!(
        trouble.contains("2 imports with 6 events") && trouble.contains(TUESDAY) && trouble.contains(WEDNESDAY),
        "{trouble}"
    );
    assert!(trouble.contains("feedgate retry --dead-letters people"), "{trouble}");
    assert_eq!(world.row("people").await.standing.state, DestinationState::Behind);
    assert_eq!(
        world.deliver(&settings).await.delivered,
        0,
        "and not a step further by itself"
    );

    assert_eq!(
        world
            .ledger
            .deliver_again("people", Letters::default(), 1)
            .await
            .expect("the ledger"),
        Some(AgainCount {
            letters: 0,
            left_unidentified: 0
        })
    );
    assert_eq!(world.deliver(&settings).await, delivered(8));
    assert_eq!(world.ask("people", "SELECT DISTINCT import FROM events"), ["1", "4"]);
    assert_eq!(world.row("people").await.standing.state, DestinationState::Idle);
    assert_eq!(
        world
            .ledger
            .deliver_again("nobody", Letters::default(), 1)
            .await
            .expect("the ledger"),
        None
    );

    let (out, gaps) = world.printed(&Query::default()).await;
    assert_eq!(out.lines().count(), 9);
    assert_eq!(gaps.len(), 2);
    assert!(gaps[0].contains("import 2") && gaps[0].contains(TUESDAY), "{gaps:?}");
}

fn registration(settings: &DestinationSettings) -> feedgate::ledger::Registration {
    feedgate::ledger::Registration {
        name: settings.name.clone(),
        kind: settings.kind.as_str(),
        start: settings.start,
        was: settings.was.clone(),
    }
}

#[tokio::test]
async fn a_spool_file_that_is_missing_or_damaged_is_named() {
    let world = World::new();
    world.import("acme", MONDAY, &many(1_000)).await;
    let spooled = world.path("spool").join(format!("acme-{MONDAY}"));
    let whole = fs::read(&spooled).expect("the spool file");
    let check = |name: &'static str, expect: &'static str| {
        let world = &world;
        async move {
            let trouble = world.deliver(&world.sqlite(name)).await.trouble.expect("behind");
            assert!(trouble.contains(expect) && trouble.contains(MONDAY), "{trouble}");
            assert_eq!(world.row(name).await.standing.state, DestinationState::Behind);
        }
    };
    fs::remove_file(&spooled).expect("the spool file");
    check("missing", "it is not there").await;
    fs::write(&spooled, &whole[..whole.len() / 2]).expect("half of it");
    check("short", "it is ").await;
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x10;
    fs::write(&spooled, &flipped).expect("damage");
    check("flipped", "it is damaged").await;
    fs::write(&spooled, &whole).expect("put back");
    for name in ["missing", "short", "flipped"] {
        let row = world.row(name).await;
        assert_eq!(
            row.delivered + world.deliver(&world.sqlite(name)).await.delivered,
            1_000,
            "{name}"
        );
        assert_eq!(
            world.ask(name, "SELECT count(*), count(DISTINCT id) FROM events"),
            ["1000|1000"],
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_delivery_is_woken_by_a_commit_and_outlives_its_database() {
    let world = World::new();
    let settings = world.sqlite("people");
    let (committed, stop) = (Arc::new(Notify::new()), CancellationToken::new());
    let running = tokio::spawn(world.delivery(&settings).run(committed.clone(), stop.clone()));
    world.import("acme", MONDAY, &many(3)).await;
    committed.notify_waiters();
    world.until_delivered("people", 3).await;

    // Somebody removes the database: SQLite would go on writing to the unlinked file.
    fs::remove_file(world.path("people.db")).expect("the database");
    world.import("acme", TUESDAY, &many(2)).await;
    committed.notify_waiters();
    world.until_delivered("people", 8).await;
    assert_eq!(world.ask("people", "SELECT count(*) FROM events"), ["5"]);

    stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), running)
        .await
        .expect("stops")
        .expect("ends well");
}

impl World {
    async fn until_delivered(&self, name: &str, count: u64) {
        for _ in 0..1_000 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let row = self.ledger.destination(name).await.expect("the ledger");
            if row.is_some_and(|row| row.delivered == count) {
                return;
            }
        }
        panic!("not delivered: {:?}", self.ledger.destination(name).await);
    }
}

#[tokio::test]
async fn events_prints_what_was_asked_for() {
    let world = World::new();
    let first = world
        .import(
            "acme",
            MONDAY,
            r#"[{"event":"a","id":"1"},{"event":"b","id":"2","x":1e400}]"#,
        )
        .await;
    let second = world
        .import(
            "other",
            MONDAY,
            "[{\"event\":\"a\",\n\"id\":\"3\",\"s\":\"\\ud800 \\u0000 é\"}]",
        )
        .await;
    let failed = world.import("acme", TUESDAY, "[17]").await;
    let lines = |text: String| -> Vec<String> {
        text.lines()
            .map(|line| line.split_once("\",\"import\"").expect("an id").1.to_owned())
            .collect()
    };
    let all = [
        format!(r#":{first},"archive":"{MONDAY}","index":0,"event":"a","body":{{"event":"a","id":"1"}}}}"#),
        format!(r#":{first},"archive":"{MONDAY}","index":1,"event":"b","body":{{"event":"b","id":"2","x":1e400}}}}"#),
        format!(
            r#":{second},"archive":"{MONDAY}","index":0,"event":"a","body":{{"event":"a","id":"3","s":"\ud800 \u0000 é"}}}}"#
        ),
    ];
    let check = |wanted: Wanted, event: Option<&str>, expect: &[usize]| {
        let query = Query {
            wanted,
            event: event.map(str::to_owned),
            reveal: false,
        };
        let expect: Vec<String> = expect.iter().map(|line| all[*line].clone()).collect();
        let world = &world;
        async move {
            assert_eq!(lines(world.printed(&query).await.0), expect, "{query:?}");
        }
    };
    check(Wanted::default(), None, &[0, 1, 2]).await;
    check(Wanted::default(), Some("a"), &[0, 2]).await;
    check(
        Wanted {
            import: Some(second),
            ..Wanted::default()
        },
        None,
        &[2],
    )
    .await;
    check(
        Wanted {
            source: Some("acme".to_owned()),
            ..Wanted::default()
        },
        None,
        &[0, 1],
    )
    .await;
    check(
        Wanted {
            since: Some(IMPORTED_AT),
            ..Wanted::default()
        },
        None,
        &[0, 1, 2],
    )
    .await;
    check(
        Wanted {
            since: Some(IMPORTED_AT + 1),
            ..Wanted::default()
        },
        None,
        &[],
    )
    .await;

    let of_failed = Query {
        wanted: Wanted {
            import: Some(failed),
            ..Wanted::default()
        },
        event: None,
        reveal: false,
    };
    assert_eq!(
        world.printed(&of_failed).await.1,
        [format!("import {failed} (failed) has no such events")]
    );
    let of_none = Query {
        wanted: Wanted {
            import: Some(99),
            ..Wanted::default()
        },
        event: None,
        reveal: false,
    };
    let error = events(&world.ledger, &world.path("spool"), &of_none, &mut Vec::new())
        .await
        .expect_err("no such import");
    assert!(error.to_string().contains("no such import"), "{error}");
}
