//! Destinations that want events by the actions of their definitions.

use rusqlite::Connection;
use serde_json::json;

use super::{MONDAY, TUESDAY};
use crate::house::archives::Archive;
use crate::house::gate::Gate;
use crate::house::http_server::{HttpServer, Script};

/// A definition of one event, with these actions.
fn definition(name: &str, actions: &[&str]) -> String {
    let identifier = json!({"identifierType": {"value": "externalId", "valueType": "Enum"}});
    let customer = json!({"name": "customer", "type": "customer", "attributes": identifier});
    json!({"eventName": name, "actions": actions, "fields": [customer]}).to_string()
}

const FEED: &str =
    r#"[{"event":"Order","id":"0"},{"event":"View","id":"1"},{"event":"Other","id":"2"},{"event":"order","id":"3"}]"#;

/// A gate whose destinations want: `insights` events for `EIConsumer`, `lake` those for itself, `all` whatever comes.
fn gate() -> Gate {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    std::fs::create_dir(&root).expect("the root");
    gate.source_local("acme", &root);
    gate.destination("insights", "type = \"sqlite\"\nactions = [\"EIConsumer\"]");
    gate.destination("lake", "type = \"sqlite\"\nactions = [\"lake\", \"EMFConsumer\"]");
    gate.destination("all", "type = \"sqlite\"");
    define(&gate, "order", &definition("order", &["EIConsumer", "lake"]));
    define(&gate, "view", &definition("view", &["lake"]));
    gate
}

fn define(gate: &Gate, name: &str, text: &str) {
    let dir = gate.dir().join("events");
    std::fs::create_dir_all(&dir).expect("the definitions' directory");
    std::fs::write(dir.join(format!("{name}.json")), text).expect("definitions");
}

fn send(gate: &Gate, digits: &str) {
    let (name, bytes) = Archive::feed(digits, FEED);
    std::fs::write(gate.dir().join("root").join(name), bytes).expect("an upload");
}

/// The ids of the users whose events a destination has.
fn users(gate: &Gate, destination: &str) -> String {
    let events = Connection::open(gate.state_dir().join(format!("{destination}.db"))).expect("a database");
    let sql = "SELECT coalesce(group_concat(user_id, ' '), '') FROM (SELECT user_id FROM events ORDER BY rowid)";
    events.query_row(sql, [], |row| row.get(0)).expect("events")
}

#[test]
fn each_gets_what_names_it() {
    let gate = gate();
    send(&gate, MONDAY);
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert_eq!(users(&gate, "insights"), "0 3");
    assert_eq!(users(&gate, "lake"), "0 1 3");
    assert_eq!(users(&gate, "all"), "0 1 2 3");
    let lag = gate.cli(["status", "--destination", "insights", "--json"]).json();
    assert_eq!((&lag["lag_events"], &lag["delivered"]), (&json!(0), &json!(2)));
}

#[test]
fn what_counts_is_the_definition_of_the_time_of_import() {
    let mut gate = gate();
    gate.destination("later", "type = \"sqlite\"\nactions = [\"later\"]");
    send(&gate, MONDAY);
    assert_eq!(gate.once().code, 0);
    define(&gate, "view", &definition("view", &["later"]));
    send(&gate, TUESDAY);
    let check = gate.cli(["check"]);
    assert!(
        check
            .stdout
            .contains("destination later (sqlite): well, nothing to send now"),
        "{check}"
    );
    assert_eq!(gate.once().code, 0);
    assert_eq!(users(&gate, "later"), "1");
    assert_eq!(users(&gate, "lake"), "0 1 3 0 3");
    // One that is new begins with Monday, when nothing was for it: not a byte of that import need be there.
    let spool = gate.state_dir().join("spool");
    let mut files: Vec<_> = std::fs::read_dir(&spool)
        .expect("the spool")
        .map(|file| file.expect("a file").path())
        .collect();
    files.sort_by_key(|file| file.metadata().and_then(|about| about.modified()).ok());
    gate.destination("newer", "type = \"sqlite\"\nactions = [\"later\"]");
    let check = gate.cli(["check"]);
    assert!(
        check.stdout.contains("at most 8 events in 2 imports would be sent"),
        "{check}"
    );
    assert_eq!(gate.once().code, 0);
    assert_eq!(users(&gate, "newer"), "1");
}

#[test]
fn events_without_definitions_are_on_no_route() {
    let gate = gate();
    std::fs::remove_dir_all(gate.dir().join("events")).expect("no definitions");
    send(&gate, MONDAY);
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert_eq!(
        (users(&gate, "insights"), users(&gate, "all")),
        (String::new(), "0 1 2 3".to_owned())
    );
}

#[test]
fn a_receiver_too() {
    let mut gate = gate();
    let server = HttpServer::start();
    server.always(Script::ok("{}"));
    let keys = format!(
        "type = \"http\"\nstart = \"oldest\"\nurl = \"{}\"\nactions = [\"EIConsumer\"]",
        server.url()
    );
    gate.destination("hook", &keys);
    send(&gate, MONDAY);
    assert_eq!(gate.once().code, 0);
    let events = server.requests()[0].events();
    let ids: Vec<_> = events.iter().map(|event| event["body"]["id"].clone()).collect();
    assert_eq!(ids, [json!("0"), json!("3")]);
}

#[test]
fn an_action_that_nobody_lists_is_none() {
    let gate = gate();
    define(&gate, "odd", &definition("odd", &["lakes"]));
    let check = gate.cli(["check"]);
    assert_eq!(check.code, 2, "{check}");
    assert!(
        check.stderr.contains("1810") && check.stderr.contains("`lakes`"),
        "{check}"
    );
}
