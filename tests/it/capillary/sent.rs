//! What is sent, and how an operator finds it again.

use serde_json::json;

use super::{MONDAY, World, body, queued, stays};
use crate::house::http_server::HttpServer;

#[test]
fn one_event_to_a_request() {
    let world = World::with("user = \"feedgate\"\npassword_env = \"HOOK_PASSWORD\"\n");
    let mut world = world;
    world.gate.variable("HOOK_PASSWORD", "hunter2");
    world.send(MONDAY, &stays(3));
    let once = world.gate.once();
    assert_eq!(once.code, 0, "{once}");
    let requests = world.server.requests();
    assert_eq!(requests.len(), 3);
    let first = &requests[0];
    assert_eq!(
        (first.method.as_str(), first.target.as_str()),
        ("POST", "/hook?key=query-secret")
    );
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert_eq!(first.header("authorization"), Some("Basic ZmVlZGdhdGU6aHVudGVyMg=="));
    assert_eq!(
        String::from_utf8_lossy(&first.body),
        r#"{"event_name":"hotel_booking","externalId":"u0","booking_id":"B-0","room_nights":"2","age":"36.5","eventDateTime":"2024-05-22T22:00:00Z"}"#
    );
    let standing = world.standing();
    assert_eq!(
        (&standing["delivered"], &standing["state"]),
        (&json!(3), &json!("idle"))
    );
}

#[test]
fn what_the_vendor_calls_a_request_is_found_again() {
    let world = World::new();
    for n in 0..3 {
        world.server.next(queued(&format!("r-{n}")));
    }
    world.send(MONDAY, &stays(3));
    let once = world.gate.once();
    assert_eq!(once.code, 0, "{once}");
    let all = world.gate.cli(["tickets", "loyalty", "--json"]).json();
    let events = world.gate.events();
    for n in 0..3 {
        assert_eq!(all[n]["ticket"], format!("r-{n}"));
        assert_eq!(
            (&all[n]["event_id"], &all[n]["index"], &all[n]["import"]),
            (&events[n]["id"], &json!(n), &json!(1))
        );
    }
    // From the vendor's name to the event, and back.
    for what in ["r-1", events[1]["id"].as_str().expect("an id")] {
        let found = world.gate.cli(["tickets", "loyalty", "--find", what, "--json"]).json();
        assert_eq!(
            (found.as_array().map(Vec::len), &found[0]),
            (Some(1), &all[1]),
            "{what}"
        );
    }
    let table = world.gate.cli(["tickets", "loyalty", "--limit", "1"]);
    assert!(table.stdout.contains("r-2") && !table.stdout.contains("r-1"), "{table}");
    let none = world.gate.cli(["tickets", "loyalty", "--import", "7"]);
    assert_eq!((none.code, none.stdout.lines().count()), (0, 1), "{none}");
    let nobody = world.gate.cli(["tickets", "nobody"]);
    assert_eq!(nobody.code, 2, "{nobody}");
}

#[test]
fn tills_organisations_and_names_as_configured() {
    let world = World::with(
        "till_code = \"till-7\"\norg_resolver = { type = \"CHILD\", childOrgId = \"100\", tillCode = \"till-8\" }\n\
         rename = { \"Hotel Booking\" = \"booked\" }\n",
    );
    world.send(MONDAY, &stays(1));
    assert_eq!(world.gate.once().code, 0);
    assert_eq!(
        body(&world.server.requests()[0]),
        json!({"event_name": "booked", "externalId": "u0", "booking_id": "B-0", "room_nights": "2", "age": "36.5",
            "tillCode": "till-7", "eventDateTime": "2024-05-22T22:00:00Z",
            "orgResolver": {"type": "CHILD", "childOrgId": "100", "tillCode": "till-8"}})
    );
}

#[test]
fn requests_of_an_hour_are_counted() {
    let world = World::with("requests_per_hour = 3600\nburst = 2\n");
    world.send(MONDAY, &stays(5));
    let once = world.gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert!(once.stderr.contains("budget of calls is used up"), "{once}");
    assert!(
        (2..5).contains(&world.server.requests().len()),
        "{}",
        world.server.requests().len()
    );
    let standing = world.standing();
    assert_eq!(standing["budgets"][0]["per_hour"], 3600, "{standing}");
}

#[test]
fn a_check_dials_and_sends_nothing() {
    let world = World::new();
    let check = world.gate.cli(["check"]);
    assert_eq!(check.code, 0, "{check}");
    let requests = world.server.requests();
    assert_eq!((requests.len(), requests[0].method.as_str()), (1, "HEAD"));
    world.server.always(super::code(401, 7311, "no"));
    let check = world.gate.cli(["check"]);
    assert_eq!(check.code, 2, "{check}");
    assert!(
        check
            .stdout
            .contains("see that `user` and the password are the webhook's"),
        "{check}"
    );
    assert!(!check.stdout.contains("query-secret"), "{check}");
}

#[test]
fn without_definitions_nothing_is_sent() {
    let world = World::new();
    std::fs::remove_dir_all(world.gate.dir().join("events")).expect("no definitions");
    world.send(MONDAY, &stays(2));
    let once = world.gate.once();
    assert_eq!(once.code, 1, "{once}");
    let standing = world.standing();
    assert_eq!(standing["state"], "barred", "{standing}");
    assert!(
        standing["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("there are no definitions")),
        "{standing}"
    );
    // Written later, they hold for what was imported before.
    world.define("booking", super::BOOKING);
    assert_eq!(world.gate.cli(["retry", "--dead-letters", "loyalty"]).code, 0);
    let once = world.gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert_eq!(super::kept(&world.server), ["B-0", "B-1"]);
}

#[test]
fn a_certificate_of_ones_own() {
    let server = HttpServer::start_tls();
    server.always(queued("r"));
    let mut world = World::new();
    let roots = world.gate.dir().join("ca.pem");
    std::fs::write(&roots, server.ca_pem()).expect("certificates");
    world.gate.clear();
    let root = world.root.clone();
    world.gate.source_local("acme", &root);
    let keys = format!(
        "type = \"capillary\"\nstart = \"oldest\"\nurl = \"{}/hook\"\nca_file = \"{}\"",
        server.url(),
        roots.display()
    );
    world.gate.destination("loyalty", &keys);
    world.send(MONDAY, &stays(1));
    let once = world.gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert_eq!(server.requests().len(), 1);
}
