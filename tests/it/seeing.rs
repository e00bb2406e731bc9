//! Destinations and dead letters, as `status`, `dead-letters`, `retry` and `check` show them: the real binary over ledgers
//! whose rows a test wrote. Nothing here is delivered.

use std::io::{Read, Write};
use std::net::TcpListener;

use rusqlite::{Connection, params};
use serde_json::{Value, json};

use crate::house::gate::{Gate, Output};

/// 2100: further away than any test lives.
const LATER: i64 = 4_102_444_800_000;

/// A moment in 2026.
const THEN: i64 = 1_767_323_045_678;

/// A ledger, and the means to write into it.
struct World {
    gate: Gate,
    ledger: Connection,
}

impl World {
    /// An empty ledger.
    fn new() -> World {
        let gate = Gate::new();
        std::fs::create_dir_all(gate.state_dir()).expect("a state directory");
        drop(feedgate::ledger::Ledger::open(&gate.ledger()).expect("a ledger"));
        let ledger = Connection::open(gate.ledger()).expect("the ledger");
        ledger
            .busy_timeout(std::time::Duration::from_secs(60))
            .expect("patience");
        World { gate, ledger }
    }

    fn sql(&self, sql: &str) {
        self.ledger.execute_batch(sql).expect(sql);
    }

    /// An import of so many events, closed so many seconds ago, as number `seq`.
    fn import(&self, seq: i64, source: &str, accepted: u64, seconds_ago: i64) {
        let at = feedgate::ledger::now() - seconds_ago * 1_000;
        self.ledger
            .execute(
                "INSERT INTO imports (id, seq, source, archive, size, mtime, status, imported, onward, entries, accepted,
                    spool_file, spool_offset, spool_len, first_seen_at, claimed_at, closed_at, disposition, path)
                 VALUES (?1, ?1, ?2, ?3, 1, 1, 'processed', 1, 1, ?4, ?4, 'a', 0, 1, 1, 1, ?5, 'moved', 'processed/a')",
                params![seq, source, format!("a{seq}.zip"), accepted, at],
            )
            .expect("an import");
    }

    /// A destination that is at a cursor.
    fn destination(&self, name: &str, kind: &str, state: &str, seq: i64, index: u64) {
        self.ledger
            .execute(
                "INSERT INTO destinations (name, type, seq, \"index\", state, since_at, created_at)
                 VALUES (?1, ?2, ?4, ?5, ?3, ?6, ?6)",
                params![name, kind, state, seq, index, THEN],
            )
            .expect("a destination");
    }

    /// A dead letter of import 1.
    fn letter(&self, id: i64, destination: &str, kind: &str, reason: &str) {
        self.ledger
            .execute(
                "INSERT INTO dead_letters (id, destination, kind, import, \"index\", event_id, event, body, reason, refused_at)
                 VALUES (?1, ?2, ?3, 1, ?1, 'k-' || ?1, 'Completed Order', '{\"email\":\"ada@example.com\",\"value\":5.00}', ?4, ?5)",
                params![id, destination, kind, reason, THEN],
            )
            .expect("a dead letter");
    }

    /// The parcel a destination is at.
    fn in_flight(&self, destination: &str, letters: Option<&str>) {
        self.ledger
            .execute(
                "INSERT INTO in_flight (destination, letters, seq, \"index\", end_seq, end_index, events) VALUES (?1, ?2, 1, 0, 1, 9, 9)",
                params![destination, letters],
            )
            .expect("a parcel");
    }

    /// A destination, as `status --destination --json` has it.
    fn seen(&self, name: &str) -> Value {
        let output = self.gate.cli(["status", "--destination", name, "--json"]);
        assert!(output.code < 2, "{output}");
        output.json()
    }

    /// One number of the ledger.
    fn count(&self, sql: &str) -> i64 {
        self.ledger.query_row(sql, [], |row| row.get(0)).expect(sql)
    }

    /// What `status` says of destinations, in words.
    fn told(&self) -> String {
        let output = self.gate.cli(["status"]);
        assert!(output.code < 2, "{output}");
        let (_, told) = output
            .stdout
            .split_once("\n\n")
            .expect("destinations come after imports");
        told.to_owned()
    }
}

/// The numbers of the letters in a listing.
fn ids(output: &Output) -> Vec<i64> {
    let letters = output.json();
    let letters = letters.as_array().expect("an array");
    letters
        .iter()
        .map(|letter| letter["id"].as_i64().expect("a number"))
        .collect()
}

