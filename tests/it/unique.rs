//! Events that come a second time, by their unique keys: kept, told, and not delivered; whatever happens in between.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::Value;

use super::house::archives::Archive;
use super::house::gate::{Gate, Output};

mod crashes; // killed at any call, and a disk that is full
mod following; // the file that is gone, damaged or of another time, and the ledger that is
mod many; // memory, and many sources at once

/// Orders are told apart by their numbers; a login is told apart by nothing.
const DEFINITIONS: &str = r#"[
 {"eventName":"completedOrder","actions":["EIConsumer"],"fields":[
   {"name":"customer","type":"customer","attributes":{"identifierType":{"value":"externalId","valueType":"Enum"}}},
   {"name":"orderId","type":"string","attributes":{
      "isRequired":{"value":"true","valueType":"Boolean"},"isUniqueKeyField":{"value":"true","valueType":"Boolean"}}}]},
 {"eventName":"userLogin","actions":["EIConsumer"],"fields":[
   {"name":"customer","type":"customer","attributes":{"identifierType":{"value":"externalId","valueType":"Enum"}}}]}]"#;

/// A gate with definitions, a destination, and sources that are directories.
struct House {
    gate: Gate,
    events_db: PathBuf,
}

impl House {
    fn new(sources: &[&str]) -> House {
        House::with(sources, Gate::new())
    }

    fn with(sources: &[&str], mut gate: Gate) -> House {
        let definitions = gate.dir().join("events");
        fs::create_dir(&definitions).expect("the definitions' directory");
        fs::write(definitions.join("shop.json"), DEFINITIONS).expect("definitions");
        for source in sources {
            fs::create_dir(gate.dir().join(source)).expect("a source");
            gate.source_local(source, &gate.dir().join(source));
        }
        let events_db = gate.destination_sqlite("events");
        House { gate, events_db }
    }

    fn unique_db(&self) -> PathBuf {
        self.gate.state_dir().join("unique.db")
    }

    /// The partner drops an archive.
    fn drop_archive(&self, source: &str, digits: &str, entries: &[String]) {
        let (name, bytes) = Archive::feed(digits, &format!("[{}]", entries.join(",\n")));
        let beside = self.gate.dir().join("upload");
        fs::write(&beside, bytes).expect("an upload");
        fs::rename(beside, self.gate.dir().join(source).join(name)).expect("an upload in its place");
    }

    fn import(&self, source: &str, digits: &str, entries: &[String]) -> Output {
        self.drop_archive(source, digits, entries);
        let once = self.gate.once();
        assert_eq!(once.code, 0, "{once}");
        once
    }

    /// What `status` says of the import of an archive, in short: its number of duplicates.
    fn duplicates(&self, digits: &str) -> u64 {
        let import = self.gate.import(&name(digits));
        assert_eq!(import["imported"], true, "{import:#}");
        import["duplicates"].as_u64().expect("a number")
    }

    /// Delivered events, each as its customer and its order.
    fn delivered(&self) -> Vec<String> {
        let db = Connection::open(&self.events_db).expect("the destination");
        let sql = "SELECT coalesce(user_id, email) || ' ' || coalesce(json_extract(body, '$.orderId'), event) FROM events ORDER BY 1";
        let mut select = db.prepare(sql).expect("a question");
        let rows = select.query_map([], |row| row.get(0)).expect("rows");
        rows.map(|row| row.expect("a row")).collect()
    }

    fn ask(&self, db: &Path, sql: &str) -> i64 {
        let db = Connection::open(db).expect("a database");
        db.query_row(sql, [], |row| row.get(0)).expect("an answer")
    }
}

fn name(digits: &str) -> String {
    format!("event_history_{digits}.json.zip")
}

