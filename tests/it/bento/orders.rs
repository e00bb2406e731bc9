//! Ten thousand orders, the real binary, and a Bento that fails in every way it knows; the daemon is killed in between.
//!
//! `cargo test --release --test it bento::orders -- --nocapture` prints what happened, call by call where it was not well.

#![allow(
    clippy::print_stdout,
    reason = "the transcript is what this is for, beside its verdict"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::{PUBLISHABLE_KEY, SECRET_KEY, SITE_UUID};
use crate::house::archives::Archive;
use crate::house::gate::{Gate, wait_until};
use crate::house::http_server::{HttpServer, Request, Script};

/// Orders in the feed; a hundred to a call.
const ORDERS: usize = 10_000;

/// The order that Bento refuses.
const REFUSED: usize = 4242;

/// The call at which the daemon is killed, once Bento has stored it.
const KILLED_AT: usize = 60;

/// What each call gets that is not answered as it should be.
const FAULTS: [(usize, &str); 8] = [
    (3, "cut before it was stored"),
    (7, "429, with Retry-After: 1"),
    (12, "stored, and the answer lost"),
    (17, "500"),
    (18, "503"),
    (25, "97 taken, 3 not"),
    (31, "200 with a page of HTML"),
    (KILLED_AT, "stored, and the daemon killed before the answer"),
];

fn fault(number: usize) -> Option<&'static str> {
    FAULTS.iter().find(|(at, _)| *at == number).map(|(_, what)| *what)
}

#[test]
#[allow(
    clippy::print_stdout,
    reason = "the transcript is what this is for, beside its verdict"
)]
fn ten_thousand_orders_through_faults_and_a_restart() {
    let (gate, server) = (gate(), Arc::new(HttpServer::start()));
    let daemon_id = Arc::new(AtomicU32::new(0));
    script(&server, &daemon_id);
    let mut gate = gate;
    configure(&mut gate, &server);
    let (name, archive) = Archive::feed("20260301080000", &feed());
    let root = gate.dir().join("root");
    fs::write(root.join(name), archive).expect("an upload");

    let daemon = gate.run();
    daemon_id.store(daemon.id(), Ordering::Release);
    wait_until("the kill", || server.requests().len() >= KILLED_AT);
    daemon.kill();
    println!("killed at call {KILLED_AT}; {}", shown(&gate));
    let daemon = gate.run();
    wait_until("the end", || destination(&gate)["state"] == "idle");
    println!("at the end; {}", shown(&gate));

    let calls = server.requests();
    for (number, call) in calls.iter().enumerate().map(|(index, call)| (index + 1, call)) {
        if let Some(what) = fault(number) {
            println!("call {number:3}: {:3} events, {what}", events(call).len());
        }
    }
    let stored = stored(&server);
    let twice = stored.values().filter(|times| **times == 2).count();
    println!(
        "{} calls; of {ORDERS} orders {} are at Bento, {twice} of them twice; {} are not",
        calls.len(),
        stored.len(),
        ORDERS - stored.len()
    );

    // All but the refused one are there. Twice are the hundred whose answer was lost, and the hundred of the kill.
    let missing: Vec<usize> = (0..ORDERS).filter(|order| !stored.contains_key(&key(*order))).collect();
    assert_eq!((missing, twice), (vec![REFUSED], 200));
    assert!(stored.values().all(|times| *times <= 2));
    let report = destination(&gate);
    assert_eq!(
        report["resent"], 400,
        "the cut, the lost answer, the page, and the kill: {report}"
    );
    assert_eq!(report["delivered"], ORDERS - 1 - 3, "{report}");
    assert_eq!(
        report["dead_letters_by_kind"],
        json!({"refused": 1, "held": 0, "deferred": 0, "unidentified": 1})
    );
    the_search_was_short(&calls);
    the_letters_are_told(&gate);
    daemon.stop();
}

fn gate() -> Gate {
    let gate = Gate::new();
    fs::create_dir(gate.dir().join("root")).expect("the root");
    for (name, secret) in [("publishable", PUBLISHABLE_KEY), ("secret", SECRET_KEY)] {
        fs::write(gate.dir().join(name), secret).expect("a secret");
    }
    gate
}

fn configure(gate: &mut Gate, server: &HttpServer) {
    let dir = gate.dir().to_owned();
    gate.source_local("acme", &dir.join("root"));
    gate.destination(
        "bento",
        &format!(
            "type = \"bento\"\nurl = \"{}/api/v1\"\nsite_uuid = \"{SITE_UUID}\"\nstart = \"oldest\"\n\
             publishable_key_file = \"{}\"\nsecret_key_file = \"{}\"\nbatch_per_hour = 1000000\nburst = 1000",
            server.url(),
            dir.join("publishable").display(),
            dir.join("secret").display()
        ),
    );
}