#[test]
fn a_destination_that_has_everything_has_nothing_to_say() {
    let world = World::new();
    world.import(1, "acme", 10, 500);
    world.destination("events", "sqlite", "idle", 2, 0);
    let expect = json!({
        "name": "events", "type": "sqlite", "state": "idle", "reason": null, "since_at": "2026-01-02T03:04:05.678Z",
        "attempts": 0, "retry_at": null, "seq": 2, "index": 0, "delivered": 0, "delivered_at": null, "dropped": 0,
        "resent": 0, "lag_imports": 0, "lag_events": 0, "lag_seconds": 0, "rate": null, "estimated_end": null,
        "budgets": [], "in_flight": null, "dead_letters": 0,
        "dead_letters_by_kind": {"refused": 0, "held": 0, "deferred": 0, "unidentified": 0},
    });
    assert_eq!(world.seen("events"), expect);
    assert_eq!(
        world.gate.status()["destinations"],
        json!([expect]),
        "the list says the same"
    );
    assert_eq!(
        world.told(),
        "destination  type    state  delivered  to come  behind for  rate  dead letters  next try\n\
         events       sqlite  idle           0        0                               0\n"
    );
    assert_eq!(world.gate.cli(["status"]).code, 0);
}

#[test]
fn lag_is_what_lies_ahead_of_the_cursor() {
    let world = World::new();
    world.import(1, "acme", 10, 900);
    world.import(2, "acme", 20, 630);
    world.import(4, "acme", 30, 10);
    // Neither one that took nothing in nor one that is not closed is anything to deliver.
    world.import(3, "acme", 99, 800);
    world.sql("UPDATE imports SET imported = 0, onward = 0 WHERE seq = 3");
    world.import(5, "acme", 99, 800);
    world.sql(
        "UPDATE imports SET seq = NULL, closed_at = NULL, imported = 0, onward = 0, status = 'importing' WHERE seq = 5",
    );
    let check = |seq, index, expect: (u64, u64), seconds: std::ops::Range<u64>| {
        world.sql("DELETE FROM destinations");
        world.destination("crm", "http", "delivering", seq, index);
        let crm = world.seen("crm");
        let lag = (
            crm["lag_imports"].as_u64().unwrap(),
            crm["lag_events"].as_u64().unwrap(),
        );
        assert_eq!(lag, expect, "at {seq}, {index}");
        let lag_seconds = crm["lag_seconds"].as_u64().unwrap();
        assert!(seconds.contains(&lag_seconds), "at {seq}, {index}: {lag_seconds} s");
    };
    check(1, 0, (3, 60), 900..2_000);
    check(1, 4, (3, 56), 900..2_000);
    check(2, 0, (2, 50), 630..900);
    check(3, 0, (1, 30), 10..600);
    check(4, 31, (1, 0), 10..600);
    check(5, 0, (0, 0), 0..1);
    // What was rejected was never to be delivered, and of what is behind the cursor it is no part.
    let mut set = Vec::new();
    let rejected: roaring::RoaringTreemap = [0, 1, 2, 25].into_iter().collect();
    rejected.serialize_into(&mut set).expect("a set");
    let sql = "UPDATE imports SET entries = 34, rejected = 4, rejected_set = ?1 WHERE seq = 4";
    world.ledger.execute(sql, [set]).expect("rejects");
    check(4, 0, (1, 30), 10..600);
    check(4, 3, (1, 30), 10..600);
    check(4, 4, (1, 29), 10..600);
    check(4, 26, (1, 8), 10..600);
    check(4, 34, (1, 0), 10..600);
    // A clock that was set back makes nobody early.
    world.import(6, "acme", 1, -3_600);
    check(5, 0, (1, 1), 0..1);
}