fn order(customer: impl std::fmt::Display, order: impl std::fmt::Display) -> String {
    format!(r#"{{"event":"Completed Order","id":"{customer}","orderId":"{order}","total":5.00}}"#)
}

const FIRST: &str = "20240101000000";
const SECOND: &str = "20240102000000";
const THIRD: &str = "20240103000000";

fn warnings(full: &Value) -> Vec<String> {
    let list = full["warning_list"]
        .as_array()
        .or(full["warnings"].as_array())
        .expect("warnings");
    let words = |warning: &Value| {
        format!(
            "{} {}: {}",
            warning["index"],
            warning["code"].as_str().unwrap(),
            warning["message"].as_str().unwrap()
        )
    };
    list.iter().map(words).collect()
}

#[test]
fn what_came_before_is_kept_told_and_not_delivered() {
    let house = House::new(&["acme", "globex"]);
    let login = r#"{"event":"User Login","id":"u1"}"#.to_owned();
    let by_mail = r#"{"event":"Completed Order","email":"a@b","businessUnit":"DE","orderId":"1"}"#.to_owned();
    let entries = [
        order("u1", 1),
        order("u1", 2),
        login.clone(),
        order("u1", 1),
        order("u2", 1),
        login.clone(),
        by_mail.clone(),
        by_mail.replace("DE", "FR"),
        by_mail.clone(),
        // The name of the event may be written otherwise: its definition is the same.
        order("u1", 2).replace("Completed Order", "completed_order"),
    ];
    house.import("acme", FIRST, &entries);
    let full = house.gate.import_in_full(&name(FIRST));
    assert_eq!(
        [
            &full["entries"],
            &full["accepted"],
            &full["duplicates"],
            &full["rejected"]
        ],
        [10, 10, 3, 0]
    );
    assert_eq!(
        warnings(&full),
        [
            "3 duplicate_event: the same event as entry 0 of this archive",
            "8 duplicate_event: the same event as entry 6 of this archive",
            "9 duplicate_event: the same event as entry 1 of this archive",
        ]
    );
    // Where it lies: each entry has a line of its own here.
    assert_eq!(full["warning_list"][0]["line"], 4, "{full:#}");

    // Another source, another day: the customer is the same, and so is the event.
    house.import(
        "globex",
        SECOND,
        &[order("u3", 1), order("u2", 1), login, order("u1", 2), order("u2", 1)],
    );
    let full = house.gate.import_in_full(&name(SECOND));
    assert_eq!(
        warnings(&full),
        [
            format!(
                "1 duplicate_event: the same event as entry 4 of import 1 ({})",
                name(FIRST)
            ),
            format!(
                "3 duplicate_event: the same event as entry 1 of import 1 ({})",
                name(FIRST)
            ),
            format!(
                "4 duplicate_event: the same event as entry 4 of import 1 ({})",
                name(FIRST)
            ),
        ]
    );
    let delivered = [
        "a@b 1",
        "a@b 1",
        "u1 1",
        "u1 2",
        "u1 User Login",
        "u1 User Login",
        "u1 User Login",
        "u2 1",
        "u3 1",
    ];
    assert_eq!(house.delivered(), delivered);
    assert_eq!(house.gate.events().len(), delivered.len());
    assert_eq!(house.gate.status()["destinations"][0]["lag_events"], 0);

    // The partner and the operator are told.
    let receipt = house
        .gate
        .dir()
        .join("globex/receipts")
        .join(name(SECOND) + ".receipt.json");
    let receipt: Value = serde_json::from_slice(&fs::read(receipt).expect("a receipt")).expect("JSON");
    assert_eq!(receipt["duplicates"], 3);
    assert_eq!(
        receipt["summary"],
        "5 events are imported, of which 3 came before and are not delivered again"
    );
    assert!(receipt["how_to_fix"]["duplicate_event"].is_string(), "{receipt:#}");
    let status = house.gate.cli(["status"]);
    assert!(status.stdout.contains("3 duplicate events"), "{status}");
    let one = house.gate.cli(["status", &name(SECOND)]);
    assert!(one.stdout.contains("3 of the accepted came before"), "{one}");
    let log = fs::read_to_string(house.gate.state_dir().join("imports.jsonl")).expect("the log");
    assert!(log.contains(r#""duplicates":3"#), "{log}");
}

#[test]
fn nothing_is_made_where_nothing_has_unique_keys() {
    let house = House::new(&["acme"]);
    house.import(
        "acme",
        FIRST,
        &[
            r#"{"event":"User Login","id":"u1"}"#.to_owned(),
            r#"{"event":"Other","id":"u1"}"#.to_owned(),
        ],
    );
    assert!(!house.unique_db().exists());
    house.import("acme", SECOND, &[order("u1", 1)]);
    assert!(house.unique_db().exists());
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(house.unique_db()).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn an_archive_that_takes_no_events_in_brings_no_keys() {
    let house = House::new(&["acme"]);
    // It breaks off: nothing of it is imported, and so its events have not come yet.
    let (name, bytes) = Archive::feed(FIRST, &format!("[{},{}", order("u1", 1), order("u1", 2)));
    fs::write(house.gate.dir().join("acme").join(name), bytes).expect("an upload");
    house.gate.once();
    house.import("acme", SECOND, &[order("u1", 1), order("u1", 2)]);
    assert_eq!(house.duplicates(SECOND), 0);
    // The same archive again is a duplicate as a whole, and brings none either.
    house.import("acme", SECOND, &[order("u1", 1), order("u1", 2)]);
    // Mended: the same name, other data.
    house.import("acme", FIRST, &[order("u1", 1), order("u1", 3)]);
    assert_eq!(house.delivered(), ["u1 1", "u1 2", "u1 3"]);
    assert_eq!(
        house.ask(&house.gate.ledger(), "SELECT sum(unique_keys) FROM imports"),
        3
    );
}

#[test]
fn only_the_first_hundred_are_told_one_by_one_and_all_are_counted() {
    let house = House::new(&["acme"]);
    let entries: Vec<String> = (0..400).map(|number| order("u1", number % 150)).collect();
    house.import("acme", FIRST, &entries);
    let full = house.gate.import_in_full(&name(FIRST));
    assert_eq!(full["duplicates"], 250);
    assert_eq!(full["warnings_by_code"][0]["count"], 250);
    let told = warnings(&full);
    assert_eq!(told.len(), 100);
    assert_eq!(
        told[99],
        "249 duplicate_event: the same event as entry 99 of this archive"
    );
    assert_eq!(house.delivered().len(), 150);
}

#[test]
fn check_tells_what_comes_twice_in_an_archive_and_imports_nothing() {
    let house = House::new(&["acme"]);
    let entries: Vec<String> = (0..3_000).map(|number| order("u1", number % 2_900)).collect();
    let (name, bytes) = Archive::feed(FIRST, &format!("[{}]", entries.join(",\n")));
    let archive = house.gate.dir().join(name);
    fs::write(&archive, bytes).expect("an archive");
    let checked = house.gate.cli(["check", "--json", archive.to_str().expect("text")]);
    let receipt = checked.json();
    assert_eq!(receipt["duplicates"], 100, "{checked}");
    assert_eq!(
        warnings(&receipt)[0],
        "2900 duplicate_event: the same event as entry 0 of this archive"
    );
    assert_eq!(receipt["warnings_by_code"][0]["count"], 100);
    let words = house.gate.cli(["check", archive.to_str().expect("text")]);
    assert!(words.stdout.contains("of which 100 came before"), "{words}");
    assert!(!house.unique_db().exists());
}