/// Orders of 10.00, 10.01, … EUR.
fn feed() -> String {
    let order = |number: usize| {
        format!(
            r#"{{"event":"Completed Order","email":"ada+{}@example.com","businessUnit":"DE","orderId":"{number:08}",
                "timestamp":"2026-02-28T08:00:00Z","total":{}.{:02},"cart":{{"currency":"EUR","products":[]}}}}"#,
            number % 700,
            10 + number / 100,
            number % 100
        )
    };
    let orders: Vec<String> = (0..ORDERS).map(order).collect();
    format!("[{}]", orders.join(",\n"))
}

/// What Bento knows an order by.
fn key(order: usize) -> String {
    format!("DE:{order:08}")
}

fn script(server: &Arc<HttpServer>, daemon_id: &Arc<AtomicU32>) {
    let (weak, daemon_id) = (Arc::downgrade(server), daemon_id.clone());
    server.answer_with(move |request| {
        let number = weak.upgrade().map_or(0, |server| server.requests().len()) + 1;
        let sent = events(request);
        let keys: Vec<&str> = sent
            .iter()
            .filter_map(|event| event["details"]["unique"]["key"].as_str())
            .collect();
        match fault(number) {
            Some("429, with Retry-After: 1") => return Script::status(429).with_header("Retry-After", "1"),
            Some("500") => return Script::status(500),
            Some("503") => return Script::status(503),
            Some("stored, and the answer lost") => return Script::CutAfter,
            Some("97 taken, 3 not") => return Script::ok(json!({"results": sent.len() - 3, "failed": 3})),
            Some("200 with a page of HTML") => return Script::ok("<html>come back later</html>").storing(false),
            Some("cut before it was stored") => return Script::CutBefore,
            Some(_) => {
                kill(daemon_id.load(Ordering::Acquire));
                return Script::CutAfter;
            }
            None => {}
        }
        if keys.contains(&key(REFUSED).as_str()) {
            let error = json!({"errors": [{"field": "events", "message": "one of them is not right"}]});
            return Script::status(422).with_body(error.to_string());
        }
        Script::ok(json!({"results": sent.len(), "failed": 0}))
    });
}

fn events(request: &Request) -> Vec<Value> {
    request.json()["events"].as_array().expect("events").clone()
}

/// How often each order was stored, by what Bento knows it by. Every time with the amount it has.
fn stored(server: &HttpServer) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for event in server.stored().iter().flat_map(events) {
        let key = event["details"]["unique"]["key"].as_str().expect("a key").to_owned();
        let order: u64 = key.trim_start_matches("DE:").parse().expect("a number");
        assert_eq!(event["type"], "$purchase");
        assert_eq!(
            event["details"]["value"],
            json!({"currency": "EUR", "amount": 1000 + order}),
            "{key}"
        );
        *times.entry(key).or_default() += 1;
    }
    times
}

fn the_search_was_short(calls: &[Request]) {
    let refused = |call: &&Request| {
        events(call)
            .iter()
            .any(|event| event["details"]["unique"]["key"] == key(REFUSED))
    };
    let sizes: Vec<usize> = calls.iter().filter(refused).map(|call| events(call).len()).collect();
    println!("calls with the order that is refused, by their size: {sizes:?}");
    assert_eq!((sizes.first(), sizes.last()), (Some(&100), Some(&1)));
    assert!(sizes.len() <= 21, "{sizes:?}");
}

fn the_letters_are_told(gate: &Gate) {
    let letters = gate.cli(["dead-letters", "bento", "--json"]).json();
    let letters = letters.as_array().expect("letters");
    let kinds: BTreeSet<&str> = letters.iter().filter_map(|letter| letter["kind"].as_str()).collect();
    assert_eq!(kinds, BTreeSet::from(["refused", "unidentified"]));
    for letter in letters {
        println!("{}: {}", letter["kind"], letter["reason"]);
        if letter["kind"] == "refused" {
            assert_eq!(letter["index"], REFUSED);
        }
    }
}

fn destination(gate: &Gate) -> Value {
    gate.status()["destinations"][0].clone()
}

fn shown(gate: &Gate) -> String {
    let report = destination(gate);
    let count = |name: &str| report[name].to_string();
    format!(
        "state {}, delivered {}, to come {}, sent again {}, dead letters {}",
        report["state"],
        count("delivered"),
        count("lag_events"),
        count("resent"),
        count("dead_letters")
    )
}

/// Kills a process at once, as the system does when memory runs out.
fn kill(id: u32) {
    let status = std::process::Command::new("kill")
        .args(["-KILL", &id.to_string()])
        .status();
    assert!(status.expect("running kill").success());
}
