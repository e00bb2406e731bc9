//! `feedgate people`, and what `status` says of them.

use std::fs;

use serde_json::json as value;

use super::*;
use crate::house::gate::Gate;

/// A gate that has taken these feeds in, with a database as its only destination.
fn gate(feeds: &[&[&str]]) -> Gate {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    fs::create_dir(&root).expect("the root");
    gate.source_local("acme", &root);
    gate.destination_sqlite("events");
    for (number, entries) in feeds.iter().enumerate() {
        let (name, bytes) = archive(number, entries);
        fs::write(root.join(name), bytes).expect("an upload");
    }
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
    gate
}

/// What a command prints, without the times.
fn printed(gate: &Gate, code: i32, args: &[&str]) -> String {
    let output = gate.cli(std::iter::once(&"people").chain(args));
    assert_eq!(output.code, code, "{output}");
    let without_time = |line: &str| line.split(", at 2").next().unwrap_or_default().trim_end().to_owned();
    output.stdout.lines().map(without_time).collect::<Vec<_>>().join("\n")
}

fn three_feeds() -> Gate {
    gate(&[
        &["- Ada@x.de DE", "- ada@x.de AT", "u2 bob@x.de DE", "u3 - -"],
        &["u1 ada@x.de DE", "u9 bob@x.de DE"],
        &["u3 bob@x.de DE", "u1 - -"],
    ])
}

#[test]
fn a_plain_feed_has_no_people_until_somebody_asks() {
    let gate = three_feeds();
    assert_eq!(gate.status()["people"], value!(null));
    let status = gate.cli(["status"]);
    assert!(!status.stdout.contains("people"), "{status}");
    let ledger = Connection::open(gate.ledger()).expect("the ledger");
    let none = |sql: &str| ledger.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a count");
    assert_eq!(none("SELECT count(*) FROM people"), 0);

    let totals = "people: 3 users, 1 lead; 2 clashes; all that was imported is read, by `feedgate people`
  1 lead became users";
    assert_eq!(printed(&gate, 0, &[]), totals);
    assert_eq!(none("SELECT count(*) FROM people"), 4);
    let status = gate.cli(["status"]);
    assert!(status.stdout.ends_with(&format!("\n{totals}\n")), "{status}");
    let people = gate.cli(["people", "--json"]).json();
    assert_eq!(people, gate.status()["people"]);
    assert_eq!(
        people,
        value!({"kept": false, "users": 3, "leads": 1, "upgraded": 1, "clashes": 2, "seq": 4, "index": 0,
            "imports_to_come": 0, "entries_to_come": 0, "gap": null, "trouble": null})
    );
}

#[test]
fn somebody_by_id_by_address_and_by_unit() {
    let gate = three_feeds();
    let ada = "user u1
  e-mail         Ada@x.de
  business unit  DE
  first seen     import 1 (event_history_20260201000000.json.zip), index 0
  last seen      import 3 (event_history_20260203000000.json.zip), index 1
  upgraded       a lead that got its id by import 2 (event_history_20260202000000.json.zip), index 0";
    let lead = "lead without an id
  e-mail         ada@x.de
  business unit  AT
  first seen     import 1 (event_history_20260201000000.json.zip), index 1
  last seen      import 1 (event_history_20260201000000.json.zip), index 1";
    assert_eq!(printed(&gate, 0, &["u1"]), ada);
    assert_eq!(printed(&gate, 0, &["ADA@x.de"]), format!("{lead}\n\n{ada}"));
    assert_eq!(printed(&gate, 0, &["ADA@x.de", "--unit", "DE"]), ada);
    assert_eq!(
        printed(&gate, 1, &["ADA@x.de", "--unit", ""]),
        "Nobody is known by ADA@x.de."
    );
    assert_eq!(printed(&gate, 1, &["u9"]), "Nobody is known by u9.");
    let bob = printed(&gate, 0, &["u2"]);
    assert!(
        bob.contains("\n  clash          import 2 (event_history_20260202000000.json.zip), index 1"),
        "{bob}"
    );
    let json = gate.cli(["people", "u2", "--json"]).json();
    let person = &json["found"][0];
    assert_eq!(
        (
            &person["kind"],
            &person["id"],
            &person["email"],
            &person["business_unit"],
            &person["merged"]
        ),
        (
            &value!("user"),
            &value!("u2"),
            &value!("bob@x.de"),
            &value!("DE"),
            &value!(false)
        )
    );
    assert_eq!(person["first_seen"]["index"], 2);
    assert_eq!(person["clashes"][0]["what"], "new_id_for_a_user");
    assert_eq!(person["clashes"][1]["what"], "address_of_another_user");
    let nobody = gate.cli(["people", "nobody", "--json"]);
    assert_eq!((nobody.code, &nobody.json()["found"]), (1, &value!([])));
}

