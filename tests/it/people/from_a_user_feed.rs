//! The real binary, a user feed, events that name people by id alone, and a Bento that knows them by address alone: in the order
//! of the vendor's pages, and in the other.

use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::house::gate::{Gate, wait_until};
use crate::house::http_server::{HttpServer, Script};

/// A directory that a partner fills, and a Bento that takes everything.
struct House {
    gate: Gate,
    server: HttpServer,
}

impl House {
    fn new() -> House {
        let (mut gate, server) = (Gate::new(), HttpServer::start());
        server.answer_with(|request| {
            let sent = request.json()["events"].as_array().map_or(0, Vec::len);
            Script::ok(json!({"results": sent, "failed": 0}))
        });
        let root = gate.dir().join("root");
        fs::create_dir(&root).expect("the root");
        fs::write(gate.dir().join("key"), "key-1").expect("a secret");
        gate.source_local("acme", &root);
        let key = gate.dir().join("key");
        gate.destination(
            "bento",
            &format!(
                "type = \"bento\"\nurl = \"{}/api/v1\"\nsite_uuid = \"s\"\nstart = \"oldest\"\nburst = 1000\n\
                 publishable_key_file = {key:?}\nsecret_key_file = {key:?}",
                server.url()
            ),
        );
        House { gate, server }
    }

    fn events(&self, number: usize, entries: &[&str]) {
        let (name, bytes) = archive(number, entries);
        self.put(&name, &bytes);
    }

    fn users(&self, number: usize, records: &Value) {
        let column =
            |name: &str, nullable: &str| json!({"column_name": name, "data_type": "text", "is_nullable": nullable});
        let header = json!([
            column("id", "NO"),
            column("email", "YES"),
            column("businessUnit", "YES")
        ]);
        for (part, json) in [("header", &header), ("data", records)] {
            self.put(
                &format!("user_feed_{part}_{}.json", digits(number)),
                json.to_string().as_bytes(),
            );
        }
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.gate.dir().join("root").join(name), bytes).expect("an upload");
    }

    /// Who was sent what Bento got.
    fn sent_to(&self) -> Vec<String> {
        let stored = self.server.stored();
        let events = stored
            .iter()
            .flat_map(|request| request.json()["events"].as_array().cloned().unwrap_or_default());
        events
            .map(|event| event["email"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

#[test]
fn first() {
    let house = House::new();
    house.users(0, &json!([{"id": "u1", "email": "Ada@x.de", "businessUnit": "DE"}]));
    house.events(1, &["- ada@x.de DE", "u1 - -"]);
    let once = house.gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert_eq!(house.sent_to(), ["ada@x.de", "Ada@x.de"]);
    let ada = house.gate.cli(["people", "u1", "--json"]).json();
    assert_eq!(ada["people"]["users"], 1, "{ada}");
    assert_eq!(ada["people"]["leads"], 0, "{ada}");
}

#[test]
fn late() {
    let house = House::new();
    house.events(0, &["- ada@x.de DE", "u1 - -"]);
    let daemon = house.gate.run();
    let bento = || house.gate.status()["destinations"][0].clone();
    wait_until("a letter", || bento()["dead_letters_by_kind"]["held"] == 1);
    assert_eq!(house.sent_to(), ["ada@x.de"]);
    let people = house.gate.status()["people"].clone();
    assert_eq!((&people["users"], &people["leads"]), (&json!(1), &json!(1)), "doubles");

    house.users(1, &json!([{"id": "u1", "email": "ada@x.de", "businessUnit": "DE"}]));
    wait_until("the event", || house.sent_to().len() == 2);
    assert_eq!(house.sent_to()[1], "ada@x.de");
    wait_until("no letter", || bento()["dead_letters"] == 0);
    let ada = house.gate.cli(["people", "u1", "--json"]).json();
    assert_eq!(
        (&ada["people"]["users"], &ada["people"]["leads"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(ada["found"][0]["merged"], true);
    daemon.stop();
}

/// Nothing needs people before the first user feed; from then on they are kept, from the front.
#[test]
fn a_user_feed_has_people_kept() {
    let mut house = House::new();
    house.gate.clear();
    let root = house.gate.dir().join("root");
    house.gate.source_local("acme", &root);
    house.gate.destination_sqlite("events");
    house.events(0, &["- ada@x.de DE"]);
    let daemon = house.gate.run();
    house.gate.wait_for_imports(1);
    assert_eq!(house.gate.status()["people"], Value::Null);
    house.users(
        1,
        &json!([{"id": "u1", "email": "ada@x.de", "businessUnit": "DE"}, {"id": "u2"}]),
    );
    wait_until("two users", || house.gate.status()["people"]["users"] == 2);
    let people = house.gate.status()["people"].clone();
    assert_eq!(
        (&people["kept"], &people["leads"], &people["upgraded"]),
        (&json!(true), &json!(0), &json!(1)),
        "{people}"
    );
    daemon.stop();
}