#[test]
fn an_end_is_told_where_it_can_be_known() {
    let world = World::new();
    world.import(1, "acme", 6_000, 5);
    let check = |state: &str, rate: &str, retry_at: &str, expect: Option<&str>| {
        world.sql("DELETE FROM destinations");
        world.destination("crm", "http", state, 1, 0);
        world.sql(&format!("UPDATE destinations SET rate = {rate}, retry_at = {retry_at}"));
        let crm = world.seen("crm");
        assert_eq!(crm["estimated_end"].as_str(), expect, "{state}, {rate}, {retry_at}");
    };
    let later = LATER.to_string();
    check("delivering", "NULL", "NULL", None);
    check("delivering", "0", "NULL", None);
    check("delivering", "1e-9", "NULL", None);
    check("waiting", "20.0", &later, Some("2100-01-01T00:05:00.000Z"));
    for state in ["barred", "behind", "removed", "idle"] {
        check(state, "20.0", &later, None);
    }
    // 6,000 events at 20 a second take five minutes.
    world.sql("DELETE FROM destinations");
    world.destination("crm", "http", "delivering", 1, 0);
    world.sql("UPDATE destinations SET rate = 20.0");
    let before = feedgate::ledger::now();
    let crm = world.seen("crm");
    let end = chrono::DateTime::parse_from_rfc3339(crm["estimated_end"].as_str().unwrap()).unwrap();
    let takes = end.timestamp_millis() - before;
    assert!((300_000..600_000).contains(&takes), "{takes} ms");
    assert_eq!(crm["rate"], 20.0);
}

#[test]
fn a_budget_is_what_its_site_has_left_in_this_hour() {
    let world = World::new();
    for name in ["crm", "crm_too", "other"] {
        world.destination(name, "bento", "idle", 1, 0);
    }
    world.sql(&format!(
        "UPDATE destinations SET site = CASE name WHEN 'other' THEN 'b' ELSE 'a' END;
         INSERT INTO budgets VALUES ('a', 'batch', 500, 10, {LATER}), ('a', 'fetch', 3600, 10, 5), ('b', 'batch', 2, 1, NULL)"
    ));
    let now = feedgate::ledger::now();
    let call = |site: &str, kind: &str, minutes_ago: i64| {
        let at = now - minutes_ago * 60_000;
        let sql = "INSERT INTO calls VALUES (?1, ?2, ?3)";
        world.ledger.execute(sql, params![site, kind, at]).expect("a call");
    };
    for minutes_ago in [1, 10, 50, 61, 600] {
        call("a", "batch", minutes_ago);
        call("b", "batch", minutes_ago);
    }
    let a = json!([
        {"kind": "batch", "per_hour": 500, "left": 497, "blocked_until": "2100-01-01T00:00:00.000Z"},
        {"kind": "fetch", "per_hour": 3600, "left": 3600, "blocked_until": null},
    ]);
    assert_eq!(world.seen("crm")["budgets"], a);
    assert_eq!(world.seen("crm_too")["budgets"], a, "it belongs to the site");
    // More was called than is allowed now: the configuration was changed.
    let b = json!([{"kind": "batch", "per_hour": 2, "left": 0, "blocked_until": null}]);
    assert_eq!(world.seen("other")["budgets"], b);
}

#[test]
fn what_is_on_its_way_is_told() {
    let world = World::new();
    world.import(1, "acme", 100, 5);
    world.destination("crm", "http", "delivering", 1, 0);
    let check = |update: &str, expect: Value| {
        world.sql("DELETE FROM in_flight");
        world.in_flight("crm", None);
        world.sql(&format!("UPDATE in_flight SET {update}"));
        assert_eq!(world.seen("crm")["in_flight"], expect, "{update}");
    };
    check(
        "events = 9",
        json!({"events": 9, "since": null, "narrowing": false, "unanswered": 0}),
    );
    check(
        "narrowed = 1",
        json!({"events": 9, "since": null, "narrowing": true, "unanswered": 0}),
    );
    check(
        "suspects = 4",
        json!({"events": 9, "since": null, "narrowing": true, "unanswered": 0}),
    );
    check(
        &format!("sent_at = {THEN}, unanswered = 2"),
        json!({"events": 9, "since": "2026-01-02T03:04:05.678Z", "narrowing": false, "unanswered": 2}),
    );
    let told = world.gate.cli(["status", "--destination", "crm"]);
    assert!(
        told.stdout
            .contains("9 events, sent at 2026-01-02T03:04:05.678Z; no answer came 2 times\n"),
        "{told}"
    );
}