#[test]
fn clashes_are_shown_and_said_and_name_nobody_in_the_log() {
    let gate = three_feeds();
    let expect = "import  archive                                index  id  e-mail    unit  what
     2  event_history_20260202000000.json.zip      1  u9  bob@x.de  DE    a new id u9 for u2, whose address it is
     3  event_history_20260203000000.json.zip      0  u3  bob@x.de  DE    the id u3 for u2, whose address it is";
    assert_eq!(printed(&gate, 0, &["--clashes"]), expect);
    assert_eq!(
        printed(&gate, 0, &["--clashes", "--limit", "1"]).lines().last(),
        Some("and 1 more; `--limit` or `--all` shows them, up to 10,000 of an import")
    );
    let json = gate.cli(["people", "--clashes", "--json"]).json();
    assert_eq!(json.as_array().map(Vec::len), Some(2));
    assert_eq!((&json[1]["id"], &json[1]["other_id"]), (&value!("u3"), &value!("u2")));

    // The log says where, and of whom it says nothing: neither that on stderr nor that of imports.
    let mut gate = gate;
    gate.section("[people]\nkeep = \"always\"");
    let (name, bytes) = archive(5, &["u77 bob@x.de DE"]);
    fs::write(gate.dir().join("root").join(name), bytes).expect("an upload");
    let once = gate.once();
    assert!(once.stderr.contains("clash"), "{once}");
    let log = fs::read_to_string(gate.state_dir().join("imports.jsonl")).expect("the log");
    assert!(
        log.contains(r#""kind":"people_clash","import":4,"clashes":1,"first_index":0"#),
        "{log}"
    );
    for text in [&once.stderr, &log] {
        assert!(!text.contains("u77") && !text.contains("bob@"), "{text}");
    }
}

#[test]
fn nothing_that_a_feed_says_moves_the_cursor() {
    let gate = gate(&[&["u\u{1b}[2J1 - -"]]);
    let shown = printed(&gate, 0, &["u\u{1b}[2J1"]);
    assert!(shown.starts_with("user u\\u{1b}[2J1\n"), "{shown}");
}

#[test]
fn kept_by_the_daemon_they_are_there_without_anybody_reading() {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    fs::create_dir(&root).expect("the root");
    gate.source_local("acme", &root);
    gate.section("[people]\nkeep = \"always\"");
    let daemon = gate.run();
    let (name, bytes) = archive(0, &["u1 ada@x.de DE"]);
    fs::write(root.join(name), bytes).expect("an upload");
    crate::house::gate::wait_until("Ada", || gate.status()["people"]["users"] == 1);
    let people = gate.cli(["people", "u1", "--json"]).json();
    assert_eq!(people["people"]["kept"], true);
    assert_eq!(people["found"][0]["email"], "ada@x.de");
    daemon.stop();
}

#[test]
fn there_is_nothing_to_look_into() {
    let gate = Gate::new();
    let none = gate.cli(["people"]);
    assert_eq!(none.code, 2, "{none}");
}