/// A ledger with a destination in each state.
fn every_state() -> World {
    let world = World::new();
    world.import(1, "acme", 4_312, 90_000);
    world.import(2, "acme", 8_200, 210);
    world.destination("crm", "bento", "waiting", 2, 1_000);
    world.destination("events", "sqlite", "idle", 3, 0);
    world.destination("lake", "file", "behind", 1, 0);
    world.destination("partners", "http", "barred", 2, 0);
    world.destination("warehouse", "http", "delivering", 2, 8_000);
    world.sql(&format!(
        "UPDATE destinations SET reason = 'answered 503 Service Unavailable', retry_at = {LATER} + 7123, rate = 13.94, site = 's',
            delivered = 5311, delivered_at = {THEN}, attempts = 3, dropped = 12, resent = 100 WHERE name = 'crm';
         UPDATE destinations SET delivered = 12512, delivered_at = {THEN}, rate = 99.0 WHERE name = 'events';
         UPDATE destinations SET reason = 'one import left the spool' WHERE name = 'lake';
         UPDATE destinations SET reason = 'answered 401: is the token right?', retry_at = {LATER} WHERE name = 'partners';
         INSERT INTO budgets VALUES ('s', 'batch', 500, 10, {LATER}), ('s', 'fetch', 3600, 10, NULL)"
    ));
    world.letter(1, "crm", "refused", "no");
    world.letter(2, "crm", "held", "no e-mail");
    world.letter(3, "crm", "unidentified", "1 of 2 failed");
    world
}

#[test]
fn status_is_readable_in_120_columns() {
    let told = every_state().told();
    let expect = "\
destination  type    state       delivered  to come  behind for    rate  dead letters  next try
crm          bento   waiting          5311     7200       3 min  13.9/s             3  2100-01-01T00:00:07Z
events       sqlite  idle            12512        0                                 0
lake         file    behind              0    12512        25 h                     0
partners     http    barred              0     8200       3 min                     0  2100-01-01T00:00:00Z
warehouse    http    delivering          0      200       3 min                     0
  crm: answered 503 Service Unavailable
  crm: dead letters: 1 refused, 1 held, 1 unidentified
  crm: 500 of 500 batch calls left in this hour, and none before 2100-01-01T00:00:00Z, as the site asked
  crm: has everything about 2100-01-01T00:08:43Z
  lake: one import left the spool
  partners: answered 401: is the token right?
";
    assert_eq!(told, expect);
    assert!(told.lines().all(|line| line.chars().count() <= 120));
}

#[test]
fn one_destination_is_told_in_full() {
    let world = every_state();
    world.in_flight("crm", None);
    let output = world.gate.cli(["status", "--destination", "crm"]);
    assert_eq!((output.code, output.stderr.as_str()), (1, ""), "{output}");
    let expect = "\
destination crm (bento)
  state          waiting since 2026-01-02T03:04:05.678Z
  why            answered 503 Service Unavailable
  attempts       3 in vain, in a row
  next try       2100-01-01T00:00:07.123Z
  delivered      5311 events, the last at 2026-01-02T03:04:05.678Z
  dropped        12: nothing is sent for these, as configured
  sent again     100, since no answer had come: these may be there twice
  to come        7200 events in 1 import, the oldest from 3 min ago
  at             commit 2, index 1000
  rate           13.9/s lately
  estimated end  2100-01-01T00:08:43.622Z
  budget         500 of 500 batch calls left in this hour, and none before 2100-01-01T00:00:00Z, as the site asked
  budget         3600 of 3600 fetch calls left in this hour
  on its way     9 events, not sent yet
  dead letters   1 refused, 1 held, 1 unidentified
";
    assert_eq!(output.stdout, expect);

    let unknown = world.gate.cli(["status", "--destination", "nobody"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (2, ""), "{unknown}");
    assert!(
        unknown.stderr.contains("looking for the destination `nobody`"),
        "{unknown}"
    );
    let misuse = world.gate.cli(["status", "--destination", "crm", "--source", "acme"]);
    assert_eq!(misuse.code, 2, "{misuse}");
}

#[test]
fn only_what_waits_for_somebody_is_1() {
    let world = World::new();
    world.import(1, "acme", 10, 500);
    let check = |state: &str, letter: Option<&str>, expect: i32| {
        world.sql("DELETE FROM destinations; DELETE FROM dead_letters");
        world.destination("crm", "bento", state, 1, 0);
        if let Some(kind) = letter {
            world.letter(7, "crm", kind, "why");
        }
        for args in [
            &["status"][..],
            &["status", "--json"],
            &["status", "--destination", "crm"],
        ] {
            let output = world.gate.cli(args);
            assert_eq!(output.code, expect, "{state}, {letter:?}: {output}");
        }
    };
    for (state, expect) in [
        ("idle", 0),
        ("delivering", 0),
        ("waiting", 0),
        ("barred", 1),
        ("behind", 1),
        ("removed", 0),
    ] {
        check(state, None, expect);
    }
    for (kind, expect) in [("refused", 1), ("held", 0), ("deferred", 0), ("unidentified", 1)] {
        check("idle", Some(kind), expect);
    }
}

/// A destination with a letter of each kind; the range is number 4.
fn with_letters() -> World {
    let world = World::new();
    world.import(1, "acme", 200, 500);
    world.import(2, "acme", 200, 500);
    world.destination("crm", "bento", "idle", 3, 0);
    world.letter(1, "crm", "refused", "answered 422: email is \u{1b}[31minvalid");
    world.letter(2, "crm", "held", "no e-mail address is known");
    world.letter(3, "crm", "deferred", "answered 429");
    world.letter(4, "crm", "unidentified", "3 of 100 failed");
    world.sql(&format!(
        "UPDATE dead_letters SET attempts = 2, history = json_array(
            json_object('at', '2026-01-02T03:04:05.678Z', 'reason', 'answered 422'),
            json_object('at', '2026-01-02T03:05:05.678Z', 'reason', reason)) WHERE id = 1;
         UPDATE dead_letters SET retry_at = {LATER} WHERE id = 3;
         UPDATE dead_letters SET last_import = 1, last_index = 103, events = 100, failed = 3 WHERE id = 4"
    ));
    world.destination("other", "http", "idle", 3, 0);
    world.letter(9, "other", "refused", "no");
    world
}

#[test]
fn dead_letters_are_listed_without_what_is_in_them() {
    let world = with_letters();
    let output = world.gate.cli(["dead-letters", "crm"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output}");
    let expect = "\
id  kind                        archive  index  event            attempts  last tried                reason
 1  refused                     a1.zip       1  Completed Order         2  2026-01-02T03:05:05.678Z  answered 422: email is \\u{1b}[31minvalid
 2  held                        a1.zip       2  Completed Order         1  2026-01-02T03:04:05.678Z  no e-mail address is known
 3  deferred, to be sent again  a1.zip       3  Completed Order         1  2026-01-02T03:04:05.678Z  answered 429
 4  unidentified                a1.zip   4-103  3 of 100 events         1  2026-01-02T03:04:05.678Z  3 of 100 failed
";
    assert_eq!(output.stdout, expect);

    let two = world.gate.cli(["dead-letters", "crm", "--limit", "2"]);
    assert_eq!(two.stdout.lines().count(), 4, "{two}");
    assert!(
        two.stdout.ends_with("and 2 older; `--limit` or `--all` shows them\n"),
        "{two}"
    );
    world.sql("DELETE FROM dead_letters WHERE destination = 'crm'");
    let none = world.gate.cli(["dead-letters", "crm"]);
    assert_eq!(
        (none.code, none.stdout.as_str()),
        (0, "crm has no dead letters.\n"),
        "{none}"
    );
    assert_eq!(world.gate.cli(["dead-letters", "crm", "--json"]).json(), json!([]));
    let unknown = world.gate.cli(["dead-letters", "nobody"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (2, ""), "{unknown}");
}

#[test]
fn dead_letters_are_shown_whole_to_programs() {
    let world = with_letters();
    world.in_flight("crm", Some("[3]"));
    let output = world.gate.cli(["dead-letters", "crm", "--json"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output}");
    let letters = output.json();
    assert_eq!(ids(&output), [1, 2, 3, 4]);
    assert_eq!(
        letters[0],
        json!({
            "id": 1, "kind": "refused", "import": 1, "source": "acme", "archive": "a1.zip", "index": 1, "event_id": "k-1",
            "event": "Completed Order", "range": null, "attempts": 2, "reason": "answered 422: email is \u{1b}[31minvalid",
            "refused_at": "2026-01-02T03:04:05.678Z", "retry_at": null, "in_flight": false,
            "history": [
                {"at": "2026-01-02T03:04:05.678Z", "reason": "answered 422"},
                {"at": "2026-01-02T03:05:05.678Z", "reason": "answered 422: email is \u{1b}[31minvalid"},
            ],
            "body": "{\"email\":\"ada@example.com\",\"value\":5.00}",
        })
    );
    assert!(!output.stdout.contains('\u{1b}'), "nothing may move a cursor");
    assert_eq!(letters[2]["retry_at"], "2100-01-01T00:00:00.000Z");
    assert_eq!(letters[2]["in_flight"], true);
    assert_eq!(
        letters[3]["range"],
        json!({"last_import": 1, "last_index": 103, "events": 100, "failed": 3})
    );
    let list = |args: &[&str]| ids(&world.gate.cli([&["dead-letters", "crm", "--json"], args].concat()));
    assert_eq!(list(&["--limit", "2"]), [3, 4], "the newest, oldest first");
    assert_eq!(list(&["--limit", "0"]), [0; 0]);
    assert_eq!(list(&["--all"]), [1, 2, 3, 4]);
    assert_eq!(list(&["--id", "4", "--id", "2"]), [2, 4]);
}

#[test]
fn retry_leaves_ranges_alone_unless_told_otherwise() {
    let retry = |args: &[&str], due: &[i64], told: &str| {
        let world = with_letters();
        world.sql("UPDATE dead_letters SET retry_at = NULL");
        let output = world.gate.cli([&["retry", "--dead-letters", "crm"], args].concat());
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{args:?}: {output}");
        assert!(output.stdout.starts_with(told), "{args:?}: {output}");
        let mut select = world
            .ledger
            .prepare("SELECT id FROM dead_letters WHERE retry_at <= ?1 ORDER BY id")
            .expect("the letters");
        let rows = select
            .query_map([feedgate::ledger::now()], |row| row.get(0))
            .expect("the letters");
        let found: Vec<i64> = rows.collect::<Result<_, _>>().expect("the letters");
        assert_eq!(found, due, "{args:?}");
    };
    retry(
        &[],
        &[1, 2, 3],
        "3 dead letters are delivered to crm again with the next turn\n1 range stays: most of the events were taken",
    );
    retry(
        &["--unidentified"],
        &[1, 2, 3, 4],
        "4 dead letters are delivered to crm again with the next turn\n",
    );
    retry(
        &["--id", "2"],
        &[2],
        "1 dead letter is delivered to crm again with the next turn\n",
    );
    retry(&["--id", "1", "--id", "3"], &[1, 3], "2 dead letters are");
    retry(&["--id", "4"], &[], "1 range stays");
    retry(&["--id", "4", "--unidentified"], &[4], "1 dead letter is");
    retry(
        &["--json"],
        &[1, 2, 3],
        "{\n  \"destination\": \"crm\",\n  \"dead_letters\": 3,\n  \"left_unidentified\": 1\n}\n",
    );

    let world = with_letters();
    for (args, why) in [
        (
            &["--dead-letters", "crm", "--id", "9"][..],
            "it has none with the number 9",
        ),
        (&["--dead-letters", "nobody"], "looking for the destination `nobody`"),
        (&["--failed", "--unidentified"], "cannot be used with"),
        (&["7", "--id", "1"], "cannot be used with"),
        (&["--id", "1"], "required"),
    ] {
        let output = world.gate.cli([&["retry"], args].concat());
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{args:?}: {output}");
        assert!(output.stderr.contains(why), "{args:?}: {output}");
    }
    assert_eq!(
        world.count("SELECT count(*) FROM dead_letters WHERE retry_at < 4000000000000"),
        0
    );
}

#[test]
fn retry_ends_waiting_and_single_letters_are_no_leave_to_pass_over_a_gap() {
    let world = with_letters();
    let check = |state: &str, args: &[&str], is_due: bool| {
        world.sql(&format!("UPDATE destinations SET state = '{state}', retry_at = NULL"));
        let output = world.gate.cli([&["retry", "--dead-letters", "crm"], args].concat());
        assert_eq!(output.code, 0, "{output}");
        let due = world.count("SELECT retry_at IS NOT NULL FROM destinations WHERE name = 'crm'");
        assert_eq!(due == 1, is_due, "{state}, {args:?}");
    };
    check("idle", &[], false);
    for state in ["waiting", "barred"] {
        check(state, &[], true);
        check(state, &["--id", "1"], true);
    }
    check("behind", &[], true);
    check("behind", &["--id", "1"], false);

    world.sql("UPDATE destinations SET state = 'removed'");
    let removed = world.gate.cli(["retry", "--dead-letters", "crm"]);
    assert_eq!(removed.code, 2, "{removed}");
    assert!(removed.stderr.contains("no longer configured"), "{removed}");
}

#[test]
fn letters_can_be_given_up_and_all_is_well_again() {
    let world = with_letters();
    world.sql("DELETE FROM dead_letters WHERE destination = 'other'");
    assert_eq!(world.gate.cli(["status"]).code, 1);
    let refused = |args: &[&str], why: &str| {
        let output = world.gate.cli([&["dead-letters", "crm"], args].concat());
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{args:?}: {output}");
        assert!(output.stderr.contains(why), "{args:?}: {output}");
    };
    refused(&["--discard"], "say which");
    refused(&["--discard", "--id", "1", "--all"], "cannot be used with");
    refused(&["--discard", "--limit", "1"], "cannot be used with");
    refused(
        &["--discard", "--id", "1", "--id", "77"],
        "it has none with the number 77",
    );
    assert_eq!(world.count("SELECT count(*) FROM dead_letters"), 4);

    let one = world.gate.cli(["dead-letters", "crm", "--discard", "--id", "1"]);
    assert_eq!(
        (one.code, one.stdout.as_str()),
        (0, "1 dead letter of crm is given up\n"),
        "{one}"
    );
    let json = world
        .gate
        .cli(["dead-letters", "crm", "--discard", "--id", "2", "--json"]);
    assert_eq!(
        json.json(),
        json!({"destination": "crm", "discarded": 1, "in_flight": 0})
    );
    world.letter(9, "other", "held", "no");
    // Also of a destination that is gone: its letters would be a burden for ever.
    world.sql("UPDATE destinations SET state = 'removed' WHERE name = 'crm'");
    let all = world.gate.cli(["dead-letters", "crm", "--discard", "--all"]);
    assert_eq!(
        (all.code, all.stdout.as_str()),
        (0, "2 dead letters of crm are given up\n"),
        "{all}"
    );
    assert_eq!(
        world.count("SELECT count(*) FROM dead_letters WHERE destination = 'other'"),
        1
    );
    assert_eq!(world.gate.cli(["status"]).code, 0);
    let again = world.gate.cli(["dead-letters", "crm", "--discard", "--all"]);
    assert_eq!(
        (again.code, again.stdout.as_str()),
        (0, "crm has no dead letters.\n"),
        "{again}"
    );

    // What was given up is written down: it is nowhere else any more.
    let mut select = world
        .ledger
        .prepare("SELECT line FROM log_lines ORDER BY n")
        .expect("the log");
    let lines: Vec<String> = select
        .query_map([], |row| row.get(0))
        .expect("the log")
        .collect::<Result<_, _>>()
        .expect("the log");
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let told: Vec<(&Value, &Value)> = lines
        .iter()
        .map(|line| (&line["letters"], &line["event_ids"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!(1), &json!(["k-1"])),
            (&json!(1), &json!(["k-2"])),
            (&json!(2), &json!(["k-3", "k-4"]))
        ]
    );
    assert!(
        lines
            .iter()
            .all(|line| line["kind"] == "dead_letters_discarded" && line["destination"] == "crm")
    );
}

#[test]
fn what_is_on_its_way_is_not_given_up() {
    let world = with_letters();
    world.in_flight("crm", Some("[2, 3]"));
    world.in_flight("other", Some("[9]"));
    let all = world.gate.cli(["dead-letters", "crm", "--discard", "--all"]);
    assert_eq!(all.code, 1, "{all}");
    assert_eq!(
        all.stdout,
        "2 dead letters of crm are given up\n2 are on their way just now, and stay; ask again when their answer is there\n"
    );
    assert_eq!(ids(&world.gate.cli(["dead-letters", "crm", "--json"])), [2, 3]);
    let one = world.gate.cli(["dead-letters", "crm", "--discard", "--id", "3"]);
    assert_eq!(
        (one.code, one.stdout.as_str()),
        (
            1,
            "1 is on its way just now, and stays; ask again when its answer is there\n"
        ),
        "{one}"
    );
    assert_eq!(
        world.count("SELECT count(*) FROM dead_letters WHERE destination = 'other'"),
        1
    );
}

#[test]
fn check_says_what_would_be_sent() {
    let mut world = World::new();
    let root = world.gate.dir().join("root");
    let other_root = world.gate.dir().join("other");
    for dir in [&root, &other_root] {
        std::fs::create_dir_all(dir).expect("a root");
    }
    world.gate.source_local("acme", &root);
    world.gate.source_local("beta", &other_root);
    world.import(1, "acme", 10, 500);
    world.import(2, "beta", 20, 400);
    world.import(3, "acme", 1, 300);
    world.sql("UPDATE imports SET spool_file = NULL WHERE seq = 1");
    world.destination("known", "console", "idle", 2, 5);
    world.destination("done", "console", "idle", 4, 0);
    world.destination("old", "console", "removed", 3, 0);
    world.destination("other_type", "http", "idle", 4, 0);
    let cases = [
        ("known", "", "16 events in 2 imports would be sent"),
        ("fresh", "start = 'now'", "new: begins with what comes from now on"),
        (
            "fresh",
            "start = 'oldest'",
            "new: begins with the oldest import that is kept: 21 events in 2 imports would be sent",
        ),
        ("done", "", "nothing to send now"),
        ("known", "sources = ['acme']", "1 event in 1 import would be sent"),
        ("known", "sources = ['beta']", "15 events in 1 import would be sent"),
        (
            "known",
            "events = ['Purchase']",
            "at most 16 events in 2 imports would be sent",
        ),
        (
            "renamed",
            "was = 'old'",
            "goes on where `old` is: 1 event in 1 import would be sent",
        ),
        ("known", "was = 'old'", "16 events in 2 imports would be sent"),
        (
            "renamed",
            "was = 'other_type'\nstart = 'oldest'",
            "new: begins with the oldest import that is kept: 21 events in 2 imports would be sent",
        ),
        (
            "other_type",
            "start = 'oldest'",
            "new: begins with the oldest import that is kept: 21 events in 2 imports would be sent",
        ),
    ];
    for (name, keys, expect) in cases {
        let mut gate = Gate::new();
        gate.source_local("acme", &root);
        gate.source_local("beta", &other_root);
        gate.destination(name, &format!("type = 'console'\n{keys}"));
        let config = std::fs::read_to_string(gate.config()).expect("a configuration");
        let config = config.replace(
            &gate.state_dir().display().to_string(),
            &world.gate.state_dir().display().to_string(),
        );
        let path = gate.dir().join("this.toml");
        std::fs::write(&path, config).expect("a configuration");
        let output = world
            .gate
            .command()
            .arg("check")
            .arg("-c")
            .arg(&path)
            .output()
            .expect("starting feedgate");
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let expect = format!("destination {name} (console): well, {expect}\n");
        assert!(stdout.ends_with(&expect), "{keys}: `{expect}` in\n{stdout}");
    }
    assert_eq!(
        world.count("SELECT count(*) FROM destinations"),
        4,
        "check changes nothing"
    );
}

#[test]
fn check_dials_receivers_side_by_side_and_each_has_its_own_fate() {
    let world = World::new();
    let mut gate = world.gate;
    let root = gate.dir().join("root");
    std::fs::create_dir_all(&root).expect("a root");
    gate.source_local("acme", &root);
    // It answers nobody before both are there: one after the other, neither would ever be answered.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = std::thread::spawn(move || {
        let both = [(); 2].map(|()| listener.accept().expect("a caller").0);
        for (mut stream, status) in both.into_iter().zip(["200 OK", "401 Unauthorized"]) {
            let mut request = [0; 1024];
            let read = stream.read(&mut request).expect("a request");
            assert!(request[..read].starts_with(b"HEAD "), "a look has no effect there");
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).expect("an answer");
        }
    });
    let url = format!("url = 'http://127.0.0.1:{port}/'");
    gate.destination("crm", &format!("type = 'http'\n{url}"));
    gate.destination("lake", &format!("type = 'http'\n{url}"));
    gate.destination("nobody", "type = 'http'\nurl = 'http://127.0.0.1:1/'");
    let output = gate.cli(["check"]);
    server.join().expect("the server");
    assert_eq!(output.code, 2, "{output}");
    let told: Vec<&str> = output.stdout.lines().collect();
    assert!(told[0].starts_with("source acme: well, 0 files in"), "{output}");
    let new = "(http): well, new: begins with what comes from now on";
    let well = told[1..3].iter().filter(|line| line.ends_with(new)).count();
    assert_eq!(well, 1, "one was answered well, and one was not let in: {output}");
    assert!(
        told[3].starts_with("destination nobody (http): ") && !told[3].contains("well"),
        "{output}"
    );
    assert!(output.stderr.contains("2 of what it names will not do"), "{output}");
}
